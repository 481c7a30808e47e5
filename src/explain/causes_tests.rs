//! Causes in a small workspace: `app` depends on `apex` and `lone`, `apex` on `middle`, and `middle` on `base`.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::words::{RemoteHistory, text};
use super::*;
use crate::event::{Difference, UncacheableReason};
use crate::key::unit_inputs::Component;
use crate::key::{DependencyKey, KeyInputs};
use crate::report::tests::{assert_page, missed, unit};
use crate::store::input_history::tests::unit_inputs_of;

const NAMES: [&str; 5] = ["base", "middle", "apex", "lone", "app"];

/// The unit inputs of a build.
type Build = BTreeMap<UnitId, UnitInputs>;

fn inputs(name: &str) -> KeyInputs {
    KeyInputs {
        version: "1.0.0".into(),
        source: match name {
            "app" => Source::Directory { content: Digest::of("app") },
            name => Source::Registry { registry: "crates".into(), checksum: name.into() },
        },
        target_name: name.into(),
        profile: [("opt_level".to_owned(), json!("0"))].into(),
        ..unit_inputs_of(name, 1).inputs
    }
}

fn dependencies(name: &str) -> &'static [&'static str] {
    match name {
        "middle" => &["base"],
        "apex" => &["middle"],
        "app" => &["apex", "lone"],
        _ => &[],
    }
}

/// Packages with the names of their dependencies, which come before them.
type Packages = Vec<(String, Vec<String>)>;

/// A build of packages with some inputs changed.
fn graph(packages: &Packages, change: impl Fn(&mut KeyInputs)) -> Build {
    let mut all = Build::new();
    for (name, dependencies) in packages {
        let mut inputs = inputs(name);
        change(&mut inputs);
        let mut names = BTreeMap::new();
        for dependency in dependencies {
            let of = all.values().find(|unit_inputs| unit_inputs.inputs.name == *dependency).unwrap();
            names.insert(of.key, of.package());
            let (extern_name, noprelude, key) = (dependency.clone(), false, of.key);
            inputs.dependencies.insert(DependencyKey { extern_name, noprelude, key });
        }
        all.insert(UnitId(all.len()), UnitInputs::new(&inputs, inputs.key(), BTreeMap::new(), names));
    }
    all
}

/// A build of the small workspace with some inputs changed.
fn build(change: impl Fn(&mut KeyInputs)) -> Build {
    let dependencies = |name: &str| dependencies(name).iter().map(ToString::to_string).collect::<Vec<_>>();
    let package = |name: &str| (name.to_owned(), dependencies(name));
    graph(&NAMES.map(package).into(), change)
}

/// A build in which `base` has another version.
fn build_with_base(version: &str) -> Build {
    build(|inputs| {
        if inputs.name == "base" {
            inputs.version = version.into();
        }
    })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The input history after these builds, each at its time.
fn history_of(builds: &[(i64, &Build)]) -> impl Fn(Digest) -> Vec<RecordedInputs> {
    let recorded = |second: i64, unit_inputs: &UnitInputs| RecordedInputs {
        at: at(second),
        before: None,
        unit_inputs: unit_inputs.clone(),
    };
    let known = builds.iter().flat_map(|(second, build)| build.values().map(move |inputs| recorded(*second, inputs)));
    let known: Vec<_> = known.collect();
    move |identity| known.iter().filter(|known| known.unit_inputs.identity() == identity).cloned().collect()
}

/// The last build, which began at 100.
fn last_build(unit_inputs: Build) -> LastBuild {
    LastBuild { started: Some(at(100)), unit_inputs, ..LastBuild::default() }
}

/// The verdicts on all units of a build. The key of each is absent.
fn verdicts(now: &Build, known: &[(i64, &Build)]) -> Vec<Verdict> {
    let last = last_build(now.clone());
    let causes = Causes::new(&last, history_of(known));
    let absent = |name| unit(name, missed(MissReason::Absent, None));
    NAMES.into_iter().enumerate().map(|(index, name)| causes.of(UnitId(index), &absent(name))).collect()
}

/// The verdicts in words, a line for each unit: when the inputs that it was compared with were recorded, its own causes,
/// and those that it inherits.
fn lines(now: &Build, known: &[(i64, &Build)]) -> String {
    let words = |(subject, what): &FoundCause| text(subject, what, RemoteHistory::NoRemote, None);
    let line = |(name, verdict): (&str, Verdict)| {
        let compared = verdict.compared_with.map(|at| format!(" (compared with {})", at.as_second()));
        let own = verdict.own.iter().map(words);
        let inherited = verdict.inherited.iter().map(|found| format!("inherits {}", words(found)));
        let causes: Vec<_> = own.chain(inherited).collect();
        format!("  {name}{}: {}\n", compared.unwrap_or_default(), causes.join("; "))
    };
    NAMES.into_iter().zip(verdicts(now, known)).map(line).collect()
}

fn package(name: &str, version: &str) -> Subject {
    Subject::Package(name.into(), version.into(), name == "app")
}

fn version(from: &str, to: &str) -> CauseKind {
    changed(vec![Change { input: Input::Version, name: None, from: Some(from.into()), to: Some(to.into()) }])
}

/// What happens, the build, and the builds before it, each at its time.
type Scenario<'a> = (&'a str, &'a Build, &'a [(i64, &'a Build)]);

#[test]
fn verdicts_are_as_checked_in() {
    let (before, now) = (build(|_| {}), build_with_base("1.0.1"));
    let [older, other] = ["1.0.0-rc", "2.0.0"].map(build_with_base);
    let flags = build(|inputs| inputs.rustflags.push("-g".into()));
    let checked = build(|inputs| inputs.mode = "check".into());
    let two_packages = build(|inputs| match inputs.name.as_str() {
        "base" => inputs.version = "1.0.1".into(),
        "lone" => inputs.features = ["loud".to_owned()].into(),
        _ => {}
    });
    let release = build(|inputs| {
        inputs.profile = [("opt_level".to_owned(), json!("3"))].into();
        inputs.lto = "run".into();
    });
    let only_middle: Build = before.clone().into_iter().filter(|(_, unit)| unit.inputs.name == "middle").collect();
    let mut without_lone = before.clone();
    let app = without_lone.get_mut(&UnitId(4)).unwrap();
    app.inputs.dependencies.retain(|dependency| dependency.extern_name != "lone");
    app.stored = app.inputs.key();
    let mut scoped = before.clone();
    for unit_inputs in scoped.values_mut() {
        unit_inputs.scope.insert("linker".into(), Component::described("cc 13"));
        unit_inputs.stored = unit_inputs.key.scoped(Digest::of("cc 13"));
    }
    let scenarios: [Scenario<'_>; 14] = [
        ("the change of a package is the only cause for its dependents", &now, &[(1, &before)]),
        ("a change of the whole build is one cause", &flags, &[(1, &before)]),
        ("a unit inherits the causes of all its dependencies", &two_packages, &[(1, &before)]),
        ("units are compared with the inputs with fewest differences", &now, &[(5, &before), (9, &release)]),
        ("among these with the latest", &now, &[(5, &before), (9, &older)]),
        ("and with a compatible version", &now, &[(5, &before), (9, &other)]),
        ("records of this build are ignored", &now, &[(100, &now)]),
        ("and those of later ones", &now, &[(100, &now), (101, &before)]),
        ("without records, all is new", &now, &[]),
        ("a dependency without history is compared by version", &now, &[(1, &only_middle)]),
        ("an added dependency is a change of its dependent", &before, &[(1, &without_lone)]),
        ("and so is a removed one", &without_lone, &[(1, &before)]),
        ("another mode is a change of the build", &checked, &[(1, &before)]),
        ("and so is another scope", &scoped, &[(1, &before)]),
    ];
    let scenarios = scenarios.iter().map(|(name, now, known)| format!("{name}:\n{}", lines(now, known)));
    assert_page("verdicts.txt", &scenarios.collect::<String>());
}

#[test]
fn versions_are_compatible_as_cargo_understands_it() {
    for (one, other, expected) in
        [("1.0.1", "1.9.0", true), ("1.0.0", "2.0.0", false), ("0.2.1", "0.2.7", true), ("0.2.1", "0.3.0", false)]
    {
        assert_eq!(is_compatible(one, other), expected, "{one} {other}");
    }
}

#[test]
fn each_unit_of_a_graph_is_compared_once() {
    // Each of 60 layers has two packages that depend on both packages of the layer below: 2^60 paths.
    let layer = |layer: usize| ["a", "b"].map(|side| format!("{side}{layer}"));
    let below = |index: usize| index.checked_sub(1).map_or_else(Vec::new, |below| layer(below).into());
    let packages: Packages = (0..60).flat_map(|index| layer(index).map(|name| (name, below(index)))).collect();
    let build = |version: &str| {
        graph(&packages, |inputs| {
            if inputs.name == "a0" {
                inputs.version = version.into();
            }
        })
    };
    let (before, now) = (build("1.0.0"), build("1.0.1"));
    let last = last_build(now);
    let causes = Causes::new(&last, history_of(&[(1, &before)]));
    let verdict = causes.of(UnitId(119), &unit("b59", missed(MissReason::Absent, None)));
    assert_eq!(verdict.inherited, [(package("a0", "1.0.1"), version("1.0.0", "1.0.1"))].into());
}

#[test]
fn units_whose_key_is_not_absent_have_the_cause_of_their_outcome() {
    let variable = Difference::Variable { name: "GREETING".into() };
    let differences = BTreeMap::from([(UnitId(1), BTreeSet::from([variable.clone()]))]);
    let last = LastBuild { differences, ..last_build(build(|_| {})) };
    let causes = Causes::new(&last, |_| Vec::new());
    let (base, middle) = (package("base", "1.0.0"), package("middle", "1.0.0"));
    let unusable = |reason| CauseKind::Unusable { reason, differences: vec![] };
    let reasons = [
        MissReason::Corrupt,
        MissReason::Dependency,
        MissReason::Invocation,
        MissReason::Environment,
        MissReason::Input,
        MissReason::PathBound,
        MissReason::Restore,
    ];
    let own = reasons.map(|reason| (0, missed(reason, None), base.clone(), unusable(reason)));
    let environment = CauseKind::Unusable { reason: MissReason::Environment, differences: vec![variable] };
    let (doc, outside) = (UncacheableReason::Doc, UncacheableReason::OutsideInput);
    let uncacheable = Outcome::Uncacheable { reason: doc, compile_ms: None, failed: false };
    let others = [
        (0, missed(MissReason::RemoteFailed, None), Subject::Build, unusable(MissReason::RemoteFailed)),
        (1, missed(MissReason::Environment, None), middle.clone(), environment.clone()),
        (1, missed(None, None), middle, environment),
        (0, missed(None, None), base.clone(), CauseKind::Again),
        (0, missed(MissReason::Absent, Some(outside)), base.clone(), CauseKind::NotKept { reason: outside }),
        (0, uncacheable, base.clone(), CauseKind::Uncacheable { reason: doc }),
    ];
    for (index, outcome, subject, what) in own.into_iter().chain(others) {
        let verdict = causes.of(UnitId(index), &unit(NAMES[index], outcome));
        assert_eq!(verdict.own, [(subject, what)].into());
    }
    assert_eq!(causes.of(UnitId(0), &unit("base", Outcome::Fresh)), Verdict::default());
    let forgotten = LastBuild::default();
    let verdict =
        Causes::new(&forgotten, |_| Vec::new()).of(UnitId(0), &unit("base", missed(MissReason::Absent, None)));
    assert_eq!(verdict.own, [(base, CauseKind::Unknown)].into());
}
