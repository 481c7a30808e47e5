//! The two tiers: a directory on this machine, and a service that many machines share.
//!
//! ```text
//! local: DIR/v1/                                    remote: URL/v1/
//! ├── unit/<aa>/<unit key>     an entry             ├── graph/<graph key>      a graph index
//! ├── file/<aa>/<blake3>       a raw file           ├── unit/<aa>/<unit key>   an entry
//! ├── pushed/<remote>/<aa>/<unit key>  a marker     ├── blob/<aa>/<blake3>     a pack
//! ├── probe/<aa>/<digest>      a probe              ├── known/<name>           shared input history
//! ├── known/<aa>/<identity>    input history        └── proof/<key>            a proof
//! ├── proof/<key>              a proof
//! ├── stats/                   sums over sessions
//! ├── tmp/                     files not yet renamed
//! └── gc.lock, gc.stamp
//! ```
//!
//! [`LocalStore`] keeps files as rustc wrote them, so that restoring one is a plain copy. [`RemoteStore`] keeps packs.
//! `<aa>` is the first byte of the name. A `pushed` marker says that the entry was in that remote; it may have
//! disappeared since.
//!
//! **Invariants.** Every local write is a temporary file and a rename, every remote write one PUT. Everything that is
//! read is verified before it is used. The modification time of a raw file never changes: entries carry the time of
//! their last use. An object of another format version counts as absent. Nothing is ever listed in the remote.

pub mod gc;
pub mod input_history;
pub mod local;
pub mod remote;
#[cfg(all(test, feature = "fs"))]
pub(crate) mod testing;

pub use local::LocalStore;
pub use remote::{RemoteStore, Runtime};

use crate::digest::{Digest, Domain};

/// `<aa>/<digest>`.
fn sharded(digest: Digest) -> String {
    format!("{}/{digest}", digest.shard())
}

/// A small object with a checksum of its name and content: damage may also give an object another name.
fn with_checksum(name: Digest, content: &[u8]) -> Vec<u8> {
    [checksum(name, content).as_bytes(), content].concat()
}

/// The content of an object that [`with_checksum`] made under this name; `None` if it is damaged.
fn without_checksum(name: Digest, bytes: &[u8]) -> Option<Vec<u8>> {
    let (expected, content) = bytes.split_at_checked(size_of::<Digest>())?;
    (checksum(name, content).as_bytes() == expected).then(|| content.to_vec())
}

fn checksum(name: Digest, content: &[u8]) -> Digest {
    Digest::of_value(Domain::StoredObject, &(name, Digest::of(content)))
}
