//! Restores a hit: checks that its entry may be used, and puts its files where rustc would have written them.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde_json::json;

use super::metadata::MetadataDigests;
use crate::digest::Digest;
use crate::entry::{Constraints, DependencyRecord, Entry, FileKind, InputRecord};
use crate::error::Result;
use crate::event::{Difference, MissReason};
use crate::fs;
use crate::hydrate::{dep_info, is_input_here};
use crate::roots::{Root, Roots, Value};
use crate::rustc::diagnostics::{self, Unmapping};
use crate::rustc::{Invocation, variables};
use crate::store::LocalStore;

/// Why an entry cannot be used, and how it differs from what is here.
pub(super) type Violation = (MissReason, Vec<Difference>);

/// The first constraint of an entry that does not hold for this call.
pub(super) fn violation(
    entry: &Entry,
    invocation: &Invocation,
    here: &Variables<'_>,
    metadata: &MetadataDigests,
) -> Option<Violation> {
    let roots = here.roots;
    // The output of the build script counts only through its flags, variables and files.
    let Constraints {
        invocation: command,
        rendering,
        dependencies,
        environment: variables,
        inputs,
        script: _,
        linked: _,
        bound,
        // Compared by the caller, once everything else holds.
        observed: _,
    } = &entry.constraints;
    let because = |reason, differences: Vec<_>| (!differences.is_empty()).then_some((reason, differences));
    let command_differences = [
        (*command != Some(invocation.digest(roots)), Difference::CommandLine),
        (rendering.is_some_and(|digest| digest != invocation.rendering()), Difference::Rendering),
    ];
    let command_differences = command_differences.into_iter().filter(|(differs, _)| *differs);
    let command_differences = command_differences.map(|(_, difference)| difference).collect();
    because(MissReason::Invocation, command_differences)
        .or_else(|| because(MissReason::PathBound, other_paths(bound, roots)))
        .or_else(|| because(MissReason::Environment, other_variables(variables, here)))
        .or_else(|| because(MissReason::Input, other_files(inputs, roots)))
        .or_else(|| {
            let here = dependency_records(invocation, metadata).ok();
            let fits = here.as_ref() == Some(dependencies);
            (!fits).then(|| (MissReason::Dependency, other_dependencies(dependencies, &here.unwrap_or_default())))
        })
}

/// The roots that an entry is bound to and that have other paths here.
pub(super) fn other_paths(bound: &BTreeMap<Root, Digest>, roots: &Roots) -> Vec<Difference> {
    let others = bound.iter().filter(|(root, digest)| roots.digest(**root) != Some(**digest));
    others.map(|(root, _)| Difference::Path { root: *root }).collect()
}

/// The variables that have other values here.
pub(super) fn other_variables(variables: &BTreeMap<String, Option<Digest>>, here: &Variables<'_>) -> Vec<Difference> {
    let others = variables.iter().filter(|(name, digest)| here.digest(name) != **digest);
    others.map(|(name, _)| Difference::Variable { name: name.clone() }).collect()
}

/// The first file with other content. One is enough, and each has to be read.
fn other_files(inputs: &[InputRecord], roots: &Roots) -> Vec<Difference> {
    let mut others = inputs.iter().filter(|input| !is_input_here(input, roots));
    others.next().map(|input| Difference::File { path: input.path.to_string() }).into_iter().collect()
}

/// The dependencies that differ from those the unit was compiled against.
pub(super) fn other_dependencies(recorded: &[DependencyRecord], here: &[DependencyRecord]) -> Vec<Difference> {
    let only_in = |one: &[DependencyRecord], other: &[DependencyRecord]| -> BTreeSet<String> {
        let records = one.iter().filter(|record| !other.contains(record));
        records.map(|record| record.extern_name.clone()).collect()
    };
    let names = only_in(recorded, here).into_iter().chain(only_in(here, recorded)).collect::<BTreeSet<_>>();
    names.into_iter().map(|name| Difference::Dependency { name }).collect()
}

/// The environment of a call, in the form in which entries compare it.
pub(super) struct Variables<'a> {
    pub environment: &'a BTreeMap<String, String>,
    pub roots: &'a Roots,
    /// The package's own directories, such as `OUT_DIR`.
    pub own: Vec<&'a Utf8Path>,
}

impl Variables<'_> {
    /// The recorded form of a variable; `None` if it is not set.
    pub(super) fn recorded(&self, name: &str) -> Option<Value> {
        self.environment.get(name).map(|value| variables::recorded(name, value, self.roots, &self.own))
    }

    /// The digest of a variable.
    pub(super) fn digest(&self, name: &str) -> Option<Digest> {
        variables::digest(name, self.environment.get(name).map(String::as_str), self.roots, &self.own)
    }
}

/// The direct dependencies of a call, by content. A library occurs twice, with its `.rlib` and its `.rmeta`, if
/// metadata is not embedded (`core/compiler/mod.rs`, `extern_args`).
pub(super) fn dependency_records(invocation: &Invocation, metadata: &MetadataDigests) -> Result<Vec<DependencyRecord>> {
    let files = invocation.externs.iter().filter_map(|external| Some((&external.name, external.path.as_ref()?)));
    let mut records = files
        .map(|(name, path)| {
            Ok(DependencyRecord { extern_name: name.clone(), metadata: metadata.get(path.as_std_path())? })
        })
        .collect::<Result<Vec<_>>>()?;
    records.sort();
    records.dedup();
    Ok(records)
}

/// Puts an entry's files into the output directory, and returns what rustc would have printed.
///
/// Files carry the current time, as cargo expects of a compiler's output. An `.rlib` with an `.rmeta` beside it may be
/// a link, with the store's time: cargo goes by the `.rmeta`, the newer one, and the `.rlib` is the larger one.
pub(super) fn restore(
    entry: &Entry,
    invocation: &Invocation,
    out_dir: &Utf8Path,
    store: &LocalStore,
    roots: &Roots,
    may_link: bool,
) -> Result<String> {
    let has_metadata = entry.files.iter().any(|file| file.kind == FileKind::Rmeta);
    for file in &entry.files {
        let destination = out_dir.join(&file.name);
        match file.kind {
            FileKind::DepInfo => {
                let text = dep_info(store, file, roots)?;
                fs::write_atomic(destination.as_std_path(), text.as_bytes())?;
            }
            FileKind::Rlib if has_metadata && may_link => store.link_out(file, destination.as_std_path())?,
            _ => store.copy_out(file, destination.as_std_path())?,
        }
    }
    Ok(printed(entry, invocation, out_dir, roots))
}

/// The diagnostics, and the artifact notices on which cargo starts dependents.
fn printed(entry: &Entry, invocation: &Invocation, out_dir: &Utf8Path, roots: &Roots) -> String {
    let mut text = diagnostics::printed(&entry.diagnostics, &Unmapping::new(roots));
    if invocation.artifact_notices {
        for (emit, name) in &entry.notices {
            let notice = json!({ "$message_type": "artifact", "artifact": out_dir.join(name), "emit": emit });
            text.push_str(&notice.to_string());
            text.push('\n');
        }
    }
    text
}
