//! Roots: absolute directories that differ between machines, checkouts or target directories.
//!
//! A path that is *known to be a path* is recorded as a [`RootedPath`]: a root and the rest below it, split at the end
//! of a component. It moves with the root. Any other text is recorded unchanged: [`Roots::held_by`] returns the roots
//! whose paths it contains, and whatever was recorded with it is then *bound* to them ([`Roots::digest`]), that is,
//! valid only where they are the same. `--remap-path-prefix` keeps the paths of roots out of rustc's outputs.
//!
//! **Invariants.** This module is pure: it receives paths and does not access the file system. Nothing is ever replaced
//! in a text. Under the same roots, a recorded path resolves to exactly the same text. A path whose meaning under other
//! roots is not certain is treated as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Domain};

/// The name of a root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// Cargo's build directory (`target`, unless configured otherwise).
    BuildDir,
    /// `CARGO_HOME`: registry and git sources.
    CargoHome,
    /// The toolchain's sysroot.
    Sysroot,
    /// The target directory for final outputs, if it is not the build directory.
    TargetDir,
    /// The workspace.
    Workspace,
}

impl Root {
    /// Its name, as reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BuildDir => "build-dir",
            Self::CargoHome => "cargo-home",
            Self::Sysroot => "sysroot",
            Self::TargetDir => "target-dir",
            Self::Workspace => "workspace",
        }
    }

    /// The root of this name.
    pub fn named(name: &str) -> Option<Self> {
        const ALL: [Root; 5] = [Root::BuildDir, Root::CargoHome, Root::Sysroot, Root::TargetDir, Root::Workspace];
        ALL.into_iter().find(|root| root.name() == name)
    }

    /// The path that rustc writes in place of the root's, for roots whose paths it would otherwise write.
    ///
    /// A debugger maps them back with, for example, `set substitute-path /xcache/cargo-home ~/.cargo`.
    pub fn virtual_path(self) -> Option<&'static str> {
        match self {
            Self::BuildDir => Some("/xcache/build-dir"),
            Self::CargoHome => Some("/xcache/cargo-home"),
            Self::Workspace => Some("/xcache/workspace"),
            Self::Sysroot | Self::TargetDir => None,
        }
    }
}

/// A path as it is recorded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootedPath {
    /// At a root, or below it.
    Below {
        /// Which.
        root: Root,
        /// The rest of the path after the root: empty, or a slash and more.
        rest: String,
    },
    /// Relative, or absolute and below no root: the same on every machine.
    Plain(String),
}

impl RootedPath {
    /// The root that contains it, if any.
    pub fn root(&self) -> Option<Root> {
        match self {
            Self::Below { root, .. } => Some(*root),
            Self::Plain(_) => None,
        }
    }
}

impl fmt::Display for RootedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below { root, rest } => write!(f, "<{}>{rest}", root.name()),
            Self::Plain(path) => f.write_str(path),
        }
    }
}

/// A recorded text that may or may not be a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// The text unchanged.
    Text(String),
    /// A text that as a whole is a path in a directory with an unmistakable name.
    Path(RootedPath),
}

/// The current location of a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Location {
    path: Utf8PathBuf,
    /// The same without symbolic links, if that is another path.
    real: Option<Utf8PathBuf>,
}

impl Location {
    fn paths(&self) -> impl Iterator<Item = &Utf8Path> {
        [Some(self.path.as_path()), self.real.as_deref()].into_iter().flatten()
    }
}

/// The current location of each root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roots {
    locations: BTreeMap<Root, Location>,
}

impl Roots {
    /// Creates roots from pairs. Paths that are not absolute are ignored.
    pub fn new(paths: impl IntoIterator<Item = (Root, Utf8PathBuf)>) -> Self {
        let location = |(root, path): (Root, Utf8PathBuf)| (root, Location { path, real: None });
        Self { locations: paths.into_iter().filter(|(_, path)| path.is_absolute()).map(location).collect() }
    }

    /// Adds the path without symbolic links of each root, if `real` returns one.
    #[must_use]
    pub fn resolved(mut self, real: impl Fn(&Utf8Path) -> Option<Utf8PathBuf>) -> Self {
        for location in self.locations.values_mut() {
            location.real = real(&location.path).filter(|real| *real != location.path);
        }
        self
    }

    /// The path of one root.
    pub fn get(&self, root: Root) -> Option<&Utf8Path> {
        self.locations.get(&root).map(|location| location.path.as_path())
    }

    /// The path of a root, and the same without symbolic links if that is another path.
    pub fn paths_of(&self, root: Root) -> impl Iterator<Item = &Utf8Path> {
        self.locations.get(&root).into_iter().flat_map(Location::paths)
    }

    /// The digest of a root's path, which an entry that is bound to the root records.
    pub fn digest(&self, root: Root) -> Option<Digest> {
        self.locations.get(&root).map(|location| Digest::of_value(Domain::RootPath, location))
    }

    /// The digest of all paths.
    pub fn digest_of_all(&self) -> Digest {
        Digest::of_value(Domain::RootPath, &self.locations)
    }

    /// Remapping arguments for rustc when it compiles packages of the workspace, or others. They precede cargo's own,
    /// so a `--remap-path-prefix` of the user's still takes precedence.
    pub fn remap_arguments(&self, is_of_workspace: bool) -> Vec<String> {
        let mut remapped: Vec<_> =
            self.remapped().filter(|(root, ..)| is_of_workspace || *root != Root::Workspace).collect();
        // rustc uses the last matching prefix, so the longest has to come last.
        remapped.sort_by_key(|(_, _, real)| real.as_str().len());
        remapped.into_iter().map(|(_, name, real)| format!("--remap-path-prefix={real}={name}")).collect()
    }

    /// The virtual and the real path of each root that may be remapped, to show diagnostics with existing files.
    pub fn virtual_pairs(&self) -> Vec<(String, String)> {
        self.remapped().map(|(_, name, real)| (name.to_owned(), real.to_string())).collect()
    }

    /// The roots that have a virtual path, with the real path that rustc sees. It runs in the workspace, and the system
    /// reports that directory without symbolic links.
    fn remapped(&self) -> impl Iterator<Item = (Root, &'static str, &Utf8Path)> {
        self.locations.iter().filter_map(|(root, location)| {
            let real = location.real.as_deref().filter(|_| *root == Root::Workspace);
            Some((*root, root.virtual_path()?, real.unwrap_or(&location.path)))
        })
    }

    /// Records a path. The roots that it is bound to are added to `bound`: those of a path that goes up again outside
    /// of an external package, or that is given without the symbolic links to a root.
    pub fn record(&self, path: &str, bound: &mut BTreeSet<Root>) -> RootedPath {
        match self.below(path) {
            Some(rooted) => rooted,
            None => {
                bound.extend(self.bound_by(path));
                RootedPath::Plain(path.to_owned())
            }
        }
    }

    /// Records a path that is relative to a directory: it moves with the directory, even if it goes up again.
    pub fn record_from(&self, directory: &Utf8Path, path: &Utf8Path, bound: &mut BTreeSet<Root>) -> RootedPath {
        match self.below(directory.as_str()) {
            Some(RootedPath::Below { root, rest }) if path.is_relative() => {
                RootedPath::Below { root, rest: format!("{rest}/{path}") }
            }
            _ => self.record(directory.join(path).as_str(), bound),
        }
    }

    /// Locates an observed path, including one without the symbolic links to a root.
    pub fn locate(&self, path: &str) -> RootedPath {
        let below = |(root, location): (&Root, &Location)| {
            let found =
                location.paths().filter_map(|location| Some((location.as_str().len(), is_below(path, location)?)));
            let (length, rest) = found.max_by_key(|(length, _)| *length)?;
            Some((length, *root, rest.to_owned()))
        };
        let longest = self.locations.iter().filter_map(below).max_by_key(|(length, root, _)| (*length, *root));
        match longest {
            Some((_, root, rest)) => RootedPath::Below { root, rest },
            None => RootedPath::Plain(path.to_owned()),
        }
    }

    /// The path under these roots; none if its root is not known.
    pub fn resolve(&self, path: &RootedPath) -> Option<Utf8PathBuf> {
        match path {
            RootedPath::Below { root, rest } => Some(format!("{}{rest}", self.get(*root)?).into()),
            RootedPath::Plain(path) => Some(path.into()),
        }
    }

    /// Records a text, as a path if all of it is at or below one of `own`: directories with a hash of cargo's in their
    /// names, such as an `OUT_DIR`.
    pub fn record_value(&self, text: &str, own: &[&Utf8Path]) -> Value {
        let is_own = own.iter().any(|directory| is_below(text, directory).is_some());
        match self.below(text).filter(|_| is_own && !is_list(text)) {
            Some(path) => Value::Path(path),
            None => Value::Text(text.to_owned()),
        }
    }

    /// The value under these roots; none if its root is not known.
    pub fn resolve_value(&self, value: &Value) -> Option<String> {
        match value {
            Value::Text(text) => Some(text.clone()),
            Value::Path(path) => self.resolve(path).map(Utf8PathBuf::into_string),
        }
    }

    /// The roots whose path a text contains, as a path or within another word. The path of a directory above a root
    /// counts as well, because a program that searches for a workspace goes up from the build directory. A path that
    /// continues to a root belongs to that root only.
    pub fn held_by(&self, text: &str) -> BTreeSet<Root> {
        let continues = |text: &str, above: &Utf8Path| {
            let paths = self.locations.values().flat_map(Location::paths);
            let mut longer = paths.filter(|path| path.as_str().len() > above.as_str().len());
            longer.any(|path| text.strip_prefix(path.as_str()).is_some_and(|rest| !rest.starts_with(is_name_character)))
        };
        let leads = |above: &Utf8Path| text.match_indices(above.as_str()).any(|(at, _)| !continues(&text[at..], above));
        let is_held = |path: &Utf8Path| text.contains(path.as_str());
        let held =
            |location: &Location| location.paths().any(|path| is_held(path) || identifying_ancestors(path).any(leads));
        self.locations.iter().filter(|(_, location)| held(location)).map(|(root, _)| *root).collect()
    }

    /// Byte strings that bind an output to this machine, each with its root.
    pub fn needles(&self) -> Vec<(Root, String)> {
        let needles =
            self.locations.iter().flat_map(|(root, location)| location.paths().map(|path| (*root, path.to_string())));
        // Every path is below `/`, so finding it means nothing.
        needles.filter(|(_, path)| path.len() > 1).collect()
    }

    /// A path at or below a root that does not go up, except within an external package. The longest root counts, so
    /// that a build directory in the workspace is not taken for the workspace.
    fn below(&self, path: &str) -> Option<RootedPath> {
        let goes_up = || Utf8Path::new(path).components().any(|component| component == Utf8Component::ParentDir);
        let found = self
            .locations
            .iter()
            .filter_map(|(root, location)| Some((*root, location, is_below(path, &location.path)?)));
        let (root, _, rest) = found.max_by_key(|(root, location, _)| (location.path.as_str().len(), *root))?;
        let is_told = !goes_up() || root == Root::CargoHome && stays_in_package(rest);
        is_told.then(|| RootedPath::Below { root, rest: rest.to_owned() })
    }

    /// The roots that a path leads into in a way that is not followed.
    fn bound_by(&self, path: &str) -> BTreeSet<Root> {
        let target = normal(path);
        let leads = |location: &Location| {
            let real = location.real.as_deref().is_some_and(|real| is_below(&target, real).is_some());
            real || is_below(&target, &location.path).is_some() || is_below(path, &location.path).is_some()
        };
        self.locations.iter().filter(|(_, location)| leads(location)).map(|(root, _)| *root).collect()
    }
}

/// The rest of a path at or below a directory. The root of the file system never counts.
fn is_below<'a>(path: &'a str, directory: &Utf8Path) -> Option<&'a str> {
    directory.parent()?;
    let rest = path.strip_prefix(directory.as_str())?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Whether a text continues with another path or an option: then not all of it would move.
fn is_list(text: &str) -> bool {
    const BETWEEN: &[u8] = b":;,= \t\"'|";
    text.as_bytes().windows(2).any(|pair| matches!(pair[1], b'/' | b'-') && BETWEEN.contains(&pair[0]))
}

/// Whether a path below `CARGO_HOME` is in a package and does not leave it. The content of packages is the same
/// everywhere, including the targets of their links.
fn stays_in_package(rest: &str) -> bool {
    const OF_PACKAGES: [&str; 2] = ["/registry/src/", "/git/checkouts/"];
    // An index and a package, or a repository and a commit.
    const DEPTH: usize = 2;
    let Some(rest) = OF_PACKAGES.iter().find_map(|above| rest.strip_prefix(above)) else { return false };
    let mut depth = 0_usize;
    Utf8Path::new(rest).components().all(|component| {
        match component {
            Utf8Component::ParentDir if depth <= DEPTH => return false,
            Utf8Component::ParentDir => depth -= 1,
            _ => depth += 1,
        }
        true
    }) && depth >= DEPTH
}

/// The ancestors of a path that identify its location: its parent, and all that are not directly below `/`.
fn identifying_ancestors(path: &Utf8Path) -> impl Iterator<Item = &Utf8Path> {
    let above = path.ancestors().skip(1).filter(|above| above.parent().is_some()).enumerate();
    above.filter(|(far, above)| *far == 0 || above.components().count() > 2).map(|(_, above)| above)
}

/// Whether a character can be part of the name of a file or directory.
fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || "._-~+@%".contains(character)
}

/// The path without `.` and `..`, by its names only.
pub(crate) fn normal(path: &str) -> String {
    let mut normal = Utf8PathBuf::new();
    for component in Utf8Path::new(path).components() {
        match component {
            Utf8Component::ParentDir => drop(normal.pop()),
            Utf8Component::CurDir => {}
            component => normal.push(component),
        }
    }
    normal.into_string()
}

/// Searches compiled files for the real paths of roots.
///
/// The path of a root with one component, such as `/app` or `/src`, is part of many texts that are not paths of this
/// machine (`/xcache/cargo-home/registry/src/…`, `https://example.com/app/`). So an occurrence counts only if no word
/// continues before or after it. Two letters occur in any machine code, so such a root counts only if a path continues
/// below it.
///
/// Each root takes one pass: outputs reach a gigabyte, and a search for a single string is many times faster than one
/// for several.
#[derive(Debug)]
pub struct PathScanner {
    needles: Vec<(Root, memmem::Finder<'static>)>,
}

impl PathScanner {
    /// Creates a scanner for these roots.
    pub fn new(roots: &Roots) -> Self {
        let finder = |(root, needle): (Root, String)| (root, memmem::Finder::new(&needle).into_owned());
        Self { needles: roots.needles().into_iter().map(finder).collect() }
    }

    /// The roots whose path `bytes` contain.
    pub fn scan(&self, bytes: &[u8]) -> BTreeSet<Root> {
        self.needles.iter().filter(|(_, finder)| occurs_in(finder, bytes)).map(|(root, _)| *root).collect()
    }

    /// All roots that it searches for.
    pub fn all(&self) -> BTreeSet<Root> {
        self.needles.iter().map(|(root, _)| *root).collect()
    }
}

fn occurs_in(finder: &memmem::Finder<'_>, bytes: &[u8]) -> bool {
    let needle = finder.needle();
    if needle[1..].contains(&b'/') {
        return finder.find(bytes).is_some();
    }
    let continues = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| is_name_byte(*byte));
    let is_word = |at: usize| {
        let behind = at + needle.len();
        let is_path = || bytes.get(behind) == Some(&b'/') && continues(Some(behind + 1));
        !continues(at.checked_sub(1)) && !continues(Some(behind)) && (needle.len() > 3 || is_path())
    };
    finder.find_iter(bytes).any(is_word)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii() && is_name_character(char::from(byte))
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
