//! Turns what the [observer](crate::observe) saw while a unit was made into conditions, and compares these with this
//! machine.
//!
//! [`MachineState`] gives access to the paths and variables of this machine. [`MachineState::record`] leaves out what
//! is fixed already ([`Subject`]) and makes [`Observed`] conditions of the rest. [`MachineState::difference`] finds the
//! first condition that does not hold. Variables cannot be observed: one counts if a program that was at work contains
//! its name ([`names`]).
//!
//! **Invariants.** A condition describes what was there when it was first looked at. If that is not known any more,
//! nothing is recorded. Whatever is left out is fixed by something that is compared. Values and contents are never
//! recorded, only [salted digests](SaltedDigest) of them.

mod classify;
mod names;
pub mod well_known;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};

use self::classify::{KnownDirectories, PathKind};
use self::names::Names;
use crate::cargo::layout::PROFILE_NAMES;
use crate::config::{Settings, Switch, Unobserved};
use crate::digest::{Digest, Domain};
use crate::entry::{IN_PATH, Inputs, Observed, PathState, SaltedDigest};
use crate::event::{Difference, EventLog};
use crate::fs;
use crate::key::UnitKey;
use crate::observe::{self, Access, Mark, Seen, Unknown, Unseen, Use, Was};
use crate::roots::{Root, RootedPath, Roots};
use crate::store::LocalStore;

/// Variables whose values are paths. What is at these paths is observed, so they count only if their value is in the
/// outputs.
const PATH_VARIABLES: &[&str] =
    &["CARGO_HOME", "CARGO_TARGET_DIR", "HOME", "OLDPWD", "PATH", "PWD", "RUSTUP_HOME", "TMPDIR", "XDG_RUNTIME_DIR"];
/// Variables of shells, which change with every command, and of all Rust programs, which change only how they fail.
const IGNORED_VARIABLES: &[&str] =
    &["_", "COLUMNS", "LINES", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_MIN_STACK", "SHLVL", "TERM"];
/// Variables that cargo and rustup set for all programs, whatever their values were.
const SET_BY_CARGO: &[&str] = &[
    "CARGO",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC_WRAPPER",
    "RUST_RECURSION_COUNT",
];
/// Variables by which the C library chooses language, formats and time zone.
const LOCALE: &[&str] =
    &["LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC", "LC_TIME", "TZ"];
/// The variable with the directories that the loader searches first.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// The beginnings of the names of variables that the loader reads, and with it every program.
const LOADER_PREFIXES: &[&str] = &["GLIBC_TUNABLES", "LD_"];
/// Shorter values are not searched for, since any output may contain them. The paths of roots are found in another way.
const MIN_SEARCHED_LENGTH: usize = 16;

/// The words of a built program that may contain names of variables, or why it is unknown which it reads.
type Words = Result<Arc<BTreeSet<String>>, Unknown>;

/// The paths and variables of this machine, as far as conditions can refer to them.
pub struct MachineState {
    roots: Roots,
    home: Option<Utf8PathBuf>,
    /// The environment that cargo was started with.
    environment: BTreeMap<OsString, OsString>,
    /// The variables that cargo's configuration sets.
    configured: BTreeMap<String, String>,
    store: Arc<LocalStore>,
    unknown: Unobserved,
    is_observing: bool,
    has_warned: AtomicBool,
    names: Names,
    /// Digests of contents.
    contents: Mutex<HashMap<(String, Mark), Digest>>,
    /// The names of variables in each program, by its content.
    names_by_program: Mutex<HashMap<Digest, Arc<BTreeSet<String>>>>,
    /// The words of each built program, by its content: many units load the same macro.
    words: Mutex<HashMap<Digest, Words>>,
    /// The words of the macros in each directory.
    macro_words: Mutex<HashMap<Utf8PathBuf, Arc<BTreeSet<String>>>>,
}

/// What was observed: a run of a build script, or a call of the compiler.
pub struct Subject<'a> {
    /// The directories that are fixed by a checksum, or by something else that is compared.
    pub fixed: Vec<&'a Utf8Path>,
    /// Files that are compared already: the sources in the compiler's dep-info.
    pub dep_info_files: BTreeSet<Utf8PathBuf>,
    /// The directories with the sources of crates whose macros it may use.
    pub sources: BTreeSet<&'a Utf8Path>,
    /// The directories that it may write to.
    pub own: Vec<&'a Utf8Path>,
    /// Whether it is a compiler, which also writes where cargo has its own files.
    pub is_compiler: bool,
    /// Its environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The program itself, if it was built.
    pub program: Option<&'a Utf8Path>,
    /// Whether its outputs contain a text.
    pub holds: &'a dyn Fn(&[u8]) -> bool,
}

impl MachineState {
    /// The state of the machine for a session.
    pub fn new(
        roots: Roots,
        environment: BTreeMap<OsString, OsString>,
        configured: BTreeMap<String, String>,
        store: Arc<LocalStore>,
        settings: &Settings,
    ) -> Self {
        let environment = without_toolchain(environment, &roots);
        let home = environment.get(OsStr::new("HOME")).and_then(|home| home.to_str());
        let home = home.map(Utf8PathBuf::from).filter(|home| home.is_absolute() && home.parent().is_some());
        let set = environment.keys().filter_map(|name| name.to_str()).chain(configured.keys().map(String::as_str));
        let names = Names::new(set.filter(|name| counts(name)).collect());
        let (unknown, is_observing) = (settings.unknown, settings.observe == Switch::On);
        let has_warned = AtomicBool::new(false);
        Self {
            roots,
            home,
            environment,
            configured,
            store,
            unknown,
            is_observing,
            has_warned,
            names,
            contents: Mutex::default(),
            names_by_program: Mutex::default(),
            words: Mutex::default(),
            macro_words: Mutex::default(),
        }
    }

    /// The first of an entry's conditions that does not hold.
    pub fn difference(&self, key: UnitKey, inputs: &Inputs) -> Option<Difference> {
        match inputs {
            Inputs::CompilerOnly => None,
            Inputs::Observed(observed) => self.observed_difference(key, observed),
            _ if self.trusts() => None,
            Inputs::Declared => self.can_observe().then_some(Difference::Unobserved),
            Inputs::Trusted => Some(Difference::Unobserved),
        }
    }

    /// Whether the user trusts inputs that were not observed.
    pub fn trusts(&self) -> bool {
        self.unknown == Unobserved::Trust
    }

    /// Whether this session can observe.
    fn can_observe(&self) -> bool {
        self.is_observing && observe::is_possible()
    }

    /// Warns once that nothing can be observed.
    pub fn warn_unobserved(&self, why: &Unseen, log: &EventLog) {
        if !self.has_warned.swap(true, Ordering::SeqCst) {
            log.warn(format!(
                "what build scripts, macros and linkers read cannot be observed here: {}; only those that declare their \
                 inputs or are well known are cached (`observe = \"off\"` hides this warning, `unknown = \"trust\"` caches \
                 all)",
                why.0
            ));
        }
    }

    fn observed_difference(&self, key: UnitKey, observed: &Observed) -> Option<Difference> {
        let paths = observed
            .paths
            .iter()
            .flat_map(|(directory, names)| names.iter().map(move |(name, states)| (join(directory, name), states)));
        let mut paths = paths.filter(|(path, states)| !self.is_unchanged(key, path, states));
        if let Some((path, _)) = paths.next() {
            return Some(Difference::Observed { path });
        }
        let mut variables = observed.variables.iter();
        let differs = |(name, digest): &(&String, &SaltedDigest)| self.variable(key, name) != Some(**digest);
        let other = variables.find(differs).map(|(name, _)| name.clone());
        let is_new = |name: &&String| {
            let is_known = observed.variables.contains_key(*name) || observed.replaced.contains(*name);
            !is_known && !PATH_VARIABLES.contains(&name.as_str())
        };
        let name = other.or_else(|| self.set_variables_in_words(observed).find(|name| is_new(&name)));
        name.map(|name| Difference::Asked { name }).or_else(|| self.program_difference(observed, is_new))
    }

    /// Whether a path has the recorded states. If its root is unknown here, nothing is there.
    fn is_unchanged(&self, key: UnitKey, path: &str, states: &[PathState]) -> bool {
        if let Some(name) = path.strip_prefix(IN_PATH).and_then(|name| name.strip_prefix('/')) {
            return self.found_in_path(key, name).is_some_and(|found| states == [found]);
        }
        let Some(path) = self.resolve(path) else { return states == [PathState::Absent] };
        let was = Was::now(path.as_std_path());
        states.iter().all(|state| match state {
            PathState::Absent => was == Was::Absent,
            PathState::Directory => was == Was::Directory,
            PathState::Other => was == Was::Other,
            PathState::File(digest) => match was {
                Was::File(mark) => {
                    self.content(&path, mark).is_some_and(|content| SaltedDigest::of(key, content) == *digest)
                }
                _ => false,
            },
            PathState::Names(digest) => [names_in(&path), names_in_profile(&path)]
                .into_iter()
                .flatten()
                .any(|names| SaltedDigest::of(key, names) == *digest),
            PathState::Link(digest) => link_at(&path).is_some_and(|link| SaltedDigest::of(key, link) == *digest),
        })
    }

    /// The directories in `PATH`, up to the first one that has a program of this name.
    fn directories_up_to(&self, name: &str) -> impl Iterator<Item = Utf8PathBuf> {
        let path = self.environment.get(OsStr::new("PATH")).map(OsString::as_os_str).unwrap_or_default();
        let directories = std::env::split_paths(path).filter_map(|directory| Utf8PathBuf::try_from(directory).ok());
        let mut is_found = false;
        directories.filter(|directory| directory.is_absolute()).take_while(move |directory| {
            let is_after = is_found;
            is_found |= fs::is_executable(directory.join(name).as_std_path());
            !is_after
        })
    }

    /// What a search of `PATH` for a name finds: the program, and everything of that name before it that is not a
    /// program. `None` if it changes meanwhile.
    fn found_in_path(&self, key: UnitKey, name: &str) -> Option<PathState> {
        let mut found = Vec::new();
        for path in self.directories_up_to(name).map(|directory| directory.join(name)) {
            found.push((
                fs::is_executable(path.as_std_path()),
                match Was::now(path.as_std_path()) {
                    Was::Absent => continue,
                    Was::File(mark) => Some(self.content(&path, mark)?),
                    Was::Directory | Was::Other => None,
                },
            ));
        }
        let content = match *found {
            [] => return Some(PathState::Absent),
            [(true, Some(content))] => content,
            _ => Digest::of_value(Domain::FileContents, &("found", found)),
        };
        Some(PathState::File(SaltedDigest::of(key, content)))
    }

    /// The variables that are set now and that a built program, a macro or a loader may read.
    fn set_variables_in_words(&self, observed: &Observed) -> impl Iterator<Item = String> {
        let of_words = self.names.in_words(&observed.words).into_iter().chain(self.names.among(&observed.macro_words));
        of_words.chain(self.names.all().filter(|name| is_read_by_loaders(name)).cloned())
    }

    /// The first of the other programs that may read a new variable, or that is missing, so that its variables are
    /// unknown.
    fn program_difference(&self, observed: &Observed, is_new: impl Fn(&&String) -> bool) -> Option<Difference> {
        observed.programs.iter().find_map(|program| {
            let Some(names) = self.resolve(program).and_then(|path| self.names_in_file(&path)) else {
                return Some(Difference::Observed { path: program.clone() });
            };
            names.iter().find(&is_new).map(|name| Difference::Asked { name: name.clone() })
        })
    }

    fn variable(&self, key: UnitKey, name: &str) -> Option<SaltedDigest> {
        let value = self.environment.get(OsStr::new(name)).map(|value| value.as_encoded_bytes());
        let configured = self.configured.get(name);
        let is_set = value.is_some() || configured.is_some();
        is_set.then(|| SaltedDigest::of(key, Digest::of_value(Domain::Variable, &(value, configured))))
    }

    /// Turns what was seen into conditions of the unit with this key, or returns why that is not possible.
    pub fn record(&self, seen: &Seen, key: UnitKey, subject: &Subject<'_>) -> Result<Observed, Unknown> {
        check_known(seen)?;
        let directories = KnownDirectories::new(&self.roots, subject);
        let mut observed = Observed::default();
        let mut readers = BTreeSet::new();
        let path_directories = self.path_directories(subject);
        let started = seen.paths.iter().filter(|(_, access)| access.uses.has(Use::Start));
        let started: BTreeSet<_> = started.filter_map(|(path, _)| name_in(path, &path_directories)).collect();
        for (path, access) in &seen.paths {
            let name = name_in(path, &path_directories).filter(|_| !access.uses.has(Use::Make));
            if let Some(name) = name {
                self.add_named(&mut observed, key, name)?;
            }
            match directories.kind(path, access, seen)? {
                // The condition on the search for this name covers the path.
                PathKind::Input
                    if access.was == Was::Absent && name.is_some_and(|name| self.is_passed(path, name, &started)) => {}
                PathKind::Input => self.add(&mut observed, &directories, key, path, access)?,
                PathKind::Fixed => {}
            }
            if directories.uses_locale(path, access) {
                observed.words.extend(LOCALE.iter().map(|name| (*name).to_owned()));
            }
            if directories.reads_variables(path, access, seen) {
                readers.insert(path.as_str());
            }
        }
        self.add_variables(&mut observed, key, &directories, &readers)?;
        drop_implied(&mut observed.paths);
        Ok(observed)
    }

    /// The digest of the files that linkers have read as inputs, without those of other units and those that a host
    /// links into everything; `None` if there are no such files.
    pub fn linked(&self, seen: &Seen, subject: &Subject<'_>) -> Result<Option<Digest>, Unknown> {
        check_known(seen)?;
        let directories = KnownDirectories::new(&self.roots, subject);
        let mut linked = BTreeMap::new();
        for (path, access) in &seen.paths {
            let Was::File(mark) = access.was else { continue };
            if directories.is_linked(path, access, seen)? {
                let content = self.content(Utf8Path::new(path), mark).ok_or(Unknown::Changed)?;
                linked.insert(self.locate(path), content);
            }
        }
        Ok((!linked.is_empty()).then(|| Digest::of_value(Domain::Linked, &linked)))
    }

    /// The directories in the `PATH` of the subject and of the session.
    fn path_directories(&self, subject: &Subject<'_>) -> BTreeSet<String> {
        let own = subject.environment.get("PATH").map(OsString::from);
        let paths = own.iter().chain(self.environment.get(OsStr::new("PATH")));
        let directories =
            paths.flat_map(std::env::split_paths).filter_map(|path| path.into_os_string().into_string().ok());
        directories.map(|directory| directory.trim_end_matches('/').to_owned()).collect()
    }

    /// Whether a search for a program that was started passes this path. The condition on the search then covers it.
    fn is_passed(&self, path: &str, name: &str, started: &BTreeSet<&str>) -> bool {
        started.contains(name) && self.directories_up_to(name).any(|directory| directory.join(name) == path)
    }

    /// Adds the condition on what a search of `PATH` for a name finds.
    fn add_named(&self, observed: &mut Observed, key: UnitKey, name: &str) -> Result<(), Unknown> {
        let named = observed.paths.entry(IN_PATH.into()).or_default();
        if named.contains_key(name) {
            return Ok(());
        }
        let state = self.found_in_path(key, name).ok_or(Unknown::Changed)?;
        named.insert(name.to_owned(), vec![state]);
        Ok(())
    }

    /// Adds the condition on a path, and the one on the interpreter of a script that was started.
    fn add(
        &self,
        observed: &mut Observed,
        directories: &KnownDirectories<'_>,
        key: UnitKey,
        path: &str,
        access: &Access,
    ) -> Result<(), Unknown> {
        let at = Utf8Path::new(path);
        if Was::now(at.as_std_path()) != access.was && access.was != Was::Absent {
            return Err(Unknown::Changed);
        }
        let mut states = Vec::new();
        if access.uses.has(Use::LookAtLink) {
            states.extend(link_at(at).map(|link| PathState::Link(SaltedDigest::of(key, link))));
        }
        states.push(match access.was {
            Was::Absent => PathState::Absent,
            Was::Other => PathState::Other,
            Was::Directory if access.uses.has(Use::List) => {
                let names = if directories.is_profile(at) { names_in_profile(at) } else { names_in(at) };
                PathState::Names(SaltedDigest::of(key, names.ok_or(Unknown::Changed)?))
            }
            Was::Directory => PathState::Directory,
            Was::File(mark) => PathState::File(SaltedDigest::of(key, self.content(at, mark).ok_or(Unknown::Changed)?)),
        });
        let (directory, name) = split(&self.locate(path));
        observed.paths.entry(directory).or_default().insert(name, states);
        if access.uses.has(Use::Start)
            && let Some(interpreter) = names::interpreter(at)
            && !observed.has(&self.locate(interpreter.as_str()))
        {
            let was = Was::now(interpreter.as_std_path());
            let access = Access { was, ..access.clone() };
            self.add(observed, directories, key, interpreter.as_str(), &access)?;
        }
        Ok(())
    }

    /// Adds the variables whose names a program at work contains, and the programs that may contain others.
    fn add_variables(
        &self,
        observed: &mut Observed,
        key: UnitKey,
        directories: &KnownDirectories<'_>,
        readers: &BTreeSet<&str>,
    ) -> Result<(), Unknown> {
        let subject = directories.subject;
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut has_macros = false;
        for path in readers.iter().map(|path| Utf8Path::new(*path)).chain(subject.program) {
            let Was::File(mark) = Was::now(path.as_std_path()) else { continue };
            let content = self.content(path, mark).ok_or(Unknown::Changed)?;
            if directories.is_in_build_dir(path) {
                has_macros |= subject.program.is_none();
                observed.words.extend(self.words_of(content, path)?.iter().cloned());
            } else {
                observed.programs.insert(self.locate(path.as_str()));
            }
            found.extend(self.names_of(content, path.as_std_path()).ok_or(Unknown::Changed)?.iter().cloned());
        }
        for path in subject.dep_info_files.iter().filter(|_| has_macros) {
            observed.macro_words.extend(names::source_words(path.as_std_path()));
        }
        for directory in subject.sources.iter().filter(|_| has_macros) {
            observed.macro_words.extend(self.macro_words_in(directory).iter().cloned());
        }
        found.extend(self.names.in_words(&observed.words));
        found.extend(self.names.among(&observed.macro_words));
        found.extend(self.names.all().filter(|name| is_read_by_loaders(name)).cloned());
        for name in found {
            // A value that cargo has set follows from the unit, or from the configuration.
            let value = self.environment.get(OsStr::new(&name)).and_then(|value| value.to_str());
            let is_same = || subject.environment.get(&name).map(String::as_str) == value || is_read_by_loaders(&name);
            let is_passed_on = self.configured.contains_key(&name) || value.is_none() || is_same();
            if !is_passed_on {
                observed.replaced.insert(name);
                continue;
            }
            let is_in_outputs =
                || value.is_none_or(|value| value.len() >= MIN_SEARCHED_LENGTH && (subject.holds)(value.as_bytes()));
            if !PATH_VARIABLES.contains(&name.as_str()) || is_in_outputs() {
                let digest = self.variable(key, &name).ok_or(Unknown::Environment)?;
                observed.variables.insert(name, digest);
            }
        }
        Ok(())
    }

    /// A path in a form that is valid on other machines: below a root, or below the home directory.
    fn locate(&self, path: &str) -> String {
        let located = self.roots.locate(path);
        match (&located, &self.home) {
            (RootedPath::Plain(path), Some(home)) => match Utf8Path::new(path).strip_prefix(home) {
                Ok(rest) if rest.as_str().is_empty() => "~".into(),
                Ok(rest) => format!("~/{rest}"),
                Err(_) => located.to_string(),
            },
            _ => located.to_string(),
        }
    }

    /// The path on this machine; `None` if its root is unknown.
    fn resolve(&self, located: &str) -> Option<Utf8PathBuf> {
        if let Some(rest) = located.strip_prefix('~') {
            return Some(format!("{}{rest}", self.home.as_ref()?).into());
        }
        let Some((root, rest)) = located.strip_prefix('<').and_then(|rooted| rooted.split_once('>')) else {
            return Some(located.into());
        };
        Some(format!("{}{rest}", self.roots.get(Root::named(root)?)?).into())
    }

    /// The digest of a file. It is remembered by the file's path and mark.
    fn content(&self, path: &Utf8Path, mark: Mark) -> Option<Digest> {
        let name = (path.to_string(), mark);
        if let Some(known) = lock(&self.contents).get(&name) {
            return Some(*known);
        }
        let probe_key = Digest::of_value(Domain::Answer, &("observed", &name));
        let probed = self.store.probe(probe_key).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Digest::from);
        let digest = match probed {
            Some(probed) => probed,
            None => {
                let digest = Digest::of_file(path.as_std_path()).ok()?;
                if Was::now(path.as_std_path()) != Was::File(mark) {
                    return None;
                }
                // A file that was written just now may change again and keep its mark, so its digest is not remembered.
                if mark.is_reliable() {
                    let _ = self.store.put_probe(probe_key, digest.as_bytes());
                }
                digest
            }
        };
        lock(&self.contents).insert(name, digest);
        Some(digest)
    }

    /// The words of a built program with this content.
    fn words_of(&self, content: Digest, path: &Utf8Path) -> Words {
        if let Some(known) = lock(&self.words).get(&content) {
            return known.clone();
        }
        let found = names::words(path.as_std_path()).map(Arc::new);
        lock(&self.words).insert(content, found.clone());
        found
    }

    /// The words in the macros of a crate, which may pass them to a procedural macro.
    fn macro_words_in(&self, directory: &Utf8Path) -> Arc<BTreeSet<String>> {
        if let Some(known) = lock(&self.macro_words).get(directory) {
            return known.clone();
        }
        let found = Arc::new(names::macro_words(directory.as_std_path()));
        lock(&self.macro_words).insert(directory.to_owned(), found.clone());
        found
    }

    fn names_in_file(&self, path: &Utf8Path) -> Option<Arc<BTreeSet<String>>> {
        let Was::File(mark) = Was::now(path.as_std_path()) else { return None };
        self.names_of(self.content(path, mark)?, path.as_std_path())
    }

    /// The names of variables that are set now and that a file with this content contains.
    fn names_of(&self, content: Digest, path: &Path) -> Option<Arc<BTreeSet<String>>> {
        if let Some(known) = lock(&self.names_by_program).get(&content) {
            return Some(known.clone());
        }
        let probe_key = Digest::of_value(Domain::FoundNames, &(content, self.names.digest()));
        let probed = self.store.probe(probe_key).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let found = match probed {
            Some(probed) => probed,
            None => {
                let found = self.names.in_file(path)?;
                if let Ok(bytes) = serde_json::to_vec(&found) {
                    let _ = self.store.put_probe(probe_key, &bytes);
                }
                found
            }
        };
        let found = Arc::new(found);
        lock(&self.names_by_program).insert(content, found.clone());
        Some(found)
    }
}

impl Observed {
    fn has(&self, located: &str) -> bool {
        let (directory, name) = split(located);
        self.paths.get(&directory).is_some_and(|names| names.contains_key(&name))
    }
}

/// Fails if something could not be observed that matters.
fn check_known(seen: &Seen) -> Result<(), Unknown> {
    let unknown = seen.unknown.iter().find(|unknown| **unknown != Unknown::Identity);
    unknown.map_or(Ok(()), |unknown| Err(*unknown))
}

/// Whether a variable can change what a program does.
fn counts(name: &str) -> bool {
    let is_listed = IGNORED_VARIABLES.contains(&name) || SET_BY_CARGO.contains(&name);
    !name.is_empty() && !is_listed && !name.starts_with("XCACHE_")
}

/// The environment without the directories of toolchains' libraries, which cargo and rustup add when they start
/// programs.
fn without_toolchain(mut environment: BTreeMap<OsString, OsString>, roots: &Roots) -> BTreeMap<OsString, OsString> {
    let Some(value) = environment.remove(OsStr::new(LIBRARY_PATH)) else { return environment };
    let toolchains = roots.get(Root::Sysroot).and_then(Utf8Path::parent);
    let is_foreign = |path: &std::path::PathBuf| {
        !path.as_os_str().is_empty() && !toolchains.is_some_and(|toolchains| path.starts_with(toolchains))
    };
    let foreign: Vec<_> = std::env::split_paths(&value).filter(is_foreign).collect();
    if let Some(value) = std::env::join_paths(&foreign).ok().filter(|value| !value.is_empty()) {
        environment.insert(LIBRARY_PATH.into(), value);
    }
    environment
}

/// Whether the loader reads this variable.
fn is_read_by_loaders(name: &str) -> bool {
    LOADER_PREFIXES.iter().any(|begin| name.starts_with(begin))
}

/// The name of a path that is directly in one of these directories.
fn name_in<'a>(path: &'a str, directories: &BTreeSet<String>) -> Option<&'a str> {
    let (directory, name) = path.rsplit_once('/')?;
    directories.contains(directory).then_some(name)
}

/// Drops the condition that a directory exists if another condition says that something exists in it.
fn drop_implied(paths: &mut BTreeMap<String, BTreeMap<String, Vec<PathState>>>) {
    let present = paths.iter().filter(|(_, names)| names.values().flatten().any(|state| *state != PathState::Absent));
    let present: BTreeSet<String> = present.map(|(directory, _)| directory.clone()).collect();
    let is_implied = |path: &str| present.iter().any(|inside| Utf8Path::new(inside).starts_with(path));
    for (directory, names) in paths.iter_mut() {
        names.retain(|name, states| *states != [PathState::Directory] || !is_implied(&join(directory, name)));
    }
    paths.retain(|_, names| !names.is_empty());
}

fn split(located: &str) -> (String, String) {
    let (directory, name) = located.rsplit_once('/').unwrap_or(("", located));
    (directory.to_owned(), name.to_owned())
}

fn join(directory: &str, name: &str) -> String {
    match (directory, name.starts_with(['~', '<'])) {
        ("", true) => name.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

/// The digest of all names in a directory.
fn names_in(directory: &Utf8Path) -> Option<Digest> {
    Some(Digest::of_value(Domain::FileContents, &("names", list(directory).ok()?)))
}

/// The digest of the names that others than cargo put into the directory of a profile. Cargo creates the directory
/// before it runs anything, so an absent one will be without them.
fn names_in_profile(directory: &Utf8Path) -> Option<Digest> {
    let names = match list(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => BTreeSet::new(),
        Err(_) => return None,
    };
    let is_of_cargo = |name: &OsString| PROFILE_NAMES.iter().any(|of_cargo| name == of_cargo);
    let names: BTreeSet<_> = names.into_iter().filter(|name| !is_of_cargo(name)).collect();
    Some(Digest::of_value(Domain::FileContents, &("names in a profile", names)))
}

fn list(directory: &Utf8Path) -> io::Result<BTreeSet<OsString>> {
    std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// The digest of a link's target.
fn link_at(path: &Utf8Path) -> Option<Digest> {
    let target = std::fs::read_link(path).ok()?;
    Some(Digest::of(target.as_os_str().as_encoded_bytes()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
