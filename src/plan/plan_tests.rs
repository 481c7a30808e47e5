//! Keys in a small made-up world: an app uses `alpha`, which uses `beta` and has a build script.

use camino::Utf8Path;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cargo::Rustflags;
use crate::key::unit_inputs::Component;

/// Everything that a key may or may not depend on.
#[derive(Clone, Debug)]
struct World {
    cargo_home: String,
    workspace: String,
    /// Rotates every list.
    rotation: usize,
    unrelated_lock_entries: usize,
    beta_version: String,
    beta_checksum: String,
    alpha_features: Vec<String>,
    edition: String,
    opt_level: String,
    profile_name: String,
    lto: String,
    platform: Option<String>,
    mode: String,
    rustc: String,
    standard_library: String,
    host: Option<String>,
    targets: BTreeMap<String, String>,
    native: Option<String>,
    links: bool,
    cargo: String,
    rustflags: Option<Vec<String>>,
    config: Value,
    environment: BTreeMap<String, String>,
    sees_variables: bool,
    extern_name: String,
    /// A package that belongs to a standard library compiled by cargo.
    standard: Option<String>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            cargo_home: "/home/ann/.cargo".into(),
            workspace: "/home/ann/app".into(),
            rotation: 0,
            unrelated_lock_entries: 0,
            beta_version: "1.0.0".into(),
            beta_checksum: "b".repeat(64),
            alpha_features: vec!["default".into(), "std".into()],
            edition: "2021".into(),
            opt_level: "0".into(),
            profile_name: "dev".into(),
            lto: "false".into(),
            platform: None,
            mode: "build".into(),
            rustc: "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\n".into(),
            standard_library: "libstd-0123.rlib".into(),
            host: Some("glibc 2.36".into()),
            targets: BTreeMap::new(),
            native: Some("gcc 12".into()),
            links: false,
            cargo: "cargo 1.95.0".into(),
            rustflags: None,
            config: json!({}),
            environment: BTreeMap::new(),
            sees_variables: false,
            extern_name: "beta".into(),
            standard: None,
        }
    }
}

/// A host class with this description.
fn class(description: &str) -> HostClass {
    HostClass {
        digest: Digest::of(description),
        components: [("it".to_owned(), Component::described(description))].into(),
    }
}

const HOST: &str = "x86_64-unknown-linux-gnu";
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

impl World {
    fn id(&self, package: &str) -> String {
        match package {
            "app" => format!("path+file://{}#app@0.1.0", self.workspace),
            "beta" => format!("{REGISTRY}#beta@{}", self.beta_version),
            _ => format!("{REGISTRY}#{package}@1.0.0"),
        }
    }

    fn directory(&self, package: &str) -> String {
        match package {
            "app" => self.workspace.clone(),
            _ => format!("{}/registry/src/index.crates.io-0/{package}-1.0.0", self.cargo_home),
        }
    }

    fn version(&self, package: &str) -> String {
        match package {
            "app" => "0.1.0".into(),
            "beta" => self.beta_version.clone(),
            _ => "1.0.0".into(),
        }
    }

    fn rotate<T>(&self, mut list: Vec<T>) -> Vec<T> {
        let by = self.rotation % list.len().max(1);
        list.rotate_left(by);
        list
    }

    fn packages(&self) -> Packages {
        let package = |name: &str| Package {
            name: name.into(),
            version: self.version(name),
            source: match name {
                "app" => PackageSource::Directory,
                _ => PackageSource::Registry(REGISTRY.into()),
            },
            directory: self.directory(name).into(),
            links: self.links && name == "alpha",
            is_of_cargo: name != "app",
        };
        ["app", "alpha", "beta"].into_iter().map(|name| (self.id(name), package(name))).collect()
    }

    fn unit(&self, package: &str, kind: &str, mode: &str, dependencies: &[(usize, &str)]) -> Value {
        let file = if kind == "custom-build" { "build.rs" } else { "src/lib.rs" };
        let crate_type = if kind == "custom-build" { "bin" } else { "lib" };
        let features = if package == "alpha" { self.rotate(self.alpha_features.clone()) } else { vec![] };
        let edges: Vec<_> = dependencies
            .iter()
            .map(|(index, name)| {
                json!({ "index": self.index(*index), "extern_crate_name": name, "public": false, "noprelude": false })
            })
            .collect();
        json!({ "pkg_id": self.id(package), "platform": self.platform, "mode": mode, "features": features,
            "is_std": self.standard.as_deref() == Some(package),
            "target": { "kind": [kind], "crate_types": [crate_type], "name": package, "edition": self.edition,
                "src_path": format!("{}/{file}", self.directory(package)),
                "doc": true, "doctest": true, "test": true },
            "profile": { "name": self.profile_name, "opt_level": self.opt_level, "lto": self.lto,
                "codegen_backend": null, "codegen_units": null, "debuginfo": 2, "split_debuginfo": null,
                "debug_assertions": true, "overflow_checks": true, "rpath": false, "incremental": false,
                "panic": "unwind", "strip": { "deferred": "None" } },
            "dependencies": self.rotate(edges) })
    }

    /// The position of the unit that has this `index` in the unrotated list.
    fn index(&self, index: usize) -> usize {
        (index + 5 - self.rotation % 5) % 5
    }

    /// 0 app, 1 alpha, 2 alpha's build script, 3 its run, 4 beta.
    fn graph(&self) -> UnitGraph {
        let units = vec![
            self.unit("app", "lib", "build", &[(1, "alpha")]),
            self.unit("alpha", "lib", &self.mode, &[(3, "build_script_build"), (4, &self.extern_name)]),
            self.unit("alpha", "custom-build", "build", &[]),
            self.unit("alpha", "custom-build", "run-custom-build", &[(2, "build_script_build")]),
            self.unit("beta", "lib", &self.mode, &[]),
        ];
        let graph = json!({ "version": 1, "units": self.rotate(units), "roots": [self.index(0)] });
        serde_json::from_value(graph).unwrap()
    }

    fn lockfile(&self) -> Lockfile {
        let package = |name: &str, version: &str, checksum: &str| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{REGISTRY}\"\nchecksum = \"{checksum}\"\n"
            )
        };
        let mut packages =
            vec![package("alpha", "1.0.0", &"a".repeat(64)), package("beta", &self.beta_version, &self.beta_checksum)];
        packages.extend((0..self.unrelated_lock_entries).map(|n| package(&format!("other{n}"), "1.0.0", "c")));
        Lockfile::parse(&format!("version = 4\n{}", self.rotate(packages).concat())).unwrap()
    }

    fn toolchain(&self) -> Toolchain {
        Toolchain {
            rustc: self.rustc.clone(),
            cargo: self.cargo.clone(),
            sysroot: "/usr/lib/rust".into(),
            libraries: [(HOST.to_owned(), Digest::of(&self.standard_library))].into(),
            flags: [HOST].into_iter().chain(self.platform.as_deref()).map(|platform| self.flags(platform)).collect(),
            linker: "cc".into(),
            host_class: self.host.as_deref().map(class),
            target_classes: self
                .targets
                .iter()
                .map(|(platform, description)| (platform.clone(), class(description)))
                .collect(),
        }
    }

    /// The flags for a Unix platform.
    fn flags(&self, platform: &str) -> (String, Vec<String>) {
        let config = serde_json::from_value(self.config.clone()).unwrap();
        let encoded = self.rustflags.as_ref().map(|flags| flags.join("\x1f"));
        let variable = |name: &str| match name {
            "CARGO_ENCODED_RUSTFLAGS" => encoded.as_deref(),
            name => self.environment.get(name).map(String::as_str),
        };
        let flags = Rustflags { config: &config, variable: &variable };
        (platform.to_owned(), flags.of(platform, |_| Some("unix\n".into())))
    }

    fn plan(&self) -> BuildPlan {
        self.plan_with(None)
    }

    fn plan_with(&self, member_inputs: Option<MemberInputs>) -> BuildPlan {
        let has_members = member_inputs.is_some();
        let toolchain = self.toolchain();
        let config = serde_json::from_value(self.config.clone()).unwrap();
        let inputs = PlanInputs {
            graph: &self.graph(),
            packages: &self.packages(),
            lockfile: &self.lockfile(),
            toolchain: &toolchain,
            config: &config,
            environment: self
                .environment
                .iter()
                .filter(|(name, _)| !name.ends_with("FLAGS"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            sees_variables: self.sees_variables,
            native: self.native.as_deref().map(class),
            member_inputs,
            driver: None,
        };
        let content = |_: &Unit| {
            assert!(has_members, "no unit here depends on a directory");
            Ok(Digest::of("content"))
        };
        BuildPlan::new(&inputs, content).unwrap()
    }

    /// The app's unit. The app is in this world's workspace, and the session runs in another workspace.
    fn app(&self, workspace: &str, is_remapped: bool) -> Unit {
        let member_inputs = MemberInputs { workspace: workspace.into(), is_remapped, digests: BTreeMap::new() };
        let plan = self.plan_with(Some(member_inputs));
        plan.units.iter().find(|unit| unit.package == "app").unwrap().clone()
    }

    /// The key of a package's library.
    fn key(&self, package: &str) -> UnitKey {
        let plan = self.plan();
        let unit = plan.units.iter().find(|unit| unit.package == package && unit.kind == "lib").unwrap();
        unit.key.unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_key_does_not_depend_on_paths_or_order_or_other_locked_packages(
        cargo_home in "/[a-z]{1,8}(/[a-z .]{1,8}[a-z]){0,2}",
        workspace in "/[a-z]{1,8}(/[a-z]{1,8}){0,2}",
        rotation in 0usize..5,
        unrelated_lock_entries in 0usize..4,
        profile_name in "[a-z]{1,8}",
    ) {
        let world = World { cargo_home, workspace, rotation, unrelated_lock_entries, ..World::default() };
        prop_assert_eq!(world.key("alpha"), World::default().key("alpha"));
        // The build script of `alpha` sees the profile's name.
        let world = World { profile_name, ..world };
        prop_assert_eq!(world.key("beta"), World::default().key("beta"));
    }
}

/// One changed input each, and whether it changes the keys of (alpha, beta).
fn changes() -> Vec<(&'static str, World, (bool, bool))> {
    let world = World::default;
    let flags = |flags: &[&str]| Some(flags.iter().map(|flag| (*flag).to_owned()).collect());
    vec![
        ("features", World { alpha_features: vec!["default".into()], ..world() }, (true, false)),
        ("the name of the profile", World { profile_name: "fast".into(), ..world() }, (true, false)),
        ("edition", World { edition: "2024".into(), ..world() }, (true, true)),
        ("a profile field", World { opt_level: "3".into(), ..world() }, (true, true)),
        ("platform", World { platform: Some("x86_64-unknown-linux-gnu".into()), ..world() }, (true, true)),
        ("mode", World { mode: "check".into(), ..world() }, (true, true)),
        ("rustc", World { rustc: format!("rustc 1.96.0\nhost: {HOST}\n"), ..world() }, (true, true)),
        ("cargo", World { cargo: "cargo 1.96.0".into(), ..world() }, (true, true)),
        ("the standard library", World { standard_library: "libstd-4567.rlib".into(), ..world() }, (true, true)),
        ("version", World { beta_version: "1.0.1".into(), ..world() }, (true, true)),
        ("checksum of the same version", World { beta_checksum: "d".repeat(64), ..world() }, (true, true)),
        ("RUSTFLAGS", World { rustflags: flags(&["-Cdebuginfo=1"]), ..world() }, (true, true)),
        ("--cfg", World { rustflags: flags(&["--cfg", "loom"]), ..world() }, (true, true)),
        ("build.rustflags", World { config: json!({ "build": { "rustflags": ["-g"] } }), ..world() }, (true, true)),
        (
            "target.rustflags",
            World { config: json!({ "target": { "cfg(unix)": { "rustflags": ["-O"] } } }), ..world() },
            (true, true),
        ),
        ("unstable options", World { config: json!({ "-Z": ["gc"] }), ..world() }, (true, true)),
        ("unstable config", World { config: json!({ "unstable": { "x": true } }), ..world() }, (true, true)),
        (
            "environment",
            World { environment: [("RUSTC_BOOTSTRAP".to_owned(), "1".to_owned())].into(), ..world() },
            (true, true),
        ),
        ("the name a dependency has", World { extern_name: "renamed".into(), ..world() }, (true, false)),
    ]
}

#[test]
fn each_input_changes_only_the_keys_that_depend_on_it() {
    let (alpha, beta) = (World::default().key("alpha"), World::default().key("beta"));
    for (what, world, (changes_alpha, changes_beta)) in changes() {
        assert_eq!(world.key("alpha") != alpha, changes_alpha, "alpha, {what}");
        assert_eq!(world.key("beta") != beta, changes_beta, "beta, {what}");
    }
}

#[test]
fn no_two_changes_give_the_same_key() {
    let mut keys: Vec<_> = changes().into_iter().map(|(_, world, _)| world.key("alpha")).collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

#[test]
fn flags_count_wherever_they_are_set_and_only_for_their_platform() {
    let key = |world: World| world.key("alpha");
    let configured = |table: Value| World { config: table, ..World::default() };
    let in_variable = |name: &str| {
        let environment = [(name.to_owned(), "-g --cfg loom".to_owned())].into();
        World { environment, ..World::default() }
    };
    let flags = ["-g", "--cfg", "loom"];
    let one = key(World { rustflags: Some(flags.map(str::to_owned).into()), ..World::default() });
    for world in [
        configured(json!({ "build": { "rustflags": flags } })),
        configured(json!({ "build": { "rustflags": "-g --cfg loom" } })),
        configured(json!({ "target": { HOST: { "rustflags": flags } } })),
        configured(
            json!({ "target": { HOST: { "rustflags": ["-g"] }, "cfg(unix)": { "rustflags": ["--cfg", "loom"] } } }),
        ),
        configured(json!({ "build": { "rustflags": ["-O"] }, "target": { "cfg(unix)": { "rustflags": flags } } })),
        in_variable("CARGO_BUILD_RUSTFLAGS"),
        in_variable("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS"),
    ] {
        let what = format!("{world:?}");
        assert_eq!(key(world), one, "{what}");
    }
    let none = key(World::default());
    for table in ["wasm32-wasip1", "cfg(windows)"] {
        assert_eq!(key(configured(json!({ "target": { table: { "rustflags": flags } } }))), none, "{table}");
    }
    let reversed = World { rustflags: Some(vec!["--cfg".into(), "loom".into(), "-g".into()]), ..World::default() };
    assert_ne!(key(reversed), one);
}

#[test]
fn with_a_target_flags_do_not_apply_to_the_host() {
    let flags = Some(vec!["-g".to_owned()]);
    let cross = World { platform: Some("aarch64-unknown-linux-gnu".into()), ..World::default() };
    let with_flags = World { rustflags: flags, ..cross.clone() };
    assert_ne!(with_flags.key("beta"), cross.key("beta"));

    let host_graph = |world: &World| {
        let mut graph = world.graph();
        graph.units.iter_mut().filter(|unit| unit.pkg_id.contains("#beta@")).for_each(|unit| unit.platform = None);
        graph
    };
    let key = |world: &World| {
        let toolchain = world.toolchain();
        let inputs = PlanInputs {
            graph: &host_graph(world),
            packages: &world.packages(),
            lockfile: &world.lockfile(),
            toolchain: &toolchain,
            config: &CargoConfig::default(),
            environment: BTreeMap::new(),
            native: None,
            sees_variables: false,
            member_inputs: None,
            driver: None,
        };
        let plan = BuildPlan::new(&inputs, |_| unreachable!()).unwrap();
        plan.units.iter().find(|unit| unit.package == "beta").unwrap().key
    };
    assert_eq!(key(&with_flags), key(&cross));
}

/// The reasons why alpha's library and the run of its build script have no key.
fn reasons(world: &World) -> [Option<UncacheableReason>; 2] {
    let units = world.plan().units;
    [units[1].key.err(), units[3].key.err()]
}

#[test]
fn units_are_uncacheable_under_flags_that_no_key_covers() {
    let in_variable = |name: &str, flags: &str| [(name.to_owned(), flags.to_owned())].into();
    for (flags, reason) in [
        ("-C target-cpu=native", UncacheableReason::HostCpu),
        ("-Ctarget-cpu=native", UncacheableReason::HostCpu),
        ("-Ctarget_cpu=native", UncacheableReason::HostCpu),
        ("-L /crates", UncacheableReason::CompilerInput),
        ("-Cprofile-use=/some.profdata", UncacheableReason::CompilerInput),
    ] {
        let list: Vec<_> = flags.split(' ').map(str::to_owned).collect();
        let configured = |table: Value| World { config: table, ..World::default() };
        let worlds = [
            World { rustflags: Some(list.clone()), ..World::default() },
            World { rustflags: Some(list.clone()), platform: Some(HOST.into()), ..World::default() },
            configured(json!({ "build": { "rustflags": flags } })),
            configured(json!({ "target": { HOST: { "rustflags": list } } })),
            configured(json!({ "target": { "cfg(unix)": { "rustflags": list } } })),
            World { environment: in_variable("CARGO_BUILD_RUSTFLAGS", flags), ..World::default() },
            World {
                environment: in_variable("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", flags),
                ..World::default()
            },
        ];
        for world in worlds {
            assert_eq!(reasons(&world), [Some(reason); 2], "{world:?}");
        }
        for other in ["wasm32-wasip1", "cfg(windows)"] {
            let other = configured(json!({ "target": { other: { "rustflags": list } } }));
            assert_eq!(reasons(&other), [None; 2], "flags for another platform");
        }
    }
    let harmless = World { rustflags: Some(vec!["-Lnative=/lib".into()]), ..World::default() };
    assert_eq!(reasons(&harmless), [None; 2]);
}

#[test]
fn units_for_the_host_do_not_get_the_flags_of_the_target() {
    let flags = Some(vec!["-Ctarget-cpu=native".to_owned()]);
    let cross = World { platform: Some("aarch64-unknown-linux-gnu".into()), rustflags: flags, ..World::default() };
    let mut graph = cross.graph();
    graph.units.iter_mut().filter(|unit| unit.pkg_id.contains("#beta@")).for_each(|unit| unit.platform = None);
    let toolchain = cross.toolchain();
    let inputs = PlanInputs {
        graph: &graph,
        packages: &cross.packages(),
        lockfile: &cross.lockfile(),
        toolchain: &toolchain,
        config: &CargoConfig::default(),
        environment: BTreeMap::new(),
        native: None,
        sees_variables: false,
        member_inputs: None,
        driver: None,
    };
    let units = BuildPlan::new(&inputs, |_| unreachable!()).unwrap().units;
    assert_eq!((units[3].key.err(), units[4].key.err()), (Some(UncacheableReason::HostCpu), None));
}

#[test]
fn the_lto_setting_of_a_dependent_that_links_a_library_counts() {
    let thin = World { lto: "thin".into(), ..World::default() };
    assert_ne!(thin.key("beta"), World::default().key("beta"));
}

#[test]
fn a_compiled_standard_library_and_its_dependents_are_not_cached() {
    let plan = World { standard: Some("beta".into()), ..World::default() }.plan();
    let reasons: Vec<_> = plan.units.iter().map(|unit| unit.key.err()).collect();
    let of_library = Some(UncacheableReason::StandardLibrary);
    assert_eq!(reasons[1..], [of_library, None, None, of_library]);
}

#[test]
fn lto_counts_for_units_that_are_never_linked_with_it() {
    let key = |lto: &str| World { lto: lto.into(), ..World::default() }.plan().units[2].key;
    assert_eq!(key("false"), key("false"));
    assert_ne!(key("off"), key("false"), "cargo gives the build script another hash");
}

/// The keys of alpha's library, its build script, the run of that script, and beta.
fn keys_on(host: Option<&str>) -> Vec<Result<UnitKey, UncacheableReason>> {
    let plan = World { host: host.map(Into::into), ..World::default() }.plan();
    plan.units[1..].iter().map(|unit| unit.key).collect()
}

#[test]
fn units_that_are_linked_or_run_are_valid_for_one_host_class_and_their_dependents_for_all() {
    let (older, newer) = (keys_on(Some("glibc 2.31")), keys_on(Some("glibc 2.36")));
    let differs: Vec<_> = older.iter().zip(&newer).map(|(older, newer)| older != newer).collect();
    assert_eq!(differs, [false, true, true, false]);
}

#[test]
fn units_that_are_linked_or_run_have_no_key_on_an_unknown_host() {
    let keys = keys_on(None);
    assert_eq!(keys[1..3], [Err(UncacheableReason::BuildScript), Err(UncacheableReason::BuildScriptRun)]);
    assert_eq!((keys[0], keys[3]), (keys_on(Some("any"))[0], keys_on(Some("any"))[3]));
}

/// The keys of a program for a platform, of a library for it, and of the run of its build script.
fn keys_for(platform: &str, host: &str, targets: &[(&str, &str)]) -> [Result<UnitKey, UncacheableReason>; 3] {
    let targets =
        targets.iter().map(|(platform, description)| ((*platform).to_owned(), (*description).to_owned())).collect();
    let world = World { host: Some(host.into()), platform: Some(platform.into()), targets, ..World::default() };
    let mut graph = world.graph();
    graph.units[0].target.kind = vec!["bin".into()];
    graph.units[0].target.crate_types = vec!["bin".into()];
    graph.units[0].pkg_id = world.id("beta");
    let toolchain = world.toolchain();
    let inputs = PlanInputs {
        graph: &graph,
        packages: &world.packages(),
        lockfile: &world.lockfile(),
        toolchain: &toolchain,
        config: &CargoConfig::default(),
        environment: BTreeMap::new(),
        native: None,
        sees_variables: false,
        member_inputs: None,
        driver: None,
    };
    let units = BuildPlan::new(&inputs, |_| unreachable!()).unwrap().units;
    [0, 4, 3].map(|index| units[index].key)
}

#[test]
fn a_program_for_another_platform_is_valid_for_one_linker_of_that_platform() {
    const WINDOWS: &str = "x86_64-pc-windows-gnu";
    let one = keys_for(WINDOWS, "glibc 2.36", &[(WINDOWS, "mingw 12")]);
    assert!(one.iter().all(Result::is_ok), "{one:?}");
    assert_eq!(keys_for(WINDOWS, "glibc 2.36", &[(WINDOWS, "mingw 12"), ("wasm32-wasip1", "lld")]), one);
    let differs = |other: [Result<UnitKey, UncacheableReason>; 3]| [0, 1, 2].map(|index| other[index] != one[index]);
    assert_eq!(differs(keys_for(WINDOWS, "glibc 2.36", &[(WINDOWS, "mingw 13")])), [true, false, false]);
    // The script is linked and run on this host.
    assert_eq!(differs(keys_for(WINDOWS, "glibc 2.41", &[(WINDOWS, "mingw 12")])), [false, false, true]);
    let unknown = keys_for(WINDOWS, "glibc 2.36", &[("wasm32-wasip1", "lld")]);
    assert_eq!((unknown[0], &unknown[1..]), (Err(UncacheableReason::Bin), &one[1..]));
}

/// The keys of a library of these types, of its dependent, and of a build script's program.
fn keys_with(types: &[&str], host: Option<&str>) -> [Result<UnitKey, UncacheableReason>; 3] {
    let world = World { host: host.map(Into::into), ..World::default() };
    let mut graph = world.graph();
    graph.units[4].target.kind = types.iter().map(|of| (*of).to_owned()).collect();
    graph.units[4].target.crate_types = graph.units[4].target.kind.clone();
    let toolchain = world.toolchain();
    let inputs = PlanInputs {
        graph: &graph,
        packages: &world.packages(),
        lockfile: &world.lockfile(),
        toolchain: &toolchain,
        config: &CargoConfig::default(),
        environment: BTreeMap::new(),
        native: None,
        sees_variables: false,
        member_inputs: None,
        driver: None,
    };
    let units = BuildPlan::new(&inputs, |_| unreachable!()).unwrap().units;
    [4, 1, 2].map(|index| units[index].key)
}

#[test]
fn a_library_for_other_languages_is_valid_for_one_host_class_and_its_dependents_for_all() {
    for types in [&["cdylib"][..], &["staticlib"], &["cdylib", "lib"], &["staticlib", "cdylib", "rlib"]] {
        let [older, newer] = ["glibc 2.31", "glibc 2.36"].map(|host| keys_with(types, Some(host)));
        assert!(older.iter().all(Result::is_ok), "{types:?}: {older:?}");
        assert_eq!([0, 1, 2].map(|index| older[index] != newer[index]), [true, false, true], "{types:?}");
        let unknown = keys_with(types, None);
        assert_eq!(
            unknown,
            [Err(UncacheableReason::Linked), older[1], Err(UncacheableReason::BuildScript)],
            "{types:?}"
        );
    }
    let [older, newer] = ["glibc 2.31", "glibc 2.36"].map(|host| keys_with(&["lib", "rlib"], Some(host)));
    assert_eq!(older[0], newer[0], "it is not linked");
    assert_eq!(keys_with(&["dylib"], Some("glibc 2.36"))[0], Err(UncacheableReason::Linked), "it has a dependent");
}

#[test]
fn a_program_for_the_platform_of_the_host_is_valid_for_one_host_class() {
    let [older, newer] = ["glibc 2.31", "glibc 2.36"].map(|host| keys_for(HOST, host, &[]));
    assert!(older[0].is_ok() && older[0] != newer[0]);
    assert_eq!(older[1], newer[1]);
}

/// The same keys if alpha's manifest has `links`.
fn native_keys(native: Option<&str>) -> Vec<Result<UnitKey, UncacheableReason>> {
    let plan = World { native: native.map(Into::into), links: true, ..World::default() }.plan();
    plan.units[1..].iter().map(|unit| unit.key).collect()
}

#[test]
fn the_output_of_a_native_script_is_valid_for_hosts_with_the_same_compiler() {
    let (older, newer) = (native_keys(Some("gcc 12")), native_keys(Some("gcc 13")));
    let differs: Vec<_> = older.iter().zip(&newer).map(|(older, newer)| older != newer).collect();
    assert_eq!(differs, [true, false, true, false]);
    assert_ne!(older[2], keys_on(Some("glibc 2.36"))[2], "a script without native code");
    assert_eq!(native_keys(None)[2], Err(UncacheableReason::Native));
}

#[test]
fn a_program_linked_with_native_code_is_valid_for_hosts_with_the_same_compiler() {
    let app = |native: &str, links| {
        let world = World { native: Some(native.into()), links, ..World::default() };
        let mut graph = world.graph();
        graph.units[0].target.kind = vec!["bin".into()];
        graph.units[0].target.crate_types = vec!["bin".into()];
        graph.units[0].pkg_id = world.id("beta");
        let toolchain = world.toolchain();
        let inputs = PlanInputs {
            graph: &graph,
            packages: &world.packages(),
            lockfile: &world.lockfile(),
            toolchain: &toolchain,
            config: &CargoConfig::default(),
            environment: BTreeMap::new(),
            sees_variables: false,
            native: world.native.as_deref().map(class),
            member_inputs: None,
            driver: None,
        };
        BuildPlan::new(&inputs, |_| unreachable!()).unwrap().units[0].key.unwrap()
    };
    assert_ne!(app("gcc 12", true), app("gcc 13", true));
    assert_eq!(app("gcc 12", false), app("gcc 13", false));
}

#[test]
fn a_build_script_sees_configured_variables_and_linkers() {
    let run = |config: Value| World { config, ..World::default() }.plan().units[3].key.unwrap();
    let none = run(json!({}));
    assert_ne!(run(json!({ "env": { "A": "b" } })), none);
    for target in [HOST, "cfg(unix)"] {
        assert_ne!(run(json!({ "target": { target: { "linker": "ld" } } })), none, "{target}");
        assert_ne!(run(json!({ "target": { target: { "foo": { "rustc-link-lib": ["foo"] } } } })), none, "{target}");
        assert_eq!(run(json!({ "target": { target: { "runner": "qemu" } } })), none, "{target}");
    }
    assert_eq!(run(json!({ "target": { "x": { "linker": "ld" } } })), none);
    let seen = |config: Value| World { config, sees_variables: true, ..World::default() }.plan().units[3].key.unwrap();
    assert_eq!(seen(json!({ "env": { "A": "b" } })), none, "the variables that it reads are conditions");
}

#[test]
fn a_package_without_a_checksum_and_its_dependents_have_no_key() {
    let world = World::default();
    let toolchain = world.toolchain();
    let lockfile = Lockfile::parse("version = 4").unwrap();
    let inputs = PlanInputs {
        graph: &world.graph(),
        packages: &world.packages(),
        lockfile: &lockfile,
        toolchain: &toolchain,
        config: &CargoConfig::default(),
        environment: BTreeMap::new(),
        native: None,
        sees_variables: false,
        member_inputs: None,
        driver: None,
    };
    let plan = BuildPlan::new(&inputs, |_| unreachable!()).unwrap();
    assert_eq!(plan.cacheable(), []);
    let reasons: Vec<_> = plan.units.iter().map(|unit| unit.key.unwrap_err()).collect();
    assert_eq!(
        reasons,
        [
            UncacheableReason::Path,
            UncacheableReason::NoIdentity,
            UncacheableReason::NoIdentity,
            UncacheableReason::NoIdentity,
            UncacheableReason::NoIdentity
        ]
    );
}

#[test]
fn an_invocation_is_identified_by_its_source_features_platform_and_mode() {
    let plan = World::default().plan();
    let script_features = |arguments: &str, script_features: &[&str]| {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        plan.identify(
            &crate::rustc::Invocation::parse(&arguments),
            Utf8Path::new("/home/ann/app"),
            &BTreeMap::new(),
            &BTreeSet::new(),
            |_| script_features.iter().map(|feature| (*feature).to_owned()).collect(),
        )
    };
    let call = |arguments: &str| script_features(arguments, &[]);
    let alpha = "--crate-name alpha /home/ann/.cargo/registry/src/index.crates.io-0/alpha-1.0.0/src/lib.rs \
                 --crate-type lib --emit=dep-info,metadata,link --out-dir o \
                 --cfg feature=\"default\" --cfg feature=\"std\"";
    assert_eq!(call(alpha), Some(UnitId(1)));
    assert_eq!(call("--crate-name app src/lib.rs --crate-type lib --emit=link --out-dir o"), Some(UnitId(0)));
    assert_eq!(call(&alpha.replace("--cfg feature=\"std\"", "")), None);
    let with_another = format!("{alpha} --cfg feature=\"another\"");
    assert_eq!(call(&with_another), None);
    assert_eq!(script_features(&with_another, &["another"]), Some(UnitId(1)), "its build script printed the feature");
    assert_eq!(script_features(&with_another, &["another", "std"]), Some(UnitId(1)));
    assert_eq!(script_features(&with_another, &["third"]), None);
    assert_eq!(call(&alpha.replace(",link", "")), None);
    assert_eq!(call(&format!("{alpha} --target x86_64-unknown-linux-gnu")), None);
    assert_eq!(call(&format!("{alpha} --test")), None);
    assert_eq!(call(&alpha.replace("alpha-1.0.0", "alpha-2.0.0")), None);
}

#[test]
fn units_with_a_key_and_their_dependencies_have_inputs() {
    let world = World { links: true, native: Some("gcc 12".into()), ..World::default() };
    let plan = world.plan();
    let all = plan.unit_inputs_below(plan.cacheable().into_iter().map(|(id, _)| id));
    for (id, key) in plan.cacheable() {
        let unit_inputs = &all[&id];
        assert_eq!((unit_inputs.stored, unit_inputs.package().split(' ').next()), (key, Some(&*plan.unit(id).package)));
        assert_eq!(unit_inputs.key, unit_inputs.inputs.key(), "this world has no hidden values");
        for dependency in &unit_inputs.inputs.dependencies {
            assert!(all.values().any(|other| other.key == dependency.key), "{dependency:?}");
            assert!(unit_inputs.names.contains_key(&dependency.key), "{dependency:?}");
        }
        assert_eq!(unit_inputs.key == key, unit_inputs.scope.is_empty(), "{}", unit_inputs.package());
    }
    assert!(all.values().any(|unit_inputs| !unit_inputs.scope.is_empty()));
}

#[test]
fn inputs_hide_the_values_that_the_configuration_sets_for_build_scripts() {
    let world =
        World { config: json!({ "env": { "TOKEN": "SECRET" }, "unstable": { "x": true } }), ..World::default() };
    let plan = world.plan();
    let all: Vec<_> = plan.cacheable().into_iter().filter_map(|(id, _)| plan.unit_inputs(id)).collect();
    let kept = serde_json::to_string(&all).unwrap();
    assert!(kept.contains("env.TOKEN") && kept.contains("unstable.x") && !kept.contains("SECRET"), "{kept}");
}

#[path = "golden_tests.rs"]
mod golden;

#[test]
fn a_member_is_valid_in_its_own_workspace_and_with_remapped_paths_in_all() {
    let at = |directory: &str, workspace: &str, is_remapped| {
        World { workspace: directory.into(), ..World::default() }.app(workspace, is_remapped)
    };
    let key = |directory: &str, is_remapped| at(directory, directory, is_remapped).key.unwrap();
    assert_ne!(key("/home/ann/app", false), key("/w", false));
    assert_eq!(key("/home/ann/app", true), key("/w", true));
    assert_ne!(key("/w", false), key("/w", true));
    assert_eq!([false, true].map(|is_remapped| at("/w", "/w", is_remapped).remapped), [false, true]);
    // A package outside of the workspace is valid at its own path, whatever the workspace.
    let outside = |directory: &str, workspace: &str| at(directory, workspace, true).key.unwrap();
    assert_eq!(outside("/other/app", "/w"), outside("/other/app", "/home/ann"));
    assert_ne!(outside("/other/app", "/w"), outside("/another/app", "/w"));
    assert_ne!(outside("/other/app", "/w"), outside("/other/app", "/other"));
}

#[test]
fn dependents_of_a_package_outside_are_valid_at_the_path_of_that_package() {
    let world = World { mode: "build".into(), ..World::default() };
    let member_inputs = MemberInputs { workspace: "/w".into(), is_remapped: true, digests: BTreeMap::new() };
    let plan = world.plan_with(Some(member_inputs));
    let outside = |name: &str| {
        let unit = plan.units.iter().find(|unit| unit.package == name && unit.kind == "lib").unwrap();
        unit.outside_dirs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(outside("app"), [world.workspace.as_str()]);
    assert_eq!(outside("alpha"), [""; 0], "it does not depend on a package outside");
    let mut units = plan.units.clone();
    let app = units.iter().position(|unit| unit.package == "app").unwrap();
    let beta = units.iter().position(|unit| unit.package == "beta").unwrap();
    units.iter_mut().for_each(|unit| unit.outside_dirs.clear());
    units[beta].external = false;
    external_paths::mark(Utf8Path::new(&world.workspace), &mut units);
    assert_eq!(units[app].outside_dirs, [units[beta].package_dir.clone()].into(), "the dependency may be indirect");
}
