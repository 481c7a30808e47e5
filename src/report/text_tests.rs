use super::super::tests::{Fate, session};
use super::*;

fn hit(tier: Tier, compile_millis: u64) -> Fate {
    Fate::Hit { tier, millis: 20, compile_millis }
}

fn sample() -> Report {
    let miss = |recorded| Fate::Miss { reason: MissReason::Absent, millis: 1500, recorded };
    let fates = [
        hit(Tier::Local, 2_000),
        hit(Tier::Remote, 40_000),
        miss(Ok(false)),
        miss(Err(Reason::Native)),
        Fate::Uncacheable { reason: Reason::ProcMacro, millis: 3000 },
        Fate::Uncacheable { reason: Reason::Incremental, millis: 200 },
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
    let fates = [Fate::Fresh { found: true }, Fate::Uncacheable { reason: Reason::Path, millis: 3000 }];
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

#[test]
fn the_table_lists_every_unit_and_every_cause() {
    let text = plain(|out| table(&sample(), None, out));
    assert!(text.starts_with("cargo build --release\nstarted 1970-01-01 00:00:00 UTC, took 0.2 s, exit code 0\n"));
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("package-")).count(), 8, "{text}");
    assert!(text.contains("not recorded: native"), "{text}");
    assert!(text.contains("1 unit  "), "{text}");
    assert!(text.contains("CARGO_INCREMENTAL=0"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "no blanks at line ends: {text:?}");
    let position = |name: &str| text.find(name).unwrap();
    assert!(position("package-4") < position("package-2"), "the most expensive unit comes first: {text}");
}

#[test]
fn the_table_keeps_to_the_terminals_width() {
    let text = plain(|out| table(&sample(), Some(90), out));
    let units = text.split("Not cached").next().unwrap();
    let body = units.lines().skip_while(|line| !line.is_empty());
    assert!(body.clone().count() > 8);
    assert!(body.into_iter().all(|line| line.chars().count() <= 90), "{text}");
}

#[test]
fn durations_are_short() {
    assert_eq!([0, 449, 59_999, 60_000, 185_000].map(duration), ["0.0 s", "0.4 s", "59.9 s", "1m 00s", "3m 05s"]);
}
