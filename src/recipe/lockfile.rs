//! Reduces `Cargo.lock` to the packages that something depends on, without the versions of packages in directories.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::manifest::MASKED;

/// Masks the versions of the packages in `masked` that have no source, and drops packages without dependents.
pub(super) fn reduce(mut lockfile: Table, masked: &BTreeSet<String>) -> Table {
    let Some(Value::Array(packages)) = lockfile.remove("package") else { return lockfile };
    let packages: Vec<_> = packages.into_iter().filter_map(|package| package.try_into::<Table>().ok()).collect();
    let mut kept: Vec<_> = reachable(&packages).into_iter().map(|index| packages[index].clone()).collect();
    for package in &mut kept {
        mask_dependencies(package, &packages, masked);
        if is_masked(package, masked) {
            package.insert("version".into(), MASKED.into());
        }
    }
    kept.sort_by_key(|package| (text(package, "name").to_owned(), text(package, "version").to_owned()));
    lockfile.insert("package".into(), kept.into());
    lockfile
}

fn text<'a>(package: &'a Table, key: &str) -> &'a str {
    package.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_masked(package: &Table, masked: &BTreeSet<String>) -> bool {
    !package.contains_key("source") && masked.contains(text(package, "name"))
}

/// The packages in directories and their dependencies.
fn reachable(packages: &[Table]) -> BTreeSet<usize> {
    let mut open: Vec<_> = (0..packages.len()).filter(|index| !packages[*index].contains_key("source")).collect();
    let mut seen: BTreeSet<_> = open.iter().copied().collect();
    while let Some(next) = open.pop() {
        for dependency in dependencies(&packages[next]) {
            let is_named = |index: &usize| is_named(dependency, &packages[*index]);
            open.extend((0..packages.len()).filter(is_named).filter(|index| seen.insert(*index)));
        }
    }
    seen
}

fn dependencies(package: &Table) -> impl Iterator<Item = &str> {
    let list = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str)
}

/// `name`, `name version` or `name version (source)`.
fn is_named(dependency: &str, package: &Table) -> bool {
    let mut parts = dependency.splitn(3, ' ');
    let is = |key: &str, part: Option<&str>| part.is_none_or(|part| part == text(package, key));
    is("name", parts.next()) && is("version", parts.next())
}

/// Masks versions in dependency lists. A dependency has its version there if several packages share its name.
fn mask_dependencies(package: &mut Table, packages: &[Table], masked: &BTreeSet<String>) {
    let list = package.get_mut("dependencies").and_then(Value::as_array_mut).into_iter().flatten();
    for dependency in list {
        let Some((name, version)) = dependency.as_str().and_then(|text| text.split_once(' ')) else { continue };
        let is_this = |other: &&Table| text(other, "name") == name && text(other, "version") == version;
        if packages.iter().find(is_this).is_some_and(|other| is_masked(other, masked)) {
            *dependency = format!("{name} {MASKED}").into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKFILE: &str = r#"
        version = 4
        [[package]]
        name = "app"
        version = "1.2.3"
        dependencies = ["same 0.1.0", "same 2.0.0", "util"]
        [[package]]
        name = "forgotten"
        version = "1.0.0"
        source = "registry"
        [[package]]
        name = "same"
        version = "0.1.0"
        [[package]]
        name = "same"
        version = "2.0.0"
        source = "registry"
        [[package]]
        name = "util"
        version = "0.3.0"
        dependencies = ["used"]
        [[package]]
        name = "used"
        version = "0.3.0"
        source = "registry"
    "#;

    fn reduced(text: &str, masked: &[&str]) -> String {
        reduce(toml::from_str(text).unwrap(), &masked.iter().map(|name| (*name).to_owned()).collect()).to_string()
    }

    #[test]
    fn versions_of_members_are_masked_everywhere() {
        let masked = ["app", "same", "util"];
        let reduced = reduced(LOCKFILE, &masked);
        assert!(!reduced.contains("1.2.3") && !reduced.contains("0.1.0"), "{reduced}");
        assert!(reduced.contains("\"same 0.0.0\", \"same 2.0.0\""), "{reduced}");
        let bumped = LOCKFILE.replace("1.2.3", "1.3.0").replace("0.1.0", "0.2.0");
        assert_eq!(super::tests::reduced(&bumped, &masked), reduced);
    }

    #[test]
    fn packages_without_dependents_are_left_out_and_the_rest_stays() {
        let reduced = reduced(LOCKFILE, &["app", "util"]);
        assert!(!reduced.contains("forgotten") && reduced.contains("name = \"used\""), "{reduced}");
        assert!(reduced.contains("\"same 0.1.0\""), "an unmasked version is kept: {reduced}");
    }
}
