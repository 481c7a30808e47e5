//! Machines that share a `file://` remote, for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;
use url::Url;

use super::{LocalStore, RemoteStore, Runtime, sharded};
use crate::config::Settings;
use crate::digest::Digest;
use crate::entry::{Constraints, Entry, FileKind, FileRecord};
use crate::event::{EventKind, EventLog};
use crate::key::UnitKey;
use crate::prefetch::Prefetch;
use crate::upload::{Upload, UploadSummary};

/// A machine with its own local store, and one session with the shared remote.
pub(crate) struct Machine {
    pub(crate) directory: TempDir,
    pub(crate) local: Arc<LocalStore>,
    pub(crate) remote: Arc<RemoteStore>,
    pub(crate) events: EventLog,
    pub(crate) runtime: Runtime,
    pub(crate) settings: Settings,
}

impl Machine {
    pub(crate) fn new(shared: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let events = EventLog::new(Arc::new(()));
        let settings = Settings { timeout: 1, upload_timeout: 10, ..Settings::default() };
        let url = Url::from_directory_path(shared).unwrap();
        Self {
            local: Arc::new(LocalStore::open(directory.path()).unwrap()),
            remote: Arc::new(RemoteStore::open(url.as_str(), &settings, &events).unwrap()),
            runtime: Runtime::new().unwrap(),
            directory,
            events,
            settings,
        }
    }

    /// Starts another session on the same machine.
    pub(crate) fn next_session(&mut self, shared: &Path) {
        let url = Url::from_directory_path(shared).unwrap();
        self.events = EventLog::new(Arc::new(()));
        self.local = Arc::new(LocalStore::open(self.directory.path()).unwrap());
        self.remote = Arc::new(RemoteStore::open(url.as_str(), &self.settings, &self.events).unwrap());
    }

    pub(crate) fn prefetch(&self) -> Prefetch {
        let remote = Some(Arc::clone(&self.remote));
        Prefetch::new(&self.runtime, Arc::clone(&self.local), remote, self.events.clone(), &self.settings)
    }

    pub(crate) fn upload(&self) -> Upload {
        let (local, remote) = (Arc::clone(&self.local), Arc::clone(&self.remote));
        Upload::new(&self.runtime, local, remote, self.events.clone(), &self.settings)
    }

    /// Stores an entry with one file.
    pub(crate) fn compile(&self, name: &str, content: &[u8]) -> Entry {
        let (size, digest) = self.local.add_bytes(content).unwrap();
        let entry = Entry {
            key: UnitKey(Digest::of(name)),
            package: format!("{name} 1.0.0"),
            target: name.into(),
            files: vec![FileRecord { name: format!("lib{name}.rlib"), kind: FileKind::Rlib, size, digest, mode: None }],
            notices: vec![],
            diagnostics: vec![],
            metadata: None,
            code: None,
            constraints: Constraints::default(),
            fresh: None,
            compile_ms: 100,
            pack: None,
        };
        self.local.put_entry(&entry).unwrap();
        entry
    }

    /// Sends entries, and a graph index that lists them.
    pub(crate) fn send(&self, entries: &[Entry], graph: Option<Digest>) -> UploadSummary {
        let upload = self.upload();
        entries.iter().for_each(|entry| upload.send(entry.clone()));
        let keys = entries.iter().map(|entry| entry.key).collect();
        upload.finish(graph.map(|graph| (graph, keys)), &AtomicBool::new(false))
    }

    pub(crate) fn kinds(&self) -> Vec<EventKind> {
        self.events.events().into_iter().map(|event| event.kind).collect()
    }

    pub(crate) fn count(&self, of: impl Fn(&EventKind) -> bool) -> usize {
        self.kinds().iter().filter(|kind| of(kind)).count()
    }

    /// Ends the session, and returns the number of its requests.
    pub(crate) fn requests(&self) -> u64 {
        self.remote.close();
        let requests = |kind| match kind {
            EventKind::RemoteTraffic { requests, .. } => Some(requests),
            _ => None,
        };
        self.kinds().into_iter().find_map(requests).unwrap()
    }
}

/// The path of an entry's pack in the shared directory.
pub(crate) fn pack_path(shared: &Path, machine: &Machine, entry: &Entry) -> PathBuf {
    let pack = machine.local.entry(entry.key).unwrap().unwrap().pack.unwrap();
    shared.join("v1/blob").join(sharded(pack.digest))
}

/// The path of an entry in the shared directory.
pub(crate) fn entry_path(shared: &Path, entry: &Entry) -> PathBuf {
    shared.join("v1/unit").join(sharded(entry.key.0))
}
