//! A counting rustc: an executable that notes each start in a file and becomes the real rustc.
//!
//! xcache would not remember the answers of a script, which could start any compiler. So this is a compiled program in
//! a toolchain with the libraries of the real one. It only starts a script beside it.
//!
//! `RUSTC` names it for both cargo and xcache, so both see the same compiler, and all real starts are counted except
//! those by build scripts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// One start of the real rustc.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Start {
    /// The crate that it compiled. `None` for a query, or if it compiled something for a build script.
    pub crate_name: Option<String>,
    /// The package for which cargo started it.
    pub package: String,
    /// `lib`, `proc-macro`, `bin`, `test` …
    pub crate_type: String,
    /// The directory of the package.
    pub manifest_dir: PathBuf,
    /// Its arguments, if it was a query.
    pub query: String,
}

impl Start {
    /// The crate's name. A build script has the name of its package, since all build scripts have the same crate name.
    pub fn name(&self) -> String {
        match (self.crate_name.as_deref(), self.crate_type.as_str()) {
            (None, _) => format!("rustc {}", self.query),
            (Some(name), _) if name.starts_with("build_script_") => format!("{} (build script)", self.package),
            (Some(name), "test") => format!("{name} (test)"),
            (Some(name), _) => name.into(),
        }
    }

    /// Whether it compiled a library of a registry or of a git repository.
    pub fn is_dependency_library(&self) -> bool {
        self.is_external() && self.crate_type.ends_with("lib")
    }

    /// Whether it compiled any crate of a registry or of a git repository, also a procedural macro or a build script.
    pub fn is_external(&self) -> bool {
        let dir = self.manifest_dir.to_string_lossy();
        self.crate_name.is_some() && (dir.contains("/registry/src/") || dir.contains("/git/checkouts/"))
    }
}

/// The directory of the toolchain in the directory of a counting rustc.
pub const TOOLCHAIN: &str = "toolchain";

/// A counting rustc.
pub struct Rustc {
    executable: PathBuf,
    compiled: PathBuf,
    queried: PathBuf,
}

impl Rustc {
    /// Counts the starts of the toolchain's own rustc.
    pub fn new(dir: &Path) -> Self {
        Self::of(dir, &REAL)
    }

    /// The same, with a `-vV` that differs in one line: an unknown toolchain.
    pub fn of_another_version(dir: &Path) -> Self {
        let answer =
            format!("if [ \"$*\" = -vV ]; then {} -vV | sed 's/^commit-date:.*/&-other/'; exit; fi", quote(&REAL));
        Self::create(dir, &REAL, &answer, "")
    }

    /// Counts the starts of the toolchain's own clippy-driver. A `cargo-clippy` that starts it is beside it.
    pub fn clippy(dir: &Path) -> Self {
        let driver = REAL.with_file_name("clippy-driver");
        let counting = Self::create(dir, &driver, "", "");
        let clippy = counting.executable.with_file_name("cargo-clippy");
        copy(&REAL.with_file_name("cargo-clippy"), &clippy);
        counting
    }

    /// The same, but compiles one crate with an additional `--cfg` without declaring it: as if rustc compiled the same
    /// source to other bytes.
    pub fn unfaithful(dir: &Path, crate_name: &str, cfg: &str) -> Self {
        let addition = format!("test \"$name\" != {crate_name} || set -- \"$@\" --cfg {cfg}");
        Self::create(dir, &REAL, "", &addition)
    }

    /// Counts the starts of another rustc.
    pub fn of(dir: &Path, real: &Path) -> Self {
        Self::create(dir, real, "", "")
    }

    fn create(dir: &Path, real: &Path, answer: &str, addition: &str) -> Self {
        let (compiled, queried) = (dir.join("compiled"), dir.join("queried"));
        // Toolchains are not written to.
        let dir = &dir.join(TOOLCHAIN);
        let name = real.file_name().expect("a program has a name");
        let rustc = Self { executable: dir.join("bin").join(name), compiled, queried };
        // Cargo and xcache ask for the version in each build, which would take as long as compiling a small crate.
        let mut known = String::new();
        if real == *REAL {
            let version = dir.join("version");
            crate::tree::write(&version, &*VERSION);
            known = format!("test \"$*\" != -vV || exec /bin/cat {}", quote(&version));
        }
        let script = SCRIPT
            .replace("@compiled@", &quote(&rustc.compiled))
            .replace("@queried@", &quote(&rustc.queried))
            .replace("@real@", &quote(real))
            .replace("@known@", &known)
            .replace("@answer@", answer)
            .replace("@addition@", addition);
        crate::tree::write(&dir.join("script"), script);
        fs::create_dir_all(dir.join("bin")).expect("directories can be created");
        let libraries = real.ancestors().nth(2).expect("rustc is in a toolchain").join("lib");
        symlink(libraries, dir.join("lib")).expect("a link can be created");
        copy(&LAUNCHER, &rustc.executable);
        rustc
    }

    /// Changes the bytes of the program, but not what it does.
    pub fn change(&self) {
        let changed = self.executable.with_extension("new");
        let append = "cp \"$1\" \"$2\" && echo >> \"$2\" && mv \"$2\" \"$1\"";
        let status = Command::new("sh").args(["-c", append, "sh"]).arg(&self.executable).arg(changed).status();
        assert!(status.expect("a shell starts").success());
    }

    /// The value for `RUSTC`.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// A file that exists as soon as something was compiled.
    pub fn marker(&self) -> &Path {
        &self.compiled
    }

    /// Resets the counts.
    pub fn reset(&self) {
        let _ = fs::remove_file(&self.compiled);
        let _ = fs::remove_file(&self.queried);
    }

    /// Every start since the last reset, including queries.
    pub fn starts(&self) -> Vec<Start> {
        let mut starts = self.compilations();
        starts.extend(read(&self.queried));
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
    Start { crate_name, package: next(), crate_type: next(), manifest_dir: next().into(), query: next() }
}

/// The rustc of the toolchain that runs the tests, without rustup's proxy.
static REAL: LazyLock<PathBuf> = LazyLock::new(|| real(&[]).expect("rustc is on PATH"));

/// The path of a toolchain's rustc. `toolchain` is empty or, with rustup, one `+name`.
pub fn real(toolchain: &[&str]) -> Option<PathBuf> {
    let output = Command::new("rustc").args(toolchain).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let path = Path::new(sysroot.trim_end()).join("bin/rustc");
    path.is_file().then_some(path)
}

/// The answer of that rustc to `-vV`.
static VERSION: LazyLock<Vec<u8>> =
    LazyLock::new(|| Command::new(&*REAL).arg("-vV").output().expect("rustc starts").stdout);

/// The program that starts the script, compiled once for all tests.
static LAUNCHER: LazyLock<PathBuf> = LazyLock::new(|| {
    let kept = crate::persistent_dir();
    fs::create_dir_all(&kept).expect("directories can be created");
    let dir = tempfile::tempdir_in(&kept).expect("a directory can be created");
    let (source, program) = (dir.path().join("launcher.c"), dir.path().join("launcher"));
    fs::write(&source, LAUNCHING).expect("a file can be written");
    let compiled = Command::new("cc").arg("-o").arg(&program).arg(&source).status();
    assert!(compiled.expect("a C compiler is installed").success());
    let launcher = kept.join("rustc-launcher");
    fs::rename(program, &launcher).expect("the launcher can be moved");
    launcher
});

/// Starts `../script`, relative to its own file.
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

/// Copies in another process: this one may be starting others, and a file that is open for writing cannot be executed.
fn copy(program: &Path, to: &Path) {
    let copied = Command::new("cp").arg(program).arg(to).status();
    assert!(copied.expect("cp starts").success());
}

/// `NUM_JOBS` is set for build scripts only.
const SCRIPT: &str = r#"#!/bin/sh
# Notes this start, then becomes the real rustc.
@answer@
name= type=lib query= previous=
for argument do
    case $previous in
        --crate-name) name=$argument ;;
        --crate-type) test "$type" = test || type=$argument ;;
    esac
    case $argument in
        --crate-name=*) name=${argument#*=} ;;
        --crate-type=*) type=${argument#*=} ;;
        --test) type=test ;;
        --print|--print=*|-vV|-V|--version) query=1 ;;
    esac
    previous=$argument
done
log=@compiled@ called=
if [ -n "$query" ] || [ -z "$name" ]; then
    name= log=@queried@ called=$*
fi
# For a build script, the note would be a file that it leaves elsewhere.
if [ -z "$NUM_JOBS" ]; then
    printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$CARGO_PKG_NAME" "$type" "$CARGO_MANIFEST_DIR" "$called" >> "$log"
fi
@addition@
@known@
exec @real@ "$@"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_equal_those_of_rustc_and_queries_are_noted() {
        let dir = tempfile::tempdir().expect("a directory");
        let rustc = Rustc::new(dir.path());
        let ours = Command::new(rustc.executable()).arg("-vV").output().expect("rustc starts");
        let theirs = Command::new(&*REAL).arg("-vV").output().expect("rustc starts");
        assert_eq!(ours.stdout, theirs.stdout);
        assert_eq!(rustc.starts().iter().map(Start::name).collect::<Vec<_>>(), ["rustc -vV"]);
        assert!(!rustc.marker().exists());
        rustc.reset();
        assert!(rustc.starts().is_empty());
    }

    #[test]
    fn another_version_differs_only_in_one_answer() {
        let dir = tempfile::tempdir().expect("a directory");
        let rustc = Rustc::of_another_version(dir.path());
        let run = |path: &Path, argument: &str| Command::new(path).arg(argument).output().expect("rustc starts").stdout;
        assert_ne!(run(rustc.executable(), "-vV"), run(&REAL, "-vV"));
        assert_eq!(run(rustc.executable(), "-V"), run(&REAL, "-V"));
    }
}
