//! Content digests.
//!
//! A [`Digest`] is a 32-byte BLAKE3 hash, written as 64 lower-case hex digits wherever it is text. Everything the
//! cache verifies (files, packs, metadata, environment values) is compared through this one type.
//!
//! There are two kinds. [`Digest::of`] and [`Digest::of_file`] hash *content*: plain bytes. [`Digest::of_value`] hashes
//! a *value* that decides about reuse. Its encoding is canonical: CBOR with the name of every field, the length of every
//! text and list, and an explicit mark for every absent value. The [`Domain`] comes first, so that a digest of one kind
//! never equals one of another.
//!
//! **Invariant.** No digest that decides about reuse is computed from formatted text.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(*blake3::hash(bytes.as_ref()).as_bytes())
    }

    /// The digest of a value that decides about reuse.
    ///
    /// Collections must be sorted, or their order must be significant.
    pub fn of_value(domain: Domain, value: &(impl Serialize + ?Sized)) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(domain.context());
        ciborium::into_writer(value, &mut hasher).expect("it is plain data, and the hasher takes any byte");
        hasher.into()
    }

    /// The digest of a file's content.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        Ok(hasher.into())
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first two hex digits: the directory that contains an object of this digest.
    pub fn shard(&self) -> String {
        hex::encode(&self.0[..1])
    }
}

/// Declares the domains, each with the context that its digests are derived in.
macro_rules! domains {
    ($($(#[doc = $doc:literal])+ $name:ident = $context:literal,)+) => {
        /// The kind of a value that decides about reuse. If its encoding changes, its context needs a new version.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Domain {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Domain {
            /// All domains.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The context that BLAKE3 derives the digests in. No other program and no other domain uses it.
            pub fn context(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("cargo-xcache ", $context),)+
                }
            }
        }
    };
}

domains! {
    /// A unit's inputs: [`crate::key::KeyInputs`]. After a new version, old entries are never looked up.
    UnitKey = "unit key 6",
    /// A key together with the scope in which the unit is valid.
    ScopedKey = "unit key in a place 2",
    /// The identity by which an explanation finds units to compare.
    UnitIdentity = "unit identity 1",
    /// A value that an explanation compares but must not show.
    HiddenValue = "hidden value 1",
    /// The programs and libraries that link or run a unit.
    HostClass = "host class 3",
    /// The content of a package's directory.
    PackageContent = "package content 3",
    /// A normalized rustc command line.
    CommandLine = "rustc command line 2",
    /// The form in which cargo asks for diagnostics.
    Rendering = "rendering of diagnostics 2",
    /// The value of a variable.
    Variable = "variable 2",
    /// The output of a build script's run.
    ScriptRun = "build script run 3",
    /// What a build script received from other scripts.
    DependencyOutputs = "build scripts heard 2",
    /// The files that a unit is linked with.
    Linked = "linked with 2",
    /// What this machine's processor supports.
    Processor = "processor 1",
    /// The content that a unit was observed to read.
    SaltedDigest = "seal 1",
    /// The names of variables that a file contains.
    FoundNames = "names in a file 2",
    /// The path of a directory.
    RootPath = "path of a root 1",
    /// The name of a graph index.
    GraphKey = "graph key 3",
    /// The name of a proof for a cargo.
    Proof = "proof 1",
    /// The name of a remembered unit graph.
    UnitGraph = "unit graph 2",
    /// The command of a session, its directory, its settings, and the variables that cargo reads.
    Circumstances = "circumstances 2",
    /// The name of a no-op record.
    NothingToDo = "nothing to do 2",
    /// The state of files.
    Stamps = "stamps 2",
    /// Files by their names and contents.
    FileContents = "contents of files 1",
    /// A remembered answer, under its name.
    StoredObject = "kept answer 1",
    /// The name of a remembered answer of a program, or of facts about files.
    Answer = "answer of a program 2",
    /// The name of a mark that a session compiled something.
    CompiledMark = "compiled with remapped paths 2",
    /// The name of the input histories that users of a remote share.
    SharedHistory = "shared knowledge 2",
    /// A remote store.
    Remote = "remote 1",
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<blake3::Hasher> for Digest {
    fn from(hasher: blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

impl FromStr for Digest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "description": "A BLAKE3 digest, in hex" })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_domain_has_a_context_of_its_own() {
        let contexts: BTreeSet<_> = Domain::ALL.iter().map(|domain| domain.context()).collect();
        assert_eq!(contexts.len(), Domain::ALL.len());
    }

    /// The arguments of each call of a digest function outside of tests.
    fn arguments(source: &str) -> Vec<String> {
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let calls = ["Digest::of(", "Digest::of_value("].iter().flat_map(|call| source.split(call).skip(1));
        let until_closed = |rest: &str| {
            let mut open = 1;
            let is_within = |character: &char| {
                open += i32::from(*character == '(') - i32::from(*character == ')');
                open > 0
            };
            rest.chars().take_while(is_within).collect()
        };
        calls.map(until_closed).collect()
    }

    #[test]
    fn no_digest_is_computed_from_formatted_text() {
        const FORMATTING: &[&str] = &["format!", "to_string(", ".concat(", ".join(\"", "{:?}", "concat!"];
        let mut calls = 0;
        for (path, source) in crate::reference::source::files() {
            let is_test = path.to_string_lossy().ends_with("_tests.rs");
            for argument in arguments(&source).into_iter().filter(|_| !is_test) {
                let found = FORMATTING.iter().find(|formatting| argument.contains(**formatting));
                assert_eq!(found, None, "{}: {argument}", path.display());
                calls += 1;
            }
        }
        assert!(calls > 40, "only {calls} calls were seen");
        assert_eq!(arguments("let a = Digest::of(format!(\"{b:?}\")); c()"), ["format!(\"{b:?}\")"]);
    }

    #[test]
    fn different_values_have_different_digests() {
        #[derive(Serialize)]
        struct One<'a> {
            first: &'a str,
            second: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Another<'a> {
            first: &'a str,
            third: Option<&'a str>,
        }
        let of = |first, second| Digest::of_value(Domain::UnitKey, &One { first, second });
        let all = [
            of("ab", Some("c")),
            of("a", Some("bc")),
            of("abc", None),
            of("abc", Some("")),
            Digest::of_value(Domain::UnitKey, &Another { first: "abc", third: None }),
            Digest::of_value(Domain::UnitKey, &("abc", None::<&str>)),
            Digest::of_value(Domain::HostClass, &One { first: "abc", second: None }),
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
        assert_eq!(of("ab", Some("c")), all[0]);
    }
}
