//! The HTML report in a real browser: of real builds, with hostile names, and with a thousand units.
//!
//! This file makes the pages. `tests/html/pages.test.mjs` tests them, with Playwright and Chromium, which `.ci/browser`
//! installs. Without them, this test shows nothing; in CI they must not be missing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Package, Project, Sandbox, Tool, repository, require, tree};

/// Text that would run as a script if a page took it for markup.
const HOSTILE: &str = "</script><img src=x onerror=\"hacked=1\"><!-- ${hacked=1} {{ 7 * 7 }} '\"";

/// Chromium, wherever this system has it.
fn chromium() -> Option<PathBuf> {
    let dirs: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()))
}

/// Renders the report of the last build.
fn render(project: &Project, pages: &Path, name: &str) {
    let page = pages.join(format!("{name}.html"));
    let written = project.xcache(["report", "--format", "html", "--output"]).arg(&page).ok();
    assert_eq!((&*written.stdout, &*written.stderr), ("", ""), "{written}");
    // On standard output it is the same, and rendering is deterministic.
    let printed = project.xcache(["report", "--format", "html"]).ok().stdout;
    assert_eq!(
        printed,
        std::fs::read_to_string(&page).expect("the page was written"),
        "{name} differs between renderings"
    );
    assert!(printed.starts_with("<!doctype html>"), "{printed}");
}

/// Replaces the report of the last build.
fn replace(project: &Project, report: &Value) {
    tree::write(&project.target().join("xcache/report.json"), report.to_string());
}

/// Real reports: of a build from nothing with a remote, of one with everything in the remote, of one with nothing to
/// do, of one that fails, and of one whose log is truncated.
fn build_pages(sandbox: &Sandbox, pages: &Path) -> Value {
    let remote = format!("file://{}", sandbox.path("remote").display());
    let cold = sandbox.checkout("app").env("XCACHE_REMOTE", &remote);
    cold.xcache(["run", "--", HOSTILE]).ok();
    render(&cold, pages, "cold");
    let real = cold.report().json().clone();

    // Members are compiled each time, so that each kind of unit occurs.
    let warm = cold.clone().with_store(&sandbox.unused("store")).env("XCACHE_MEMBERS", "off");
    warm.clean();
    warm.xcache(["build"]).ok();
    render(&warm, pages, "warm");
    warm.xcache(["build"]).ok();
    render(&warm, pages, "settled");
    warm.write("src/main.rs", "fn main() { let number: u8 = \"text\"; }");
    warm.xcache(["build"]).run().fails();
    render(&warm, pages, "failed");

    let mut incomplete = real.clone();
    incomplete["complete"] = json!(false);
    incomplete["exit_code"] = Value::Null;
    for phase in incomplete["phases"].as_array_mut().expect("a list of phases") {
        phase["end_ms"] = Value::Null;
    }
    replace(&cold, &incomplete);
    render(&cold, pages, "incomplete");
    real
}

fn text(value: &mut Value, text: &str) {
    *value = json!(text);
}

/// The same report with markup in all texts.
fn hostile(real: &Value) -> Value {
    let mut report = real.clone();
    for place in ["xcache_version", "remote", "plan_failed"] {
        text(&mut report[place], HOSTILE);
    }
    report["command"] = json!(["build", HOSTILE]);
    report["warnings"] = json!([HOSTILE]);
    report["corrupt_objects"] = json!([{ "object": HOSTILE, "reason": HOSTILE }]);
    report["remote_failed"] = json!({ "remote": HOSTILE, "message": HOSTILE });
    for unit in report["units"].as_array_mut().expect("a list of units") {
        unit["features"] = json!([HOSTILE]);
        for place in ["package", "version", "target", "kind", "platform", "rejected"] {
            text(&mut unit[place], HOSTILE);
        }
    }
    for span in report["spans"].as_array_mut().expect("a list of spans") {
        (span["unit"], span["name"]) = (Value::Null, json!(HOSTILE));
    }
    report
}

/// A thousand units, every second one a hit, each with its dependencies and spans.
fn large(real: &Value) -> Value {
    let units = real["units"].as_array().expect("a list of units");
    let hit = json!({ "outcome": "hit", "tier": "remote", "transferred_bytes": 5, "restored_bytes": 9, "restore_ms": 2,
        "compile_ms": 900, "hydrated": true });
    let (mut report, mut many, mut spans) = (real.clone(), Vec::new(), Vec::new());
    for id in 0..1000_usize {
        let mut unit = units[id % units.len()].clone();
        let number = id as u64;
        unit["package"] = json!(format!("package-{id}"));
        unit["dependencies"] = json!(if id >= 2 { vec![id / 2, id - 2] } else { vec![] });
        let mut span = |kind: &str, start: u64, end: u64, bytes: Option<u64>| {
            let (unit, name) = (id, Value::Null);
            spans.push(
                json!({ "kind": kind, "unit": unit, "name": name, "start_ms": start, "end_ms": end, "bytes": bytes }),
            );
        };
        if id % 2 == 0 {
            unit.as_object_mut().expect("a unit is an object").extend(hit.as_object().expect("an object").clone());
            span("fetch", number, number + 40, Some(5));
            span("hydrate", number + 41, number + 43, Some(9));
        } else {
            let start = 1100 + number / 8 * 400;
            span("compile", start, start + 390, None);
        }
        many.push(unit);
    }
    spans.sort_by_key(|span| span["start_ms"].as_u64());
    report["duration_ms"] = json!(52_000);
    let phase = |phase, start, end| json!({ "phase": phase, "start_ms": start, "end_ms": end });
    report["phases"] = json!([phase("prefetch", 0, 1040), phase("build", 1000, 52_000)]);
    for (total, number) in [("units", 1000), ("hits", 500), ("misses", 500)] {
        report["totals"][total] = json!(number);
    }
    (report["units"], report["spans"]) = (json!(many), json!(spans));
    report
}

#[test]
fn pages_work_in_a_browser() {
    let (modules, chromium) = (repository().join("tests/.browser/node_modules"), chromium());
    let Some(chromium) = require(Tool::Browser, chromium.filter(|_| modules.is_dir())) else { return };
    let sandbox = Sandbox::new();
    let pages = sandbox.path("pages");
    std::fs::create_dir(&pages).expect("a directory can be created");
    let real = build_pages(&sandbox, &pages);
    let made_up = sandbox.checkout("app");
    for (name, report) in [("hostile", hostile(&real)), ("large", large(&real))] {
        replace(&made_up, &report);
        render(&made_up, &pages, name);
    }
    let script = repository().join("tests/html/pages.test.mjs");
    let tests = made_up.program("node", ["--test"]).arg(&script).env("BROWSER_MODULES", &modules);
    let tests = tests.env("CHROMIUM", &chromium).env("PAGES", &pages).env("HOSTILE", HOSTILE).ok();
    assert!(tests.stdout.contains("pass"), "{tests}");
}

#[test]
fn an_error_names_a_page_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let project = sandbox.demo_unlocked("", "fn main() {}");
    project.xcache(["build"]).ok();
    let missing = sandbox.path("no-such-directory/report.html");
    let failed = project.xcache(["report", "--format", "html", "--output"]).arg(&missing).run().fails();
    assert!(failed.stderr.contains(&*missing.to_string_lossy()), "{failed}");
    assert_eq!(failed.stdout, "");
}

#[test]
fn spans_lie_within_their_phases() {
    let sandbox = Sandbox::new();
    let remote = format!("file://{}", sandbox.path("remote").display());
    // Members are compiled each time.
    let project = sandbox.checkout("app").env("XCACHE_REMOTE", &remote).env("XCACHE_MEMBERS", "off");
    project.xcache(["build"]).ok();
    assert_within_phase(project.report().json(), "compile", "build");
    let elsewhere = project.with_store(&sandbox.unused("store"));
    elsewhere.clean();
    elsewhere.xcache(["build"]).ok();
    let report = elsewhere.report();
    for (kind, phase) in [("fetch", "prefetch"), ("hydrate", "hydrate"), ("compile", "build")] {
        assert_within_phase(report.json(), kind, phase);
    }
}

#[track_caller]
fn assert_within_phase(report: &Value, kind: &str, phase: &str) {
    let list = |name: &str| report[name].as_array().unwrap_or_else(|| panic!("no {name} in {report}")).clone();
    let span = list("phases").into_iter().find(|span| span["phase"] == phase).expect("the phase exists");
    let times = |span: &Value| (span["start_ms"].as_u64().expect("a start"), span["end_ms"].as_u64().expect("an end"));
    let spans: Vec<_> = list("spans").into_iter().filter(|span| span["kind"] == kind).collect();
    assert!(spans.len() > 1, "{kind}: {report}");
    let (begin, end) = times(&span);
    for span in &spans {
        // Each time is truncated to a millisecond.
        let (start_ms, end_ms) = times(span);
        assert!(begin <= start_ms + 1 && start_ms <= end_ms && end_ms <= end + 1, "{span} in {begin} to {end}");
    }
}

/// Cargo sets back the modification time of a script's output, which once made every run seem to take no time.
#[test]
fn the_time_of_a_build_scripts_run_is_measured() {
    let sandbox = Sandbox::new();
    let script = "fn main() {
        println!(\"cargo::rerun-if-changed=build.rs\");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }";
    let registry = sandbox.registry([Package::new("slow", "1.0.0", "").build_script(script)]);
    let demo = sandbox.demo(&registry, "slow = \"1\"", "fn main() {}");
    demo.xcache(["build"]).ok();
    let report = demo.report();
    let units = report.json()["units"].as_array().expect("a list of units");
    let run = units.iter().position(|unit| unit["mode"] == "run-custom-build").expect("a run of the script");
    // The clock of the file system has a resolution of a few milliseconds.
    assert!(units[run]["compile_ms"].as_u64() > Some(150), "{}", units[run]);
    let spans = report.json()["spans"].as_array().expect("a list of spans");
    let span = spans.iter().find(|span| span["kind"] == "compile" && span["unit"] == run).expect("a span of the run");
    let length = span["end_ms"].as_u64().zip(span["start_ms"].as_u64()).map(|(end, start)| end - start);
    assert_eq!(length, units[run]["compile_ms"].as_u64(), "{span}");
    let of_crate = spans.iter().filter(|span| span["kind"] == "compile").filter_map(|span| span["start_ms"].as_u64());
    assert_eq!(of_crate.filter(|start| Some(*start) >= span["end_ms"].as_u64()).count(), 2, "{spans:#?}");
}
