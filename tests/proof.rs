//! Formats and proofs for every cargo: a format is proven with the cargo itself, and without a proof the wrapper
//! restores hits.
//!
//! The toolchains are those that rustup has installed; `.ci/toolchains` installs them. The test of a missing one is
//! skipped. The short form has one toolchain for each format: the oldest one and a nightly.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::registry::{MIXED_OUTPUT, MIXED_UNITS};
use support::rustc::real;
use support::sandbox::sorted;
use support::tools::NIGHTLY;
use support::{Project, Rustc, Sandbox, Tool, by_form, is_long, require, tree};

const NONE: [&str; 0] = [];

/// A workspace built with one toolchain, on a machine that does not know its cargo.
struct Scene {
    sandbox: Sandbox,
    demo: Project,
    rustc: Rustc,
}

impl Scene {
    /// `None` if the toolchain is not installed.
    fn new(toolchain: &'static str) -> Option<Self> {
        let real = require(Tool::Toolchain(toolchain), real(&[&format!("+{toolchain}")]))?;
        let sandbox = Sandbox::new();
        let rustc = sandbox.another_rustc(|dir| Rustc::of(dir, &real));
        let demo = sandbox.mixed().env("RUSTUP_TOOLCHAIN", toolchain).with_rustc(&rustc).env("CARGO_INCREMENTAL", "0");
        Some(Self { sandbox, demo, rustc })
    }

    fn reset(&self) {
        self.rustc.reset();
        self.sandbox.reset();
    }

    /// Asserts that nothing was compiled since the last reset, and no build script run.
    #[track_caller]
    fn assert_nothing_built(&self, by: &str) {
        assert_eq!(sorted(self.rustc.compilations()), NONE, "{by}: {}", self.demo.report().json());
        assert_eq!(self.sandbox.scripts_run(), NONE, "{by}");
    }
}

/// Why the session did not hydrate.
fn unproven(project: &Project) -> Option<String> {
    project.report().json()["unproven"].as_str().map(Into::into)
}

fn proofs(store: &Path) -> Vec<PathBuf> {
    let place = store.join("v1/proof");
    if place.is_dir() { tree::children(&place) } else { Vec::new() }
}

#[track_caller]
fn assert_all_units_are_hydrated(toolchain: &'static str) {
    let Some(scene) = Scene::new(toolchain) else { return };
    let demo = &scene.demo;
    demo.xcache_without_proofs(["build"]).env("XCACHE_HYDRATE", "prove").ok();
    assert!(unproven(demo).is_some_and(|reason| reason.contains("new here")), "{}", demo.report().json());
    assert_eq!(proofs(&scene.sandbox.store()).len(), 1);

    demo.clean();
    scene.reset();
    let output = demo.xcache_without_proofs(["build"]).ok();
    scene.assert_nothing_built("xcache");
    assert!(!output.stderr.contains("Compiling"), "{output}");
    assert_eq!(unproven(demo), None);
    let hydrated = demo.report().hydrated();
    assert_eq!(hydrated, [&["configured"][..], &MIXED_UNITS[1..3], &["demo"], &MIXED_UNITS[3..]].concat());
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);

    scene.reset();
    let output = demo.cargo(["build"]).ok();
    assert!(!output.stderr.contains("Compiling"), "{output}");
    scene.assert_nothing_built("plain cargo");

    demo.cargo(["update", "--package", "middle"]).ok();
    scene.reset();
    demo.xcache_without_proofs(["build"]).ok();
    assert_eq!(sorted(scene.rustc.compilations()), ["demo", "middle", "top"]);
}

/// The oldest cargo and the newest one. All other tests use the newest release.
#[test]
fn all_units_are_hydrated_with_each_toolchain() {
    let toolchains = ["1.91.0", NIGHTLY, "1.95.0", "1.99.0", "beta"];
    for toolchain in by_form(&toolchains[..2], &toolchains).iter().copied() {
        assert_all_units_are_hydrated(toolchain);
    }
}

/// All known formats.
const FORMATS: [&str; 4] = ["1.100, per-unit", "1.91, classic", "1.91, per-unit", "1.100, classic"];

/// Lets the prover try these formats with the toolchain's cargo. Returns the format that holds, or why none does.
#[track_caller]
fn prove(sandbox: &Sandbox, rustc: &Path, formats: &[&str], options: &[&str]) -> Result<String, String> {
    let cargo = rustc.with_file_name("cargo");
    let directory = sandbox.unused("proof");
    let request = serde_json::json!({
        "store": sandbox.unused("store"), "key": "0".repeat(64), "directory": directory, "executable": support::xcache_binary(), "cargo": cargo, "rustc": rustc,
        "formats": formats, "options": options, "config": "",
    });
    let mut prover = Command::new(support::xcache_binary());
    prover.arg("--prove-cargo").env_remove("CARGO").env("RUSTC_BOOTSTRAP", "1");
    let mut prover = prover.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the prover starts");
    // The prover ends when its input is closed.
    let mut stdin = prover.stdin.take().expect("a pipe");
    writeln!(stdin, "{request}").expect("the prover reads its input");
    let stdout = prover.stdout.take().expect("a pipe");
    let answer: serde_json::Value = serde_json::from_reader(stdout).expect("an answer");
    assert!(prover.wait().expect("the prover ends").success());
    assert!(!directory.exists(), "the proof left something behind");
    answer["format"].as_str().map(Into::into).ok_or_else(|| answer["reason"].as_str().expect("a reason").into())
}

#[test]
fn a_wrong_format_is_refused() {
    let sandbox = Sandbox::new();
    for (toolchain, format) in [("1.91.0", "1.91, classic"), (NIGHTLY, "1.100, per-unit")] {
        let Some(rustc) = real(&[&format!("+{toolchain}")]) else { continue };
        let others: Vec<_> = FORMATS.into_iter().filter(|other| *other != format).collect();
        if is_long() {
            let refused = prove(&sandbox, &rustc, &others, &[]).expect_err("another format holds");
            assert!(refused.contains("it does not take `build-script-build` as fresh"), "{refused}");
        }
        // The right format is found after a wrong one.
        assert_eq!(prove(&sandbox, &rustc, &[others[0], format], &[]).as_deref(), Ok(format));
    }
}

#[test]
fn without_a_proof_the_wrapper_restores_and_the_report_says_so_once() {
    let sandbox = Sandbox::new();
    let demo = sandbox.mixed();
    demo.xcache(["build"]).ok();
    for switch in ["off", "1.90, classic", "1.100, per-unit"] {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).env("XCACHE_HYDRATE", switch).ok();
        assert_eq!(sandbox.compiled(), NONE, "{switch}");
        assert_eq!(demo.report().hydrated(), NONE, "{switch}");
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
        sandbox.assert_nothing_to_do(&demo, &["build"]);
    }
    demo.clean();
    demo.xcache(["build"]).env("XCACHE_HYDRATE", "off").ok();
    let text = demo.xcache(["report"]).ok().stdout;
    assert_eq!(text.matches("not proven").count(), 1, "{text}");
    assert!(text.contains("this cargo is not proven: XCACHE_HYDRATE is off"), "{text}");
    assert!(!text.contains("by the wrapper"), "{text}");
}

#[test]
fn an_option_under_which_nothing_is_fresh_is_not_proven_but_others_are() {
    let sandbox = Sandbox::new();
    let demo = sandbox.mixed().env("RUSTC_BOOTSTRAP", "1");
    // Without cargo's consent, all formats are tried. The short form does that in other tests.
    let options = [("-Zno-index-update", true), ("-Zbinary-dep-depinfo", false)];
    for (option, holds) in by_form(&options[..1], &options).iter().copied() {
        let command = ["build", option];
        demo.clean();
        demo.xcache(command).env("XCACHE_HYDRATE", "prove").ok();
        demo.clean();
        sandbox.reset();
        demo.xcache(command).ok();
        let reason = unproven(&demo);
        assert_eq!(reason.is_none(), holds, "{option}: {reason:?}");
        assert!(holds || reason.is_some_and(|reason| reason.contains("as fresh")));
        assert_eq!(sandbox.compiled(), NONE);
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    }
}

#[test]
fn extra_files_that_cargo_writes_beside_outputs_are_written_if_requested() {
    let sandbox = Sandbox::new();
    let demo = sandbox.mixed().env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_SBOM", "true");
    let files = || -> BTreeSet<_> {
        let files = tree::files(&demo.target()).into_iter();
        let names = files.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
        names.filter(|name| name.ends_with(".cargo-sbom.json")).collect()
    };
    // Some cargos notice the missing file, and others do not.
    let is_refused =
        || unproven(&demo).is_some_and(|reason| reason.contains("cargo-sbom.json") || reason.contains("as fresh"));
    let config = ["--config", "build.sbom=true"];
    demo.cargo(["build"].into_iter().chain(config)).ok();
    let expected = files();
    assert!(!expected.is_empty());
    demo.clean();
    demo.xcache(["build"].into_iter().chain(config)).env("XCACHE_HYDRATE", "prove").ok();
    demo.clean();
    demo.xcache(["build"].into_iter().chain(config)).ok();
    assert_eq!(files(), expected);
    assert!(is_refused());
    // Requested by a variable, it is another proof.
    if !is_long() {
        return;
    }
    demo.clean();
    demo.xcache(["build"]).env("CARGO_BUILD_SBOM", "true").env("XCACHE_HYDRATE", "prove").ok();
    demo.clean();
    demo.xcache(["build"]).env("CARGO_BUILD_SBOM", "true").ok();
    assert_eq!(files(), expected);
    assert!(is_refused());
}

#[test]
fn a_proof_in_the_remote_serves_other_machines() {
    let sandbox = Sandbox::new();
    let remote = format!("file://{}", sandbox.path("remote").display());
    // Members are compiled each time.
    let first = sandbox.mixed().env("XCACHE_REMOTE", &remote).env("XCACHE_MEMBERS", "off");
    first.xcache_without_proofs(["build"]).env("XCACHE_HYDRATE", "prove").ok();
    assert_eq!(proofs(&sandbox.path("remote")).len(), 1);

    let store = sandbox.unused("store");
    let second = first.with_store(&store);
    second.clean();
    sandbox.reset();
    second.xcache_without_proofs(["build"]).ok();
    assert_eq!(unproven(&second), None);
    assert_eq!(second.report().hydrated(), MIXED_UNITS);
    assert_eq!(proofs(&store).len(), 1, "the proof must be in its local store");
}

#[test]
fn the_users_configuration_does_not_affect_a_proof() {
    let sandbox = Sandbox::new();
    let home = sandbox.unused("home");
    let aside = home.join("aside");
    let hostile = format!(
        "[build]\nrustc-wrapper = \"/nowhere\"\ntarget-dir = {aside:?}\nrustflags = [\"--cfg\", \"of_the_user\"]\n\
         [source.crates-io]\nreplace-with = \"none\"\n[source.none]\ndirectory = \"/nowhere\"\n"
    );
    tree::write(&home.join(".cargo/config.toml"), hostile);
    tree::write(&home.join(".config/xcache/config.toml"), "remote = \"file:///nowhere\"\n");
    let store = home.join("store");
    let demo = sandbox.mixed().with_store(&store).env("XDG_CONFIG_HOME", home.join(".config"));
    demo.xcache_without_proofs(["build"]).env("XCACHE_HYDRATE", "prove").env("XCACHE_REMOTE", "").ok();
    demo.clean();
    demo.xcache_without_proofs(["build"]).env("XCACHE_REMOTE", "").ok();
    assert_eq!(unproven(&demo), None);
    assert!(!aside.exists(), "the proof used the user's target directory");
    let left = fs::read_dir(store.join("v1/tmp")).expect("the directory exists").count();
    assert_eq!(left, 0, "the proof left something behind");
}

/// The working directories of processes that are in or below a directory.
#[cfg(target_os = "linux")]
fn processes_in(directory: &Path) -> Vec<PathBuf> {
    let current = |process: PathBuf| fs::read_link(process.join("cwd")).ok();
    tree::children(Path::new("/proc"))
        .into_iter()
        .filter_map(current)
        .filter(|path| path.starts_with(directory))
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_proof_ends_with_its_session_and_a_later_session_continues_it() {
    let sandbox = Sandbox::new();
    let store = sandbox.unused("store");
    let demo = sandbox.mixed().with_store(&store);
    let build = || demo.xcache_without_proofs(["build"]);
    // This session ends before anything is proven.
    demo.xcache_without_proofs(["check", "--quiet", "--package", "leaf"]).ok();
    assert_eq!(processes_in(&store), [] as [&Path; 0]);
    assert_eq!(proofs(&store).len(), 0);

    demo.write("build.rs", "fn main() { std::thread::sleep(std::time::Duration::from_secs(5)); }\n");
    let is_proven = |_: &u32| {
        demo.clean();
        build().ok();
        assert_eq!(processes_in(&store), [] as [&Path; 0]);
        unproven(&demo).is_none()
    };
    assert!((0..10).find(is_proven).is_some_and(|sessions| sessions > 0), "nothing is proven in ten sessions");
    assert_eq!(proofs(&store).len(), 1);
    assert_eq!(fs::read_dir(store.join("v1/tmp")).expect("the directory exists").count(), 0);
}

/// A row of the book's table.
#[track_caller]
fn row(sandbox: &Sandbox, toolchain: &str, rustc: &Path, option: &str) -> String {
    let options = option.strip_prefix("-Z").into_iter().collect::<Vec<_>>();
    let (format, words) = match prove(sandbox, rustc, &FORMATS, &options) {
        Ok(format) => (format, "fresh".to_owned()),
        Err(reason) => ("none".into(), format!("by the wrapper: {reason}")),
    };
    let option = if option.is_empty() { String::new() } else { format!("`{option}`") };
    format!("| {toolchain} | {option} | {format} | {words} |")
}

fn page() -> PathBuf {
    support::repository().join("book/src/cargos.md")
}

/// The options of a cargo that need no value.
fn options(project: &Project, toolchain: &str) -> Vec<String> {
    let help = project.cargo(["-Z", "help"]).env("RUSTUP_TOOLCHAIN", toolchain).ok().stdout;
    let names = help.lines().filter_map(|line| line.trim().strip_prefix("-Z ")?.split_whitespace().next());
    // These would compile the standard library, or need a value.
    let is_tried =
        |name: &&str| !name.starts_with("build-std") && !["allow-features", "fix-edition", "root-dir"].contains(name);
    names.filter(is_tried).map(|name| format!("-Z{name}")).collect()
}

#[test]
fn some_rows_of_the_books_table_of_cargos_are_true() {
    let page = fs::read_to_string(page()).expect("the page exists");
    let sandbox = Sandbox::new();
    let rows = [("1.91.0", ""), (NIGHTLY, "-Zdual-proc-macros"), (NIGHTLY, "-Zgc"), ("1.99.0", "")];
    for (toolchain, option) in by_form(&rows[..2], &rows).iter().copied() {
        let Some(rustc) = real(&[&format!("+{toolchain}")]) else { continue };
        let row = row(&sandbox, toolchain, &rustc, option);
        assert!(page.contains(&row), "not in the book: {row}");
    }
}

#[test]
#[ignore = "takes minutes: all toolchains and options of the book's page on cargos"]
fn all_rows_of_the_books_table_of_cargos_are_true() {
    const BEGIN: &str = "| Toolchain | Option | Format | Hits |";
    let text = fs::read_to_string(page()).expect("the page exists");
    let sandbox = Sandbox::new();
    let demo = sandbox.demo_unlocked("", "fn main() {}");
    let toolchains = ["1.91.0", "1.95.0", "1.99.0", "beta", "nightly-2026-10-29"];
    let mut rows = vec![BEGIN.to_owned(), "|---|---|---|---|".into()];
    for toolchain in toolchains {
        let rustc = real(&[&format!("+{toolchain}")]).unwrap_or_else(|| panic!("{toolchain} is not installed"));
        rows.push(row(&sandbox, toolchain, &rustc, ""));
        let options = if toolchain.starts_with("nightly") { options(&demo, toolchain) } else { Vec::new() };
        rows.extend(options.iter().map(|option| row(&sandbox, toolchain, &rustc, option)));
    }
    let (before, _) = text.split_once(BEGIN).unwrap_or((&text, ""));
    let made = format!("{before}{}\n", rows.join("\n"));
    if std::env::var_os("XCACHE_BLESS").is_some() {
        return fs::write(page(), made).expect("the page can be written");
    }
    assert_eq!(made, text, "XCACHE_BLESS=1 writes it");
}
