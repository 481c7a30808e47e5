//! A recipe describes what determines the dependencies of a workspace: only that changes its bytes.

use support::layered::layered;
use support::{Project, Sandbox, tree};

/// The recipe of a checkout, as the command prints it.
#[track_caller]
fn recipe(project: &Project) -> String {
    project.xcache(["recipe", "--output", "-"]).ok().stdout
}

/// Asserts that the recipe stays the same after this change.
#[track_caller]
fn assert_unchanged(project: &Project, what: &str, change: impl FnOnce()) {
    let before = recipe(project);
    change();
    let after = recipe(project);
    assert!(before == after, "{what} changed the recipe:\n{before}\n{after}");
}

/// Asserts that the recipe changes with this edit, and comes back.
#[track_caller]
fn assert_changed(project: &Project, what: &str, path: &str, from: &str, to: &str) {
    let (before, content) = (recipe(project), project.read(path));
    project.edit(path, from, to);
    assert!(before != recipe(project), "{what} did not change the recipe:\n{before}");
    project.write(path, content);
    assert!(before == recipe(project), "{what}, and back");
}

#[test]
fn contents_of_members_are_not_in_a_recipe() {
    let sandbox = Sandbox::new();
    let project = layered(&sandbox);
    let unchanged = |what: &str, change: &dyn Fn()| assert_unchanged(&project, what, change);
    unchanged("a source edit", &|| project.edit("crates/app/src/main.rs", "fn main() {", "fn main() { // edited"));
    unchanged("a comment", &|| project.edit("Cargo.toml", "[workspace]", "# A comment.\n[workspace]"));
    unchanged("a description", &|| project.edit("Cargo.toml", "a workspace", "another description"));
    unchanged("a lint", &|| project.edit("Cargo.toml", "unused = \"warn\"", "unused = \"deny\""));
    unchanged("another program", &|| project.write("crates/app/src/bin/third.rs", "fn main() {}"));
    unchanged("a first example", &|| project.write("crates/util/examples/first.rs", "fn main() {}"));
    unchanged("a first benchmark", &|| project.write("crates/util/benches/first.rs", "fn main() {}"));
    unchanged("a first test", &|| project.write("crates/util/tests/first.rs", ""));
    unchanged("a second example", &|| project.write("crates/util/examples/second.rs", "fn main() {}"));
    unchanged("a table of targets", &|| {
        project.edit(
            "crates/app/Cargo.toml",
            "[features]",
            "[[bin]]\nname = \"named-otherwise\"\npath = \"src/main.rs\"\n[features]",
        );
    });
    unchanged("autobins", &|| {
        project.edit("crates/util/Cargo.toml", "name = \"util\"", "name = \"util\"\nautobins = false")
    });
    unchanged("globs", &|| {
        let listed = "\"crates/app\", \"crates/named\", \"crates/util\"";
        project.edit("Cargo.toml", "\"crates/*\"", listed);
    });
    unchanged("an unused workspace dependency", &|| {
        project.edit("Cargo.toml", "[workspace.dependencies]", "[workspace.dependencies]\nunused = \"7\"");
    });
    unchanged("a dependency that is not inherited any more", &|| {
        let spelled_out = "leaf = { version = \"1\", default-features = false }";
        project.edit("crates/util/Cargo.toml", "leaf.workspace = true", spelled_out);
    });
    unchanged("cargo's appearance, and a credential", &|| {
        let config = project.read(".cargo/config.toml");
        let more =
            "[term]\nverbose = true\n[alias]\nb = \"build\"\n[build]\njobs = 2\n[registry]\ntoken = \"secret\"\n";
        project.write(".cargo/config.toml", format!("{config}{more}"));
    });
    unchanged("a built target directory", &|| drop(project.cargo(["build"]).ok()));
}

#[test]
fn the_version_of_a_member_is_not_in_a_recipe() {
    let sandbox = Sandbox::new();
    let project = layered(&sandbox);
    assert_unchanged(&project, "a version", || {
        project.edit("Cargo.toml", "version = \"0.3.1\"", "version = \"0.4.0\"");
        project.edit(
            "Cargo.toml",
            "util = { path = \"crates/util\", version = \"0.3\" }",
            "util = { path = \"crates/util\", version = \"0.4\" }",
        );
        // Cargo writes the lockfile again.
        project.cargo(["metadata", "--format-version", "1"]).ok();
        assert!(project.read("Cargo.lock").contains("0.4.0"));
    });
    assert!(!recipe(&project).contains("0.4.0"));
}

#[test]
fn inputs_of_dependencies_change_a_recipe() {
    let sandbox = Sandbox::new();
    let project = layered(&sandbox);
    let changed = |what: &str, path: &str, from: &str, to: &str| assert_changed(&project, what, path, from, to);
    let app = "crates/app/Cargo.toml";
    changed("another dependency", app, "top = \"1\"", "top = \"1\"\ngenerated = \"1\"");
    changed("a dependency for tests less", app, "fortests = \"1\"", "");
    changed(
        "a dependency's features",
        app,
        "extra = { version = \"1\"",
        "extra = { version = \"1\", features = [\"more\"]",
    );
    changed("a requirement", "Cargo.toml", "leaf = { version = \"1\"", "leaf = { version = \"1.0.0\"");
    changed("default features", "Cargo.toml", ", default-features = false", "");
    changed("a feature", app, "extra = [\"dep:extra\"]", "extra = [\"dep:extra\", \"extra/more\"]");
    changed("a default feature", app, "[features]", "[features]\ndefault = [\"extra\"]");
    changed("the target of a dependency", app, "cfg(windows)", "cfg(target_os = \"macos\")");
    changed("a profile", "Cargo.toml", "opt-level = 1", "opt-level = 2");
    changed("a patch", "Cargo.toml", "[patch.crates-io]\npatched = { path = \"stand-ins/patched\" }", "");
    changed("the version of a stand-in", "stand-ins/patched/Cargo.toml", "1.0.5", "1.0.6");
    changed(
        "default members",
        "Cargo.toml",
        "default-members = [\"crates/app\"]",
        "default-members = [\"crates/util\"]",
    );
    changed("the resolver", "Cargo.toml", "resolver = \"3\"", "resolver = \"1\"");
    changed("a procedural macro that is none", "crates/named/Cargo.toml", "proc-macro = true", "");
    changed(
        "a locked version",
        "Cargo.lock",
        "name = \"middle\"\nversion = \"1.0.0\"",
        "name = \"middle\"\nversion = \"1.0.1\"",
    );
    changed("flags", ".cargo/config.toml", "[source.crates-io]", "[build]\nrustflags = [\"-g\"]\n[source.crates-io]");
    changed(
        "an unstable option",
        ".cargo/config.toml",
        "[source.crates-io]",
        "[unstable]\nx = true\n[source.crates-io]",
    );
}

#[test]
fn the_first_test_of_a_procedural_macro_changes_a_recipe() {
    let sandbox = Sandbox::new();
    let project = layered(&sandbox);
    let before = recipe(&project);
    // From now on, its dependencies are compiled for the target, too.
    project.write("crates/named/tests/first.rs", "");
    assert!(before != recipe(&project));
    assert_unchanged(&project, "the second", || project.write("crates/named/tests/second.rs", ""));
}

#[test]
fn the_toolchain_changes_a_recipe_but_not_the_form_of_its_file() {
    let sandbox = Sandbox::new();
    let project = sandbox.checkout("app");
    let recipe_with = |name: &str, content: &str| {
        project.write(name, content);
        let recipe = recipe(&project);
        tree::remove_file(&project.dir().join(name));
        recipe
    };
    let old = recipe_with("rust-toolchain", "1.95.0\n");
    assert_ne!(old, recipe(&project));
    assert_eq!(old, recipe_with("rust-toolchain.toml", "# As always.\n[toolchain]\nchannel = \"1.95.0\"\n"));
    assert_ne!(old, recipe_with("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\ntargets = [\"x\"]\n"));
}

#[test]
fn a_recipe_does_not_depend_on_the_path_of_the_checkout() {
    let sandbox = Sandbox::new();
    let project = layered(&sandbox);
    let elsewhere = project.at(&sandbox.path("elsewhere/and/deeper"));
    tree::copy(project.dir(), elsewhere.dir());
    assert!(recipe(&project) == recipe(&elsewhere));
    let from_above = project.at(&sandbox.path(""));
    let manifest = project.dir().join("crates/util/Cargo.toml");
    let arguments = ["recipe", "--output", "-", "--manifest-path", manifest.to_str().unwrap()];
    assert!(from_above.xcache(arguments).ok().stdout == recipe(&project));
}

#[test]
fn a_recipe_is_written_beside_the_lockfile_and_nothing_else_changes() {
    let sandbox = Sandbox::new();
    let project = layered(&sandbox);
    let before = tree::files(project.dir());
    project.xcache(["prepare"]).ok();
    assert!(project.read("recipe.json") == recipe(&project));
    let mut after = tree::files(project.dir());
    after.retain(|path| !path.ends_with("recipe.json"));
    assert_eq!(after, before);
}

#[test]
fn a_missing_manifest_is_an_error_and_a_missing_lockfile_a_warning() {
    let sandbox = Sandbox::new();
    let project = sandbox.checkout("app");
    let output = project.xcache(["recipe", "--manifest-path", "nowhere/Cargo.toml"]).run().fails();
    assert!(output.stderr.starts_with("error: "), "{output}");
    assert!(!project.dir().join("recipe.json").exists());
    tree::remove_file(&project.dir().join("Cargo.lock"));
    let output = project.xcache(["recipe"]).ok();
    assert_eq!(output.warnings().len(), 1, "{output}");
    assert!(!project.dir().join("Cargo.lock").exists());
}
