//! Advice in the reports of real builds. Slow units sleep, so they take at least that long on any machine.

use serde_json::Value;
use support::registry::Package;
use support::{Project, Sandbox};

const SECOND: u64 = 1000;

/// Expands to nothing, after more than a second.
const SLOW_MACRO: &str = "
    #[proc_macro]
    pub fn slowly(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
        std::thread::sleep(std::time::Duration::from_millis(1100));
        Default::default()
    }
";

const SLOW_SCRIPT: &str = "fn main() {
    println!(\"cargo::rerun-if-changed=build.rs\");
    std::thread::sleep(std::time::Duration::from_millis(1100));
}";

fn advice(project: &Project) -> Vec<Value> {
    project.report().json()["advice"].as_array().expect("a list").clone()
}

/// The names of all advice, except that about linking, which depends on the machine's speed.
fn names(project: &Project) -> Vec<String> {
    let names = advice(project).into_iter().map(|advice| advice["name"].as_str().expect("a name").to_owned());
    names.filter(|name| name != "faster-linker" && name != "debug-info").collect()
}

fn with_slow_member(sandbox: &Sandbox) -> Project {
    let registry = sandbox.registry([Package::new("slow", "1.0.0", SLOW_MACRO).procedural_macro()]);
    sandbox.demo(&registry, "slow = \"1\"", "slow::slowly!();\nfn main() {}")
}

fn with_two_versions(sandbox: &Sandbox) -> Project {
    let slow = |version| Package::new("twice", version, "pub fn twice() {}").build_script(SLOW_SCRIPT);
    let user = Package::new("user", "1.0.0", "pub fn user() { twice::twice() }").dependency("twice", "1");
    let registry = sandbox.registry([slow("1.0.0"), slow("2.0.0"), user]);
    let main = "fn main() { user::user(); twice::twice() }";
    sandbox.demo(&registry, "user = \"1\"\ntwice = \"2\"", main)
}

#[test]
fn incremental_members_get_advice_in_ci_only() {
    let sandbox = Sandbox::new();
    let project = with_slow_member(&sandbox);
    let main = project.read("src/main.rs");
    // As if the target directory came from the last job: it is built twice.
    let build = |ci: &str, incremental: &str| {
        project.clean();
        for edit in ["", "// edited"] {
            project.write("src/main.rs", format!("{main}{edit}"));
            project.xcache(["build"]).env("CI", ci).env("CARGO_INCREMENTAL", incremental).ok();
        }
        names(&project)
    };
    assert_eq!(build("true", "1"), ["incremental-in-ci"]);
    let advice = &advice(&project)[0];
    assert!(advice["figures"]["compile_ms"].as_u64().is_some_and(|spent| spent >= SECOND), "{advice}");
    assert_eq!(advice["figures"]["units"], 1, "{advice}");
    let text = project.xcache(["report"]).ok().stdout;
    assert!(text.contains("Advice 1 unit was compiled incrementally in CI") && text.contains("(incremental-in-ci)"));
    assert!(project.xcache(["report", "--format", "html"]).ok().stdout.contains("<code>incremental-in-ci</code>"));
    assert_eq!(build("", "1"), [""; 0]);
    assert_eq!(build("true", "0"), [""; 0]);
}

#[test]
fn a_crate_in_two_versions_gets_advice_when_compiled_but_not_as_a_hit() {
    let sandbox = Sandbox::new();
    let project = with_two_versions(&sandbox);
    project.xcache(["build"]).ok();
    assert_eq!(names(&project), ["duplicate-versions"]);
    let found = advice(&project)
        .into_iter()
        .find(|advice| advice["name"] == "duplicate-versions")
        .expect("the advice is given");
    assert!(found["worth_ms"].as_u64().is_some_and(|worth| worth >= SECOND), "{found}");
    assert!(found["message"].as_str().is_some_and(|text| text.contains("twice 1.0.0 and 2.0.0")), "{found}");
    project.clean();
    project.xcache(["build"]).env("CARGO_INCREMENTAL", "0").ok();
    project.clean();
    project.xcache(["build"]).env("CARGO_INCREMENTAL", "0").ok();
    assert_eq!((project.report().total("misses"), advice(&project)), (0, Vec::new()));
    project.xcache(["build"]).env("CARGO_INCREMENTAL", "0").ok();
    assert_eq!(advice(&project), Vec::<Value>::new(), "there is nothing to do");
}

/// The events of one kind in the last build.
fn events(project: &Project, kind: &str) -> Vec<Value> {
    let lines = project.read("target/events.jsonl");
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    events.filter(|event| event["event"] == kind).collect()
}

#[test]
fn programs_are_measured_when_linked_but_not_when_restored() {
    let sandbox = Sandbox::new();
    let project = sandbox.chain();
    let build = || {
        project.clean();
        let journal = project.target().join("events.jsonl");
        project
            .xcache(["--events", journal.to_str().expect("a plain path"), "build"])
            .env("CARGO_INCREMENTAL", "0")
            .ok();
        (events(&project, "linked"), events(&project, "machine"))
    };
    let (linked, machine) = build();
    assert_eq!((linked.len(), machine.len()), (1, 1), "{linked:?}");
    assert_eq!(linked[0]["full_debug"], true);
    assert_eq!(linked[0]["profile"], "dev");
    let bytes = |name: &str| linked[0][name].as_u64().unwrap_or_else(|| panic!("no {name} in {linked:?}"));
    assert_eq!(bytes("bytes"), project.binary("demo").len() as u64);
    assert!(bytes("debug_bytes") < bytes("bytes") && bytes("line_bytes") <= bytes("debug_bytes"), "{linked:?}");
    if cfg!(target_os = "linux") {
        assert!(bytes("line_bytes") > 0 && linked[0]["linker_millis"].is_u64(), "{linked:?}");
    }
    assert_eq!(build(), (Vec::new(), Vec::new()), "a build of hits measures nothing");
}

#[test]
fn a_store_too_small_for_one_build_gets_advice() {
    let sandbox = Sandbox::new();
    let project = with_two_versions(&sandbox);
    project.xcache(["--max-size", "1kB", "build"]).ok();
    assert!(names(&project).contains(&"store-too-small".to_owned()), "{:?}", advice(&project));
}
