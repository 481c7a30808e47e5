//! The input history in the remote. Only explanations query it, and only if the history on this machine is not enough.

use std::sync::Arc;

use crate::config::Settings;
use crate::digest::Digest;
use crate::error::Result;
use crate::event::EventLog;
use crate::store::input_history::SharedHistory;
use crate::store::{RemoteStore, Runtime};

/// Fetches an input history with one request. Absent if no remote is configured, or if the remote has no such object.
pub fn query(settings: &Settings, name: Digest) -> Result<Option<SharedHistory>> {
    let Some(url) = settings.remote.as_deref() else { return Ok(None) };
    let runtime = Runtime::new()?;
    let remote = RemoteStore::open(url, settings, &EventLog::new(Arc::new(())))?;
    let known = runtime.handle().block_on(remote.input_history(name))?;
    Ok(known.map(|bytes| SharedHistory::decode(&bytes)))
}
