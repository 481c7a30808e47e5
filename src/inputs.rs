//! What was seen while a unit was made, as conditions: made of what an [observer](crate::observe) saw, and compared with
//! what is here.
//!
//! [`MachineState`] is this machine, as far as anybody could look at it: paths and variables. [`MachineState::record`]
//! leaves out what is fixed already ([`Subject`]) and makes [`Observed`] of the rest; [`MachineState::difference`]
//! finds the first condition that does not hold. Variables are not seen: one counts if a program that was at work
//! contains its name ([`names`]).
//!
//! **Invariants.** What is recorded is what was there when it was looked at first; where that cannot be told any more,
//! nothing is. Whatever is left out is fixed by something that is compared. Values and contents are never recorded,
//! only [salted digests](SaltedDigest) of them.

mod classify;
mod names;
pub mod well_known;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};

use self::classify::{KnownDirectories, PathKind};
use self::names::Names;
use crate::config::{Settings, Switch, Unobserved};
use crate::digest::{Digest, Domain};
use crate::entry::{IN_PATH, Inputs, Observed, PathState, SaltedDigest};
use crate::event::{Difference, EventLog};
use crate::fs;
use crate::key::UnitKey;
use crate::observe::{self, Access, Mark, Seen, Unknown, Unseen, Use, Was};
use crate::roots::{Root, RootedPath, Roots};
use crate::store::LocalStore;

/// Variables that say where things are: what they lead to is seen. They count as well where their value is in what was
/// made.
const PATH_VARIABLES: &[&str] =
    &["CARGO_HOME", "CARGO_TARGET_DIR", "HOME", "OLDPWD", "PATH", "PWD", "RUSTUP_HOME", "TMPDIR", "XDG_RUNTIME_DIR"];
/// Variables of a shell's own, which change with every command; and of every Rust program's, which change how it fails.
const OF_PROCESSES: &[&str] =
    &["_", "COLUMNS", "LINES", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_MIN_STACK", "SHLVL", "TERM"];
/// Variables that cargo and rustup set for everybody, whatever they were.
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
/// By these the C library tells a program language and place.
const LOCAL: &[&str] =
    &["LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC", "LC_TIME", "TZ"];
/// Where the loader of any program looks first.
const LIBRARIES: &str = "LD_LIBRARY_PATH";
/// Every program asks for these, by its loader.
const OF_LOADERS: &[&str] = &["GLIBC_TUNABLES", "LD_"];
/// A value that is shorter may be in anything. The paths of roots are looked for in another way.
const MIN_SEARCHED_LENGTH: usize = 16;

/// What a built program may have names of variables in; or why nobody knows which it asks for.
type Words = Result<Arc<BTreeSet<String>>, Unknown>;

/// This machine, as far as anybody could look at it.
pub struct MachineState {
    roots: Roots,
    home: Option<Utf8PathBuf>,
    /// The environment that cargo was started with.
    environment: BTreeMap<OsString, OsString>,
    /// What cargo's configuration says of variables.
    configured: BTreeMap<String, String>,
    store: Arc<LocalStore>,
    unknown: Unobserved,
    is_observing: bool,
    has_warned: AtomicBool,
    names: Names,
    /// Digests of contents.
    contents: Mutex<HashMap<(String, Mark), Digest>>,
    /// Names of variables that are in a program.
    names_by_program: Mutex<HashMap<Digest, Arc<BTreeSet<String>>>>,
    /// Words of a built program, by its content: many units load the same macro.
    words: Mutex<HashMap<Digest, Words>>,
    /// Words of the macros in a directory.
    macro_words: Mutex<HashMap<Utf8PathBuf, Arc<BTreeSet<String>>>>,
}

/// What was observed, of what.
pub struct Subject<'a> {
    /// The directories that are fixed: by a checksum, or by what else is compared.
    pub fixed: Vec<&'a Utf8Path>,
    /// Files that are compared already: the sources that the compiler says it has read.
    pub dep_info_files: BTreeSet<Utf8PathBuf>,
    /// Directories with the sources of crates whose macros it may use.
    pub sources: BTreeSet<&'a Utf8Path>,
    /// Where it may write.
    pub own: Vec<&'a Utf8Path>,
    /// It is a compiler, which writes as well where cargo has its own files.
    pub is_compiler: bool,
    /// The environment that it had.
    pub environment: &'a BTreeMap<String, String>,
    /// The program itself, where it is one that was built.
    pub program: Option<&'a Utf8Path>,
    /// Whether a text is in what was made.
    pub holds: &'a dyn Fn(&[u8]) -> bool,
}

impl MachineState {
    /// For a session.
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
            Inputs::Observed(observed) => self.differing(key, observed),
            _ if self.trusts() => None,
            Inputs::Declared => self.can_observe().then_some(Difference::Unobserved),
            Inputs::Trusted => Some(Difference::Unobserved),
        }
    }

    /// Whether the user trusts what was not seen.
    pub fn trusts(&self) -> bool {
        self.unknown == Unobserved::Trust
    }

    /// Whether what runs here is seen.
    fn can_observe(&self) -> bool {
        self.is_observing && observe::is_possible()
    }

    /// Says once why nothing can be seen.
    pub fn warn_unobserved(&self, why: &Unseen, log: &EventLog) {
        if !self.has_warned.swap(true, Ordering::SeqCst) {
            log.warn(format!(
                "what build scripts, macros and linkers read cannot be observed here: {}; only what declares its inputs or \
                 is well known is cached of them (`observe = \"off\"` says no more, `unknown = \"trust\"` caches all)",
                why.0
            ));
        }
    }

    fn differing(&self, key: UnitKey, observed: &Observed) -> Option<Difference> {
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
        name.map(|name| Difference::Asked { name }).or_else(|| self.differing_program(observed, is_new))
    }

    /// Whether a path is as it was. Where it is not known where that is here, it is not.
    fn is_unchanged(&self, key: UnitKey, path: &str, states: &[PathState]) -> bool {
        if let Some(name) = path.strip_prefix(IN_PATH).and_then(|name| name.strip_prefix('/')) {
            return self.found(key, name).is_some_and(|found| states == [found]);
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
            PathState::Names(digest) => names_in(&path).is_some_and(|names| SaltedDigest::of(key, names) == *digest),
            PathState::Link(digest) => link_at(&path).is_some_and(|link| SaltedDigest::of(key, link) == *digest),
        })
    }

    /// The directories in which programs are found by their names, up to the first one in which there is one.
    fn before(&self, name: &str) -> impl Iterator<Item = Utf8PathBuf> {
        let path = self.environment.get(OsStr::new("PATH")).map(OsString::as_os_str).unwrap_or_default();
        let directories = std::env::split_paths(path).filter_map(|directory| Utf8PathBuf::try_from(directory).ok());
        let mut is_over = false;
        directories.filter(|directory| directory.is_absolute()).take_while(move |directory| {
            let is_after = is_over;
            is_over |= fs::is_executable(directory.join(name).as_std_path());
            !is_after
        })
    }

    /// What is found by a name: a program, and whatever of that name is not one and comes before. Nothing where it
    /// changes meanwhile.
    fn found(&self, key: UnitKey, name: &str) -> Option<PathState> {
        let mut found = Vec::new();
        for path in self.before(name).map(|directory| directory.join(name)) {
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

    /// The variables that are set now and that a built program, a macro or a loader may ask for.
    fn set_variables_in_words(&self, observed: &Observed) -> impl Iterator<Item = String> {
        let of_words = self.names.in_words(&observed.words).into_iter().chain(self.names.among(&observed.macro_words));
        of_words.chain(self.names.all().filter(|name| is_of_loaders(name)).cloned())
    }

    /// The first of the other programs that may ask for a new variable. A program that is not there says nothing of what it
    /// would ask for.
    fn differing_program(&self, observed: &Observed, is_new: impl Fn(&&String) -> bool) -> Option<Difference> {
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

    /// What was seen, as conditions of the unit with this key; or why it cannot be told.
    pub fn record(&self, seen: &Seen, key: UnitKey, subject: &Subject<'_>) -> Result<Observed, Unknown> {
        is_known(seen)?;
        let directories = KnownDirectories::new(&self.roots, subject);
        let mut observed = Observed::default();
        let mut readers = BTreeSet::new();
        let searched = self.searched(subject);
        let started = seen.paths.iter().filter(|(_, access)| access.uses.has(Use::Start));
        let started: BTreeSet<_> = started.filter_map(|(path, _)| name_in(path, &searched)).collect();
        for (path, access) in &seen.paths {
            let name = name_in(path, &searched).filter(|_| !access.uses.has(Use::Make));
            if let Some(name) = name {
                self.add_named(&mut observed, key, name)?;
            }
            match directories.kind(path, access, seen)? {
                // It was looked for there because it might have been anywhere.
                PathKind::Input
                    if access.was == Was::Absent && name.is_some_and(|name| self.is_passed(path, name, &started)) => {}
                PathKind::Input => self.add(&mut observed, key, path, access)?,
                PathKind::Fixed => {}
            }
            if directories.is_local(path, access) {
                observed.words.extend(LOCAL.iter().map(|name| (*name).to_owned()));
            }
            if directories.reads_variables(path, access, seen) {
                readers.insert(path.as_str());
            }
        }
        self.add_variables(&mut observed, key, &directories, &readers)?;
        drop_implied(&mut observed.paths);
        Ok(observed)
    }

    /// What linkers have put into what they made, besides what others have compiled and what a host has for everybody: a
    /// digest of it; nothing within where there is nothing.
    pub fn linked(&self, seen: &Seen, subject: &Subject<'_>) -> Result<Option<Digest>, Unknown> {
        is_known(seen)?;
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

    /// The directories in which programs are found by their names.
    fn searched(&self, subject: &Subject<'_>) -> BTreeSet<String> {
        let own = subject.environment.get("PATH").map(OsString::from);
        let paths = own.iter().chain(self.environment.get(OsStr::new("PATH")));
        let directories =
            paths.flat_map(std::env::split_paths).filter_map(|path| path.into_os_string().into_string().ok());
        directories.map(|directory| directory.trim_end_matches('/').to_owned()).collect()
    }

    /// Whether who starts a program by its name passes by here, so that what is found by it says that nothing is here.
    fn is_passed(&self, path: &str, name: &str, started: &BTreeSet<&str>) -> bool {
        started.contains(name) && self.before(name).any(|directory| directory.join(name) == path)
    }

    /// What is found by its name.
    fn add_named(&self, observed: &mut Observed, key: UnitKey, name: &str) -> Result<(), Unknown> {
        let named = observed.paths.entry(IN_PATH.into()).or_default();
        if named.contains_key(name) {
            return Ok(());
        }
        let state = self.found(key, name).ok_or(Unknown::Changed)?;
        named.insert(name.to_owned(), vec![state]);
        Ok(())
    }

    /// One path, and what it leads to where it is a program that is read by another one.
    fn add(&self, observed: &mut Observed, key: UnitKey, path: &str, access: &Access) -> Result<(), Unknown> {
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
                PathState::Names(SaltedDigest::of(key, names_in(at).ok_or(Unknown::Changed)?))
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
            self.add(observed, key, interpreter.as_str(), &access)?;
        }
        Ok(())
    }

    /// The variables that a program at work contains, and the programs that may contain others.
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
        found.extend(self.names.all().filter(|name| is_of_loaders(name)).cloned());
        for name in found {
            // What cargo has set it to follows from what is built, or from the configuration.
            let value = self.environment.get(OsStr::new(&name)).and_then(|value| value.to_str());
            let is_same = || subject.environment.get(&name).map(String::as_str) == value || is_of_loaders(&name);
            let is_passed_on = self.configured.contains_key(&name) || value.is_none() || is_same();
            if !is_passed_on {
                observed.replaced.insert(name);
                continue;
            }
            let is_told =
                || value.is_none_or(|value| value.len() >= MIN_SEARCHED_LENGTH && (subject.holds)(value.as_bytes()));
            if !PATH_VARIABLES.contains(&name.as_str()) || is_told() {
                let digest = self.variable(key, &name).ok_or(Unknown::Environment)?;
                observed.variables.insert(name, digest);
            }
        }
        Ok(())
    }

    /// Where a path is, for another machine.
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

    /// The same, here; nothing where its root is not known.
    fn resolve(&self, located: &str) -> Option<Utf8PathBuf> {
        if let Some(rest) = located.strip_prefix('~') {
            return Some(format!("{}{rest}", self.home.as_ref()?).into());
        }
        let Some((root, rest)) = located.strip_prefix('<').and_then(|rooted| rooted.split_once('>')) else {
            return Some(located.into());
        };
        Some(format!("{}{rest}", self.roots.get(Root::named(root)?)?).into())
    }

    /// The digest of a file, which is known by what tells whether it was written again.
    fn content(&self, path: &Utf8Path, mark: Mark) -> Option<Digest> {
        let name = (path.to_string(), mark);
        if let Some(known) = lock(&self.contents).get(&name) {
            return Some(*known);
        }
        let kept_as = Digest::of_value(Domain::Answer, &("observed", &name));
        let kept = self.store.probe(kept_as).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Digest::from);
        let digest = match kept {
            Some(kept) => kept,
            None => {
                let digest = Digest::of_file(path.as_std_path()).ok()?;
                if Was::now(path.as_std_path()) != Was::File(mark) {
                    return None;
                }
                // What was written just now may be written again in the same instant. Only speed is lost by not keeping
                // it.
                if mark.is_reliable() {
                    let _ = self.store.put_probe(kept_as, digest.as_bytes());
                }
                digest
            }
        };
        lock(&self.contents).insert(name, digest);
        Some(digest)
    }

    /// The words of a built program of this content.
    fn words_of(&self, content: Digest, path: &Utf8Path) -> Words {
        if let Some(known) = lock(&self.words).get(&content) {
            return known.clone();
        }
        let found = names::words(path.as_std_path()).map(Arc::new);
        lock(&self.words).insert(content, found.clone());
        found
    }

    /// What the macros of a crate may have a procedural macro read.
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

    /// The names of variables that are set now and are in a file of this content.
    fn names_of(&self, content: Digest, path: &Path) -> Option<Arc<BTreeSet<String>>> {
        if let Some(known) = lock(&self.names_by_program).get(&content) {
            return Some(known.clone());
        }
        let kept_as = Digest::of_value(Domain::FoundNames, &(content, self.names.digest()));
        let kept = self.store.probe(kept_as).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let found = match kept {
            Some(kept) => kept,
            None => {
                let found = self.names.in_file(path)?;
                if let Ok(bytes) = serde_json::to_vec(&found) {
                    let _ = self.store.put_probe(kept_as, &bytes);
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

/// Whether all was seen that matters.
fn is_known(seen: &Seen) -> Result<(), Unknown> {
    let unknown = seen.unknown.iter().find(|unknown| **unknown != Unknown::Identity);
    unknown.map_or(Ok(()), |unknown| Err(*unknown))
}

/// Whether a variable says anything to a program that is not ours.
fn counts(name: &str) -> bool {
    let is_listed = OF_PROCESSES.contains(&name) || SET_BY_CARGO.contains(&name);
    !name.is_empty() && !is_listed && !name.starts_with("XCACHE_")
}

/// The environment without what cargo and rustup say of their own toolchain's libraries, when they start something.
fn without_toolchain(mut environment: BTreeMap<OsString, OsString>, roots: &Roots) -> BTreeMap<OsString, OsString> {
    let Some(value) = environment.remove(OsStr::new(LIBRARIES)) else { return environment };
    let toolchains = roots.get(Root::Sysroot).and_then(Utf8Path::parent);
    let is_foreign = |path: &std::path::PathBuf| {
        !path.as_os_str().is_empty() && !toolchains.is_some_and(|toolchains| path.starts_with(toolchains))
    };
    let foreign: Vec<_> = std::env::split_paths(&value).filter(is_foreign).collect();
    if let Some(value) = std::env::join_paths(&foreign).ok().filter(|value| !value.is_empty()) {
        environment.insert(LIBRARIES.into(), value);
    }
    environment
}

/// Whether the loader of any program asks for it.
fn is_of_loaders(name: &str) -> bool {
    OF_LOADERS.iter().any(|begin| name.starts_with(begin))
}

/// The name of something that is right in one of these directories.
fn name_in<'a>(path: &'a str, directories: &BTreeSet<String>) -> Option<&'a str> {
    let (directory, name) = path.rsplit_once('/')?;
    directories.contains(directory).then_some(name)
}

/// A directory that is there is not worth saying where something in it is.
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

/// The names in a directory, whatever they are of.
fn names_in(directory: &Utf8Path) -> Option<Digest> {
    let entries = std::fs::read_dir(directory).ok()?;
    let names: Result<BTreeSet<OsString>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    Some(Digest::of_value(Domain::FileContents, &("names", names.ok()?)))
}

/// What a link says.
fn link_at(path: &Utf8Path) -> Option<Digest> {
    let leads = std::fs::read_link(path).ok()?;
    Some(Digest::of(leads.as_os_str().as_encoded_bytes()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
