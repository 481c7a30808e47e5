//! Cargo's record of rustc's answers about itself.
//!
//! Cargo keeps it in the build directory (`util/rustc.rs`), for one rustc and one wrapper. Our wrapper is at another
//! path in each session, so the record that cargo writes with it is useless. The wrapper answers these questions from
//! the store. When cargo has ended, the session puts the previous record back for the next `cargo build`, unless cargo
//! has written one for the same rustc and wrapper meanwhile.

use std::path::PathBuf;

use camino::Utf8Path;
use serde_json::Value;

use crate::fs;

/// The file's name in the build directory.
const NAME: &str = ".rustc_info.json";

/// The record before cargo starts.
pub(super) struct RustcInfo {
    path: PathBuf,
    content: Option<Vec<u8>>,
}

impl RustcInfo {
    /// Reads the record.
    pub(super) fn of(build_dir: &Utf8Path) -> Self {
        let path = build_dir.join(NAME).into_std_path_buf();
        Self { content: fs::read_optional(&path).ok().flatten(), path }
    }

    /// Puts the record back. If that fails, plain cargo asks rustc again.
    pub(super) fn put_back(self) {
        let Self { path, content } = self;
        let Some(content) = content else { return };
        let now = fs::read_optional(&path).ok().flatten();
        if now.as_deref().and_then(fingerprint) == fingerprint(&content) {
            return;
        }
        if let Err(error) = fs::write_atomic(&path, &content) {
            tracing::debug!(%error, "cargo's record of rustc's answers is not put back");
        }
    }
}

/// Identifies the rustc and the wrapper of a record. `None` if it is not a record.
fn fingerprint(record: &[u8]) -> Option<Value> {
    let record: Value = serde_json::from_slice(record).ok()?;
    record.get("rustc_fingerprint").cloned()
}
