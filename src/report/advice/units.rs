//! Advice about units: compilations that were not necessary, and stores that are slow, small or incomplete.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use semver::Version;

use super::{Advice, AdviceInput, AdviceName, SHOWN};
use crate::event::{MissReason, Tier, UncacheableReason};
use crate::report::outcome::{CompileCause, Sum, miss_advice};
use crate::report::present::{bytes, counted, duration, first_few, units};
use crate::report::timeline::{Span, SpanKind};
use crate::report::{Outcome, UnitReport};

/// The part of a version that compatible versions share.
fn compatible_version(version: &str) -> Option<(u64, u64, u64)> {
    let Version { major, minor, patch, .. } = Version::parse(version).ok()?;
    Some(match (major, minor) {
        (0, 0) => (0, 0, patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    })
}

/// The worth is the compile time of all versions of a crate but the most expensive one.
pub(super) fn duplicate_versions(input: &AdviceInput<'_>) -> Option<Advice> {
    let mut packages: BTreeMap<&str, BTreeMap<_, Vec<&UnitReport>>> = BTreeMap::new();
    for unit in input.units(|outcome| outcome.compiled_ms().is_some()) {
        if let Some(version) = compatible_version(&unit.version) {
            packages.entry(&unit.package).or_default().entry(version).or_default().push(unit);
        }
    }
    packages.retain(|_, versions| versions.len() > 1);
    let duplicate = |(package, versions): (_, BTreeMap<_, Vec<&UnitReport>>)| {
        let spent = |units: &Vec<&UnitReport>| Sum::of(units.iter().copied()).compile_ms();
        let most = versions.values().map(spent).max().unwrap_or(0);
        let cost = versions.values().map(spent).fold(0, u64::saturating_add).saturating_sub(most);
        let versions = versions.values().map(|units| units[0].version.as_str()).collect::<Vec<_>>().join(" and ");
        (Reverse(cost), format!("{package} {versions} ({})", duration(cost)))
    };
    let mut duplicates: Vec<_> = packages.into_iter().map(duplicate).collect();
    duplicates.sort_by_key(|(cost, _)| *cost);
    let cost = duplicates.iter().fold(0, |sum: u64, (Reverse(cost), _)| sum.saturating_add(*cost));
    let (crates, spent) = (counted(duplicates.len(), "crate was", "crates were"), duration(cost));
    let listed: Vec<_> = duplicates.into_iter().map(|(_, words)| words).collect();
    Advice::new(
        AdviceName::DuplicateVersions,
        cost,
        [("cheaper_ms", cost), ("crates", listed.len() as u64)],
        format!(
            "{crates} compiled in more than one version, the cheaper ones for {spent}: {}",
            first_few(&listed, SHOWN)
        ),
        "to see which packages require which version: cargo tree --duplicates",
    )
}

pub(super) fn incremental_in_ci(input: &AdviceInput<'_>) -> Option<Advice> {
    let cause = Some(CompileCause::Uncacheable(UncacheableReason::Incremental));
    let is_incremental = |outcome: &Outcome| CompileCause::of(outcome) == cause && outcome.compiled_ms().is_some();
    let sum = Sum::of(input.units(is_incremental).filter(|_| input.ci));
    let (count, spent) = (counted(sum.units, "unit was", "units were"), duration(sum.compile_ms()));
    Advice::new(
        AdviceName::IncrementalInCi,
        sum.compile_ms(),
        [("compile_ms", sum.compile_ms()), ("units", sum.units as u64)],
        format!(
            "{count} compiled incrementally in CI on top of an earlier compilation, for {spent}: such units are not cached"
        ),
        "CARGO_INCREMENTAL=0; or set neither it nor `incremental = \"keep\"`: \"strip\" is the default in CI",
    )
}

pub(super) fn slow_restore(input: &AdviceInput<'_>) -> Option<Advice> {
    let slow = Sum::of(input.units(|outcome| outcome.restore_ms() > outcome.compile_ms()));
    let (compile_ms, restore_ms) = (slow.compile_ms(), slow.restore_ms.unwrap_or(0));
    let (units, restoring, compiling) = (units(slow.units), duration(restore_ms), duration(compile_ms));
    Advice::new(
        AdviceName::SlowRestore,
        restore_ms.saturating_sub(compile_ms),
        [("restore_ms", restore_ms), ("compile_ms", compile_ms), ("units", slow.units as u64)],
        format!(
            "restoring {units} took {restoring}, but compiling them had taken only {compiling}: the disk is slow or busy"
        ),
        "put the target directory and the local store (`dir`) on the same fast disk: \
         within a file system, libraries are linked and not copied",
    )
}

/// Compares the wall-clock time during which anything was fetched, because packs arrive in parallel.
pub(super) fn slow_remote(input: &AdviceInput<'_>) -> Option<Advice> {
    let fetches: Vec<_> = input.report.spans.iter().filter(|span| span.kind == SpanKind::Fetch).collect();
    let fetch_ms = covered(&fetches);
    let received = fetches.iter().filter_map(|span| span.bytes).fold(0, u64::saturating_add);
    let is_remote = |outcome: &Outcome| matches!(outcome, Outcome::Hit { tier: Tier::Remote, .. });
    let compile_ms = Sum::of(input.units(is_remote)).compile_ms();
    let (units, fetching, compiling) = (units(fetches.len()), duration(fetch_ms), duration(compile_ms));
    let figures = [
        ("fetch_ms", fetch_ms),
        ("compile_ms", compile_ms),
        ("received_bytes", received),
        ("units", fetches.len() as u64),
    ];
    Advice::new(
        AdviceName::SlowRemote,
        fetch_ms.saturating_sub(compile_ms),
        figures,
        format!(
            "fetching {units} ({}) took {fetching} of wall-clock time, but compiling them had taken only {compiling} of \
             compiler time",
            bytes(received)
        ),
        "use a remote that is closer to this machine, or none on this machine: XCACHE_REMOTE=",
    )
}

/// The wall-clock time that spans cover. They are in the order of their beginnings, and may overlap.
fn covered(spans: &[&Span]) -> u64 {
    let (mut covered, mut until) = (0_u64, 0);
    for span in spans {
        covered = covered.saturating_add(span.end_ms.saturating_sub(span.start_ms.max(until)));
        until = until.max(span.end_ms);
    }
    covered
}

pub(super) fn remote_failed(input: &AdviceInput<'_>) -> Option<Advice> {
    let failed = input.report.totals.misses_by_reason.get(&MissReason::RemoteFailed)?;
    let (units, spent) = (units(failed.units), duration(failed.compile_ms));
    Advice::new(
        AdviceName::RemoteFailed,
        failed.compile_ms,
        [("compile_ms", failed.compile_ms), ("units", failed.units as u64)],
        format!(
            "the remote did not answer in time, or gave an error: {units} that it may have had took {spent} to compile"
        ),
        miss_advice(MissReason::RemoteFailed),
    )
}

/// The worth is the compile time of the units that this session recorded and nobody else can get.
pub(super) fn not_uploaded(input: &AdviceInput<'_>) -> Option<Advice> {
    let left = Some(input.report.totals.not_uploaded).filter(|left| *left > 0)?;
    let uploads = input.report.spans.iter().filter(|span| span.kind == SpanKind::Upload);
    let uploaded: HashSet<_> = uploads.filter_map(|span| span.unit).map(|unit| unit.0).collect();
    let only_here = input.report.units.iter().enumerate().filter(|(id, unit)| {
        !uploaded.contains(id) && matches!(unit.outcome, Outcome::Miss { recorded_bytes: Some(_), .. })
    });
    let compile_ms = Sum::of(only_here.map(|(_, unit)| unit)).compile_ms();
    let (units, spent) = (counted(left, "unit was", "units were"), duration(compile_ms));
    Advice::new(
        AdviceName::NotUploaded,
        compile_ms,
        [("compile_ms", compile_ms), ("units", left as u64)],
        format!("{units} not uploaded: other machines will have to repeat compilations that took {spent}"),
        "cargo xcache push",
    )
}

/// The store removes the least recently used units first, so if it removed units of this session, it is smaller than
/// one build.
pub(super) fn too_small(input: &AdviceInput<'_>) -> Option<Advice> {
    let (evicted, max_bytes) = input.evicted?;
    let needed = Sum::of(&input.report.units).bytes.unwrap_or(0);
    let stored = evicted.iter().filter_map(|unit| input.report.units.get(unit.0));
    let compile_ms = Sum::of(stored.filter(|unit| unit.outcome.size().is_some())).compile_ms();
    let (units, max, spent) = (units(evicted.len()), bytes(max_bytes), duration(compile_ms));
    let figures = [
        ("compile_ms", compile_ms),
        ("max_bytes", max_bytes),
        ("needed_bytes", needed),
        ("units", evicted.len() as u64),
    ];
    Advice::new(
        AdviceName::StoreTooSmall,
        compile_ms,
        figures,
        format!(
            "the local store is limited to {max}, so {units} of this build had to be removed; compiling them took {spent}"
        ),
        format!("raise `max-size` well above the {} of this build alone", bytes(needed)),
    )
}
