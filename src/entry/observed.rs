//! Observations of a unit that was compiled or run, as conditions of its entry.
//!
//! A path is relative to the root that contains it, so that it can be found elsewhere: `<workspace>/x`, `~/x` below the
//! user's home, or `/x`. Names looked up in `PATH` are in [a directory](IN_PATH) of that name. Files of one directory
//! are grouped. Half a digest, salted with the unit's key, represents the content: the same file looks different in two
//! entries, and guessed content cannot be looked up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Domain};
use crate::key::UnitKey;

/// The directory of everything that is found by its name alone.
pub const IN_PATH: &str = "$PATH";

/// What is known about a unit's inputs besides its key and the other conditions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// There are none: only the compiler itself ran.
    #[default]
    #[serde(rename = "told")]
    CompilerOnly,
    /// These were observed.
    Observed(Box<Observed>),
    /// Nothing was observed. The unit declares what it reads, or is well known.
    Declared,
    /// Nothing was observed, and the user trusts the unit.
    Trusted,
}

impl Inputs {
    /// Whether there are none.
    pub fn is_compiler_only(&self) -> bool {
        *self == Self::CompilerOnly
    }

    /// Whether everything that was read was observed.
    pub fn is_seen(&self) -> bool {
        matches!(self, Self::Observed(_))
    }
}

/// What was observed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// What was at each path, by directory and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, BTreeMap<String, Vec<PathState>>>,
    /// Variables that were set and that the unit may have read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, SaltedDigest>,
    /// Variables that were set, but to which cargo gives another value for the unit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub replaced: BTreeSet<String>,
    /// Words of programs that were built. They may contain names of variables that were not set.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub words: BTreeSet<String>,
    /// Words of sources that macros read. They may be such names.
    #[serde(default, rename = "spoken", skip_serializing_if = "BTreeSet::is_empty")]
    pub macro_words: BTreeSet<String>,
    /// Programs on the machine that may have read further variables.
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
    /// A link, by its target.
    #[serde(rename = "l")]
    Link(SaltedDigest),
    /// Something else: a pipe, a socket, a device.
    #[serde(rename = "o")]
    Other,
}

/// Half a digest of something that one unit read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SaltedDigest(#[serde(with = "hex::serde")] [u8; 16]);

impl SaltedDigest {
    /// The salted digest, for a unit, of content with this digest.
    pub fn of(unit: UnitKey, content: Digest) -> Self {
        let digest = Digest::of_value(Domain::SaltedDigest, &(unit, content));
        let half = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
        Self(*half)
    }
}
