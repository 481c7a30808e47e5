//! The plan: cargo's exact units, each with its key or the reason why it has none.
//!
//! [`BuildPlan::new`] joins the unit graph with its packages and the lockfile. [`BuildPlan::identify`] finds the unit
//! that a rustc command line belongs to.
//!
//! **Invariants.** A plan is complete before anything is compiled, and never changes. Building it does no I/O except to
//! digest packages in directories ([`content`]). A unit without an immutable identity has no key, and neither has any
//! unit that depends on it. The stored key of a linked unit includes the host class of its platform (linker and C
//! library); that of a unit that runs here includes the class of this host. Where [native code](native) comes in, the
//! class also covers the C compiler and the system. Dependents of such units keep their plain keys, because they are
//! compared by content.

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

/// The variable that cargo sets for packages that the command names (`core/compiler/mod.rs`, `rustc`).
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
    /// Whether the command names its package.
    pub primary: bool,
    /// Whether it has a test harness. Known only for a crate that is checked twice.
    pub harness: Option<bool>,
    /// The target triple, if the command names one.
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
    /// Whether it comes from a registry or a git repository.
    pub external: bool,
    /// Whether it is compiled with remapped paths.
    pub remapped: bool,
    /// Directories outside of the workspace whose paths are in its outputs although paths are remapped: those of its
    /// own package and of its dependencies, direct or not. Empty if members are not remapped: they are then valid in
    /// one workspace only.
    pub outside_dirs: BTreeSet<Utf8PathBuf>,
    /// Whether it is the run of a build script for native code, or is built with the output of such a run.
    pub native: bool,
    /// The content of its package's directory, if it has no other identity.
    pub content: Option<Digest>,
    /// The key under which it is stored, or the reason why it has none.
    pub key: Result<UnitKey, UncacheableReason>,
}

impl Unit {
    /// Whether cargo compiles it incrementally.
    pub fn is_incremental(&self) -> bool {
        self.profile.fields.get("incremental").is_some_and(|on| on == true)
    }

    /// The run of the package's own build script, if it has one.
    pub fn script_run(&self, plan: &BuildPlan) -> Option<UnitId> {
        let mut dependencies = self.dependencies.iter().map(|dependency| dependency.unit);
        dependencies.find(|id| {
            let unit = plan.unit(*id);
            self.mode != SCRIPT_RUN && unit.mode == SCRIPT_RUN && unit.package_dir == self.package_dir
        })
    }

    /// Whether it is the run of a build script rather than a compiled unit.
    pub fn is_script_run(&self) -> bool {
        self.mode == SCRIPT_RUN
    }

    /// Whether it is linked with its dependencies: a program, a procedural macro, or a library that is not only for
    /// crates.
    pub fn is_linked(&self) -> bool {
        const KINDS: &[&str] = &["proc-macro", "custom-build", "bin", "test", "bench", "example"];
        const TYPES: &[&str] = &["cdylib", "dylib", "staticlib"];
        let is_linked = self.mode == "test" || KINDS.contains(&self.kind.as_str()) || self.has_type(TYPES);
        is_linked && !self.is_script_run() && self.mode != "check"
    }

    /// Whether other units can link it: it is a library for crates, whatever other types it has.
    pub fn is_linkable(&self) -> bool {
        let is_library = self.mode != "test" && self.kind != "example";
        !self.is_linked() || is_library && self.has_type(&["dylib", "lib", "rlib"])
    }

    /// Whether its dependents are compiled against it, and not only built after it.
    pub fn is_crate(&self) -> bool {
        let is_for_crates = self.crate_types.iter().any(|of| of != "cdylib" && of != "staticlib");
        !self.is_script_run() && self.kind != "bin" && is_for_crates
    }

    fn has_type(&self, types: &[&str]) -> bool {
        types.iter().any(|of| self.crate_types.contains(*of))
    }

    /// Whether it depends on the host: it was linked there or ran there.
    fn depends_on_host(&self) -> bool {
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

/// Everything that a plan is computed from.
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
    /// Whether the session knows which configured variables a build script reads. Each of them is then a condition.
    pub sees_variables: bool,
    /// What native code depends on besides the host class; absent if it is not known.
    pub native: Option<HostClass>,
    /// What packages in directories may read besides their own files; absent if these packages are not cached.
    pub member_inputs: Option<MemberInputs>,
    /// The program that compiles members, if it is not rustc alone.
    pub driver: Option<Driver>,
}

/// A program that cargo starts in front of rustc for workspace members, such as `clippy-driver`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Driver {
    /// The program, as cargo starts it.
    pub program: String,
    /// Its identity and its arguments, by name.
    pub identity: BTreeMap<String, String>,
    /// Whether it may treat packages that the command names differently.
    pub depends_on_primary: bool,
    /// The directories of the members.
    pub members: BTreeSet<Utf8PathBuf>,
}

impl Driver {
    /// Whether it compiles this unit.
    fn compiles(&self, unit: &Unit) -> bool {
        !unit.is_script_run() && self.members.contains(&unit.package_dir)
    }
}

/// What packages in directories may read besides their own files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberInputs {
    /// The workspace's directory. Unless it is remapped, the outputs of members contain it and are valid at this path
    /// only.
    pub workspace: Utf8PathBuf,
    /// Whether packages in directories are compiled with this path remapped.
    pub is_remapped: bool,
    /// The digest of each file, directory and variable, by its name.
    pub digests: BTreeMap<String, String>,
}

impl MemberInputs {
    /// The part that keys contain: not the path of the workspace, but whether it is remapped.
    fn key_inputs(&self) -> BTreeMap<String, String> {
        let paths = self.is_remapped.then(|| ("workspace paths".to_owned(), "remapped".to_owned()));
        self.digests.clone().into_iter().chain(paths).collect()
    }
}

/// The units of a build.
#[derive(Clone, PartialEq, Debug)]
pub struct BuildPlan {
    /// When the first file of a package in a directory was read. A file that changed later may differ from the plan.
    began: SystemTime,
    units: Vec<Unit>,
    by_root_file: HashMap<Utf8PathBuf, Vec<UnitId>>,
    /// The inputs of each unit's key, for units that have one.
    inputs: Vec<Option<KeyInputs>>,
    key_scope: KeyScope,
    driver: Option<Driver>,
}

impl BuildPlan {
    /// Builds the plan. `content` digests the directory of a unit's package. It is called only for packages that have
    /// no other identity and that cacheable units depend on.
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
            let linked_reason = refused.contains(&UnitId(index)).then_some(UncacheableReason::Linked);
            policy
                .uncacheable_reason(graph, unit)
                .or(linked_reason)
                .or_else(|| flags::uncacheable_reason(inputs, unit, has_targets))
        };
        let reasons: Vec<_> = inputs.graph.units.iter().zip(&units).enumerate().map(uncacheable_reason).collect();
        let mut computed = Keys {
            inputs,
            content: &content,
            units: &units,
            has_targets,
            lto: lto::resolve(inputs.graph),
            keys: vec![None; units.len()],
            key_inputs: vec![None; units.len()],
        };
        let result: Vec<_> =
            reasons.iter().enumerate().map(|(index, reason)| reason.map_or_else(|| computed.key(index), Err)).collect();
        let inputs_of_keys = computed.key_inputs;
        for (unit, key) in units.iter_mut().zip(result) {
            unit.key = key.map(|key| key_scope.digests(unit).fold(key, UnitKey::scoped));
            if !unit.external && unit.key.is_ok() {
                unit.content = content(unit).ok();
            }
        }
        let driver = inputs.driver.clone();
        Ok(Self { inputs: inputs_of_keys, key_scope, driver, ..Self::from_units(units, began) })
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

    /// Whether a unit's key contains something that flags name.
    pub fn knows(&self, id: UnitId, name: &str) -> bool {
        self.key_inputs(id).is_some_and(|inputs| inputs.environment.contains_key(name))
    }

    /// The program in front of rustc for this unit.
    pub fn driver_of(&self, id: UnitId) -> Option<&Driver> {
        self.driver.as_ref().filter(|driver| driver.compiles(self.unit(id)))
    }

    fn key_inputs(&self, id: UnitId) -> Option<&KeyInputs> {
        self.inputs.get(id.0)?.as_ref()
    }

    /// Whether the user's flags choose or configure the linker of a unit.
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

    /// The runs of build scripts whose native code decides what a unit becomes. For a linked unit these are all runs
    /// below it; for any other, those below the procedural macros that its compiler loads. The metadata of a macro does
    /// not show what the macro does.
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

    /// The procedural macros that the compiler may load for a unit: those among its dependencies, direct or not.
    pub fn macros_of(&self, id: UnitId) -> impl Iterator<Item = UnitId> {
        self.crates_loaded_for(id).into_iter().filter(|other| self.is_macro(*other))
    }

    /// The crates whose own macros may call a procedural macro when a unit uses them.
    pub fn callers_of(&self, id: UnitId) -> impl Iterator<Item = UnitId> {
        let crates = self.crates_loaded_for(id).into_iter().filter(|other| !self.is_macro(*other));
        crates.filter(|other| self.macros_of(*other).next().is_some())
    }

    /// Whether a unit is a procedural macro.
    pub fn is_macro(&self, id: UnitId) -> bool {
        self.unit(id).kind == "proc-macro"
    }

    /// The crates that the compiler may load for a unit.
    fn crates_loaded_for(&self, id: UnitId) -> BTreeSet<UnitId> {
        let is_crate = |unit: &Unit| !unit.is_script_run() && unit.kind != "custom-build";
        let (mut open, mut seen) = (vec![id], BTreeSet::new());
        while let Some(id) = open.pop() {
            let unit = self.unit(id);
            let below = unit.dependencies.iter().map(|dependency| dependency.unit);
            // Dependencies of a macro do not reach the users of the macro.
            let is_loaded = seen.is_empty() || !self.is_macro(id);
            if seen.insert(id) && is_loaded {
                open.extend(below.filter(|below| is_crate(self.unit(*below))));
            }
        }
        seen.remove(&id);
        seen
    }

    /// The libraries that the linker of a unit receives: those among its dependencies, direct or not.
    pub fn libraries_of(&self, id: UnitId) -> BTreeSet<UnitId> {
        let mut loaded = self.crates_loaded_for(id);
        loaded.retain(|id| self.unit(*id).is_linkable());
        loaded
    }

    /// The build script of a run.
    pub fn script_of(&self, run: UnitId) -> Option<UnitId> {
        let mut dependencies = self.unit(run).dependencies.iter().map(|dependency| dependency.unit);
        dependencies.find(|id| self.unit(*id).kind == "custom-build" && !self.unit(*id).is_script_run())
    }

    /// Whether a build script of a package runs more than once: for the host and for a target, or in two profiles.
    pub fn runs_several_times(&self, package: &str) -> bool {
        let of_package = |run: &UnitId| self.unit(*run).package == package;
        let mut scripts: Vec<_> = self.script_runs().filter(of_package).filter_map(|run| self.script_of(run)).collect();
        scripts.sort_unstable();
        scripts.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// The matching units and everything that depends on one of them, directly or not. For the run of a build script,
    /// its program is included.
    pub fn with_dependents(&self, matches: impl Fn(&Unit) -> bool) -> BTreeSet<UnitId> {
        let ids = || (0..self.units.len()).map(UnitId);
        let mut found: BTreeSet<_> = ids().filter(|id| matches(self.unit(*id))).collect();
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

    /// The keys of units from external packages: those that a graph index lists.
    pub fn shared_keys(&self) -> impl Iterator<Item = UnitKey> {
        self.units.iter().filter(|unit| unit.external).filter_map(|unit| unit.key.ok())
    }

    /// The manifests of all members.
    pub fn member_manifests(&self) -> BTreeSet<Utf8PathBuf> {
        self.units.iter().filter(|unit| !unit.external).map(|unit| unit.package_dir.join("Cargo.toml")).collect()
    }

    /// The directories of all profiles, relative to the build directory.
    pub fn profile_dirs(&self) -> BTreeSet<String> {
        self.units.iter().map(Unit::profile_dir).collect()
    }

    /// The units as the event of the plan lists them.
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
    let mut described = from_graph(unit, package(inputs, unit)?);
    described.primary = inputs.graph.has_root_in(&unit.pkg_id);
    described.remapped |= inputs.member_inputs.as_ref().is_some_and(|member_inputs| member_inputs.is_remapped);
    Ok(described)
}

/// Describes a graph unit by its own data and its package.
fn from_graph(unit: &GraphUnit, package: &Package) -> Unit {
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

/// The profile's fields: everything that cargo computes a unit's metadata from, including LTO where it does not affect
/// the unit (`core/profiles.rs`, `Profile::comparable`). A build script also receives `PROFILE`, `debug` or `release`,
/// which follows from the profile's name.
fn profile(graph: &GraphUnit, unit: &Unit) -> BTreeMap<String, serde_json::Value> {
    let mut fields = graph.profile.fields.clone();
    fields.insert("lto".into(), graph.profile.lto.clone().into());
    if unit.is_script_run() {
        fields.insert("name".into(), unit.profile_name().into());
    }
    fields
}

/// Computes each key once, depth first.
struct Keys<'a, F> {
    inputs: &'a PlanInputs<'a>,
    content: &'a F,
    units: &'a [Unit],
    has_targets: bool,
    lto: Vec<&'static str>,
    keys: Vec<Option<Result<UnitKey, UncacheableReason>>>,
    key_inputs: Vec<Option<KeyInputs>>,
}

impl<F: Fn(&Unit) -> Result<Digest>> Keys<'_, F> {
    fn key(&mut self, index: usize) -> Result<UnitKey, UncacheableReason> {
        if let Some(key) = self.keys[index] {
            return key;
        }
        let inputs = self.key_inputs(index);
        let key = inputs.as_ref().map(KeyInputs::key).map_err(|reason| *reason);
        self.key_inputs[index] = inputs.ok();
        self.keys[index] = Some(key);
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
            rustflags: flags::user_flags(self.inputs, unit, self.has_targets)
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

    /// A program in front of rustc counts like another compiler.
    fn environment(&self, unit: &Unit) -> BTreeMap<String, String> {
        let mut environment = self.inputs.environment.clone();
        if let Some(driver) = self.inputs.driver.as_ref().filter(|driver| driver.compiles(unit)) {
            environment.extend(driver.identity.clone());
            let primary = (driver.depends_on_primary && unit.primary).then(|| (PRIMARY.to_owned(), "1".to_owned()));
            environment.extend(primary);
        }
        environment
    }

    /// A build script sees the configured variables and linkers.
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
