//! Remotes on services other than S3, with real servers: what one machine has compiled is a hit on the next one, and
//! whatever is wrong costs only hits and one line in the server's own words.

use std::net::SocketAddr;
use std::time::Duration;

use support::server::closed_address;
use support::servers::relay::Relay;
use support::{Fault, Output, Project, Proxy, Request, Sandbox, tree};

const NONE: [&str; 0] = [];
/// The libraries in the workspace of most tests.
const ALL: [&str; 4] = ["apex", "base", "lone", "middle"];
const SAID: &str = "apex of middle of 1.0.0 and lone\n";
/// A generous limit: the build takes a second or two.
const LIMIT: Duration = Duration::from_secs(120);

/// A workspace whose members are not cached: in another checkout, they are misses.
fn chain(sandbox: &Sandbox) -> Project {
    let chain = sandbox.chain().env("XCACHE_MEMBERS", "off").with_store(&sandbox.unused("store"));
    chain.env("XCACHE_TIMEOUT", "20")
}

fn with_url(url: &str) -> impl Fn(Project) -> Project + use<> {
    let url = url.to_owned();
    move |project| project.env("XCACHE_REMOTE", &url)
}

/// Builds within the limit, and runs the program.
#[track_caller]
fn build(project: &Project) -> Output {
    let output = project.xcache(["build"]).within(LIMIT).ok();
    assert_eq!(project.run_binary("demo"), SAID);
    output
}

/// Fills a remote, and builds from it on an empty machine. Returns that machine's project.
#[track_caller]
fn assert_is_shared(
    sandbox: &Sandbox,
    writer: impl Fn(Project) -> Project,
    reader: impl Fn(Project) -> Project,
) -> Project {
    sandbox.reset();
    assert_eq!(build(&writer(chain(sandbox))).warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), ALL);
    assert_is_full(sandbox, reader)
}

/// An empty machine compiles nothing, and sends no needless request.
#[track_caller]
fn assert_is_full(sandbox: &Sandbox, reader: impl Fn(Project) -> Project) -> Project {
    sandbox.reset();
    let second = reader(chain(sandbox));
    assert_eq!(build(&second).warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    let report = second.report();
    let hits = ALL.len() as u64;
    assert_eq!((report.total("misses"), report.total("hits_remote")), (0, hits), "{}", report.json());
    // One for the graph index, and one for each pack.
    assert_eq!(report.total("requests"), hits + 1, "{}", report.json());
    second
}

/// Everything is compiled, and one warning says why: with these words, and without these secrets.
#[track_caller]
fn assert_one_warning(sandbox: &Sandbox, remote: impl Fn(Project) -> Project, words: &[&str], secrets: &[&str]) {
    sandbox.reset();
    let project = remote(chain(sandbox));
    let output = build(&project);
    let warnings = output.warnings();
    assert_eq!(warnings.len(), 1, "{output}");
    for word in words {
        assert!(warnings[0].to_lowercase().contains(&word.to_lowercase()), "{word:?} is not in {:?}", warnings[0]);
    }
    assert_eq!(sandbox.compiled_dependencies(), ALL);
    let shown = format!("{}{}{}", output.stdout, output.stderr, project.report().json());
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret:?} is in {shown}");
    }
}

/// The server stops in the middle of the prefetch: some units are hits, the others are compiled, and one warning says
/// why. Then the remote, which is full, is still intact.
#[track_caller]
fn assert_may_stop<R: Fn(Project) -> Project>(
    sandbox: &Sandbox,
    server: SocketAddr,
    remote: impl Fn(SocketAddr) -> R,
    secrets: &[&str],
) {
    let relay = Relay::start(server);
    assert_is_shared(sandbox, remote(relay.address()), remote(relay.address()));
    let before = relay.answered();
    assert_is_full(sandbox, remote(relay.address()));
    relay.stop_after((relay.answered() - before) / 2);
    sandbox.reset();
    let project = remote(relay.address())(chain(sandbox));
    let output = build(&project);
    assert!(relay.is_stopped(), "{output}");
    let [warning] = &output.warnings()[..] else { panic!("{output}") };
    assert!(warning.contains(&relay.address().to_string()) || warning.contains("refused"), "{warning}");
    let shown = format!("{}{}{}", output.stdout, output.stderr, project.report().json());
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret:?} is in {shown}");
    }
    let compiled = sandbox.compiled_dependencies().len() as u64;
    assert!(compiled > 0, "{output}");
    let report = project.report();
    assert_eq!(report.total("hits_remote") + compiled, ALL.len() as u64, "{}", report.json());
    assert_is_full(sandbox, remote(server));
}

/// A faulty server or network costs only hits and one warning, and the remote is still intact.
#[track_caller]
fn assert_survives_faults<R: Fn(Project) -> Project>(
    sandbox: &Sandbox,
    server: SocketAddr,
    remote: impl Fn(SocketAddr) -> R,
) {
    let proxy = Proxy::start(server);
    assert_is_shared(sandbox, remote(proxy.address()), remote(proxy.address()));
    let busy = |status| Fault::Status(status, "please slow down".into());
    for fault in [busy(429), busy(503), Fault::Truncate, Fault::Garbage, Fault::Corrupt] {
        proxy.set(fault.clone());
        sandbox.reset();
        let output = build(&remote(proxy.address())(chain(sandbox)).env("XCACHE_UPLOAD", "false"));
        let warnings = output.warnings();
        assert_eq!(warnings.len(), 1, "{fault:?}: {output}");
        let is_status = matches!(fault, Fault::Status(..));
        assert!(!is_status || warnings[0].contains("please slow down"), "{fault:?}: {output}");
        assert_eq!(sandbox.compiled_dependencies(), ALL, "{fault:?}: {output}");
    }
    proxy.set(Fault::Pass);
    assert_is_full(sandbox, remote(proxy.address()));
}

fn count(requests: &[Request], which: impl Fn(&Request) -> bool) -> usize {
    requests.iter().filter(|request| which(request)).count()
}

mod webdav {
    use support::servers::webdav::{PASSWORD, USER, WebdavServer};

    use super::*;

    fn url(address: SocketAddr, path: &str, password: &str) -> String {
        format!("webdav://{USER}:{password}@{address}/{path}")
    }

    #[test]
    fn units_from_webdav_are_not_compiled() {
        let Some(server) = WebdavServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let proxy = Proxy::start(server.address());
        let remote = |share: &str| url(proxy.address(), &format!("{share}/{place}"), PASSWORD);
        assert_is_shared(&sandbox, with_url(&remote("all")), |project| {
            proxy.reset();
            with_url(&remote("all"))(project)
        });
        let requests = proxy.requests();
        assert_eq!(count(&requests, |request| request.method != "GET"), 0, "{requests:#?}");
        assert!(requests.len() <= ALL.len() + 5, "{requests:#?}");
        // A reader without the right to write.
        assert_is_full(&sandbox, with_url(&remote("fixed")));
    }

    #[test]
    fn refusals_of_webdav_are_one_line() {
        let Some(server) = WebdavServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let all = format!("all/{place}");
        let wrong = with_url(&url(server.address(), &all, "hunter2"));
        assert_one_warning(&sandbox, wrong, &[&all, "not authorized", "401"], &["hunter2"]);
        let read_only = with_url(&url(server.address(), &format!("fixed/{place}"), PASSWORD));
        assert_one_warning(&sandbox, read_only, &["accepts no uploads", "403"], &[PASSWORD]);
        let closed = with_url(&url(closed_address(), &all, PASSWORD));
        assert_one_warning(&sandbox, closed, &["refused"], &[PASSWORD]);
        let proxy = Proxy::start(server.address());
        proxy.set(Fault::Status(503, "the disk is on holiday".into()));
        let broken = with_url(&url(proxy.address(), &all, PASSWORD));
        assert_one_warning(&sandbox, broken, &["the disk is on holiday"], &[PASSWORD]);
    }

    #[test]
    fn large_units_from_webdav_are_not_compiled() {
        let Some(server) = WebdavServer::get() else { return };
        let url = url(server.address(), &format!("all/{}", server.unused_place()), PASSWORD);
        assert_large_units_are_shared(with_url(&url), 1);
    }

    #[test]
    fn faults_in_front_of_webdav_cost_only_hits() {
        let Some(server) = WebdavServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let remote = |address| with_url(&url(address, &format!("all/{place}"), PASSWORD));
        assert_survives_faults(&sandbox, server.address(), remote);
    }

    #[test]
    fn webdav_may_stop_in_the_middle_of_a_prefetch() {
        let Some(server) = WebdavServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let remote = |address| with_url(&url(address, &format!("all/{place}"), PASSWORD));
        assert_may_stop(&sandbox, server.address(), remote, &[PASSWORD]);
    }

    #[test]
    fn a_table_contains_the_options_of_its_remote() {
        let Some(server) = WebdavServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let address = server.address();
        let with_table = |more: &str| {
            let table = format!(
                "[remote.lan]\nurl = 'webdav://{address}/all/{place}'\nusername = '{USER}'\npassword = '{PASSWORD}'\n{more}"
            );
            move |project: Project| {
                project.write(".config/xcache.toml", &table);
                project
            }
        };
        assert_is_shared(&sandbox, with_table(""), with_table(""));
        sandbox.reset();
        let misspelt = with_table("disable_creat_dir = true")(chain(&sandbox));
        let output = build(&misspelt);
        let [warning] = &output.warnings()[..] else { panic!("{output}") };
        assert!(warning.contains("lan (webdav://") && warning.contains("\"disable_create_dir\""), "{warning}");
        assert_eq!(sandbox.compiled_dependencies(), NONE, "it is only a warning");
        let other = with_table("")(chain(&sandbox)).env("XCACHE_REMOTE", "wan");
        let output = build(&other);
        let [warning] = &output.warnings()[..] else { panic!("{output}") };
        assert!(warning.contains("\"wan\" is neither a URL nor one of the tables: lan"), "{warning}");
        assert!(!format!("{output}{}", other.report().json()).contains(PASSWORD));
    }
}

mod http {
    use support::servers::files::FileServer;
    use support::servers::webdav::{PASSWORD, USER, WebdavServer};

    use super::*;

    #[test]
    fn units_from_files_over_http_are_not_compiled() {
        let sandbox = Sandbox::new();
        let shared = sandbox.path("shared");
        std::fs::create_dir(&shared).expect("a directory can be created");
        let Some(server) = FileServer::start(&shared) else { return };
        let url = format!("http://{}", server.address());
        let fill = with_url(&format!("file://{}", shared.display()));
        let second = assert_is_shared(&sandbox, fill, with_url(&url));
        let pushed = second.xcache(["push"]).run().fails();
        assert!(pushed.stderr.contains("http remotes are read-only"), "{pushed}");
    }

    #[test]
    fn files_over_http_receive_no_uploads_and_there_is_no_warning() {
        let sandbox = Sandbox::new();
        let shared = sandbox.path("shared");
        std::fs::create_dir(&shared).expect("a directory can be created");
        let Some(server) = FileServer::start(&shared) else { return };
        let project = with_url(&format!("http://{}/there/is/nothing", server.address()))(chain(&sandbox));
        assert_eq!(build(&project).warnings(), NONE);
        assert_eq!(sandbox.compiled_dependencies(), ALL);
        assert!(tree::files(&shared).is_empty());
        let closed = format!("http://{}/cache", closed_address());
        assert_one_warning(&sandbox, with_url(&closed), &["refused"], &[]);
    }

    #[test]
    fn the_user_and_password_of_a_url_are_sent() {
        let Some(server) = WebdavServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let url =
            |scheme: &str, password: &str| format!("{scheme}://{USER}:{password}@{}/all/{place}", server.address());
        assert_is_shared(&sandbox, with_url(&url("webdav", PASSWORD)), with_url(&url("http", PASSWORD)));
        assert_one_warning(&sandbox, with_url(&url("http", "hunter2")), &["not authorized"], &["hunter2"]);
    }
}

#[cfg(feature = "azblob")]
mod azure {
    use support::servers::azure::{AzureServer, KEY, WRONG_KEY};

    use super::*;

    #[test]
    fn units_from_azure_are_not_compiled() {
        let Some(server) = AzureServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let proxy = Proxy::start(server.address());
        let remote = |project: Project| project.with_azure(&url, proxy.address(), KEY);
        assert_is_shared(&sandbox, remote, |project| {
            proxy.reset();
            remote(project)
        });
        let requests = proxy.requests();
        assert_eq!(count(&requests, |request| request.method != "GET"), 0, "{requests:#?}");
        assert!(requests.len() <= ALL.len() + 5, "{requests:#?}");
    }

    #[test]
    fn large_units_from_azure_are_not_compiled() {
        let Some(server) = AzureServer::get() else { return };
        let url = server.unused_url();
        assert_large_units_are_shared(|project| project.with_azure(&url, server.address(), KEY), 1);
    }

    #[test]
    fn faults_in_front_of_azure_cost_only_hits() {
        let Some(server) = AzureServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let remote = |address| {
            let url = &url;
            move |project: Project| project.with_azure(url, address, KEY)
        };
        assert_survives_faults(&sandbox, server.address(), remote);
    }

    #[test]
    fn azure_may_stop_in_the_middle_of_a_prefetch() {
        let Some(server) = AzureServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let remote = |address| {
            let url = &url;
            move |project: Project| project.with_azure(url, address, KEY)
        };
        assert_may_stop(&sandbox, server.address(), remote, &[KEY]);
    }

    #[test]
    fn refusals_of_azure_are_one_line() {
        let Some(server) = AzureServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let wrong = |project: Project| project.with_azure(&url, server.address(), WRONG_KEY);
        assert_one_warning(&sandbox, wrong, &[&url, "failed to authenticate"], &[WRONG_KEY]);
        let missing = |project: Project| project.with_azure("azblob://no-such-container/x", server.address(), KEY);
        assert_one_warning(&sandbox, missing, &["ContainerNotFound"], &[KEY]);
        let closed = |project: Project| project.with_azure(&url, closed_address(), KEY);
        assert_one_warning(&sandbox, closed, &["refused"], &[KEY]);
    }
}

#[cfg(feature = "gcs")]
mod gcs {
    use support::servers::gcs::GcsServer;

    use super::*;

    #[test]
    fn units_from_google_cloud_storage_are_not_compiled() {
        let Some(server) = GcsServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let proxy = Proxy::start(server.address());
        let remote = |project: Project| project.with_gcs(&url, proxy.address());
        assert_is_shared(&sandbox, remote, |project| {
            proxy.reset();
            remote(project)
        });
        let requests = proxy.requests();
        assert_eq!(count(&requests, |request| request.method != "GET"), 0, "{requests:#?}");
        assert!(requests.len() <= ALL.len() + 5, "{requests:#?}");
    }

    #[test]
    fn large_units_from_google_cloud_storage_are_not_compiled() {
        let Some(server) = GcsServer::get() else { return };
        let url = server.unused_url();
        assert_large_units_are_shared(|project| project.with_gcs(&url, server.address()), 1);
    }

    #[test]
    fn faults_in_front_of_google_cloud_storage_cost_only_hits() {
        let Some(server) = GcsServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let remote = |address| {
            let url = &url;
            move |project: Project| project.with_gcs(url, address)
        };
        assert_survives_faults(&sandbox, server.address(), remote);
    }

    #[test]
    fn google_cloud_storage_may_stop_in_the_middle_of_a_prefetch() {
        let Some(server) = GcsServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let remote = |address| {
            let url = &url;
            move |project: Project| project.with_gcs(url, address)
        };
        assert_may_stop(&sandbox, server.address(), remote, &[]);
    }

    #[test]
    fn refusals_of_google_cloud_storage_are_one_line() {
        let Some(server) = GcsServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let missing = |project: Project| project.with_gcs("gcs://no-such-bucket/x", server.address());
        assert_one_warning(&sandbox, missing, &["gcs://no-such-bucket/x", "404"], &[]);
        let closed = |project: Project| project.with_gcs(&url, closed_address());
        assert_one_warning(&sandbox, closed, &["refused"], &[]);
        // The server checks no credentials. This is Google's answer.
        let proxy = Proxy::start(server.address());
        let answer = r#"{"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}"#;
        proxy.set(Fault::Status(401, answer.into()));
        let wrong = |project: Project| project.with_gcs(&url, proxy.address());
        assert_one_warning(&sandbox, wrong, &["Invalid Credentials"], &[]);
    }
}

#[cfg(feature = "redis")]
mod redis {
    use support::servers::redis::{PASSWORD, READER_PASSWORD, RedisServer};

    use super::*;

    fn url(address: SocketAddr, user: &str, path: &str) -> String {
        format!("redis://{user}@{address}/{path}")
    }

    #[test]
    fn units_from_redis_are_not_compiled() {
        let Some(server) = RedisServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let path = format!("0/{place}");
        let writer = with_url(&url(server.address(), &format!(":{PASSWORD}"), &path));
        let reader = with_url(&url(server.address(), &format!("reader:{READER_PASSWORD}"), &path));
        assert_is_shared(&sandbox, &writer, &writer);
        assert_is_full(&sandbox, reader);
    }

    #[test]
    fn large_units_from_redis_are_not_compiled() {
        let Some(server) = RedisServer::get() else { return };
        let url = url(server.address(), &format!(":{PASSWORD}"), &format!("1/{}", server.unused_place()));
        assert_large_units_are_shared(with_url(&url), 3);
    }

    #[test]
    fn redis_may_stop_in_the_middle_of_a_prefetch() {
        let Some(server) = RedisServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let remote = |address| with_url(&url(address, &format!(":{PASSWORD}"), &format!("0/{place}")));
        assert_may_stop(&sandbox, server.address(), remote, &[PASSWORD]);
    }

    #[test]
    fn refusals_of_redis_are_one_line() {
        let Some(server) = RedisServer::get() else { return };
        let (sandbox, place) = (Sandbox::new(), server.unused_place());
        let remote = |user: &str, path: &str| with_url(&url(server.address(), user, path));
        let path = format!("0/{place}");
        assert_one_warning(&sandbox, remote(":hunter2", &path), &["WRONGPASS"], &["hunter2"]);
        let without = with_url(&format!("redis://{}/{path}", server.address()));
        assert_one_warning(&sandbox, without, &["NOAUTH"], &[]);
        let ours = format!(":{PASSWORD}");
        assert_one_warning(&sandbox, remote(&ours, "99"), &["out of range"], &[PASSWORD]);
        let reader = format!("reader:{READER_PASSWORD}");
        let refused = ["NOPERM", "accepts no uploads"];
        assert_one_warning(&sandbox, remote(&reader, &path), &refused, &[READER_PASSWORD]);
        let closed = with_url(&url(closed_address(), &ours, &path));
        assert_one_warning(&sandbox, closed, &["refused"], &[PASSWORD]);
    }
}

#[cfg(feature = "memcached")]
mod memcached {
    use support::servers::memcached::MemcachedServer;

    use super::*;

    #[test]
    fn units_from_memcached_are_not_compiled() {
        let Some(server) = MemcachedServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        assert_is_shared(&sandbox, with_url(&url), with_url(&url));
    }

    #[test]
    fn large_units_from_memcached_are_not_compiled() {
        let Some(server) = MemcachedServer::get() else { return };
        assert_large_units_are_shared(with_url(&server.unused_url()), 3);
    }

    #[test]
    fn memcached_may_stop_in_the_middle_of_a_prefetch() {
        let Some(server) = MemcachedServer::get() else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        let place = url.rsplit('/').next().expect("a place").to_owned();
        let remote = |address| with_url(&format!("memcached://{address}/{place}"));
        assert_may_stop(&sandbox, server.address(), remote, &[]);
    }

    #[test]
    fn evicted_units_are_compiled_without_a_warning() {
        let Some(server) = MemcachedServer::start(64) else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        build(&with_url(&url)(chain(&sandbox)));
        server.remove_all();
        sandbox.reset();
        let output = build(&with_url(&url)(chain(&sandbox)));
        assert_eq!((output.warnings().len(), sandbox.compiled_dependencies()), (0, ALL.map(str::to_owned).into()));
        assert_is_full(&sandbox, with_url(&url));
    }

    #[test]
    fn units_that_do_not_fit_into_memcached_are_no_error() {
        let Some(server) = MemcachedServer::start(2) else { return };
        let (sandbox, url) = (Sandbox::new(), server.unused_url());
        for _ in 0..2 {
            let project = with_url(&url)(big(&sandbox));
            let output = project.xcache(["build"]).within(LIMIT).ok();
            assert!(output.warnings().len() <= 1, "{output}");
            assert_eq!(project.run_binary("demo"), BIG_SAID);
            assert_eq!(project.report().json()["corrupt_objects"].as_array().map_or(0, Vec::len), 0);
        }
    }

    #[test]
    fn an_unreachable_memcached_is_one_line() {
        let sandbox = Sandbox::new();
        let closed = format!("memcached://{}/x", closed_address());
        assert_one_warning(&sandbox, with_url(&closed), &["refused", &closed], &[]);
    }
}

/// The length of the text in each library of [`big`]. The packs have several parts of half a MiB.
const BIG: usize = 5 << 20;
const BIG_SAID: &str = "5242880 5242880 5242880\n";

/// A workspace with three large libraries that hardly compress.
fn big(sandbox: &Sandbox) -> Project {
    use support::{Package, Registry};

    let dir = sandbox.path("big-registry");
    let names = ["one", "two", "three"];
    let registry = if dir.exists() {
        Registry::open(&dir)
    } else {
        let library = "pub static TEXT: &str = include_str!(\"../text\");";
        let package = |seed: usize| Package::new(names[seed], "1.0.0", library).file("text", &noise(seed as u64 + 1));
        Registry::new(&dir).with((0..names.len()).map(package))
    };
    let main = "fn main() { println!(\"{} {} {}\", one::TEXT.len(), two::TEXT.len(), three::TEXT.len()) }";
    let demo = sandbox.demo(&registry, "one = \"1\"\ntwo = \"1\"\nthree = \"1\"", main);
    demo.cargo(["fetch"]).ok();
    let demo = demo.env("XCACHE_MEMBERS", "off").env("XCACHE_TIMEOUT", "20");
    demo.with_store(&sandbox.unused("store"))
}

/// Text that zstd compresses only by a quarter.
fn noise(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // 64 characters of ASCII: '0' to 'o', of which none needs an escape.
        char::from(b'0' + (state >> 32) as u8 % 64)
    };
    (0..BIG).map(|_| next()).collect()
}

/// Large units are not compiled on an empty machine, however often one builds.
#[track_caller]
fn assert_large_units_are_shared(remote: impl Fn(Project) -> Project, times: usize) {
    let sandbox = Sandbox::new();
    let first = remote(big(&sandbox));
    assert_eq!(first.xcache(["build"]).within(LIMIT).ok().warnings(), NONE);
    assert_eq!(sandbox.compiled_dependencies(), ["one", "three", "two"]);
    for time in 0..times {
        sandbox.reset();
        let second = remote(big(&sandbox));
        assert_eq!(second.xcache(["build"]).within(LIMIT).ok().warnings(), NONE, "warm build {time}");
        assert_eq!(sandbox.compiled_dependencies(), NONE, "warm build {time}: {}", second.report().json());
        assert_eq!(second.run_binary("demo"), BIG_SAID);
    }
}
