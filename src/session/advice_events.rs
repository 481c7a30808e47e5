//! Events that only the report's advice needs.
//!
//! **Invariant.** A session that compiled nothing looks nothing up here and records no event about the machine.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::Environment;
use crate::config::Incremental;
use crate::event::{EventKind, EventLog, UnitId};
use crate::plan::BuildPlan;
use crate::store::LocalStore;

/// Linkers that are faster than GNU's, and `clang`, through which Wild is requested.
const LINKERS: [&str; 4] = ["wild", "mold", "ld.lld", "clang"];

/// Records the machine, if something was compiled.
pub(super) fn record_machine(environment: &Environment, host: String, log: &EventLog) {
    if !log.has(|kind| matches!(kind, EventKind::Compiled { .. })) {
        return;
    }
    let ci = Incremental::by_default(environment.get("CI")) == Incremental::Strip;
    let is_linked = log.has(|kind| matches!(kind, EventKind::Linked { .. }));
    let linkers = LINKERS.iter().filter(|name| is_linked && is_installed(name, environment.get("PATH")));
    log.record(EventKind::Machine { ci, host, linkers: linkers.map(|name| (*name).to_owned()).collect() });
}

fn is_installed(program: &str, path: Option<&OsStr>) -> bool {
    std::env::split_paths(path.unwrap_or_default()).any(|directory| directory.join(program).is_file())
}

/// Records which units of this build were in the local store and are no longer, now that it was made smaller.
pub(super) fn record_evicted(plan: &BuildPlan, store: &LocalStore, max_bytes: u64, log: &EventLog) {
    let stored = |kind: &EventKind| match kind {
        EventKind::Found { unit, .. } | EventKind::Recorded { unit, .. } => Some(*unit),
        _ => None,
    };
    let stored: BTreeSet<UnitId> = log.events().iter().filter_map(|event| stored(&event.kind)).collect();
    let is_gone = |key| matches!(store.entry(key), Ok(None));
    let gone = plan.cacheable().into_iter().filter(|(unit, key)| stored.contains(unit) && is_gone(*key));
    let units: Vec<_> = gone.map(|(unit, _)| unit).collect();
    if !units.is_empty() {
        log.record(EventKind::Evicted { units, max_bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn recorded(kinds: Vec<EventKind>, environment: &[(&str, &OsStr)]) -> Option<EventKind> {
        let log = EventLog::new(Arc::new(()));
        kinds.into_iter().for_each(|kind| log.record(kind));
        let before = log.events().len();
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        record_machine(&Environment(environment.collect()), "x86_64-unknown-linux-gnu".into(), &log);
        log.events().split_off(before).pop().map(|event| event.kind)
    }

    fn compiled() -> EventKind {
        EventKind::Compiled { unit: UnitId(0), millis: 5, success: true }
    }

    #[test]
    fn nothing_is_recorded_if_nothing_was_compiled() {
        let restored = EventKind::Restored { unit: UnitId(0), bytes: 1, millis: 1, compile_millis: 1 };
        assert_eq!(recorded(vec![restored], &[("CI", OsStr::new("true"))]), None);
    }

    #[test]
    fn linkers_are_looked_up_only_if_something_was_linked() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("mold"), "").unwrap();
        std::fs::create_dir(directory.path().join("wild")).unwrap();
        let path = std::env::join_paths([std::path::Path::new("/nowhere"), directory.path()]).unwrap();
        let environment = [("CI", OsStr::new("false")), ("PATH", path.as_os_str())];
        let linkers = |kinds| match recorded(kinds, &environment) {
            Some(EventKind::Machine { ci: false, linkers, .. }) => linkers,
            other => panic!("{other:?}"),
        };
        assert_eq!(linkers(vec![compiled()]), Vec::<String>::new());
        let linked = EventKind::Linked { unit: UnitId(0), program: Default::default() };
        assert_eq!(linkers(vec![compiled(), linked]), ["mold"]);
    }

    #[test]
    fn ci_is_detected_as_by_the_settings() {
        let ci = |value: &str| {
            matches!(
                recorded(vec![compiled()], &[("CI", OsStr::new(value))]),
                Some(EventKind::Machine { ci: true, .. })
            )
        };
        assert!(ci("true") && ci("1") && !ci("") && !ci("false"));
    }
}
