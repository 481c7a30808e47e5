//! Why a build compiled its misses: for each input and condition, a real build in which it changed.

use serde_json::Value;
use support::{Output, Package, Project, Sandbox, tree};

/// The explanation of the last build, on one line.
#[track_caller]
fn explained(project: &Project, crates: &[&str]) -> String {
    let output = project.xcache(["explain"].iter().chain(crates)).ok();
    assert_eq!(output.stderr, "");
    words(&output)
}

fn words(output: &Output) -> String {
    output.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn json(project: &Project, crates: &[&str]) -> Value {
    let output = project.xcache(["explain", "--format", "json"].iter().chain(crates)).ok();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output}"))
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}

/// The workspace of [`Sandbox::chain`], with members not cached.
fn unbuilt(sandbox: &Sandbox) -> Project {
    sandbox.chain().env("XCACHE_MEMBERS", "off")
}

/// A workspace of `demo` → `apex` → `middle` → `base`, and `lone`, that has been built.
fn chain() -> (Sandbox, Project) {
    let sandbox = Sandbox::new();
    let demo = unbuilt(&sandbox);
    demo.xcache(["build"]).ok();
    (sandbox, demo)
}

#[track_caller]
fn rebuild(project: &Project, command: &[&str]) {
    project.clean();
    project.xcache(command).ok();
}

#[test]
fn a_unit_that_was_never_built_is_explained_with_its_dependents() {
    let (_sandbox, demo) = chain();
    let said = explained(&demo, &[]);
    assert_says(&said, &["4 packages were never built before on this machine", "middle 1.0.0 (demo → apex → middle)"]);
}

#[test]
fn a_bumped_dependency_is_one_cause_for_all_its_dependents() {
    let (_sandbox, demo) = chain();
    demo.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
    rebuild(&demo, &["build"]);
    let said = explained(&demo, &[]);
    assert_says(&said, &["dependency base 1.0.0 → 1.0.1", "1 unit: base", "2 more follow: apex, middle"]);
    assert_eq!(said.matches("Because").count(), 1, "{said}");
    let explained = json(&demo, &["apex"]);
    assert_eq!(explained["causes"][0]["text"], "dependency base 1.0.0 → 1.0.1");
    assert_eq!(explained["units"][0]["path"], serde_json::json!(["demo", "apex"]));
}

#[test]
fn changed_rustflags_are_one_cause_for_all_units() {
    let (_sandbox, demo) = chain();
    demo.clean();
    demo.xcache(["build"]).env("RUSTFLAGS", "-C target-cpu=x86-64-v2").ok();
    let said = explained(&demo, &[]);
    assert_says(
        &said,
        &["Because rustflags: \"-C target-cpu=x86-64-v2\" instead of \"\" 4 units: apex, base, lone, middle"],
    );
    assert_eq!(said.matches("Because").count(), 1, "{said}");
}

#[test]
fn an_added_feature_is_explained_with_what_enabled_it() {
    let sandbox = Sandbox::new();
    let demo = sandbox.mixed();
    demo.xcache(["build"]).ok();
    rebuild(&demo, &["build", "--features", "loud"]);
    let said = explained(&demo, &[]);
    assert_says(&said, &["leaf: feature \"loud\" added by demo/loud → leaf", "1 unit: leaf", "more follow: "]);
}

#[test]
fn a_changed_profile_is_explained_with_the_setting() {
    let (_sandbox, demo) = chain();
    demo.edit("Cargo.toml", "[dependencies]", "[profile.dev]\nopt-level = 1\n\n[dependencies]");
    rebuild(&demo, &["build"]);
    assert_says(&explained(&demo, &["base"]), &["Missed base", "profile: opt-level 1 instead of 0"]);
}

#[test]
fn a_unit_in_another_mode_is_not_explained_as_new() {
    let (_sandbox, demo) = chain();
    rebuild(&demo, &["check"]);
    assert_says(&explained(&demo, &["base"]), &["mode: \"check\" instead of \"build\""]);
}

#[test]
fn a_changed_variable_is_named_without_its_value() {
    let sandbox = Sandbox::new();
    let library = "pub const GREETING: Option<&str> = option_env!(\"DEMO_GREETING\");";
    let registry = sandbox.registry([Package::new("greeting", "1.0.0", library)]);
    let demo = sandbox.demo(&registry, "greeting = \"1\"", "fn main() { println!(\"{:?}\", greeting::GREETING); }");
    demo.xcache(["build"]).env("DEMO_GREETING", "hello-before").ok();
    demo.clean();
    demo.xcache(["build"]).env("DEMO_GREETING", "hello-after").ok();
    let said = explained(&demo, &[]);
    assert_says(&said, &["greeting: a variable it reads through env! has another value (DEMO_GREETING)"]);
    let everything = format!("{said}{}", json(&demo, &["greeting", "demo"]));
    assert!(!everything.contains("hello-"), "{everything}");
}

/// A workspace of `demo` → `outer` → `inner`, where `inner` is this package.
fn nested(sandbox: &Sandbox, inner: Package) -> Project {
    let registry = sandbox.registry([
        inner,
        Package::new("outer", "1.0.0", "pub fn outer() -> String { format!(\"{:?}\", inner::INNER) }")
            .dependency("inner", "1"),
    ]);
    sandbox.demo(&registry, "outer = \"1\"", "fn main() { println!(\"{}\", outer::outer()); }")
}

#[test]
fn a_bound_path_is_named_by_its_root() {
    let sandbox = Sandbox::new();
    let inner = Package::new("inner", "1.0.0", "pub static INNER: &str = env!(\"CARGO_MANIFEST_DIR\");");
    let demo = nested(&sandbox, inner);
    demo.xcache(["build"]).ok();
    let demo = demo.with_cargo_home(&sandbox.another_cargo_home());
    rebuild(&demo, &["build"]);
    let said = explained(&demo, &["inner"]);
    assert_says(&said, &["inner: the stored output holds a path of another machine (the path of CARGO_HOME)"]);
}

/// The script watches a variable, and the library contains its value.
fn watching_package() -> Package {
    Package::new("inner", "1.0.0", "pub static INNER: &str = env!(\"MADE_OF\");").build_script(
        "fn main() {
            println!(\"cargo::rerun-if-env-changed=DEMO_FLAVOUR\");
            println!(\"cargo::rustc-env=MADE_OF={}\", std::env::var(\"DEMO_FLAVOUR\").unwrap_or_default());
        }",
    )
}

#[test]
fn a_changed_variable_that_a_build_script_watches_is_named() {
    let sandbox = Sandbox::new();
    let demo = nested(&sandbox, watching_package());
    demo.xcache(["build"]).env("DEMO_FLAVOUR", "sweet-one").ok();
    demo.clean();
    demo.xcache(["build"]).env("DEMO_FLAVOUR", "sour-one").ok();
    let said = explained(&demo, &["inner"]);
    assert_says(&said, &["inner (build script's run)", "has another value (DEMO_FLAVOUR)"]);
    assert!(!said.contains("-one"), "{said}");
}

/// The script reads a file and a variable, and declares neither.
#[cfg(target_os = "linux")]
fn observed_package(file: &std::path::Path) -> Package {
    Package::new("inner", "1.0.0", "pub static INNER: &str = env!(\"MADE_OF\");").build_script(&format!(
        "fn main() {{
            println!(\"cargo::rerun-if-changed=build.rs\");
            let text = std::fs::read_to_string({file:?}).unwrap_or_default();
            let server = std::env::var(\"POSTGRES_URL\").unwrap_or_default();
            println!(\"cargo::rustc-env=MADE_OF={{}}{{server}}\", text.trim());
        }}"
    ))
}

#[cfg(target_os = "linux")]
#[test]
fn a_changed_file_or_variable_that_a_build_script_was_observed_to_read_is_named() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("answers.conf");
    std::fs::write(&file, "one").unwrap();
    let demo = nested(&sandbox, observed_package(&file));
    demo.xcache(["build"]).env("POSTGRES_URL", "secret-a").ok();
    std::fs::write(&file, "two").unwrap();
    demo.clean();
    demo.xcache(["build"]).env("POSTGRES_URL", "secret-a").ok();
    let changed = format!("Because inner: {} changed", file.canonicalize().unwrap().display());
    assert_says(&explained(&demo, &["inner"]), &["inner (build script's run) 1.0.0", &changed]);
    demo.clean();
    demo.xcache(["build"]).env("POSTGRES_URL", "secret-b").ok();
    let said = explained(&demo, &["inner"]);
    assert_says(&said, &["Because inner: it read POSTGRES_URL, which has another value"]);
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn a_generated_file_that_differs_is_named() {
    let sandbox = Sandbox::new();
    // The script's output differs in each run, although what it declares does not change.
    let script = "fn main() {
        let dir = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        println!(\"cargo::rerun-if-changed=/dev/null\");
        std::fs::write(dir.join(\"made.rs\"), format!(\"pub const INNER: u128 = {time};\")).unwrap();
    }";
    let inner =
        Package::new("inner", "1.0.0", "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));").build_script(script);
    let demo = nested(&sandbox, inner);
    demo.xcache(["build"]).ok();
    rebuild(&demo, &["build"]);
    let said = explained(&demo, &["inner"]);
    assert_says(
        &said,
        &["inner: a generated file it reads has other content (<build-dir>/debug/build/inner", "/out/made.rs)"],
    );
    assert_says(
        &said,
        &[
            "inner (build script's run) 1.0.0",
            "inner is compiled each time, as it cannot be kept: it does something that cannot be observed",
        ],
    );
    // A unit compiled against another output differs, too.
    assert_says(
        &explained(&demo, &["outer"]),
        &["outer: a dependency differs from the one it was compiled against (inner)"],
    );
}

#[test]
fn a_damaged_object_is_named() {
    let (_sandbox, demo) = chain();
    tree::files(&demo.store().join("v1/unit")).iter().for_each(|object| tree::damage(object));
    rebuild(&demo, &["build"]);
    let said = explained(&demo, &["base"]);
    assert_says(&said, &["base: the stored object was damaged (unit/"]);
    let key = demo.report().key("base").expect("base has a key");
    assert_says(&said, &[&format!("(unit/{key}: ")]);
}

#[test]
fn a_damaged_file_is_named() {
    let (_sandbox, demo) = chain();
    tree::files(&demo.store().join("v1/file")).iter().for_each(|object| tree::damage(object));
    rebuild(&demo, &["build"]);
    assert_says(&explained(&demo, &["base"]), &["base: the stored object was damaged (file/", "digest does not match"]);
}

#[test]
fn a_missing_entry_is_explained_as_recorded_before() {
    let (_sandbox, demo) = chain();
    demo.forget_entry(&demo.report().key_of("lone"));
    rebuild(&demo, &["build"]);
    assert_says(&explained(&demo, &[]), &["lone: recorded before with the same inputs, but its entry is gone"]);
}

#[test]
fn a_failing_remote_is_one_cause_in_its_own_words() {
    let sandbox = Sandbox::new();
    // A file in the place of the directory.
    let remote = sandbox.path("remote");
    tree::write(&remote, "not a directory");
    let demo = unbuilt(&sandbox).env("XCACHE_REMOTE", format!("file://{}", remote.display()));
    demo.xcache(["build"]).ok();
    let said = explained(&demo, &[]);
    assert_says(
        &said,
        &["Because the remote did not answer in time, or gave an error (", "4 units: apex, base, lone, middle"],
    );
}

#[test]
fn an_uncacheable_unit_is_explained_only_when_named() {
    let sandbox = Sandbox::new();
    let inner = Package::new("inner", "1.0.0", "pub static INNER: u8 = 1;");
    let demo = nested(&sandbox, inner);
    demo.xcache(["doc"]).ok();
    let said = explained(&demo, &["inner@1"]);
    assert_says(&said, &["Uncacheable inner (doc) 1.0.0", "inner is not cached: rustdoc output is not cached"]);
    assert_says(&said, &["Through demo → outer → inner"]);
    // Not named, so not explained.
    assert!(!explained(&demo, &[]).contains("rustdoc"));
}

#[test]
fn an_edited_member_is_explained_by_its_changed_files() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain().env("CARGO_INCREMENTAL", "0");
    demo.xcache(["build"]).ok();
    demo.edit("src/main.rs", "fn main()", "// edited\nfn main()");
    rebuild(&demo, &["build"]);
    let said = explained(&demo, &[]);
    assert_says(&said, &["Missed 1 of 5 units", "demo: files in its directory have changed", "1 unit: demo (bin)"]);
    demo.write(".env", "DATABASE_URL=secret");
    rebuild(&demo, &["build"]);
    let said = explained(&demo, &[]);
    assert_says(&said, &[".env in the workspace's directory was changed, added or removed"]);
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn a_moved_workspace_is_explained() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain().env("CARGO_INCREMENTAL", "0");
    demo.xcache(["build"]).ok();
    let elsewhere = sandbox.unused("elsewhere");
    demo.clean();
    tree::copy(demo.dir(), &elsewhere);
    let demo = demo.at(&elsewhere);
    demo.xcache(["build"]).ok();
    assert_says(&explained(&demo, &[]), &["Because the workspace is at another path 1 unit: demo (bin)"]);
}

#[test]
fn a_build_with_nothing_to_explain_is_reported_as_such() {
    let sandbox = Sandbox::new();
    let demo = unbuilt(&sandbox);
    assert_says(&explained(&demo, &[]), &["no build report in", "run `cargo xcache build` first"]);
    demo.xcache(["build"]).ok();
    rebuild(&demo, &["build"]);
    assert_says(&explained(&demo, &[]), &["Missed none of 5 units in `cargo build`"]);
    assert_says(&explained(&demo, &["base"]), &["Hit base 1.0.0"]);
    demo.xcache(["build"]).ok();
    assert_says(&explained(&demo, &[]), &["nothing had changed since the build before"]);
}

#[test]
fn a_misspelled_crate_gets_a_suggestion() {
    let (_sandbox, demo) = chain();
    assert_says(
        &explained(&demo, &["midle"]),
        &["no unit in the last build matches `midle`; did you mean middle@1.0.0?"],
    );
    assert_says(&explained(&demo, &["base@2"]), &["matches `base@2`; did you mean base@1.0.0?"]);
    assert_says(&explained(&demo, &["tokio"]), &["`cargo xcache report --all` lists all"]);
}

#[test]
fn an_explanation_of_another_build_is_not_used() {
    let (_sandbox, demo) = chain();
    let kept = std::fs::read(demo.target().join("xcache/explain")).expect("the build had misses");
    demo.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
    rebuild(&demo, &["build"]);
    tree::write(&demo.target().join("xcache/explain"), kept);
    assert_says(&explained(&demo, &["base"]), &["what it was made from is not known any more"]);
    tree::write(&demo.target().join("xcache/explain"), "damaged");
    assert_says(&explained(&demo, &[]), &["what the units were made from was not kept, or cannot be read"]);
}

#[test]
fn a_damaged_input_history_costs_only_explanations() {
    let (sandbox, demo) = chain();
    let known = tree::files(&demo.store().join("v1/known"));
    assert_eq!(known.len(), 4);
    known.iter().for_each(|object| tree::damage(object));
    rebuild(&demo, &["build"]);
    assert_says(&explained(&demo, &[]), &["Missed none of 5 units"]);
    sandbox.reset();
    demo.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
    rebuild(&demo, &["build"]);
    assert_eq!(sandbox.compiled_dependencies(), ["apex", "base", "middle"]);
    assert_says(&explained(&demo, &["base"]), &["never built before on this machine"]);
}

#[test]
fn a_build_of_hits_writes_nothing_for_explanations() {
    let (_sandbox, demo) = chain();
    let stamps = |dir: &std::path::Path| {
        let files = tree::files(dir).into_iter();
        files.map(|path| (std::fs::metadata(&path).and_then(|it| it.modified()).ok(), path)).collect::<Vec<_>>()
    };
    let before = stamps(&demo.store().join("v1/known"));
    assert_eq!(before.len(), 4);
    rebuild(&demo, &["build"]);
    assert_eq!(stamps(&demo.store().join("v1/known")), before);
    assert!(!demo.target().join("xcache/explain").exists());
    // An explanation writes nothing either.
    let all = || [stamps(&demo.target()), stamps(demo.store())];
    let before = all();
    explained(&demo, &["base"]);
    assert_eq!(all(), before);
}

#[test]
fn an_empty_machine_gets_explanations_from_the_history_in_the_remote() {
    let sandbox = Sandbox::new();
    let remote = sandbox.path("remote");
    let url = format!("file://{}", remote.display());
    let demo = unbuilt(&sandbox).env("XCACHE_REMOTE", &url);
    demo.xcache(["build"]).ok();
    let known = || tree::files(&remote.join("v1/known"));
    assert_eq!(known().len(), 1);
    let other = unbuilt(&sandbox).env("XCACHE_REMOTE", &url).with_store(&sandbox.unused("store"));
    other.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
    other.xcache(["build"]).ok();
    assert_eq!(known().len(), 1, "other lockfiles are in the same object");
    let said = explained(&other, &[]);
    assert_says(&said, &["dependency base 1.0.0 → 1.0.1", "2 more follow: apex, middle"]);
    tree::remove(&remote.join("v1/known"));
    let said = explained(&other, &[]);
    assert_says(&said, &["never built before on this machine, and the remote does not say what it knows"]);
}

#[test]
fn the_history_in_a_remote_costs_two_requests_in_a_session_that_sends_and_none_otherwise() {
    let sandbox = Sandbox::new();
    let remote = sandbox.path("remote");
    let demo = unbuilt(&sandbox).env("XCACHE_REMOTE", format!("file://{}", remote.display()));
    demo.xcache(["build"]).ok();
    // Four packs, four entries and an index are sent, after requests for an index and four entries that did not exist.
    // Two more requests read and write the history.
    assert_eq!(demo.report().total("requests"), 9 + 5 + 2);
    rebuild(&demo, &["build"]);
    assert_eq!(demo.report().total("requests"), 1, "nothing was sent");
}
