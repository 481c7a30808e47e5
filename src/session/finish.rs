//! What a finished session writes: its report, its part in the sums, and the summary for a CI service.
//!
//! **Invariant.** None of it is worth a build: failures are not mentioned.

use std::path::Path;

use super::{Environment, Options};
use crate::ci;
use crate::config::Switch;
use crate::error::Result;
use crate::event::session_name;
use crate::history::History;
use crate::ledger::Ledger;
use crate::report::Report;
use crate::report::stats::Tally;
use crate::store::LocalStore;

/// Leaves everything where it belongs.
pub(super) fn write_results(options: &Options, report: &Report, target_dir: Option<&Path>, store: Option<&LocalStore>) {
    // Where a command built nothing, there is nothing to be in.
    let target_dir = target_dir.filter(|target_dir| target_dir.is_dir());
    let keep = |target_dir| History::of(target_dir).keep(report);
    log_if_failed("the report was not kept", target_dir.map_or(Ok(()), keep));
    let count = |store| Ledger::of(store).record(&session_name(report.started), &Tally::of(report));
    log_if_failed("the session was not counted", store.map_or(Ok(()), count));
    if options.settings.ci_summary == Switch::On {
        let report = report.clone().with_prices(options.settings.prices());
        let published = services(&options.environment).publish(&report, target_dir);
        log_if_failed("the CI service was not told", published);
    }
}

fn services(environment: &Environment) -> ci::Services {
    ci::Services {
        step_summary: environment.get("GITHUB_STEP_SUMMARY").map(Into::into),
        is_gitlab: environment.get("GITLAB_CI").is_some(),
    }
}

fn log_if_failed(what: &'static str, result: Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "{what}");
    }
}
