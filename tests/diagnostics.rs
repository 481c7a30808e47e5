//! rustc's future-incompatibility warnings about a dependency are shown for a hit as for a compiled crate.
//!
//! Cargo prints a summary at the end of every build, even if all crates are fresh, and keeps the whole report in the
//! target directory for `cargo report future-incompatibilities`.

use support::{Package, Project, Sandbox};

/// Accepted today, with a warning that cargo shows for dependencies, too.
const REJECTED_IN_FUTURE: &str = "pub fn leaf<T = u8>(_: T) {}";

const SUMMARY: &str = "warning: the following packages contain code that will be rejected by a future version of Rust: \
                       leaf v1.0.0";

fn demo(sandbox: &Sandbox) -> Project {
    let registry = sandbox.registry([Package::new("leaf", "1.0.0", REJECTED_IN_FUTURE)]);
    sandbox.demo(&registry, "leaf = \"1\"", "fn main() { leaf::leaf(1) }")
}

/// Cargo's report about the last build, which must not be empty.
#[track_caller]
fn future_report(project: &Project) -> String {
    let report = project.cargo(["report", "future-incompatibilities"]).ok().stdout;
    assert!(report.contains("defaults for generic parameters are not allowed here"), "{report}");
    report
}

/// Asserts that `xcache build` prints what plain cargo prints, both when it builds and when there is nothing to do.
#[track_caller]
fn assert_reported(project: &Project, expected: &str, hydrated: Option<bool>) {
    project.clean();
    for again in [false, true] {
        let output = project.xcache(["build"]).ok();
        assert_eq!(output.warnings(), [SUMMARY], "{output}");
        assert_eq!(future_report(project), expected, "{output}");
        if let (false, Some(hydrated)) = (again, hydrated) {
            let report = project.report();
            assert!(report.packages("hit").contains(&"leaf".to_owned()), "{output}");
            assert_eq!(report.hydrated().contains(&"leaf".to_owned()), hydrated, "{output}");
        }
    }
    let plain = project.cargo(["build"]).ok();
    assert_eq!(plain.warnings(), [SUMMARY], "{plain}");
    assert_eq!(future_report(project), expected);
}

#[test]
fn future_incompatibilities_of_hits_are_reported() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    assert_eq!(demo.cargo(["build"]).ok().warnings(), [SUMMARY]);
    let expected = future_report(&demo);
    assert_reported(&demo, &expected, None);
    assert_reported(&demo, &expected, Some(true));
    // With hydration off, the wrapper restores the hits. The setting is an input of the key.
    let unhydrated = demo.env("XCACHE_HYDRATE", "off");
    assert_reported(&unhydrated, &expected, None);
    assert_reported(&unhydrated, &expected, Some(false));
}

#[test]
fn the_report_names_sources_in_the_cargo_home_of_this_build() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    demo.xcache(["build"]).ok();
    let home = sandbox.another_cargo_home();
    let demo = demo.with_cargo_home(&home);
    demo.clean();
    demo.cargo(["build"]).ok();
    let expected = future_report(&demo);
    assert!(expected.contains(&*home.to_string_lossy()), "{expected}");
    assert_reported(&demo, &expected, Some(true));
    let unhydrated = demo.env("XCACHE_HYDRATE", "off").with_cargo_home(&sandbox.cargo_home());
    unhydrated.xcache(["build"]).ok();
    assert_reported(&unhydrated.with_cargo_home(&home), &expected, Some(false));
}

#[test]
fn the_long_report_is_the_same() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    let command = ["build", "--future-incompat-report"];
    let expected = demo.cargo(command).ok().cargo_stderr();
    let report_lines =
        |text: &str| text.lines().skip_while(|line| *line != SUMMARY).map(str::to_owned).collect::<Vec<_>>();
    for _ in 0..2 {
        demo.clean();
        let output = demo.xcache(command).ok();
        assert_eq!(report_lines(&output.cargo_stderr()), report_lines(&expected), "{output}");
    }
}

#[test]
fn a_fixed_error_is_not_shown_again() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox).env("CARGO_INCREMENTAL", "0");
    demo.write("src/lib.rs", "pub fn right() {}");
    demo.xcache(["build"]).ok();
    demo.clean();
    demo.write("src/lib.rs", "compile_error!(\"wrong\");");
    assert!(demo.xcache(["build"]).run().fails().stderr.contains("wrong"));
    demo.write("src/lib.rs", "pub fn right() {}");
    let output = demo.xcache(["build"]).ok();
    assert!(demo.report().hydrated().contains(&"demo".to_owned()), "{output}");
    assert!(!output.stderr.contains("wrong"), "{output}");
    let plain = demo.cargo(["build"]).ok();
    assert!(!plain.stderr.contains("wrong"), "{plain}");
}
