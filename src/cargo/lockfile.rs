//! Cargo.lock: the checksums of registry packages.

use std::collections::HashMap;

use serde::Deserialize;

use crate::error::{Error, Result};

/// The packages of a Cargo.lock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lockfile {
    packages: HashMap<(String, String, Option<String>), LockedSource>,
}

/// The source of a package, as a lockfile records it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LockedSource {
    /// A registry package with its checksum.
    Checksum(String),
    /// A git package with its revision.
    Revision(String),
    /// Neither: a package in a directory, or a registry without checksums.
    Unknown,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    package: Vec<Package>,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

impl Lockfile {
    /// Parses the text of a Cargo.lock of any version.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File =
            toml::from_str(text).map_err(|error| Error::corrupt("Cargo.lock", error.message().to_owned()))?;
        let packages = file.package.into_iter().map(|package| {
            let source = locked_source(&package, &file.metadata);
            ((package.name, package.version, package.source.as_deref().map(source_id)), source)
        });
        Ok(Self { packages: packages.collect() })
    }

    /// The identity of a package's source. `source` is written as in package ids.
    pub fn source(&self, name: &str, version: &str, source: &str) -> LockedSource {
        let id = (name.to_owned(), version.to_owned(), Some(source_id(source)));
        self.packages.get(&id).cloned().unwrap_or(LockedSource::Unknown)
    }
}

/// Lockfiles of version 1 keep checksums in `[metadata]`.
fn locked_source(package: &Package, metadata: &HashMap<String, String>) -> LockedSource {
    let Some(source) = &package.source else { return LockedSource::Unknown };
    if source.starts_with("git+") {
        return source
            .rsplit_once('#')
            .map_or(LockedSource::Unknown, |(_, revision)| LockedSource::Revision(revision.to_owned()));
    }
    let old = || metadata.get(&format!("checksum {} {} ({source})", package.name, package.version)).cloned();
    package.checksum.clone().or_else(old).map_or(LockedSource::Unknown, LockedSource::Checksum)
}

/// Package ids and lockfiles spell the crates.io index in two ways, and only one of them pins a git revision.
fn source_id(source: &str) -> String {
    let source = source.split('#').next().unwrap_or(source);
    source.replace("sparse+https://index.crates.io/", "registry+https://github.com/rust-lang/crates.io-index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_revisions_are_found() {
        let lockfile = Lockfile::parse(
            r#"version = 4
            [[package]]
            name = "itoa"
            version = "1.0.0"
            source = "registry+https://github.com/rust-lang/crates.io-index"
            checksum = "abc"
            [[package]]
            name = "tool"
            version = "0.1.0"
            source = "git+https://example.com/tool?branch=main#0123"
            [[package]]
            name = "app"
            version = "0.1.0"
            "#,
        )
        .unwrap();
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        assert_eq!(lockfile.source("itoa", "1.0.0", registry), LockedSource::Checksum("abc".into()));
        assert_eq!(
            lockfile.source("tool", "0.1.0", "git+https://example.com/tool?branch=main"),
            LockedSource::Revision("0123".into())
        );
        assert_eq!(lockfile.source("itoa", "1.0.0", "registry+https://other"), LockedSource::Unknown);
        assert_eq!(lockfile.source("app", "0.1.0", registry), LockedSource::Unknown);
    }
}
