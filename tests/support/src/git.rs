//! Git repositories made at run time.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{fixture, tree};

/// A repository in a directory, with one commit.
pub struct Repository {
    dir: PathBuf,
}

impl Repository {
    /// Makes `dir` a repository with the files of a fixture.
    pub fn of_fixture(name: &str, dir: &Path) -> Self {
        tree::copy(&fixture(name), dir);
        Self::of_dir(dir)
    }

    /// Makes `dir` a repository with the files in it.
    pub fn of_dir(dir: &Path) -> Self {
        let repository = Self { dir: dir.to_owned() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit();
        repository
    }

    /// The URL that a manifest names.
    pub fn url(&self) -> String {
        format!("file://{}", self.dir.display())
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Commits everything in the directory.
    pub fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "A commit of the tests"]);
    }

    /// Runs git with the settings made here only: no user's configuration, and always the same author and time.
    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.dir);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "tests").env(format!("GIT_{role}_EMAIL"), "tests@localhost");
            command.env(format!("GIT_{role}_DATE"), "2020-01-01T00:00:00Z");
        }
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        let output = command.output().expect("git is installed");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
