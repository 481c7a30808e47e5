//! A summary of a report in Markdown, for the page of a CI job.

use std::cmp::Reverse;

use super::Report;
use super::present::{bytes, duration, name, reason, title, units as counted};

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
    let compiled = report.units.iter().filter_map(|unit| Some((unit.outcome.compiled_ms()?, unit)));
    let mut units: Vec<_> = compiled.collect();
    if units.is_empty() {
        return Vec::new();
    }
    units.sort_by_key(|(time, _)| Reverse(*time));
    let mut table = "| unit | outcome | reason | compile time |\n|---|---|---|---:|".to_owned();
    for (time, unit) in units.iter().take(SHOWN) {
        let (kind, reason) = (name(unit.outcome.kind()), escape(&reason(&unit.outcome)));
        table += &format!("\n| {} | {kind} | {reason} | {} |", escape(&title(unit)), duration(*time));
    }
    let summary = format!("<details><summary>{} compiled</summary>", counted(units.len()));
    let rest = (units.len() > SHOWN).then(|| format!("… and {} more.", units.len() - SHOWN));
    [summary, table].into_iter().chain(rest).chain(["</details>".to_owned()]).collect()
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
