//! Causes in a small workspace: `app` depends on `apex` and `lone`, `apex` on `middle`, and `middle` on `base`.

use serde_json::json;

use super::*;
use crate::event::{Difference, UncacheableReason};
use crate::key::unit_inputs::Component;
use crate::key::{DependencyKey, KeyInputs};
use crate::report::tests::{missed, unit};
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

/// A build with some inputs changed.
fn build(change: impl Fn(&mut KeyInputs)) -> Build {
    let mut all = Build::new();
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
    all
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

/// The changes of the build as a whole, which are the only own cause.
fn changes_of_build(verdict: &Verdict) -> &[Change] {
    match &verdict.own.iter().collect::<Vec<_>>()[..] {
        [(Subject::Build, CauseKind::Changed { changes })] => changes,
        _ => panic!("{verdict:?}"),
    }
}

fn package(name: &str, version: &str) -> Subject {
    Subject::Package(name.into(), version.into(), name == "app")
}

fn version(from: &str, to: &str) -> CauseKind {
    changed(vec![Change { input: Input::Version, name: None, from: Some(from.into()), to: Some(to.into()) }])
}

#[test]
fn the_change_of_a_package_is_the_only_cause_for_its_dependents() {
    let (before, now) = (build(|_| {}), build_with_base("1.0.1"));
    let [base, middle, apex, lone, app] = &verdicts(&now, &[(1, &before)])[..] else { unreachable!() };
    let cause = BTreeSet::from([(package("base", "1.0.1"), version("1.0.0", "1.0.1"))]);
    assert_eq!((&base.own, &base.inherited), (&cause, &BTreeSet::new()));
    for follower in [middle, apex, app] {
        assert_eq!((&follower.own, &follower.inherited), (&BTreeSet::new(), &cause));
    }
    assert_eq!(lone.own, [(package("lone", "1.0.0"), CauseKind::Gone)].into());
}

#[test]
fn a_change_of_the_whole_build_is_one_cause() {
    let now = build(|inputs| inputs.rustflags.push("-g".into()));
    for verdict in verdicts(&now, &[(1, &build(|_| {}))]) {
        assert_eq!(changes_of_build(&verdict)[0].to_string(), "rustflags: \"-g\" instead of \"\"");
        assert_eq!(verdict.inherited.difference(&verdict.own).count(), 0);
    }
}

#[test]
fn a_unit_inherits_the_causes_of_all_its_dependencies() {
    let now = build(|inputs| match inputs.name.as_str() {
        "base" => inputs.version = "1.0.1".into(),
        "lone" => inputs.features = ["loud".to_owned()].into(),
        _ => {}
    });
    let verdicts = verdicts(&now, &[(1, &build(|_| {}))]);
    let subjects = |verdict: &Verdict| verdict.inherited.iter().map(|(subject, _)| subject.clone()).collect::<Vec<_>>();
    assert_eq!(subjects(&verdicts[4]), [package("base", "1.0.1"), package("lone", "1.0.0")]);
    assert_eq!(subjects(&verdicts[2]), [package("base", "1.0.1")]);
}

#[test]
fn units_are_compared_with_the_latest_of_the_inputs_with_fewest_differences() {
    let release = build(|inputs| {
        inputs.profile = [("opt_level".to_owned(), json!("3"))].into();
        inputs.lto = "run".into();
    });
    let (before, now) = (build(|_| {}), build_with_base("1.0.1"));
    let verdict = &verdicts(&now, &[(5, &before), (9, &release)])[0];
    assert_eq!((verdict.compared_with, verdict.own.len()), (Some(at(5)), 1));
    let later = build(|inputs| inputs.version = "1.0.2".into());
    assert_eq!(verdicts(&now, &[(5, &before), (9, &later)])[0].compared_with, Some(at(9)));
}

#[test]
fn compatible_versions_are_preferred_for_comparison() {
    let [before, now, other] = ["1.1.0", "1.2.0", "2.0.0"].map(build_with_base);
    let verdict = &verdicts(&now, &[(5, &before), (9, &other)])[0];
    assert_eq!(verdict.compared_with, Some(at(5)));
    for (one, other, expected) in
        [("1.0.1", "1.9.0", true), ("1.0.0", "2.0.0", false), ("0.2.1", "0.2.7", true), ("0.2.1", "0.3.0", false)]
    {
        assert_eq!(is_compatible(one, other), expected, "{one} {other}");
    }
}

#[test]
fn records_of_this_build_and_of_later_ones_are_ignored() {
    let (before, now) = (build(|_| {}), build_with_base("1.0.1"));
    for known in [&[(100, &now)][..], &[(100, &now), (101, &before)], &[]] {
        for (name, verdict) in NAMES.iter().zip(verdicts(&now, known)) {
            let whats: Vec<_> = verdict.own.iter().map(|(_, what)| what.clone()).collect();
            assert_eq!((whats, verdict.inherited.len()), (vec![CauseKind::New], 0), "{name}");
        }
    }
}

#[test]
fn a_dependency_without_history_is_compared_by_version() {
    let mut only_middle = build(|_| {});
    only_middle.retain(|_, unit_inputs| unit_inputs.inputs.name == "middle");
    let verdict = &verdicts(&build_with_base("1.0.1"), &[(1, &only_middle)])[1];
    let expected = BTreeSet::from([(package("base", "1.0.1"), version("1.0.0", "1.0.1"))]);
    assert_eq!((verdict.own.len(), &verdict.inherited), (0, &expected));
}

#[test]
fn an_added_or_removed_dependency_is_a_change_of_its_dependent() {
    let mut before = build(|_| {});
    let app = before.get_mut(&UnitId(4)).unwrap();
    app.inputs.dependencies.retain(|dependency| dependency.extern_name != "lone");
    app.stored = app.inputs.key();
    let now = build(|_| {});
    let causes = |now: &Build, known: &Build| {
        let verdict = verdicts(now, &[(1, known)]).pop().unwrap();
        let texts: Vec<_> = verdict.own.iter().map(|(_, what)| format!("{what:?}")).collect();
        (texts.join(" "), verdict.inherited.len())
    };
    let (added, inherited) = causes(&now, &before);
    assert!(added.contains("Dependency") && added.contains("to: Some(\"1.0.0\")") && inherited == 0, "{added}");
    let (removed, _) = causes(&before, &now);
    assert!(removed.contains("from: Some(\"1.0.0\"), to: None"), "{removed}");
}

#[test]
fn another_mode_or_scope_is_a_change_of_the_build() {
    let (before, checked) = (build(|_| {}), build(|inputs| inputs.mode = "check".into()));
    assert_eq!(changes_of_build(&verdicts(&checked, &[(1, &before)])[0])[0].input, Input::Mode);
    let mut scoped = build(|_| {});
    for unit_inputs in scoped.values_mut() {
        unit_inputs.scope.insert("linker".into(), Component::described("cc 13"));
        unit_inputs.stored = unit_inputs.key.scoped(Digest::of("cc 13"));
    }
    let verdict = &verdicts(&scoped, &[(1, &before)])[0];
    assert!(verdict.own.iter().all(|(subject, _)| *subject == Subject::Build), "{verdict:?}");
}

#[test]
fn each_unit_of_a_graph_is_compared_once() {
    // Each of 60 layers has two packages that depend on both packages of the layer below: 2^60 paths.
    let build = |version: &str| {
        let mut all = Build::new();
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
        all
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
        assert_eq!(of(0, missed(reason, None)), Some(expected), "{reason:?}");
    }
    let remote = unusable(MissReason::RemoteFailed, vec![]);
    assert_eq!(of(0, missed(MissReason::RemoteFailed, None)), Some((Subject::Build, remote)));
    let known = unusable(MissReason::Environment, vec![variable]);
    assert_eq!(of(1, missed(MissReason::Environment, None)), Some((package("middle", "1.0.0"), known.clone())));
    assert_eq!(of(1, missed(None::<MissReason>, None)), Some((package("middle", "1.0.0"), known)));
    assert_eq!(of(0, missed(None::<MissReason>, None)), Some((package("base", "1.0.0"), CauseKind::Again)));
    let not_kept = CauseKind::NotKept { reason: UncacheableReason::OutsideInput };
    let not_recorded = missed(MissReason::Absent, Some(UncacheableReason::OutsideInput));
    assert_eq!(of(0, not_recorded), Some((package("base", "1.0.0"), not_kept)));
    let uncacheable = Outcome::Uncacheable { reason: UncacheableReason::Doc, compile_ms: None, failed: false };
    let expected = CauseKind::Uncacheable { reason: UncacheableReason::Doc };
    assert_eq!(of(0, uncacheable), Some((package("base", "1.0.0"), expected)));
    assert_eq!(of(0, Outcome::Fresh), None);
    let forgotten = LastBuild::default();
    let causes = Causes::new(&forgotten, |_| Vec::new());
    let verdict = causes.of(UnitId(0), &unit("base", missed(MissReason::Absent, None)));
    assert_eq!(verdict.own, [(package("base", "1.0.0"), CauseKind::Unknown)].into());
}
