//! Cargo's record of what rustc has said of itself.
//!
//! Cargo keeps it in the build directory (`util/rustc.rs`), for the rustc and the wrapper that it was started with. Our
//! wrapper is at another path in each session, so with it cargo writes a record that is of no use to anybody. The wrapper
//! answers the same questions from the store; and when cargo has ended, the record is put back that was there before, for
//! the next `cargo build`.

use std::path::PathBuf;

use camino::Utf8Path;

use crate::fs;

/// In the build directory.
pub(super) const NAME: &str = ".rustc_info.json";

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
        let now = fs::read_optional(&path).ok().flatten();
        let result = match content {
            _ if now == content => Ok(()),
            Some(content) => fs::write_atomic(&path, &content),
            None => fs::remove_file(&path),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "cargo's record of rustc's answers is not put back");
        }
    }
}
