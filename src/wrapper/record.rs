//! Makes an entry of the outputs of a miss.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::protocol::Finished;
use super::restore::Variables;
use crate::digest::Digest;
use crate::entry::{Constraints, DependencyRecord, Entry, FileKind, FileRecord, InputRecord, Inputs};
use crate::error::{Error, Result};
use crate::event::UncacheableReason;
use crate::fs::Stamp;
use crate::hydrate::ScriptRun;
use crate::key::UnitKey;
use crate::plan::Unit;
use crate::roots::{PathScanner, Root, Roots, Value, normal};
use crate::rustc::objects;
use crate::rustc::outputs::{compiler_of, has_foreign_objects, linked_metadata};
use crate::rustc::variables::{self, only_includes};
use crate::rustc::written::written;
use crate::rustc::{DepInfo, Invocation, RecordedDepInfo};
use crate::store::LocalStore;

/// A compiled unit, to be recorded.
pub(super) struct Compiled<'a> {
    /// The version that the compiler reports.
    pub compiler: &'a str,
    pub unit: &'a Unit,
    pub key: UnitKey,
    pub invocation: &'a Invocation,
    /// The directory rustc ran in.
    pub directory: &'a Utf8Path,
    pub here: Variables<'a>,
    pub dependencies: Vec<DependencyRecord>,
    pub finished: &'a Finished,
    pub outputs: Vec<Output>,
    /// When the plan began to read files.
    pub planned: SystemTime,
    /// The digest of the output of the package's own build script.
    pub script: Option<Digest>,
    /// Whether objects that rustc did not make come from the package's own build script.
    pub holds_own_objects: bool,
}

/// An output, held open since rustc ended: replacing the file does not change what is recorded.
pub(super) struct Output {
    path: Utf8PathBuf,
    file: File,
}

/// The result of recording.
pub(super) enum Recorded {
    /// An entry, whose files are in the store.
    Entry(Box<Entry>),
    /// Nothing is recorded.
    Refused(UncacheableReason),
}

#[derive(Deserialize)]
struct Notice {
    artifact: Utf8PathBuf,
    emit: String,
}

/// Splits what rustc printed into artifact notices and everything else.
pub(super) fn split_printed(stderr: &str) -> (Vec<(Utf8PathBuf, String)>, Vec<String>) {
    let mut notices = Vec::new();
    let mut diagnostics = Vec::new();
    for line in stderr.lines() {
        match serde_json::from_str::<Notice>(line) {
            Ok(notice) => notices.push((notice.artifact, notice.emit)),
            Err(_) => diagnostics.push(line.to_owned()),
        }
    }
    (notices, diagnostics)
}

/// Opens the expected outputs. Must be called before cargo learns that rustc has ended.
pub(super) fn open_outputs(invocation: &Invocation, out_dir: &Utf8Path) -> Result<Vec<Output>> {
    written(invocation, out_dir)
        .into_iter()
        .map(|path| Ok(Output { file: File::open(&path).map_err(Error::io("read", &path))?, path }))
        .collect()
}

/// Examines the outputs, stores the files, and returns the entry, which is not stored yet. `observed` returns the
/// observed inputs and the digest of linked code, and can search the outputs for a text.
pub(super) fn record(
    compiled: Compiled<'_>,
    store: &LocalStore,
    roots: &Roots,
    scanner: &PathScanner,
    observed: impl FnOnce(&dyn Fn(&[u8]) -> bool) -> Result<(Inputs, Option<Digest>), UncacheableReason>,
) -> Result<Recorded> {
    let (notices, diagnostics) = split_printed(&compiled.finished.stderr);
    let expected: BTreeSet<_> = compiled.outputs.iter().map(|output| output.path.as_path()).collect();
    if notices.iter().any(|(path, _)| !expected.contains(compiled.directory.join(path).as_path())) {
        return Ok(Recorded::Refused(UncacheableReason::SideFiles));
    }
    let mut made = RecordedOutputs::default();
    for output in &compiled.outputs {
        if let Some(reason) = made.add(output, &compiled, store, scanner)? {
            return Ok(Recorded::Refused(reason));
        }
    }
    let RecordedOutputs { files, contents, info, mut bound, metadata } = made;
    bound.extend(roots_in_environment(&info, &compiled));
    bound.extend(diagnostics.iter().flat_map(|line| roots.held_by(line)));
    let Some(inputs) = inputs(&info, &compiled, roots, &mut bound)? else {
        return Ok(Recorded::Refused(UncacheableReason::ChangedMeanwhile));
    };
    bound.extend(roots_in_sources(&info, &compiled, scanner));
    let holds = |text: &[u8]| contents.iter().any(|bytes| memchr::memmem::find(bytes, text).is_some());
    let (observed, linked) = match observed(&holds) {
        Ok(both) => both,
        Err(reason) => return Ok(Recorded::Refused(reason)),
    };
    let rendering = (!diagnostics.is_empty()).then(|| compiled.invocation.rendering());
    let constraints = Constraints {
        invocation: Some(compiled.invocation.digest(roots)),
        rendering,
        environment: info.environment.keys().map(|name| (name.clone(), compiled.here.digest(name))).collect(),
        inputs,
        bound: bound_to(bound, roots),
        dependencies: compiled.dependencies,
        script: compiled.script,
        linked,
        observed,
    };
    Ok(Recorded::Entry(Box::new(Entry {
        key: compiled.key,
        package: format!("{} {}", compiled.unit.package, compiled.unit.version),
        target: compiled.unit.target.clone(),
        files,
        notices: notices.into_iter().filter_map(|(path, emit)| Some((emit, path.file_name()?.to_owned()))).collect(),
        diagnostics,
        metadata,
        code: None,
        constraints,
        fresh: None,
        compile_ms: compiled.finished.millis,
        pack: None,
    })))
}

/// The outputs that were added so far.
#[derive(Default)]
struct RecordedOutputs {
    files: Vec<FileRecord>,
    contents: Vec<Vec<u8>>,
    info: DepInfo,
    bound: BTreeSet<Root>,
    /// What dependents identify the unit by: the metadata beside a library or in a macro, or else the library itself.
    metadata: Option<Digest>,
}

impl RecordedOutputs {
    /// Puts an output into the store, or returns the reason why nothing is recorded.
    fn add(
        &mut self,
        Output { path, file }: &Output,
        compiled: &Compiled<'_>,
        store: &LocalStore,
        scanner: &PathScanner,
    ) -> Result<Option<UncacheableReason>> {
        let mut bytes = Vec::new();
        (&mut &*file).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        let kind = kind_of(path);
        if let Some(reason) = uncacheable_reason(kind, &bytes, compiled) {
            return Ok(Some(reason));
        }
        if kind == FileKind::DepInfo {
            let text = String::from_utf8(bytes).map_err(|error| Error::corrupt(path.as_str(), error))?;
            self.info = DepInfo::parse(&text);
            bytes = dep_info(&text, &compiled.here, &mut self.bound)?;
        }
        match kind {
            FileKind::DepInfo => {}
            // A linker may compress debug sections.
            FileKind::Executable | FileKind::Dylib => self.bound.extend(objects::roots_in(&bytes, scanner)),
            FileKind::Archive => self.bound.extend(objects::roots_in_staticlib(&bytes, scanner)),
            _ => self.bound.extend(scanner.scan(&bytes)),
        }
        let (size, digest) = store.add_bytes(&bytes)?;
        match kind {
            FileKind::Rmeta => self.metadata = Some(digest),
            FileKind::Rlib => self.metadata = self.metadata.or(Some(digest)),
            FileKind::Dylib if compiled.unit.kind == "proc-macro" => self.metadata = Some(linked_metadata(&bytes)),
            _ => {}
        }
        let name = path.file_name().unwrap_or_default().into();
        self.files.push(FileRecord { name, kind, size, digest, mode: None });
        self.contents.push(bytes);
        Ok(None)
    }
}

/// The kind of a file, by its name.
fn kind_of(path: &Utf8Path) -> FileKind {
    match path.extension() {
        Some("d") => FileKind::DepInfo,
        Some("rmeta") => FileKind::Rmeta,
        Some("rlib") => FileKind::Rlib,
        Some("a" | "lib") => FileKind::Archive,
        Some("so" | "dylib" | "dll") => FileKind::Dylib,
        _ => FileKind::Executable,
    }
}

/// The reason why a unit with such a file is not recorded.
fn uncacheable_reason(kind: FileKind, bytes: &[u8], compiled: &Compiled<'_>) -> Option<UncacheableReason> {
    let has_metadata = matches!(kind, FileKind::Rmeta | FileKind::Rlib | FileKind::Dylib);
    let is_by_another = || compiler_of(bytes).is_some_and(|compiler| compiler != compiled.compiler);
    match kind {
        FileKind::Rlib if !compiled.holds_own_objects && has_foreign_objects(bytes) => Some(UncacheableReason::Native),
        _ => (has_metadata && is_by_another()).then_some(UncacheableReason::OtherCompiler),
    }
}

/// The entry of a build script's run.
pub(super) fn record_script(
    unit: &Unit,
    key: UnitKey,
    script: ScriptRun,
    (dependency_outputs, program): (Option<Digest>, Vec<DependencyRecord>),
    observed: Inputs,
    roots: &Roots,
    compile_ms: u64,
) -> Entry {
    let ScriptRun { fresh, files, digest, environment, bound, .. } = script;
    Entry {
        key,
        package: format!("{} {}", unit.package, unit.version),
        target: unit.target.clone(),
        files,
        notices: Vec::new(),
        diagnostics: Vec::new(),
        metadata: Some(digest),
        code: None,
        constraints: Constraints {
            environment,
            script: dependency_outputs,
            dependencies: program,
            bound: bound_to(bound, roots),
            observed,
            ..Constraints::default()
        },
        fresh: Some(fresh),
        compile_ms,
        pack: None,
    }
}

/// The roots that an entry is bound to, as a condition.
pub(super) fn bound_to(bound: BTreeSet<Root>, roots: &Roots) -> BTreeMap<Root, Digest> {
    bound.into_iter().filter_map(|root| Some((root, roots.digest(root)?))).collect()
}

/// A `.d` file in its stored form.
fn dep_info(text: &str, here: &Variables<'_>, bound: &mut BTreeSet<Root>) -> Result<Vec<u8>> {
    let variable = |name: &str, value: &str| variables::recorded(name, value, here.roots, &here.own);
    let recorded = RecordedDepInfo::record(text, here.roots, variable, bound);
    serde_json::to_vec(&recorded).map_err(|error| Error::corrupt("dep-info", error))
}

/// The roots of the paths that were read through `env!`, unless these only serve to include files, which are compared
/// by content. Any other variable is compared by its value, and binds nothing.
fn roots_in_environment(info: &DepInfo, compiled: &Compiled<'_>) -> BTreeSet<Root> {
    let paths: Vec<_> = info
        .environment
        .keys()
        .filter_map(|name| match compiled.here.recorded(name)? {
            Value::Path(path) => Some((name, path.root()?)),
            Value::Text(_) => None,
        })
        .collect();
    if paths.is_empty() {
        return BTreeSet::new();
    }
    let read = |file: &Utf8PathBuf| fs::read_to_string(compiled.directory.join(file)).ok();
    let sources: Vec<_> = info.files.iter().filter_map(read).collect();
    paths.into_iter().filter(|(name, _)| !only_includes(name, &sources)).map(|(_, root)| root).collect()
}

/// The roots whose paths occur in the sources of a member that other workspaces may use: a file that is included by its
/// absolute path is the same wherever the sources are.
fn roots_in_sources(info: &DepInfo, compiled: &Compiled<'_>, scanner: &PathScanner) -> BTreeSet<Root> {
    let is_shared = compiled.unit.remapped && !compiled.unit.external;
    let files = info.files.iter().filter(|_| is_shared).map(|file| compiled.directory.join(file));
    files.filter_map(|file| fs::read(file).ok()).flat_map(|source| scanner.scan(&source)).collect()
}

/// The files that were read: those outside of the package and the toolchain, or all if nothing fixes the package's
/// content. `None` if one may have changed since the plan read it. Generated files may be new.
fn inputs(
    info: &DepInfo,
    compiled: &Compiled<'_>,
    roots: &Roots,
    bound: &mut BTreeSet<Root>,
) -> Result<Option<Vec<InputRecord>>> {
    let in_root = |path: &Utf8Path, root| roots.get(root).is_some_and(|root| path.starts_with(root));
    let Compiled { unit, .. } = compiled;
    let is_in_package = |path: &Utf8Path| Utf8Path::new(&normal(path.as_str())).starts_with(&unit.package_dir);
    let counts = |path: &Utf8Path| (!unit.external || !is_in_package(path)) && !in_root(path, Root::Sysroot);
    let mut inputs = Vec::new();
    for given in &info.files {
        let file = compiled.directory.join(given);
        if !counts(&file) {
            continue;
        }
        let changed = Stamp::of(file.as_std_path())?.changed();
        if !in_root(&file, Root::BuildDir) && !unit.external && changed >= compiled.planned {
            return Ok(None);
        }
        let digest = Digest::of_file(Path::new(&file)).map_err(Error::io("read", &file))?;
        inputs.push(InputRecord { path: roots.record_from(compiled.directory, given, bound), digest });
    }
    inputs.sort();
    Ok(Some(inputs))
}
