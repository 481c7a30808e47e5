use std::fs;

use tempfile::TempDir;
use url::Url;

use super::*;
use crate::entry::Constraints;

struct Fixture {
    directory: TempDir,
    events: EventLog,
    runtime: Runtime,
    store: RemoteStore,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let events = EventLog::new(Arc::new(()));
    let url = Url::from_directory_path(directory.path()).unwrap();
    let store = RemoteStore::open(url.as_str(), &Settings::default(), &events).unwrap();
    Fixture { directory, events, runtime: Runtime::new().unwrap(), store }
}

fn entry(name: &str) -> Entry {
    Entry {
        key: UnitKey(Digest::of(name)),
        package: name.into(),
        target: name.into(),
        files: vec![],
        notices: vec![],
        diagnostics: vec![],
        metadata: None,
        code: None,
        constraints: Constraints::default(),
        fresh: None,
        compile_ms: 10,
        pack: None,
    }
}

#[test]
fn stored_objects_are_found_and_traffic_is_counted() {
    let Fixture { events, runtime, store, .. } = fixture();
    runtime.handle().block_on(async {
        let (entry, key) = (entry("serde"), Digest::of("graph"));
        assert_eq!(store.entry(entry.key).await.unwrap(), None);
        let sent = store.put_entry(&entry).await.unwrap();
        assert_eq!(store.entry(entry.key).await.unwrap().as_ref(), Some(&entry));
        let index = GraphIndex { entries: vec![entry] };
        let sent = sent + store.put_graph(key, &index).await.unwrap();
        assert_eq!(store.graph(key).await.unwrap(), Some(index));
        let pack = PackRef { digest: Digest::of("pack"), size: 4 };
        assert!(store.pack(pack).await.unwrap().is_none());
        store.put_pack(pack, b"pack".to_vec()).await.unwrap();
        let mut download = store.pack(pack).await.unwrap().unwrap();
        assert_eq!(download.next().await.unwrap().unwrap().to_vec(), b"pack");
        assert!(download.next().await.unwrap().is_none());
        store.close();
        store.close();
        let expected = EventKind::RemoteTraffic { requests: 8, received: sent + 4, sent: sent + 4 };
        assert_eq!(events.events().into_iter().map(|event| event.kind).collect::<Vec<_>>(), [expected]);
    });
}

#[test]
fn a_damaged_object_is_corrupt_and_one_of_another_version_is_absent() {
    let Fixture { directory, runtime, store, .. } = fixture();
    runtime.handle().block_on(async {
        let entry = entry("serde");
        store.put_entry(&entry).await.unwrap();
        let path = directory.path().join("v1/unit").join(sharded(entry.key.0));
        let mut bytes = fs::read(&path).unwrap();
        bytes[7] += 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(store.entry(entry.key).await.unwrap(), None);
        fs::write(&path, &bytes[..20]).unwrap();
        assert_eq!(store.entry(entry.key).await.unwrap(), None);
        bytes[7] -= 1;
        fs::write(&path, &bytes[..20]).unwrap();
        assert!(matches!(store.entry(entry.key).await, Err(Error::Corrupt { .. })));
        fs::write(&path, b"").unwrap();
        assert!(matches!(store.entry(entry.key).await, Err(Error::Corrupt { .. })));
        assert!(!store.is_open(Direction::Read), "damage is not a failure of the service");
    });
}

#[test]
fn a_remote_that_was_given_up_receives_no_request() {
    let Fixture { events, runtime, store, .. } = fixture();
    store.give_up("no byte for 5 s");
    runtime.handle().block_on(async {
        let error = store.entry(entry("serde").key).await.unwrap_err();
        assert!(matches!(error, Error::Remote { message, .. } if message == "no byte for 5 s"));
        assert!(store.put_entry(&entry("serde")).await.is_err());
    });
    assert_eq!(events.events().len(), 1);
    assert_eq!(store.traffic.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn denied_reads_are_absent_objects_and_one_warning_at_the_end() {
    let Fixture { events, store, .. } = fixture();
    let denied = || Err::<(), _>(opendal::Error::new(ErrorKind::PermissionDenied, "AccessDenied (HTTP 403)"));
    assert_eq!(store.check_read(denied()).unwrap(), None);
    assert_eq!(store.check_read(denied()).unwrap(), None);
    store.close();
    let last = events.events().pop().unwrap().kind;
    assert!(matches!(&last, EventKind::Warning { message } if message.contains("denied all 2 reads: AccessDenied")));
}

#[test]
fn a_denial_among_other_answers_causes_no_warning() {
    let Fixture { events, store, .. } = fixture();
    store.check_read(Err::<(), _>(opendal::Error::new(ErrorKind::PermissionDenied, "AccessDenied"))).unwrap();
    store.check_read(Ok(())).unwrap();
    store.close();
    assert_eq!(events.events().len(), 1);
}

#[test]
fn an_error_about_an_unknown_service_lists_the_known_ones() {
    let error = |url: &str| match RemoteStore::open(url, &Settings::default(), &EventLog::new(Arc::new(()))) {
        Ok(_) => panic!("{url} was accepted"),
        Err(error) => error.to_string(),
    };
    let unknown = error("gopher://user:hunter2@bucket");
    assert!(unknown.contains("file:///directory") && !unknown.contains("hunter2"), "{unknown}");
    assert!(error("bucket").contains("not a URL"), "{}", error("bucket"));
    assert!(error("file://host/x").contains("names no directory"), "{}", error("file://host/x"));
    #[cfg(feature = "s3")]
    assert!(error("s3:///prefix").contains("names no bucket"), "{}", error("s3:///prefix"));
}

#[test]
fn a_service_that_cannot_be_set_up_is_given_up_at_once() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), b"").unwrap();
    let events = EventLog::new(Arc::new(()));
    let url = Url::from_directory_path(directory.path().join("file/below")).unwrap();
    let store = RemoteStore::open(url.as_str(), &Settings::default(), &events).unwrap();
    let runtime = Runtime::new().unwrap();
    assert!(runtime.handle().block_on(store.graph(Digest::of("x"))).is_err());
    assert!(store.is_open(Direction::Read));
    let [event] = &events.events()[..] else { panic!("one event") };
    let EventKind::RemoteFailed { message, .. } = &event.kind else { panic!("{event:?}") };
    assert!(message.contains("Not a directory") && !message.contains('\n'), "{message}");
}

#[cfg(feature = "http")]
#[test]
fn nothing_is_written_to_files_over_http() {
    let events = EventLog::new(Arc::new(()));
    let store = RemoteStore::open("http://127.0.0.1:1/cache", &Settings::default(), &events).unwrap();
    assert!(store.is_read_only() && store.is_open(Direction::Write) && !store.is_open(Direction::Read));
    let runtime = Runtime::new().unwrap();
    assert!(runtime.handle().block_on(store.put_entry(&entry("serde"))).is_err());
    assert_eq!(events.events().len(), 0);
}

#[test]
fn an_unknown_option_is_a_warning_that_names_the_nearest() {
    let events = EventLog::new(Arc::new(()));
    RemoteStore::open("file:///nowhere?rot=hunter2", &Settings::default(), &events).unwrap();
    let [event] = &events.events()[..] else { panic!("one event") };
    let EventKind::Warning { message } = &event.kind else { panic!("{event:?}") };
    assert_eq!(message, "remote file:///nowhere: fs has no option \"rot\"; the nearest is \"root\"");
}
