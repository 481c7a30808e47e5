//! The action and the recipes for CI services, run as the services run them: GitHub's workflows by act, GitLab's jobs
//! by gitlab-ci-local, the commands of the others one after the other; with a real S3 server and act's own cache
//! server.
//!
//! The recipes are those of the book, except for the name of the bucket. `.ci/runners` installs the runners. Without
//! them, these tests show little; in CI they must not be missing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::registry::MIXED_UNITS;
use support::runners::{GitHub, runners, warnings};
use support::server::Remote;
use support::{
    Key, Output, Package, Project, Proxy, Registry, Repository, Request, S3Server, Sandbox, repository, tree,
};
use xcache::config::SETTINGS;

/// How the recipes name the action.
const ACTION: &str = "cargo-xcache/cargo-xcache@v0";

fn recipe(name: &str) -> String {
    let path = repository().join("book/src/ci").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A recipe with a bucket of the tests.
fn recipe_for(name: &str, remote: &Remote) -> String {
    let recipe = recipe(name);
    let named = ["s3://my-bucket/rust", "s3://xcache/rust"].into_iter().find(|name| recipe.contains(name));
    recipe.replace(named.expect("the recipe names a bucket"), &remote.url)
}

/// A bucket, and a proxy in front of it that records the requests.
fn bucket() -> (Proxy, Remote) {
    let server = S3Server::get();
    let proxy = Proxy::start(server.address());
    let remote = Remote::new(server, proxy.address());
    (proxy, remote)
}

/// Prepares the next job: an empty machine, with all counters at zero.
fn reset_machine(sandbox: &Sandbox, project: &Project, proxy: &Proxy) {
    project.clean();
    project.empty_store();
    sandbox.reset();
    proxy.reset();
}

fn writes(proxy: &Proxy) -> usize {
    proxy.requests().iter().filter(|request| Request::is_write(request)).count()
}

/// What a run did with the cache, without the names of the caches.
fn cache_actions(cached: &[String]) -> Vec<&str> {
    cached.iter().map(|line| line.split(" xcache-1-").next().unwrap_or_default()).collect()
}

#[test]
fn on_github_a_changed_lockfile_starts_from_the_last_store() {
    let Some(runners) = runners() else { return };
    let sandbox = Sandbox::new();
    let github = GitHub::new(&sandbox, runners, &recipe("github.yml"));
    let first = github.push().ok();
    assert_eq!(cache_actions(&github.cached()), ["restored nothing", "saved"], "{first}");
    assert!(sandbox.compiled_externals().contains(&"leaf".into()), "{first}");

    // Without changes, nothing is saved.
    sandbox.reset();
    let same = github.push().ok();
    assert_eq!(cache_actions(&github.cached()), ["restored", "has"], "{same}");
    assert_eq!(sandbox.compiled_externals(), [""; 0], "{same}");

    // A job that may not save still restores.
    sandbox.reset();
    github.project().cargo(["update", "--package", "middle", "--precise", "1.0.1"]).ok();
    let reading = format!("{ACTION}\n        with:\n          save: ${{{{ github.ref == 'refs/heads/other' }}}}");
    github.change(".github/workflows/ci.yml", ACTION, &reading);
    let reader = github.push().ok();
    assert_eq!(cache_actions(&github.cached()), ["restored"], "{reader}");
    assert_eq!(sandbox.compiled_externals(), ["middle", "top"], "{reader}");

    sandbox.reset();
    github.change(".github/workflows/ci.yml", &reading, ACTION);
    let changed = github.push().ok();
    assert_eq!(cache_actions(&github.cached()), ["restored", "saved"], "{changed}");
    assert_eq!(sandbox.compiled_externals(), ["middle", "top"], "{changed}");
}

#[test]
fn on_github_each_job_of_a_matrix_has_its_own_store() {
    let Some(runners) = runners() else { return };
    let sandbox = Sandbox::new();
    let matrix = "    strategy: { max-parallel: 1, matrix: { profile: [dev, test] } }\n    steps:";
    let workflow = recipe("github.yml").replace("    steps:", matrix);
    let github = GitHub::new(&sandbox, runners, &workflow.replace(" --locked", " --profile ${{ matrix.profile }}"));
    let jobs = github.push().ok();
    assert_eq!(cache_actions(&github.cached()), ["restored nothing", "saved", "restored nothing", "saved"], "{jobs}");
}

#[test]
fn on_github_main_writes_to_the_bucket_pull_requests_read_it_and_forks_do_not_access_it() {
    let Some(runners) = runners() else { return };
    let (proxy, remote) = bucket();
    let sandbox = Sandbox::new();
    let github = GitHub::new(&sandbox, runners, &recipe_for("github-s3.yml", &remote));
    let github = github.env("AWS_ENDPOINT_URL", &remote.endpoint);
    let main = github.push().ok();
    assert_eq!((warnings(&main), github.cached()), (vec![], vec![]), "{main}");
    assert!(writes(&proxy) > MIXED_UNITS.len(), "{main}");

    sandbox.reset();
    proxy.reset();
    github.change("src/main.rs", "fn main() {", "fn main() { print!(\"\");");
    let request = github.pull_request("somebody", false).ok();
    assert_eq!((warnings(&request), github.cached()), (vec![], vec![]), "{request}");
    assert_eq!((sandbox.compiled_externals(), writes(&proxy)), (vec![], 0), "{request}");
    assert!(!sandbox.compiled().is_empty(), "{request}");

    proxy.reset();
    for (actor, is_of_fork, cached) in
        [("somebody", true, ["restored nothing", "saved"]), ("dependabot[bot]", false, ["restored", "has"])]
    {
        let stranger = github.pull_request(actor, is_of_fork).ok();
        assert_eq!((warnings(&stranger), cache_actions(&github.cached())), (vec![], cached.into()), "{stranger}");
        assert_eq!(proxy.requests().len(), 0, "{stranger}");
    }
}

/// A script that notes in a file that it was called, and then calls the program under test.
fn noting(notes: &Path, note: &str) -> String {
    let (binary, notes) = (support::xcache_binary(), notes.display());
    format!("echo {note} >> '{notes}'\nexec '{}' \"$@\"", binary.display())
}

/// Creates a release of version 9.9.9 whose program is `script`. Returns the directory of all releases, and the
/// archive.
fn release(sandbox: &Sandbox, script: &str) -> (PathBuf, PathBuf) {
    let dir = sandbox.path("releases");
    let name = format!("cargo-xcache-9.9.9-{}-unknown-linux-musl", std::env::consts::ARCH);
    tree::write_script(&dir.join(&name).join("cargo-xcache"), script);
    let pack = format!("mkdir v9.9.9 && tar -czf v9.9.9/{name}.tar.gz {name}");
    let sum = format!("cd v9.9.9 && sha256sum {name}.tar.gz > {name}.tar.gz.sha256");
    let project = sandbox.demo_unlocked("", "fn main() {}");
    project.program("sh", ["-ec", &format!("{pack}\n{sum}")]).in_dir(&dir).ok();
    let archive = dir.join(format!("v9.9.9/{name}.tar.gz"));
    (dir, archive)
}

/// A package of this version with the same program.
fn package(version: &str, script: &str) -> Package {
    let main = format!(
        "fn main() {{
            let mut shell = std::process::Command::new(\"sh\");
            let shell = shell.args([\"-c\", {script:?}, \"sh\"]).args(std::env::args_os().skip(1));
            std::process::exit(shell.status().unwrap().code().unwrap());
        }}"
    );
    Package::new("cargo-xcache", version, "").file("src/main.rs", &main)
}

#[test]
fn on_github_a_missing_version_is_installed_unless_its_digest_is_wrong() {
    let Some(runners) = runners() else { return };
    let sandbox = Sandbox::new();
    let notes = sandbox.path("notes");
    let (releases, archive) = release(&sandbox, &noting(&notes, "released"));
    let inputs = format!("version: 9.9.9\n          releases: file://{}", releases.display());
    let workflow = recipe("github.yml").replace(ACTION, &format!("{ACTION}\n        with:\n          {inputs}"));
    let github = GitHub::new(&sandbox, runners, &workflow);
    let noted = || std::fs::read_to_string(&notes).unwrap_or_default();
    let installed = github.push().ok();
    assert!(!sandbox.compiled().is_empty() && noted().contains("released"), "{installed}");

    tree::write(&notes, "");
    let digest = archive.with_added_extension("sha256");
    let right = std::fs::read_to_string(&digest).expect("the digest exists");
    tree::write(&digest, format!("{}{}", "0".repeat(64), &right[64..]));
    let wrong = github.push().fails();
    assert_eq!(noted(), "", "{wrong}");

    tree::remove_file(&archive);
    let packages = [package("9.9.9", &noting(&notes, "compiled")), package("10.0.0", "exit 1")];
    let registry = Registry::open(&sandbox.path("mixed-registry")).with(packages);
    // The installation ignores the configuration of the workspace.
    tree::write(&sandbox.cargo_home().join("config.toml"), registry.source_replacement());
    let compiled = github.push().ok();
    assert!(noted().contains("compiled"), "{compiled}");
}

/// Runs the job `test` of a GitLab recipe.
fn gitlab(project: &Project, runners: &Path, variables: &[&str]) -> Output {
    let program =
        project.program(runners.join("node_modules/.bin/gitlab-ci-local"), ["test", "--force-shell-executor"]);
    variables.iter().fold(program, |program, variable| program.args(["--variable", variable])).ok()
}

#[test]
fn on_gitlab_protected_branches_write_other_branches_read_and_forks_do_not_access_the_bucket() {
    let Some(runners) = runners() else { return };
    let (proxy, remote) = bucket();
    let sandbox = Sandbox::new();
    let project = sandbox.mixed().env("AWS_ENDPOINT_URL", &remote.endpoint);
    project.write(".gitlab-ci.yml", recipe_for("gitlab-ci.yml", &remote));
    project.write(".gitignore", "/target\n");
    Repository::of_dir(project.dir());
    let reader = ["CACHE_READER_ID=reader", "CACHE_READER_SECRET=reader-secret"];
    let writer = ["CACHE_WRITER_ID=full", "CACHE_WRITER_SECRET=full-secret"];
    let of = |output: &str| std::fs::read_to_string(project.target().join("xcache").join(output)).unwrap_or_default();

    let first = gitlab(&project, &runners, &[reader, writer].concat());
    assert_eq!(warnings(&first), [""; 0], "{first}");
    assert!(writes(&proxy) > MIXED_UNITS.len(), "{first}");
    assert!(of("metrics.txt").contains("xcache_units{outcome=\"hit-remote\"} 0\n"), "{first}");
    assert!(of("report.html").starts_with("<!doctype html>"), "{first}");

    reset_machine(&sandbox, &project, &proxy);
    project.edit("src/main.rs", "fn main() {", "fn main() { print!(\"\");");
    let second = gitlab(&project, &runners, &reader);
    assert_eq!(warnings(&second), [""; 0], "{second}");
    assert_eq!((sandbox.compiled(), writes(&proxy)), (vec!["demo (test)".into()], 0), "{second}");
    assert!(of("metrics.txt").contains(&format!("xcache_units{{outcome=\"hit-remote\"}} {}\n", MIXED_UNITS.len())));

    reset_machine(&sandbox, &project, &proxy);
    let fork = gitlab(&project, &runners, &[]);
    assert_eq!(warnings(&fork), [""; 0], "{fork}");
    assert_eq!(proxy.requests().len(), 0, "{fork}");
}

/// Without `CI_PROJECT_DIR`, which gitlab-ci-local sets to a directory that does not exist.
#[test]
fn on_gitlab_its_own_cache_can_hold_the_store() {
    let Some(runners) = runners() else { return };
    let sandbox = Sandbox::new();
    let project = sandbox.mixed().env_remove("XCACHE_DIR");
    project.write(".gitlab-ci.yml", recipe("gitlab-ci-cache.yml").replace("$CI_PROJECT_DIR/", ""));
    project.write(".gitignore", "/target\n");
    Repository::of_dir(project.dir());
    let job = || project.program(runners.join("node_modules/.bin/gitlab-ci-local"), ["test", "--force-shell-executor"]);
    let first = job().arg("--shell-isolation").ok();
    assert!(!sandbox.compiled_externals().is_empty(), "{first}");
    sandbox.reset();
    tree::remove(&project.dir().join(".gitlab-ci-local/builds"));
    let second = job().arg("--shell-isolation").ok();
    assert_eq!(sandbox.compiled(), [""; 0], "{second}");
}

/// Runs commands in one shell, in order.
fn shell<S: AsRef<str>>(project: &Project, commands: &[S]) -> Output {
    let commands: Vec<_> = commands.iter().map(AsRef::as_ref).collect();
    project.program("sh", ["-e"]).input(&commands.join("\n")).ok()
}

/// Answers like the service that gives a container the key of its role. Returns its address and the number of requests.
fn role_of_container() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/v2/credentials/role", listener.local_addr().expect("a listener has an address"));
    let request_count = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&request_count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection can be accepted");
            let request = BufReader::new(&stream).lines().map_while(Result::ok).find(String::is_empty);
            request.expect("a request ends with an empty line");
            count.fetch_add(1, Ordering::Relaxed);
            let key = json!({ "AccessKeyId": "full", "SecretAccessKey": "full-secret", "Token": "",
                "Expiration": "2999-01-01T00:00:00Z" });
            let key = key.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", key.len());
            stream.write_all((head + &key).as_bytes()).expect("the client reads the answer");
        }
    });
    (url, request_count)
}

/// The variables of a buildspec, and its commands in order.
fn buildspec(project: &Project, runners: &Path) -> (Vec<(String, String)>, Vec<String>) {
    let parsed = project.program(runners.join("node_modules/.bin/js-yaml"), ["buildspec.yml"]).ok();
    let spec: Value = serde_json::from_str(&parsed.stdout).expect("js-yaml prints JSON");
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned();
    let variables = spec["env"]["variables"].as_object().expect("the buildspec sets variables");
    let variables = variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let phases = ["install", "pre_build", "build", "post_build"];
    let commands = phases.into_iter().filter_map(|phase| spec["phases"][phase]["commands"].as_array());
    (variables, commands.flatten().map(text).collect())
}

#[test]
fn on_codebuild_the_build_role_is_enough() {
    let Some(runners) = runners() else { return };
    let (proxy, remote) = bucket();
    let (url, request_count) = role_of_container();
    let sandbox = Sandbox::new();
    let checkout = sandbox.path("checkout");
    let recipe = recipe_for("buildspec.yml", &remote).replace("/checkout", &checkout.to_string_lossy());
    let build = || {
        let project = sandbox.mixed().env("AWS_ENDPOINT_URL", &remote.endpoint).env("AWS_REGION", "us-east-1");
        project.write("buildspec.yml", &recipe);
        let (variables, commands) = buildspec(&project, &runners);
        let directory = project.dir().to_owned();
        let project = project.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url).env("CODEBUILD_SRC_DIR", directory);
        let project = variables.iter().fold(project, |project, (name, value)| project.env(name, value));
        tree::remove(&checkout);
        shell(&project, &commands)
    };
    let first = build();
    assert_eq!(first.warnings(), [""; 0], "{first}");
    assert!(writes(&proxy) > MIXED_UNITS.len() && request_count.load(Ordering::Relaxed) > 0, "{first}");
    assert!(recipe.contains("- target/xcache/report.html\n") && checkout.join("target/xcache/report.html").is_file());
    sandbox.reset();
    tree::remove(&sandbox.store());
    let second = build();
    assert_eq!(sandbox.compiled(), [""; 0], "{second}");
}

/// The commands in the steps `sh '…'`, in order.
fn steps(jenkinsfile: &str) -> Vec<&str> {
    jenkinsfile.lines().filter_map(|line| line.trim().strip_prefix("sh '")?.strip_suffix('\'')).collect()
}

#[test]
fn the_steps_for_jenkins_work() {
    let (proxy, remote) = bucket();
    let sandbox = Sandbox::new();
    let recipe = recipe_for("Jenkinsfile", &remote);
    let project = sandbox.mixed().with_remote(&remote, Key::Full).env("CI", "true");
    assert!(recipe.contains("\n        CI = 'true'\n"), "{recipe}");
    let first = shell(&project, &steps(&recipe));
    assert_eq!(first.warnings(), [""; 0], "{first}");
    assert!(writes(&proxy) > MIXED_UNITS.len() && project.target().join("xcache/report.html").is_file(), "{first}");
    reset_machine(&sandbox, &project, &proxy);
    let second = shell(&project, &steps(&recipe));
    assert_eq!(sandbox.compiled(), [""; 0], "{second}");
}

/// The paths of the action and the recipes.
fn files() -> Vec<PathBuf> {
    let mut files = tree::files(&repository().join("book/src/ci"));
    assert!(files.len() > 5, "{files:?}");
    files.push(repository().join("action.yml"));
    files
}

#[test]
fn every_setting_named_in_a_recipe_exists() {
    let known: Vec<_> = SETTINGS.iter().map(xcache::config::Setting::variable).collect();
    let mut found = 0;
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("a recipe can be read");
        for word in text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')) {
            if word.starts_with("XCACHE_") {
                assert!(known.iter().any(|name| name == word), "{word} in {} is not a setting", file.display());
                found += 1;
            }
        }
    }
    assert!(found > 10, "only {found} were found");
}

#[test]
fn the_chapter_shows_exactly_the_recipes() {
    let chapter = std::fs::read_to_string(repository().join("book/src/ci.md")).expect("the chapter exists");
    let shown = chapter.lines().filter_map(|line| line.strip_prefix("{{#include ci/")?.strip_suffix("}}"));
    let mut shown: Vec<_> = shown.collect();
    shown.sort_unstable();
    let all = tree::files(&repository().join("book/src/ci"));
    let all: Vec<_> = all.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(shown, all);
}

#[test]
fn the_action_installs_its_own_version() {
    let action = std::fs::read_to_string(repository().join("action.yml")).expect("the action exists");
    assert!(action.contains(&format!("\n    default: {}\n", env!("CARGO_PKG_VERSION"))), "{action}");
}
