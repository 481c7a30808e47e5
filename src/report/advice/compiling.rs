//! Advice about compilations that were not necessary.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use semver::Version;

use super::{Advice, AdviceInput, AdviceName, SHOWN, sum};
use crate::event::UncacheableReason;
use crate::report::cause::CompileCause;
use crate::report::present::{counted, duration, first_few};

/// The part of a version that compatible versions share.
type CompatibleVersion = (u64, u64, u64);

fn compatible_version(version: &str) -> Option<CompatibleVersion> {
    let Version { major, minor, patch, .. } = Version::parse(version).ok()?;
    Some(match (major, minor) {
        (0, 0) => (0, 0, patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    })
}

/// A crate that was compiled in several versions.
struct Duplicate<'a> {
    package: &'a str,
    versions: Vec<&'a str>,
    /// The compile time of all versions but the most expensive one.
    cost: u64,
}

fn duplicates<'a>(input: &AdviceInput<'a>) -> Vec<Duplicate<'a>> {
    let mut packages: BTreeMap<&str, BTreeMap<CompatibleVersion, (&str, u64)>> = BTreeMap::new();
    for unit in &input.report.units {
        let Some(millis) = unit.outcome.compiled_ms() else { continue };
        let Some(version) = compatible_version(&unit.version) else { continue };
        let (_, spent) = packages.entry(&unit.package).or_default().entry(version).or_insert((&unit.version, 0));
        *spent = spent.saturating_add(millis);
    }
    let duplicate = |(package, versions): (&'a str, BTreeMap<CompatibleVersion, (&'a str, u64)>)| {
        let most = versions.values().map(|(_, spent)| *spent).max().unwrap_or(0);
        let cost = sum(versions.values().map(|(_, spent)| *spent)).saturating_sub(most);
        let versions: Vec<_> = versions.into_values().map(|(version, _)| version).collect();
        (versions.len() > 1).then_some(Duplicate { package, versions, cost })
    };
    let mut duplicates: Vec<_> = packages.into_iter().filter_map(duplicate).collect();
    duplicates.sort_by_key(|duplicate| (Reverse(duplicate.cost), duplicate.package));
    duplicates
}

pub(super) fn duplicate_versions(input: &AdviceInput<'_>) -> Option<Advice> {
    let duplicates = duplicates(input);
    let cost = sum(duplicates.iter().map(|duplicate| duplicate.cost));
    let words = |Duplicate { package, versions, cost }: &Duplicate<'_>| {
        format!("{package} {} ({})", versions.join(" and "), duration(*cost))
    };
    let listed: Vec<_> = duplicates.iter().map(words).collect();
    let message = format!(
        "{} compiled in more than one version, the cheaper ones for {}: {}",
        counted(duplicates.len(), "crate was", "crates were"),
        duration(cost),
        first_few(&listed, SHOWN),
    );
    let figures = [("cheaper_ms", cost), ("crates", duplicates.len() as u64)];
    let action = "to see which packages require which version: cargo tree --duplicates";
    (!duplicates.is_empty()).then(|| Advice::new(AdviceName::DuplicateVersions, cost, figures, message, action))
}

pub(super) fn incremental_in_ci(input: &AdviceInput<'_>) -> Option<Advice> {
    let outcomes = input.report.units.iter().map(|unit| &unit.outcome);
    let incremental = outcomes
        .filter(|outcome| CompileCause::of(outcome) == Some(CompileCause::Uncacheable(UncacheableReason::Incremental)));
    let times: Vec<_> = incremental.filter_map(|outcome| outcome.compiled_ms()).filter(|_| input.ci).collect();
    let compile_ms = sum(times.iter().copied());
    let message = format!(
        "{} compiled incrementally in CI on top of an earlier compilation, for {}: such units are not cached",
        counted(times.len(), "unit was", "units were"),
        duration(compile_ms),
    );
    let action = "CARGO_INCREMENTAL=0; or set neither it nor `incremental = \"keep\"`: \"strip\" is the default in CI";
    let figures = [("compile_ms", compile_ms), ("units", times.len() as u64)];
    (!times.is_empty()).then(|| Advice::new(AdviceName::IncrementalInCi, compile_ms, figures, message, action))
}
