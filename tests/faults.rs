//! Faults cost hits and nothing else: the build succeeds, and says once what is wrong.

use std::fs;
use std::path::Path;
use std::time::Duration;

use support::server::{Remote, closed_address};
use support::{Fault, Invocation, Key, Output, Project, Proxy, S3Server, Sandbox, Tool, by_form, require, tree};

const NONE: [&str; 0] = [];
/// The libraries of the workspace that all tests here build.
const ALL: [&str; 4] = ["apex", "base", "lone", "middle"];
const OUTPUT: &str = "apex of middle of 1.0.0 and lone\n";
/// Generous: the build itself takes a second or two.
const LIMIT: Duration = Duration::from_secs(120);

/// Members are not cached: another checkout would not share them.
fn chain(sandbox: &Sandbox) -> Project {
    sandbox.chain().env("XCACHE_MEMBERS", "off")
}

/// A full bucket behind a proxy that can fail.
struct Bucket {
    sandbox: Sandbox,
    proxy: Proxy,
    remote: Remote,
}

impl Bucket {
    fn new() -> Self {
        let server = S3Server::get();
        let sandbox = Sandbox::new();
        let remote = Remote::new(server, server.address());
        chain(&sandbox).with_remote(&remote, Key::Full).xcache(["build"]).ok();
        sandbox.reset();
        let proxy = Proxy::start(server.address());
        let remote = remote.through(proxy.address());
        Self { sandbox, proxy, remote }
    }

    /// An empty machine.
    fn machine(&self) -> Project {
        let store = self.sandbox.unused("store");
        chain(&self.sandbox).with_store(&store).with_remote(&self.remote, Key::Full).env("XCACHE_TIMEOUT", "1")
    }

    /// Asserts that a build with the fault compiles everything and prints one warning with these words, and that a
    /// build without it compiles nothing and prints no warning.
    #[track_caller]
    fn assert_survives(&self, fault: Fault, words: &[&str]) {
        self.proxy.set(fault);
        self.sandbox.reset();
        let machine = self.machine();
        let output = build(&machine);
        assert_one_warning(&output, &self.remote.url, words);
        assert_eq!(self.sandbox.compiled_dependencies(), ALL);
        self.assert_still_full();
    }

    /// Asserts that the fault left nothing behind in the bucket.
    #[track_caller]
    fn assert_still_full(&self) {
        self.proxy.set(Fault::Pass);
        self.sandbox.reset();
        let output = build(&self.machine());
        assert_eq!(output.warnings(), NONE);
        assert_eq!(self.sandbox.compiled_dependencies(), NONE);
    }
}

/// Builds within the limit, and runs the program.
#[track_caller]
fn build(project: &Project) -> Output {
    let output = project.xcache(["build"]).within(LIMIT).ok();
    assert_eq!(project.run_binary("demo"), OUTPUT);
    output
}

#[track_caller]
fn assert_one_warning(output: &Output, about: &str, words: &[&str]) {
    let warnings = output.warnings();
    assert_eq!(warnings.len(), 1, "{output}");
    for word in [&[about], words].concat() {
        assert!(warnings[0].to_lowercase().contains(&word.to_lowercase()), "{word:?} is not in {:?}", warnings[0]);
    }
}

#[test]
fn errors_are_reported_in_the_servers_own_words() {
    let answer = |code: &str, message: &str| format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let errors = [
        (503, answer("SlowDown", "please reduce your request rate"), "please reduce your request rate"),
        (502, "no healthy upstream".into(), "no healthy upstream"),
        (403, answer("AccessDenied", "not with this face"), "not with this face"),
        (500, answer("InternalError", "the hamster is tired"), "the hamster is tired"),
    ];
    let bucket = Bucket::new();
    for (status, body, words) in by_form(&errors[..3], &errors) {
        bucket.assert_survives(Fault::Status(*status, body.clone()), &[words]);
    }
}

#[test]
fn a_wrong_secret_is_reported_in_the_servers_own_words() {
    let bucket = Bucket::new();
    let machine = bucket.machine().with_remote(&bucket.remote, Key::WrongSecret);
    let output = build(&machine);
    assert_one_warning(&output, &bucket.remote.url, &["SignatureDoesNotMatch"]);
    assert_eq!(bucket.sandbox.compiled_dependencies(), ALL);
}

#[test]
fn missing_credentials_are_reported() {
    let bucket = Bucket::new();
    let machine = bucket.machine().env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let output = build(&machine);
    assert_one_warning(&output, &bucket.remote.url, &[]);
    assert_eq!(bucket.sandbox.compiled_dependencies(), ALL);
}

#[test]
fn a_bucket_that_does_not_exist_is_reported_in_the_servers_own_words() {
    let mut bucket = Bucket::new();
    bucket.remote.url = "s3://there-is-no-such-bucket/cache".into();
    let output = build(&bucket.machine());
    assert_one_warning(&output, &bucket.remote.url, &["NoSuchBucket"]);
    assert_eq!(bucket.sandbox.compiled_dependencies(), ALL);
}

#[test]
fn a_key_without_write_permission_is_reported_when_something_is_to_be_written() {
    let bucket = Bucket::new();
    let empty = Remote::new(S3Server::get(), bucket.proxy.address());
    let output = build(&bucket.machine().with_remote(&empty, Key::ReadOnly));
    assert_one_warning(&output, &empty.url, &["AccessDenied"]);
}

#[test]
fn a_closed_port_is_reported() {
    let bucket = Bucket::new();
    let closed = bucket.remote.through(closed_address());
    let output = build(&bucket.machine().with_remote(&closed, Key::Full));
    assert_one_warning(&output, &closed.url, &["refused"]);
    assert_eq!(bucket.sandbox.compiled_dependencies(), ALL);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    Bucket::new().assert_survives(Fault::Stall, &[]);
}

#[test]
fn a_server_that_stops_in_the_middle_of_an_object_is_given_up() {
    Bucket::new().assert_survives(Fault::StallHalfway, &[]);
}

#[test]
fn a_meaningless_response_is_a_miss() {
    Bucket::new().assert_survives(Fault::Garbage, &[]);
}

#[test]
fn a_truncated_response_is_a_miss() {
    Bucket::new().assert_survives(Fault::Truncate, &[]);
}

#[test]
fn damaged_objects_are_misses_and_named_in_the_report() {
    let bucket = Bucket::new();
    bucket.proxy.set(Fault::Corrupt);
    let machine = bucket.machine();
    let output = build(&machine);
    assert!(output.warnings().len() <= 1, "{output}");
    assert_eq!(bucket.sandbox.compiled_dependencies(), ALL);
    let report = machine.report();
    let damaged = report.json()["corrupt_objects"].as_array().map_or(0, Vec::len);
    assert!(damaged > 0, "{}", report.json());
    bucket.assert_still_full();
}

#[test]
fn a_server_that_fails_halfway_costs_only_what_did_not_arrive() {
    let bucket = Bucket::new();
    for requests in by_form(&[1, 3][..], &[1, 2, 3]).iter().copied() {
        let body = "<Error><Code>InternalError</Code><Message>gone fishing</Message></Error>";
        bucket.proxy.set_after(requests, Fault::Status(500, body.into()));
        bucket.sandbox.reset();
        let output = build(&bucket.machine());
        assert_one_warning(&output, &bucket.remote.url, &["gone fishing"]);
        assert!(!bucket.sandbox.compiled_dependencies().is_empty(), "after {requests} requests");
    }
    bucket.assert_still_full();
}

#[test]
fn a_failing_server_is_not_retried_endlessly() {
    let bucket = Bucket::new();
    bucket.proxy.set(Fault::Status(500, "no".into()));
    build(&bucket.machine());
    let requests = bucket.proxy.requests();
    // The worst case would be one lookup per unit and a few attempts more.
    assert!(requests.len() <= 4 * (ALL.len() + 5), "{} requests", requests.len());
}

#[test]
fn damaged_objects_in_the_remote_are_replaced() {
    let sandbox = Sandbox::new();
    let shared = sandbox.path("shared");
    let machine = || {
        let store = sandbox.unused("store");
        chain(&sandbox).with_store(&store).env("XCACHE_REMOTE", format!("file://{}", shared.display()))
    };
    build(&machine());
    for kind in by_form(&["blob", "unit"][..], &["blob", "unit", "graph"]) {
        let objects = tree::files(&shared.join("v1").join(kind));
        assert!(!objects.is_empty(), "no {kind} in {}", shared.display());
        objects.iter().for_each(|object| tree::damage(object));
        // One build compiles again …
        build(&machine());
        sandbox.reset();
        // … and then the remote is whole again.
        build(&machine());
        assert_eq!(sandbox.compiled_dependencies(), NONE, "after damage to each {kind}");
    }
}

#[test]
fn damaged_files_in_the_local_store_are_compiled_again_and_replaced() {
    assert_heals("file", tree::damage);
}

#[test]
fn damaged_entries_in_the_local_store_are_compiled_again_and_replaced() {
    assert_heals("unit", tree::damage);
}

#[test]
fn truncated_files_in_the_local_store_are_compiled_again_and_replaced() {
    assert_heals("file", |path| tree::write(path, ""));
}

#[test]
fn truncated_entries_in_the_local_store_are_compiled_again_and_replaced() {
    assert_heals("unit", |path| tree::write(path, ""));
}

#[test]
fn missing_files_in_the_local_store_are_compiled_again_and_replaced() {
    assert_heals("file", |path| std::fs::remove_file(path).expect("the file exists"));
}

#[track_caller]
fn assert_heals(kind: &str, damage: impl Fn(&Path)) {
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox);
    build(&demo);
    let objects = tree::files(&sandbox.store().join("v1").join(kind));
    assert!(objects.len() >= ALL.len(), "{objects:?}");
    objects.iter().for_each(|object| damage(object));
    for expected in [&ALL[..], &NONE] {
        demo.clean();
        sandbox.reset();
        build(&demo);
        assert_eq!(sandbox.compiled_dependencies(), expected);
    }
}

#[test]
fn swapped_probes_in_the_local_store_are_probed_again() {
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox);
    build(&demo);
    let probes = tree::files(&sandbox.store().join("v1/probe"));
    assert!(probes.len() > 2, "{probes:?}");
    let contents: Vec<_> = probes.iter().map(|path| fs::read(path).expect("a probe can be read")).collect();
    for shift in 1..3 {
        demo.clean();
        for (path, content) in probes.iter().zip(contents.iter().cycle().skip(shift)) {
            tree::make_writable(path);
            fs::write(path, content).expect("a probe can be written");
        }
        assert_eq!(build(&demo).warnings(), NONE);
    }
}

#[test]
fn a_local_store_that_cannot_be_created_costs_only_hits() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("a-file");
    tree::write(&file, "not a directory");
    let output = build(&chain(&sandbox).with_store(&file.join("store")));
    assert_one_warning(&output, file.to_str().expect("a plain path"), &[]);
    assert_eq!(sandbox.compiled_dependencies(), ALL);
}

/// `xcache build` with something mounted at the local store, visible only to that process and its children.
fn build_with_mount(project: &Project, store: &Path, mount: &str) -> Option<Invocation> {
    let allowed = project.program("unshare", ["--map-root-user", "--mount", "true"]).run().status.success();
    let script = format!("set -e; store=$1; shift; {mount}; exec \"$@\"");
    let arguments = ["--map-root-user", "--mount", "sh", "-c", &script, "sh"];
    let build =
        project.program("unshare", arguments).arg(store).arg(support::xcache_binary()).arg("xcache").arg("build");
    allowed.then(|| build.within(LIMIT))
}

#[test]
fn a_full_disk_costs_only_hits() {
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox);
    let mount = "mount -t tmpfs -o size=64k tmpfs \"$store\"";
    let Some(build) = require(Tool::Mounts, build_with_mount(&demo, &sandbox.store(), mount)) else { return };
    let output = build.ok();
    assert_one_warning(&output, "space", &[]);
    assert_eq!(sandbox.compiled_dependencies(), ALL);
    assert_eq!(demo.run_binary("demo"), OUTPUT);
}

#[test]
fn a_full_disk_elsewhere_is_not_blamed_on_the_store() {
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox);
    build(&demo);
    demo.clean();
    fs::create_dir_all(demo.target()).expect("the directory can be created");
    let Some(build) =
        require(Tool::Mounts, build_with_mount(&demo, &demo.target(), "mount -t tmpfs -o size=32k tmpfs \"$store\""))
    else {
        return;
    };
    // Plain cargo has no space either.
    let output = build.run();
    let warnings = output.warnings();
    let said = warnings.iter().find(|line| line.contains("free some space"));
    assert!(said.is_some_and(|line| line.contains("target") && !line.contains("XCACHE_DIR")), "{warnings:?}");
}

#[test]
fn a_read_only_local_store_still_serves_hits() {
    let sandbox = Sandbox::new();
    let demo = chain(&sandbox);
    build(&demo);
    demo.clean();
    sandbox.reset();
    let mount = "mount --bind \"$store\" \"$store\"; mount -o remount,bind,ro \"$store\"";
    let Some(build) = require(Tool::Mounts, build_with_mount(&demo, &sandbox.store(), mount)) else { return };
    build.ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(demo.run_binary("demo"), OUTPUT);
}

#[test]
fn concurrent_sessions_share_one_store() {
    let sandbox = Sandbox::new();
    let checkouts = [(); 4].map(|()| chain(&sandbox));
    let mut sessions: Vec<_> = checkouts.iter().map(|checkout| checkout.xcache(["build"]).start()).collect();
    for session in &mut sessions {
        assert!(session.wait().success());
    }
    for checkout in &checkouts {
        assert_eq!(checkout.run_binary("demo"), OUTPUT);
    }
    sandbox.reset();
    build(&chain(&sandbox));
    assert_eq!(sandbox.compiled_dependencies(), NONE);
}
