//! Reads the files of cargo and of build scripts in the build directory, for an entry.
//!
//! **Invariants.** Nothing is taken that could not be placed elsewhere, such as a fingerprint whose hash cannot be
//! reproduced, or the run of a build script that made a pipe or a socket. A run that links a library of the system, or
//! reads outside of its package, may be used only if its inputs are observed. Content that names a directory of this
//! machine is bound to it, unless the directory is in a field that is known to be a path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::fingerprint::{Fingerprint, from_hex, hash_path};
use super::generated::{GeneratedItem, RecordedItem, list};
use super::linking::LinkedLibraries;
use super::printed;
use crate::cargo::Format;
use crate::cargo::layout::{RUN_BEGAN, UnitPaths};
use crate::digest::{Digest, Domain};
use crate::entry::{Content, FileRecord, Fresh, SmallFile};
use crate::error::Result;
use crate::event::UncacheableReason;
use crate::plan::Unit;
use crate::roots::{PathScanner, Root, RootedPath, Roots};
use crate::rustc::variables;
use crate::store::LocalStore;

/// Where units are built, and how cargo lays out its files there.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// How this cargo writes its files.
    pub format: Format,
    /// The build directory and the workspace, among others.
    pub roots: &'a Roots,
}

impl Site<'_> {
    /// The directory of a unit's profile.
    pub fn profile(&self, unit: &Unit) -> Option<Utf8PathBuf> {
        Some(self.roots.get(Root::BuildDir)?.join(unit.profile_dir()))
    }

    /// Cargo's files of a unit that was compiled into `out_dir`, if they are complete by now, and the roots that they
    /// are bound to. `hash` is the one in the names of its outputs, or empty if they have none. `printed` are the
    /// diagnostics that cargo received.
    pub fn compiled(
        &self,
        unit: &Unit,
        hash: &str,
        out_dir: &Utf8Path,
        printed: &str,
    ) -> Option<(Fresh, BTreeSet<Root>)> {
        let (profile, layout) = (self.profile(unit)?, self.format.layout);
        let found = hash.is_empty().then(|| layout.hash_of(&profile, &unit.package, &unit.target, out_dir)).flatten();
        let hash = found.as_deref().unwrap_or(hash);
        let paths = layout.of_compiled(&profile, &unit.package, hash, out_dir)?;
        let mut bound = BTreeSet::new();
        let (mut fresh, fingerprint) = self.fingerprint(unit, &profile, &paths, printed, &mut bound)?;
        if fingerprint.path() != self.hash_source(unit, &unit.root_file) {
            return None;
        }
        fresh.source = Some(self.roots.record(unit.root_file.as_str(), &mut bound));
        Some((fresh, bound))
    }

    /// The hash of a root file's path. For a package in a directory, cargo makes the path relative to the workspace
    /// (`util/workspace.rs`, `path_args`).
    pub fn hash_source(&self, unit: &Unit, file: &Utf8Path) -> u64 {
        let workspace = self.roots.get(Root::Workspace).filter(|_| !unit.external);
        hash_path(workspace.and_then(|workspace| file.strip_prefix(workspace).ok()).unwrap_or(file).as_std_path())
    }

    /// The files of the fingerprint's directory, without the values of variables, and the fingerprint with them.
    fn fingerprint(
        &self,
        unit: &Unit,
        profile: &Utf8Path,
        paths: &UnitPaths,
        printed: &str,
        bound: &mut BTreeSet<Root>,
    ) -> Option<(Fresh, Fingerprint)> {
        let directory = profile.join(&paths.fingerprint);
        let mut files = Vec::new();
        for file in directory.read_dir_utf8().ok()? {
            files.push(file.ok()?.file_name().to_owned());
        }
        let json = files.iter().find(|file| file.ends_with(".json"))?;
        let name = json.strip_suffix(".json")?;
        let hash = fs::read_to_string(directory.join(name)).ok()?;
        let fingerprint =
            Fingerprint::parse(&fs::read_to_string(directory.join(json)).ok()?, self.format.generation).ok()?;
        if Some(fingerprint.hash()) != from_hex(&hash) {
            return None;
        }
        let others = files.iter().filter(|file| *file != json && *file != name);
        let others =
            others.map(|file| self.small_file(profile, format!("{}/{file}", paths.fingerprint), printed, bound));
        let mut without_values = fingerprint.clone();
        without_values.environment_mut().for_each(|(_, value)| *value = None);
        let fresh = Fresh {
            layout: self.format.layout,
            profile_dir: unit.profile_dir(),
            directory: paths.outputs.clone(),
            fingerprint_dir: paths.fingerprint.clone(),
            name: name.to_owned(),
            fingerprint: without_values.to_json(),
            hash,
            source: None,
            files: others.collect::<Option<_>>()?,
        };
        Some((fresh, fingerprint))
    }

    /// The content of a file, unless it is what was `printed`. The file is bound to each root that it contains.
    fn small_file(
        &self,
        profile: &Utf8Path,
        path: String,
        printed: &str,
        bound: &mut BTreeSet<Root>,
    ) -> Option<SmallFile> {
        let content = match String::from_utf8(fs::read(profile.join(&path)).ok()?) {
            Ok(text) if !text.is_empty() && text == printed => Content::Diagnostics,
            Ok(text) if !text.contains('\0') => {
                bound.extend(self.roots.held_by(&text));
                Content::Text(text)
            }
            other => {
                let bytes = other.map_or_else(|error| error.into_bytes(), String::into_bytes);
                bound.extend(PathScanner::new(self.roots).scan(&bytes));
                Content::Bytes(bytes)
            }
        };
        Some(SmallFile { path, content })
    }

    /// The digest of everything that the run of a build script made. It does not depend on where the roots are.
    pub fn script_digest(&self, unit: &Unit, out_dir: &Utf8Path) -> Option<Digest> {
        let printed = self.printed(unit, out_dir)?;
        let content =
            printed::record(&printed, self.roots, &own_dirs(unit, Some(out_dir), self.roots), &mut BTreeSet::new());
        let own = own_dirs(unit, Some(out_dir), self.roots);
        let digest = |found: &GeneratedItem| {
            Some((found.name.clone(), found.mode, found.digest(out_dir, &own, self.roots).ok()?))
        };
        let files: Option<Vec<_>> = list(out_dir).ok()??.iter().map(digest).collect();
        Some(digest_run(&content, files?))
    }

    /// The run of a build script, or the reason why it cannot be recorded; `None` if cargo's files of it are
    /// incomplete.
    pub fn script(
        &self,
        unit: &Unit,
        out_dir: &Utf8Path,
        store: &LocalStore,
    ) -> Result<Option<Result<ScriptRun, UncacheableReason>>> {
        let Some(profile) = self.profile(unit) else { return Ok(None) };
        let Some(paths) = self.format.layout.of_run(&profile, out_dir) else { return Ok(None) };
        let mut bound = BTreeSet::new();
        let Some((mut fresh, mut fingerprint)) = self.fingerprint(unit, &profile, &paths, "", &mut bound) else {
            return Ok(None);
        };
        let Some(run) = paths.run else { return Ok(None) };
        let Some(printed) = self.printed(unit, out_dir) else { return Ok(None) };
        let content = printed::record(&printed, self.roots, &own_dirs(unit, Some(out_dir), self.roots), &mut bound);
        let Some(kept) = self.run_files(&profile, &run, &content) else { return Ok(None) };
        let linking = LinkedLibraries::of(&printed, out_dir, &unit.package_dir);
        // If a watched file is missing, cargo runs the script each time.
        let exists = |path: &Path| unit.package_dir.as_std_path().join(path).exists();
        if !fingerprint.changed_paths().all(exists) {
            return Ok(Some(Err(UncacheableReason::OutsideInput)));
        }
        let mut reason_if_unobserved = reason_if_unobserved(unit.native, linking, &fingerprint);
        let absolute = fingerprint.changed_paths().filter(|path| path.is_absolute());
        bound.extend(absolute.flat_map(|path| self.roots.held_by(&path.to_string_lossy())));
        fresh.files.extend(kept);
        let (mut files, mut made) = (Vec::new(), printed::text(&content).into_bytes());
        let Some(generated) = list(out_dir)? else { return Ok(Some(Err(UncacheableReason::SpecialFiles))) };
        let own = own_dirs(unit, Some(out_dir), self.roots);
        let mut digests = Vec::new();
        for found in generated {
            let RecordedItem { kind, bytes, bound: of_file } = found.record(out_dir, &own, self.roots)?;
            if !is_declared_native(unit.native, &fingerprint) && is_native(&found.name, &bytes) {
                reason_if_unobserved.get_or_insert(UncacheableReason::Native);
            }
            bound.extend(of_file);
            let (size, digest) = store.add_bytes(&bytes)?;
            digests.push((found.name.clone(), found.mode, Digest::of_value(Domain::ScriptRun, &(kind, digest))));
            files.push(FileRecord { name: found.name, kind, size, digest, mode: found.mode });
            made.extend(bytes);
        }
        let digest = digest_run(&content, digests);
        let environment = fingerprint
            .environment_mut()
            .map(|(name, value)| (name.to_owned(), variables::digest(name, value.as_deref(), self.roots, &[])))
            .collect();
        let is_declared = fingerprint.is_declared();
        Ok(Some(Ok(ScriptRun { fresh, files, digest, environment, bound, is_declared, reason_if_unobserved, made })))
    }

    /// What the run of a build script links; `None` if cargo's files of it are missing.
    pub fn linking(&self, unit: &Unit, out_dir: &Utf8Path) -> Option<LinkedLibraries> {
        Some(LinkedLibraries::of(&self.printed(unit, out_dir)?, out_dir, &unit.package_dir))
    }

    /// The names of the libraries that the run of a build script links, without those of the compiler.
    pub fn libraries(&self, unit: &Unit, out_dir: &Utf8Path) -> Option<Vec<String>> {
        Some(LinkedLibraries::libraries(&self.printed(unit, out_dir)?))
    }

    /// The features that the run of a build script enabled by `rustc-cfg`; `None` if cargo's files of it are missing.
    pub fn script_features(&self, unit: &Unit, out_dir: &Utf8Path) -> Option<BTreeSet<String>> {
        Some(printed::features(&self.printed(unit, out_dir)?))
    }

    /// What the run of a build script printed for cargo.
    fn printed(&self, unit: &Unit, out_dir: &Utf8Path) -> Option<String> {
        let profile = self.profile(unit)?;
        let run = self.format.layout.of_run(&profile, out_dir)?.run?;
        fs::read_to_string(profile.join(run).join(self.format.layout.script_output())).ok()
    }

    /// When the run of a build script that made `out_dir` began, and how long it took. Cargo sets the time of the
    /// script's output back to the beginning (`compiler/custom_build.rs`), so the newest of cargo's files shows the
    /// end.
    pub fn script_time(&self, unit: &Unit, out_dir: &Utf8Path) -> Option<(SystemTime, Duration)> {
        let profile = self.profile(unit)?;
        let run = profile.join(self.format.layout.of_run(&profile, out_dir)?.run?);
        let modified = |name: &str| fs::metadata(run.join(name)).ok()?.modified().ok();
        let start = modified(RUN_BEGAN)?;
        let end = self.format.layout.run_files().into_iter().filter_map(modified).max()?;
        Some((start, end.duration_since(start).unwrap_or_default()))
    }

    /// Cargo's files of a run that has `printed` this.
    fn run_files(&self, profile: &Utf8Path, run: &str, printed: &Content) -> Option<Vec<SmallFile>> {
        let kept = |name: &&str| {
            let path = format!("{run}/{name}");
            let text = || fs::read(profile.join(&path)).ok();
            let content = match *name {
                name if name == self.format.layout.script_output() => printed.clone(),
                "root-output" => {
                    let root = self.roots.record(&String::from_utf8(text()?).ok()?, &mut BTreeSet::new());
                    matches!(root, RootedPath::Below { .. }).then_some(Content::Path(root))?
                }
                "stderr" => printed::record_noise(&String::from_utf8_lossy(&text()?), self.roots),
                _ => Content::Text(String::from_utf8(text()?).ok()?),
            };
            Some(SmallFile { path, content })
        };
        self.format.layout.run_files().iter().map(kept).collect()
    }
}

/// The run of a build script.
#[derive(Clone, Debug)]
pub struct ScriptRun {
    /// Cargo's files of it.
    pub fresh: Fresh,
    /// What it wrote into `OUT_DIR`; the files are in the store.
    pub files: Vec<FileRecord>,
    /// The digest of everything it made.
    pub digest: Digest,
    /// The variables that it declares, with the digests of their values; `None` for an unset one.
    pub environment: BTreeMap<String, Option<Digest>>,
    /// The roots whose paths are in its files.
    pub bound: BTreeSet<Root>,
    /// Whether it declares its inputs.
    pub is_declared: bool,
    /// Why it must not be recorded if its inputs are not observed.
    pub reason_if_unobserved: Option<UncacheableReason>,
    /// Everything that it printed and wrote, in its recorded form.
    pub made: Vec<u8>,
}

/// The package's own directories, including its `OUT_DIR`. Their names contain hashes of cargo's, so no text contains
/// them by chance. The directory of a vendored package has no such name and is not included.
pub fn own_dirs<'a>(unit: &'a Unit, out_dir: Option<&'a Utf8Path>, roots: &Roots) -> Vec<&'a Utf8Path> {
    let is_of_cargo = roots.get(Root::CargoHome).is_some_and(|home| unit.package_dir.starts_with(home));
    let package = (unit.external && is_of_cargo).then_some(unit.package_dir.as_path());
    package.into_iter().chain(out_dir).collect()
}

/// The digest of a run: the directives that the script printed, and the names, modes and contents of its files.
fn digest_run(printed: &Content, files: Vec<(String, Option<u32>, Digest)>) -> Digest {
    Digest::of_value(Domain::ScriptRun, &(printed::directives(printed), files))
}

/// Why a run whose inputs are not observed must happen every time, as far as its output shows.
///
/// For a script that does not declare its inputs, cargo's own rule applies: it depends on the files of its package,
/// which a checksum or a commit fixes, and on its key and host class. A script for native code is an exception, since C
/// compilers read more than that.
fn reason_if_unobserved(
    native: bool,
    linking: LinkedLibraries,
    fingerprint: &Fingerprint,
) -> Option<UncacheableReason> {
    let is_below = |component: Component<'_>| matches!(component, Component::Normal(_) | Component::CurDir);
    let outside = |path: &Path| !path.components().all(is_below);
    match linking {
        LinkedLibraries::System { .. } => Some(UncacheableReason::SystemLibrary),
        LinkedLibraries::Unclear => Some(UncacheableReason::Native),
        LinkedLibraries::Own if !is_declared_native(native, fingerprint) => Some(UncacheableReason::Native),
        _ if fingerprint.changed_paths().any(outside) => Some(UncacheableReason::OutsideInput),
        _ => None,
    }
}

/// Whether a script is known to be for native code, and declares its inputs.
fn is_declared_native(native: bool, fingerprint: &Fingerprint) -> bool {
    native && fingerprint.is_declared()
}

/// The names of everything in an `OUT_DIR`; `None` if it cannot be read or contains a special file.
pub fn generated_files(directory: &Utf8Path) -> Option<Vec<String>> {
    Some(list(directory).ok()??.into_iter().map(|item| item.name).collect())
}

/// Whether a generated file is compiled code, by its name or its first bytes.
fn is_native(name: &str, bytes: &[u8]) -> bool {
    const EXTENSIONS: &[&str] = &["o", "obj", "a", "lib", "so", "dylib", "dll", "bc", "pdb"];
    const MAGICS: &[&[u8]] =
        &[b"\x7fELF", b"!<arch>", b"!<thin>", b"MZ", b"BC\xc0\xde", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];
    let extension = Utf8Path::new(name).extension().unwrap_or_default();
    EXTENSIONS.contains(&extension) || MAGICS.iter().any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(local: &str) -> Fingerprint {
        let json = format!(
            r#"{{"rustc":1,"features":"","declared_features":"","target":0,"profile":0,"path":0,"deps":[],"local":[{local}],"rustflags":[],"config":0,"compile_kind":0}}"#
        );
        Fingerprint::parse(&json, Format::named("1.91, classic").unwrap().generation).unwrap()
    }

    const DECLARED: &str = r#"{"RerunIfChanged":{"output":"debug/build/a-0/output","paths":["build.rs"]}}"#;

    #[test]
    fn a_script_may_link_nothing_or_its_own_products_if_it_is_known_to_be_native() {
        let declared = fingerprint(DECLARED);
        let silent = fingerprint(r#"{"Precalculated":"1.0.0"}"#);
        assert_eq!(reason_if_unobserved(false, LinkedLibraries::Nothing, &declared), None);
        assert_eq!(reason_if_unobserved(false, LinkedLibraries::Nothing, &silent), None);
        assert_eq!(reason_if_unobserved(true, LinkedLibraries::Own, &declared), None);
        assert_eq!(reason_if_unobserved(false, LinkedLibraries::Own, &declared), Some(UncacheableReason::Native));
        assert_eq!(reason_if_unobserved(true, LinkedLibraries::Own, &silent), Some(UncacheableReason::Native));
        assert_eq!(reason_if_unobserved(true, LinkedLibraries::Unclear, &declared), Some(UncacheableReason::Native));
        let system = LinkedLibraries::System { is_static: false };
        assert_eq!(reason_if_unobserved(true, system, &declared), Some(UncacheableReason::SystemLibrary));
    }

    #[test]
    fn a_script_that_declares_an_input_outside_of_its_package_runs_every_time() {
        let of = |path: &str| {
            let local = format!(r#"{{"RerunIfChanged":{{"output":"o","paths":["build.rs","{path}"]}}}}"#);
            reason_if_unobserved(false, LinkedLibraries::Nothing, &fingerprint(&local))
        };
        for path in ["/etc/passwd", "../other/file", "./../other/file"] {
            assert_eq!(of(path), Some(UncacheableReason::OutsideInput), "{path}");
        }
        for path in ["./build.rs", "src/./lib.rs", "."] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn compiled_code_is_detected_by_its_name_or_first_bytes() {
        assert!(is_native("lib.a", b"") && is_native("x/y.o", b"") && is_native("tool", b"\x7fELF\x02"));
        assert!(!is_native("private.rs", b"pub mod x;") && !is_native("table.bin", b"\0\0"));
    }
}
