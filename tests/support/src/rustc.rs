//! A rustc that counts: an executable that notes each start in a file and becomes the real rustc.
//!
//! A script could start any compiler, so nobody remembers what one says. This one is to be taken for what it becomes: a
//! compiled program in a toolchain, which has the libraries of the real one. All it does is to start a script beside it.
//!
//! It is what `RUSTC` names for cargo and for xcache alike, so both see one compiler, and what is counted are real
//! starts, whoever asked for them, but for build scripts: what these start is not noted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// One start of the real rustc.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Start {
    /// The crate it compiled; nothing where it only answered a question, or compiled something for a build script.
    pub crate_name: Option<String>,
    /// The package cargo compiled it for.
    pub package: String,
    /// `lib`, `proc-macro`, `bin`, `test` …
    pub crate_type: String,
    /// The directory of the package.
    pub manifest_dir: PathBuf,
    /// What it was called with, where it was a question.
    pub question: String,
}

impl Start {
    /// The crate's name; a build script is called by its package, since all of them have one name.
    pub fn name(&self) -> String {
        match (self.crate_name.as_deref(), self.crate_type.as_str()) {
            (None, _) => format!("rustc {}", self.question),
            (Some(name), _) if name.starts_with("build_script_") => format!("{} (build script)", self.package),
            (Some(name), "test") => format!("{name} (test)"),
            (Some(name), _) => name.into(),
        }
    }

    /// A library of a registry or of a git repository: what xcache is there for.
    pub fn is_dependency_library(&self) -> bool {
        self.is_external() && self.crate_type.ends_with("lib")
    }

    /// Whatever is of a registry or of a git repository: a procedural macro and a build script, too.
    pub fn is_external(&self) -> bool {
        let dir = self.manifest_dir.to_string_lossy();
        self.crate_name.is_some() && (dir.contains("/registry/src/") || dir.contains("/git/checkouts/"))
    }
}

/// Where a counting rustc has its toolchain, in its own directory.
pub const TOOLCHAIN: &str = "toolchain";

/// The counting rustc.
pub struct Rustc {
    executable: PathBuf,
    compiled: PathBuf,
    asked: PathBuf,
}

impl Rustc {
    /// Counts the starts of the toolchain's own rustc.
    pub fn new(dir: &Path) -> Self {
        Self::of(dir, &REAL)
    }

    /// The same, with a `-vV` that differs in one line: a toolchain that nobody has seen before.
    pub fn of_another_version(dir: &Path) -> Self {
        let answer =
            format!("if [ \"$*\" = -vV ]; then {} -vV | sed 's/^commit-date:.*/&-other/'; exit; fi", quote(&REAL));
        Self::create(dir, &REAL, &answer, "")
    }

    /// Counts the starts of the toolchain's own clippy-driver: a `cargo-clippy` that starts it is beside it.
    pub fn clippy(dir: &Path) -> Self {
        let driver = REAL.with_file_name("clippy-driver");
        let counting = Self::create(dir, &driver, "", "");
        let clippy = counting.executable.with_file_name("cargo-clippy");
        copy(&REAL.with_file_name("cargo-clippy"), &clippy);
        counting
    }

    /// The same, which compiles one crate with one `--cfg` more and tells nobody: as if rustc made different bytes of
    /// the same source.
    pub fn unfaithful(dir: &Path, crate_name: &str, cfg: &str) -> Self {
        let addition = format!("test \"$name\" != {crate_name} || set -- \"$@\" --cfg {cfg}");
        Self::create(dir, &REAL, "", &addition)
    }

    /// Counts the starts of another rustc.
    pub fn of(dir: &Path, real: &Path) -> Self {
        Self::create(dir, real, "", "")
    }

    fn create(dir: &Path, real: &Path, answer: &str, addition: &str) -> Self {
        let (compiled, asked) = (dir.join("compiled"), dir.join("asked"));
        // Nobody writes into a toolchain.
        let dir = &dir.join(TOOLCHAIN);
        let name = real.file_name().expect("a program has a name");
        let rustc = Self { executable: dir.join("bin").join(name), compiled, asked };
        let script = SCRIPT
            .replace("@compiled@", &quote(&rustc.compiled))
            .replace("@asked@", &quote(&rustc.asked))
            .replace("@real@", &quote(real))
            .replace("@answer@", answer)
            .replace("@addition@", addition);
        crate::tree::write(&dir.join("script"), script);
        fs::create_dir_all(dir.join("bin")).expect("directories can be made");
        let libraries = real.ancestors().nth(2).expect("it is in a toolchain").join("lib");
        symlink(libraries, dir.join("lib")).expect("a link can be made");
        copy(&LAUNCHER, &rustc.executable);
        rustc
    }

    /// Makes it another program, which does the same.
    pub fn change(&self) {
        let changed = self.executable.with_extension("new");
        let append = "cp \"$1\" \"$2\" && echo >> \"$2\" && mv \"$2\" \"$1\"";
        let status = Command::new("sh").args(["-c", append, "sh"]).arg(&self.executable).arg(changed).status();
        assert!(status.expect("there is a shell").success());
    }

    /// What `RUSTC` is to be.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// A file that exists as soon as something was compiled.
    pub fn marker(&self) -> &Path {
        &self.compiled
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        let _ = fs::remove_file(&self.compiled);
        let _ = fs::remove_file(&self.asked);
    }

    /// Every start since the last reset, questions included.
    pub fn starts(&self) -> Vec<Start> {
        let mut starts = self.compilations();
        starts.extend(read(&self.asked));
        starts
    }

    /// The starts that compiled something, in order.
    pub fn compilations(&self) -> Vec<Start> {
        read(&self.compiled)
    }
}

fn read(log: &Path) -> Vec<Start> {
    fs::read_to_string(log).unwrap_or_default().lines().map(parse).collect()
}

fn parse(line: &str) -> Start {
    let mut fields = line.split('\t').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_else(|| panic!("an incomplete line in the log of starts: {line:?}"));
    let crate_name = Some(next()).filter(|name| !name.is_empty());
    Start { crate_name, package: next(), crate_type: next(), manifest_dir: next().into(), question: next() }
}

/// The rustc of the toolchain that runs the tests, without rustup's proxy.
static REAL: LazyLock<PathBuf> = LazyLock::new(|| real(&[]).expect("rustc is on PATH"));

/// The path of a toolchain's rustc; `toolchain` is empty or, with rustup, one `+name`.
pub fn real(toolchain: &[&str]) -> Option<PathBuf> {
    let output = Command::new("rustc").args(toolchain).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let path = Path::new(sysroot.trim_end()).join("bin/rustc");
    path.is_file().then_some(path)
}

/// The program that starts the script, compiled once for all.
static LAUNCHER: LazyLock<PathBuf> = LazyLock::new(|| {
    let kept = crate::kept_dir();
    fs::create_dir_all(&kept).expect("directories can be made");
    let dir = tempfile::tempdir_in(&kept).expect("a directory can be made");
    let (source, program) = (dir.path().join("launcher.c"), dir.path().join("launcher"));
    fs::write(&source, LAUNCHING).expect("a file can be written");
    let compiled = Command::new("cc").arg("-o").arg(&program).arg(&source).status();
    assert!(compiled.expect("a C compiler is installed").success());
    let launcher = kept.join("rustc-launcher");
    fs::rename(program, &launcher).expect("it can be moved");
    launcher
});

/// Starts `../script`, seen from the directory of its own file.
const LAUNCHING: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char path[8192];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof "/script");
    if (length < 0) strncpy(path, argv[0], sizeof path - sizeof "/script");
    for (int level = 0; level < 2; level++) *strrchr(path, '/') = 0;
    strcat(path, "/script");
    char **arguments = calloc(argc + 2, sizeof *arguments);
    arguments[0] = "sh";
    arguments[1] = path;
    for (int index = 1; index < argc; index++) arguments[index + 1] = argv[index];
    execv("/bin/sh", arguments);
    return 127;
}
"#;

fn quote(path: &Path) -> String {
    format!("'{}'", path.to_str().expect("test directories have plain names").replace('\'', r"'\''"))
}

/// Not by this process, which may be starting others: what is open for writing cannot be executed.
fn copy(program: &Path, to: &Path) {
    let copied = Command::new("cp").arg(program).arg(to).status();
    assert!(copied.expect("there is a cp").success());
}

/// `NUM_JOBS` is set for build scripts only.
const SCRIPT: &str = r#"#!/bin/sh
# Notes this start, then becomes the real rustc.
@answer@
name= type=lib question= previous=
for argument do
    case $previous in
        --crate-name) name=$argument ;;
        --crate-type) test "$type" = test || type=$argument ;;
    esac
    case $argument in
        --crate-name=*) name=${argument#*=} ;;
        --crate-type=*) type=${argument#*=} ;;
        --test) type=test ;;
        --print|--print=*|-vV|-V|--version) question=1 ;;
    esac
    previous=$argument
done
log=@compiled@ called=
if [ -n "$question" ] || [ -z "$name" ]; then
    name= log=@asked@ called=$*
fi
# What a build script starts would be something that it leaves elsewhere.
if [ -z "$NUM_JOBS" ]; then
    printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$CARGO_PKG_NAME" "$type" "$CARGO_MANIFEST_DIR" "$called" >> "$log"
fi
@addition@
exec @real@ "$@"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_like_rustc_and_notes_the_question() {
        let dir = tempfile::tempdir().expect("a directory");
        let rustc = Rustc::new(dir.path());
        let ours = Command::new(rustc.executable()).arg("-vV").output().expect("it starts");
        let theirs = Command::new(&*REAL).arg("-vV").output().expect("it starts");
        assert_eq!(ours.stdout, theirs.stdout);
        assert_eq!(rustc.starts().iter().map(Start::name).collect::<Vec<_>>(), ["rustc -vV"]);
        assert!(!rustc.marker().exists());
        rustc.reset();
        assert!(rustc.starts().is_empty());
    }

    #[test]
    fn another_version_differs_in_what_it_says_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let rustc = Rustc::of_another_version(dir.path());
        let run = |path: &Path, argument: &str| Command::new(path).arg(argument).output().expect("it starts").stdout;
        assert_ne!(run(rustc.executable(), "-vV"), run(&REAL, "-vV"));
        assert_eq!(run(rustc.executable(), "-V"), run(&REAL, "-V"));
    }
}
