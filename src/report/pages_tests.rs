//! The pages of made-up sessions, which `tests/pages` has for readers, and what holds for every page.

use super::compare::Comparison;
use super::markdown::markdown;
use super::metrics::metrics;
use super::present::duration;
use super::sessions::Sessions;
use super::stats::{Stats, StoreSize, Tally};
use super::tests::{Fate, assert_page, plain, report, sample};
use super::text::{View, comparison, sessions, stats, summary, table};
use super::{RemoteFailure, Report};
use crate::config::Prices;
use crate::event::{MissReason, Tier, UncacheableReason};

const WIDE: View = View { width: None, all: false };

fn at(width: u16) -> View {
    View { width: Some(width), all: false }
}

fn text(report: &Report, view: View) -> String {
    plain(|out| table(report, view, out))
}

fn failed() -> Report {
    let remote_failed = RemoteFailure { remote: "s3://bucket".into(), message: "403 <Forbidden>".into() };
    Report { exit_code: Some(101), remote_failed: Some(remote_failed), advice: Vec::new(), ..sample() }
}

fn noop() -> Report {
    Report { noop: true, complete: true, exit_code: Some(0), command: vec!["test".into()], ..Report::default() }
}

/// 40 units, each more expensive than the one before.
fn many(fate: impl Fn(u64) -> Fate) -> Report {
    report(&Vec::from_iter((1..=40).map(|index| fate(1000 * index))))
}

#[test]
fn pages_are_as_checked_in() {
    let mut after = sample();
    after.units[0].version = "1.3.0".into();
    after.units[1].outcome = after.units[3].outcome.clone();
    after.units[6].features = vec!["std".into()];
    after.units.remove(5);
    after.totals.hits = 1;
    let compared = Comparison::of(&sample(), &after);
    let listed = Sessions::of(&[sample(), noop(), failed(), Report::default()]);
    let mut tally = Tally::of(&sample());
    tally.add(&Tally::of(&failed()));
    let store = StoreSize { directory: "/store".into(), entries: 3, files: 5, bytes: 2000, max_bytes: 10_000_000_000 };
    let prices = Prices { core_minute: 0.5, ..Prices::default() };
    let totals = Stats::new(tally, store, prices);
    for (name, page) in [
        ("summary.txt", plain(|out| summary(&sample(), out))),
        ("report.txt", text(&sample().with_prices(prices), WIDE)),
        ("report-80.txt", text(&sample(), at(80))),
        ("report-of-a-failure.txt", text(&failed(), WIDE)),
        ("report-of-many-hits.txt", text(&many(|millis| Fate::hit(Tier::Local, millis)), WIDE)),
        ("sessions.txt", plain(|out| sessions(&listed, WIDE, out))),
        ("sessions-80.txt", plain(|out| sessions(&listed, at(80), out))),
        ("comparison.txt", plain(|out| comparison(&compared, WIDE, out))),
        ("stats.txt", plain(|out| stats(&totals, WIDE, out))),
        ("summary.md", markdown(&sample().with_prices(prices))),
        ("summary-of-a-failure.md", markdown(&failed())),
        ("summary-of-many-misses.md", markdown(&many(|millis| Fate::miss(MissReason::Absent, millis)))),
        ("summary-of-no-change.md", markdown(&noop())),
        ("metrics.txt", metrics(&sample())),
    ] {
        assert_page(name, &page);
        assert!(
            name.ends_with("md") || page.lines().all(|line| line == line.trim_end()),
            "blanks at line ends: {name}"
        );
    }
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
    summary(&sample(), &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().starts_with("\x1b[1m\x1b[32m      Cached\x1b[0m 3 of"));
}

#[test]
fn rows_fit_the_terminal_and_numbers_are_never_cut() {
    for width in [80, 120, 200] {
        let text = text(&sample(), View { width: Some(width), all: true });
        assert_eq!(text.matches(" package-").count(), 9, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= width.into()), "{text}");
        assert!(text.contains(" 40.00 s"), "{text}");
        let list = plain(|out| sessions(&Sessions::of(&[sample()]), at(width), out));
        assert!(list.lines().all(|line| line.chars().count() <= width.into()), "{list}");
        assert_eq!((list.contains(" 42.0 s"), list.contains(" 5.0 kB")), (true, width > 80), "{list}");
    }
}

#[test]
fn long_lines_are_wrapped_at_a_terminal_and_nothing_is_cut_elsewhere() {
    let mut report = Report { warnings: vec!["word ".repeat(30)], ..sample() };
    report.units[0].package = format!("package-{}", "x".repeat(300));
    let narrow = text(&report, at(80));
    let warning: Vec<_> = narrow.lines().filter(|line| line.contains("word word")).collect();
    assert_eq!(warning.len(), 3, "{narrow}");
    assert!(warning[0].starts_with("     Warning word") && warning[1].starts_with("             word"), "{narrow}");
    let wide = text(&report, WIDE);
    assert!(wide.contains(report.warnings[0].trim()) && wide.contains(&report.units[0].package), "{wide}");
}

#[test]
fn every_compiled_unit_has_a_row_and_with_all_every_unit() {
    let compiled = many(|millis| Fate::uncacheable(UncacheableReason::ProcMacro, millis));
    assert_eq!(text(&compiled, WIDE).matches(" package-").count(), 40);
    let hits = many(|millis| Fate::hit(Tier::Local, millis));
    assert_eq!(text(&hits, View { all: true, ..WIDE }).matches(" package-").count(), 40);
}

#[test]
fn names_and_messages_cannot_move_the_cursor_or_be_markup() {
    let mut report = Report { warnings: vec!["one\n\x1b[2J\ttwo".into()], ..sample() };
    report.units[3].package = "a|b`<script>*c*_d_@e#1[x](y)\\\nz".into();
    report.command = vec!["build".into(), "--features".into(), "</details>".into()];
    let text = text(&report, WIDE);
    assert!(text.contains("\\ z 1.2.3") && text.contains("Warning one [2J two\n"), "{text}");
    let text = markdown(&report);
    let cell = "a&#124;b&#96;&#60;script&#62;&#42;c&#42;&#95;d&#95;&#64;e&#35;1&#91;x&#93;(y)&#92; z 1.2.3";
    assert!(text.contains(&format!("| {cell} | miss |")), "{text}");
    assert!(text.starts_with("### cargo xcache build --features &#60;&#47;details&#62;\n"), "{text}");
}

#[test]
fn durations_have_a_short_format() {
    assert_eq!([0, 449, 59_999, 60_000, 185_000].map(duration), ["0.0 s", "0.4 s", "59.9 s", "1m 00s", "3m 05s"]);
}
