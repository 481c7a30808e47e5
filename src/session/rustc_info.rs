//! Cargo's record of what rustc has said of itself.
//!
//! Cargo keeps it in the build directory (`util/rustc.rs`), for the rustc and the wrapper that it was started with. Our
//! wrapper is at another path in each session, so with it cargo writes a record that is of no use to anybody. The wrapper
//! answers the same questions from the store; and when cargo has ended, the record is put back that was there before, for
//! the next `cargo build`. One that plain cargo has written meanwhile, for the same rustc, stays.

use std::path::PathBuf;

use camino::Utf8Path;
use serde_json::Value;

use crate::fs;

/// In the build directory.
const NAME: &str = ".rustc_info.json";

/// The record as it was.
pub(super) struct RustcInfo {
    path: PathBuf,
    content: Option<Vec<u8>>,
}

impl RustcInfo {
    /// Remembers what there is.
    pub(super) fn of(build_dir: &Utf8Path) -> Self {
        let path = build_dir.join(NAME).into_std_path_buf();
        Self { content: fs::read_optional(&path).ok().flatten(), path }
    }

    /// Puts it back. Where that fails, plain cargo asks rustc again.
    pub(super) fn put_back(self) {
        let Self { path, content } = self;
        let Some(content) = content else { return };
        let now = fs::read_optional(&path).ok().flatten();
        if now.as_deref().and_then(asked) == asked(&content) {
            return;
        }
        if let Err(error) = fs::write_atomic(&path, &content) {
            tracing::debug!(%error, "cargo's record of rustc's answers is not put back");
        }
    }
}

/// For which rustc and wrapper a record is; nothing where it is none.
fn asked(record: &[u8]) -> Option<Value> {
    let record: Value = serde_json::from_slice(record).ok()?;
    record.get("rustc_fingerprint").cloned()
}
