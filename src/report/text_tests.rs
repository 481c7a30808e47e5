use super::super::compare::Comparison;
use super::super::sessions::Sessions;
use super::super::stats::{Stats, StoreSize, Tally};
use super::super::tests::{Fate, session};
use super::*;
use crate::event::{MissReason, Tier};

fn hit(tier: Tier, compile_millis: u64) -> Fate {
    Fate::Hit { tier, millis: 20, compile_millis }
}

fn sample() -> Report {
    let miss = |recorded| Fate::Miss { reason: MissReason::Absent, millis: 1500, recorded };
    let fates = [
        hit(Tier::Local, 2_000),
        hit(Tier::Remote, 40_000),
        miss(Ok(false)),
        miss(Err(UncacheableReason::Native)),
        Fate::Uncacheable { reason: UncacheableReason::ProcMacro, millis: 3000 },
        Fate::Uncacheable { reason: UncacheableReason::Incremental, millis: 200 },
        Fate::BuildScriptRun,
        Fate::Fresh { found: false },
    ];
    Report::from_events(&session(&fates, Some(0)))
}

/// Renders, and drops the styles.
fn plain(render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut styled = Vec::new();
    render(&mut styled).unwrap();
    let mut rest = String::from_utf8(styled).unwrap();
    while let Some(start) = rest.find('\x1b') {
        let end = start + rest[start..].find('m').unwrap();
        rest.replace_range(start..=end, "");
    }
    rest
}

#[test]
fn the_summary_says_what_was_cached_and_what_was_not() {
    assert_eq!(
        plain(|out| summary(&sample(), out)),
        "      Cached 2 of 6 units (1 local, 1 remote, 5.0 kB), saved 41.9 s of compile time\n    \
         Compiled 1 miss, 3 not cacheable (1 proc-macro, 1 incremental, 1 native)\n    \
         Uploaded 2 of 3 units; the rest stays in the local store: `cargo xcache push` sends it\n"
    );
}

#[test]
fn a_build_in_which_the_cache_had_no_part_has_no_summary() {
    let fates = [Fate::Fresh { found: true }, Fate::Uncacheable { reason: UncacheableReason::Path, millis: 3000 }];
    let mut report = Report::from_events(&session(&fates, Some(0)));
    (report.totals.uploaded, report.totals.not_uploaded) = (0, 0);
    assert_eq!(plain(|out| summary(&report, out)), "");
}

#[test]
fn the_verb_is_styled_like_cargos() {
    let mut out = Vec::new();
    status(&mut out, "Cached", "x").unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "\x1b[1m\x1b[32m      Cached\x1b[0m x\n");
}

fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains(" package-")).collect()
}

#[test]
fn the_table_lists_every_unit_and_every_cause_and_ends_with_the_totals() {
    let text = plain(|out| table(&sample(), View::default(), out));
    assert_eq!(rows(&text).len(), 8, "{text}");
    assert!(text.contains("not recorded: native"), "{text}");
    assert!(text.contains("1 unit  "), "{text}");
    assert!(text.contains("CARGO_INCREMENTAL=0"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "no blanks at line ends: {text:?}");
    let position = |name: &str| text.find(name).unwrap();
    assert!(position("package-4") < position("package-5"), "the most expensive unit of a kind comes first: {text}");
    assert!(position("package-3") < position("package-1"), "what was compiled comes before hits: {text}");
    let (_, totals) = text.split_once("     Session cargo build --release\n").unwrap();
    assert!(totals.contains(" started 1970-01-01 00:00:00 UTC, took 0.2 s, exit code 0\n"), "{totals}");
    assert!(totals.contains("Units 8: 2 hits (1 remote, 1 local; 0 before cargo started), 2 misses, 3 not cacheable"));
}

#[test]
fn advice_stands_before_the_totals_with_what_to_do_below_it() {
    let text = plain(|out| table(&sample(), View::default(), out));
    let advice = "      Advice 1 unit was not uploaded; what this build compiled of them, for 1.5 s, others will compile again \
                  (not-uploaded)\n             cargo xcache push\n\n";
    assert!(text.contains(advice), "{text}");
    assert!(text.find("Advice") < text.find("Session"), "{text}");
    assert_eq!(text.matches("cargo xcache push").count(), 1, "{text}");
    let report = Report { advice: Vec::new(), ..sample() };
    let text = plain(|out| table(&report, View::default(), out));
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
fn a_long_line_goes_on_below_itself() {
    let mut report = sample();
    report.warnings = vec!["word ".repeat(30)];
    let text = plain(|out| table(&report, View { width: Some(80), all: false }, out));
    let warning: Vec<_> = text.lines().filter(|line| line.contains("word word")).collect();
    assert_eq!(warning.len(), 3, "{text}");
    assert!(warning[0].starts_with("     Warning word") && warning[1].starts_with("             word"), "{text}");
    assert_eq!(plain(|out| table(&report, View::default(), out)).matches("word").count(), 30);
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    let mut report = sample();
    report.units[0].package = format!("package-{}", "x".repeat(300));
    assert!(plain(|out| table(&report, View::default(), out)).contains(&report.units[0].package));
}

#[test]
fn of_many_hits_the_expensive_ones_are_shown_and_the_rest_is_summed() {
    let fates: Vec<_> = (0..40).map(|index| hit(Tier::Local, 1_000 * (index + 1))).collect();
    let report = Report::from_events(&session(&fates, Some(0)));
    let text = plain(|out| table(&report, View::default(), out));
    assert_eq!(rows(&text).len(), 10, "{text}");
    let rest = text.lines().find(|line| line.contains("… and 30 more")).unwrap();
    assert!(rest.contains("7m 45s") && rest.contains("0.60 s") && rest.contains("3.0 kB"), "{rest}");
    assert_eq!(rows(&plain(|out| table(&report, View { all: true, ..View::default() }, out))).len(), 40);
}

#[test]
fn what_was_compiled_is_never_left_out() {
    let fates = vec![Fate::Uncacheable { reason: UncacheableReason::ProcMacro, millis: 3000 }; 40];
    let report = Report::from_events(&session(&fates, Some(0)));
    assert_eq!(rows(&plain(|out| table(&report, View::default(), out))).len(), 40);
}

#[test]
fn text_from_elsewhere_stays_on_its_line() {
    let mut report = sample();
    report.units[0].package = "pack\nage".into();
    report.warnings = vec!["one\n\x1b[2J\ttwo".into()];
    let text = plain(|out| table(&report, View::default(), out));
    assert!(text.contains("pack age 1.2.3") && text.contains("Warning one [2J two\n"), "{text}");
}

fn failed() -> Report {
    let mut report = sample();
    (report.exit_code, report.complete) = (Some(101), true);
    report
}

#[test]
fn sessions_are_numbered_from_the_last_one_on() {
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
fn sessions_keep_to_the_width_without_a_number_cut() {
    let text = plain(|out| sessions(&Sessions::of(&[sample()]), View { width: Some(80), all: false }, out));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains(" 41.9 s") && !text.contains("received"), "{text}");
    let text = plain(|out| sessions(&Sessions::of(&[sample()]), View { width: Some(120), all: false }, out));
    assert!(text.contains(" 5.0 kB"), "{text}");
}

#[test]
fn a_comparison_shows_what_changed_and_the_totals_beside_each_other() {
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
fn sums_over_all_sessions_are_a_line_each() {
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
fn durations_are_short() {
    assert_eq!([0, 449, 59_999, 60_000, 185_000].map(duration), ["0.0 s", "0.4 s", "59.9 s", "1m 00s", "3m 05s"]);
}
