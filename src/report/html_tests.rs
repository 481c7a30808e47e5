use super::super::tests::{self, Fate};
use super::*;
use crate::event::{MissReason, Tier, UncacheableReason};

/// Text that the page must not treat as markup or as a template.
const HOSTILE: &str = "</script><img src=x onerror='alert(1)'><!-- \" {{ 7 * 7 }} {% raw %} &lt;";

fn report() -> Report {
    tests::report(&[
        Fate::hit(Tier::Remote, 40_000),
        Fate::Hydrated { millis: 3, rejected: None },
        Fate::miss(MissReason::Absent, 1500),
        Fate::Miss { reason: MissReason::Dependency, millis: 700, recorded: Err(UncacheableReason::Native) },
        Fate::uncacheable(UncacheableReason::Incremental, 3000),
        Fate::BuildScriptRun,
        Fate::Fresh { found: true },
    ])
}

#[test]
fn the_same_report_gives_the_same_page() {
    assert_eq!(page(&report()), page(&report()));
}

#[test]
fn the_page_has_a_section_for_advice_only_if_there_is_advice() {
    let advised = page(&report());
    assert!(advised.contains("id=\"advice\"") && advised.contains("<code>not-uploaded</code>"));
    assert!(advised.contains("<pre>cargo xcache push</pre>") && advised.contains("at most <strong>1.5 s</strong>"));
    assert!(!page(&Report { advice: Vec::new(), ..report() }).contains("id=\"advice\""));
}

#[test]
fn the_page_refers_to_nothing_outside_of_itself() {
    let page = page(&report());
    for address in ["http:", "https:", "//cdn", "@import", "url(", " src=", "<iframe", "<object"] {
        assert!(!page.contains(address), "there is {address} in the page");
    }
    assert_eq!(
        page.matches("href=\"").count(),
        page.matches("href=\"#").count() + page.matches("href=\"data:,\"").count()
    );
}

#[test]
fn one_script_may_run_and_its_nonce_depends_on_the_report() {
    let nonce = |page: &str| page.split("script-src 'nonce-").nth(1).unwrap()[..32].to_owned();
    let (one, other) = (page(&report()), page(&Report::default()));
    assert_ne!(nonce(&one), nonce(&other));
    assert_eq!(one.matches("<script").count(), 1);
    assert!(one.contains(&format!("<script nonce=\"{}\">", nonce(&one))));
}

#[test]
fn names_are_never_markup() {
    let mut report = report();
    report.command = vec![HOSTILE.into()];
    report.remote = Some(HOSTILE.into());
    report.plan_failed = Some(HOSTILE.into());
    report.warnings = vec![HOSTILE.into()];
    for unit in &mut report.units {
        let texts = [&mut unit.package, &mut unit.version, &mut unit.target, &mut unit.kind, &mut unit.mode];
        texts.into_iter().for_each(|text| *text = HOSTILE.into());
        unit.features = vec![HOSTILE.into()];
        unit.platform = Some(HOSTILE.into());
        unit.rejected = Some(HOSTILE.into());
    }
    for span in &mut report.spans {
        (span.unit, span.name) = (None, Some(HOSTILE.into()));
    }
    let page = page(&report);
    assert!(!page.contains("<img") && !page.contains("onerror='"), "a name is markup");
    assert_eq!((page.matches("</script>").count(), page.matches("<!--").count()), (1, 0));
    assert!(page.contains("{{ 7 * 7 }}"), "a name is treated as a template");
}

#[test]
fn the_page_has_every_unit_and_describes_every_reason() {
    let page = page(&report());
    for unit in 0..7 {
        assert!(page.contains(&format!("<tr id=\"unit-{unit}\"")), "unit {unit} is missing");
    }
    for words in
        [UncacheableReason::Native.describe(), UncacheableReason::Incremental.advice().unwrap(), "no store has it"]
    {
        let escaped = words.replace('/', "&#x2f;").replace('\'', "&#x27;");
        assert!(page.contains(&escaped), "{words}");
    }
}

#[test]
fn a_session_without_units_has_a_page() {
    let page = page(&Report::default());
    assert!(page.contains("Incomplete"), "an empty log ended early");
    assert!(!page.contains("<table") && !page.contains("id=\"timeline\""));
    let noop = super::page(&Report { complete: true, noop: true, ..Report::default() });
    assert!(noop.contains("without a plan") && !noop.contains("Incomplete"));
}

#[test]
fn a_report_with_absurd_numbers_has_a_page() {
    let mut report = report();
    for span in &mut report.spans {
        (span.start_ms, span.end_ms) = (u64::MAX - 1, u64::MAX);
    }
    report.units[2].dependencies = vec![crate::event::UnitId(2), crate::event::UnitId(99)];
    report.duration_ms = u64::MAX;
    assert!(page(&report).contains("Timeline"));
}
