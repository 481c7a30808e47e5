//! The absolute directories that differ from one machine, checkout or target directory to the next.
//!
//! A path that is *known to be a path* is recorded as a [`RootedPath`]: one of these directories and what is below it,
//! split where a component ends. It moves to wherever the directory is. Any other text is recorded as it is, and never
//! changed: [`Roots::held_by`] tells which of the directories it holds, and whatever was recorded with it is then *bound*
//! to them ([`Roots::digest`]), that is, good only where they are the same. What rustc writes into its outputs is told with
//! `--remap-path-prefix` to hold none of them.
//!
//! **Invariants.** Pure: it is given the paths and never asks the file system. Nothing is ever replaced in a text. A path
//! that was recorded comes back as it was under the same roots, letter by letter; where no path can be told to mean the
//! same under others, it is text.

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
    /// Its name, for people.
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

    /// What rustc is told to write instead of the path, for the roots whose paths it would otherwise write.
    ///
    /// The names say where they come from; a debugger maps them back with one
    /// `set substitute-path /xcache/cargo-home ~/.cargo`.
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
        /// Whatever is behind the root: nothing, or a slash and more.
        rest: String,
    },
    /// Relative, or absolute and below no root: the same everywhere.
    Plain(String),
}

impl RootedPath {
    /// The root that it is below.
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

/// A text as it is recorded, of which it is not known that it is a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// As it is.
    Text(String),
    /// The whole of it is a path in a directory whose name nobody comes upon by chance.
    Path(RootedPath),
}

/// One root, here and now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Place {
    path: Utf8PathBuf,
    /// The same without symbolic links, where that is another path.
    real: Option<Utf8PathBuf>,
}

impl Place {
    fn paths(&self) -> impl Iterator<Item = &Utf8Path> {
        [Some(self.path.as_path()), self.real.as_deref()].into_iter().flatten()
    }
}

/// Where each root is, here and now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roots {
    places: BTreeMap<Root, Place>,
}

impl Roots {
    /// From pairs. Paths that are not absolute are left out.
    pub fn new(paths: impl IntoIterator<Item = (Root, Utf8PathBuf)>) -> Self {
        let place = |(root, path): (Root, Utf8PathBuf)| (root, Place { path, real: None });
        Self { places: paths.into_iter().filter(|(_, path)| path.is_absolute()).map(place).collect() }
    }

    /// Says what the roots are behind symbolic links; nothing of those that are not there.
    #[must_use]
    pub fn resolved(mut self, real: impl Fn(&Utf8Path) -> Option<Utf8PathBuf>) -> Self {
        for place in self.places.values_mut() {
            place.real = real(&place.path).filter(|real| *real != place.path);
        }
        self
    }

    /// The path of one root.
    pub fn get(&self, root: Root) -> Option<&Utf8Path> {
        self.places.get(&root).map(|place| place.path.as_path())
    }

    /// The path of one root, and the same without symbolic links, where that is another path.
    pub fn paths_of(&self, root: Root) -> impl Iterator<Item = &Utf8Path> {
        self.places.get(&root).into_iter().flat_map(Place::paths)
    }

    /// The digest of a root's path: how an entry that is bound to it remembers where it is good.
    pub fn digest(&self, root: Root) -> Option<Digest> {
        self.places.get(&root).map(|place| Digest::of_value(Domain::RootPath, place))
    }

    /// The digest of all paths.
    pub fn digest_of_all(&self) -> Digest {
        Digest::of_value(Domain::RootPath, &self.places)
    }

    /// Arguments for rustc, where it compiles packages of the workspace or others. Placed before cargo's own, so that a
    /// `--remap-path-prefix` of the user's still wins.
    pub fn remap_arguments(&self, is_of_workspace: bool) -> Vec<String> {
        let mut remapped: Vec<_> =
            self.remapped().filter(|(root, ..)| is_of_workspace || *root != Root::Workspace).collect();
        // rustc lets the last matching prefix win, so the longest has to come last.
        remapped.sort_by_key(|(_, _, real)| real.as_str().len());
        remapped.into_iter().map(|(_, name, real)| format!("--remap-path-prefix={real}={name}")).collect()
    }

    /// Virtual and real path of each root that may be remapped, so that a diagnostic can name files that exist.
    pub fn virtual_pairs(&self) -> Vec<(String, String)> {
        self.remapped().map(|(_, name, real)| (name.to_owned(), real.to_string())).collect()
    }

    /// The roots that have a virtual path, and the path that rustc knows each by. It runs in the workspace, and is told by
    /// the system which directory it runs in: without links.
    fn remapped(&self) -> impl Iterator<Item = (Root, &'static str, &Utf8Path)> {
        self.places.iter().filter_map(|(root, place)| {
            let real = place.real.as_deref().filter(|_| *root == Root::Workspace);
            Some((*root, root.virtual_path()?, real.unwrap_or(&place.path)))
        })
    }

    /// Records what is a path. What it is bound to is added to `bound`: a path that goes up again, unless it stays in a
    /// package of others, or is given without the symbolic links that lead to a root.
    pub fn record(&self, path: &str, bound: &mut BTreeSet<Root>) -> RootedPath {
        match self.below(path) {
            Some(rooted) => rooted,
            None => {
                bound.extend(self.bound_by(path));
                RootedPath::Plain(path.to_owned())
            }
        }
    }

    /// Records a path that was given from a directory: it moves with that, also where it goes up again.
    pub fn record_from(&self, directory: &Utf8Path, path: &Utf8Path, bound: &mut BTreeSet<Root>) -> RootedPath {
        match self.below(directory.as_str()) {
            Some(RootedPath::Below { root, rest }) if path.is_relative() => {
                RootedPath::Below { root, rest: format!("{rest}/{path}") }
            }
            _ => self.record(directory.join(path).as_str(), bound),
        }
    }

    /// Where a path is that somebody was seen to use: also one without the links that lead to a root.
    pub fn locate(&self, path: &str) -> RootedPath {
        let below = |(root, place): (&Root, &Place)| {
            let found = place.paths().filter_map(|place| Some((place.as_str().len(), is_below(path, place)?)));
            let (length, rest) = found.max_by_key(|(length, _)| *length)?;
            Some((length, *root, rest.to_owned()))
        };
        let longest = self.places.iter().filter_map(below).max_by_key(|(length, root, _)| (*length, *root));
        match longest {
            Some((_, root, rest)) => RootedPath::Below { root, rest },
            None => RootedPath::Plain(path.to_owned()),
        }
    }

    /// The path here; nothing where its root is not known.
    pub fn resolve(&self, path: &RootedPath) -> Option<Utf8PathBuf> {
        match path {
            RootedPath::Below { root, rest } => Some(format!("{}{rest}", self.get(*root)?).into()),
            RootedPath::Plain(path) => Some(path.into()),
        }
    }

    /// Records a text that is a path if it is, as a whole, at or below one of `own`: directories with a hash of cargo's in
    /// their names, such as an `OUT_DIR`.
    pub fn record_value(&self, text: &str, own: &[&Utf8Path]) -> Value {
        let is_own = own.iter().any(|directory| is_below(text, directory).is_some());
        match self.below(text).filter(|_| is_own && !is_list(text)) {
            Some(path) => Value::Path(path),
            None => Value::Text(text.to_owned()),
        }
    }

    /// The value here; nothing where a root of it is not known.
    pub fn resolve_value(&self, value: &Value) -> Option<String> {
        match value {
            Value::Text(text) => Some(text.clone()),
            Value::Path(path) => self.resolve(path).map(Utf8PathBuf::into_string),
        }
    }

    /// The roots whose path stands in a text, as a path or as part of another word; or that of a directory above one, as
    /// who looks for a workspace goes up from the build directory. Where a path goes on to a root, it is of that root only.
    pub fn held_by(&self, text: &str) -> BTreeSet<Root> {
        let goes_on = |text: &str, above: &Utf8Path| {
            let paths = self.places.values().flat_map(Place::paths);
            let mut longer = paths.filter(|path| path.as_str().len() > above.as_str().len());
            longer.any(|path| text.strip_prefix(path.as_str()).is_some_and(|rest| !rest.starts_with(is_of_name)))
        };
        let leads = |above: &Utf8Path| text.match_indices(above.as_str()).any(|(at, _)| !goes_on(&text[at..], above));
        let is_held = |path: &Utf8Path| text.contains(path.as_str());
        let held = |place: &Place| place.paths().any(|path| is_held(path) || telling(path).any(leads));
        self.places.iter().filter(|(_, place)| held(place)).map(|(root, _)| *root).collect()
    }

    /// Byte strings whose presence in an output ties it to this machine, with the root each belongs to.
    pub fn needles(&self) -> Vec<(Root, String)> {
        let needles = self.places.iter().flat_map(|(root, place)| place.paths().map(|path| (*root, path.to_string())));
        // Every path is below `/`: to look for it tells nothing.
        needles.filter(|(_, path)| path.len() > 1).collect()
    }

    /// A path that is at a root or below it, and goes up nowhere but in a package of others: the longest one counts, so that
    /// a build directory in the workspace is not taken for the workspace.
    fn below(&self, path: &str) -> Option<RootedPath> {
        let goes_up = || Utf8Path::new(path).components().any(|component| component == Utf8Component::ParentDir);
        let found = self.places.iter().filter_map(|(root, place)| Some((*root, place, is_below(path, &place.path)?)));
        let (root, _, rest) = found.max_by_key(|(root, place, _)| (place.path.as_str().len(), *root))?;
        let is_told = !goes_up() || root == Root::CargoHome && stays_in_package(rest);
        is_told.then(|| RootedPath::Below { root, rest: rest.to_owned() })
    }

    /// The roots that a path leads into in a way that is not followed.
    fn bound_by(&self, path: &str) -> BTreeSet<Root> {
        let there = normal(path);
        let leads = |place: &Place| {
            let real = place.real.as_deref().is_some_and(|real| is_below(&there, real).is_some());
            real || is_below(&there, &place.path).is_some() || is_below(path, &place.path).is_some()
        };
        self.places.iter().filter(|(_, place)| leads(place)).map(|(root, _)| *root).collect()
    }
}

/// What is behind a directory in a path that is at it or below it. Nothing is told of the root of the file system.
fn is_below<'a>(path: &'a str, directory: &Utf8Path) -> Option<&'a str> {
    directory.parent()?;
    let rest = path.strip_prefix(directory.as_str())?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Whether a text goes on with another path, or an option, behind the first one: not all of it would move.
fn is_list(text: &str) -> bool {
    const BETWEEN: &[u8] = b":;,= \t\"'|";
    text.as_bytes().windows(2).any(|pair| matches!(pair[1], b'/' | b'-') && BETWEEN.contains(&pair[0]))
}

/// Whether a path below `CARGO_HOME` is in a package, and goes up no further. What is in there is the same everywhere, also
/// where its links lead.
fn stays_in_package(rest: &str) -> bool {
    const OF_PACKAGES: [&str; 2] = ["/registry/src/", "/git/checkouts/"];
    // An index and a package, a repository and a commit.
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

/// The directories above a path that tell where it is: the one right above, and all that are not right below `/`.
fn telling(path: &Utf8Path) -> impl Iterator<Item = &Utf8Path> {
    let above = path.ancestors().skip(1).filter(|above| above.parent().is_some()).enumerate();
    above.filter(|(far, above)| *far == 0 || above.components().count() > 2).map(|(_, above)| above)
}

/// Whether the name of a file or directory goes on with it.
fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || "._-~+@%".contains(character)
}

/// Without `.` and `..`, as far as names tell.
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

/// Looks for the roots' real paths in compiled files.
///
/// A root of one component, such as `/app` or `/src`, is in many words that are no path of this machine
/// (`/xcache/cargo-home/registry/src/…`, `https://example.com/app/`): there, an occurrence counts where no word goes on
/// before or behind it. A root of two letters is in any machine code: it counts where a path goes on below it.
///
/// One pass a root: outputs come to a gigabyte, and a search for a single string is many times faster than one for several.
#[derive(Debug)]
pub struct PathScanner {
    needles: Vec<(Root, memmem::Finder<'static>)>,
}

impl PathScanner {
    /// Looks for these roots.
    pub fn new(roots: &Roots) -> Self {
        let finder = |(root, needle): (Root, String)| (root, memmem::Finder::new(&needle).into_owned());
        Self { needles: roots.needles().into_iter().map(finder).collect() }
    }

    /// The roots whose path stands in `bytes`.
    pub fn scan(&self, bytes: &[u8]) -> BTreeSet<Root> {
        self.needles.iter().filter(|(_, finder)| is_in(finder, bytes)).map(|(root, _)| *root).collect()
    }

    /// All of them.
    pub fn all(&self) -> BTreeSet<Root> {
        self.needles.iter().map(|(root, _)| *root).collect()
    }
}

fn is_in(finder: &memmem::Finder<'_>, bytes: &[u8]) -> bool {
    let needle = finder.needle();
    if needle[1..].contains(&b'/') {
        return finder.find(bytes).is_some();
    }
    let goes_on = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| is_of_word(*byte));
    let is_word = |at: usize| {
        let behind = at + needle.len();
        let is_path = || bytes.get(behind) == Some(&b'/') && goes_on(Some(behind + 1));
        !goes_on(at.checked_sub(1)) && !goes_on(Some(behind)) && (needle.len() > 3 || is_path())
    };
    finder.find_iter(bytes).any(is_word)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii() && is_of_name(char::from(byte))
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
