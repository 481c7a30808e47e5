//! Checks that modules import only modules further down the table in the architecture chapter, without cycles.
//!
//! The imports are read from the source: every path that begins with `crate`, `super` or `self`, in a `use` declaration
//! or elsewhere. Among its siblings, a module represents all modules below it, so a module and its parts may import
//! each other. Code that only tests use is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::reference::source;

/// A source file: the path of its module below the crate root, and its text.
type File = (String, String);

/// The names in the rows of a table, from the top.
type Table = Vec<Vec<String>>;

/// All problems with the imports in these files.
fn problems(files: &[File], table: Option<&Table>) -> Vec<String> {
    let files = without_tests(files);
    let modules: BTreeSet<&str> = files.iter().map(|(module, _)| module.as_str()).collect();
    let imports = sibling_imports(&files, &modules);
    let mut problems = cycles(&imports);
    if let Some(table) = table {
        problems.extend(differences(table, &modules));
        problems.extend(upward_imports(table, &imports));
    }
    problems
}

/// The files without tests: without modules that are compiled only for tests, and without the tests in other modules.
fn without_tests(files: &[File]) -> Vec<File> {
    let declared = Regex::new(r"#\[cfg\((?:all\()?test[^\n]*\n(?:#\[[^\n]*\n)*[\w() ]*mod (\w+);").unwrap();
    let inline = Regex::new(r"(?s)#\[cfg\((?:all\()?test[^\n]*\n(?:#\[[^\n]*\n)*[\w() ]*mod \w+ \{.*?\n\}\n").unwrap();
    let comment = Regex::new(r"//.*").unwrap();
    let tests: Vec<String> = files
        .iter()
        .flat_map(|(module, text)| declared.captures_iter(text).map(move |name| below(module, &name[1])))
        .collect();
    let is_test = |module: &str| {
        tests.iter().any(|test| module.strip_prefix(test).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    };
    let kept = files.iter().filter(|(module, _)| !is_test(module) && !module.ends_with("_tests"));
    kept.map(|(module, text)| (module.clone(), comment.replace_all(&inline.replace_all(text, ""), "").into())).collect()
}

fn below(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The imports between siblings. An import between other modules counts for their ancestors that are siblings.
fn sibling_imports(files: &[File], modules: &BTreeSet<&str>) -> BTreeSet<(String, String)> {
    let mut imports = BTreeSet::new();
    for (importer, text) in files {
        for path in paths(text) {
            let imported = module_of(importer, &path, modules);
            imports.extend(siblings(importer, &imported));
        }
    }
    imports
}

/// The paths in a source that refer to this crate.
fn paths(text: &str) -> Vec<String> {
    static DECLARATION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\buse ((?:crate|super|self)::[^;]*);").unwrap());
    static PATH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap());
    let mut paths: Vec<_> = PATH.find_iter(text).map(|path| path.as_str().to_owned()).collect();
    DECLARATION.captures_iter(text).for_each(|tree| expand("", &tree[1], &mut paths));
    paths
}

/// The paths in the tree of a `use` declaration.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        return paths.push(format!("{prefix}{}", tree.split(" as ").next().unwrap_or_default()));
    };
    let body = rest.strip_suffix('}').expect("a group ends");
    let (mut depth, mut start) = (0, 0);
    for (at, character) in body.char_indices().chain([(body.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&format!("{prefix}{head}"), &body[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The module that a path refers to, or the module of the item that it refers to.
fn module_of(importer: &str, path: &str, modules: &BTreeSet<&str>) -> String {
    let mut module: Vec<&str> = importer.split("::").filter(|name| !name.is_empty()).collect();
    for name in path.split("::") {
        match name {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            "self" | "" => {}
            name => module.push(name),
        }
    }
    while !module.is_empty() && !modules.contains(module.join("::").as_str()) {
        module.pop();
    }
    module.join("::")
}

/// The ancestors of two modules, or the modules themselves, that are siblings; none if one is an ancestor of the other.
fn siblings(one: &str, other: &str) -> Option<(String, String)> {
    let split = |module: &str| module.split("::").map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (split(one), split(other));
    let common = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let is_below = |module: &[String]| module.len() > common && !module[common].is_empty();
    let at = |module: &[String]| module[..=common].join("::");
    (is_below(&one) && is_below(&other)).then(|| (at(&one), at(&other)))
}

/// Each import that is part of a cycle.
fn cycles(imports: &BTreeSet<(String, String)>) -> Vec<String> {
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            if seen.insert(module) {
                open.extend(imports.iter().filter(|(one, _)| one == module).map(|(_, other)| other.as_str()));
            }
        }
        seen.contains(to)
    };
    let circular = imports.iter().filter(|(one, other)| reaches(other, one));
    circular.map(|(one, other)| format!("`{one}` imports `{other}`, which imports `{one}` in turn")).collect()
}

/// The top-level modules without a row, and the names in rows that are not modules.
fn differences(table: &Table, modules: &BTreeSet<&str>) -> Vec<String> {
    let named: BTreeSet<&str> = table.iter().flatten().map(String::as_str).collect();
    let is_missing = |module: &&&str| !module.is_empty() && !module.contains("::") && !named.contains(*module);
    let missing = modules.iter().filter(is_missing).map(|module| format!("`{module}` has no row"));
    let unknown = named.difference(modules).map(|name| format!("`{name}` has a row but is not a module"));
    missing.chain(unknown).collect()
}

/// The imports of modules that have a row above the importer's.
fn upward_imports(table: &Table, imports: &BTreeSet<(String, String)>) -> Vec<String> {
    let rows: BTreeMap<&String, usize> =
        table.iter().enumerate().flat_map(|(row, names)| names.iter().map(move |name| (name, row))).collect();
    let is_upward = |(one, other): &&(String, String)| rows.get(one) > rows.get(other) && rows.contains_key(other);
    imports
        .iter()
        .filter(is_upward)
        .map(|(one, other)| format!("`{one}` imports `{other}`, which is above it"))
        .collect()
}

/// The names in the first column of a table, by row.
fn table(text: &str) -> Table {
    let name = Regex::new("`([a-z_:]+)`").unwrap();
    let rows = text.lines().filter_map(|line| line.trim_start_matches("//! ").strip_prefix("| "));
    let names = |row: &str| {
        let cell = row.split('|').next().unwrap_or_default();
        name.captures_iter(cell).map(|name| name[1].to_owned()).collect()
    };
    rows.map(names).filter(|names: &Vec<_>| !names.is_empty()).collect()
}

/// The files of a crate in this repository.
fn files(directory: &str) -> Vec<File> {
    let module = |path: &Path| {
        let path = path.strip_prefix(source::path(directory)).unwrap().with_extension("");
        let names = path.iter().map(|name| name.to_str().unwrap());
        names.filter(|name| !["lib", "main", "mod"].contains(name)).collect::<Vec<_>>().join("::")
    };
    source::files_in(directory).into_iter().map(|(path, text)| (module(&path), text)).collect()
}

#[test]
fn modules_import_down_the_table_in_the_architecture_chapter() {
    let chapter = source::text("book/src/architecture.md");
    let (_, section) = chapter.split_once("\n## The modules\n").expect("the chapter has a section of modules");
    let section = section.split("\n## ").next().unwrap_or_default();
    assert_eq!(problems(&files("src"), Some(&table(section))), Vec::<String>::new());
}

#[test]
fn the_table_in_the_documentation_of_the_library_has_the_same_order() {
    let documentation = source::text("src/lib.rs");
    assert_eq!(problems(&files("src"), Some(&table(&documentation))), Vec::<String>::new());
}

#[test]
fn modules_of_the_binary_have_no_import_cycles() {
    assert_eq!(problems(&files("cargo-plugin/src"), None), Vec::<String>::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up(files: &[(&str, &str)], rows: &str) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(module, text)| ((*module).into(), (*text).into())).collect();
        problems(&files, Some(&table(rows)))
    }

    const ROWS: &str = "| module |\n|---|\n| `session` | a |\n| `store`, `cargo` | b |\n| `fs` | c |\n";
    const FS: (&str, &str) = ("fs", "");
    const CARGO: (&str, &str) = ("cargo", "use crate::fs;\n");

    #[test]
    fn imports_down_the_table_are_allowed() {
        let session = ("session", "use crate::{\n    cargo::{self, Cargo},\n    store::LocalStore as Local,\n};\n");
        let parts =
            [("store", "use self::local::LocalStore;\n"), ("store::local", "use super::open;\nuse crate::fs;\n")];
        assert!(made_up(&[session, parts[0], parts[1], CARGO, FS], ROWS).is_empty());
    }

    #[test]
    fn an_import_up_the_table_is_found() {
        let store = ("store", "use crate::fs;\n\nfn run() {\n    crate::session::run()\n}\n");
        let expected = "`store` imports `session`, which is above it";
        assert_eq!(made_up(&[("session", ""), store, CARGO, FS], ROWS), [expected]);
    }

    #[test]
    fn a_cycle_is_found_at_any_depth() {
        let session = ("session", "use crate::store::Store;\n");
        let store = [
            ("store", ""),
            ("store::local", "use super::remote::{self, Remote};\n"),
            ("store::remote", "use super::*;\nuse super::http::get;\n"),
            ("store::http", "use crate::{store::local::LocalStore, fs};\n"),
        ];
        let files = [&[session, CARGO, FS], &store[..]].concat();
        let cycle =
            |one, other| format!("`store::{one}` imports `store::{other}`, which imports `store::{one}` in turn");
        let expected = [cycle("http", "local"), cycle("local", "remote"), cycle("remote", "http")];
        assert_eq!(made_up(&files, ROWS), expected);
    }

    #[test]
    fn modules_without_rows_and_rows_without_modules_are_found() {
        let files = [("session", ""), ("store", ""), ("new", ""), FS];
        assert_eq!(made_up(&files, ROWS), ["`new` has no row", "`cargo` has a row but is not a module"]);
    }

    #[test]
    fn tests_may_import_anything() {
        let fs = ("fs", "pub fn read() {} // crate::store\n\n#[cfg(test)]\nmod tests {\n    use crate::session;\n}\n");
        let store = ("store", "#[cfg(test)]\npub(crate) mod testing;\n");
        let testing = ("store::testing", "use crate::session::run;\n");
        assert!(made_up(&[("session", ""), store, testing, CARGO, fs], ROWS).is_empty());
    }
}
