use super::super::compare::Comparison;
use super::super::sessions::Sessions;
use super::super::stats::{Stats, StoreSize, Tally};
use super::super::tests::{Fate, plain, report};
use super::*;
use crate::event::{MissReason, Tier};

fn sample() -> Report {
    report(&[
        Fate::hit(Tier::Local, 2_000),
        Fate::hit(Tier::Remote, 40_000),
        Fate::miss(MissReason::Absent, 1500),
        Fate::Miss { reason: MissReason::Absent, millis: 1500, recorded: Err(UncacheableReason::Native) },
        Fate::uncacheable(UncacheableReason::ProcMacro, 3000),
        Fate::uncacheable(UncacheableReason::Incremental, 200),
        Fate::BuildScriptRun,
        Fate::Fresh { found: false },
    ])
}

/// The table, without a limit of the width.
fn unlimited(report: &Report) -> String {
    plain(|out| table(report, View::default(), out))
}

#[test]
fn the_summary_lists_hits_misses_and_uploads() {
    assert_eq!(
        plain(|out| summary(&sample(), out)),
        "      Cached 2 of 6 units (1 local, 1 remote, 5.0 kB), saved 41.9 s of compile time\n    \
         Compiled 1 miss, 3 not cacheable (1 proc-macro, 1 incremental, 1 native)\n    \
         Uploaded 2 of 3 units; the rest stays in the local store: `cargo xcache push` sends it\n"
    );
}

#[test]
fn a_build_without_hits_and_misses_has_no_summary() {
    let mut report = report(&[Fate::Fresh { found: true }, Fate::uncacheable(UncacheableReason::Path, 3000)]);
    (report.totals.uploaded, report.totals.not_uploaded) = (0, 0);
    assert_eq!(plain(|out| summary(&report, out)), "");
}

#[test]
fn the_verb_has_the_style_of_cargo() {
    let mut out = Vec::new();
    status(&mut out, "Cached", "x").unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "\x1b[1m\x1b[32m      Cached\x1b[0m x\n");
}

fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains(" package-")).collect()
}

#[test]
fn the_table_lists_every_unit_and_every_cause_and_ends_with_the_totals() {
    let text = unlimited(&sample());
    assert_eq!(rows(&text).len(), 8, "{text}");
    assert!(text.contains("not recorded: native"), "{text}");
    assert!(text.contains("1 unit  "), "{text}");
    assert!(text.contains("CARGO_INCREMENTAL=0"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "no blanks at line ends: {text:?}");
    let position = |name: &str| text.find(name).unwrap();
    assert!(position("package-4") < position("package-5"), "the most expensive unit of a kind comes first: {text}");
    assert!(position("package-3") < position("package-1"), "compiled units come before hits: {text}");
    let (_, totals) = text.split_once("     Session cargo build --release\n").unwrap();
    assert!(totals.contains(" started 1970-01-01 00:00:00 UTC, took 0.2 s, exit code 0\n"), "{totals}");
    assert!(totals.contains("Units 8: 2 hits (1 remote, 1 local; 0 before cargo started), 2 misses, 3 not cacheable"));
}

#[test]
fn advice_comes_before_the_totals_with_its_action_below_it() {
    let text = unlimited(&sample());
    let advice = "      Advice 1 unit was not uploaded: other machines will have to repeat compilations that took \
                  1.5 s (not-uploaded)\n             cargo xcache push\n\n";
    assert!(text.contains(advice), "{text}");
    assert!(text.find("Advice") < text.find("Session"), "{text}");
    assert_eq!(text.matches("cargo xcache push").count(), 1, "{text}");
    let text = unlimited(&Report { advice: Vec::new(), ..sample() });
    assert!(!text.contains("Advice") && text.contains("not uploaded: 1 unit"), "{text}");
}

#[test]
fn every_row_fits_the_terminal_and_numbers_are_never_cut() {
    for width in [80, 120, 200] {
        let text = plain(|out| table(&sample(), View { width: Some(width), all: true }, out));
        assert_eq!(rows(&text).len(), 8, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= width.into()), "{text}");
        assert!(text.contains(" 40.00 s"), "{text}");
    }
}

#[test]
fn a_long_line_is_wrapped() {
    let mut report = sample();
    report.warnings = vec!["word ".repeat(30)];
    let text = plain(|out| table(&report, View { width: Some(80), all: false }, out));
    let warning: Vec<_> = text.lines().filter(|line| line.contains("word word")).collect();
    assert_eq!(warning.len(), 3, "{text}");
    assert!(warning[0].starts_with("     Warning word") && warning[1].starts_with("             word"), "{text}");
    assert_eq!(unlimited(&report).matches("word").count(), 30);
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    let mut report = sample();
    report.units[0].package = format!("package-{}", "x".repeat(300));
    assert!(unlimited(&report).contains(&report.units[0].package));
}

#[test]
fn of_many_hits_only_the_most_expensive_have_rows_and_the_rest_is_summed() {
    let report = report(&Vec::from_iter((1..=40).map(|index| Fate::hit(Tier::Local, 1_000 * index))));
    let text = unlimited(&report);
    assert_eq!(rows(&text).len(), 10, "{text}");
    let rest = text.lines().find(|line| line.contains("… and 30 more")).unwrap();
    assert!(rest.contains("7m 45s") && rest.contains("0.60 s") && rest.contains("3.0 kB"), "{rest}");
    assert_eq!(rows(&plain(|out| table(&report, View { all: true, ..View::default() }, out))).len(), 40);
}

#[test]
fn every_compiled_unit_has_a_row() {
    let report = report(&[Fate::uncacheable(UncacheableReason::ProcMacro, 3000); 40]);
    assert_eq!(rows(&unlimited(&report)).len(), 40);
}

#[test]
fn names_and_messages_are_written_without_control_characters() {
    let mut report = sample();
    report.units[0].package = "pack\nage".into();
    report.warnings = vec!["one\n\x1b[2J\ttwo".into()];
    let text = unlimited(&report);
    assert!(text.contains("pack age 1.2.3") && text.contains("Warning one [2J two\n"), "{text}");
}

fn failed() -> Report {
    Report { exit_code: Some(101), ..sample() }
}

#[test]
fn sessions_are_numbered_from_the_newest() {
    let noop = Report { noop: true, complete: true, exit_code: Some(0), ..Report::default() };
    let reports = [sample(), noop, failed(), Report::default()];
    let text = plain(|out| sessions(&Sessions::of(&reports), View::default(), out));
    let words: Vec<Vec<_>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..6], ["Built", "0", "01-01", "00:00:00", "build", "--release"]);
    assert_eq!(words[1], ["No", "change", "1", "0.0", "s"]);
    assert_eq!(words[2][..2], ["Failed", "2"]);
    assert_eq!(words[3][..2], ["Incomplete", "3"]);
}

#[test]
fn the_list_of_sessions_fits_the_terminal_and_numbers_are_never_cut() {
    let text = plain(|out| sessions(&Sessions::of(&[sample()]), View { width: Some(80), all: false }, out));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains(" 41.9 s") && !text.contains("received"), "{text}");
    let text = plain(|out| sessions(&Sessions::of(&[sample()]), View { width: Some(120), all: false }, out));
    assert!(text.contains(" 5.0 kB"), "{text}");
}

#[test]
fn a_comparison_shows_changed_units_and_both_totals() {
    let mut after = sample();
    after.units[0].version = "1.3.0".into();
    after.units[1].outcome = after.units[2].outcome.clone();
    after.units.remove(4);
    after.totals.hits = 1;
    let text = plain(|out| comparison(&Comparison::of(&sample(), &after), View::default(), out));
    let line = |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default();
    assert!(line("Miss package-1 1.2.3").contains("remote hit   absent  "), "{text}");
    assert!(line("Local hit package-0 1.2.3 → 1.3.0").contains("local hit"), "{text}");
    assert!(line("Gone package-4").contains("uncacheable  was proc-macro"), "{text}");
    assert_eq!(line("Units"), "       Units 3 units changed, 5 as before");
    assert_eq!(line("Hits").split_whitespace().collect::<Vec<_>>(), ["Hits", "2", "1", "-1"]);
}

#[test]
fn statistics_have_one_line_for_each_subject() {
    let mut tally = Tally::of(&sample());
    tally.add(&Tally::of(&failed()));
    let store = StoreSize { directory: "/store".into(), entries: 3, files: 5, bytes: 2000, max_bytes: 10_000_000_000 };
    let prices = crate::config::Prices { core_minute: 0.5, ..crate::config::Prices::default() };
    let text = plain(|out| stats(&Stats::new(tally, store, prices), View::default(), out));
    let expected = "       Since 1970-01-01 00:00:00 UTC
    Sessions 2, 1 failed
       Units 4 hits (2 remote, 2 local), 4 misses: 50 %; 6 not cacheable
        Time 12.4 s compiling, 0.0 s restoring, 1m 23s of compile time saved
      Remote 14 requests, 10.0 kB received, 5.0 kB sent
       Store /store: 3 units in 5 files, 2.0 kB of at most 10.0 GB
       Costs 0.6993 saved by not compiling, 0.0000 spent (0.0000 received, 0.0000 sent, 0.0000 requests), 0.6993 gained
";
    assert_eq!(text, expected);
}

#[test]
fn durations_have_a_short_format() {
    assert_eq!([0, 449, 59_999, 60_000, 185_000].map(duration), ["0.0 s", "0.4 s", "59.9 s", "1m 00s", "3m 05s"]);
}
