//! The files of a state: manifests, configuration, and the code of [`source`](crate::source).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::directories::Directories;
use crate::model::{ConfigPlace, DependencyTable, Origin, Package, State, Target};
use crate::source;
use crate::undeclared;

/// Files by their path below some directory.
pub(crate) type Files = BTreeMap<String, String>;

/// Versions and commits of published packages, for manifests.
pub(crate) trait Published {
    /// The version of a package of the registry.
    fn version(&self, package: &str) -> String;
    /// The repository of a package, and its commit.
    fn revision(&self, package: &str) -> (String, String);
}

/// All files of a package except its manifest.
pub(crate) fn package_files(state: &State, package: &Package, directories: &Directories) -> Files {
    let mut files: Files = source::data_files(package).into_iter().collect();
    files.insert("src/lib.rs".into(), source::library(state, package, directories));
    if package.has_script() {
        files.insert("build.rs".into(), source::script(state, package, directories));
    }
    if package.origin == Origin::Member && !package.is_macro {
        files.extend(target_files(package));
    }
    files
}

fn target_files(package: &Package) -> Files {
    let name = &package.name;
    let file = |target| match target {
        Target::Bin => Some(("src/main.rs".to_owned(), source::program(package, "the program"))),
        Target::Test => Some(("tests/it.rs".to_owned(), source::test(package, package.has(Target::Bin)))),
        Target::Example => {
            Some((format!("examples/show_{name}_{}.rs", package.renamed), source::program(package, "the example")))
        }
        Target::Cdylib => None,
    };
    package.targets.iter().filter_map(|target| file(*target)).collect()
}

/// The files of the checkout.
pub(crate) fn checkout(state: &State, directories: &Directories, published: &dyn Published) -> Files {
    let mut files = Files::new();
    for package in &state.packages {
        let dir = match package.origin {
            Origin::Member => package.name.clone(),
            Origin::Side => format!("side/{}", package.name),
            Origin::Git | Origin::Registry => continue,
        };
        files.insert(format!("{dir}/Cargo.toml"), manifest(state, package, published));
        let of_package = package_files(state, package, directories);
        files.extend(of_package.into_iter().map(|(path, content)| (format!("{dir}/{path}"), content)));
    }
    files.extend(state.members().flat_map(source::shared_files));
    files.insert("Cargo.toml".into(), workspace(state));
    files.insert(".gitignore".into(), "/target\n/out\n".into());
    files
}

fn workspace(state: &State) -> String {
    let members = state.members().map(|package| package.name.clone());
    let members: Vec<_> = members.chain(undeclared::nested_members(state)).collect();
    let circumstances = &state.circumstances;
    let lint = circumstances.lint.as_deref().unwrap_or("warn");
    let mut text = format!(
        "[workspace]\nmembers = {members:?}\nexclude = [\"side\", \"vendor\"]\nresolver = \"2\"\n\n[workspace.lints.rust]\nunused_variables = {lint:?}\n"
    );
    let defaults = [("dev", "debug = 0\n"), ("release", "opt-level = 1\n"), ("fast", "inherits = \"release\"\n")];
    for (name, default) in defaults {
        let fields = circumstances.profiles.get(name);
        let key = default.split(' ').next().unwrap_or_default();
        let default = if fields.is_some_and(|fields| fields.contains_key(key)) { "" } else { default };
        write!(text, "\n[profile.{name}]\n{default}").expect("writing to memory");
        text.push_str(&lines(fields));
    }
    text + &undeclared::metadata(state)
}

/// Lines `key = value`.
fn lines(fields: Option<&BTreeMap<String, String>>) -> String {
    fields.into_iter().flatten().map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// A configuration file without the source replacement.
pub(crate) fn config(state: &State, place: ConfigPlace) -> String {
    lines(state.circumstances.configs.get(&place))
}

/// The manifest of a package outside of the registry.
pub(crate) fn manifest(state: &State, package: &Package, published: &dyn Published) -> String {
    let Package { name, description, .. } = package;
    let mut text = format!(
        "[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2021\"\ndescription = \"d{description}\"\n"
    );
    if package.links && package.has_script() {
        writeln!(text, "links = \"xd_{name}\"").expect("writing to memory");
    }
    let kind = match package.is_macro {
        true => "proc-macro = true",
        false if package.has(Target::Cdylib) => "crate-type = [\"lib\", \"cdylib\"]",
        false => "",
    };
    write!(text, "\n[lib]\ndoctest = false\n{kind}\n\n[features]\nloud = []\n").expect("writing to memory");
    if package.origin == Origin::Member {
        text.push_str("\n[lints]\nworkspace = true\n");
    }
    let tables = [
        ("dependencies", DependencyTable::Normal),
        ("build-dependencies", DependencyTable::Build),
        ("dev-dependencies", DependencyTable::Dev),
        ("target.'cfg(unix)'.dependencies", DependencyTable::Unix),
        ("target.'cfg(xd_flag)'.dependencies", DependencyTable::Flagged),
    ];
    for (table, how) in tables {
        write!(text, "\n[{table}]\n").expect("writing to memory");
        for (need, other) in state.needed(package).filter(|(need, _)| need.how == how) {
            text.push_str(&dependency(package, other, need.loud, published));
        }
    }
    if state.members().next() == Some(package) {
        text.push_str(&pins(state, published));
    }
    text
}

fn dependency(of: &Package, on: &Package, loud: bool, published: &dyn Published) -> String {
    let name = &on.name;
    let place = match on.origin {
        Origin::Member => format!("path = \"../{name}\""),
        Origin::Side if of.origin == Origin::Side => format!("path = \"../{name}\""),
        Origin::Side => format!("path = \"../side/{name}\""),
        Origin::Git => {
            let (url, revision) = published.revision(name);
            format!("git = {url:?}, rev = {revision:?}")
        }
        // Only unpublished packages can follow each new version.
        Origin::Registry if of.origin == Origin::Git => "version = \"1\"".to_owned(),
        Origin::Registry => format!("version = \"={}\"", published.version(name)),
    };
    let features = if loud { ", features = [\"loud\"]" } else { "" };
    format!("{name} = {{ {place}{features} }}\n")
}

/// Dependencies for another platform: they are never compiled, but fix the version for all packages.
fn pins(state: &State, published: &dyn Published) -> String {
    let mut text = "\n[target.'cfg(windows)'.dependencies]\n".to_owned();
    for package in state.packages.iter().filter(|package| package.origin == Origin::Registry) {
        writeln!(text, "{} = \"={}\"", package.name, published.version(&package.name)).expect("writing to memory");
    }
    text
}
