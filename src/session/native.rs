//! The host class for native code: what it depends on besides the linker and the C library.
//!
//! Scripts that compile C probe for headers and libraries in ways that xcache cannot see unless it observes them. So
//! the class contains the names of what is installed in the directories that compilers search by default. It identifies
//! programs by their version text and their content, and a compiler also by the assembler and the compiler proper that
//! it starts. Scripts have to declare the variables that they read.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use serde::Serialize;

use super::{Environment, Options, tools};
use crate::cargo::CargoConfig;
use crate::digest::{Digest, Domain};
use crate::fs;
use crate::key::unit_inputs::{Component, Components, HostClass};
use crate::probe::{self, Program};
use crate::store::LocalStore;

/// Families of variables that name a program (the `cc` crate's): `CC`, `CC_<target>`, `HOST_CC`, `TARGET_CC`.
const COMPILERS: &[&str] = &["CC", "CXX"];
/// Programs that scripts run if they are installed.
const TOOLS: &[&str] = &["ar", "clang", "cmake", "make", "nasm", "perl", "pkg-config"];
/// Directories that compilers search by default.
const INCLUDE_DIRS: &[&str] = &["/usr/include", "/usr/local/include"];
/// Directories that pkg-config searches, besides that of the host's triple.
const PKG_CONFIG_DIRS: &[&str] =
    &["/usr/share/pkgconfig", "/usr/lib/pkgconfig", "/usr/lib64/pkgconfig", "/usr/local/lib/pkgconfig"];

/// Programs that a compiler starts to do its work.
const SUBPROGRAMS: &[&str] = &["as", "cc1"];

/// A program, by its version text and its content.
#[derive(Debug, Serialize)]
struct ProbedProgram {
    /// Its answer to `--version`.
    #[serde(rename = "said")]
    version: String,
    /// The contents of the program and of the programs that it starts.
    contents: Vec<Option<Digest>>,
}

/// The host class for native code. `None` if a compiler or the system is not known.
pub(super) fn class(options: &Options, config: &CargoConfig, store: &LocalStore) -> Option<HostClass> {
    let environment = &options.environment;
    let names_compiler = |name: &str| COMPILERS.iter().any(|family| is_of_family(name, family));
    // Cargo sets configured variables for scripts only, and xcache does not work out the compilers that they name.
    if config.configured_variables().any(|(name, _)| names_compiler(name)) {
        return None;
    }
    let prober = Prober { options, store };
    let mut compilers: Vec<_> = values(environment, names_compiler);
    compilers.push("cc".into());
    let compilers: Option<Vec<_>> = compilers.par_iter().map(|program| prober.compiler(program)).collect();
    let names: Vec<_> = ["c++"].iter().chain(TOOLS).map(|name| (*name).to_owned()).collect();
    let optional = names.par_iter().map(|program| prober.program(&[program])).collect();
    let all =
        NativeTools { compilers: compilers?, optional, system: prober.system()?, installed: installed(environment) };
    Some(HostClass { digest: Digest::of_value(Domain::HostClass, &all), components: components(&names, &all) })
}

/// Finds and queries programs.
#[derive(Clone, Copy)]
struct Prober<'a> {
    options: &'a Options,
    store: &'a LocalStore,
}

impl Prober<'_> {
    /// Probes a command line such as `ccache cc`. Each word that is a program counts.
    fn program(self, words: &[&str]) -> Option<ProbedProgram> {
        let version = self.query(words, "--version")?;
        let contents = words.iter().map(|word| self.content(word)).collect();
        Some(ProbedProgram { version, contents })
    }

    /// Probes a compiler with the programs that it starts.
    fn compiler(self, program: &str) -> Option<ProbedProgram> {
        let words: Vec<_> = program.split_whitespace().collect();
        let mut probed = self.program(&words)?;
        let subprograms = SUBPROGRAMS.par_iter().map(|name| {
            let path = self.query(&words, &format!("-print-prog-name={name}"))?;
            self.content(path.trim())
        });
        probed.contents.extend(subprograms.collect::<Vec<_>>());
        Some(probed)
    }

    fn query(self, words: &[&str], question: &str) -> Option<String> {
        let mut command = Command::new(self.find(words.first()?)?.path());
        command.args(&words[1..]).arg(question);
        let variable = |name: &str| self.options.environment.get(name).map(Into::into);
        probe::query(self.store, &mut command, variable).ok()
    }

    fn content(self, program: &str) -> Option<Digest> {
        self.find(program)?.content(self.store)
    }

    fn find(self, program: &str) -> Option<Program> {
        tools::find(&self.options.environment, &self.options.directory, OsStr::new(program))
    }

    /// The release of the system.
    fn system(self) -> Option<String> {
        let release = || std::fs::read_to_string("/etc/os-release").ok();
        if cfg!(target_os = "macos") { self.query(&["clang"], "--version") } else { release() }
    }
}

/// Compilers, tools, the system, and what is installed.
#[derive(Debug, Serialize)]
struct NativeTools {
    /// `cc`, and the compilers that variables name.
    compilers: Vec<ProbedProgram>,
    /// `c++` and the tools, if they are installed.
    #[serde(rename = "answers")]
    optional: Vec<Option<ProbedProgram>>,
    /// The release of the system.
    system: String,
    /// The names of installed headers, and the names and sizes of package descriptions.
    installed: Vec<Installed>,
}

/// The names in a directory, and sizes.
type Installed = (OsString, Vec<(OsString, u64)>);

/// The parts of the class, each with a digest and a description.
fn components(tools: &[String], NativeTools { compilers, optional, system, installed }: &NativeTools) -> Components {
    let lines: Vec<_> = compilers.iter().map(|compiler| Component::described(&compiler.version).description).collect();
    let compilers =
        Component { description: lines.join(" and "), digest: Digest::of_value(Domain::HostClass, compilers) };
    let tool = |(name, probed): (&String, &Option<ProbedProgram>)| {
        let probed = probed.as_ref()?;
        let component =
            Component { digest: Digest::of_value(Domain::HostClass, probed), ..Component::described(&probed.version) };
        Some((name.clone(), component))
    };
    let tools = tools.iter().zip(optional).filter_map(tool);
    let installed = Component::opaque(Digest::of_value(Domain::HostClass, installed));
    let system = Component { description: pretty_name(system), digest: Digest::of(system) };
    let named = [("C compiler", compilers), ("system", system), ("installed headers and libraries", installed)];
    named.map(|(name, component)| (name.to_owned(), component)).into_iter().chain(tools).collect()
}

/// The system's `PRETTY_NAME` in `os-release`, or the first line.
fn pretty_name(system: &str) -> String {
    let named = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    named.map_or_else(|| Component::described(system).description, |name| name.trim_matches('"').to_owned())
}

/// Whether a variable belongs to a family: `CC`, `CC_x86_64-unknown-linux-gnu`, `HOST_CC` …
fn is_of_family(name: &str, family: &str) -> bool {
    let rest = ["HOST_", "TARGET_"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    rest.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// The values of the selected variables that are set and not empty, in the order of their names.
fn values(environment: &Environment, is_selected: impl Fn(&str) -> bool) -> Vec<String> {
    let variables = environment.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    variables
        .filter(|(name, value)| is_selected(name) && !value.is_empty())
        .map(|(_, value)| value.to_owned())
        .collect()
}

/// The names in the directories for headers, and the names and sizes of the package descriptions of pkg-config.
fn installed(environment: &Environment) -> Vec<Installed> {
    let multiarch =
        fs::children(Path::new("/usr/lib")).unwrap_or_default().into_iter().map(|path| path.join("pkgconfig"));
    let variables = ["PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"].iter().filter_map(|name| environment.get(name));
    let described =
        PKG_CONFIG_DIRS.iter().map(PathBuf::from).chain(multiarch).chain(variables.flat_map(std::env::split_paths));
    let described = described.filter(|path| path.is_dir()).map(|path| (names(&path, true), path));
    let included = INCLUDE_DIRS.iter().map(PathBuf::from).map(|path| (names(&path, false), path));
    included.chain(described).map(|(names, path)| (path.into(), names)).collect()
}

fn names(directory: &Path, with_sizes: bool) -> Vec<(OsString, u64)> {
    let name = |path: &PathBuf| path.file_name().map(OsStr::to_owned).unwrap_or_default();
    let size = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let children = fs::children(directory).unwrap_or_default();
    let mut names: Vec<_> = children.iter().map(|path| (name(path), if with_sizes { size(path) } else { 0 })).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::field_changes::{Change, assert_each_field_counts};

    #[test]
    fn compilers_are_named_by_families_of_variables() {
        for name in ["CC", "CXX", "CC_x86_64-unknown-linux-gnu", "HOST_CC", "TARGET_CXX", "CXX_aarch64_apple_darwin"] {
            assert!(COMPILERS.iter().any(|family| is_of_family(name, family)), "{name}");
        }
        for name in ["CCACHE_DIR", "CFLAGS", "SUCC", "XCACHE_DIR", "CARGO"] {
            assert!(!COMPILERS.iter().any(|family| is_of_family(name, family)), "{name}");
        }
    }

    fn all() -> NativeTools {
        let probed = ProbedProgram { version: "cc 12".into(), contents: vec![None] };
        NativeTools { compilers: vec![probed], optional: vec![None], system: "Debian 12".into(), installed: Vec::new() }
    }

    #[test]
    fn each_part_of_a_host_alone_makes_another_class() {
        let changes: &[Change<NativeTools>] = &[
            ("compilers", |all| all.compilers[0].version = "cc 13".into()),
            ("answers", |all| all.optional[0] = Some(ProbedProgram { version: String::new(), contents: Vec::new() })),
            ("system", |all| all.system = "Debian 13".into()),
            ("installed", |all| all.installed.push(("/usr/include".into(), vec![("z.h".into(), 0)]))),
        ];
        assert_each_field_counts(Domain::HostClass, all, changes);
        let changes: &[Change<ProbedProgram>] = &[
            ("said", |probed| probed.version = "cc 13".into()),
            ("contents", |probed| probed.contents[0] = Some(Digest::of("cc"))),
        ];
        assert_each_field_counts(Domain::HostClass, || all().compilers.remove(0), changes);
    }

    /// The class of a machine that has only these programs, each with a text of its own.
    fn class_of(directory: &Path, programs: &[&str], changed: Option<&str>) -> Option<Digest> {
        use std::os::unix::fs::PermissionsExt;
        for program in programs {
            let path = directory.join(program);
            let remark = if changed == Some(program) { "another" } else { "the first" };
            // A compiler names the programs that it starts.
            let found = format!("-print-prog-name=*) echo '{}/'\"${{1#*=}}\" ;;", directory.display());
            let text = format!("#!/bin/sh\ncase $1 in {found} *) echo '{program} 1.0' ;; esac # {remark}\n");
            crate::process::while_nothing_starts(|| std::fs::write(&path, text)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let store = LocalStore::open(&directory.join("store")).unwrap();
        let special = directory.join("special-c++");
        let variables = [("PATH", directory.as_os_str()), ("CXX_wasm32", special.as_os_str())];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let options = Options {
            invocation: crate::cargo::Invocation::new(None, "build", Vec::new()),
            runs: None,
            cargo: None,
            executable: PathBuf::new(),
            settings: crate::config::Settings::default(),
            environment: Environment(variables.into()),
            directory: directory.to_owned(),
            is_watched: false,
            warm: None,
        };
        class(&options, &CargoConfig::default(), &store).map(|class| class.digest)
    }

    #[test]
    fn each_program_alone_makes_another_class() {
        if !Path::new("/etc/os-release").exists() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let programs: Vec<_> = ["cc", "c++", "special-c++"].iter().chain(TOOLS).chain(SUBPROGRAMS).copied().collect();
        let plain = class_of(directory.path(), &programs, None);
        assert!(plain.is_some());
        for program in &programs {
            let other = class_of(directory.path(), &programs, Some(program));
            assert!(other.is_some() && other != plain, "{program}");
        }
        assert_eq!(class_of(directory.path(), &programs, None), plain);
    }

    #[test]
    fn each_part_is_described_and_missing_tools_are_left_out() {
        let system = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        let tools = ["ar", "cmake"].map(str::to_owned);
        let probed = |version: &str| ProbedProgram { version: version.into(), contents: Vec::new() };
        let all = NativeTools {
            compilers: vec![probed("clang 14\nTarget: here"), probed("cc 12")],
            optional: vec![Some(probed("GNU ar 2.40\nfree")), None],
            system: system.to_owned(),
            installed: Vec::new(),
        };
        let words: Vec<_> =
            components(&tools, &all).into_iter().map(|(name, component)| (name, component.description)).collect();
        let expected = [
            ("C compiler", "clang 14 and cc 12"),
            ("ar", "GNU ar 2.40"),
            ("installed headers and libraries", ""),
            ("system", "Debian GNU/Linux 12 (bookworm)"),
        ];
        assert_eq!(words, expected.map(|(name, words)| (name.to_owned(), words.to_owned())));
        assert_eq!(pretty_name("Alpine 3\nx"), "Alpine 3");
    }

    #[test]
    fn what_is_installed_is_known_by_names_and_descriptions_by_sizes() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("zlib.pc"), "Version: 1").unwrap();
        let before = names(directory.path(), true);
        assert_eq!(names(directory.path(), true), before);
        std::fs::write(directory.path().join("zlib.pc"), "Version: 1.2").unwrap();
        assert_ne!(names(directory.path(), true), before);
        std::fs::write(directory.path().join("z.h"), "").unwrap();
        assert_eq!(names(directory.path(), false), [("z.h".into(), 0), ("zlib.pc".into(), 0)]);
    }
}
