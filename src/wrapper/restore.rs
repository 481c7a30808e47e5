//! A hit: checking that an entry may be used, and putting its files where rustc would have.

use std::collections::BTreeMap;
use std::path::Path;

use camino::Utf8Path;
use serde_json::json;

use super::metadata::MetadataDigests;
use crate::digest::Digest;
use crate::entry::{Constraints, DependencyRecord, Entry, FileKind};
use crate::error::Result;
use crate::event::MissReason;
use crate::fs;
use crate::roots::Roots;
use crate::rustc::Invocation;
use crate::store::LocalStore;

/// The first of an entry's constraints that does not hold for this call, if any.
pub(super) fn violation(
    entry: &Entry,
    invocation: &Invocation,
    environment: &BTreeMap<String, String>,
    roots: &Roots,
    metadata: &MetadataDigests,
) -> Option<MissReason> {
    // What the build script had made counts only as far as it is in these: its flags, variables and files.
    let Constraints {
        invocation: command,
        rendering,
        dependencies,
        environment: variables,
        inputs,
        script: _,
        linked: _,
        bound,
    } = &entry.constraints;
    if *command != Some(invocation.digest(roots)) || rendering.is_some_and(|digest| digest != invocation.rendering()) {
        return Some(MissReason::Invocation);
    }
    if bound.iter().any(|(root, digest)| roots.digest(*root) != Some(*digest)) {
        return Some(MissReason::PathBound);
    }
    if variables.iter().any(|(name, digest)| variable_digest(name, environment, roots) != *digest) {
        return Some(MissReason::Environment);
    }
    if inputs.iter().any(|(path, digest)| {
        !Digest::of_file(Path::new(&*roots.concrete_text(path))).is_ok_and(|actual| actual == *digest)
    }) {
        return Some(MissReason::Input);
    }
    let here = dependency_records(invocation, metadata);
    (here.ok().as_ref() != Some(dependencies)).then_some(MissReason::Dependency)
}

/// The digest of a variable's value, the same wherever the roots are; nothing where it is not set.
pub(super) fn variable_digest(name: &str, environment: &BTreeMap<String, String>, roots: &Roots) -> Option<Digest> {
    environment.get(name).map(|value| Digest::of(roots.abstract_text(value).as_bytes()))
}

/// The direct dependencies of a call, by content.
pub(super) fn dependency_records(invocation: &Invocation, metadata: &MetadataDigests) -> Result<Vec<DependencyRecord>> {
    let files = invocation.externs.iter().filter_map(|external| Some((&external.name, external.path.as_ref()?)));
    let mut records = files
        .map(|(name, path)| {
            Ok(DependencyRecord { extern_name: name.clone(), metadata: metadata.get(path.as_std_path())? })
        })
        .collect::<Result<Vec<_>>>()?;
    records.sort();
    Ok(records)
}

/// Copies an entry's files into the output directory and returns what rustc would have printed.
///
/// The copies carry the current time, as cargo expects of a compiler's output.
pub(super) fn restore(
    entry: &Entry,
    invocation: &Invocation,
    out_dir: &Utf8Path,
    store: &LocalStore,
    roots: &Roots,
) -> Result<String> {
    for file in &entry.files {
        let destination = out_dir.join(&file.name);
        match file.kind {
            FileKind::DepInfo => {
                let text = store.read_text(file)?;
                fs::write_atomic(destination.as_std_path(), roots.concrete_text(&text).as_bytes())?;
            }
            _ => store.copy_out(file, destination.as_std_path())?,
        }
    }
    Ok(printed(entry, invocation, out_dir, roots))
}

/// The artifact notices, by which cargo starts dependents, and the diagnostics.
fn printed(entry: &Entry, invocation: &Invocation, out_dir: &Utf8Path, roots: &Roots) -> String {
    let mut text = String::new();
    for diagnostic in &entry.diagnostics {
        text.push_str(&roots.concrete_text(diagnostic));
        text.push('\n');
    }
    if invocation.artifact_notices {
        for (emit, name) in &entry.notices {
            let notice = json!({ "$message_type": "artifact", "artifact": out_dir.join(name), "emit": emit });
            text.push_str(&notice.to_string());
            text.push('\n');
        }
    }
    text
}
