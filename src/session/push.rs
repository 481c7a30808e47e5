//! `cargo xcache push`: sends every entry of the local store to the remote.

use std::sync::Arc;

use super::Interrupt;
use super::finish::is_marked;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::event::{EventLog, Phase, session_name};
use crate::ledger::Ledger;
use crate::report::Report;
use crate::report::stats::Tally;
use crate::store::remote::Direction;
use crate::store::{LocalStore, RemoteStore, Runtime};
use crate::upload::{Upload, UploadSummary};

/// Sends every local entry that the remote does not have. Marked entries are checked, too.
pub fn push(settings: &Settings, log: &EventLog, interrupt: &Interrupt) -> Result<UploadSummary> {
    let Some(url) = settings.remote.as_deref() else {
        return Err(Error::Config { name: "remote".into(), reason: "there is nowhere to push to".into() });
    };
    let store = Arc::new(LocalStore::open(&settings.dir)?);
    let runtime = Runtime::new()?;
    let remote = Arc::new(RemoteStore::open(url, settings, log)?);
    remote.check(Direction::Write)?;
    let upload = Upload::new(&runtime, store.clone(), remote.clone(), log.clone(), settings);
    for entry in store.entries()? {
        match is_marked(&store, &remote, &entry) {
            true => upload.verify(entry),
            false => upload.send(entry),
        }
    }
    let summary = log.phase(Phase::Upload, || upload.finish(None, &interrupt.interrupted));
    let traffic = Tally::of_traffic(&Report::from_events(&log.events()));
    if let Err(error) = Ledger::of(&store).record(&session_name(None), &traffic) {
        tracing::debug!(%error, "the push was not counted");
    }
    Ok(summary)
}
