//! Members in another checkout, with the workspace's path remapped: all of them are hits there, except those whose
//! outputs contain the path nevertheless.
//!
//! The output of a program is compared with that of plain cargo's program in the same checkout. Compilations are
//! counted by the starts of the real rustc.

use std::os::unix::fs::symlink;
use std::path::Path;

use support::{Output, Package, Project, Sandbox, Tool, is_long, require, tree};

const NONE: [&str; 0] = [];

/// A workspace of a program with tests, a procedural macro, a package with a build script, and generic code, which is
/// compiled where it is used.
const FILES: &[(&str, &str)] = &[
    (
        "src/main.rs",
        "fn main() { println!(\"{} {}\", voice::voice(), include_str!(\"../templates/page.txt\")); }
        #[test] fn a_unit_is_tested() { assert_eq!(words::twice(1), 2); }",
    ),
    ("templates/page.txt", "page"),
    ("tests/whole.rs", "#[test] fn the_whole_is_tested() { assert!(voice::voice().contains(\"42\")); }"),
    ("words/Cargo.toml", "[package]\nname = \"words\"\nedition = \"2021\"\n"),
    (
        "words/src/lib.rs",
        "pub fn word() -> &'static str { \"one\" }
        pub fn twice<T: Copy + std::ops::Add<Output = T>>(t: T) -> T { t + t }",
    ),
    ("macros/Cargo.toml", "[package]\nname = \"macros\"\nedition = \"2021\"\n[lib]\nproc-macro = true\n"),
    (
        "macros/src/lib.rs",
        "#[proc_macro] pub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"42\".parse().unwrap() }",
    ),
    ("made/Cargo.toml", "[package]\nname = \"made\"\nedition = \"2021\"\n"),
    (
        "made/build.rs",
        "fn main() {
            println!(\"cargo::rerun-if-changed=build.rs\");
            let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
            std::fs::write(out.join(\"made.rs\"), \"pub const MADE: &str = \\\"made\\\";\").unwrap();
        }",
    ),
    ("made/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));"),
    (
        "voice/Cargo.toml",
        "[package]\nname = \"voice\"\nedition = \"2021\"\n[dependencies]\nwords = { path = \"../words\" }\n\
         macros = { path = \"../macros\" }\nmade = { path = \"../made\" }\nleaf = \"1\"\n",
    ),
    (
        "voice/src/lib.rs",
        "pub fn voice() -> String {
            assert_eq!(words::twice(21), macros::answer!());
            format!(\"{} {} {} of {}\", words::word(), macros::answer!(), made::MADE, leaf::NAME)
        }",
    ),
];

const DEPENDENCIES: &str = "voice = { path = \"voice\" }\nwords = { path = \"words\" }";

/// The members of the workspace that a build compiles.
const MEMBERS: [&str; 6] = ["demo", "macros", "made", "made (build script)", "voice", "words"];

/// The output of the workspace's program.
const OUTPUT: &str = "one 42 made of leaf page\n";

/// Two checkouts of a package `demo` with these dependencies and files, at paths of different lengths.
fn two_checkouts(sandbox: &Sandbox, dependencies: &str, files: &[(&str, &str)]) -> [Project; 2] {
    let first = sandbox.demo_unlocked(dependencies, "fn main() {}");
    files.iter().for_each(|(path, text)| first.write(path, text));
    first.use_registry(&sandbox.registry([Package::new("leaf", "1.0.0", "pub const NAME: &str = \"leaf\";")]));
    first.cargo(["fetch"]).ok();
    let second = sandbox.unused("another-checkout").join("demo");
    tree::copy(first.dir(), &second);
    [first.clone(), first.at(&second)].map(|demo| remapped(demo).env("CARGO_INCREMENTAL", "0"))
}

fn remapped(demo: Project) -> Project {
    demo.env("XCACHE_WORKSPACE_PATHS", "remap")
}

fn kept(demo: &Project) -> Project {
    demo.clone().env("XCACHE_WORKSPACE_PATHS", "keep")
}

/// Runs a command in an empty target directory, and asserts which crates of the workspace it compiles.
#[track_caller]
fn assert_compiles(sandbox: &Sandbox, demo: &Project, command: &[&str], compiled: &[&str]) -> Output {
    demo.clean();
    sandbox.reset();
    let output = demo.xcache(command).ok();
    let mut members = sandbox.compiled();
    members.retain(|name| name != "leaf");
    assert_eq!(members, compiled, "{command:?}: {output}");
    output
}

/// Asserts that the command compiles nothing, and leaves nothing to do: neither for xcache nor for plain cargo.
#[track_caller]
fn assert_full_hit(sandbox: &Sandbox, demo: &Project, command: &[&str]) -> Output {
    let output = assert_compiles(sandbox, demo, command, &[]);
    sandbox.assert_nothing_to_do(demo, command);
    output
}

/// Asserts that no output of one checkout contains the path of the other.
#[track_caller]
fn assert_does_not_name(demo: &Project, other: &Project) {
    let path = other.dir().to_str().expect("test directories have plain names").as_bytes();
    for file in tree::files(&demo.target().join("debug")) {
        let bytes = std::fs::read(&file).expect("the file can be read");
        assert!(!bytes.windows(path.len()).any(|window| window == path), "{}", file.display());
    }
}

// Hits.

#[test]
fn all_members_of_a_build_are_hits_in_another_checkout() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    assert_compiles(&sandbox, &first, &["build"], &MEMBERS);
    assert_eq!(first.run_binary("demo"), OUTPUT);
    assert_full_hit(&sandbox, &second, &["build"]);
    assert_eq!(second.run_binary("demo"), OUTPUT);
    assert_does_not_name(&second, &first);
    // And back, after the other checkout was removed.
    tree::remove(second.dir());
    assert_full_hit(&sandbox, &first, &["build"]);
    assert_eq!(first.run_binary("demo"), OUTPUT);
}

#[test]
fn all_members_of_other_commands_are_hits_in_another_checkout() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    for command in [&["check", "--all-targets"][..], &["test"], &["build", "--release"]] {
        first.xcache(command).ok();
        let output = assert_full_hit(&sandbox, &second, command);
        for test in ["a_unit_is_tested", "the_whole_is_tested"].into_iter().filter(|_| command == ["test"]) {
            assert!(output.stdout.contains(&format!("test {test} ... ok")), "{output}");
        }
    }
}

#[test]
fn incrementally_compiled_members_are_hits_in_another_checkout() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES).map(|demo| demo.env("CARGO_INCREMENTAL", "1"));
    assert_compiles(&sandbox, &first, &["build"], &MEMBERS);
    assert_full_hit(&sandbox, &second, &["build"]);
    assert_eq!(second.run_binary("demo"), OUTPUT);
    assert_does_not_name(&second, &first);
    second.edit("words/src/lib.rs", "one", "two");
    for build in [second.xcache(["build"]), second.cargo(["build"])] {
        build.ok();
        assert_eq!(second.run_binary("demo"), OUTPUT.replace("one", "two"));
    }
}

#[test]
fn an_edit_in_another_checkout_recompiles_only_its_dependents() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    first.xcache(["build"]).ok();
    second.edit("words/src/lib.rs", "one", "two");
    assert_compiles(&sandbox, &second, &["build"], &["demo", "voice", "words"]);
    assert_eq!(second.run_binary("demo"), OUTPUT.replace("one", "two"));
    assert_full_hit(&sandbox, &first, &["build"]);
    assert_eq!(first.run_binary("demo"), OUTPUT);
}

#[test]
fn in_another_checkout_the_wrapper_restores_what_is_not_hydrated() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    first.xcache(["build"]).ok();
    let second = second.env("XCACHE_HYDRATE", "off");
    assert_full_hit(&sandbox, &second, &["build"]);
    assert_eq!(second.run_binary("demo"), OUTPUT);
    assert_does_not_name(&second, &first);
}

/// Asserts that a workspace built at this path is a hit elsewhere, and the other way round.
#[track_caller]
fn assert_shares_all_members(place: &str) {
    let sandbox = Sandbox::new();
    let [there, here] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    let Some(build) = require(Tool::Mounts, there.xcache_at(place, ["build"])) else { return };
    build.ok();
    assert_full_hit(&sandbox, &here, &["build"]);
    assert_eq!(here.run_binary("demo"), OUTPUT);
    // The short form goes the other way for one place only.
    if !is_long() && place != "/src" {
        return;
    }
    here.empty_store();
    assert_compiles(&sandbox, &here, &["build"], &MEMBERS);
    there.clean();
    sandbox.reset();
    there.xcache_at(place, ["build"]).expect("mounting is allowed").ok();
    assert_eq!(sandbox.compiled(), NONE, "to {place}");
}

#[test]
fn a_checkout_at_a_path_of_one_letter_shares_all_members() {
    assert_shares_all_members("/w");
}

#[test]
fn a_checkout_at_src_shares_all_members() {
    assert_shares_all_members("/src");
}

#[test]
fn a_checkout_at_a_path_with_a_space_and_an_equals_sign_shares_all_members() {
    assert_shares_all_members("/my = äpp");
}

#[test]
fn a_checkout_behind_a_link_shares_all_members() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    let by_link = |demo: &Project, name: &str| {
        let link = sandbox.path(name);
        symlink(demo.dir(), &link).expect("links can be created");
        link.join("Cargo.toml").to_str().expect("test directories have plain names").to_owned()
    };
    let [one, other] = [by_link(&first, "one-link"), by_link(&second, "the-other-link")];
    first.xcache(["build", "--manifest-path", &one]).ok();
    for manifest in [other.as_str(), "Cargo.toml"] {
        assert_full_hit(&sandbox, &second, &["build", "--manifest-path", manifest]);
        assert_eq!(second.run_binary("demo"), OUTPUT);
        assert_does_not_name(&second, &first);
    }
}

// Outputs that name the checkout.

#[test]
fn warnings_name_the_files_of_their_own_checkout() {
    let sandbox = Sandbox::new();
    let main = "include!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/src/inner.rs\"));\nfn main() {}";
    let files = [("src/main.rs", main), ("src/inner.rs", "fn dead() {}")];
    let [first, second] = two_checkouts(&sandbox, "", &files);
    for demo in [&first, &second] {
        let plain = demo.in_clean_target(|| demo.cargo(["build"]).ok());
        let inner = demo.dir().join("src/inner.rs");
        assert!(plain.stderr.contains(&format!("--> {}:1:4", inner.display())), "{plain}");
        let ours = assert_compiles(&sandbox, demo, &["build"], if demo.dir() == first.dir() { &["demo"] } else { &[] });
        let warning = |output: &Output| {
            let text = output.cargo_stderr();
            text[text.find("warning: ").expect("a warning")..text.rfind("warning: ").unwrap()].to_owned()
        };
        assert_eq!(warning(&ours), warning(&plain));
        assert_eq!(warning(&demo.cargo(["build"]).ok()), warning(&plain), "as cargo shows it again");
    }
}

/// Asserts that the program prints in each checkout what plain cargo's program prints there, although the other
/// checkout was built before; and that the checkout that was built last is a hit.
#[track_caller]
fn assert_prints_its_own_path(files: &[(&str, &str)], is_script: bool) {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, "", files);
    let script = is_script.then_some("demo (build script)");
    let once: Vec<_> = ["demo"].into_iter().chain(script).collect();
    assert_compiles(&sandbox, &first, &["build"], &once);
    let said = |demo: &Project| {
        let plain = demo.output_of_plain_cargo();
        assert_eq!(demo.run_binary("demo"), plain);
        plain
    };
    let path_of_first = said(&first);
    assert_compiles(&sandbox, &second, &["build"], &["demo"]);
    let path_of_second = said(&second);
    assert_ne!(path_of_second, path_of_first);
    assert_full_hit(&sandbox, &second, &["build"]);
    assert_eq!(second.run_binary("demo"), path_of_second);
}

#[test]
fn a_program_that_prints_its_path_prints_that_of_its_own_checkout() {
    assert_prints_its_own_path(
        &[("src/main.rs", "fn main() { println!(\"{}\", env!(\"CARGO_MANIFEST_DIR\")); }")],
        false,
    );
}

#[test]
fn a_program_that_prints_the_length_of_its_path_prints_that_of_its_own_checkout() {
    let main = "static N: usize = env!(\"CARGO_MANIFEST_DIR\").len();\nfn main() { println!(\"{N}\"); }";
    assert_prints_its_own_path(&[("src/main.rs", main)], false);
}

#[test]
fn a_program_whose_script_passes_on_the_path_prints_that_of_its_own_checkout() {
    let script = "fn main() { println!(\"cargo::rustc-env=PLACE={}\", std::env::current_dir().unwrap().display()); }";
    let main = "fn main() { println!(\"{}\", env!(\"PLACE\")); }";
    assert_prints_its_own_path(&[("src/main.rs", main), ("build.rs", script)], true);
}

#[test]
fn a_program_whose_script_generates_the_path_prints_that_of_its_own_checkout() {
    let script = "fn main() {
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        let place = std::env::current_dir().unwrap();
        std::fs::write(out.join(\"place.rs\"), format!(\"const PLACE: &str = {:?};\", place.to_str().unwrap())).unwrap();
    }";
    let main = "include!(concat!(env!(\"OUT_DIR\"), \"/place.rs\"));\nfn main() { println!(\"{PLACE}\"); }";
    assert_prints_its_own_path(&[("src/main.rs", main), ("build.rs", script)], true);
}

#[test]
fn a_program_that_includes_a_file_by_absolute_path_includes_its_current_content() {
    let sandbox = Sandbox::new();
    let text = sandbox.path("text");
    tree::write(&text, "one");
    let main = format!("fn main() {{ println!(\"{{}}\", include_str!({text:?})); }}");
    let [first, second] = two_checkouts(&sandbox, "", &[("src/main.rs", &main)]);
    assert_compiles(&sandbox, &first, &["build"], &["demo"]);
    assert_full_hit(&sandbox, &second, &["build"]);
    assert_eq!(second.run_binary("demo"), "one\n");
    tree::write(&text, "two");
    assert_compiles(&sandbox, &second, &["build"], &["demo"]);
    assert_eq!(second.run_binary("demo"), "two\n");
}

/// Two checkouts with a member that includes a file of the workspace from outside of its package.
fn including(sandbox: &Sandbox, include: &str) -> [Project; 2] {
    let library = format!("pub const TEXT: &str = include_str!({include});");
    let files = [
        ("src/main.rs", "fn main() { println!(\"{}\", inner::TEXT); }"),
        ("inner/Cargo.toml", "[package]\nname = \"inner\"\nedition = \"2021\"\n"),
        ("inner/src/lib.rs", &library),
        // Ignored files are not part of the packages.
        (".gitignore", "/text\n/target\n"),
        ("text", "one"),
    ];
    two_checkouts(sandbox, "inner = { path = \"inner\" }", &files)
}

#[track_caller]
fn assert_includes_its_own_file(include: &str) {
    let sandbox = Sandbox::new();
    let [first, second] = including(&sandbox, include);
    assert_compiles(&sandbox, &first, &["build"], &["demo", "inner"]);
    second.write("text", "two");
    assert_compiles(&sandbox, &second, &["build"], &["demo", "inner"]);
    assert_eq!(second.run_binary("demo"), "two\n");
    assert_eq!(second.output_of_plain_cargo(), "two\n");
    second.write("text", "one");
    first.write("text", "two");
    // Cargo's list of included files has the absolute path, so `inner` is compiled. Its output is the same as before,
    // so its dependent is not.
    assert_compiles(&sandbox, &first, &["build"], &["inner"]);
    assert_eq!(first.run_binary("demo"), "two\n");
}

#[test]
fn a_member_that_includes_a_file_of_the_workspace_includes_that_of_its_own_checkout() {
    assert_includes_its_own_file("\"../../text\"");
}

#[test]
fn a_member_that_includes_a_file_by_the_package_path_includes_that_of_its_own_checkout() {
    assert_includes_its_own_file("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../text\")");
}

#[test]
fn a_member_that_includes_a_file_of_another_checkout_by_absolute_path_includes_that_one() {
    let sandbox = Sandbox::new();
    let text = sandbox.path("checkout-1/demo/text");
    let [first, second] = including(&sandbox, &format!("{text:?}"));
    assert_compiles(&sandbox, &first, &["build"], &["demo", "inner"]);
    second.write("text", "two");
    assert_compiles(&sandbox, &second, &["build"], &["demo", "inner"]);
    assert_eq!(second.run_binary("demo"), "one\n");
    assert_eq!(second.output_of_plain_cargo(), "one\n");
    first.write("text", "six");
    assert_compiles(&sandbox, &second, &["build"], &["demo", "inner"]);
    assert_eq!(second.run_binary("demo"), "six\n");
    assert_full_hit(&sandbox, &second, &["build"]);
}

#[test]
fn a_macro_that_expands_to_the_path_expands_to_that_of_its_own_checkout() {
    let place = "#[proc_macro] pub fn place(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
        format!(\"{:?}\", std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()).parse().unwrap()
    }";
    let sandbox = Sandbox::new();
    let files = [
        ("src/main.rs", "fn main() { println!(\"{}\", place::place!()); }"),
        ("place/Cargo.toml", "[package]\nname = \"place\"\nedition = \"2021\"\n[lib]\nproc-macro = true\n"),
        ("place/src/lib.rs", place),
    ];
    let [first, second] = two_checkouts(&sandbox, "place = { path = \"place\" }", &files);
    assert_compiles(&sandbox, &first, &["build"], &["demo", "place"]);
    for (demo, compiled) in [(&second, &["demo"][..]), (&second, &[]), (&first, &["demo"])] {
        assert_compiles(&sandbox, demo, &["build"], compiled);
        assert_eq!(demo.run_binary("demo"), demo.output_of_plain_cargo());
    }
}

#[test]
fn tests_find_their_files_by_package_path_and_source_name() {
    let sandbox = Sandbox::new();
    let test = "#[test] fn it_is_found() {
        let source = std::path::Path::new(env!(\"CARGO_MANIFEST_DIR\")).join(file!());
        assert_eq!(file!(), \"tests/found.rs\");
        assert!(source.with_extension(\"snap\").exists());
        println!(\"found {}\", source.display());
    }";
    let [first, second] = two_checkouts(&sandbox, "", &[("tests/found.rs", test), ("tests/found.snap", "")]);
    for demo in [&first, &second, &second] {
        demo.clean();
        let output = demo.xcache(["test", "--", "--nocapture"]).ok();
        assert!(output.stdout.contains(&format!("found {}/tests/found.rs", demo.dir().display())), "{output}");
    }
    assert_eq!(
        sandbox.compiled().iter().filter(|name| *name == "found (test)").count(),
        2,
        "it is reused in the same checkout only"
    );
}

#[test]
fn a_test_starts_the_program_of_its_own_checkout() {
    let sandbox = Sandbox::new();
    let test = "#[test] fn it_is_started() { println!(\"started {}\", env!(\"CARGO_BIN_EXE_demo\")); }";
    let [first, second] = two_checkouts(&sandbox, "", &[("tests/starts.rs", test)]);
    for demo in [&first, &second] {
        let output = demo.xcache(["test", "--", "--nocapture"]).ok();
        assert!(output.stdout.contains(&format!("started {}", demo.target().join("debug/demo").display())), "{output}");
    }
}

// What is not shared.

#[test]
fn members_compiled_with_the_real_path_are_not_used_where_it_is_remapped_nor_the_reverse() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    for demo in [kept(&first), first.clone()] {
        assert_compiles(&sandbox, &demo, &["build"], &MEMBERS);
    }
    for demo in [kept(&first), first, second.clone()] {
        assert_full_hit(&sandbox, &demo, &["build"]);
        assert_eq!(demo.run_binary("demo"), OUTPUT);
    }
    // Without remapping, the other checkout does not share members.
    assert_compiles(&sandbox, &kept(&second), &["build"], &MEMBERS);
}

#[test]
fn members_compiled_with_the_real_path_are_not_mixed_with_remapped_ones_in_one_target_directory() {
    let sandbox = Sandbox::new();
    let [first, second] = two_checkouts(&sandbox, DEPENDENCIES, FILES);
    kept(&first).xcache(["build"]).ok();
    first.edit("voice/src/lib.rs", "of {}", "OF {}");
    sandbox.reset();
    first.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled(), ["demo", "voice"]);
    second.edit("voice/src/lib.rs", "of {}", "OF {}");
    assert_compiles(&sandbox, &second, &["build"], &MEMBERS);
    assert_eq!(second.run_binary("demo"), OUTPUT.replace("of", "OF"));
    assert_does_not_name(&second, &first);
}

/// A workspace with a package beside it, in the same parent directory.
fn beside(sandbox: &Sandbox, package: &Path, dependency: &str) -> [Project; 2] {
    let write = |directory: &Path| {
        tree::write(&directory.join("Cargo.toml"), "[package]\nname = \"beside\"\nedition = \"2021\"\n");
        tree::write(&directory.join("src/lib.rs"), "pub fn place() -> &'static str { file!() }");
    };
    write(package);
    let files = [
        ("src/main.rs", "fn main() { println!(\"{} {}\", beside::place(), words::word()); }"),
        ("words/Cargo.toml", "[package]\nname = \"words\"\nedition = \"2021\"\n"),
        ("words/src/lib.rs", "pub fn word() -> &'static str { \"one\" }"),
    ];
    let dependencies = format!("beside = {{ path = {dependency:?} }}\nwords = {{ path = \"words\" }}");
    let demos = two_checkouts(sandbox, &dependencies, &files);
    demos.iter().for_each(|demo| write(&demo.dir().join("../beside")));
    demos
}

#[test]
fn a_package_beside_the_workspace_is_that_of_its_own_checkout() {
    let sandbox = Sandbox::new();
    // The package is where the first checkout will be, so that its lockfile can be generated.
    let [first, second] = beside(&sandbox, &sandbox.path("checkout-1/beside"), "../beside");
    assert_compiles(&sandbox, &first, &["build"], &["beside", "demo", "words"]);
    assert_compiles(&sandbox, &second, &["build"], &["beside", "demo"]);
    for demo in [&second, &first] {
        assert_full_hit(&sandbox, demo, &["build"]);
        let place = demo.dir().parent().expect("the checkout has a parent directory").join("beside/src/lib.rs");
        assert_eq!(demo.run_binary("demo"), format!("{} one\n", place.display()));
    }
}

#[test]
fn a_package_that_two_workspaces_share_is_a_hit_in_both() {
    let sandbox = Sandbox::new();
    let package = sandbox.path("shared");
    let [first, second] = beside(&sandbox, &package, package.to_str().expect("test directories have plain names"));
    assert_compiles(&sandbox, &first, &["build"], &["beside", "demo", "words"]);
    assert_full_hit(&sandbox, &second, &["build"]);
    assert_eq!(second.run_binary("demo"), second.output_of_plain_cargo());
}

#[test]
fn an_invalid_setting_gets_a_warning_that_names_it() {
    let sandbox = Sandbox::new();
    let [demo, _] = two_checkouts(&sandbox, "", &[]);
    let output = demo.xcache(["--workspace-paths", "perhaps", "build"]).ok();
    assert!(output.warnings().iter().any(|line| line.contains("workspace-paths")), "{output}");
}
