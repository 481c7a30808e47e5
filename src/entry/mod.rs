//! Entries: the cache's records of compiled units.
//!
//! An [`Entry`] names the unit's files by digest and lists the conditions under which they may be used: the
//! dependencies that the unit was compiled against, the normalized command line, the environment and the generated
//! files that it read, and the directories whose paths are in the files. A [`Fresh`] record holds cargo's own files,
//! which make it accept the unit as fresh. The files travel in a *pack* ([`pack`]); the graph index ([`GraphIndex`]) is
//! a bundle of entries.
//!
//! The run of a build script has an entry like a compiled crate: its files are those in `OUT_DIR`, and its printed
//! output is in the [`Fresh`] record.
//!
//! **Invariants.** No I/O. Every encoded object starts with a magic, a kind, a version and the digest of what follows.
//! Unknown or damaged objects decode to an error, which callers treat as a miss. The conditions contain digests of
//! environment values, never the values. Values that a compiler writes into its outputs are in the files.

mod fresh;
mod observed;
pub mod pack;

use std::collections::BTreeMap;
use std::io::Read;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::key::UnitKey;
use crate::roots::{Root, RootedPath};

pub(crate) use self::fresh::is_plain_path;
pub use self::fresh::{Content, Fresh, Layout, PrintedLine, SmallFile};
pub use self::observed::{IN_PATH, Inputs, Observed, PathState, SaltedDigest};

/// The kind of a unit's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// `lib*.rlib`.
    Rlib,
    /// `lib*.rmeta`.
    Rmeta,
    /// `*.d`, as [`crate::rustc::RecordedDepInfo`].
    DepInfo,
    /// A dynamic library: a procedural macro, or a library for programs of any language.
    Dylib,
    /// A program.
    Executable,
    /// An archive with everything in a library for other languages.
    Archive,
    /// A file that a build script wrote into `OUT_DIR`.
    Generated,
    /// The same, if it is executable.
    GeneratedProgram,
    /// A text file that a build system left in `OUT_DIR` for itself, stored in pieces: some are the script's own
    /// directories.
    #[serde(rename = "left-behind")]
    BuildSystemFile,
    /// A link that a build script created in `OUT_DIR`: its target.
    Link,
    /// An empty directory that a build script created in `OUT_DIR`.
    Directory,
}

impl FileKind {
    /// Whether a build script wrote it, and not the compiler.
    pub fn is_generated(self) -> bool {
        matches!(self, Self::Generated | Self::GeneratedProgram | Self::BuildSystemFile | Self::Link | Self::Directory)
    }

    /// Whether it has the mode of a program.
    pub fn is_program(self) -> bool {
        matches!(self, Self::Executable | Self::Dylib | Self::GeneratedProgram)
    }
}

/// One output of a unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the output directory: a plain file name, or for a generated file the path below `OUT_DIR`.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes, as stored.
    pub size: u64,
    /// The digest of its content, as stored.
    pub digest: Digest,
    /// Its mode, if a build script set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

impl FileRecord {
    fn has_plain_name(&self) -> bool {
        match self.kind {
            kind if kind.is_generated() => is_plain_path(&self.name),
            _ => is_plain_file_name(&self.name),
        }
    }
}

/// A dependency, as it was when the unit was compiled.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DependencyRecord {
    /// The name it was imported under.
    pub extern_name: String,
    /// The digest of its metadata.
    pub metadata: Digest,
}

/// A file that was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct InputRecord {
    /// Its path.
    pub path: RootedPath,
    /// The digest of its content.
    pub digest: Digest,
}

/// Where an entry's files are in the remote store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PackRef {
    /// The digest of the compressed bytes, which is also the object's name.
    pub digest: Digest,
    /// The number of compressed bytes.
    pub size: u64,
}

/// The conditions that must hold where an entry is used.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Constraints {
    /// The normalized rustc command line.
    pub invocation: Option<Digest>,
    /// The form in which cargo asked for diagnostics, if there are any.
    pub rendering: Option<Digest>,
    /// The direct dependencies, by content; for the run of a build script, its program.
    pub dependencies: Vec<DependencyRecord>,
    /// Variables read through `env!`: the digest of the value, or nothing if it was not set.
    pub environment: BTreeMap<String, Option<Digest>>,
    /// Files read from outside of the package, such as generated ones in `OUT_DIR`, in the order of their paths.
    pub inputs: Vec<InputRecord>,
    /// The output of the package's own build script at that time: [`Entry::metadata`] of the run. For a run itself, a
    /// digest of the output of the runs that it received values from.
    pub script: Option<Digest>,
    /// A digest of the output of the runs whose native code comes into the unit. For a linked unit, these are all runs
    /// that it depends on, directly or not; for any other, those linked into the macros that its compiler loads. It
    /// includes [what else is linked into these macros](Entry::code). The metadata of crates and macros does not show
    /// it.
    pub linked: Option<Digest>,
    /// Directories whose path is in the outputs, each with the digest of the path.
    pub bound: BTreeMap<Root, Digest>,
    /// What build scripts, macros and linkers were observed to read.
    #[serde(default, skip_serializing_if = "Inputs::is_compiler_only")]
    pub observed: Inputs,
}

/// What the cache knows about one compiled unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The unit's key.
    pub key: UnitKey,
    /// `name version`, for people.
    pub package: String,
    /// The target's name, for people.
    pub target: String,
    /// Its files.
    pub files: Vec<FileRecord>,
    /// The artifact notices that rustc printed, in order: (emit kind, file name).
    pub notices: Vec<(String, String)>,
    /// The other lines that rustc printed, literally. If paths were remapped, they contain virtual ones.
    pub diagnostics: Vec<String>,
    /// What dependents identify it by: the digest of the crate's metadata, or of everything a build script produced.
    pub metadata: Option<Digest>,
    /// A digest of what was linked into a procedural macro besides crates and what every host links in, if there is
    /// anything. The macro's metadata does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Digest>,
    /// The conditions under which the files may be used.
    pub constraints: Constraints,
    /// Cargo's own files of the unit, if they were recorded.
    pub fresh: Option<Fresh>,
    /// How long rustc or the build script took, in milliseconds.
    pub compile_ms: u64,
    /// Its pack in the remote store, once it has one.
    pub pack: Option<PackRef>,
}

impl Entry {
    /// The size of all files in bytes.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Encodes for the store.
    pub fn encode(&self) -> Vec<u8> {
        frame(Kind::Entry, self)
    }

    /// Decodes what [`Entry::encode`] wrote, and checks that it is the entry of `key` and names only plain files.
    pub fn decode(key: UnitKey, bytes: &[u8]) -> Result<Self> {
        let object = format!("unit/{key}");
        let entry: Self = unframe(Kind::Entry, &object, bytes)?;
        entry.check(key)?;
        Ok(entry)
    }

    /// An entry may come from another machine: it must belong to this unit, and its files must stay in their directory.
    fn check(&self, key: UnitKey) -> Result<()> {
        let object = || format!("unit/{key}");
        if self.key != key {
            return Err(Error::corrupt(object(), format!("it is the entry of {}", self.key)));
        }
        if let Some(file) = self.files.iter().find(|file| !file.has_plain_name()) {
            return Err(Error::corrupt(object(), format!("{:?} is not a plain file name", file.name)));
        }
        if let Some(file) = self.files.iter().find(|file| self.is_below_link(file)) {
            return Err(Error::corrupt(object(), format!("{:?} is below a link", file.name)));
        }
        if let Some(path) = self.fresh.as_ref().and_then(Fresh::bad_path) {
            return Err(Error::corrupt(object(), format!("{path:?} is not a plain path")));
        }
        if self.files.iter().any(|file| file.size > pack::MAX_FILE_SIZE) {
            return Err(Error::corrupt(object(), "a file is larger than any compiler output"));
        }
        Ok(())
    }

    /// Whether a file would be placed below a link of the same unit.
    fn is_below_link(&self, file: &FileRecord) -> bool {
        let mut links = self.files.iter().filter(|other| other.kind == FileKind::Link);
        links.any(|link| file.name.strip_prefix(&link.name).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// The entries of one (lockfile, command, profile, toolchain), so that one request starts a whole prefetch.
///
/// A hint: unit entries are the truth.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GraphIndex {
    /// Every entry that was hit or made.
    pub entries: Vec<Entry>,
}

impl GraphIndex {
    /// Encodes for the store.
    pub fn encode(&self) -> Vec<u8> {
        frame(Kind::Graph, self)
    }

    /// Decodes what [`GraphIndex::encode`] wrote; each entry is checked like one that comes alone.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        let index: Self = unframe(Kind::Graph, name, bytes)?;
        index.entries.iter().try_for_each(|entry| entry.check(entry.key))?;
        Ok(index)
    }
}

/// Whether a name has no separator, is not a parent directory, and hides nothing after a drive letter.
pub(crate) fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0']) && name.len() <= 255
}

/// The kind of an encoded object.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// An [`Entry`].
    Entry = 1,
    /// A [`GraphIndex`].
    Graph = 2,
    /// The input history of one unit ([`crate::explain`]).
    InputHistory = 3,
    /// The data from which a build is explained.
    LastBuild = 4,
    /// The input history that users of a remote share.
    SharedHistory = 5,
}

const MAGIC: &[u8; 6] = b"xcache";
const VERSION: u8 = 7;
const HEADER: usize = MAGIC.len() + 2 + 32;
/// Far more than any real entry or index. A hostile one must not fill the memory.
const MAX_DECODED: u64 = 256 << 20;

/// Encodes: magic, kind, version, digest of the rest, zstd(JSON).
pub(crate) fn frame(kind: Kind, value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("entries are plain data with string keys");
    let body = zstd::bulk::compress(&json, 3).expect("compressing memory into memory");
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[kind as u8, VERSION]);
    bytes.extend_from_slice(Digest::of(&body).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Whether these bytes are an object of another format version, which counts as absent.
pub fn is_other_version(bytes: &[u8]) -> bool {
    bytes.len() > MAGIC.len() + 1 && bytes.starts_with(MAGIC) && bytes[MAGIC.len() + 1] != VERSION
}

pub(crate) fn unframe<T: DeserializeOwned>(kind: Kind, object: &str, bytes: &[u8]) -> Result<T> {
    let corrupt = |reason: &str| Error::corrupt(object, reason);
    let (header, body) = bytes.split_at_checked(HEADER).ok_or_else(|| corrupt("it is too short"))?;
    let (magic, rest) = header.split_at(MAGIC.len());
    if magic != MAGIC || rest[0] != kind as u8 {
        return Err(corrupt("it is not an object of this kind"));
    }
    if rest[1] != VERSION {
        return Err(corrupt("it has another format version"));
    }
    if rest[2..] != Digest::of(body).as_bytes()[..] {
        return Err(corrupt("its digest does not match"));
    }
    let mut json = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|error| Error::corrupt(object, error))?;
    decoder.take(MAX_DECODED).read_to_end(&mut json).map_err(|error| Error::corrupt(object, error))?;
    serde_json::from_slice(&json).map_err(|error| Error::corrupt(object, error))
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
