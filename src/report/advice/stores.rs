//! Advice about the stores and the target directory.

use std::collections::HashSet;

use super::{Advice, AdviceInput, AdviceName, sum};
use crate::event::{MissReason, Tier};
use crate::report::present::{bytes, counted, duration, units};
use crate::report::timeline::{Span, SpanKind};
use crate::report::{Outcome, UnitReport};

pub(super) fn slow_restore(input: &AdviceInput<'_>) -> Option<Advice> {
    let hit = |unit: &UnitReport| match unit.outcome {
        Outcome::Hit { restore_ms, compile_ms, .. } if restore_ms > compile_ms => Some((restore_ms, compile_ms)),
        _ => None,
    };
    let slow: Vec<_> = input.report.units.iter().filter_map(hit).collect();
    let restore_ms = sum(slow.iter().map(|(restore_ms, _)| *restore_ms));
    let compile_ms = sum(slow.iter().map(|(_, compile_ms)| *compile_ms));
    let message = format!(
        "restoring {} took {}, but compiling them had taken only {}: the disk is slow or busy",
        units(slow.len()),
        duration(restore_ms),
        duration(compile_ms),
    );
    let action = "put the target directory and the local store (`dir`) on the same fast disk: \
                  within a file system, libraries are linked and not copied";
    let figures = [("restore_ms", restore_ms), ("compile_ms", compile_ms), ("units", slow.len() as u64)];
    (!slow.is_empty())
        .then(|| Advice::new(AdviceName::SlowRestore, restore_ms.saturating_sub(compile_ms), figures, message, action))
}

/// Compares the wall-clock time during which anything was fetched, because packs arrive in parallel.
pub(super) fn slow_remote(input: &AdviceInput<'_>) -> Option<Advice> {
    let fetches = || input.report.spans.iter().filter(|span| span.kind == SpanKind::Fetch);
    let fetch_ms = covered(fetches());
    let hit = |unit: &UnitReport| match unit.outcome {
        Outcome::Hit { tier: Tier::Remote, compile_ms, .. } => Some(compile_ms),
        _ => None,
    };
    let compile_ms = sum(input.report.units.iter().filter_map(hit));
    let (count, received) = (fetches().count(), sum(fetches().filter_map(|span| span.bytes)));
    let message = format!(
        "fetching {} ({}) took {} of wall-clock time, but compiling them had taken only {} of compiler time",
        units(count),
        bytes(received),
        duration(fetch_ms),
        duration(compile_ms),
    );
    let action = "use a remote that is closer to this machine, or none on this machine: XCACHE_REMOTE=";
    let figures =
        [("fetch_ms", fetch_ms), ("compile_ms", compile_ms), ("received_bytes", received), ("units", count as u64)];
    Some(Advice::new(AdviceName::SlowRemote, fetch_ms.checked_sub(compile_ms)?, figures, message, action))
}

/// The wall-clock time that spans cover. They are in the order of their beginnings, and may overlap.
fn covered<'a>(spans: impl Iterator<Item = &'a Span>) -> u64 {
    let (mut covered, mut until) = (0_u64, 0);
    for span in spans {
        covered = covered.saturating_add(span.end_ms.saturating_sub(span.start_ms.max(until)));
        until = until.max(span.end_ms);
    }
    covered
}

pub(super) fn remote_failed(input: &AdviceInput<'_>) -> Option<Advice> {
    let failed = input.report.totals.misses_by_reason.get(&MissReason::RemoteFailed)?;
    let message = format!(
        "the remote did not answer in time, or gave an error: {} that it may have had took {} to compile",
        units(failed.units),
        duration(failed.compile_ms),
    );
    let action = "see the warning for the service's own words; check the remote and `timeout`";
    let figures = [("compile_ms", failed.compile_ms), ("units", failed.units as u64)];
    Some(Advice::new(AdviceName::RemoteFailed, failed.compile_ms, figures, message, action))
}

/// The worth is the compile time of the units that this session recorded and nobody else can get.
pub(super) fn not_uploaded(input: &AdviceInput<'_>) -> Option<Advice> {
    let left = Some(input.report.totals.not_uploaded).filter(|left| *left > 0)?;
    let uploads = input.report.spans.iter().filter(|span| span.kind == SpanKind::Upload);
    let uploaded: HashSet<_> = uploads.filter_map(|span| span.unit).map(|unit| unit.0).collect();
    let only_here = input.report.units.iter().enumerate().filter(|(id, _)| !uploaded.contains(id));
    let compile_ms = sum(only_here.filter_map(|(_, unit)| match unit.outcome {
        Outcome::Miss { recorded_bytes: Some(_), compile_ms, .. } => Some(compile_ms),
        _ => None,
    }));
    let message = format!(
        "{} not uploaded: other machines will have to repeat compilations that took {}",
        counted(left, "unit was", "units were"),
        duration(compile_ms),
    );
    let figures = [("compile_ms", compile_ms), ("units", left as u64)];
    Some(Advice::new(AdviceName::NotUploaded, compile_ms, figures, message, "cargo xcache push"))
}

/// The store removes the least recently used units first, so if it removed units of this session, it is smaller than
/// one build.
pub(super) fn too_small(input: &AdviceInput<'_>) -> Option<Advice> {
    let (evicted, max_bytes) = input.evicted?;
    let stored = |unit: &UnitReport| match unit.outcome {
        Outcome::Hit { restored_bytes, compile_ms, .. } => Some((restored_bytes, compile_ms)),
        Outcome::Miss { recorded_bytes: Some(bytes), compile_ms, .. } => Some((bytes, compile_ms)),
        _ => None,
    };
    let needed = sum(input.report.units.iter().filter_map(stored).map(|(bytes, _)| bytes));
    let evicted_units = evicted.iter().filter_map(|unit| stored(input.report.units.get(unit.0)?));
    let compile_ms = sum(evicted_units.map(|(_, compile_ms)| compile_ms));
    let message = format!(
        "the local store is limited to {}, so {} of this build had to be removed; compiling them took {}",
        bytes(max_bytes),
        units(evicted.len()),
        duration(compile_ms),
    );
    let action = format!("raise `max-size` well above the {} of this build alone", bytes(needed));
    let figures = [
        ("compile_ms", compile_ms),
        ("max_bytes", max_bytes),
        ("needed_bytes", needed),
        ("units", evicted.len() as u64),
    ];
    Some(Advice::new(AdviceName::StoreTooSmall, compile_ms, figures, message, action))
}
