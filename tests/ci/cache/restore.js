// Logs its actions in the file CACHE_LOG, since the last lines of a step's output may get lost.
const fs = require('fs');
const cache = require('@actions/cache');
const core = require('@actions/core');

// Servers may ignore the case of letters.
const isSame = (found, key) => found.toLowerCase() === key.toLowerCase();

async function run() {
    const key = core.getInput('key', { required: true });
    core.saveState('key', key);
    const found = await cache.restoreCache(core.getMultilineInput('path'), key, core.getMultilineInput('restore-keys'));
    if (found !== undefined) {
        core.saveState('found', found);
        core.setOutput('cache-hit', String(isSame(found, key)));
    }
    fs.appendFileSync(process.env.CACHE_LOG, found === undefined ? 'restored nothing\n' : `restored ${found}\n`);
}

run().catch((error) => core.setFailed(error));
