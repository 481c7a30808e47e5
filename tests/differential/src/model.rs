//! What a script is about: a workspace and its circumstances, as data.
//!
//! A [`State`] holds everything that plain cargo's answer depends on, and no path of this machine, so a script that was
//! written on one machine means the same on another. [`render`](crate::render) makes files of it.
//!
//! **Invariant.** Any state can be rendered: what refers to a package that is not there means nothing. So a state may be
//! made smaller in any way, which is what shrinking does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Sources and circumstances.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub packages: Vec<Package>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub around: Around,
}

/// One package. It may need only packages that come later in [`State::packages`].
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Package {
    pub name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Origin,
    /// Whether it is a procedural macro.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_macro: bool,
    /// Whether its manifest has `links`, so that its build script speaks to those of its dependents.
    #[serde(default, skip_serializing_if = "is_default")]
    pub links: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub needs: Vec<Need>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub parts: Vec<Part>,
    /// What it has besides a library.
    #[serde(default, skip_serializing_if = "is_default")]
    pub targets: BTreeSet<Target>,
    /// Goes into `description`, which `env!` reads.
    #[serde(default, skip_serializing_if = "is_default")]
    pub description: u8,
    /// Goes into the names of the files it has.
    #[serde(default, skip_serializing_if = "is_default")]
    pub renamed: u8,
    /// Whether it does not compile.
    #[serde(default, skip_serializing_if = "is_default")]
    pub broken: bool,
}

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// A member of the workspace.
    #[default]
    Member,
    /// A directory in the workspace, which is no member.
    Side,
    /// A git repository.
    Git,
    /// A registry, or the directory `vendor`.
    Registry,
}

/// A dependency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Need {
    pub on: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub how: How,
    /// Whether the feature `loud` is asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub loud: bool,
}

/// The table of the manifest that a dependency is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    #[default]
    Normal,
    Build,
    Dev,
    /// `target.'cfg(unix)'.dependencies`.
    Unix,
    /// `target.'cfg(xd_flag)'.dependencies`: there where `RUSTFLAGS` say so.
    Flagged,
}

/// What a package has besides a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    Bin,
    Test,
    Example,
    Cdylib,
}

impl Target {
    pub(crate) const ALL: [Self; 4] = [Self::Bin, Self::Test, Self::Example, Self::Cdylib];
}

/// One thing that decides what a package reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Its name, which no other part of the workspace has.
    pub id: u32,
    /// A digit, so that what is edited keeps its length.
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: u8,
    pub kind: Kind,
}

/// What a part is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A literal in the library.
    Literal,
    /// The same in a module of its own.
    Module,
    /// A function that is compiled where it is called.
    Inlined,
    /// A file that `include_str!` reads.
    Included,
    /// The same, outside of the package: in the workspace, by a member.
    Shared,
    /// `option_env!` of a variable.
    Variable(String),
    /// Paths and texts of the manifest that `env!` reads.
    Manifest,
    /// What is left of a panic strategy and of flags in `cfg!`.
    Configuration,
    /// An unused variable, which the compiler warns of.
    Warns,
    /// What the program sees in its own environment of the variables that cargo and its wrappers set.
    Ambient,
    /// A file of the macro's own package that is read when the macro is expanded.
    OwnFile,
    /// What a macro made of something of this package.
    Expanded { by: String, of: Expanded },
    /// What the build script found out, and how it said so.
    Scripted { source: Source, told: Declaration },
    /// What an object or an archive returns that is linked.
    Linked(Linking),
    /// What the object says that flags name, as the program starts.
    Started,
}

/// What a macro reads where it is expanded, without telling the compiler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expanded {
    /// A file of the package that uses the macro.
    File,
    /// The value that the part with this number has through its script: `rustc-env`, or a file in `OUT_DIR`.
    Script(u32),
    /// `CARGO_PKG_NAME` and its kin.
    Package,
    /// A variable that nobody declares.
    Undeclared,
    /// Something else that nobody declares.
    Untold(Untold),
}

/// What a script or a macro reads without a word to cargo or to the compiler. Its part's value, 0 to 3, says what is there.
///
/// **Invariant.** No source differs with the value, so that nobody can know of it who does not look there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Untold {
    /// A variable.
    Variable(String),
    /// A file outside of all packages, whose name a variable gives; a script may declare that variable.
    Named { variable: String, declared: bool },
    /// A file outside of all packages.
    File,
    /// The same; 0 takes it away.
    Appearing,
    /// The names in a directory outside of all packages: 0 takes it away, 1 leaves it empty.
    Listing,
    /// What a program says that `PATH` finds: 0 takes it away, 3 puts another one before it.
    Tool,
    /// A file of the member that git ignores.
    Ignored,
    /// A line of the workspace's manifest.
    Manifest,
    /// A file of another member, whose directory is in that of this one.
    Nested,
    /// The names in a directory of the member: 0 takes it away, 1 leaves it empty.
    Names,
    /// A file outside of all packages, by a link in the member to a link to it: 2 and 3 are in another file than 0 and 1.
    Links,
    /// The same, but the link in the member leads to a directory with the other link.
    LinkedDirectory,
}

/// How an object or an archive comes to be linked. Its part's value, 0 to 3, is what it returns, and nothing else differs
/// with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Linking {
    /// `rustc-link-arg` of an object.
    Object,
    /// `rustc-link-arg` of a linker script, which names an object.
    LinkerScript,
    /// `rustc-link-arg` of a file of arguments, which names an object.
    Arguments,
    /// `rustc-link-lib` and `rustc-link-search` of an archive; 3 puts another one before it.
    Archive,
    /// The same, but `#[link]` in the source names the archive.
    Attribute,
    /// `#[link]`, and `LIBRARY_PATH` says where the archive is.
    Variable,
}

/// Where a build script takes a value from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// It is in the script.
    Literal,
    /// A file with `rerun-if-changed`.
    File,
    /// The same, by its directory.
    Directory,
    /// A file of the package, where the script declares nothing at all, so that cargo looks at all of them.
    AnyFile,
    /// A variable with `rerun-if-env-changed`.
    Variable(String),
    /// A variable that cargo sets for scripts.
    Cargo(String),
    /// A text that looks like a path.
    Text(Text),
    /// What the script of a dependency with `links` said.
    Metadata(String),
    /// What a build dependency reports.
    Dependency(String),
    /// The names of all variables, and those that name compilers.
    Environment,
    /// Something that the script does not declare.
    Untold(Untold),
    /// What a C program says that the script compiles and runs, with a header outside of all packages: 0 takes it away, 3
    /// puts another one before it.
    Header(Search),
}

/// How the C compiler is told where a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Search {
    /// `-I`.
    Flag,
    /// `CPATH`.
    Variable,
}

/// A text with pieces of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Text {
    /// `https://example.com/apple`.
    Url,
    /// `{{workspace}}/{{name}}`.
    Braces,
    /// The path of one checkout, wherever the script runs, and letters after it.
    Checkout(usize),
    /// The path of one package home, with a slash and more behind it.
    Home(usize),
    /// The directory of the package, without a slash.
    Here,
    /// The same, with letters after it.
    HereAndMore,
    /// The root of the workspace, without a slash; a package of somebody else finds it around `OUT_DIR`.
    Root,
    /// The same, with letters after it.
    RootAndMore,
    /// `OUT_DIR`.
    Out,
}

/// How a build script says what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Declaration {
    /// `rustc-env`.
    Env,
    /// `rustc-cfg` of a digit of it, with `rustc-check-cfg`.
    Cfg,
    /// A file in `OUT_DIR` that the library includes.
    Generated,
    /// The same, as code.
    Code,
    /// The same, with a mode that the program reports.
    Mode(u32),
    /// The same, but what an earlier run left there is kept before it.
    Appended,
    /// A C file that is compiled and linked with the library.
    Native,
    /// `metadata` for the scripts of dependents.
    Metadata,
    /// `warning`.
    Warning,
}

/// Circumstances.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Around {
    #[serde(skip_serializing_if = "is_default")]
    pub variables: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub rustflags: Option<String>,
    /// Lines `key = value` of a configuration file.
    #[serde(skip_serializing_if = "is_default")]
    pub configs: BTreeMap<ConfigPlace, BTreeMap<String, String>>,
    /// `[profile.<name>]`: lines `key = value`, of which some are of one package.
    #[serde(skip_serializing_if = "is_default")]
    pub profiles: BTreeMap<String, BTreeMap<String, String>>,
    /// The level of `unused_variables`.
    #[serde(skip_serializing_if = "is_default")]
    pub lint: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub toolchain: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub checkout: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub home: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub target: TargetDir,
    #[serde(skip_serializing_if = "is_default")]
    pub vendored: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub incremental: Incremental,
    /// What stands between cargo and the compiler.
    #[serde(skip_serializing_if = "is_default")]
    pub compiler: Compiler,
    /// A C compiler that comes first in `PATH`, by what it defines; 0 is the one of the machine.
    #[serde(skip_serializing_if = "is_default")]
    pub cc: u8,
    /// Whether the checkout is a git repository.
    #[serde(skip_serializing_if = "is_default")]
    pub git: bool,
    /// The variables that name directories outside of all packages, and which of them.
    #[serde(skip_serializing_if = "is_default")]
    pub searched: BTreeMap<Searched, Order>,
    /// What a file says that the program reads which `CC` names, and which stands before the C compiler; 0 is no program.
    #[serde(skip_serializing_if = "is_default")]
    pub front: u8,
    /// What the object says that flags name; nothing is no object.
    #[serde(skip_serializing_if = "is_default")]
    pub object: Option<u8>,
    /// Whether `target.<triple>.rustflags` name it.
    #[serde(skip_serializing_if = "is_default")]
    pub flagged: bool,
}

/// A variable that names directories to look in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Searched {
    /// `PATH`, before all others.
    Path,
    /// `CPATH`.
    Cpath,
    /// `LIBRARY_PATH`.
    LibraryPath,
}

/// In which of two directories is looked, and in which first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// In the early one, then in the late one.
    #[default]
    Both,
    /// The other way round.
    Reversed,
    /// In the late one only.
    Late,
}

/// A program in the place of rustc or before it, which tells the compiler a digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Compiler {
    pub by: By,
    /// Which program: two differ in their names.
    #[serde(skip_serializing_if = "is_default")]
    pub name: u8,
    /// What it tells the compiler.
    #[serde(skip_serializing_if = "is_default")]
    pub digit: u8,
}

/// How cargo learns of such a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// Not at all.
    #[default]
    Nothing,
    /// `RUSTC_WRAPPER`.
    WrapperVariable,
    /// `build.rustc-wrapper`.
    WrapperConfig,
    /// `RUSTC`.
    RustcVariable,
    /// `build.rustc`.
    RustcConfig,
}

/// Where a configuration file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConfigPlace {
    Workspace,
    Above,
    Home,
}

/// Which target directory is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TargetDir {
    /// `target` in the workspace.
    #[default]
    Inside,
    /// `CARGO_TARGET_DIR` names one elsewhere.
    Elsewhere,
    /// `CARGO_BUILD_BUILD_DIR` names one beside it.
    BuildDir,
    /// The same build directory, with a target directory elsewhere.
    BuildDirAndElsewhere,
    /// `CARGO_TARGET_DIR` names a symbolic link.
    Linked,
    /// `CARGO_TARGET_DIR` is relative.
    Relative,
}

/// What becomes of incremental compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Incremental {
    /// `CARGO_INCREMENTAL=0`.
    #[default]
    Off,
    /// As the profile says.
    Kept,
}

impl State {
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    pub(crate) fn package_mut(&mut self, name: &str) -> Option<&mut Package> {
        self.packages.iter_mut().find(|package| package.name == name)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.origin == Origin::Member)
    }

    /// The part with a number, and the package it is in.
    pub(crate) fn part(&self, id: u32) -> Option<(&Package, &Part)> {
        self.packages.iter().find_map(|package| Some((package, package.parts.iter().find(|part| part.id == id)?)))
    }

    /// What of `package.needs` is there, and may be needed by it.
    pub(crate) fn needed<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = (&'a Need, &'a Package)> {
        let later = self.packages.iter().skip_while(|other| other.name != package.name).skip(1);
        later.filter(|other| package.origin.may_need(other.origin)).filter_map(|other| {
            let need = package.needs.iter().find(|need| need.on == other.name)?;
            Some((need, other))
        })
    }
}

impl Origin {
    /// Cargo's rules, and our own that each package is in one place.
    pub(crate) fn may_need(self, other: Self) -> bool {
        match self {
            Self::Member => true,
            Self::Side => other != Self::Member,
            Self::Git | Self::Registry => other == Self::Registry,
        }
    }
}

impl Package {
    /// What its build script does; nothing where it has none.
    pub(crate) fn scripted(&self) -> impl Iterator<Item = (&Part, &Source, Declaration)> {
        self.parts.iter().filter_map(|part| match &part.kind {
            Kind::Scripted { source, told } => Some((part, source, *told)),
            _ => None,
        })
    }

    /// What is linked with it.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (&Part, Linking)> {
        self.parts.iter().filter_map(|part| match part.kind {
            Kind::Linked(linking) => Some((part, linking)),
            _ => None,
        })
    }

    /// What it reads, in a script or where it uses a macro, and tells nobody.
    pub(crate) fn untold(&self) -> impl Iterator<Item = (&Part, &Untold)> {
        self.parts.iter().filter_map(|part| match &part.kind {
            Kind::Scripted { source: Source::Untold(untold), .. }
            | Kind::Expanded { of: Expanded::Untold(untold), .. } => Some((part, untold)),
            _ => None,
        })
    }

    pub(crate) fn has_script(&self) -> bool {
        self.scripted().next().is_some() || self.linked().any(|(_, linking)| linking != Linking::Variable)
    }

    pub(crate) fn has(&self, target: Target) -> bool {
        self.targets.contains(&target)
    }
}

impl Part {
    /// Whether there is something outside of all sources that its value decides, and nobody tells cargo of it.
    pub(crate) fn is_outside(&self) -> bool {
        match &self.kind {
            Kind::Scripted { source: Source::Untold(untold), .. }
            | Kind::Expanded { of: Expanded::Untold(untold), .. } => !matches!(untold, Untold::Variable(_)),
            Kind::Scripted { source, .. } => matches!(source, Source::Header(_)),
            Kind::Linked(_) => true,
            _ => false,
        }
    }

    /// The variable that names the directories where it looks.
    pub(crate) fn searched(&self) -> Option<Searched> {
        match &self.kind {
            Kind::Scripted { source: Source::Untold(Untold::Tool), .. }
            | Kind::Expanded { of: Expanded::Untold(Untold::Tool), .. } => Some(Searched::Path),
            Kind::Scripted { source: Source::Header(Search::Variable), .. } => Some(Searched::Cpath),
            Kind::Linked(Linking::Variable) => Some(Searched::LibraryPath),
            _ => None,
        }
    }
}

impl Untold {
    /// The variable that it reads.
    pub(crate) fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) | Self::Named { variable: name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether only a member can read it.
    pub(crate) fn is_of_member(&self) -> bool {
        matches!(
            self,
            Self::Ignored | Self::Manifest | Self::Nested | Self::Names | Self::Links | Self::LinkedDirectory
        )
    }
}

impl Linking {
    /// Whether it is an argument of the linker: it goes into programs, tests and macros, and not into a library.
    pub(crate) fn is_argument(self) -> bool {
        matches!(self, Self::Object | Self::LinkerScript | Self::Arguments)
    }
}

impl Searched {
    pub(crate) const ALL: [Self; 3] = [Self::Path, Self::Cpath, Self::LibraryPath];

    /// The name of the variable.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Path => "PATH",
            Self::Cpath => "CPATH",
            Self::LibraryPath => "LIBRARY_PATH",
        }
    }

    /// What is looked for is in directories of this name.
    pub(crate) fn dir(self) -> &'static str {
        match self {
            Self::Path => "bin",
            Self::Cpath => "include",
            Self::LibraryPath => "lib",
        }
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
