//! What the remote knows of units: asked by an explanation only, and only where this machine knows nothing.

use std::sync::Arc;

use crate::config::Settings;
use crate::digest::Digest;
use crate::error::Result;
use crate::event::EventLog;
use crate::store::input_history::SharedHistory;
use crate::store::{RemoteStore, Runtime};

/// One request. Nothing where no remote is configured, or it has no such object.
pub fn query(settings: &Settings, name: Digest) -> Result<Option<SharedHistory>> {
    let Some(url) = settings.remote.as_deref() else { return Ok(None) };
    let runtime = Runtime::new()?;
    let remote = RemoteStore::open(url, settings, &EventLog::new(Arc::new(())))?;
    let known = runtime.handle().block_on(remote.input_history(name))?;
    Ok(known.map(|bytes| SharedHistory::decode(&bytes)))
}
