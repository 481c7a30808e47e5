//! A script: the start of a walk, and its steps. It contains everything needed to repeat the walk.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::{
    Circumstances, Compiler, ConfigPlace, Incremental, Need, Order, Package, Part, Searched, State, Target, TargetDir,
    is_default,
};

/// Files of another version are refused: their meaning may have changed.
const VERSION: u32 = 1;

/// A walk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Script {
    version: u32,
    /// A note for readers about what it showed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub note: String,
    pub start: State,
    pub steps: Vec<Step>,
}

/// Some edits, then a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    #[serde(default, skip_serializing_if = "is_default")]
    pub edits: Vec<Edit>,
    pub command: Command,
    /// Whether xcache may be right here where cargo alone, in the same target directory, would be wrong. Nothing is
    /// compared after such a step.
    #[serde(rename = "unjudged", default, skip_serializing_if = "is_default")]
    pub uncompared: bool,
    /// Packages without changes: xcache must not compile or run anything of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reused: BTreeSet<String>,
}

/// A change of the state, or an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Edit {
    /// Another value. With `quietly`, the file keeps its modification time.
    Value {
        part: u32,
        value: u8,
        quietly: bool,
    },
    AddPart {
        package: String,
        part: Part,
    },
    RemovePart(u32),
    Rename(String),
    Describe {
        package: String,
        description: u8,
    },
    Break {
        package: String,
        broken: bool,
    },
    Target {
        package: String,
        target: Target,
        present: bool,
    },
    Need {
        package: String,
        need: Need,
        present: bool,
    },
    Links {
        package: String,
        links: bool,
    },
    Add(Package),
    Remove(String),
    Profile {
        profile: String,
        field: String,
        value: Option<String>,
    },
    Lint(Option<String>),
    Variable {
        name: String,
        value: Option<String>,
    },
    Rustflags(Option<String>),
    Config {
        place: ConfigPlace,
        key: String,
        value: Option<String>,
    },
    Toolchain(Option<String>),
    Checkout(usize),
    Home(usize),
    TargetDir(TargetDir),
    Vendored(bool),
    Incremental(Incremental),
    Compiler(Compiler),
    Cc(u8),
    /// The directories in a variable; `None` unsets it.
    Searched {
        searched: Searched,
        order: Option<Order>,
    },
    Front(u8),
    Object(u8),
    Flagged(bool),
    /// The target directory is moved to another checkout or another path, and used there.
    Moved {
        checkout: usize,
        target: TargetDir,
    },
    /// The target directory is removed.
    Clean,
    /// Files of the store are damaged.
    Damage {
        how: Damage,
        count: usize,
        seed: u64,
    },
    /// Plain cargo in the same target directory.
    Plain(Command),
    /// A session that is killed.
    Killed {
        command: Command,
        after_ms: u64,
    },
    /// A session that runs at the same time as the next one; with `apart`, in its own target directory.
    Together {
        command: Command,
        apart: bool,
    },
}

/// What happens to files in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Damage {
    Remove,
    Truncate,
    Flip,
    /// Two files exchange their contents.
    Exchange,
    /// Everything is removed.
    Everything,
}

/// A cargo command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Command {
    pub verb: Verb,
    #[serde(default, skip_serializing_if = "is_default")]
    pub profile: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub packages: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub all_targets: bool,
    /// Packages whose feature `loud` is enabled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub loud: BTreeSet<String>,
    /// Whether `--target` names the host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub triple: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub config: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verb {
    Build,
    Check,
    Clippy,
    Run,
    /// `cargo rustc` for the program of the package, with an object for the linker.
    Rustc,
    Test,
    TestNoRun,
}

impl Script {
    pub(crate) fn new(start: State, steps: Vec<Step>) -> Self {
        Self { version: VERSION, note: String::new(), start, steps }
    }

    /// Whether it uses or names this checkout.
    pub(crate) fn mentions_checkout(&self, n: usize) -> bool {
        // All fields with a checkout have this name.
        serde_json::to_string(self).is_ok_and(|text| text.contains(&format!("\"checkout\":{n}")))
    }

    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let script: Self = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if script.version != VERSION {
            return Err(format!("{} is of version {}, this program reads {VERSION}", path.display(), script.version));
        }
        Ok(script)
    }

    pub(crate) fn write(&self, path: &Path) {
        let text = serde_json::to_string_pretty(self).expect("a script is plain data");
        support::tree::write(path, text + "\n");
    }
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Check => "check",
            Self::Clippy => "clippy",
            Self::Run => "run",
            Self::Rustc => "rustc",
            Self::Test => "test",
            Self::TestNoRun => "test --no-run",
        }
    }
}

impl Command {
    pub(crate) fn new(verb: Verb) -> Self {
        Self {
            verb,
            profile: None,
            packages: BTreeSet::new(),
            all_targets: false,
            loud: BTreeSet::new(),
            triple: false,
            config: Vec::new(),
        }
    }

    /// Cargo's arguments. `host` is the triple of this machine, and `object` is for the linker.
    pub(crate) fn arguments(&self, host: &str, object: Option<&Path>) -> Vec<String> {
        let Self { verb, profile, packages, all_targets, loud, triple, config } = self;
        let mut arguments: Vec<String> = verb.name().split(' ').map(str::to_owned).collect();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["--message-format", "json"]);
        match profile.as_deref() {
            Some("release") => add(&["--release"]),
            Some(profile) => add(&["--profile", profile]),
            None => {}
        }
        packages.iter().for_each(|package| add(&["-p", package]));
        if *verb == Verb::Rustc {
            packages.iter().for_each(|package| add(&["--bin", package]));
        }
        loud.iter().for_each(|package| add(&["--features", &format!("{package}/loud")]));
        if *all_targets && !matches!(verb, Verb::Run | Verb::Rustc) {
            add(&["--all-targets"]);
        }
        if *triple {
            add(&["--target", host]);
        }
        config.iter().for_each(|config| add(&["--config", config]));
        match (verb, object) {
            (Verb::Test, _) => add(&["--", "--nocapture", "--test-threads=1"]),
            (Verb::Rustc, Some(object)) => add(&["--", "-C", &format!("link-arg={}", object.display())]),
            _ => {}
        }
        arguments
    }

    /// The directory of the profile, below the target directory.
    pub(crate) fn profile_dir(&self, host: &str) -> String {
        let profile = self.profile.as_deref().unwrap_or("debug");
        if self.triple { format!("{host}/{profile}") } else { profile.to_owned() }
    }
}

impl Edit {
    /// Its name in the summary.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Value { quietly: false, .. } => "a content of the same length",
            Self::Value { quietly: true, .. } => "a content of the same length and time",
            Self::AddPart { .. } => "an addition",
            Self::RemovePart(_) => "a deletion",
            Self::Rename(_) => "files renamed",
            Self::Describe { .. } => "a field of a manifest",
            Self::Break { .. } => "an error in the source, or its correction",
            Self::Target { .. } => "a target added or removed",
            Self::Need { .. } => "a dependency added or removed",
            Self::Links { .. } => "links",
            Self::Add(_) => "an added package",
            Self::Remove(_) => "a removed package",
            Self::Profile { .. } => "a profile",
            Self::Lint(_) => "lints",
            Self::Variable { .. } => "a variable",
            Self::Rustflags(_) => "RUSTFLAGS",
            Self::Config { .. } => "a configuration file",
            Self::Toolchain(_) => "a toolchain",
            Self::Checkout(_) => "another checkout",
            Self::Home(_) => "another CARGO_HOME",
            Self::TargetDir(_) => "another target directory",
            Self::Vendored(_) => "vendoring",
            Self::Incremental(_) => "incremental compilation",
            Self::Compiler(_) => "a wrapper or another rustc",
            Self::Cc(_) => "another C compiler",
            Self::Searched { .. } => "a search path",
            Self::Front(_) => "a program in front of the C compiler, or its input",
            Self::Object(_) => "an object that flags name",
            Self::Flagged(_) => "flags that name an object",
            Self::Moved { .. } => "a moved target directory",
            Self::Clean => "an empty target directory",
            Self::Damage { .. } => "a damaged store",
            Self::Plain(_) => "plain cargo in between",
            Self::Killed { .. } => "a killed session",
            Self::Together { .. } => "two sessions at once",
        }
    }

    /// Changes the state, unless it is an event.
    pub(crate) fn apply(&self, state: &mut State) {
        match self {
            Self::Value { part, value, .. } => with_part(state, *part, |part| part.value = *value),
            Self::AddPart { package, part } if state.part(part.id).is_none() => {
                with_package(state, package, |package| package.parts.push(part.clone()));
            }
            Self::RemovePart(id) => {
                state.packages.iter_mut().for_each(|package| package.parts.retain(|part| part.id != *id));
            }
            Self::Rename(package) => with_package(state, package, |package| package.renamed ^= 1),
            Self::Describe { package, description } => {
                with_package(state, package, |package| package.description = *description);
            }
            Self::Break { package, broken } => with_package(state, package, |package| package.broken = *broken),
            Self::Target { package, target, present } => with_package(state, package, |package| {
                package.targets.remove(target);
                package.targets.extend(present.then_some(*target));
            }),
            Self::Need { package, need, present } => with_package(state, package, |package| {
                package.needs.retain(|other| other.on != need.on);
                package.needs.extend(present.then(|| need.clone()));
            }),
            Self::Links { package, links } => with_package(state, package, |package| package.links = *links),
            Self::Add(package) if state.package(&package.name).is_none() => state.packages.push(package.clone()),
            Self::Remove(name) => state.packages.retain(|package| package.name != *name),
            _ => self.apply_to_circumstances(&mut state.circumstances),
        }
    }

    fn apply_to_circumstances(&self, circumstances: &mut Circumstances) {
        match self {
            Self::Profile { profile, field, value } => {
                set(circumstances.profiles.entry(profile.clone()).or_default(), field, value);
                circumstances.profiles.retain(|_, fields| !fields.is_empty());
            }
            Self::Lint(level) => circumstances.lint.clone_from(level),
            Self::Variable { name, value } => set(&mut circumstances.variables, name, value),
            Self::Rustflags(flags) => circumstances.rustflags.clone_from(flags),
            Self::Config { place, key, value } => {
                set(circumstances.configs.entry(*place).or_default(), key, value);
                circumstances.configs.retain(|_, lines| !lines.is_empty());
            }
            Self::Toolchain(toolchain) => circumstances.toolchain.clone_from(toolchain),
            Self::Checkout(checkout) => circumstances.checkout = *checkout,
            Self::Home(home) => circumstances.home = *home,
            Self::TargetDir(target) => circumstances.target = *target,
            Self::Vendored(vendored) => circumstances.vendored = *vendored,
            Self::Compiler(compiler) => circumstances.compiler = *compiler,
            Self::Cc(cc) => circumstances.cc = *cc,
            Self::Searched { searched, order } => {
                circumstances.searched.remove(searched);
                circumstances.searched.extend(order.map(|order| (*searched, order)));
            }
            Self::Front(front) => circumstances.front = *front,
            Self::Object(value) => circumstances.object = Some(*value),
            Self::Flagged(flagged) => circumstances.flagged = *flagged,
            Self::Moved { checkout, target } => (circumstances.checkout, circumstances.target) = (*checkout, *target),
            Self::Incremental(incremental) => circumstances.incremental = *incremental,
            _ => {}
        }
    }
}

fn with_package(state: &mut State, name: &str, change: impl FnOnce(&mut Package)) {
    if let Some(package) = state.package_mut(name) {
        change(package);
    }
}

fn with_part(state: &mut State, id: u32, change: impl FnOnce(&mut Part)) {
    let parts = state.packages.iter_mut().flat_map(|package| &mut package.parts);
    if let Some(part) = { parts }.find(|part| part.id == id) {
        change(part);
    }
}

fn set(map: &mut std::collections::BTreeMap<String, String>, key: &str, value: &Option<String>) {
    match value {
        Some(value) => drop(map.insert(key.to_owned(), value.clone())),
        None => drop(map.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circumstances_can_be_undone() {
        let name = || "XD_U".to_owned();
        let undone = [
            (Edit::Front(2), Edit::Front(0)),
            (Edit::Flagged(true), Edit::Flagged(false)),
            (Edit::Variable { name: name(), value: Some("p".into()) }, Edit::Variable { name: name(), value: None }),
            (
                Edit::Searched { searched: Searched::Cpath, order: Some(Order::Late) },
                Edit::Searched { searched: Searched::Cpath, order: None },
            ),
        ];
        let start = State::default();
        let mut state = start.clone();
        for (edit, _) in &undone {
            let before = state.clone();
            edit.apply(&mut state);
            assert_ne!(state, before, "{edit:?}");
        }
        undone.iter().for_each(|(_, undo)| undo.apply(&mut state));
        assert_eq!(state, start);
    }

    #[test]
    fn cargo_rustc_passes_the_object_for_one_program() {
        let mut command = Command::new(Verb::Rustc);
        command.packages.insert("one".into());
        let arguments = command.arguments("x86_64-unknown-linux-gnu", Some(Path::new("/o.o"))).join(" ");
        assert_eq!(arguments, "rustc --message-format json -p one --bin one -- -C link-arg=/o.o");
        assert!(!command.arguments("x86_64-unknown-linux-gnu", None).contains(&"--".to_owned()));
    }
}
