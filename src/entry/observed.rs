//! What was seen while a unit was made, as conditions of its entry.
//!
//! A path stands with the root that it is below, so that it can be looked for elsewhere: `<workspace>/x`, `~/x` below the
//! user's home, or `/x`. What was looked for in `PATH` stands in [a directory](IN_PATH) of that name. Files of one directory stand together. What was there is told by half a digest, which is mixed with
//! the unit's key: the same file does not look the same in two entries, and what can be guessed cannot be looked up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Domain};
use crate::key::UnitKey;

/// The directory of what is found by its name alone.
pub const IN_PATH: &str = "$PATH";

/// What is known of the things that a unit was made from, besides what its key and the other conditions say.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// There are none: nobody but the compiler itself was at work.
    #[default]
    #[serde(rename = "told")]
    CompilerOnly,
    /// These were seen.
    Observed(Box<Observed>),
    /// Nobody could look. It declares what it reads, or is well known.
    Declared,
    /// Nobody could look, and the user trusts it.
    Trusted,
}

impl Inputs {
    /// Whether there are none.
    pub fn is_compiler_only(&self) -> bool {
        *self == Self::CompilerOnly
    }

    /// Whether all that was read was seen.
    pub fn is_seen(&self) -> bool {
        matches!(self, Self::Observed(_))
    }
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// By directory, and name in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, BTreeMap<String, Vec<PathState>>>,
    /// Variables that it may have asked for, and that were set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, SaltedDigest>,
    /// Variables that were set, and that cargo sets to something else for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub replaced: BTreeSet<String>,
    /// What may have names of others in it, which were not set: words of programs that were built.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub words: BTreeSet<String>,
    /// What may be such names: words of sources that macros read.
    #[serde(default, rename = "spoken", skip_serializing_if = "BTreeSet::is_empty")]
    pub macro_words: BTreeSet<String>,
    /// Programs on the machine that may have asked for others.
    #[serde(default, rename = "askers", skip_serializing_if = "BTreeSet::is_empty")]
    pub programs: BTreeSet<String>,
}

/// What was at a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum PathState {
    /// Nothing.
    #[serde(rename = "a")]
    Absent,
    /// A directory.
    #[serde(rename = "d")]
    Directory,
    /// A file, by its content.
    #[serde(rename = "f")]
    File(SaltedDigest),
    /// A directory, by the names in it.
    #[serde(rename = "n")]
    Names(SaltedDigest),
    /// A link, by what it says.
    #[serde(rename = "l")]
    Link(SaltedDigest),
    /// Something else: a pipe, a socket, a device.
    #[serde(rename = "o")]
    Other,
}

/// Half a digest of something that one unit has read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SaltedDigest(#[serde(with = "hex::serde")] [u8; 16]);

impl SaltedDigest {
    /// Of what has this digest.
    pub fn of(unit: UnitKey, content: Digest) -> Self {
        let digest = Digest::of_value(Domain::SaltedDigest, &(unit, content));
        let half = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
        Self(*half)
    }
}
