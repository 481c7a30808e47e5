use super::super::tests::{assert_page, sample};
use super::*;

/// Text that the page must not treat as markup or as a template.
const HOSTILE: &str = "</script><img src=x onerror='alert(1)'><!-- \" {{ 7 * 7 }} {% raw %} &lt;";

#[test]
fn the_page_is_as_checked_in() {
    let page = page(&sample());
    let rest = page.replace(STYLE, "").replace(SCRIPT, "").replace(&nonce(&sample()), "nonce");
    assert_page("report.html", &rest);
}

#[test]
fn the_page_refers_to_nothing_outside_of_itself() {
    let page = page(&sample());
    for address in ["http:", "https:", "//cdn", "@import", "url(", " src=", "<iframe", "<object"] {
        assert!(!page.contains(address), "there is {address} in the page");
    }
    let inside = page.matches("href=\"#").count() + page.matches("href=\"data:,\"").count();
    assert_eq!(page.matches("href=\"").count(), inside);
}

#[test]
fn one_script_may_run_and_its_nonce_depends_on_the_report() {
    let nonce = |page: &str| page.split("script-src 'nonce-").nth(1).unwrap()[..32].to_owned();
    let (one, other) = (page(&sample()), page(&Report::default()));
    assert_ne!(nonce(&one), nonce(&other));
    assert_eq!(one.matches("<script").count(), 1);
    assert!(one.contains(&format!("<script nonce=\"{}\">", nonce(&one))));
}

#[test]
fn names_are_never_markup() {
    let hostile = || HOSTILE.to_owned();
    let mut report = sample();
    report.command = vec![hostile()];
    (report.remote, report.plan_failed, report.warnings) = (Some(hostile()), Some(hostile()), vec![hostile()]);
    for unit in &mut report.units {
        let texts = [&mut unit.package, &mut unit.version, &mut unit.target, &mut unit.kind, &mut unit.mode];
        texts.into_iter().for_each(|text| *text = hostile());
        (unit.features, unit.platform, unit.rejected) = (vec![hostile()], Some(hostile()), Some(hostile()));
    }
    for span in &mut report.spans {
        (span.unit, span.name) = (None, Some(hostile()));
    }
    let page = page(&report);
    assert!(!page.contains("<img") && !page.contains("onerror='"), "a name is markup");
    assert_eq!((page.matches("</script>").count(), page.matches("<!--").count()), (1, 0));
    assert!(page.contains("{{ 7 * 7 }}"), "a name is treated as a template");
}

#[test]
fn sections_without_content_are_left_out() {
    assert!(!page(&Report { advice: Vec::new(), ..sample() }).contains("id=\"advice\""));
    let empty = page(&Report::default());
    assert!(empty.contains("Incomplete"), "an empty log ended early");
    assert!(!empty.contains("<table") && !empty.contains("id=\"timeline\""));
    let noop = page(&Report { complete: true, noop: true, ..Report::default() });
    assert!(noop.contains("without a plan") && !noop.contains("Incomplete"));
}

#[test]
fn a_report_with_absurd_numbers_has_a_page() {
    let mut report = Report { duration_ms: u64::MAX, ..sample() };
    for span in &mut report.spans {
        (span.start_ms, span.end_ms) = (u64::MAX - 1, u64::MAX);
    }
    report.phases[0].start_ms = u64::MAX;
    report.units[3].dependencies = vec![crate::event::UnitId(3), crate::event::UnitId(99)];
    assert!(page(&report).contains("Timeline"));
}
