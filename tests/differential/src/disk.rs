//! Writes a state to the disk: checkouts, configuration, a registry and repositories.
//!
//! Only changed files are written, so modification times are those of real edits.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use support::{Registry, Repository, tree};

use crate::directories::Directories;
use crate::entry::{Entries, Entry, texts};
use crate::model::{Circumstances, CompilerSetting, ConfigPlace, DependencyTable, Origin, Package, State};
use crate::render::{self, Files, Published};
use crate::undeclared;

/// The disk as a walk has left it.
pub(crate) struct Disk {
    pub directories: Directories,
    /// The triple of this machine.
    host: String,
    /// The entries written below each directory.
    written: HashMap<PathBuf, Entries>,
    publications: Publications,
}

/// Everything published so far. The same content always gets the same version.
#[derive(Default)]
struct Publications {
    versions: HashMap<String, Vec<Files>>,
    commits: HashMap<(String, Files), String>,
    /// The current version or commit of each package.
    current: HashMap<String, String>,
    urls: HashMap<String, String>,
}

impl Published for Publications {
    fn version(&self, package: &str) -> String {
        self.current[package].clone()
    }

    fn revision(&self, package: &str) -> (String, String) {
        (self.urls[package].clone(), self.current[package].clone())
    }
}

impl Disk {
    pub(crate) fn new(directories: Directories, host: &str) -> Self {
        Self { directories, host: host.to_owned(), written: HashMap::new(), publications: Publications::default() }
    }

    /// Makes the disk match a state. With `quietly`, changed files keep their modification times. Returns a digest of
    /// everything rendered.
    pub(crate) fn write_state(&mut self, state: &State, quietly: bool) -> String {
        let vendored = self.publish(state);
        let directories = &self.directories;
        let checkout = directories.checkout(state.circumstances.checkout).to_owned();
        let mut files = render::checkout(state, directories, &self.publications);
        let source = if state.circumstances.vendored {
            files.extend(vendored);
            "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n".to_owned()
        } else {
            Registry::open(&directories.registry()).source_replacement()
        };
        let config = [
            render::config(state, ConfigPlace::Workspace),
            compiler_config(state, directories),
            flag_config(state, directories, &self.host),
            source,
        ];
        files.insert(".cargo/config.toml".into(), config.concat());
        let mut entries = texts(files);
        entries.extend(undeclared::of_members(state, directories));
        write_programs(state, directories);
        let config = |place| texts(Files::from([("config.toml".to_owned(), render::config(state, place))]));
        let above = directories.config_above().parent().expect("the configuration is in a directory").to_owned();
        let mut sha = Sha256::new();
        let home = directories.home(state.circumstances.home);
        for (dir, entries) in [
            (checkout.clone(), entries),
            (above, config(ConfigPlace::Above)),
            (home, config(ConfigPlace::Home)),
            (directories.outside(), undeclared::outside(state, directories)),
        ] {
            sha.update(format!("{dir:?} {entries:?}"));
            self.write(&dir, entries, quietly);
        }
        if state.circumstances.git && !checkout.join(".git").exists() {
            git(&checkout, &["init", "--quiet", "--initial-branch=main"]);
        }
        sha.update(format!("{:?}", (state.circumstances.compiler, state.circumstances.cc)));
        hex(&sha.finalize())
    }

    fn write(&mut self, dir: &Path, entries: Entries, quietly: bool) {
        let before = self.written.remove(dir).unwrap_or_default();
        for (path, entry) in before.iter().rev().filter(|(path, _)| !entries.contains_key(*path)) {
            entry.remove(&dir.join(path));
            // A directory is removed with its last file.
            let mut parent = Path::new(path).parent();
            while let Some(name) = parent.filter(|name| *name != Path::new("")) {
                let _ = fs::remove_dir(dir.join(name));
                parent = name.parent();
            }
        }
        // A directory may have been removed with its last file.
        let must_be_written =
            |path: &String, entry: &Entry| before.get(path) != Some(entry) || *entry == Entry::Directory;
        for (path, entry) in entries.iter().filter(|(path, entry)| must_be_written(path, entry)) {
            let path = dir.join(path);
            let time = modified(&path).filter(|_| quietly && entry.is_file());
            entry.write(&path);
            // An empty configuration means no file.
            if let (Some(time), Ok(file)) = (time, File::options().write(true).open(&path)) {
                file.set_modified(time).expect("times can be set");
            }
        }
        self.written.insert(dir.to_owned(), entries);
    }

    /// Publishes the packages outside of the checkout. Returns the files of `vendor`.
    fn publish(&mut self, state: &State) -> Files {
        let mut vendored = Files::new();
        // Dependencies come last in the list, and are published first.
        for package in state.packages.iter().rev() {
            match package.origin {
                Origin::Registry => vendored.extend(self.publish_to_registry(state, package)),
                Origin::Git => self.commit(state, package),
                Origin::Member | Origin::Side => {}
            }
        }
        vendored
    }

    fn publish_to_registry(&mut self, state: &State, package: &Package) -> Files {
        let mut content = render::package_files(state, package, &self.directories);
        content.insert("manifest".into(), made_up(state, package, "0", &content).manifest());
        let versions = self.publications.versions.entry(package.name.clone()).or_default();
        let known = versions.iter().position(|version| *version == content);
        let n = known.unwrap_or_else(|| {
            versions.push(content.clone());
            versions.len() - 1
        });
        content.remove("manifest");
        let version = format!("1.0.{n}");
        let archive = made_up(state, package, &version, &content);
        let registry = Registry::new(&self.directories.registry());
        let path = registry.archive(&archive);
        content.insert("Cargo.toml".into(), archive.manifest());
        if known.is_none() {
            registry.publish(archive);
        }
        self.publications.current.insert(package.name.clone(), version);
        let checksum = hex(&Sha256::digest(fs::read(path).expect("the archive was written")));
        content.insert(".cargo-checksum.json".into(), format!("{{\"files\":{{}},\"package\":\"{checksum}\"}}"));
        content.into_iter().map(|(path, content)| (format!("vendor/{}/{path}", package.name), content)).collect()
    }

    fn commit(&mut self, state: &State, package: &Package) {
        let mut files = render::package_files(state, package, &self.directories);
        files.insert("Cargo.toml".into(), render::manifest(state, package, &self.publications));
        let dir = self.directories.repository(&package.name);
        let key = (package.name.clone(), files.clone());
        if !self.publications.commits.contains_key(&key) {
            self.write(&dir, texts(files), false);
            let repository = Repository::of_dir(&dir);
            self.publications.urls.insert(package.name.clone(), repository.url());
            self.publications.commits.insert(key.clone(), git(&dir, &["rev-parse", "HEAD"]));
        }
        self.publications.current.insert(package.name.clone(), self.publications.commits[&key].clone());
    }
}

/// Writes the programs in front of the compilers.
fn write_programs(state: &State, directories: &Directories) {
    let Circumstances { compiler, cc, .. } = state.circumstances;
    let cfg = format!("--cfg 'xd_compiler=\"{}\"'", compiler.digit);
    let text = match compiler.by {
        CompilerSetting::Nothing => None,
        CompilerSetting::WrapperVariable | CompilerSetting::WrapperConfig => Some(format!("exec \"$@\" {cfg}")),
        CompilerSetting::RustcVariable | CompilerSetting::RustcConfig => Some(format!("exec rustc \"$@\" {cfg}")),
    };
    if let Some(text) = text {
        write_program(&directories.compiler(compiler), &text);
    }
    if cc > 0 {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let real_cc = std::env::split_paths(&path).map(|dir| dir.join("cc")).find(|cc| cc.is_file());
        let real_cc = real_cc.expect("a C compiler is installed");
        write_program(&directories.cc().join("cc"), &format!("exec {} \"$@\" -DXD_CC={cc}", real_cc.display()));
    }
}

/// Writes a program, if it has changed.
fn write_program(path: &Path, text: &str) {
    if !fs::read_to_string(path).is_ok_and(|before| before.trim_end().ends_with(text)) {
        tree::write_script(path, text);
    }
}

fn compiler_config(state: &State, directories: &Directories) -> String {
    let compiler = state.circumstances.compiler;
    let key = match compiler.by {
        CompilerSetting::WrapperConfig => "rustc-wrapper",
        CompilerSetting::RustcConfig => "rustc",
        CompilerSetting::Nothing | CompilerSetting::WrapperVariable | CompilerSetting::RustcVariable => {
            return String::new();
        }
    };
    format!("build.{key} = {:?}\n", directories.compiler(compiler))
}

/// Flags that name the object.
fn flag_config(state: &State, directories: &Directories, host: &str) -> String {
    match state.circumstances.object.filter(|_| state.circumstances.flagged) {
        Some(_) => format!("target.{host}.rustflags = [\"-C\", \"link-arg={}\"]\n", directories.object().display()),
        None => String::new(),
    }
}

/// A package of the registry.
fn made_up(state: &State, package: &Package, version: &str, files: &Files) -> support::Package {
    let mut archive = support::Package::new(&package.name, version, &files["src/lib.rs"]).feature("loud");
    if package.is_macro {
        archive = archive.procedural_macro();
    }
    if package.links && package.has_script() {
        archive = archive.links(&format!("xd_{}", package.name));
    }
    for (need, other) in state.needed(package) {
        archive = match need.how {
            DependencyTable::Build => archive.build_dependency(&other.name, "1"),
            _ => archive.dependency(&other.name, "1"),
        };
    }
    let others = files.iter().filter(|(path, _)| !["src/lib.rs", "manifest"].contains(&path.as_str()));
    others.fold(archive, |archive, (path, content)| archive.file(path, content))
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(dir).output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::undeclared::tests::{directories, state_of_all};

    /// Files with their contents, links with their targets, and directories.
    fn everything(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for path in tree::children(dir) {
            let metadata = fs::symlink_metadata(&path).expect("the path exists");
            let content = match &metadata {
                metadata if metadata.is_dir() => Vec::new(),
                metadata if metadata.is_symlink() => {
                    fs::read_link(&path).expect("the link can be read").into_os_string().into_encoded_bytes()
                }
                _ => fs::read(&path).expect("the file can be read"),
            };
            if metadata.is_dir() {
                found.extend(everything(&path));
            }
            found.insert(path, content);
        }
        found
    }

    #[test]
    fn returning_to_a_state_gives_the_same_files() {
        let mut disk = Disk::new(directories(), "x86_64-unknown-linux-gnu");
        let mut put = |value| {
            let digest = disk.write_state(&state_of_all(value), false);
            let directories = [disk.directories.outside(), disk.directories.checkout(0).to_owned()];
            (digest, directories.map(|dir| everything(&dir)))
        };
        let first = [0, 1, 2, 3].map(&mut put);
        for (n, before) in first.iter().enumerate() {
            assert!(first[..n].iter().all(|other| other.0 != before.0 && other.1 != before.1));
        }
        for value in [2, 0, 3, 1, 0] {
            assert_eq!(put(value), first[usize::from(value)], "{value}");
        }
    }

    #[test]
    fn quiet_changes_keep_modification_times() {
        let mut disk = Disk::new(directories(), "x86_64-unknown-linux-gnu");
        disk.write_state(&state_of_all(1), false);
        let tool = tree::files(&disk.directories.outside().join("late/bin")).remove(0);
        let before = (modified(&tool), tree::read(&tool));
        disk.write_state(&state_of_all(2), true);
        let after = (modified(&tool), tree::read(&tool));
        assert_eq!(after.0, before.0);
        assert_ne!(after.1, before.1);
    }
}
