//! A miss that was compiled: making an entry of what rustc wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
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
use crate::event::Reason;
use crate::fs::Stamp;
use crate::hydrate::Script;
use crate::key::UnitKey;
use crate::plan::Unit;
use crate::roots::{PathScanner, Root, Roots, Value, normal};
use crate::rustc::objects;
use crate::rustc::outputs::{compiler_of, has_foreign_objects, linked_metadata};
use crate::rustc::variables::{self, only_includes};
use crate::rustc::{DepInfo, Emit, Invocation, RecordedDepInfo};
use crate::store::LocalStore;

/// Everything known of a finished compile.
pub(super) struct Compiled<'a> {
    /// What the compiler that was asked calls itself.
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
    /// What the package's own build script had made.
    pub script: Option<Digest>,
    /// Objects in it that rustc did not make are from what the build script has made.
    pub holds_own_objects: bool,
}

/// An output, held open since rustc ended: whoever replaces the file does not change what is recorded.
pub(super) struct Output {
    path: Utf8PathBuf,
    file: File,
}

/// What came of recording.
pub(super) enum Recorded {
    /// An entry; its files are in the store.
    Entry(Box<Entry>),
    /// Nothing may be recorded.
    Not(Reason),
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

/// The files a call is expected to have written.
pub(super) fn expected_outputs(invocation: &Invocation, out_dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let stem = format!("{}{}", invocation.crate_name.as_deref().unwrap_or_default(), invocation.extra_filename());
    let names = invocation.emit.iter().filter_map(|emit| match emit {
        Emit::DepInfo => Some(format!("{stem}.d")),
        Emit::Metadata => Some(format!("lib{stem}.rmeta")),
        Emit::Link => Some(linked_name(invocation, &stem)),
        Emit::Other => None,
    });
    names.map(|name| out_dir.join(name)).collect()
}

/// What a call links, where it does.
pub(super) fn linked_output(invocation: &Invocation, out_dir: &Utf8Path) -> Option<Utf8PathBuf> {
    let stem = format!("{}{}", invocation.crate_name.as_deref()?, invocation.extra_filename());
    invocation.emit.contains(&Emit::Link).then(|| out_dir.join(linked_name(invocation, &stem)))
}

/// What the name of a program ends with (`rustc_target::spec`, `exe_suffix`).
fn program_suffix(target: Option<&str>) -> &'static str {
    match target {
        None => EXE_SUFFIX,
        Some(target) if target.contains("-windows") || target.ends_with("-uefi") => ".exe",
        Some(target) if target.contains("-emscripten") => ".js",
        Some(target) if target.starts_with("wasm") => ".wasm",
        Some(_) => "",
    }
}

/// Procedural macros and build scripts are always for the host, which is where this runs.
fn linked_name(invocation: &Invocation, stem: &str) -> String {
    if invocation.crate_types.contains("proc-macro") && !invocation.test {
        return format!("{DLL_PREFIX}{stem}{DLL_SUFFIX}");
    }
    match invocation.test || invocation.crate_types.contains("bin") {
        true => format!("{stem}{}", program_suffix(invocation.target.as_deref())),
        false => format!("lib{stem}.rlib"),
    }
}

/// Opens the expected outputs. To be called before cargo learns that rustc has ended.
pub(super) fn open_outputs(invocation: &Invocation, out_dir: &Utf8Path) -> Result<Vec<Output>> {
    expected_outputs(invocation, out_dir)
        .into_iter()
        .map(|path| Ok(Output { file: File::open(&path).map_err(Error::io("read", &path))?, path }))
        .collect()
}

/// Looks at the outputs, puts the files in the store, and makes the entry (which is not written yet). `observed` tells what
/// was read besides, and with what it is linked.
pub(super) fn record(
    compiled: Compiled<'_>,
    store: &LocalStore,
    roots: &Roots,
    scanner: &PathScanner,
    observed: impl FnOnce(&dyn Fn(&[u8]) -> bool) -> Result<(Inputs, Option<Digest>), Reason>,
) -> Result<Recorded> {
    let (notices, diagnostics) = split_printed(&compiled.finished.stderr);
    let expected: BTreeSet<_> = compiled.outputs.iter().map(|output| output.path.as_path()).collect();
    if notices.iter().any(|(path, _)| !expected.contains(compiled.directory.join(path).as_path())) {
        return Ok(Recorded::Not(Reason::SideFiles));
    }
    let mut bound = BTreeSet::new();
    let (mut files, mut made) = (Vec::new(), Vec::new());
    let mut info = DepInfo::default();
    let mut metadata = None;
    for Output { path, file } in &compiled.outputs {
        let mut bytes = Vec::new();
        (&mut &*file).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        let (kind, stored) = match path.extension() {
            Some("d") => {
                let text = String::from_utf8(bytes).map_err(|error| Error::corrupt(path.as_str(), error))?;
                info = DepInfo::parse(&text);
                (FileKind::DepInfo, dep_info(&text, &compiled.here, &mut bound)?)
            }
            Some("rmeta") => (FileKind::Rmeta, bytes),
            Some("rlib") if !compiled.holds_own_objects && has_foreign_objects(&bytes) => {
                return Ok(Recorded::Not(Reason::Native));
            }
            Some("rlib") => (FileKind::Rlib, bytes),
            _ if compiled.unit.kind == "proc-macro" && !compiled.invocation.test => (FileKind::Dylib, bytes),
            _ => (FileKind::Executable, bytes),
        };
        if matches!(kind, FileKind::Rmeta | FileKind::Dylib)
            && compiler_of(&stored).is_some_and(|compiler| compiler != compiled.compiler)
        {
            return Ok(Recorded::Not(Reason::OtherCompiler));
        }
        if kind == FileKind::Dylib {
            metadata = Some(linked_metadata(&stored));
        }
        match kind {
            FileKind::DepInfo => {}
            // A linker may compress what is for debuggers.
            FileKind::Executable | FileKind::Dylib => bound.extend(objects::roots_in(&stored, scanner)),
            _ => bound.extend(scanner.scan(&stored)),
        }
        let (size, digest) = store.add_bytes(&stored)?;
        if kind == FileKind::Rmeta {
            metadata = Some(digest);
        }
        files.push(FileRecord { name: path.file_name().unwrap_or_default().into(), kind, size, digest, mode: None });
        made.push(stored);
    }
    bound.extend(roots_in_environment(&info, &compiled));
    bound.extend(diagnostics.iter().flat_map(|line| roots.held_by(line)));
    let Some(inputs) = inputs(&info, &compiled, roots, &mut bound)? else {
        return Ok(Recorded::Not(Reason::ChangedMeanwhile));
    };
    bound.extend(roots_in_sources(&info, &compiled, scanner));
    let holds = |text: &[u8]| made.iter().any(|bytes| memchr::memmem::find(bytes, text).is_some());
    let (observed, linked) = match observed(&holds) {
        Ok(both) => both,
        Err(reason) => return Ok(Recorded::Not(reason)),
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

/// The entry of a build script's run.
pub(super) fn record_script(
    unit: &Unit,
    key: UnitKey,
    script: Script,
    (heard, program): (Option<Digest>, Vec<DependencyRecord>),
    observed: Inputs,
    roots: &Roots,
    compile_ms: u64,
) -> Entry {
    let Script { fresh, files, digest, environment, bound, .. } = script;
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
            script: heard,
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

/// The roots whose paths are in something, as a condition.
pub(super) fn bound_to(bound: BTreeSet<Root>, roots: &Roots) -> BTreeMap<Root, Digest> {
    bound.into_iter().filter_map(|root| Some((root, roots.digest(root)?))).collect()
}

/// A `.d` file, as it is stored.
fn dep_info(text: &str, here: &Variables<'_>, bound: &mut BTreeSet<Root>) -> Result<Vec<u8>> {
    let variable = |name: &str, value: &str| variables::recorded(name, value, here.roots, &here.own);
    let recorded = RecordedDepInfo::record(text, here.roots, variable, bound);
    serde_json::to_vec(&recorded).map_err(|error| Error::corrupt("dep-info", error))
}

/// The roots of the paths that were read through `env!`, but for those that serve to include files, which are compared by
/// content. Any other value is compared as it is, and binds nothing.
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

/// The roots whose paths stand in the sources of a member that others may have: a file that is included by its whole path is
/// that one wherever the sources are.
fn roots_in_sources(info: &DepInfo, compiled: &Compiled<'_>, scanner: &PathScanner) -> BTreeSet<Root> {
    let is_shared = compiled.unit.remapped && !compiled.unit.external;
    let files = info.files.iter().filter(|_| is_shared).map(|file| compiled.directory.join(file));
    files.filter_map(|file| fs::read(file).ok()).flat_map(|source| scanner.scan(&source)).collect()
}

/// The files that were read: from outside the package and the toolchain, or all if nothing fixes what is in the package.
/// Nothing where one of them may have been written since it was planned or read; generated files are written in time.
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
