//! The differences between cargo's generations, as data.
//!
//! A [`Generation`] describes how fingerprints are written and hashed, and which files are locked. A [`Format`] adds
//! the layout of the build directory. The generations are in `formats.toml`.
//!
//! **Invariant.** A version decides only which format is tried first. Units are placed in the build directory only if
//! the format is proven with that very cargo (`session::proof`). Otherwise cargo calls the rustc wrapper instead.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub use crate::entry::Layout;

/// A field of a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The hash of the compiler's version.
    Rustc,
    /// The enabled features.
    Features,
    /// All features that the package declares.
    DeclaredFeatures,
    /// The hash of the target's description.
    Target,
    /// The hash of the profile and of further settings that change how a unit is compiled.
    Profile,
    /// The hash of the root file's path.
    Path,
    /// The units that it was built from.
    Deps,
    /// Its inputs besides other units.
    Local,
    /// Flags for the compiler.
    Rustflags,
    /// The hash of everything else that changes it.
    Config,
    /// The hash of the platform.
    CompileKind,
}

/// The field that says how a unit's sources are compared with those it was built from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sources {
    /// `checksum`: whether they are compared by checksum.
    Checksum,
    /// `fingerprint`: the name of the method.
    Fingerprint,
}

/// Everything that the cargos of one generation have in common.
#[derive(PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// The first release of the generation.
    pub name: String,
    layouts: Vec<Layout>,
    /// The fields of a fingerprint, in the order of the file.
    pub written: Vec<Field>,
    /// The same fields, in the order in which they are hashed.
    pub hashed: Vec<Field>,
    /// How the fingerprint says in which way sources are compared.
    pub sources: Sources,
    /// The files in a profile's directory that a process locks to write there.
    pub locks: Vec<String>,
}

#[cfg(test)]
impl Generation {
    /// A made-up generation.
    pub(crate) fn of(written: Vec<Field>, hashed: Vec<Field>, sources: Sources) -> &'static Self {
        let (name, layouts, locks) = ("made up".into(), Layout::ALL.to_vec(), Vec::new());
        Box::leak(Box::new(Self { name, layouts, written, hashed, sources, locks }))
    }
}

#[derive(Deserialize)]
struct Generations {
    generation: Vec<Generation>,
}

/// The description of all known formats.
pub const DESCRIPTION: &str = include_str!("formats.toml");

static GENERATIONS: LazyLock<Vec<Generation>> = LazyLock::new(|| {
    let Generations { generation } = toml::from_str(DESCRIPTION).expect("a test reads it");
    generation
});

/// What cargo writes into a build directory, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// How fingerprints are written.
    pub generation: &'static Generation,
    /// Where files are.
    pub layout: Layout,
}

impl Format {
    /// All known formats, the newest first.
    pub fn all() -> impl Iterator<Item = Self> {
        let formats = |generation: &'static Generation| {
            generation.layouts.iter().map(move |layout| Self { generation, layout: *layout })
        };
        GENERATIONS.iter().rev().flat_map(formats)
    }

    /// The format to try first with a cargo of this version (`cargo 1.95.0 (f2d3ce0bd 2026-03-21)`): that of the last
    /// generation that began no later.
    pub fn likely(version: &str, requested_layout: Option<Layout>) -> Self {
        let version = release(version.strip_prefix("cargo ").unwrap_or(version));
        let has_begun = |generation: &&Generation| version.is_none() || release(&generation.name) <= version;
        let generation = GENERATIONS.iter().rev().find(has_begun).unwrap_or(&GENERATIONS[0]);
        Self { generation, layout: requested_layout.unwrap_or(generation.layouts[0]) }
    }

    /// Its name: `1.100, per-unit`.
    pub fn name(self) -> String {
        format!("{}, {}", self.generation.name, self.layout.name())
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|format| format.name() == name)
    }
}

/// The major and minor number of a release.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|other: char| !other.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likely(version: &str) -> String {
        Format::likely(version, None).name()
    }

    #[test]
    fn a_version_names_the_format_that_is_tried_first() {
        assert_eq!(likely("cargo 1.95.0 (f2d3ce0bd 2026-03-21)"), "1.91, classic");
        assert_eq!(likely("cargo 1.99.0 (x)"), "1.91, classic");
        assert_eq!(likely("cargo 1.100.0-beta.7 (72b77b8d9 2026-10-17)"), "1.100, per-unit");
        assert_eq!(likely("cargo 2.0.0"), "1.100, per-unit");
        assert_eq!(likely("cargo of our own"), "1.100, per-unit", "the newest");
        assert_eq!(likely("cargo 1.60.0"), "1.91, classic", "the oldest");
        assert_eq!(Format::likely("cargo 1.95.0", Some(Layout::PerUnit)).name(), "1.91, per-unit");
    }

    #[test]
    fn the_version_of_cargo_decides_nothing_else() {
        let version = regex::Regex::new(r"\b1\.(9\d|1\d\d)\b").unwrap();
        let sources = crate::reference::source::files().into_iter();
        for (path, source) in sources.filter(|(path, _)| !path.to_string_lossy().ends_with("_tests.rs")) {
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                assert!(!version.is_match(line), "{}: {line}", path.display());
            }
        }
        assert!(version.is_match("cargo 1.95.0") && version.is_match("1.100") && !version.is_match("1.0"));
    }

    #[test]
    fn every_format_has_a_name_of_its_own_and_hashes_each_field_once() {
        for format in Format::all() {
            assert_eq!(Format::named(&format.name()), Some(format));
            let Generation { written, hashed, .. } = format.generation;
            assert_eq!(written.len(), hashed.len());
            assert!(written.iter().all(|field| hashed.contains(field)));
        }
        assert_eq!(Format::named("1.90, classic"), None);
    }
}
