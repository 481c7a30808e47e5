//! Causes over a small made-up world: `app` needs `apex` and `lone`, `apex` needs `middle`, `middle` needs `base`.

use serde_json::json;

use super::*;
use crate::event::{Difference, UncacheableReason};
use crate::key::unit_inputs::Component;
use crate::key::{DependencyKey, KeyInputs};

const NAMES: [&str; 5] = ["base", "middle", "apex", "lone", "app"];

/// A build of the world. Each function changes what a package is made from.
struct World {
    unit_inputs: BTreeMap<UnitId, UnitInputs>,
}

fn inputs(name: &str) -> KeyInputs {
    KeyInputs {
        rustc: "rustc 1.94.0\nhost: here\n".into(),
        standard_library: None,
        cargo: "cargo 1.94.0".into(),
        name: name.into(),
        version: "1.0.0".into(),
        source: match name {
            "app" => Source::Directory { content: Digest::of("app") },
            name => Source::Registry { registry: "crates".into(), checksum: name.into() },
        },
        target_kind: ["lib".to_owned()].into(),
        target_name: name.into(),
        crate_types: BTreeSet::new(),
        root_file: "src/lib.rs".into(),
        edition: "2024".into(),
        mode: "build".into(),
        profile: [("opt_level".to_owned(), json!("0"))].into(),
        lto: "off".into(),
        features: BTreeSet::new(),
        platform: None,
        rustflags: Vec::new(),
        environment: BTreeMap::new(),
        member_inputs: BTreeMap::new(),
        config: BTreeMap::new(),
        dependencies: BTreeSet::new(),
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

/// The world with some inputs changed.
fn world(change: impl Fn(&mut KeyInputs)) -> World {
    let mut all: BTreeMap<UnitId, UnitInputs> = BTreeMap::new();
    for (index, name) in NAMES.into_iter().enumerate() {
        let mut inputs = inputs(name);
        change(&mut inputs);
        let mut names = BTreeMap::new();
        for dependency in dependencies(name) {
            let of = all.values().find(|unit_inputs| unit_inputs.inputs.name == *dependency).unwrap();
            let key = of.key;
            names.insert(key, of.package());
            inputs.dependencies.insert(DependencyKey { extern_name: (*dependency).into(), noprelude: false, key });
        }
        all.insert(UnitId(index), UnitInputs::new(&inputs, inputs.key(), BTreeMap::new(), names));
    }
    World { unit_inputs: all }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What was recorded, each world at its time.
fn history_of(worlds: &[(i64, &World)]) -> impl Fn(Digest) -> Vec<RecordedInputs> {
    let known = worlds.iter().flat_map(|(second, world)| {
        world.unit_inputs.values().map(|unit_inputs| RecordedInputs {
            at: at(*second),
            before: None,
            unit_inputs: unit_inputs.clone(),
        })
    });
    let known: Vec<_> = known.collect();
    move |identity| known.iter().filter(|known| known.unit_inputs.identity() == identity).cloned().collect()
}

fn unit(name: &str, outcome: Outcome) -> UnitReport {
    UnitReport {
        package: name.into(),
        version: "1.0.0".into(),
        target: name.into(),
        kind: "lib".into(),
        mode: "build".into(),
        platform: None,
        dependencies: Vec::new(),
        features: Vec::new(),
        key: None,
        rejected: None,
        outcome,
    }
}

fn miss(reason: Option<MissReason>, not_recorded: Option<UncacheableReason>) -> Outcome {
    Outcome::Miss { reason, compile_ms: 1, failed: false, recorded_bytes: None, path_bound: false, not_recorded }
}

/// The verdicts on all units of a world that begins to be built at 100, each a miss of its key.
fn verdicts(now: &World, known: &[(i64, &World)]) -> Vec<Verdict> {
    let last = LastBuild { started: Some(at(100)), unit_inputs: now.unit_inputs.clone(), ..LastBuild::default() };
    let causes = Causes::new(&last, history_of(known));
    let absent = |name| unit(name, miss(Some(MissReason::Absent), None));
    NAMES.into_iter().enumerate().map(|(index, name)| causes.of(UnitId(index), &absent(name))).collect()
}

fn package(name: &str, version: &str) -> Subject {
    Subject::Package(name.into(), version.into(), name == "app")
}

fn bumped() -> World {
    world(|inputs| {
        if inputs.name == "base" {
            inputs.version = "1.0.1".into();
        }
    })
}

fn version(from: &str, to: &str) -> CauseKind {
    changed(vec![Change { input: Input::Version, name: None, from: Some(from.into()), to: Some(to.into()) }])
}

#[test]
fn what_happened_to_one_package_is_the_only_cause_of_all_that_follows() {
    let (before, now) = (world(|_| {}), bumped());
    let [base, middle, apex, lone, app] = &verdicts(&now, &[(1, &before)])[..] else { unreachable!() };
    let cause = BTreeSet::from([(package("base", "1.0.1"), version("1.0.0", "1.0.1"))]);
    assert_eq!((&base.own, &base.inherited), (&cause, &BTreeSet::new()));
    for follower in [middle, apex, app] {
        assert_eq!((&follower.own, &follower.inherited), (&BTreeSet::new(), &cause));
    }
    assert_eq!(lone.own, [(package("lone", "1.0.0"), CauseKind::Gone)].into());
}

#[test]
fn what_is_of_the_whole_build_is_one_cause() {
    let now = world(|inputs| inputs.rustflags.push("-g".into()));
    for verdict in verdicts(&now, &[(1, &world(|_| {}))]) {
        let [(Subject::Build, CauseKind::Changed { changes })] = &verdict.own.iter().collect::<Vec<_>>()[..] else {
            panic!("{verdict:?}")
        };
        assert_eq!(changes[0].to_string(), "rustflags: \"-g\" instead of \"\"");
        assert_eq!(verdict.inherited.difference(&verdict.own).count(), 0);
    }
}

#[test]
fn two_causes_are_two_also_for_what_follows_from_both() {
    let now = world(|inputs| match inputs.name.as_str() {
        "base" => inputs.version = "1.0.1".into(),
        "lone" => inputs.features = ["loud".to_owned()].into(),
        _ => {}
    });
    let verdicts = verdicts(&now, &[(1, &world(|_| {}))]);
    let subjects = |verdict: &Verdict| verdict.inherited.iter().map(|(subject, _)| subject.clone()).collect::<Vec<_>>();
    assert_eq!(subjects(&verdicts[4]), [package("base", "1.0.1"), package("lone", "1.0.0")]);
    assert_eq!(subjects(&verdicts[2]), [package("base", "1.0.1")]);
}

#[test]
fn the_nearest_is_the_one_with_the_fewest_differences_and_of_these_the_latest() {
    let release = world(|inputs| {
        inputs.profile = [("opt_level".to_owned(), json!("3"))].into();
        inputs.lto = "run".into();
    });
    let (before, now) = (world(|_| {}), bumped());
    let verdict = &verdicts(&now, &[(5, &before), (9, &release)])[0];
    assert_eq!((verdict.compared_with, verdict.own.len()), (Some(at(5)), 1));
    let later = world(|inputs| inputs.version = "1.0.2".into());
    assert_eq!(verdicts(&now, &[(5, &before), (9, &later)])[0].compared_with, Some(at(9)));
}

#[test]
fn another_major_version_beside_it_is_not_taken_for_the_one_before() {
    let of = |version: &'static str| {
        world(move |inputs| {
            if inputs.name == "base" {
                inputs.version = version.into();
            }
        })
    };
    let verdict = &verdicts(&of("1.2.0"), &[(5, &of("1.1.0")), (9, &of("2.0.0"))])[0];
    assert_eq!(verdict.compared_with, Some(at(5)));
    for (one, other, expected) in
        [("1.0.1", "1.9.0", true), ("1.0.0", "2.0.0", false), ("0.2.1", "0.2.7", true), ("0.2.1", "0.3.0", false)]
    {
        assert_eq!(is_compatible(one, other), expected, "{one} {other}");
    }
}

#[test]
fn what_this_build_or_a_later_one_has_recorded_was_not_known() {
    let (before, now) = (world(|_| {}), bumped());
    for known in [&[(100, &now)][..], &[(100, &now), (101, &before)], &[]] {
        for (name, verdict) in NAMES.iter().zip(verdicts(&now, known)) {
            let whats: Vec<_> = verdict.own.iter().map(|(_, what)| what.clone()).collect();
            assert_eq!((whats, verdict.inherited.len()), (vec![CauseKind::New], 0), "{name}");
        }
    }
}

#[test]
fn a_dependency_of_which_nothing_else_is_known_is_told_by_its_versions() {
    let (before, now) = (world(|_| {}), bumped());
    let mut only_middle = world(|_| {});
    only_middle.unit_inputs.retain(|_, unit_inputs| unit_inputs.inputs.name == "middle");
    let verdict = &verdicts(&now, &[(1, &only_middle)])[1];
    let expected = BTreeSet::from([(package("base", "1.0.1"), version("1.0.0", "1.0.1"))]);
    assert_eq!((verdict.own.len(), &verdict.inherited), (0, &expected));
    drop(before);
}

#[test]
fn a_dependency_that_came_or_went_is_a_change_of_its_dependent() {
    let mut before = world(|_| {});
    let app = before.unit_inputs.get_mut(&UnitId(4)).unwrap();
    app.inputs.dependencies.retain(|dependency| dependency.extern_name != "lone");
    app.stored = app.inputs.key();
    let now = world(|_| {});
    let said = |now: &World, known: &World| {
        let verdict = verdicts(now, &[(1, known)]).pop().unwrap();
        let texts: Vec<_> = verdict.own.iter().map(|(_, what)| format!("{what:?}")).collect();
        (texts.join(" "), verdict.inherited.len())
    };
    let (added, inherited) = said(&now, &before);
    assert!(added.contains("Dependency") && added.contains("to: Some(\"1.0.0\")") && inherited == 0, "{added}");
    let (removed, _) = said(&before, &now);
    assert!(removed.contains("from: Some(\"1.0.0\"), to: None"), "{removed}");
}

#[test]
fn another_mode_or_place_is_compared_with_what_there_is() {
    let now = world(|inputs| inputs.mode = "check".into());
    let verdict = &verdicts(&now, &[(1, &world(|_| {}))])[0];
    let [(Subject::Build, CauseKind::Changed { changes })] = &verdict.own.iter().collect::<Vec<_>>()[..] else {
        panic!("{verdict:?}")
    };
    assert_eq!(changes[0].input, Input::Mode);
    let mut placed = world(|_| {});
    for unit_inputs in placed.unit_inputs.values_mut() {
        unit_inputs.scope.insert("linker".into(), Component::described("cc 13"));
        unit_inputs.stored = unit_inputs.key.scoped(Digest::of("cc 13"));
    }
    let verdict = &verdicts(&placed, &[(1, &world(|_| {}))])[0];
    assert!(verdict.own.iter().all(|(subject, _)| *subject == Subject::Build), "{verdict:?}");
}

#[test]
fn a_graph_with_many_ways_is_walked_once() {
    // Each of 60 layers has two packages that both need both of the next layer: 2^60 ways.
    let build = |version: &str| {
        let mut all = BTreeMap::new();
        let mut below: Vec<(String, UnitKey)> = Vec::new();
        for layer in 0..60 {
            let mut here = Vec::new();
            for side in ["a", "b"] {
                let mut inputs = inputs(&format!("{side}{layer}"));
                if layer == 0 && side == "a" {
                    inputs.version = version.into();
                }
                let edge = |(name, key): &(String, UnitKey)| DependencyKey {
                    extern_name: name.clone(),
                    noprelude: false,
                    key: *key,
                };
                inputs.dependencies = below.iter().map(edge).collect();
                let unit_inputs = UnitInputs::new(&inputs, inputs.key(), BTreeMap::new(), BTreeMap::new());
                here.push((inputs.name, unit_inputs.key));
                all.insert(UnitId(all.len()), unit_inputs);
            }
            below = here;
        }
        World { unit_inputs: all }
    };
    let (before, now) = (build("1.0.0"), build("1.0.1"));
    let last = LastBuild { started: Some(at(100)), unit_inputs: now.unit_inputs, ..LastBuild::default() };
    let causes = Causes::new(&last, history_of(&[(1, &before)]));
    let verdict = causes.of(UnitId(119), &unit("b59", miss(Some(MissReason::Absent), None)));
    assert_eq!(verdict.inherited, [(package("a0", "1.0.1"), version("1.0.0", "1.0.1"))].into());
}

#[test]
fn what_is_no_miss_of_its_key_says_what_it_is() {
    let now = world(|_| {});
    let variable = Difference::Variable { name: "GREETING".into() };
    let differences = BTreeMap::from([(UnitId(1), BTreeSet::from([variable.clone()]))]);
    let last = LastBuild { started: Some(at(100)), unit_inputs: now.unit_inputs, differences, ..LastBuild::default() };
    let causes = Causes::new(&last, |_| Vec::new());
    let of = |index, outcome| causes.of(UnitId(index), &unit(NAMES[index], outcome)).own.into_iter().next();
    let unusable = |reason, differences| CauseKind::Unusable { reason, differences };
    for reason in [
        MissReason::Corrupt,
        MissReason::Dependency,
        MissReason::Invocation,
        MissReason::Environment,
        MissReason::Input,
        MissReason::PathBound,
        MissReason::Restore,
    ] {
        let expected = (package("base", "1.0.0"), unusable(reason, vec![]));
        assert_eq!(of(0, miss(Some(reason), None)), Some(expected), "{reason:?}");
    }
    let remote = unusable(MissReason::RemoteFailed, vec![]);
    assert_eq!(of(0, miss(Some(MissReason::RemoteFailed), None)), Some((Subject::Build, remote)));
    let known = unusable(MissReason::Environment, vec![variable]);
    assert_eq!(of(1, miss(Some(MissReason::Environment), None)), Some((package("middle", "1.0.0"), known.clone())));
    assert_eq!(of(1, miss(None, None)), Some((package("middle", "1.0.0"), known)));
    assert_eq!(of(0, miss(None, None)), Some((package("base", "1.0.0"), CauseKind::Again)));
    let not_kept = CauseKind::NotKept { reason: UncacheableReason::OutsideInput };
    let not_recorded = miss(Some(MissReason::Absent), Some(UncacheableReason::OutsideInput));
    assert_eq!(of(0, not_recorded), Some((package("base", "1.0.0"), not_kept)));
    let uncacheable = Outcome::Uncacheable { reason: UncacheableReason::Doc, compile_ms: None, failed: false };
    assert_eq!(
        of(0, uncacheable),
        Some((package("base", "1.0.0"), CauseKind::Uncacheable { reason: UncacheableReason::Doc }))
    );
    assert_eq!(of(0, Outcome::Fresh), None);
    let forgotten = LastBuild::default();
    let causes = Causes::new(&forgotten, |_| Vec::new());
    let verdict = causes.of(UnitId(0), &unit("base", miss(Some(MissReason::Absent), None)));
    assert_eq!(verdict.own, [(package("base", "1.0.0"), CauseKind::Unknown)].into());
}
