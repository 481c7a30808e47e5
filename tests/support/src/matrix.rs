//! One workspace in every situation where xcache must do what plain cargo does in a fresh directory.
//!
//! The main types are [`Matrix`], a workspace with the commands and changes that make sense for it, and [`Observed`],
//! everything about a command that is compared: how it exits, what it prints, the files it leaves, what the programs
//! among them print, and what the same command does when repeated.
//!
//! **Invariants.** The expectation always comes from plain cargo, never from a constant. Paths of directories are
//! replaced by placeholders, for each run by its own paths, so a path of another situation remains and is a difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::compare::{assert_equal, assert_equal_except_freshness};
use crate::{Output, Project, Sandbox, is_long, tree};

/// What is done to a project before the same command must give another result.
type Change = Box<dyn Fn(&Project) -> Project>;

/// Where a build leaves a file.
type Locate = Box<dyn Fn(&Project) -> PathBuf>;

/// A workspace, what is done with it, and what is compared.
///
/// The long form goes through every situation with every command, and undoes every change. In the short form, each
/// command fills an empty store, and then they take turns: a full store, another place with another `CARGO_HOME`, and
/// each change occurs once, with one of the commands.
///
/// A move takes the parent directory of the workspace along, with the packages in it.
pub struct Matrix {
    sandbox: Sandbox,
    project: Project,
    commands: Vec<Vec<String>>,
    changes: Vec<(String, Change)>,
    left_behind: Vec<Locate>,
    kept: Vec<PathBuf>,
}

impl Matrix {
    /// Expects a locked project whose packages are unpacked. Members are compiled without incremental compilation.
    pub fn new(sandbox: Sandbox, project: Project) -> Self {
        let project = project.env("CARGO_INCREMENTAL", "0").env("RUST_TEST_THREADS", "1");
        Self { sandbox, project, commands: vec![], changes: vec![], left_behind: vec![], kept: vec![] }
    }

    /// Adds commands, each a list of words.
    #[must_use]
    pub fn commands(mut self, commands: &[&[&str]]) -> Self {
        let words = |command: &&[&str]| command.iter().map(|&word| word.to_owned()).collect();
        self.commands.extend(commands.iter().map(words));
        self
    }

    /// Adds a change that changes the output of the programs. In the long form, each command uses the next change, and
    /// in the short form, each change is used once, by the first commands. Afterwards only the
    /// parent directory of the workspace is restored, and the directories given to [`Self::keep`].
    #[must_use]
    pub fn change(mut self, what: &str, change: impl Fn(&Project) -> Project + 'static) -> Self {
        self.changes.push((what.into(), Box::new(change)));
        self
    }

    /// Adds a directory outside of the workspace that a change writes to.
    #[must_use]
    pub fn keep(mut self, dir: &Path) -> Self {
        self.kept.push(dir.to_owned());
        self
    }

    /// Adds a file outside of the target directory that the build creates.
    #[must_use]
    pub fn leaves(mut self, path: impl Fn(&Project) -> PathBuf + 'static) -> Self {
        self.left_behind.push(Box::new(path));
        self
    }

    /// Asserts that every command gives the same results as with plain cargo.
    ///
    /// # Panics
    ///
    /// If there are more changes than commands.
    #[track_caller]
    pub fn assert_like_cargo(&self) {
        assert!(self.changes.len() <= self.commands.len(), "each change needs a command");
        let (here, moved) = (self.project.clone(), self.moved());
        let home = self.another_cargo_home();
        let situations = if is_long() {
            let homed = here.clone().with_cargo_home(&home);
            vec![(here, "with a full store"), (moved, "in another place"), (homed, "with another CARGO_HOME")]
        } else {
            let elsewhere = moved.with_cargo_home(&home);
            vec![(here, "with a full store"), (elsewhere, "in another place with another CARGO_HOME")]
        };
        for (number, command) in self.commands.iter().enumerate() {
            let store = self.sandbox.unused("store");
            let here = self.project.clone().with_store(&store);
            let expected = self.observe(&here, command, By::Cargo);
            self.assert_xcache(&here, command, &expected, "with an empty store");
            for (turn, (project, when)) in situations.iter().enumerate() {
                if is_long() || turn % self.commands.len() == number {
                    self.assert_xcache(&project.clone().with_store(&store), command, &expected, when);
                }
            }
            let change = if is_long() { number % self.changes.len().max(1) } else { number };
            if let Some((what, change)) = self.changes.get(change) {
                self.assert_change(&here, command, &expected, what, change);
            }
        }
    }

    /// Asserts that entries from before a change are not used after it. In the long form, nor the other way round.
    fn assert_change(&self, here: &Project, command: &[String], before: &Observed, what: &str, change: &Change) {
        let kept = self.save();
        let changed = change(here);
        let after = self.observe(&changed, command, By::Cargo);
        if before.shows_values() || after.shows_values() {
            assert_ne!(before.values(), after.values(), "{command:?} does not show that {what}");
        }
        self.assert_xcache(&changed, command, &after, &format!("after {what}"));
        restore(&kept);
        if is_long() {
            self.assert_xcache(here, command, before, &format!("after {what}, and back"));
        }
    }

    #[track_caller]
    fn assert_xcache(&self, project: &Project, command: &[String], expected: &Observed, when: &str) {
        let when = format!("{command:?} {when}");
        let ours = self.observe(project, command, By::Xcache);
        match when.ends_with("with an empty store") {
            true => assert_equal(&ours.first, &expected.first, &when),
            false => assert_equal_except_freshness(&ours.first, &expected.first, &when),
        }
        assert_same_files(&ours.files, &expected.files, &when);
        assert_eq!(ours.said, expected.said, "output of programs, {when}: {}", ours.first);
        assert_equal(&ours.again, &expected.again, &format!("{when}, and again with plain cargo"));
        assert_eq!(ours.started_again, expected.started_again, "{when}, and again with plain cargo: {}", ours.again);
        if when.ends_with("with an empty store") || is_long() && when.ends_with("with a full store") {
            let again = self.output_without_paths(project, &project.xcache(command).run());
            assert_equal(&again, &expected.again, &format!("{when}, and again"));
        }
    }

    /// Runs a command in an empty target directory, and repeats it with plain cargo.
    fn observe(&self, project: &Project, command: &[String], by: By) -> Observed {
        project.clean();
        let left_behind = || self.left_behind.iter().map(|path| path(project));
        left_behind().for_each(|path| drop(fs::remove_file(path)));
        let first = match by {
            By::Cargo => project.cargo(command).run(),
            By::Xcache => project.xcache(command).run(),
        };
        let said = programs(project, &first).iter().map(|path| self.said(project, path)).collect();
        let mut files = artifacts(&project.target(), &|text| self.without_paths(project, text));
        files.extend(left_behind().map(|path| {
            let name = self.without_paths(project, &path.display().to_string());
            (name, fs::read_to_string(path).unwrap_or_else(|error| error.to_string()))
        }));
        self.sandbox.reset();
        let again = project.cargo(command).run();
        let started_again = [self.sandbox.compiled(), self.sandbox.scripts_run()].concat();
        let [first, again] = [first, again].map(|output| self.output_without_paths(project, &output));
        Observed { first, files, said, again, started_again }
    }

    /// A program's path, and how it exits and what it prints to standard output. Its errors contain a thread number.
    fn said(&self, project: &Project, program: &Path) -> (String, String) {
        let output = project.program(program, [""; 0]).run();
        let name = self.without_paths(project, &program.display().to_string());
        let said = self.without_paths(project, &output.timeless_stdout());
        (name, format!("{}\n{said}", output.status))
    }

    fn output_without_paths(&self, project: &Project, output: &Output) -> Output {
        output.map(|text| self.without_paths(project, text))
    }

    fn without_paths(&self, project: &Project, text: &str) -> String {
        let text = text.replace(&format!("{}", parent_dir(project).display()), "[PLACE]");
        without_hashes(&text.replace(&format!("{}", project.cargo_home().display()), "[CARGO_HOME]"))
    }

    /// The same checkout in another directory, with a path of another length.
    fn moved(&self) -> Project {
        let to = self.sandbox.unused("a-checkout-of-somebody-else");
        tree::copy(parent_dir(&self.project), &to);
        self.project.at(&to.join(self.project.dir().file_name().expect("a checkout has a name")))
    }

    /// Another `CARGO_HOME`, with the packages.
    fn another_cargo_home(&self) -> PathBuf {
        let home = self.sandbox.another_cargo_home();
        self.project.clone().with_cargo_home(&home).cargo(["fetch"]).ok();
        home
    }

    fn save(&self) -> Vec<(PathBuf, PathBuf)> {
        let dirs = self.kept.iter().map(PathBuf::as_path).chain([parent_dir(&self.project)]);
        let save = |dir: &Path| {
            let copy = self.sandbox.unused("saved");
            tree::copy(dir, &copy);
            (dir.to_owned(), copy)
        };
        dirs.map(save).collect()
    }
}

/// Which program builds.
enum By {
    Cargo,
    Xcache,
}

/// Everything about a command that is compared.
struct Observed {
    first: Output,
    /// The files for the user in the target directory, with their contents if these are deterministic.
    files: BTreeMap<String, String>,
    /// The output of each program, and how it exits.
    said: Vec<(String, String)>,
    again: Output,
    /// The crates and build scripts that the repeated command started.
    started_again: Vec<String>,
}

impl Observed {
    /// Whether the output shows values that were compiled in.
    fn shows_values(&self) -> bool {
        !self.said.is_empty() || !self.first.stdout.is_empty() || !self.first.status.success()
    }

    fn values(&self) -> (Option<i32>, String, &[(String, String)]) {
        (self.first.code(), self.first.timeless_stdout(), &self.said)
    }
}

fn parent_dir(project: &Project) -> &Path {
    project.dir().parent().expect("a checkout is in a directory")
}

fn restore(saved: &[(PathBuf, PathBuf)]) {
    for (dir, copy) in saved {
        tree::remove(dir);
        tree::copy(copy, dir);
    }
}

/// The programs that a command built for the user: those beside the build directory, and those that `--no-run` prints.
fn programs(project: &Project, output: &Output) -> Vec<PathBuf> {
    let named = output.stderr.lines().filter(|line| line.trim_start().starts_with("Executable "));
    let named = named.filter_map(|line| Some(project.dir().join(line.rsplit_once('(')?.1.strip_suffix(')')?)));
    let is_program = |path: &PathBuf| {
        let executable = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
        executable && path.extension().is_none()
    };
    tree::files(&project.target())
        .into_iter()
        .filter(|path| is_for_user(&project.target(), path))
        .filter(is_program)
        .chain(named)
        .collect()
}

/// Whether a file is outside of the directories that are cargo's or xcache's own.
fn is_for_user(target: &Path, path: &Path) -> bool {
    const OWN: [&str; 6] = ["deps", "build", "incremental", "tmp", "package", "xcache"];
    let path = path.strip_prefix(target).expect("the file is in the target directory");
    let names = path.iter().map(|name| name.to_string_lossy());
    let is_tag = path.ends_with("CACHEDIR.TAG");
    path.iter().count() > 1 && !is_tag && names.into_iter().all(|name| !OWN.contains(&&*name) && !name.starts_with('.'))
}

/// The files for the user, with the contents of those that are deterministic text.
fn artifacts(target: &Path, without_paths: &dyn Fn(&str) -> String) -> BTreeMap<String, String> {
    let files = tree::files(target).into_iter().filter(|path| is_for_user(target, path));
    let describe = |path: PathBuf| {
        let name = without_paths(
            &path.strip_prefix(target).expect("the file is in the target directory").display().to_string(),
        );
        // The crate that is documented last writes the pages beside the crates.
        let is_page =
            path.extension() == Some("html".as_ref()) && !path.parent().is_some_and(|dir| dir.ends_with("doc"));
        let is_text = is_page || path.extension() == Some("d".as_ref());
        let text = is_text.then(|| fs::read_to_string(&path).ok()).flatten().unwrap_or_default();
        // If a library has several files, it is random which of them its list of sources is about.
        let is_source = |word: &&str| !word.ends_with(':');
        let mut words: Vec<_> = text.split_whitespace().filter(is_source).collect();
        words.sort_unstable();
        (name, without_paths(&words.join(" ")))
    };
    files.map(describe).collect()
}

#[track_caller]
fn assert_same_files(ours: &BTreeMap<String, String>, cargos: &BTreeMap<String, String>, when: &str) {
    let names: BTreeSet<_> = ours.keys().chain(cargos.keys()).collect();
    let differing = names.into_iter().filter(|&name| ours.get(name) != cargos.get(name));
    let describe = |name: &String| format!("{name}\n  xcache {:?}\n  cargo {:?}\n", ours.get(name), cargos.get(name));
    let differences: String = differing.map(describe).collect();
    assert!(differences.is_empty(), "files, {when}\n{differences}");
}

/// Cargo's hashes depend on the path of a package outside of the workspace.
fn without_hashes(text: &str) -> String {
    let hashless = |piece: &str| match piece.split_at_checked(16) {
        Some((hash, rest)) if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => format!("[HASH]{rest}"),
        _ => piece.to_owned(),
    };
    text.split('-').map(hashless).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_replaced() {
        assert_eq!(without_hashes("deps/a-b-0123456789abcdef.d a-b"), "deps/a-b-[HASH].d a-b");
    }
}
