//! A summary of a report in Markdown, for the page of a CI job.

use std::cmp::Reverse;

use super::present::{bytes, duration, name, reason, title, units as counted};
use super::{OutcomeKind, Report};

/// How many compiled units are listed.
const SHOWN: usize = 10;

/// A heading, a table of totals, and the compilations that took longest. One line if nothing had changed.
pub fn markdown(report: &Report) -> String {
    let command = escape(&format!("cargo xcache {}", report.command.join(" ")));
    if report.had_nothing_to_do() {
        return format!("{command}: nothing had changed.\n\n");
    }
    let paragraphs = [vec![format!("### {command}")], problems(report), vec![totals(report)], compiled(report)];
    paragraphs.concat().iter().map(|paragraph| format!("{paragraph}\n\n")).collect()
}

fn problems(report: &Report) -> Vec<String> {
    let code = report.exit_code.filter(|code| *code != 0).map(|code| format!("Cargo ended with exit code {code}."));
    let no_plan = report.plan_failed.as_ref().map(|reason| format!("There was no plan: {}", escape(reason)));
    let failure = report.remote_failed.as_ref();
    let no_remote = failure.map(|failure| format!("The remote was given up: {}", escape(&failure.message)));
    [code, no_plan, no_remote].into_iter().flatten().collect()
}

fn totals(report: &Report) -> String {
    let totals = &report.totals;
    let mut columns = vec![
        ("hits", format!("{} ({} remote)", totals.hits, totals.hits_remote)),
        ("misses", totals.misses.to_string()),
        ("not cacheable", totals.uncacheable.to_string()),
        ("fresh", totals.fresh.to_string()),
        ("compiled for", duration(totals.compile_ms)),
        ("compile time saved", duration(totals.saved_ms)),
        ("received", bytes(totals.received_bytes)),
        ("sent", bytes(totals.sent_bytes)),
        ("took", duration(report.duration_ms)),
    ];
    if let Some(costs) = &report.costs {
        columns.push(("money saved", format!("{:.4}", costs.saved)));
        columns.push(("money spent", format!("{:.4}", costs.spent())));
    }
    let row = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
    let names = row(columns.iter().map(|(name, _)| *name).collect());
    let values = row(columns.iter().map(|(_, value)| value.as_str()).collect());
    format!("{names}\n|{}\n{values}", "---:|".repeat(columns.len()))
}

/// The most expensive units that were compiled.
fn compiled(report: &Report) -> Vec<String> {
    let mut units: Vec<_> = report.units.iter().filter(|unit| OutcomeKind::of(&unit.outcome).is_compiled()).collect();
    units.retain(|unit| unit.outcome.compiled_ms().is_some());
    if units.is_empty() {
        return Vec::new();
    }
    units.sort_by_key(|unit| Reverse(unit.outcome.compiled_ms()));
    let mut table = vec!["| unit | outcome | reason | compile time |".to_owned(), "|---|---|---|---:|".to_owned()];
    table.extend(units.iter().take(SHOWN).map(|unit| {
        let (kind, reason) = (name(OutcomeKind::of(&unit.outcome)), reason(&unit.outcome));
        let time = duration(unit.outcome.compiled_ms().unwrap_or(0));
        format!("| {} | {kind} | {} | {time} |", escape(&title(unit)), escape(&reason))
    }));
    let summary = format!("<details><summary>{} compiled</summary>", counted(units.len()));
    let rest = (units.len() > SHOWN).then(|| format!("… and {} more.", units.len() - SHOWN));
    [summary, table.join("\n")].into_iter().chain(rest).chain(["</details>".to_owned()]).collect()
}

/// Escapes names and messages from elsewhere, so that they contain no markup, no mention, no link, and no end of a
/// table cell.
fn escape(text: &str) -> String {
    let escaped = |letter: char| match letter {
        ' ' | '-' | '.' | ',' | ';' | '=' | '(' | ')' => letter.to_string(),
        letter if letter.is_control() || letter.is_whitespace() => " ".into(),
        letter if letter.is_ascii_punctuation() => format!("&#{};", u32::from(letter)),
        letter => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{self, Fate};
    use super::*;
    use crate::event::{MissReason, Tier, UncacheableReason};

    fn report(misses: u64) -> Report {
        let uncacheable = Fate::uncacheable(UncacheableReason::Native, 90_000);
        let mut fates = vec![Fate::hit(Tier::Remote, 62_000), uncacheable, Fate::BuildScriptRun];
        fates.extend((0..misses).map(|index| Fate::miss(MissReason::Absent, 1000 * index)));
        tests::report(&fates)
    }

    #[test]
    fn a_summary_has_totals_and_the_slowest_compilations() {
        let text = markdown(&report(2));
        let expected = "### cargo xcache build --release

| hits | misses | not cacheable | fresh | compiled for | compile time saved | received | sent | took |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| 1 (1 remote) | 2 | 2 | 0 | 1m 31s | 1m 01s | 5.0 kB | 2.5 kB | 0.2 s |

<details><summary>3 units compiled</summary>

| unit | outcome | reason | compile time |
|---|---|---|---:|
| package-1 1.2.3 | uncacheable | native | 1m 30s |
| package-4 1.2.3 | miss | absent | 1.0 s |
| package-3 1.2.3 | miss | absent | 0.0 s |

</details>

";
        assert_eq!(text, expected);
    }

    #[test]
    fn only_the_most_expensive_units_are_listed() {
        let text = markdown(&report(40));
        assert_eq!(text.matches("| package-").count(), SHOWN);
        assert!(text.contains("41 units compiled") && text.contains("… and 31 more."), "{text}");
    }

    #[test]
    fn names_and_messages_are_escaped() {
        let mut report = report(1);
        report.units[3].package = "a|b`<script>*c*_d_@e#1[x](y)\\\nz".into();
        report.command = vec!["build".into(), "--features".into(), "</details>".into()];
        let text = markdown(&report);
        let cell = "a&#124;b&#96;&#60;script&#62;&#42;c&#42;&#95;d&#95;&#64;e&#35;1&#91;x&#93;(y)&#92; z 1.2.3";
        assert!(text.contains(&format!("| {cell} | miss |")), "{text}");
        assert!(text.starts_with("### cargo xcache build --features &#60;&#47;details&#62;\n"), "{text}");
    }

    #[test]
    fn a_session_with_nothing_to_do_is_one_line() {
        let command = vec!["test".into()];
        let noop = Report { noop: true, complete: true, exit_code: Some(0), command, ..Report::default() };
        assert_eq!(markdown(&noop), "cargo xcache test: nothing had changed.\n\n");
    }

    #[test]
    fn failures_of_cargo_and_the_remote_are_mentioned() {
        let mut report = report(0);
        report.exit_code = Some(101);
        let (remote, message) = ("s3://bucket".into(), "403 <Forbidden>".into());
        report.remote_failed = Some(super::super::RemoteFailure { remote, message });
        let text = markdown(&report);
        assert!(text.contains("\n\nCargo ended with exit code 101.\n\nThe remote was given up: 403 &#60;Forbidden"));
    }
}
