//! The survey: workspace, toolchain, configuration and roots, which must be known before there is a plan.
//!
//! Each query starts a process that takes some tens of milliseconds, so they run in parallel.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::driver::MemberCompiler;
use super::flag_inputs;
use super::linking::LinkerProbe;
use super::tools::{self, Wrapper};
use super::{Environment, Options};
use crate::cargo::{Cargo, CargoConfig, Lockfile, Rustflags, Workspace, rustc_command};
use crate::config::{Settings, Switch, Unobserved};
use crate::digest::{Digest, Domain};
use crate::error::{Error, Result};
use crate::fs;
use crate::observe;
use crate::probe::{self, Program};
use crate::process;
use crate::roots::{Root, Roots};
use crate::rustc::{Toolchain, toolchain};
use crate::store::LocalStore;

/// Variables that change what the compiler accepts or writes, besides flags.
const KEY_VARIABLES: &[&str] = &[
    "RUSTC_BOOTSTRAP",
    "RUST_TARGET_PATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "TVOS_DEPLOYMENT_TARGET",
    "WATCHOS_DEPLOYMENT_TARGET",
    "XROS_DEPLOYMENT_TARGET",
];

/// A file that rustup writes below `lib/rustlib`. A toolchain that has it is a release, which its version identifies.
const RELEASE_MARKER: &str = "multirust-channel-manifest.toml";
/// The prefix of variables that stand for `-Z` options.
pub(super) const UNSTABLE_VARIABLES: &str = "CARGO_UNSTABLE_";

/// Tables that members inherit from `[workspace]`: they compile in what these contain, or are checked by it.
const INHERITED: &[&str] = &["package", "lints"];

/// The inputs of a graph index's key, all known without a plan. The index is only a hint: one too many costs a request.
#[derive(Serialize)]
struct GraphKey<'a> {
    /// The version of the encoding of unit keys.
    unit_keys: &'a str,
    /// `rustc -vV`.
    rustc: &'a str,
    /// `cargo -V`.
    cargo: &'a str,
    /// The command, without options for directories and verbosity.
    command: Vec<(String, Option<String>)>,
    /// The current directory, relative to the workspace.
    directory: Option<&'a OsStr>,
    /// The user's flags for each platform.
    rustflags: &'a BTreeMap<String, Vec<String>>,
    /// Unstable settings of cargo, as written.
    config: BTreeMap<String, serde_json::Value>,
    /// The content of Cargo.lock.
    lockfile: Option<Digest>,
}

/// The result of the survey.
pub(super) struct Survey {
    pub workspace: Workspace,
    pub toolchain: Toolchain,
    pub config: CargoConfig,
    pub roots: Roots,
    /// The user's own rustc wrapper.
    pub wrapper: Option<Wrapper>,
    /// The program that compiles members.
    pub member_compiler: MemberCompiler,
    /// The path of `Cargo.lock`.
    pub lockfile_path: PathBuf,
}

impl Survey {
    /// Runs all queries.
    pub(super) fn take(options: &Options, cargo: &Cargo, store: &LocalStore) -> Result<Self> {
        let variable = |name: &str| options.environment.get(name).map(Into::into);
        let prober = Prober { options, store };
        let named = tools::RUSTC.in_environment(options);
        let ((workspace, config), (cargo_version, compiler)) = rayon::join(
            || rayon::join(|| cargo.workspace(), || cargo.config()),
            || {
                let version = || probe::query(store, &mut cargo.version_command(), variable);
                rayon::join(version, || prober.compiler(named.clone()))
            },
        );
        let (workspace, config) = (workspace?, config?.with_options(unstable_options(options)));
        let compiler = match tools::RUSTC.named(options, cargo, &config)?.filter(|_| named.is_none()) {
            // The configuration names the compiler. This is rare, so the query runs only now.
            Some(other) => prober.compiler(Some(other))?,
            None => compiler?,
        };
        let toolchain = toolchain(options, cargo, store, &config, compiler, cargo_version?.trim());
        Ok(Self {
            roots: roots(options, &workspace, &toolchain),
            lockfile_path: lockfile_path(options, &workspace),
            wrapper: Wrapper::find(options, cargo, &config, store)?,
            member_compiler: MemberCompiler::find(
                options,
                cargo,
                &config,
                store,
                &toolchain.sysroot,
                &workspace.members,
            )?,
            workspace,
            toolchain,
            config,
        })
    }

    /// The key of the graph index.
    pub(super) fn graph_key(&self, options: &Options) -> Digest {
        let directory = options.directory.strip_prefix(&self.workspace.root).ok().map(Path::as_os_str);
        let lockfile = fs::read_optional(&self.lockfile_path).ok().flatten();
        let key = GraphKey {
            unit_keys: Domain::UnitKey.context(),
            rustc: &self.toolchain.rustc,
            cargo: &self.toolchain.cargo,
            command: options.invocation.identity(),
            directory,
            rustflags: &self.toolchain.flags,
            config: self.config.relevant(),
            lockfile: lockfile.map(Digest::of),
        };
        Digest::of_value(Domain::GraphKey, &key)
    }

    /// The values that flags only name.
    pub(super) fn flag_inputs(&self, options: &Options, store: &LocalStore) -> BTreeMap<String, String> {
        let prober = Prober { options, store };
        let flags = ["-C", "target-cpu=native"].map(str::to_owned);
        flag_inputs::flag_inputs(&self.toolchain.flags, || {
            prober.print(&["cfg", "target-cpus"], self.toolchain.host(), &flags)
        })
    }

    /// The current `Cargo.lock`, which planning may have just written.
    pub(super) fn lockfile(&self) -> Result<Lockfile> {
        let bytes = fs::read_optional(&self.lockfile_path)?.unwrap_or_default();
        let corrupt = |error| Error::corrupt(self.lockfile_path.display().to_string(), error);
        Lockfile::parse(&String::from_utf8(bytes).map_err(corrupt)?)
    }

    /// Whether packages in directories are cached. They are not if an unknown program compiles them.
    pub(super) fn caches_members(&self, options: &Options) -> bool {
        options.settings.members == Switch::On
            && options.warm.is_none()
            && self.member_compiler != MemberCompiler::Unknown
    }

    /// The text of what members inherit from the workspace's manifest, except dependencies.
    pub(super) fn inherited(&self) -> Result<String> {
        let path = self.workspace.root.join("Cargo.toml");
        let text = fs::read_optional(path.as_std_path())?.unwrap_or_default();
        let manifest: toml::Table = toml::from_str(&String::from_utf8_lossy(&text))
            .map_err(|error| Error::corrupt(path.as_str(), error.message().to_owned()))?;
        let workspace = manifest.get("workspace");
        let named = |table: &&str| Some(((*table).to_owned(), workspace?.get(*table)?.clone()));
        Ok(INHERITED.iter().filter_map(named).collect::<toml::Table>().to_string())
    }
}

/// The path of the lockfile. If the command names one, the path is relative to its directory, not to the workspace.
fn lockfile_path(options: &Options, workspace: &Workspace) -> PathBuf {
    let named = options.invocation.value("lockfile-path").map(|path| options.directory.join(path));
    named.unwrap_or_else(|| workspace.root.join("Cargo.lock").into())
}

/// The `-Z` options of the command, and the variables that stand for such options, sorted.
fn unstable_options(options: &Options) -> Vec<String> {
    let flags = options.invocation.config_flags();
    let flags = flags.iter().filter_map(|flag| flag.to_str()?.strip_prefix("-Z")).map(str::to_owned);
    let variables = options.environment.0.iter().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| name.starts_with(UNSTABLE_VARIABLES))?;
        Some(format!("{name}={}", value.to_str()?))
    });
    let all: BTreeSet<_> = flags.chain(variables).filter(|option| option != "unstable-options").collect();
    all.into_iter().collect()
}

/// The files of a compiler that is not a release. Two builds of a compiler may report the same version.
fn own_files(sysroot: &Utf8Path) -> Option<Vec<PathBuf>> {
    let (libraries, rustlib) = (sysroot.join("lib"), sysroot.join("lib/rustlib"));
    if rustlib.join(RELEASE_MARKER).exists() {
        return None;
    }
    let in_directory = |directory: &Utf8Path| directory.read_dir_utf8().into_iter().flatten().flatten();
    let is_compilers =
        |name: &str| ["librustc_driver", "rustc_driver", "libLLVM"].iter().any(|own| name.starts_with(own));
    let parts = in_directory(&libraries).chain(in_directory(&sysroot.join("bin")));
    let parts = parts.filter(|entry| is_compilers(entry.file_name()));
    let platforms = in_directory(&rustlib).map(|platform| platform.path().join("codegen-backends"));
    let backends = platforms.flat_map(|directory| in_directory(&directory).collect::<Vec<_>>());
    let mut files: Vec<_> = parts.chain(backends).map(|entry| entry.into_path().into_std_path_buf()).collect();
    files.sort();
    (!files.is_empty()).then_some(files)
}

/// Queries the compiler.
#[derive(Clone, Copy)]
struct Prober<'a> {
    options: &'a Options,
    store: &'a LocalStore,
}

impl Prober<'_> {
    /// The answer to `-vV` and the sysroot. The answer is followed by the digests of a program that stands in front of
    /// the compiler, and of a compiler that is not a release.
    fn compiler(self, named: Option<OsString>) -> Result<(String, Utf8PathBuf)> {
        let Self { options, store } = self;
        let variable = |name: &str| options.environment.get(name).map(OsString::from);
        let rustc = toolchain::resolve(named, variable);
        let program = tools::find(&options.environment, &options.directory, &rustc)
            .filter(|_| options.invocation.toolchain.is_none());
        let sysroot = program.as_ref().and_then(Program::sysroot);
        let ask = |arguments: &[&str]| {
            let mut command = rustc_command(&options.invocation, rustc.clone());
            probe::query_compiler(store, command.args(arguments), variable)
        };
        let (version, sysroot_found) = rayon::join(
            || ask(&["-vV"]),
            || match sysroot.clone().and_then(|sysroot| Utf8PathBuf::from_path_buf(sysroot).ok()) {
                Some(sysroot) => Ok(sysroot),
                None => Ok(ask(&["--print", "sysroot"])?.trim().into()),
            },
        );
        // A program in front of the compiler counts by its content, too: its answers may not show all that it does.
        let front = program.filter(|program| sysroot.is_none() && !program.is_proxy());
        let sysroot = sysroot_found?;
        let of_program = front.and_then(|program| program.content(store));
        let of_compiler = own_files(&sysroot).and_then(|files| probe::contents(store, &files));
        let lines = [("program", of_program), ("compiler", of_compiler)];
        let lines = lines.into_iter().filter_map(|(name, content)| Some(format!("{name}: {}\n", content?)));
        Ok((version? + &lines.collect::<String>(), sysroot))
    }

    /// What the compiler prints about a platform with these flags.
    fn print(self, what: &[&str], platform: &str, flags: &[String]) -> Option<String> {
        let Self { options, store } = self;
        let variable = |name: &str| options.environment.get(name).map(OsString::from);
        let rustc = toolchain::resolve(tools::RUSTC.in_environment(options), variable);
        let mut command = rustc_command(&options.invocation, rustc);
        command.args(what.iter().flat_map(|what| ["--print", what])).args(["--target", platform]).args(flags);
        // An answer about this processor must not be stored: another machine may use the same store.
        let is_of_machine = flags.iter().any(|flag| flag.contains("native"));
        if is_of_machine {
            process::output(&mut command).ok()
        } else {
            probe::query_compiler(store, &mut command, variable).ok()
        }
    }
}

/// The toolchain with its flags, libraries and host classes.
fn toolchain(
    options: &Options,
    cargo: &Cargo,
    store: &LocalStore,
    config: &CargoConfig,
    (rustc, sysroot): (String, Utf8PathBuf),
    cargo_version: &str,
) -> Toolchain {
    let mut toolchain = Toolchain { rustc, sysroot, cargo: cargo_version.into(), ..Toolchain::default() };
    let host = toolchain.host().to_owned();
    let platforms = platforms(options, config, &host);
    toolchain.flags = flags(options, store, config, &platforms);
    let linkers = LinkerProbe {
        environment: &options.environment,
        directory: &options.directory,
        cargo,
        config,
        store,
        host: &host,
        flags: &toolchain.flags,
        sees_inputs: &|| sees_inputs(&options.settings),
    };
    let library =
        |platform: &String| Some((platform.clone(), probe::contents(store, &toolchain.library_files(platform))?));
    let of_target = |platform: &String| Some((platform.clone(), linkers.class(platform)?));
    let targets = platforms.iter().filter(|platform| **platform != host);
    let (libraries, (host_class, target_classes)) = rayon::join(
        || platforms.iter().filter_map(library).collect(),
        || (linkers.class(&host), targets.filter_map(of_target).collect()),
    );
    let linker = linkers.host_linker();
    (toolchain.libraries, toolchain.linker) = (libraries, linker);
    (toolchain.host_class, toolchain.target_classes) = (host_class, target_classes);
    toolchain
}

/// The user's flags for each platform.
fn flags(
    options: &Options,
    store: &LocalStore,
    config: &CargoConfig,
    platforms: &BTreeSet<String>,
) -> BTreeMap<String, Vec<String>> {
    let variable = |name: &str| options.environment.text(name);
    let flags = Rustflags { config, variable: &variable };
    let of = |platform: &String| {
        let ask = |flags: &[String]| Prober { options, store }.print(&["cfg"], platform, flags);
        (platform.clone(), flags.of(platform, ask))
    };
    platforms.iter().map(of).collect()
}

/// The host and the targets.
fn platforms(options: &Options, config: &CargoConfig, host: &str) -> BTreeSet<String> {
    let in_command: Vec<_> =
        options.invocation.values("target").into_iter().filter_map(|target| target.to_str()).collect();
    let in_variable = options.environment.text("CARGO_BUILD_TARGET");
    let targets = in_command.into_iter().chain(in_variable).chain(config.targets());
    let targets = targets.map(|target| if target == "host-tuple" { host } else { target });
    targets.chain([host]).filter(|platform| !platform.ends_with(".json")).map(str::to_owned).collect()
}

fn roots(options: &Options, workspace: &Workspace, toolchain: &Toolchain) -> Roots {
    let home =
        options.environment.cargo_home(&options.directory).and_then(|home| Utf8PathBuf::from_path_buf(home).ok());
    let roots = [
        (Root::Workspace, workspace.root.clone()),
        (Root::BuildDir, workspace.build_dir.clone()),
        (Root::Sysroot, toolchain.sysroot.clone()),
    ];
    let target_dir = Some(&workspace.target_dir).filter(|target_dir| **target_dir != workspace.build_dir);
    let target_dir = target_dir.map(|target_dir| (Root::TargetDir, target_dir.clone()));
    let others = home.map(|home| (Root::CargoHome, home)).into_iter().chain(target_dir);
    Roots::new(roots.into_iter().chain(others)).resolved(|path| path.canonicalize_utf8().ok())
}

/// The part of the environment that belongs to keys: variables of the compiler, variables that switch on unstable
/// options of cargo, and the values that flags name. The user's own wrapper may add flags, so it counts, too.
pub(super) fn key_environment(
    environment: &Environment,
    user_wrapper: Option<&str>,
    flag_inputs: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let variables = environment.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    let relevant = variables.filter(|(name, _)| KEY_VARIABLES.contains(name) || name.starts_with(UNSTABLE_VARIABLES));
    relevant
        .chain(user_wrapper.map(|wrapper| ("a rustc wrapper", wrapper)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(flag_inputs)
        .collect()
}

/// Whether outputs of scripts and linkers are reused only if their inputs were observed.
pub(super) fn sees_inputs(settings: &Settings) -> bool {
    settings.observe == Switch::On && settings.unknown == Unobserved::Compile && observe::is_possible()
}

/// The directory with the workspace's settings, found without cargo.
pub fn workspace_directory(directory: &Path) -> Option<&Utf8Path> {
    let marked = directory.ancestors().find(|ancestor| ancestor.join(".config/xcache.toml").is_file())?;
    Utf8Path::from_path(marked)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::reference::field_changes::{Change, assert_each_field_counts};

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment(variables.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    #[test]
    fn each_variable_that_changes_what_the_compiler_writes_is_part_of_a_key() {
        let plain = key_environment(&environment(&[]), None, BTreeMap::new());
        for name in KEY_VARIABLES {
            assert_ne!(key_environment(&environment(&[(name, "1")]), None, BTreeMap::new()), plain, "{name}");
        }
    }

    #[test]
    fn each_part_of_the_name_of_a_graph_index_makes_another_name() {
        static NONE: BTreeMap<String, Vec<String>> = BTreeMap::new();
        static SOME: LazyLock<BTreeMap<String, Vec<String>>> =
            LazyLock::new(|| [("wasm32-wasip1".to_owned(), vec!["-g".to_owned()])].into());
        let make = || GraphKey {
            unit_keys: "version",
            rustc: "rustc",
            cargo: "cargo",
            command: vec![("build".into(), None)],
            directory: None,
            rustflags: &NONE,
            config: BTreeMap::new(),
            lockfile: None,
        };
        let changes: &[Change<GraphKey<'_>>] = &[
            ("unit_keys", |key| key.unit_keys = "another"),
            ("rustc", |key| key.rustc = "another"),
            ("cargo", |key| key.cargo = "another"),
            ("command", |key| key.command[0].1 = Some("value".into())),
            ("directory", |key| key.directory = Some(OsStr::new("member"))),
            ("rustflags", |key| key.rustflags = &SOME),
            ("config", |key| drop(key.config.insert("unstable".into(), true.into()))),
            ("lockfile", |key| key.lockfile = Some(Digest::of("lockfile"))),
        ];
        assert_each_field_counts(Domain::GraphKey, make, changes);
    }

    #[test]
    fn what_is_switched_on_and_a_wrapper_of_the_users_are_part_of_a_key() {
        let plain = key_environment(&environment(&[("PATH", "/bin"), ("CARGO_HOME", "/c")]), None, BTreeMap::new());
        assert_eq!(plain, BTreeMap::new());
        for (name, value) in [("CARGO_UNSTABLE_X", "true"), ("RUSTC_BOOTSTRAP", "1")] {
            assert_ne!(key_environment(&environment(&[(name, value)]), None, BTreeMap::new()), plain, "{name}");
        }
        let wrapped = |wrapper| key_environment(&environment(&[]), Some(wrapper), BTreeMap::new());
        assert_ne!(wrapped("sccache 01"), plain);
        assert_ne!(wrapped("sccache 01"), wrapped("sccache 02"));
        let named =
            |what: &str| key_environment(&environment(&[]), None, [("the processor".into(), what.into())].into());
        assert_ne!(named("one"), plain);
        assert_ne!(named("one"), named("another"));
    }
}
