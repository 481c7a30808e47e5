//! The data of a script: a workspace and its circumstances.
//!
//! A [`State`] contains everything that the result of plain cargo depends on, and no path of this machine, so a script
//! means the same on every machine. [`render`](crate::render) makes files from it.
//!
//! **Invariant.** Any state can be rendered: a reference to a missing package is ignored. So a state can be shrunk in
//! any way.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Sources and circumstances.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub packages: Vec<Package>,
    #[serde(rename = "around", default, skip_serializing_if = "is_default")]
    pub circumstances: Circumstances,
}

/// A package. It can depend only on packages that come later in [`State::packages`].
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Package {
    pub name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Origin,
    /// Whether it is a procedural macro.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_macro: bool,
    /// Whether its manifest has `links`, so that its build script passes metadata to those of its dependents.
    #[serde(default, skip_serializing_if = "is_default")]
    pub links: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub needs: Vec<Need>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub parts: Vec<Part>,
    /// Its targets besides the library.
    #[serde(default, skip_serializing_if = "is_default")]
    pub targets: BTreeSet<Target>,
    /// A number in `description`, which `env!` reads.
    #[serde(default, skip_serializing_if = "is_default")]
    pub description: u8,
    /// A number in the names of its files.
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
    /// A directory in the workspace that is not a member.
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
    pub how: DependencyTable,
    /// Whether the dependency enables the feature `loud`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub loud: bool,
}

/// The table of the manifest that a dependency is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DependencyTable {
    #[default]
    Normal,
    Build,
    Dev,
    /// `target.'cfg(unix)'.dependencies`.
    Unix,
    /// `target.'cfg(xd_flag)'.dependencies`: effective if `RUSTFLAGS` set the flag.
    Flagged,
}

/// A target of a package besides the library.
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

/// One input that decides what a package reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Its number, which is unique in the workspace.
    pub id: u32,
    /// A digit, so that edited files keep their length.
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: u8,
    pub kind: Kind,
}

/// The kind of a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A literal in the library.
    Literal,
    /// The same in a separate module.
    Module,
    /// A function that is compiled where it is called.
    Inlined,
    /// A file that `include_str!` reads.
    Included,
    /// The same, for a file of the workspace outside of the package. Only members have it.
    Shared,
    /// `option_env!` of a variable.
    Variable(String),
    /// Paths and texts from the manifest that `env!` reads.
    Manifest,
    /// The panic strategy and flags, as `cfg!` shows them.
    Configuration,
    /// An unused variable, for a compiler warning.
    Warns,
    /// The variables of cargo and its wrappers that the program sees in its own environment.
    Ambient,
    /// A file of the macro's own package that is read when the macro is expanded.
    OwnFile,
    /// The expansion of a macro, from something of this package.
    Expanded { by: String, of: Expanded },
    /// A value that the build script finds, and how it passes the value on.
    Scripted {
        source: Source,
        #[serde(rename = "told")]
        declaration: Declaration,
    },
    /// The number that a linked object or archive returns.
    Linked(Linking),
    /// A value that the object named by flags sets when the program starts.
    Started,
}

/// What a macro reads where it is expanded, without declaring it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expanded {
    /// A file of the package that uses the macro.
    File,
    /// The value that the part with this number gets from the script: by `rustc-env`, or in a file in `OUT_DIR`.
    Script(u32),
    /// `CARGO_PKG_NAME` and the like.
    Package,
    /// An undeclared variable.
    #[serde(rename = "undeclared")]
    UndeclaredVariable,
    /// Another undeclared input.
    #[serde(rename = "untold")]
    UndeclaredInput(UndeclaredInput),
}

/// What a script or a macro reads without declaring it to cargo or the compiler. The value of its part, 0 to 3, decides
/// the contents.
///
/// **Invariant.** No source differs with the value, so only reading the input reveals it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UndeclaredInput {
    /// A variable.
    Variable(String),
    /// A file outside of all packages, named by a variable that a script may declare.
    Named { variable: String, declared: bool },
    /// A file outside of all packages.
    File,
    /// The same; with the value 0 it does not exist.
    Appearing,
    /// The names in a directory outside of all packages, which does not exist with 0 and is empty with 1.
    Listing,
    /// The output of a program in `PATH`, which does not exist with 0; with 3, another program precedes it.
    Tool,
    /// A file of the member that git ignores.
    Ignored,
    /// A line of the workspace's manifest.
    Manifest,
    /// A file of another member, whose directory is inside this one.
    Nested,
    /// The names in a directory of the member, which does not exist with 0 and is empty with 1.
    Names,
    /// A file outside of all packages, through a link in the member to another link. The values 2 and 3 are in another
    /// file than 0 and 1.
    Links,
    /// The same, but the link in the member leads to the directory of the other link.
    LinkedDirectory,
}

/// How an object or an archive is linked. The part's value, 0 to 3, is the number that it returns; nothing else differs
/// with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Linking {
    /// `rustc-link-arg` with an object.
    Object,
    /// `rustc-link-arg` with a linker script that names an object.
    LinkerScript,
    /// `rustc-link-arg` with a file of arguments that names an object.
    Arguments,
    /// `rustc-link-lib` and `rustc-link-search` with an archive; with 3, another one precedes it.
    Archive,
    /// The same, but `#[link]` in the source names the archive.
    Attribute,
    /// `#[link]`, with the directory of the archive in `LIBRARY_PATH`.
    Variable,
}

/// Where a build script gets a value from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// The script itself.
    Literal,
    /// A file with `rerun-if-changed`.
    File,
    /// The same for its directory.
    Directory,
    /// A file of the package. The script declares nothing, so cargo checks all files.
    AnyFile,
    /// A variable with `rerun-if-env-changed`.
    Variable(String),
    /// A variable that cargo sets for scripts.
    Cargo(String),
    /// A text that looks like a path.
    Text(Text),
    /// The metadata of a dependency with `links`.
    Metadata(String),
    /// The report of a build dependency.
    Dependency(String),
    /// The names of all variables, and the values of those that name compilers.
    Environment,
    /// An undeclared input.
    #[serde(rename = "untold")]
    Undeclared(UndeclaredInput),
    /// The output of a C program that the script compiles and runs, with a header outside of all packages, which does
    /// not exist with 0; with 3, another one precedes it.
    Header(Search),
}

/// How the C compiler finds a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Search {
    /// `-I`.
    Flag,
    /// `CPATH`.
    Variable,
}

/// A text with parts of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Text {
    /// `https://example.com/apple`.
    Url,
    /// `{{workspace}}/{{name}}`.
    Braces,
    /// The path of a checkout, wherever the script runs, followed by letters.
    Checkout(usize),
    /// The path of a cargo home, followed by a slash and letters.
    Home(usize),
    /// The directory of the package, without a slash.
    Here,
    /// The same, followed by letters.
    HereAndMore,
    /// The root of the workspace, without a slash. External packages find it above `OUT_DIR`.
    Root,
    /// The same, followed by letters.
    RootAndMore,
    /// `OUT_DIR`.
    Out,
}

/// How a build script passes on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Declaration {
    /// `rustc-env`.
    Env,
    /// `rustc-cfg` with a digit computed from the value, and `rustc-check-cfg`.
    Cfg,
    /// A file in `OUT_DIR` that the library includes.
    Generated,
    /// The same, as code.
    Code,
    /// The same, with a mode that the program reports.
    Mode(u32),
    /// The same, but appended to what an earlier run left there.
    Appended,
    /// A C file that is compiled and linked with the library.
    Native,
    /// `metadata` for the scripts of dependents.
    Metadata,
    /// `warning`.
    Warning,
}

/// The circumstances of a build.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Circumstances {
    #[serde(skip_serializing_if = "is_default")]
    pub variables: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub rustflags: Option<String>,
    /// Lines `key = value` of configuration files.
    #[serde(skip_serializing_if = "is_default")]
    pub configs: BTreeMap<ConfigPlace, BTreeMap<String, String>>,
    /// `[profile.<name>]`: lines `key = value`, some of them for one package.
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
    /// What cargo starts instead of rustc.
    #[serde(skip_serializing_if = "is_default")]
    pub compiler: Compiler,
    /// A C compiler that comes first in `PATH`, by the number that it defines; 0 for the machine's own.
    #[serde(skip_serializing_if = "is_default")]
    pub cc: u8,
    /// Whether the checkout is a git repository.
    #[serde(skip_serializing_if = "is_default")]
    pub git: bool,
    /// The variables with directories outside of all packages, and the order of the directories.
    #[serde(skip_serializing_if = "is_default")]
    pub searched: BTreeMap<Searched, Order>,
    /// The number in the file that the program named by `CC` reads before it calls the C compiler; 0 for no such
    /// program.
    #[serde(skip_serializing_if = "is_default")]
    pub front: u8,
    /// The number in the object that flags name, if there is one.
    #[serde(skip_serializing_if = "is_default")]
    pub object: Option<u8>,
    /// Whether `target.<triple>.rustflags` name the object.
    #[serde(skip_serializing_if = "is_default")]
    pub flagged: bool,
}

/// A variable with directories to search.
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

/// Which of two directories are searched, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// The early one, then the late one.
    #[default]
    Both,
    /// The late one, then the early one.
    Reversed,
    /// Only the late one.
    Late,
}

/// A program instead of rustc or in front of it, which passes a digit to the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Compiler {
    pub by: CompilerSetting,
    /// The number of the program, which is in its name.
    #[serde(skip_serializing_if = "is_default")]
    pub name: u8,
    /// The digit.
    #[serde(skip_serializing_if = "is_default")]
    pub digit: u8,
}

/// How cargo finds such a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CompilerSetting {
    /// There is none.
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

/// The place of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConfigPlace {
    Workspace,
    Above,
    Home,
}

/// The target directory in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TargetDir {
    /// `target` in the workspace.
    #[default]
    Inside,
    /// `CARGO_TARGET_DIR` names another one.
    Elsewhere,
    /// `CARGO_BUILD_BUILD_DIR` names a separate build directory.
    BuildDir,
    /// The same build directory, with another target directory.
    BuildDirAndElsewhere,
    /// `CARGO_TARGET_DIR` names a symbolic link.
    Linked,
    /// `CARGO_TARGET_DIR` is relative.
    Relative,
}

/// Whether members are compiled incrementally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Incremental {
    /// `CARGO_INCREMENTAL=0`.
    #[default]
    Off,
    /// Left to the profile.
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

    /// The part with a number, and its package.
    pub(crate) fn part(&self, id: u32) -> Option<(&Package, &Part)> {
        self.packages.iter().find_map(|package| Some((package, package.parts.iter().find(|part| part.id == id)?)))
    }

    /// The dependencies of a package that exist and are allowed.
    pub(crate) fn needed<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = (&'a Need, &'a Package)> {
        let later = self.packages.iter().skip_while(|other| other.name != package.name).skip(1);
        later.filter(|other| package.origin.may_need(other.origin)).filter_map(|other| {
            let need = package.needs.iter().find(|need| need.on == other.name)?;
            Some((need, other))
        })
    }
}

impl Origin {
    /// Follows cargo's rules, and the rule of this program that each package has one path.
    pub(crate) fn may_need(self, other: Self) -> bool {
        match self {
            Self::Member => true,
            Self::Side => other != Self::Member,
            Self::Git | Self::Registry => other == Self::Registry,
        }
    }
}

impl Package {
    /// The parts of its build script.
    pub(crate) fn scripted(&self) -> impl Iterator<Item = (&Part, &Source, Declaration)> {
        self.parts.iter().filter_map(|part| match &part.kind {
            Kind::Scripted { source, declaration } => Some((part, source, *declaration)),
            _ => None,
        })
    }

    /// The parts that are linked.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (&Part, Linking)> {
        self.parts.iter().filter_map(|part| match part.kind {
            Kind::Linked(linking) => Some((part, linking)),
            _ => None,
        })
    }

    /// The undeclared inputs of its script and its macro calls.
    pub(crate) fn undeclared_inputs(&self) -> impl Iterator<Item = (&Part, &UndeclaredInput)> {
        self.parts.iter().filter_map(|part| match &part.kind {
            Kind::Scripted { source: Source::Undeclared(input), .. }
            | Kind::Expanded { of: Expanded::UndeclaredInput(input), .. } => Some((part, input)),
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
    /// Whether its value decides something outside of all sources that cargo is not told about.
    pub(crate) fn is_outside(&self) -> bool {
        match &self.kind {
            Kind::Scripted { source: Source::Undeclared(input), .. }
            | Kind::Expanded { of: Expanded::UndeclaredInput(input), .. } => {
                !matches!(input, UndeclaredInput::Variable(_))
            }
            Kind::Scripted { source, .. } => matches!(source, Source::Header(_)),
            Kind::Linked(_) => true,
            _ => false,
        }
    }

    /// The variable with the directories that it searches.
    pub(crate) fn searched(&self) -> Option<Searched> {
        match &self.kind {
            Kind::Scripted { source: Source::Undeclared(UndeclaredInput::Tool), .. }
            | Kind::Expanded { of: Expanded::UndeclaredInput(UndeclaredInput::Tool), .. } => Some(Searched::Path),
            Kind::Scripted { source: Source::Header(Search::Variable), .. } => Some(Searched::Cpath),
            Kind::Linked(Linking::Variable) => Some(Searched::LibraryPath),
            _ => None,
        }
    }
}

impl UndeclaredInput {
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
    /// Whether it is an argument of the linker: these go into programs, tests and macros, but not into libraries.
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

    /// The name of the directories to search.
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
