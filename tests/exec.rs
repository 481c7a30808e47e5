//! `cargo xcache exec` and `cargo xcache nextest`: each cargo that a command calls is a session, or the real cargo.

use nix::sys::signal::Signal;
use support::{Invocation, Output, Package, Project, Sandbox, Tool, is_available, nightly, tree, wait_until};

const NONE: [&str; 0] = [];
const CHAIN: [&str; 4] = ["apex", "base", "lone", "middle"];

/// `cargo xcache exec -- sh -c <script>`, started by the real cargo.
fn exec(project: &Project, script: &str) -> Invocation {
    project.cargo(["xcache", "exec", "--", "sh", "-c", script])
}

/// The same script without xcache.
fn plain(project: &Project, script: &str) -> Invocation {
    project.program("sh", ["-c", script])
}

#[track_caller]
fn assert_equal(ours: &Output, expected: &Output) {
    assert_eq!(ours.code(), expected.code(), "{ours}\n{expected}");
    assert_eq!(ours.stdout, expected.stdout);
    assert_eq!(ours.stderr, expected.stderr);
}

/// Asserts that a script does the same under `exec` and without it.
#[track_caller]
fn assert_same(project: &Project, script: &str) -> Output {
    let expected = plain(project, script).run();
    assert_equal(&exec(project, script).run(), &expected);
    expected
}

#[test]
fn two_builds_in_a_script_share_their_units() {
    let sandbox = Sandbox::new();
    let (first, second) = (sandbox.chain(), sandbox.chain());
    tree::write_script(
        &sandbox.path("ci.sh"),
        &format!("set -e\ncargo build\ncd {}\ncargo build", second.dir().display()),
    );
    sandbox.reset();
    let output = first.xcache(["exec".as_ref(), sandbox.path("ci.sh").as_os_str()]).ok();
    assert_eq!(sandbox.compiled_dependencies(), CHAIN, "{output}");
    assert_eq!(second.report().packages("hit"), CHAIN);
    assert_eq!(first.run_binary("demo"), second.run_binary("demo"));
    sandbox.assert_nothing_to_do(&second, &["build"]);
}

#[test]
fn the_cargo_variable_names_the_cargo_of_exec() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    for expected in [&CHAIN[..], &NONE] {
        demo.clean();
        sandbox.reset();
        // Started by cargo, which sets `CARGO`, and without cargo.
        exec(&demo, "\"$CARGO\" build && cargo build").ok();
        demo.clean();
        demo.xcache(["exec", "--", "sh", "-c", "\"$CARGO\" --color=never --config build.jobs=1 -vv build"]).ok();
        assert_eq!(sandbox.compiled_dependencies(), expected);
    }
}

#[test]
fn a_direct_command_needs_no_shell() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    for expected in [&CHAIN[..], &NONE] {
        demo.clean();
        sandbox.reset();
        let output = demo.xcache(["exec", "cargo", "run", "--quiet", "--", "--help"]).ok();
        assert_eq!(output.stdout, "apex of middle of 1.0.0 and lone\n");
        assert_eq!(sandbox.compiled_dependencies(), expected);
    }
}

#[test]
fn other_commands_go_to_the_real_cargo() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    for script in [
        "cargo --version",
        "cargo -vV",
        "cargo tree",
        "cargo -v metadata --format-version=1 --no-deps",
        "cargo --list",
        "cargo no-such-command",
        "cargo --no-such-option build",
        "cargo help build",
        "cargo build --help",
        "cargo",
        "printf '%s, ' one two; cargo pkgid; exit 3",
    ] {
        assert_same(&demo, script);
    }
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    let sandbox = Sandbox::new();
    let demo = sandbox.demo(&sandbox.registry([]), "", "fn main() { std::process::exit(7) }");
    let code = |arguments: &[&str]| demo.xcache([&["exec", "--"], arguments].concat()).run().code();
    assert_eq!(code(&["true"]), Some(0));
    assert_eq!(code(&["sh", "-c", "exit 42"]), Some(42));
    assert_eq!(code(&["sh", "-c", "kill -TERM $$"]), Some(128 + 15));
    assert_eq!(code(&["cargo", "run"]), Some(7));
    assert_eq!(code(&["cargo", "build", "--bin", "other"]), Some(101));
    assert_eq!(code(&["./src/main.rs"]), Some(126));
    let output = demo.xcache(["exec", "--", "no-such-program"]).run();
    assert_eq!(output.code(), Some(127));
    assert!(output.stderr.contains("cannot run `no-such-program`"), "{output}");
    let silent = demo.xcache(["exec", "--", "true"]).ok();
    assert_eq!((&*silent.stdout, &*silent.stderr), ("", ""));
}

#[test]
fn a_signal_reaches_the_command() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    for (signal, name) in [(Signal::SIGINT, "INT"), (Signal::SIGTERM, "TERM")] {
        let ready = sandbox.unused("ready");
        let script = format!("trap 'exit 42' {name}; : > '{}'; while :; do sleep 0.05; done", ready.display());
        let mut running = demo.xcache(["exec", "--", "sh", "-c", &script]).start();
        wait_until("the command has not started", || ready.exists());
        running.signal(signal);
        assert_eq!(running.wait().code(), Some(42));
    }
}

#[test]
fn a_toolchain_can_be_named_before_or_after_xcache() {
    if nightly().is_none() {
        return;
    }
    let sandbox = Sandbox::new();
    let demo = sandbox.chain().env_remove("RUSTC").env("XCACHE_MEMBERS", "off");
    let version = demo.cargo(["+nightly-2026-10-29", "--version"]).ok().stdout;
    let build = "cargo +nightly-2026-10-29 run --quiet -Zunstable-options";
    for script in [
        &format!("{build} && cargo +nightly-2026-10-29 --version"),
        "RUSTUP_TOOLCHAIN=nightly-2026-10-29 cargo --version",
    ] {
        let output = exec(&demo, script).ok();
        assert!(output.stdout.ends_with(&version), "{output}");
    }
    assert_eq!(demo.report().packages("miss"), CHAIN);
    // A session leaves a report. Outputs of a nightly may be uncacheable.
    for arguments in [["+nightly-2026-10-29", "xcache", "exec"], ["xcache", "+nightly-2026-10-29", "exec"]] {
        demo.clean();
        let script = format!("{} && $CARGO --version", build.replace("+nightly-2026-10-29 ", ""));
        let output = demo.cargo(arguments.iter().copied().chain(["--", "sh", "-c", &script])).ok();
        assert!(output.stdout.ends_with(&version), "{output}");
        assert!(demo.report().key("apex").is_some());
    }
    // Unstable options before the command.
    let script = "cd / && cargo +nightly-2026-10-29 -Zunstable-options -C \"$OLDPWD\" --quiet run";
    assert_same(&demo, script).ok();
}

#[test]
fn an_alias_goes_to_the_real_cargo() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    assert_same(&demo, "CARGO_ALIAS_T=tree cargo t && CARGO_ALIAS_CLIPPY=tree cargo clippy").ok();
    let config = demo.read(".cargo/config.toml");
    let aliases = "[alias]\nxb = \"build\"\nr = \"run --quiet -- one\"\nc = \"tree\"";
    demo.write(".cargo/config.toml", format!("{config}\n{aliases}\n"));
    for script in ["cargo xb --quiet && target/debug/demo", "cargo r two", "cargo c", "cargo --quiet c --depth 1"] {
        assert_same(&demo, script).ok();
    }
    let output = demo.xcache(["c"]).ok();
    assert_equal(&output, &demo.cargo(["c"]).ok());
    // Other commands are sessions.
    demo.clean();
    sandbox.reset();
    exec(&demo, "cargo b && cargo clean && cargo b").ok();
    assert_eq!(sandbox.compiled_dependencies(), CHAIN);
}

#[test]
fn flags_and_variables_apply_to_every_session() {
    let sandbox = Sandbox::new();
    let (first, second) = (sandbox.chain(), sandbox.chain());
    tree::remove(&sandbox.store());
    let script = format!("cargo build && cd {} && cargo build", second.dir().display());
    let remote = format!("file://{}", sandbox.path("remote").display());
    first.xcache_without_proofs(["--dir", "a-store", "--remote", &remote, "exec", "--", "sh", "-c", &script]).ok();
    assert!(first.dir().join("a-store/v1").is_dir());
    assert!(!sandbox.store().exists() && !second.dir().join("a-store").exists());
    assert!(sandbox.path("remote").is_dir());
    assert_eq!(second.report().packages("hit"), CHAIN);
    let first = first.env("XCACHE_DIR", "another");
    first.xcache(["exec", "--", "sh", "-c", &script]).ok();
    assert!(first.dir().join("another/v1").is_dir() && !second.dir().join("another").exists());
}

/// Builds another workspace with the `cargo` in `PATH`, and writes its output and environment into a file.
const NESTED: &str = r#"fn main() {
    let nested = std::process::Command::new("cargo").args(["build", "--color=never"])
        .current_dir(std::env::var_os("NESTED").unwrap()).env_remove("CARGO_TARGET_DIR").output().unwrap();
    assert!(nested.status.success(), "{nested:?}");
    let seen = ["PATH", "CARGO", "XCACHE_REAL_CARGO"].map(|name| std::env::var(name));
    let said = String::from_utf8(nested.stderr).unwrap();
    let said = said.lines().filter(|line| !line.contains("Finished")).collect::<Vec<_>>().join("\n");
    std::fs::write(std::env::var_os("SEEN").unwrap(), format!("{seen:#?}\n{said}")).unwrap();
}"#;

/// A workspace whose build script, test or program builds another one.
fn nesting(sandbox: &Sandbox) -> (Project, Project) {
    let registry = sandbox.chain_registry();
    let nested = sandbox.chain();
    let seen = sandbox.path("seen");
    let outer = sandbox.demo(&registry, "lone = \"1\"", NESTED).env("NESTED", nested.dir()).env("SEEN", seen);
    (outer, nested)
}

/// What the nested build wrote in one run.
#[track_caller]
fn seen(sandbox: &Sandbox, (outer, nested): &(Project, Project), invocation: Invocation) -> String {
    outer.clean();
    nested.clean();
    invocation.ok();
    std::fs::read_to_string(sandbox.path("seen")).expect("the inner cargo has run")
}

#[test]
fn a_program_under_a_session_calls_the_real_cargo() {
    let sandbox = Sandbox::new();
    let projects = nesting(&sandbox);
    for script in ["cargo run", "CARGO= cargo run"] {
        let expected = seen(&sandbox, &projects, projects.0.cargo(["run"]));
        for _ in 0..2 {
            assert_eq!(seen(&sandbox, &projects, projects.0.xcache(["exec", "--", "sh", "-c", script])), expected);
        }
    }
    // A session that the command starts itself, and one within another `exec`.
    let expected = seen(&sandbox, &projects, projects.0.cargo(["run"]));
    for script in ["cargo xcache run", "cargo-xcache run", "cargo xcache exec -- cargo run"] {
        assert_eq!(seen(&sandbox, &projects, exec(&projects.0, script)), expected, "{script}");
    }
}

#[test]
fn a_build_script_calls_the_real_cargo() {
    let sandbox = Sandbox::new();
    let projects = nesting(&sandbox);
    let outer = &projects.0;
    outer.write("build.rs", NESTED);
    outer.write("src/main.rs", "fn main() {}");
    // Cargo passes the wrapper to build scripts; nothing else differs.
    let expected = seen(&sandbox, &projects, outer.cargo(["build"]));
    assert_eq!(seen(&sandbox, &projects, outer.xcache(["exec", "cargo", "build"])), expected);
    // A build by the real cargo has the cargo of `exec` in its environment.
    let config = outer.read(".cargo/config.toml");
    outer.write(".cargo/config.toml", format!("{config}\n[alias]\nxb = \"build\"\n"));
    let said = |text: &str| text.split_once("]\n").map(|(_, said)| said.to_owned());
    let handed_over = seen(&sandbox, &projects, outer.xcache(["exec", "cargo", "xb"]));
    assert_eq!(said(&handed_over), said(&expected), "{handed_over}");
}

/// A project with a test that creates a file, and one that fails if `FAIL` is set.
fn tested(sandbox: &Sandbox) -> Project {
    let demo = sandbox.chain().with_nextest();
    demo.write(
        "tests/all.rs",
        "#[test] fn passes() { std::fs::write(std::env::var_os(\"RAN\").unwrap(), \"\").unwrap(); }
        #[test] fn fails_if_asked() { assert!(std::env::var_os(\"FAIL\").is_none()); }",
    );
    demo.env("RAN", sandbox.path("ran"))
}

#[test]
fn nextest_builds_through_the_cache_and_runs_the_tests() {
    let sandbox = Sandbox::new();
    let demo = tested(&sandbox);
    if !is_available(Tool::Nextest, demo.has_nextest()) {
        return;
    }
    let run = |program: fn(&Project, &[&str]) -> Invocation, fail: bool| {
        demo.clean();
        sandbox.reset();
        let _ = std::fs::remove_file(sandbox.path("ran"));
        let invocation = program(&demo, &["nextest", "run", "--no-fail-fast"]);
        let output = if fail { invocation.env("FAIL", "1") } else { invocation }.run();
        assert!(sandbox.path("ran").exists(), "{output}");
        (output.code(), summary(&output), sandbox.compiled_dependencies())
    };
    let cargo = |demo: &Project, arguments: &[&str]| demo.cargo(arguments);
    let xcache = |demo: &Project, arguments: &[&str]| demo.xcache(arguments);
    let through_cargo = |demo: &Project, arguments: &[&str]| demo.cargo([&["xcache"], arguments].concat());
    let (code, said, compiled) = run(cargo, false);
    assert_eq!((code, compiled), (Some(0), CHAIN.map(str::to_owned).to_vec()));
    assert!(said.contains("2 tests run: 2 passed"), "{said}");
    assert_eq!(run(xcache, false), (code, said.clone(), CHAIN.map(str::to_owned).to_vec()));
    for again in [xcache, through_cargo] {
        assert_eq!(run(again, false), (code, said.clone(), Vec::new()));
    }
    let (code, said, _) = run(cargo, true);
    assert_eq!(code, Some(100));
    assert_eq!(run(xcache, true), (code, said, Vec::new()));
}

/// Nextest's summary, without the time it took.
fn summary(output: &Output) -> String {
    let summary = output.stderr.lines().find(|line| line.trim_start().starts_with("Summary"));
    let summary = summary.and_then(|line| line.split_once(']')).unwrap_or_else(|| panic!("no summary in {output}"));
    summary.1.trim().to_owned()
}

#[test]
fn a_test_under_nextest_calls_the_real_cargo() {
    let sandbox = Sandbox::new();
    let (outer, nested) = nesting(&sandbox);
    let outer = outer.with_nextest();
    if !is_available(Tool::Nextest, outer.has_nextest()) {
        return;
    }
    outer.write("src/main.rs", "fn main() {}");
    outer.write("tests/nested.rs", NESTED.replace("fn main", "#[test] fn nested"));
    let projects = (outer, nested);
    let said = |text: String| text.split_once("]\n").map(|(_, said)| said.to_owned());
    let expected = said(seen(&sandbox, &projects, projects.0.cargo(["nextest", "run"])));
    assert_eq!(said(seen(&sandbox, &projects, projects.0.xcache(["nextest", "run"]))), expected);
    assert_eq!(said(seen(&sandbox, &projects, exec(&projects.0, "cargo-nextest nextest run"))), expected);
}

#[test]
fn a_missing_nextest_gets_a_hint_how_to_install_it() {
    let sandbox = Sandbox::new();
    let demo = sandbox.demo(&sandbox.registry([Package::new("leaf", "1.0.0", "")]), "", "fn main() {}");
    let nowhere = demo.env("PATH", sandbox.path("nowhere"));
    let output = nowhere.xcache(["nextest", "run"]).run();
    assert_eq!(output.code(), Some(1), "{output}");
    assert!(output.stderr.contains("`cargo install cargo-nextest --locked`"), "{output}");
    tree::write_script(&sandbox.cargo_home().join("bin/cargo-nextest"), "echo \"$@\"; exit 9");
    let output = nowhere.env("PATH", "/usr/bin:/bin").xcache(["nextest", "run", "-E", "all()", "--", "--help"]).run();
    assert_eq!((output.code(), &*output.stdout), (Some(9), "nextest run -E all() -- --help\n"));
}
