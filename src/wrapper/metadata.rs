//! The metadata digests of dependencies in the target directory, each computed once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::digest::Digest;
use crate::error::Result;
use crate::fs::Stamp;
use crate::rustc::outputs;

/// The digests of files, each valid until the file is written again.
#[derive(Debug, Default)]
pub(super) struct MetadataDigests {
    known: Mutex<HashMap<PathBuf, (Stamp, Digest)>>,
}

impl MetadataDigests {
    /// The digest of the metadata in a file that `--extern` names.
    pub(super) fn get(&self, path: &Path) -> Result<Digest> {
        let stamp = Stamp::of(path)?;
        if let Some((_, digest)) = self.lock().get(path).filter(|(known, _)| *known == stamp) {
            return Ok(*digest);
        }
        let digest = outputs::metadata_digest(path)?;
        self.lock().insert(path.to_owned(), (stamp, digest));
        Ok(digest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, Digest)>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
