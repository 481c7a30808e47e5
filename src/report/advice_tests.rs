use super::super::tests::{Fate, planned, report};
use super::*;
use crate::event::{MissReason, PlannedUnit, Tier, UncacheableReason};
use crate::report::present::first_few;

const HOST: &str = "x86_64-unknown-linux-gnu";

fn unit(package: &str, version: &str) -> PlannedUnit {
    PlannedUnit { package: package.into(), version: version.into(), ..planned(0, &Fate::UNTOUCHED) }
}

/// The advice for a session with these events, all at the same time.
fn advice_of(units: Vec<PlannedUnit>, kinds: Vec<EventKind>) -> Vec<Advice> {
    let begin = [EventKind::Planned { units }];
    let end = [EventKind::CargoFinished { code: Some(0) }, EventKind::SessionFinished];
    let events: Vec<_> = begin.into_iter().chain(kinds).chain(end).map(|kind| Event { at_ms: 100_000, kind }).collect();
    Report::from_events(&events).advice
}

fn compiled(unit: usize, millis: u64) -> EventKind {
    EventKind::Compiled { unit: UnitId(unit), millis, success: true }
}

fn recorded(unit: usize) -> EventKind {
    EventKind::Recorded { unit: UnitId(unit), bytes: 4_000_000, path_bound: false }
}

fn restored(unit: usize, millis: u64, compile_millis: u64) -> EventKind {
    EventKind::Restored { unit: UnitId(unit), bytes: 9, millis, compile_millis }
}

fn machine(ci: bool, linkers: &[&str]) -> EventKind {
    EventKind::Machine { ci, host: HOST.into(), linkers: linkers.iter().map(ToString::to_string).collect() }
}

fn linked(linker: Option<&str>, linker_millis: u64) -> EventKind {
    let linker = linker.map(Into::into);
    let program = LinkedProgram { linker_millis: Some(linker_millis), linker, bytes: 9, ..LinkedProgram::default() };
    EventKind::Linked { unit: UnitId(0), program }
}

/// The advice for a session with one unit.
fn advice_of_one(kinds: Vec<EventKind>) -> Vec<Advice> {
    advice_of(vec![unit("a", "1.0.0")], kinds)
}

/// The advice for a session with one unit that cannot be cached because it is compiled incrementally.
fn advice_of_incremental(kinds: Vec<EventKind>) -> Vec<Advice> {
    let uncacheable = Some(UncacheableReason::Incremental);
    advice_of(vec![PlannedUnit { uncacheable, ..unit("member", "0.1.0") }], kinds)
}

/// A kind of advice, its decisive figure, and the advice for a session that spends so many milliseconds on the matter.
type Case = (AdviceName, &'static str, fn(u64) -> Vec<Advice>);

const CASES: [Case; 8] = [
    (AdviceName::FasterLinker, "linker_ms", |worth| {
        advice_of_one(vec![compiled(0, worth), linked(None, worth), machine(false, &["mold"])])
    }),
    (AdviceName::DuplicateVersions, "cheaper_ms", |worth| {
        let units = vec![unit("syn", "1.0.9"), unit("syn", "2.0.1"), unit("syn", "2.0.1")];
        advice_of(units, vec![compiled(0, worth), compiled(1, worth), compiled(2, 5)])
    }),
    (AdviceName::IncrementalInCi, "compile_ms", |worth| {
        advice_of_incremental(vec![compiled(0, worth), machine(true, &[])])
    }),
    (AdviceName::SlowRestore, "restore_ms", |worth| {
        advice_of(vec![unit("a", "1.0.0"), unit("b", "1.0.0")], vec![restored(0, worth, 0), restored(1, 20, 5000)])
    }),
    (AdviceName::SlowRemote, "fetch_ms", |millis| {
        let found = |unit| EventKind::Found { unit: UnitId(unit), tier: Tier::Remote, transferred: 1000, millis };
        let units = vec![unit("a", "1.0.0"), unit("b", "1.0.0")];
        advice_of(units, vec![found(0), found(1), restored(0, 0, 0), restored(1, 0, 0)])
    }),
    (AdviceName::RemoteFailed, "compile_ms", |worth| {
        advice_of_one(vec![EventKind::Missed { unit: UnitId(0), reason: MissReason::RemoteFailed }, compiled(0, worth)])
    }),
    (AdviceName::NotUploaded, "compile_ms", |worth| {
        let left = EventKind::UploadFinished { sent: 0, left: 1, bytes: 0 };
        advice_of_one(vec![compiled(0, worth), recorded(0), left])
    }),
    (AdviceName::StoreTooSmall, "compile_ms", |worth| {
        let evicted = EventKind::Evicted { units: vec![UnitId(0)], max_bytes: 1_000_000 };
        advice_of_one(vec![compiled(0, worth), recorded(0), evicted])
    }),
];

#[test]
fn advice_is_given_from_a_worth_of_one_second_on() {
    for (name, figure, session) in CASES {
        let advice = session(1000);
        assert_eq!(advice.iter().map(|advice| advice.name).collect::<Vec<_>>(), [name], "{advice:?}");
        assert_eq!(advice[0].worth_ms, Some(1000), "{advice:?}");
        assert_eq!(advice[0].figures.get(figure), Some(&1000), "{advice:?}");
        assert!(advice[0].message.contains("1.0 s") && !advice[0].action.is_empty(), "{advice:?}");
        assert_eq!(session(999), []);
    }
}

#[test]
fn there_is_no_advice_without_a_matter() {
    let hits = [
        Fate::hit(Tier::Local, 40_000),
        Fate::hit(Tier::Remote, 40_000),
        Fate::Hydrated { millis: 3, rejected: None },
        Fate::Fresh { found: true },
    ];
    assert_eq!(report(&hits).advice, []);
    let key = crate::key::UnitKey(crate::digest::Digest::of("a"));
    let uploaded = EventKind::Uploaded { key, package: "a 1.0.0".into(), bytes: 9, millis: 9 };
    let left = EventKind::UploadFinished { sent: 1, left: 1, bytes: 9 };
    let stray = EventKind::Evicted { units: vec![UnitId(7)], max_bytes: 1 };
    let twice = || vec![unit("a", "1.0.0"), unit("a", "2.0.0")];
    for (matter, units, kinds) in [
        ("nothing to do", vec![], vec![EventKind::NothingToPlan]),
        ("a version that was a hit", twice(), vec![compiled(0, 5000), restored(1, 1, 5000)]),
        (
            "a unit that was uploaded",
            vec![PlannedUnit { key: Some(key), ..unit("a", "1.0.0") }],
            vec![compiled(0, 5000), recorded(0), uploaded, left],
        ),
        ("units outside of the plan", vec![], vec![linked(None, u64::MAX), linked(None, u64::MAX), stray]),
    ] {
        assert_eq!(advice_of(units, kinds), [], "{matter}");
    }
    let incremental_elsewhere = advice_of_incremental(vec![compiled(0, 5000), machine(false, &[])]);
    assert_eq!(incremental_elsewhere, [], "incremental compilation outside of CI");
}

#[test]
fn advice_is_ordered_by_worth_with_unknown_worth_last() {
    let program = LinkedProgram { debug_bytes: 60_000_000, full_debug: true, ..LinkedProgram::default() };
    let large = EventKind::Linked { unit: UnitId(0), program };
    let kinds = vec![compiled(0, 3000), large, linked(None, 2000), machine(true, &["mold"])];
    let names: Vec<_> = advice_of_incremental(kinds).iter().map(|advice| advice.name).collect();
    assert_eq!(names, [AdviceName::IncrementalInCi, AdviceName::FasterLinker, AdviceName::DebugInfo]);
}

/// The advice for a program that took the linker five seconds.
fn linking(used: Option<&str>, installed: &[&str], platform: Option<&str>) -> Option<Advice> {
    let unit = PlannedUnit { platform: platform.map(Into::into), ..unit("a", "1.0.0") };
    advice_of(vec![unit], vec![compiled(0, 9000), linked(used, 5000), machine(false, installed)]).pop()
}

#[test]
fn the_advised_linker_is_installed_and_faster_than_the_used_one() {
    let action = |used, installed: &[&str]| linking(used, installed, None).map(|advice| advice.action);
    let mold =
        "in .cargo/config.toml:\n[target.x86_64-unknown-linux-gnu]\nrustflags = [\"-C\", \"link-arg=-fuse-ld=mold\"]";
    assert_eq!(action(None, &["mold", "ld.lld"]).as_deref(), Some(mold));
    assert_eq!(action(Some("LLD"), &["mold"]).as_deref(), Some(mold));
    assert!(action(None, &["ld.lld"]).is_some_and(|action| action.contains("-fuse-ld=lld")));
    assert!(action(Some("LLD"), &["wild", "clang"]).is_some_and(|action| action.contains("--ld-path=wild")));
    for (used, installed) in [
        (Some("LLD"), &["ld.lld", "clang"][..]),
        (Some("LLD"), &["wild"]),
        (Some("LLD"), &[]),
        (Some("mold"), &["wild", "clang", "mold"]),
        (Some("Wild"), &["mold"]),
    ] {
        assert_eq!(action(used, installed), None, "{used:?} {installed:?}");
    }
    let to_install = linking(None, &[], None).unwrap();
    assert!(to_install.message.contains("lld is not installed"), "{to_install:?}");
}

#[test]
fn only_programs_for_this_host_that_link_for_long_count() {
    assert!(linking(None, &["mold"], Some(HOST)).is_some());
    assert_eq!(linking(None, &["mold"], Some("aarch64-unknown-linux-gnu")), None);
    let of = |all| advice_of_one(vec![compiled(0, all), linked(None, 5000), machine(false, &["mold"])]);
    assert_eq!((of(50_000).len(), of(50_001).len()), (1, 0));
}

fn debug_info(ci: bool, profile: &str, debug_bytes: u64) -> Option<Advice> {
    let program = |debug_bytes, line_bytes, full_debug| {
        let (bytes, profile) = (2 * debug_bytes, profile.into());
        let program = LinkedProgram { bytes, debug_bytes, line_bytes, profile, full_debug, ..LinkedProgram::default() };
        EventKind::Linked { unit: UnitId(0), program }
    };
    let kinds = vec![program(debug_bytes, 7, true), program(1000, 0, false), machine(ci, &[])];
    advice_of_one(kinds).pop()
}

#[test]
fn line_tables_and_the_standard_library_do_not_count_as_spared_debug_information() {
    assert_eq!(debug_info(false, "dev", 100_001_006), None);
    assert_eq!(debug_info(true, "dev", 50_001_006), None);
    let advice = debug_info(false, "dev", 100_001_007).unwrap();
    assert_eq!((advice.name, advice.worth_ms), (AdviceName::DebugInfo, None));
    assert_eq!(advice.figures.get("debug_bytes"), Some(&100_001_007));
    assert_eq!(advice.figures.get("spared_bytes"), Some(&100_000_000));
    assert!(advice.message.contains("of 200.0 MB in 1 program, 100.0 MB are debug information"), "{advice:?}");
    assert!(debug_info(true, "dev", 50_001_007).is_some());
}

#[test]
fn the_action_names_the_section_of_the_manifest_that_sets_the_profile() {
    for (profile, section) in
        [("dev", "[profile.dev]"), ("test", "[profile.dev]"), ("bench", "[profile.release]"), ("own", "[profile.own]")]
    {
        let advice = debug_info(false, profile, 200_000_000).unwrap();
        assert!(advice.action.contains(&format!("{section}\ndebug = \"line-tables-only\"")), "{advice:?}");
    }
}

#[test]
fn compatible_versions_are_no_duplicates() {
    let kinds = || vec![compiled(0, 5000), compiled(1, 5000)];
    let of = |one, other| advice_of(vec![unit("a", one), unit("a", other)], kinds()).len();
    assert_eq!([of("1.2.0", "1.9.0"), of("0.3.1", "0.3.2"), of("1.0.0", "1.0.0"), of("no", "version")], [0; 4]);
    assert_eq!([of("1.2.0", "2.0.0"), of("0.3.1", "0.4.0"), of("0.0.1", "0.0.2")], [1; 3]);
}

#[test]
fn a_long_list_ends_with_the_number_of_further_items() {
    let items = ["a", "b", "c", "d", "e"].map(String::from);
    assert_eq!(first_few(&items[..3], SHOWN), "a, b, c");
    assert_eq!(first_few(&items, SHOWN), "a, b, c and 2 more");
}
