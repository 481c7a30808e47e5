//! Programs that run jobs as CI services do. `.ci/runners` installs them.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{Invocation, Output, Project, Repository, Sandbox, Tool, repository, require, tree};

/// The directory of the runners. `None` if they are not installed; the test then prints that it is skipped.
///
/// # Panics
///
/// In CI, where they must not be missing.
pub fn runners() -> Option<PathBuf> {
    let dir = repository().join("tests/.runners");
    require(Tool::Runners, dir.join("installed").is_file().then_some(dir))
}

/// The lines with warnings that do not come from act itself, in either stream.
pub fn warnings(output: &Output) -> Vec<&str> {
    let lines = output.stdout.lines().chain(output.stderr.lines());
    lines.filter(|line| line.contains("warning") && !line.contains("level=warning")).collect()
}

/// Replacements for other repositories: the action under test, and those in `tests/ci`.
const REPOSITORIES: [(&str, &str); 3] = [
    ("cargo-xcache/cargo-xcache@v0", "xcache"),
    ("actions/cache@v5", "cache"),
    ("aws-actions/configure-aws-credentials@v6", "credentials"),
];

/// A repository with a workflow, and what GitHub provides. Act runs the workflow, and serves the cache.
pub struct GitHub {
    project: Project,
    repository: Repository,
    runners: PathBuf,
    /// Kept from one run to the next: other repositories, and the cache.
    dir: PathBuf,
}

impl GitHub {
    /// A repository of the workspace [`Sandbox::mixed`].
    pub fn new(sandbox: &Sandbox, runners: PathBuf, workflow: &str) -> Self {
        let project = sandbox.mixed();
        project.write(".github/workflows/ci.yml", workflow);
        let repository = Repository::of_dir(project.dir());
        let dir = sandbox.path("github");
        tree::copy(&crate::repository().join("tests/ci"), &dir);
        let action = crate::repository().join("action.yml");
        tree::write(&dir.join("xcache/action.yml"), std::fs::read(action).expect("the action exists"));
        Self { project, repository, runners, dir }
    }

    /// Its workspace.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Sets a variable on the machines that run the workflow.
    #[must_use]
    pub fn env(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        Self { project: self.project.env(name, value), ..self }
    }

    /// Replaces text in a file, and commits.
    #[track_caller]
    pub fn change(&self, file: &str, from: &str, to: &str) {
        self.project.edit(file, from, to);
        self.repository.commit();
    }

    /// What the last run did with the cache, in order: `restored nothing`, or `restored`, `saved` and `has` with a key.
    pub fn cached(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.cache_log()).unwrap_or_default();
        log.lines().map(Into::into).collect()
    }

    fn cache_log(&self) -> PathBuf {
        self.dir.join("cache.log")
    }

    /// Runs the workflow for a push to main.
    #[track_caller]
    pub fn push(&self) -> Output {
        self.run(&["push"], &json!({ "ref": "refs/heads/main" }))
    }

    /// Runs the workflow for a pull request.
    #[track_caller]
    pub fn pull_request(&self, actor: &str, is_of_fork: bool) -> Output {
        let head = json!({ "ref": "change", "repo": { "fork": is_of_fork } });
        let request = json!({ "number": 7, "head": head, "base": { "ref": "main" } });
        self.run(&["pull_request", "--actor", actor], &json!({ "number": 7, "pull_request": request }))
    }

    /// Runs the workflow on a new, empty machine. Each run has its own directory, so that members are compiled.
    #[track_caller]
    fn run(&self, event: &[&str], payload: &Value) -> Output {
        self.project.empty_store();
        tree::write(&self.cache_log(), "");
        let payload_file = self.dir.join("event.json");
        tree::write(&payload_file, payload.to_string());
        let act = self.project.program(self.runners.join("bin/act"), event);
        let act = act.args(["--platform", "ubuntu-latest=-self-hosted", "--cache-server-addr", "127.0.0.1"]);
        let act = act.arg("--cache-server-path").arg(self.dir.join("saved"));
        let act = act.arg("--action-cache-path").arg(self.dir.join("work")).arg("--eventpath").arg(payload_file);
        let act = act.args(["--var", "CACHE_WRITER=full", "--var", "CACHE_READER=reader"]);
        let stand_in = |act: Invocation, (name, dir): (&str, &str)| {
            act.arg("--local-repository").arg(format!("{name}={}", self.dir.join(dir).display()))
        };
        let act = REPOSITORIES.into_iter().fold(act, stand_in);
        let act = act.env("CACHE_LOG", self.cache_log());
        act.env("NODE_PATH", self.runners.join("node_modules")).run()
    }
}
