//! `cargo xcache report`, compared with what really happened: with cargo's own list of units, and with the starts of
//! rustc, which are counted independently.

use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Project, Sandbox, tree, wait_until};

/// What identifies a unit of a plan: package, target, kind, mode.
type Name = [String; 4];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

/// The units of a command, according to cargo.
fn planned(project: &Project, command: &[&str]) -> Vec<Name> {
    let plan = project.cargo(command).arg("--unit-graph").arg("-Zunstable-options").env("RUSTC_BOOTSTRAP", "1").ok();
    let plan: Value = serde_json::from_str(&plan.stdout).expect("cargo prints JSON");
    let unit = |unit: &Value| {
        let id = text(&unit["pkg_id"]);
        // `…#name@1.2.3`, or `…/name#1.2.3`.
        let (before, after) = id.split_once('#').expect("a package id has a version");
        let name =
            after.split_once('@').map_or_else(|| before.rsplit('/').next().unwrap_or_default(), |(name, _)| name);
        [name.to_owned(), text(&unit["target"]["name"]), text(&unit["target"]["kind"][0]), text(&unit["mode"])]
    };
    let mut units: Vec<_> = plan["units"].as_array().expect("a list").iter().map(unit).collect();
    units.sort();
    units
}

/// The units of the last report.
fn reported(project: &Project) -> Vec<Name> {
    let report = project.report();
    let units = report.json()["units"].as_array().expect("a list");
    let name = |unit: &Value| ["package", "target", "kind", "mode"].map(|field| text(&unit[field]));
    let mut units: Vec<_> = units.iter().map(name).collect();
    units.sort();
    units
}

/// Asserts that the report has cargo's units, each once, and as many compiled ones as rustc was started for.
#[track_caller]
fn assert_report_is_true(sandbox: &Sandbox, project: &Project, command: &[&str]) {
    assert_eq!(reported(project), planned(project, command));
    let report = project.report();
    let sum =
        ["hits", "misses", "uncacheable", "fresh", "not_reached"].map(|name| report.total(name)).iter().sum::<u64>();
    assert_eq!(sum, report.total("units"));
    let units = report.json()["units"].as_array().expect("a list");
    // rustc does not run build scripts.
    let is_compiled = |unit: &&Value| {
        let outcome = unit["outcome"].as_str();
        unit["mode"] != "run-custom-build"
            && (outcome == Some("miss") || outcome == Some("uncacheable") && !unit["compile_ms"].is_null())
    };
    let compiled = units.iter().filter(is_compiled).count();
    assert_eq!(compiled, sandbox.compiled().len(), "{:?} in {}", sandbox.compiled(), report.json());
}

#[test]
fn every_unit_is_reported_once_and_compilations_match_the_starts_of_rustc() {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app");
    let build = |project: &Project, command: &[&str], fails: bool| {
        sandbox.reset();
        let output = project.xcache(command).run();
        assert_eq!(output.status.success(), !fails, "{output}");
        assert_report_is_true(&sandbox, project, command);
    };
    build(&app, &["build"], false);
    app.clean();
    build(&app, &["build"], false);
    assert!(app.report().total("hits") > 10);
    // Cargo finds the rest fresh.
    app.edit("util/src/lib.rs", "pub fn", "// edited\npub fn");
    build(&app, &["build"], false);
    assert_eq!(app.report().total("misses") + app.report().total("uncacheable"), 2);
    app.forget_entry(&app.report().key("memchr").expect("memchr is cacheable"));
    app.clean();
    build(&app, &["test", "--workspace"], false);
    assert_eq!(app.report().packages("miss").iter().filter(|package| *package == "memchr").count(), 1);
    build(&app, &["check", "--features", "broken"], true);
    assert!(app.report().total("not_reached") > 0);
    build(&sandbox.mixed(), &["build", "--release"], false);
}

/// The output of `report` with these arguments, in JSON.
fn json(project: &Project, arguments: &[&str]) -> Value {
    let output = project.xcache(["report", "--format", "json"].iter().chain(arguments)).ok();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[test]
fn builds_are_listed_and_compared_by_number_or_file() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["build"]).ok();
    let kept = sandbox.path("cold.json");
    std::fs::copy(mixed.target().join("xcache/report.json"), &kept).expect("the report exists");
    tree::remove(&mixed.target().join("debug"));
    mixed.xcache(["build", "--all-targets"]).ok();
    mixed.xcache(["build", "--all-targets"]).ok();

    let sessions = json(&mixed, &["--last"]);
    let sessions = sessions["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 3);
    assert_eq!([&sessions[0]["noop"], &sessions[1]["noop"]], [true, false]);
    assert_eq!(sessions[2]["misses"], sessions[1]["hits"]);
    assert_eq!(json(&mixed, &["--last", "1"])["sessions"].as_array().map(Vec::len), Some(1));
    let table = mixed.xcache(["report", "--last"]).ok().stdout;
    assert_eq!(table.lines().count(), 4, "{table}");

    let comparison = json(&mixed, &["--compare", "2", "1"]);
    let hits = comparison["changed"].as_array().expect("a list").iter();
    let hits = hits.filter(|change| change["before"]["outcome"] == "miss" && change["after"]["outcome"] == "hit");
    assert_eq!(hits.count() as u64, sessions[1]["hits"].as_u64().expect("a number"));
    let by_file = ["--compare", kept.to_str().expect("a plain path"), "1"];
    assert_eq!(json(&mixed, &by_file), comparison);

    let beyond = mixed.xcache(["report", "--compare", "0", "3"]).run().fails();
    assert!(beyond.stderr.contains("no report 3: only 3 are kept"), "{beyond}");
}

#[test]
fn a_journal_gives_the_same_report_and_a_truncated_one_an_incomplete_report() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    let file = sandbox.path("events.jsonl");
    let from = ["--from", file.to_str().expect("a plain path")];
    mixed.xcache(["--events"]).arg(&file).arg("build").ok();
    assert_eq!(&json(&mixed, &from), mixed.report().json());

    let whole = std::fs::read(&file).expect("events were written");
    let lines = whole.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines > 20, "{lines} lines");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("the file can be written");
    let half = json(&mixed, &from);
    assert_eq!(half["complete"], false);
    assert_eq!(half["units"].as_array().map(Vec::len), mixed.report().json()["units"].as_array().map(Vec::len));

    std::fs::write(&file, "not an event\n").expect("the file can be written");
    let error = mixed.xcache(["report"]).args(from).run().fails();
    assert!(error.stderr.contains("events.jsonl: line 1"), "{error}");
}

#[test]
fn events_from_before_a_session_was_killed_are_in_the_journal() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["build"]).ok();
    mixed.clean();
    let waiting = sandbox.path("waiting");
    let wait = "fn main() { std::fs::write(env!(\"WAITING\"), \"\").unwrap(); loop { std::thread::park() } }";
    mixed.write("build.rs", wait);
    let file = sandbox.path("events.jsonl");
    let mut session = mixed.xcache(["--events"]).arg(&file).arg("build").env("WAITING", &waiting).start();
    wait_until("the build script runs", || waiting.exists());
    session.signal_all(Signal::SIGKILL);
    session.wait();

    let report = json(&mixed, &["--from", file.to_str().expect("a plain path")]);
    assert_eq!((&report["complete"], &report["exit_code"]), (&Value::Bool(false), &Value::Null));
    assert!(report["totals"]["hits"].as_u64() > Some(3), "{report}");
    let table = mixed.xcache(["report", "--from"]).arg(&file).ok().stdout;
    assert!(table.contains("incomplete: the session did not come to its end"), "{table}");
}

#[test]
fn every_session_of_a_script_appends_to_one_journal() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed().env("XCACHE_EVENTS", "events.jsonl");
    let script = "cargo check -q && mkdir sub && cd sub && cargo check -q --manifest-path ../Cargo.toml --release";
    mixed.xcache(["exec", "--", "sh", "-c", script]).ok();
    let sessions = json(&mixed, &["--from", "events.jsonl", "--last"]);
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(2), "{sessions}");
    assert_eq!(json(&mixed, &["--from", "events.jsonl", "--compare", "1", "0"])["before"], sessions["sessions"][1]);
}

#[test]
fn a_journal_that_cannot_be_written_costs_one_warning() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    for (file, expected) in [("/dev/full", "cannot write /dev/full"), ("Cargo.toml/events", "Cargo.toml/events")] {
        let built = mixed.xcache(["--events", file, "build"]).ok();
        let warnings: Vec<_> = built.warnings().into_iter().filter(|line| line.contains(expected)).collect();
        assert_eq!(warnings.len(), 1, "{built}");
    }
    assert_eq!(mixed.xcache(["report", "--last"]).ok().stdout.lines().count(), 3);
}

#[test]
fn reporting_options_do_not_change_whether_there_is_anything_to_do() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["build"]).ok();
    mixed.xcache(["--events", "one", "build"]).ok();
    assert_eq!(mixed.report().json()["noop"], true);
    mixed.xcache(["build"]).env("XCACHE_EVENTS", "another").ok();
    assert_eq!(mixed.report().json()["noop"], true);
    mixed.xcache(["--members", "off", "build"]).ok();
    assert_eq!(mixed.report().json()["noop"], false);
}

#[test]
fn a_journal_in_a_package_is_no_input_of_it() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["--events", "events.jsonl", "build", "--release"]).ok();
    assert_eq!(mixed.report().reasons("demo"), ["absent"]);
    mixed.clean();
    mixed.xcache(["--events", "events.jsonl", "build", "--release"]).ok();
    assert!(mixed.report().packages("hit").contains(&"demo".to_owned()), "{}", mixed.report().json());
}

#[test]
fn the_reports_of_a_target_directory_are_bounded() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    for _ in 0..23 {
        mixed.xcache(["check", "--quiet"]).ok();
    }
    let files: Vec<PathBuf> = tree::files(&mixed.target().join("xcache"));
    // Two more files: the link to the last report, and the data for explanations.
    assert_eq!(files.len(), 20 + 2, "{files:?}");
    assert_eq!(json(&mixed, &["--last", "100"])["sessions"].as_array().map(Vec::len), Some(20));
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["check"]).ok();
    for arguments in [&["report"][..], &["report", "--all", "--format", "json"], &["report", "--last"]] {
        let (status, stderr) = mixed.xcache(arguments).run_unread();
        assert!(status.success(), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
    }
}

#[test]
fn colours_are_used_in_terminals_or_on_request() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["check"]).ok();
    let report = |name: &str, value: &str| mixed.xcache(["report"]).env(name, value).ok().stdout;
    assert!(!report("TERM", "xterm").contains('\x1b'));
    assert!(!report("NO_COLOR", "1").contains('\x1b'));
    assert!(report("CARGO_TERM_COLOR", "always").contains('\x1b'));
}

#[test]
fn a_report_without_a_build_is_an_error_with_a_hint() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    let none = mixed.xcache(["report"]).run().fails();
    assert!(none.stderr.contains("run `cargo xcache build` first"), "{none}");
    assert_eq!(mixed.xcache(["report", "--last"]).ok().stdout, "");
}
