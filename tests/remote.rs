//! The remote: on a real S3 server behind a counting proxy, and in a directory.

use support::server::Remote;
use support::{Fault, Key, Package, Project, Proxy, Request, S3Server, Sandbox, tree};

const NONE: [&str; 0] = [];
/// The number of libraries of crates.io in the fixture `app`.
const LIBRARIES: usize = 9;
/// Besides the libraries: a procedural macro, two build scripts, and their runs.
const CACHEABLE: usize = LIBRARIES + 5;

/// Members are not cached: another checkout would not share them.
fn chain(sandbox: &Sandbox) -> Project {
    sandbox.chain().env("XCACHE_MEMBERS", "off")
}

/// The same for the fixture `app`.
fn app(sandbox: &Sandbox) -> Project {
    sandbox.checkout("app").env("XCACHE_MEMBERS", "off")
}

/// A bucket, and a proxy in front of it that records the requests of the second machine.
struct Bucket {
    proxy: Proxy,
    remote: Remote,
}

impl Bucket {
    fn new() -> Self {
        let server = S3Server::get();
        let proxy = Proxy::start(server.address());
        let remote = Remote::new(server, proxy.address());
        Self { proxy, remote }
    }
}

/// Another machine: another checkout, another `CARGO_HOME` and an empty local store.
fn another_machine(sandbox: &Sandbox, project: Project) -> Project {
    project.with_cargo_home(&sandbox.another_cargo_home()).with_store(&sandbox.unused("store"))
}

fn count(requests: &[Request], which: impl Fn(&Request) -> bool) -> usize {
    requests.iter().filter(|request| which(request)).count()
}

#[test]
fn an_empty_machine_gets_everything_before_the_build_with_a_read_only_key() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let first = app(&sandbox).with_remote(&bucket.remote, Key::Full);
    assert_eq!(first.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies().len(), LIBRARIES);
    assert_eq!(count(&bucket.proxy.requests(), Request::is_list), 0);

    sandbox.reset();
    bucket.proxy.reset();
    bucket.proxy.watch(sandbox.rustc().marker());
    let second = another_machine(&sandbox, app(&sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
    assert_eq!(second.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(second.run_binary("app"), first.run_binary("app"));

    let requests = bucket.proxy.requests();
    assert!(requests.len() <= CACHEABLE + 5, "{} requests: {requests:#?}", requests.len());
    assert_eq!(count(&requests, Request::is_list), 0, "{requests:#?}");
    assert_eq!(count(&requests, Request::is_write), 0, "{requests:#?}");
    assert_eq!(count(&requests, |request| request.status != Some(200)), 0, "{requests:#?}");
    assert_eq!(count(&requests, |request| request.after_compilation), 0, "{requests:#?}");
    let report = second.report();
    let totals = &report.json()["totals"];
    assert_eq!(totals["hits_remote"], CACHEABLE);
    assert_eq!(totals["hydrated"], CACHEABLE);
    assert_eq!(totals["requests"], requests.len());
}

#[test]
fn cargo_starts_while_packs_are_arriving() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    app(&sandbox).with_remote(&bucket.remote, Key::Full).xcache(["build"]).ok();

    sandbox.reset();
    let started = sandbox.path("started");
    let cargo = sandbox.path("noting").join("cargo");
    let note = format!("case \" $* \" in *\" --unit-graph \"*) ;; *\" build \"*) touch '{}';; esac", started.display());
    tree::write_script(&cargo, &format!("{note}\nexec cargo \"$@\""));
    bucket.proxy.set(Fault::HoldPacks(started));
    let second = another_machine(&sandbox, app(&sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
    let second = second.with_cargo(&cargo);
    assert_eq!(second.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), NONE, "cargo did not wait");
    assert_eq!(second.report().total("hydrated"), CACHEABLE as u64, "{}", second.report().json());
}

#[test]
fn cargo_waits_for_packs_before_it_needs_a_lock() {
    let bucket = Bucket::new();
    for command in ["build", "clippy"] {
        let sandbox = Sandbox::new();
        app(&sandbox).with_remote(&bucket.remote, Key::Full).xcache([command]).ok();

        sandbox.reset();
        let later = sandbox.path("later");
        let cargo = sandbox.path("late").join("cargo");
        let note = format!("(sleep 2; touch '{}') </dev/null >/dev/null 2>&1 &", later.display());
        tree::write_script(&cargo, &format!("{note}\nexec cargo \"$@\""));
        bucket.proxy.set(Fault::HoldPacks(later));
        let second = another_machine(&sandbox, app(&sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
        let output = second.with_cargo(&cargo).xcache([command]).ok();
        assert!(!output.stderr.contains("Blocking"), "{output}");
        assert_eq!(sandbox.compiled_dependencies(), NONE, "{command}");
        bucket.proxy.set(Fault::Pass);
    }
}

#[test]
fn without_tls_no_certificates_are_needed_and_with_tls_their_absence_is_reported() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let bare = |project: Project| project.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
    let first = bare(chain(&sandbox)).with_remote(&bucket.remote, Key::Full);
    assert_eq!(first.xcache(["build"]).ok().warnings(), NONE);
    sandbox.reset();
    let second = bare(another_machine(&sandbox, chain(&sandbox))).with_remote(&bucket.remote, Key::ReadOnly);
    assert_eq!(second.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), NONE);

    let third = bare(another_machine(&sandbox, chain(&sandbox))).with_remote(&bucket.remote, Key::ReadOnly);
    let third = third.env("AWS_ENDPOINT_URL_S3", "https://127.0.0.1:1");
    let output = third.xcache(["build"]).ok();
    let [warning] = &output.warnings()[..] else { panic!("{:?}", output.warnings()) };
    assert!(warning.contains("No CA certificates") && warning.contains("building without it"), "{warning}");
}

#[test]
fn local_entries_are_not_fetched_again() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let app = app(&sandbox).with_remote(&bucket.remote, Key::Full);
    app.xcache(["build"]).ok();
    app.clean();
    sandbox.reset();
    bucket.proxy.reset();
    app.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    let requests = bucket.proxy.requests();
    assert!(requests.len() <= 5, "{requests:#?}");
    assert_eq!(count(&requests, |request| request.path.contains("/v1/blob/")), 0, "{requests:#?}");
    assert_eq!(count(&requests, Request::is_write), 0, "{requests:#?}");
}

#[test]
fn an_unknown_lockfile_gets_shared_units() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let first = chain(&sandbox).with_remote(&bucket.remote, Key::Full);
    first.xcache(["build"]).ok();
    let second = another_machine(&sandbox, chain(&sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
    second.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
    sandbox.reset();
    bucket.proxy.reset();
    let output = second.env("XCACHE_UPLOAD", "false");
    assert_eq!(output.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), ["apex", "base", "middle"]);
    let requests = bucket.proxy.requests();
    assert_eq!(count(&requests, Request::is_list), 0, "{requests:#?}");
    assert_eq!(count(&requests, |request| request.path.contains("/v1/blob/")), 1, "{requests:#?}");
}

#[test]
fn with_upload_off_nothing_is_sent_until_push() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let first = chain(&sandbox).with_remote(&bucket.remote, Key::Full);
    first.xcache(["--upload", "false", "build"]).ok();
    assert_eq!(count(&bucket.proxy.requests(), Request::is_write), 0);
    first.xcache(["push"]).ok();
    assert!(count(&bucket.proxy.requests(), Request::is_write) > 0);
    let second = another_machine(&sandbox, chain(&sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
    sandbox.reset();
    second.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
}

#[test]
fn units_of_a_failed_build_are_sent() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let first = chain(&sandbox).with_remote(&bucket.remote, Key::Full);
    let main = first.read("src/main.rs");
    first.write("src/main.rs", "fn main() { this is not Rust }");
    first.xcache(["build"]).run().fails();
    let second = another_machine(&sandbox, chain(&sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
    second.write("src/main.rs", main);
    sandbox.reset();
    second.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
}

#[test]
fn another_command_for_the_same_lockfile_finds_its_own_units() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let first = chain(&sandbox).with_remote(&bucket.remote, Key::Full);
    for command in [["build"], ["check"]] {
        first.xcache(command).ok();
    }
    for command in [["check"], ["build"]] {
        let second = another_machine(&sandbox, chain(&sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
        sandbox.reset();
        second.xcache(command).ok();
        assert_eq!(sandbox.compiled_dependencies(), NONE, "{command:?}");
    }
}

#[test]
fn flags_set_the_remote_and_the_local_store() {
    let sandbox = Sandbox::new();
    let shared = sandbox.path("shared");
    let url = format!("file://{}", shared.display());
    let build = |store: &str| {
        let demo = chain(&sandbox).env_remove("XCACHE_DIR");
        let store = sandbox.path(store);
        sandbox.reset();
        let store_name = store.to_str().expect("a plain path");
        demo.xcache(["--remote", &url, "--dir", store_name, "build"]).ok();
        assert!(!tree::files(&store.join("v1/unit")).is_empty());
        sandbox.compiled_dependencies()
    };
    assert_eq!(build("one"), ["apex", "base", "lone", "middle"]);
    assert_eq!(build("two"), NONE);
}

#[test]
fn a_directory_serves_as_a_remote() {
    let sandbox = Sandbox::new();
    let shared = sandbox.path("shared");
    let url = format!("file://{}", shared.display());
    let first = app(&sandbox).env("XCACHE_REMOTE", &url);
    assert_eq!(first.xcache(["build"]).ok().warnings(), NONE);
    for kind in ["graph", "unit", "blob"] {
        assert!(!tree::files(&shared.join("v1").join(kind)).is_empty(), "no {kind} in {}", shared.display());
    }
    sandbox.reset();
    let second = another_machine(&sandbox, app(&sandbox)).env("XCACHE_REMOTE", &url);
    assert_eq!(second.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(second.run_binary("app"), first.run_binary("app"));
}

/// The first session with a remote finds an entry that does not hold, and replaces it.
#[test]
fn an_entry_replaced_by_a_session_is_not_sent_by_it() {
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:rustc-env=SAID={}\", std::env::var(\"MADE_UP\").unwrap());";
    let library = "pub fn said() -> &'static str { env!(\"SAID\") }";
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("leaf", "1.0.0", library).counted_script(script)]);
    let demo = sandbox.demo(&registry, "leaf = \"1\"", "fn main() { println!(\"{}\", leaf::said()); }");
    let build = |project: &Project, value: &str| {
        project.clean();
        sandbox.reset();
        project.xcache(["build"]).env("MADE_UP", value).ok();
        assert_eq!(project.run_binary("demo").trim_end(), value);
        sandbox.scripts_run()
    };
    assert_eq!(build(&demo, "older"), ["leaf"]);
    let sending = demo.env("XCACHE_REMOTE", format!("file://{}", sandbox.path("remote").display()));
    assert_eq!(build(&sending, "newer"), ["leaf"]);
    for project in [sending.clone(), sending.with_store(&sandbox.unused("store"))] {
        assert_eq!(build(&project, "newer"), NONE);
        assert_eq!(sandbox.compiled_dependencies(), NONE);
    }
}

#[test]
fn explain_reads_the_remote_once_and_only_without_local_history() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox).with_remote(&bucket.remote, Key::Full);
    demo.xcache(["build"]).ok();
    let of_known = |request: &Request| request.path.contains("/v1/known/");
    assert_eq!(count(&bucket.proxy.requests(), |request| of_known(request) && request.is_write()), 1);
    let explain = |project: &Project| {
        bucket.proxy.reset();
        let output = project.xcache(["explain"]).ok();
        (output.stdout, bucket.proxy.requests())
    };

    let bump = |project: &Project| {
        project.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
        project.clean();
        project.xcache(["build"]).ok();
    };
    let second = chain(&sandbox).with_remote(&bucket.remote, Key::ReadOnly).with_store(&sandbox.unused("store"));
    bump(&second);
    let (said, requests) = explain(&second);
    assert!(said.contains("dependency base 1.0.0 → 1.0.1"), "{said}");
    assert_eq!((requests.len(), count(&requests, of_known), count(&requests, Request::is_write)), (1, 1, 0), "{said}");

    bump(&demo);
    let (said, requests) = explain(&demo);
    assert!(said.contains("dependency base 1.0.0 → 1.0.1"), "{said}");
    assert_eq!(requests.len(), 0, "{requests:#?}");
}

/// Asserts that an empty machine compiles nothing, and that the bucket has everything it requests.
#[track_caller]
fn assert_full(bucket: &Bucket, sandbox: &Sandbox) {
    sandbox.reset();
    let other = another_machine(sandbox, chain(sandbox)).with_remote(&bucket.remote, Key::ReadOnly);
    bucket.proxy.reset();
    assert_eq!(other.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    let requests = bucket.proxy.requests();
    assert_eq!(count(&requests, |request| request.status != Some(200)), 0, "{requests:#?}");
}

#[test]
fn after_a_bucket_was_emptied_a_push_sends_everything_again() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox).with_remote(&bucket.remote, Key::Full);
    demo.xcache(["build"]).ok();
    let push = || {
        bucket.proxy.reset();
        let output = demo.xcache(["push"]).ok();
        (output.stderr, count(&bucket.proxy.requests(), Request::is_write))
    };
    let (said, writes) = push();
    assert!(said.contains("0 units") && said.contains("0 left") && writes == 0, "{said}");
    let units = tree::files(&demo.store().join("v1/unit")).len();
    S3Server::get().empty(&bucket.remote);
    let (said, writes) = push();
    assert!(said.contains(&format!("{units} units")) && said.contains("0 left"), "{said}");
    assert_eq!((writes, count(&bucket.proxy.requests(), Request::is_list)), (2 * units, 0));
    assert_eq!(push().1, 0);
}

#[test]
fn after_a_bucket_was_emptied_a_build_fills_it_before_it_writes_an_index() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox).with_remote(&bucket.remote, Key::Full);
    demo.xcache(["build"]).ok();
    S3Server::get().empty(&bucket.remote);
    demo.clean();
    sandbox.reset();
    assert_eq!(demo.xcache(["build"]).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_full(&bucket, &sandbox);
    // If nothing is missing, the session makes no such requests.
    bucket.proxy.reset();
    demo.clean();
    demo.xcache(["build"]).ok();
    assert_eq!(count(&bucket.proxy.requests(), |request| request.method == "HEAD"), 0);
}

#[test]
fn another_endpoint_is_another_remote() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let server = S3Server::get();
    let demo = chain(&sandbox);
    demo.clone().with_remote(&bucket.remote.through(server.address()), Key::Full).xcache(["build"]).ok();
    demo.with_remote(&bucket.remote, Key::Full).xcache(["push"]).ok();
    assert!(count(&bucket.proxy.requests(), Request::is_write) > 0, "the marker is not about this server");
}
