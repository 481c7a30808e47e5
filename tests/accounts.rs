//! Sums over sessions, and what CI services receive.

use serde_json::Value;
use support::{Project, Sandbox, tree};

fn stats(project: &Project) -> Value {
    let output = project.xcache(["stats", "--format", "json"]).ok();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[track_caller]
fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {value}"))
}

/// A project with a directory as its remote.
fn with_remote(sandbox: &Sandbox, project: Project) -> Project {
    project.env("XCACHE_REMOTE", format!("file://{}", sandbox.path("remote").display()))
}

#[test]
fn sums_equal_the_reports_of_all_sessions_plus_a_push() {
    let sandbox = Sandbox::new();
    let mixed = with_remote(&sandbox, sandbox.mixed());
    mixed.xcache(["build"]).ok();
    mixed.clean();
    mixed.empty_store();
    assert_eq!(stats(&mixed)["sessions"], 0);
    let names = ["hits", "misses", "saved_ms", "received_bytes", "sent_bytes", "requests"];
    let mut expected = [0; 6];
    let mut build = |project: &Project, arguments: &[&str]| {
        project.xcache(arguments).run();
        let report = project.report();
        names.iter().zip(&mut expected).for_each(|(name, sum)| *sum += report.total(name));
    };
    build(&mixed, &["build"]);
    build(&mixed, &["build"]);
    mixed.write("src/main.rs", "not rust");
    build(&mixed, &["build"]);
    let sums = stats(&mixed);
    assert_eq!(names.map(|name| number(&sums, name)), expected);
    assert!(number(&sums, "received_bytes") > 0 && number(&sums, "hits_remote") > 0, "{sums}");
    assert_eq!(["sessions", "failed", "noop"].map(|name| number(&sums, name)), [3, 1, 1]);
    assert_eq!(number(&sums["store"], "entries"), tree::files(&mixed.store().join("v1/unit")).len() as u64);

    let elsewhere = format!("file://{}", sandbox.path("elsewhere").display());
    mixed.xcache(["push"]).env("XCACHE_REMOTE", elsewhere).ok();
    let after = stats(&mixed);
    assert!(number(&after, "sent_bytes") > number(&sums, "sent_bytes"), "{after}");
    assert_eq!(number(&after, "sessions"), 3);

    mixed.xcache(["stats", "--reset"]).ok();
    assert_eq!((number(&stats(&mixed), "sessions"), &stats(&mixed)["store"]), (0, &sums["store"]));
}

#[test]
fn concurrent_sessions_are_all_counted() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["check"]).ok();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..4).for_each(|_| drop(mixed.xcache(["check"]).ok())));
        }
    });
    assert_eq!(number(&stats(&mixed), "sessions"), 17);
}

#[test]
fn damaged_sums_do_not_break_a_build() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    mixed.xcache(["check"]).ok();
    stats(&mixed);
    tree::write(&mixed.store().join("v1/stats/total.json"), "{");
    tree::write(&mixed.store().join("v1/stats/sessions/x.json"), "\0");
    let built = mixed.xcache(["check"]).ok();
    assert_eq!(built.warnings(), [""; 0], "{built}");
    assert_eq!(number(&stats(&mixed), "sessions"), 1);
}

#[test]
fn a_build_succeeds_where_its_sums_cannot_be_written() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    tree::write(&mixed.store().join("v1/stats"), "in the way");
    let built = mixed.xcache(["check"]).ok();
    assert_eq!(built.warnings(), [""; 0], "{built}");
}

#[test]
fn prices_turn_traffic_and_saved_time_into_costs() {
    let sandbox = Sandbox::new();
    let mixed = with_remote(&sandbox, sandbox.mixed());
    mixed.xcache(["build"]).ok();
    assert!(mixed.report().json().get("costs").is_none());
    assert!(!mixed.xcache(["report"]).ok().stdout.contains("Costs"));

    mixed.write(".config/xcache.toml", "[report.prices]\ngb-sent = 2.0\n");
    let priced = mixed.env("XCACHE_PRICE_REQUEST", "0.5");
    let report = priced.report();
    let costs = &report.json()["costs"];
    assert_eq!(costs["requests"], 0.5 * report.total("requests") as f64);
    assert_eq!(costs["sent"], 2.0 * report.total("sent_bytes") as f64 / 1e9);
    assert_eq!(stats(&priced)["costs"]["requests"], costs["requests"]);
    assert!(priced.xcache(["report"]).ok().stdout.contains("Costs"));
    assert!(priced.xcache(["stats"]).ok().stdout.contains("Costs"));
    let flag = priced.xcache(["--price-request", "0", "report", "--format", "json"]).ok().stdout;
    let flag: Value = serde_json::from_str(&flag).expect("the report is JSON");
    assert_eq!(flag["costs"]["requests"], 0.0);
}

#[test]
fn github_gets_a_summary_of_each_session() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("summary.md");
    tree::write(&file, "# Mine\n\n");
    let mixed = sandbox.mixed().env("GITHUB_STEP_SUMMARY", &file);
    mixed.xcache(["build", "--features", "loud"]).ok();
    mixed.xcache(["build", "--features", "loud"]).ok();
    let summary = std::fs::read_to_string(&file).expect("the summary exists");
    assert!(summary.starts_with("# Mine\n\n### cargo xcache build --features loud\n\n| hits |"), "{summary}");
    assert_eq!(summary.matches("###").count(), 1, "{summary}");
    assert!(summary.ends_with("\n\ncargo xcache build --features loud: nothing had changed.\n\n"), "{summary}");

    mixed.xcache(["--ci-summary", "off", "check"]).ok();
    mixed.xcache(["check"]).env("XCACHE_CI_SUMMARY", "off").ok();
    assert_eq!(std::fs::read_to_string(&file).expect("the summary exists"), summary);
    let built = mixed.xcache(["check"]).env("GITHUB_STEP_SUMMARY", sandbox.path("missing/summary.md")).ok();
    assert_eq!(built.warnings(), [""; 0], "{built}");
}

#[test]
fn gitlab_gets_metrics_and_other_services_do_not() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    let metrics = mixed.target().join("xcache/metrics.txt");
    mixed.xcache(["build"]).ok();
    assert!(!metrics.exists());
    mixed.clean();
    mixed.xcache(["build"]).env("GITLAB_CI", "true").ok();
    let text = std::fs::read_to_string(&metrics).expect("the metrics file exists");
    let hits = mixed.report().total("hits");
    assert!(hits > 0 && text.contains(&format!("xcache_units{{outcome=\"hit-local\"}} {hits}\n")), "{text}");
    mixed.xcache(["build"]).env("GITLAB_CI", "true").ok();
    assert_eq!(mixed.report().json()["noop"], true);
    assert_eq!(std::fs::read_to_string(&metrics).expect("the metrics file exists"), text);
}
