//! A report as OpenMetrics text, which GitLab compares between a merge request and its target branch.

use std::fmt::Write;

use super::{Report, Totals};

/// The totals of one session, each as a gauge.
pub fn metrics(report: &Report) -> String {
    let Totals { hits_local, hits_remote, fresh, misses, uncacheable, not_reached, .. } = report.totals;
    let outcomes = [
        ("hit-local", hits_local),
        ("hit-remote", hits_remote),
        ("fresh", fresh),
        ("miss", misses),
        ("uncacheable", uncacheable),
        ("not-reached", not_reached),
    ];
    let totals = &report.totals;
    let mut text = String::new();
    describe(&mut text, "xcache_units", "Units of the plan by outcome.");
    for (outcome, units) in outcomes {
        add(&mut text, &format!("xcache_units{{outcome=\"{outcome}\"}}"), units as f64);
    }
    let gauges = [
        ("xcache_duration_seconds", "How long the session took.", seconds(report.duration_ms)),
        ("xcache_compile_seconds", "How long rustc took, over all units.", seconds(totals.compile_ms)),
        ("xcache_saved_seconds", "Compile time saved.", seconds(totals.saved_ms)),
        ("xcache_received_bytes", "Bytes received from the remote.", totals.received_bytes as f64),
        ("xcache_sent_bytes", "Bytes sent to the remote.", totals.sent_bytes as f64),
        ("xcache_requests", "Requests sent to the remote.", totals.requests as f64),
    ];
    for (name, help, value) in gauges {
        describe(&mut text, name, help);
        add(&mut text, name, value);
    }
    text + "# EOF\n"
}

fn describe(text: &mut String, name: &str, help: &str) {
    writeln!(text, "# TYPE {name} gauge\n# HELP {name} {help}").expect("writing to a string cannot fail");
}

fn add(text: &mut String, name: &str, value: f64) {
    writeln!(text, "{name} {value}").expect("writing to a string cannot fail");
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fate, report};
    use super::*;
    use crate::event::{MissReason, Tier};

    #[test]
    fn each_total_is_described_once_and_the_text_ends_with_eof() {
        let text = metrics(&report(&[Fate::hit(Tier::Remote, 62_520), Fate::miss(MissReason::Absent, 1250)]));
        for line in [
            "xcache_units{outcome=\"hit-remote\"} 1",
            "xcache_units{outcome=\"miss\"} 1",
            "xcache_units{outcome=\"fresh\"} 0",
            "xcache_compile_seconds 1.25",
            "xcache_saved_seconds 62.5",
            "xcache_received_bytes 5000",
            "xcache_requests 7",
        ] {
            assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line} in {text}");
        }
        assert_eq!(text.matches("# TYPE xcache_units gauge").count(), 1);
        assert!(text.ends_with("\n# EOF\n"));
    }
}
