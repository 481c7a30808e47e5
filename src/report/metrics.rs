//! A report as OpenMetrics text, which GitLab compares between a merge request and its target branch.

use super::{Report, Totals};

/// The totals of one session, each as a gauge.
pub fn metrics(report: &Report) -> String {
    let totals = &report.totals;
    let Totals { hits_local, hits_remote, fresh, misses, uncacheable, not_reached, .. } = totals;
    let outcomes = [
        ("hit-local", hits_local),
        ("hit-remote", hits_remote),
        ("fresh", fresh),
        ("miss", misses),
        ("uncacheable", uncacheable),
        ("not-reached", not_reached),
    ];
    let gauges = [
        ("xcache_duration_seconds", "How long the session took.", seconds(report.duration_ms)),
        ("xcache_compile_seconds", "How long rustc took, over all units.", seconds(totals.compile_ms)),
        ("xcache_saved_seconds", "Compile time saved.", seconds(totals.saved_ms)),
        ("xcache_received_bytes", "Bytes received from the remote.", totals.received_bytes as f64),
        ("xcache_sent_bytes", "Bytes sent to the remote.", totals.sent_bytes as f64),
        ("xcache_requests", "Requests sent to the remote.", totals.requests as f64),
    ];
    let head = |name: &str, help: &str| format!("# TYPE {name} gauge\n# HELP {name} {help}\n");
    let units = outcomes.map(|(outcome, units)| format!("xcache_units{{outcome=\"{outcome}\"}} {units}\n"));
    let gauges = gauges.map(|(name, help, value)| format!("{}{name} {value}\n", head(name, help)));
    let head = head("xcache_units", "Units of the plan by outcome.");
    format!("{head}{}{}# EOF\n", units.concat(), gauges.concat())
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
