//! The plan: cargo's exact units, each with its key or the reason why it has none.
//!
//! [`BuildPlan::new`] joins the unit graph with its packages and the lockfile. [`BuildPlan::identify`] finds the unit
//! that a rustc command line belongs to.
//!
//! **Invariants.** A plan is made before anything is compiled and never changes. Apart from the digest of packages that
//! live in a directory ([`content`]), making it does no I/O. A unit without an immutable identity has no key, and neither
//! has any unit that depends on it. What is linked for a platform is stored under a key of the class of its linker and its
//! C library, what is run here under that of the host; and of the C compiler and the system where [native code](native)
//! comes in. What depends on it is not, as it is compared by content.

mod check_harness;
pub mod content;
mod external_paths;
mod flags;
mod identify;
mod key_scope;
mod linked;
mod lto;
mod native;
mod reasons;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use camino::Utf8PathBuf;

use self::key_scope::KeyScope;
use self::reasons::Policy;
use crate::cargo::{
    CargoConfig, GraphProfile, GraphUnit, LockedSource, Lockfile, Package, PackageSource, Packages, UnitGraph,
    configure_linker,
};
use crate::digest::{Digest, Domain};
use crate::error::{Error, Result};
use crate::event::{PlannedUnit, UncacheableReason, UnitId};
use crate::key::unit_inputs::HostClass;
use crate::key::{DependencyKey, KeyInputs, Source, UnitKey};
use crate::rustc::Toolchain;

/// By this, cargo tells whoever compiles a package that the command names it (`core/compiler/mod.rs`, `rustc`).
pub const PRIMARY: &str = "CARGO_PRIMARY_PACKAGE";
/// The mode of a build script's run.
const SCRIPT_RUN: &str = "run-custom-build";

/// An edge of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    /// The name it is imported under.
    pub extern_name: String,
    /// The unit.
    pub unit: UnitId,
}

/// A unit of the plan.
#[derive(Clone, PartialEq, Debug)]
pub struct Unit {
    /// Package name.
    pub package: String,
    /// Package version.
    pub version: String,
    /// Target name.
    pub target: String,
    /// Cargo's target kind.
    pub kind: String,
    /// Crate types.
    pub crate_types: BTreeSet<String>,
    /// Cargo's compile mode.
    pub mode: String,
    /// Of a package that the command names.
    pub primary: bool,
    /// Of a crate that is checked twice: whether it is with its tests.
    pub harness: Option<bool>,
    /// The target triple, where one was asked for.
    pub platform: Option<String>,
    /// Enabled features.
    pub features: BTreeSet<String>,
    /// The package's directory.
    pub package_dir: Utf8PathBuf,
    /// The crate's root file.
    pub root_file: Utf8PathBuf,
    /// The resolved profile.
    pub profile: GraphProfile,
    /// Edges.
    pub dependencies: Vec<Dependency>,
    /// From a registry or a git repository.
    pub external: bool,
    /// Its outputs are compiled with remapped paths.
    pub remapped: bool,
    /// The directories outside of the workspace whose paths come into it in spite of that: of packages that it depends
    /// on, directly or not, and its own. Nothing where members are not remapped, as they are good in one place only.
    pub outside_dirs: BTreeSet<Utf8PathBuf>,
    /// The run of a build script that is there for native code, or made with what such a run has made.
    pub native: bool,
    /// The content of its package's directory, if it has no other identity.
    pub content: Option<Digest>,
    /// The key under which it is stored, or why there is none.
    pub key: Result<UnitKey, UncacheableReason>,
}

impl Unit {
    /// Cargo has it compiled incrementally.
    pub fn is_incremental(&self) -> bool {
        self.profile.fields.get("incremental").is_some_and(|on| on == true)
    }

    /// The run of the package's own build script, where there is one.
    pub fn script_run(&self, plan: &BuildPlan) -> Option<UnitId> {
        let mut dependencies = self.dependencies.iter().map(|dependency| dependency.unit);
        dependencies.find(|id| {
            let unit = plan.unit(*id);
            self.mode != SCRIPT_RUN && unit.mode == SCRIPT_RUN && unit.package_dir == self.package_dir
        })
    }

    /// It is the run of a build script, and not something that is compiled.
    pub fn is_script_run(&self) -> bool {
        self.mode == SCRIPT_RUN
    }

    /// Made of all that it depends on: a program, a procedural macro, or a library that is not only for crates.
    pub fn is_linked(&self) -> bool {
        const KINDS: &[&str] = &["proc-macro", "custom-build", "bin", "test", "bench", "example"];
        const TYPES: &[&str] = &["cdylib", "dylib", "staticlib"];
        let is_linked = self.mode == "test" || KINDS.contains(&self.kind.as_str()) || self.has_type(TYPES);
        is_linked && !self.is_script_run() && self.mode != "check"
    }

    /// Whether others are linked with it: a library for crates, whatever else it is.
    pub fn is_linkable(&self) -> bool {
        let is_library = self.mode != "test" && self.kind != "example";
        !self.is_linked() || is_library && self.has_type(&["dylib", "lib", "rlib"])
    }

    /// Whether those that depend on it are compiled against it, and not only built after it.
    pub fn is_crate(&self) -> bool {
        let is_for_crates = self.crate_types.iter().any(|of| of != "cdylib" && of != "staticlib");
        !self.is_script_run() && self.kind != "bin" && is_for_crates
    }

    fn has_type(&self, types: &[&str]) -> bool {
        types.iter().any(|of| self.crate_types.contains(*of))
    }

    /// Only as good as the host: it was linked or run there.
    fn is_of_host(&self) -> bool {
        self.is_script_run() || self.is_linked()
    }

    /// The name of its profile's directory.
    fn profile_name(&self) -> &str {
        match self.profile.name.as_str() {
            "dev" | "test" => "debug",
            "release" | "bench" => "release",
            name => name,
        }
    }

    /// The directory of its profile below the build directory (cargo's `core/compiler/layout.rs`).
    pub fn profile_dir(&self) -> String {
        let name = self.profile_name();
        match &self.platform {
            Some(platform) => format!("{platform}/{name}"),
            None => name.to_owned(),
        }
    }

    fn planned(&self) -> PlannedUnit {
        PlannedUnit {
            package: self.package.clone(),
            version: self.version.clone(),
            target: self.target.clone(),
            kind: self.kind.clone(),
            mode: self.mode.clone(),
            platform: self.platform.clone(),
            features: self.features.iter().cloned().collect(),
            key: self.key.ok(),
            uncacheable: self.key.err(),
            dependencies: self.dependencies.iter().map(|dependency| dependency.unit).collect(),
        }
    }
}

/// Everything a plan is made from.
#[derive(Debug)]
pub struct PlanInputs<'a> {
    /// The exact units.
    pub graph: &'a UnitGraph,
    /// The packages.
    pub packages: &'a Packages,
    /// Checksums and revisions.
    pub lockfile: &'a Lockfile,
    /// The compiler and cargo.
    pub toolchain: &'a Toolchain,
    /// Cargo's configuration.
    pub config: &'a CargoConfig,
    /// Variables that change what the compiler accepts or writes.
    pub environment: BTreeMap<String, String>,
    /// Which of the variables that the configuration sets a build script reads is known, and a condition of its own.
    pub sees_variables: bool,
    /// What native code depends on besides the host's class; nothing where it is not known.
    pub native: Option<HostClass>,
    /// What packages in directories may read besides their own files; nothing if they are not cached.
    pub member_inputs: Option<MemberInputs>,
    /// What compiles members, where it is not rustc alone.
    pub driver: Option<Driver>,
}

/// What stands in front of rustc where members of the workspace are compiled, such as `clippy-driver`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Driver {
    /// The program, as cargo starts it.
    pub program: String,
    /// What it is and what it is told, by name.
    pub identity: BTreeMap<String, String>,
    /// It may do something else for packages that the command names.
    pub depends_on_primary: bool,
    /// The directories of the members.
    pub members: BTreeSet<Utf8PathBuf>,
}

impl Driver {
    /// Whether it compiles a unit.
    fn compiles(&self, unit: &Unit) -> bool {
        !unit.is_script_run() && self.members.contains(&unit.package_dir)
    }
}

/// What packages in directories may read besides their own files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberInputs {
    /// The workspace's directory. It is in what is compiled there, so such units are good at this path only, unless
    /// that is remapped.
    pub workspace: Utf8PathBuf,
    /// Packages in directories are compiled with another path in its place.
    pub is_remapped: bool,
    /// The digest of each file, directory and variable, by its name.
    pub digests: BTreeMap<String, String>,
}

impl MemberInputs {
    /// What of them is in keys. The path of the workspace is not, but whether it is in what is compiled.
    fn key_inputs(&self) -> BTreeMap<String, String> {
        let paths = self.is_remapped.then(|| ("workspace paths".to_owned(), "remapped".to_owned()));
        self.digests.clone().into_iter().chain(paths).collect()
    }
}

/// The units of a build.
#[derive(Clone, PartialEq, Debug)]
pub struct BuildPlan {
    /// When the first file of a package in a directory was read. What is younger may not be what was planned.
    began: SystemTime,
    units: Vec<Unit>,
    by_root_file: HashMap<Utf8PathBuf, Vec<UnitId>>,
    /// What the keys of the units were made from, where there is one.
    inputs: Vec<Option<KeyInputs>>,
    key_scope: KeyScope,
    driver: Option<Driver>,
}

impl BuildPlan {
    /// Makes the plan. `content` digests the directory of a unit's package; it is asked only for packages that have no
    /// other identity and that cacheable units depend on.
    pub fn new(inputs: &PlanInputs<'_>, content: impl Fn(&Unit) -> Result<Digest>) -> Result<Self> {
        let began = SystemTime::now();
        let mut units = inputs.graph.units.iter().map(|unit| describe(inputs, unit)).collect::<Result<Vec<_>>>()?;
        check_harness::harnesses(&inputs.graph.units)
            .into_iter()
            .for_each(|(unit, has)| units[unit].harness = Some(has));
        native::mark(inputs, &mut units);
        let member_inputs = inputs.member_inputs.as_ref();
        let workspace = member_inputs.filter(|member_inputs| member_inputs.is_remapped);
        workspace.into_iter().for_each(|member_inputs| external_paths::mark(&member_inputs.workspace, &mut units));
        let workspace = member_inputs.filter(|member_inputs| !member_inputs.is_remapped);
        let workspace = workspace.map(|member_inputs| Digest::of_value(Domain::RootPath, &member_inputs.workspace));
        let key_scope = KeyScope::new(inputs.toolchain, inputs.native.as_ref(), workspace);
        let policy = Policy { key_scope: &key_scope, members: inputs.member_inputs.is_some() };
        let has_targets = units.iter().any(|unit| unit.platform.is_some());
        let refused = linked::refused(&units, inputs.toolchain.host());
        let uncacheable_reason = |(index, (graph, unit)): (usize, (&GraphUnit, &Unit))| {
            let is_refused = refused.contains(&UnitId(index)).then_some(UncacheableReason::Linked);
            policy
                .uncacheable_reason(graph, unit)
                .or(is_refused)
                .or_else(|| flags::uncacheable_reason(inputs, unit, has_targets))
        };
        let reasons: Vec<_> = inputs.graph.units.iter().zip(&units).enumerate().map(uncacheable_reason).collect();
        let mut keys = Keys {
            inputs,
            content: &content,
            units: &units,
            has_targets,
            lto: lto::resolve(inputs.graph),
            done: vec![None; units.len()],
            made_from: vec![None; units.len()],
        };
        let result: Vec<_> =
            reasons.iter().enumerate().map(|(index, reason)| reason.map_or_else(|| keys.key(index), Err)).collect();
        let made_from = keys.made_from;
        for (unit, key) in units.iter_mut().zip(result) {
            unit.key = key.map(|key| key_scope.digests(unit).fold(key, UnitKey::scoped));
            if !unit.external && unit.key.is_ok() {
                unit.content = content(unit).ok();
            }
        }
        let driver = inputs.driver.clone();
        Ok(Self { inputs: made_from, key_scope, driver, ..Self::from_units(units, began) })
    }

    fn from_units(units: Vec<Unit>, began: SystemTime) -> Self {
        let mut by_root_file = HashMap::<_, Vec<_>>::new();
        for (index, unit) in units.iter().enumerate() {
            by_root_file.entry(unit.root_file.clone()).or_default().push(UnitId(index));
        }
        Self { began, units, by_root_file, inputs: Vec::new(), key_scope: KeyScope::default(), driver: None }
    }

    /// When the first file of a package in a directory was read.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// One unit.
    pub fn unit(&self, id: UnitId) -> &Unit {
        &self.units[id.0]
    }

    /// Whether something that flags name is part of a unit's key.
    pub fn knows(&self, id: UnitId, name: &str) -> bool {
        self.key_inputs(id).is_some_and(|inputs| inputs.environment.contains_key(name))
    }

    /// What stands in front of rustc where a unit is compiled.
    pub fn driver_of(&self, id: UnitId) -> Option<&Driver> {
        self.driver.as_ref().filter(|driver| driver.compiles(self.unit(id)))
    }

    fn key_inputs(&self, id: UnitId) -> Option<&KeyInputs> {
        self.inputs.get(id.0)?.as_ref()
    }

    /// Whether flags of the user's name another linker for a unit, or tell it something.
    pub fn configures_linker(&self, id: UnitId) -> bool {
        self.key_inputs(id).is_some_and(|inputs| self.unit(id).is_linked() && configure_linker(&inputs.rustflags))
    }

    /// The runs of build scripts that a unit depends on, directly or not.
    pub fn runs_below(&self, id: UnitId) -> BTreeSet<UnitId> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![id]);
        while let Some(next) = open.pop() {
            let dependencies = self.unit(next).dependencies.iter().map(|dependency| dependency.unit);
            open.extend(dependencies.filter(|unit| seen.insert(*unit)));
        }
        seen.retain(|unit| self.unit(*unit).is_script_run());
        seen
    }

    /// The runs of build scripts whose native code decides what a unit becomes: all below one that is linked, otherwise
    /// those below the procedural macros that its compiler loads. What a macro does is not told by its metadata.
    pub fn code_runs(&self, id: UnitId) -> BTreeSet<UnitId> {
        if self.unit(id).is_linked() {
            return self.runs_below(id);
        }
        let (mut seen, mut open, mut runs) = (BTreeSet::new(), vec![id], BTreeSet::new());
        while let Some(next) = open.pop() {
            let crates = self.unit(next).dependencies.iter().map(|dependency| dependency.unit);
            for unit in crates.filter(|unit| self.unit(*unit).is_crate() && seen.insert(*unit)).collect::<Vec<_>>() {
                match self.unit(unit).kind.as_str() {
                    "proc-macro" => runs.extend(self.runs_below(unit)),
                    _ => open.push(unit),
                }
            }
        }
        runs
    }

    /// The runs of build scripts.
    pub fn script_runs(&self) -> impl Iterator<Item = UnitId> {
        (0..self.units.len()).map(UnitId).filter(|id| self.unit(*id).is_script_run())
    }

    /// The procedural macros that the compiler may load for a unit: those it depends on, directly or not.
    pub fn macros_of(&self, id: UnitId) -> impl Iterator<Item = UnitId> {
        self.loaded_for(id).into_iter().filter(|other| self.is_macro(*other))
    }

    /// The crates whose own macros may call a procedural macro where a unit uses them.
    pub fn callers_of(&self, id: UnitId) -> impl Iterator<Item = UnitId> {
        let crates = self.loaded_for(id).into_iter().filter(|other| !self.is_macro(*other));
        crates.filter(|other| self.macros_of(*other).next().is_some())
    }

    /// Whether it is a procedural macro.
    pub fn is_macro(&self, id: UnitId) -> bool {
        self.unit(id).kind == "proc-macro"
    }

    /// The crates that the compiler may load for a unit.
    fn loaded_for(&self, id: UnitId) -> BTreeSet<UnitId> {
        let is_crate = |unit: &Unit| !unit.is_script_run() && unit.kind != "custom-build";
        let (mut open, mut seen) = (vec![id], BTreeSet::new());
        while let Some(id) = open.pop() {
            let unit = self.unit(id);
            let below = unit.dependencies.iter().map(|dependency| dependency.unit);
            // What a macro is made of is none of its users' business.
            let is_loaded = seen.is_empty() || !self.is_macro(id);
            if seen.insert(id) && is_loaded {
                open.extend(below.filter(|below| is_crate(self.unit(*below))));
            }
        }
        seen.remove(&id);
        seen
    }

    /// The libraries that a linker is given for a unit: those it depends on, directly or not.
    pub fn libraries_of(&self, id: UnitId) -> BTreeSet<UnitId> {
        let mut loaded = self.loaded_for(id);
        loaded.retain(|id| self.unit(*id).is_linkable());
        loaded
    }

    /// The script that a run is of.
    pub fn script_of(&self, run: UnitId) -> Option<UnitId> {
        let mut dependencies = self.unit(run).dependencies.iter().map(|dependency| dependency.unit);
        dependencies.find(|id| self.unit(*id).kind == "custom-build" && !self.unit(*id).is_script_run())
    }

    /// Whether a script of a package has more than one run: for the host and for a target, or in two profiles.
    pub fn runs_several_times(&self, package: &str) -> bool {
        let of_package = |run: &UnitId| self.unit(*run).package == package;
        let mut scripts: Vec<_> = self.script_runs().filter(of_package).filter_map(|run| self.script_of(run)).collect();
        scripts.sort_unstable();
        scripts.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// The units that are like this, and all that depend on one, directly or not; with a build script's run its program.
    pub fn with_dependents(&self, is_like: impl Fn(&Unit) -> bool) -> BTreeSet<UnitId> {
        let ids = || (0..self.units.len()).map(UnitId);
        let mut found: BTreeSet<_> = ids().filter(|id| is_like(self.unit(*id))).collect();
        loop {
            let depends = |id: &UnitId| self.unit(*id).dependencies.iter().any(|edge| found.contains(&edge.unit));
            let dependents: Vec<_> = ids().filter(|id| !found.contains(id)).filter(depends).collect();
            if dependents.is_empty() {
                break;
            }
            found.extend(dependents);
        }
        let runs: Vec<_> = found.iter().filter(|id| self.unit(**id).is_script_run()).copied().collect();
        found.extend(runs.into_iter().filter_map(|run| self.script_of(run)));
        found
    }

    /// The names of all targets.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.units.iter().map(|unit| unit.target.as_str())
    }

    /// The units that have a key.
    pub fn cacheable(&self) -> Vec<(UnitId, UnitKey)> {
        let units = self.units.iter().enumerate();
        units.filter_map(|(index, unit)| Some((UnitId(index), unit.key.ok()?))).collect()
    }

    /// The keys of the units whose packages everybody has: those that a graph index is for.
    pub fn shared_keys(&self) -> impl Iterator<Item = UnitKey> {
        self.units.iter().filter(|unit| unit.external).filter_map(|unit| unit.key.ok())
    }

    /// The manifests of all packages that are built where they are edited.
    pub fn member_manifests(&self) -> BTreeSet<Utf8PathBuf> {
        self.units.iter().filter(|unit| !unit.external).map(|unit| unit.package_dir.join("Cargo.toml")).collect()
    }

    /// The directories of all profiles, below the build directory.
    pub fn profile_dirs(&self) -> BTreeSet<String> {
        self.units.iter().map(Unit::profile_dir).collect()
    }

    /// For the event.
    pub fn planned(&self) -> Vec<PlannedUnit> {
        self.units.iter().map(Unit::planned).collect()
    }
}

fn unplannable(reason: String) -> Error {
    Error::Command { command: "cargo --unit-graph".into(), reason }
}

fn package<'a>(inputs: &PlanInputs<'a>, unit: &GraphUnit) -> Result<&'a Package> {
    let package = inputs.packages.get(&unit.pkg_id);
    package.ok_or_else(|| unplannable(format!("package {} is not known", unit.pkg_id)))
}

fn describe(inputs: &PlanInputs<'_>, unit: &GraphUnit) -> Result<Unit> {
    let mut described = joined(unit, package(inputs, unit)?);
    described.primary = inputs.graph.has_root_in(&unit.pkg_id);
    described.remapped |= inputs.member_inputs.as_ref().is_some_and(|member_inputs| member_inputs.is_remapped);
    Ok(described)
}

/// Joins a graph unit with its package.
fn joined(unit: &GraphUnit, package: &Package) -> Unit {
    let dependencies = unit.dependencies.iter().map(|dependency| Dependency {
        extern_name: dependency.extern_crate_name.clone(),
        unit: UnitId(dependency.index),
    });
    let external = package.source != PackageSource::Directory && !unit.is_std;
    Unit {
        package: package.name.clone(),
        version: package.version.clone(),
        target: unit.target.name.clone(),
        kind: unit.target.kind.first().cloned().unwrap_or_default(),
        crate_types: unit.target.crate_types.iter().cloned().collect(),
        mode: unit.mode.clone(),
        primary: false,
        harness: None,
        platform: unit.platform.clone(),
        features: unit.features.iter().cloned().collect(),
        package_dir: package.directory.clone(),
        root_file: unit.target.src_path.clone(),
        profile: unit.profile.clone(),
        dependencies: dependencies.collect(),
        external,
        remapped: external,
        outside_dirs: BTreeSet::new(),
        native: false,
        content: None,
        key: Err(UncacheableReason::NoIdentity),
    }
}

/// The fields of the profile: all that cargo makes a unit's metadata of, LTO also where it changes nothing for the unit
/// (`core/profiles.rs`, `Profile::comparable`). A build script is told as well whether it is for debugging or for release
/// (`PROFILE`), which follows from the profile's name.
fn profile(graph: &GraphUnit, unit: &Unit) -> BTreeMap<String, serde_json::Value> {
    let mut fields = graph.profile.fields.clone();
    fields.insert("lto".into(), graph.profile.lto.clone().into());
    if unit.is_script_run() {
        fields.insert("name".into(), unit.profile_name().into());
    }
    fields
}

/// Computes keys depth first, each once.
struct Keys<'a, F> {
    inputs: &'a PlanInputs<'a>,
    content: &'a F,
    units: &'a [Unit],
    has_targets: bool,
    lto: Vec<&'static str>,
    done: Vec<Option<Result<UnitKey, UncacheableReason>>>,
    made_from: Vec<Option<KeyInputs>>,
}

impl<F: Fn(&Unit) -> Result<Digest>> Keys<'_, F> {
    fn key(&mut self, index: usize) -> Result<UnitKey, UncacheableReason> {
        if let Some(done) = self.done[index] {
            return done;
        }
        let inputs = self.key_inputs(index);
        let key = inputs.as_ref().map(KeyInputs::key).map_err(|reason| *reason);
        self.made_from[index] = inputs.ok();
        self.done[index] = Some(key);
        key
    }

    fn key_inputs(&mut self, index: usize) -> Result<KeyInputs, UncacheableReason> {
        let graph = &self.inputs.graph.units[index];
        let unit = &self.units[index];
        let mut dependencies = BTreeSet::new();
        for dependency in &graph.dependencies {
            dependencies.insert(DependencyKey {
                extern_name: dependency.extern_crate_name.clone(),
                noprelude: dependency.noprelude,
                key: self.key(dependency.index)?,
            });
        }
        Ok(KeyInputs {
            rustc: self.inputs.toolchain.rustc.clone(),
            standard_library: self.inputs.toolchain.library(unit.platform.as_deref()),
            cargo: self.inputs.toolchain.cargo.clone(),
            name: unit.package.clone(),
            version: unit.version.clone(),
            source: self.source(graph, unit)?,
            target_kind: graph.target.kind.iter().cloned().collect(),
            target_name: unit.target.clone(),
            crate_types: unit.crate_types.clone(),
            root_file: unit.root_file.strip_prefix(&unit.package_dir).unwrap_or(&unit.root_file).to_string(),
            edition: graph.target.edition.clone(),
            mode: if unit.harness == Some(true) { format!("{} with tests", unit.mode) } else { unit.mode.clone() },
            profile: profile(graph, unit),
            lto: self.lto[index].into(),
            features: unit.features.clone(),
            platform: unit.platform.clone(),
            rustflags: flags::of_user(self.inputs, unit, self.has_targets)
                .ok_or(UncacheableReason::CompilerInput)?
                .to_vec(),
            environment: self.environment(unit),
            member_inputs: match &self.inputs.member_inputs {
                Some(member_inputs) if !unit.external => member_inputs.key_inputs(),
                _ => BTreeMap::new(),
            },
            config: self.config(unit),
            dependencies,
        })
    }

    /// What stands in front of rustc for a member is as good as another compiler.
    fn environment(&self, unit: &Unit) -> BTreeMap<String, String> {
        let mut environment = self.inputs.environment.clone();
        if let Some(driver) = self.inputs.driver.as_ref().filter(|driver| driver.compiles(unit)) {
            environment.extend(driver.identity.clone());
            let primary = (driver.depends_on_primary && unit.primary).then(|| (PRIMARY.to_owned(), "1".to_owned()));
            environment.extend(primary);
        }
        environment
    }

    /// A build script sees the variables that the configuration sets, and the linker that it names.
    fn config(&self, unit: &Unit) -> BTreeMap<String, serde_json::Value> {
        let mut config = self.inputs.config.relevant();
        if unit.is_script_run() {
            let platform = unit.platform.as_deref().unwrap_or_else(|| self.inputs.toolchain.host());
            let variables = self.inputs.config.variables().filter(|_| !self.inputs.sees_variables).cloned();
            config.extend(variables.map(|variables| ("env".to_owned(), variables)));
            let targets = self.inputs.config.seen_by_scripts(platform);
            config.extend(targets.map(|targets| ("target".to_owned(), targets)));
        }
        config
    }

    fn source(&self, graph: &GraphUnit, unit: &Unit) -> Result<Source, UncacheableReason> {
        if graph.is_std {
            return Err(UncacheableReason::StandardLibrary);
        }
        let package = package(self.inputs, graph).map_err(|_| UncacheableReason::NoIdentity)?;
        let source = &package.source;
        let locked = source.name().map(|name| self.inputs.lockfile.source(&unit.package, &unit.version, name));
        match (source, locked) {
            _ if !package.is_of_cargo => {
                let content = (self.content)(unit).map_err(|_| UncacheableReason::NoIdentity)?;
                Ok(Source::Directory { content })
            }
            (PackageSource::Registry(registry), Some(LockedSource::Checksum(checksum))) => {
                Ok(Source::Registry { registry: registry.clone(), checksum })
            }
            (PackageSource::Git { repository, .. }, Some(LockedSource::Revision(revision))) => {
                Ok(Source::Git { repository: repository.clone(), revision })
            }
            _ => Err(UncacheableReason::NoIdentity),
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
