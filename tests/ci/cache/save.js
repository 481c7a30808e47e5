const fs = require('fs');
const cache = require('@actions/cache');
const core = require('@actions/core');

async function run() {
    const key = core.getState('key');
    // Servers may ignore the case of letters.
    if (core.getState('found').toLowerCase() === key.toLowerCase()) {
        fs.appendFileSync(process.env.CACHE_LOG, `has ${key}\n`);
        return;
    }
    await cache.saveCache(core.getMultilineInput('path', { required: true }), key);
    fs.appendFileSync(process.env.CACHE_LOG, `saved ${key}\n`);
}

run().catch((error) => core.setFailed(error));
