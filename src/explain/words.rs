//! The words for causes.

use super::causes::Subject;
use super::{CauseKind, Origins};
use crate::entry::IN_PATH;
use crate::event::{Difference, MissReason};
use crate::key::diff::{Change, Input};
use crate::report::outcome::describe_miss;
use crate::roots::Root;

/// Where else the inputs of units may be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RemoteHistory {
    /// There is no remote.
    #[default]
    NoRemote,
    /// The remote's input history was read.
    Queried,
    /// There is a remote, but its input history is not available.
    Unavailable,
}

/// The text of a cause. `origins` provides the packages that enabled a feature.
pub(super) fn text(
    subject: &Subject,
    what: &CauseKind,
    remote_history: RemoteHistory,
    origins: Option<&Origins>,
) -> String {
    let name = match subject {
        Subject::Build => "",
        Subject::Package(name, ..) => name,
    };
    match what {
        CauseKind::Changed { changes } => changed(subject, changes, origins),
        CauseKind::New => format!("{name} was {}", never_built(remote_history)),
        CauseKind::Gone => format!(
            "{name}: recorded before with the same inputs, but its entry is gone (`max-size`, or removed by hand)"
        ),
        CauseKind::Unusable { reason, differences } => unusable(name, *reason, differences),
        CauseKind::NotKept { reason } => {
            format!("{name} is compiled each time, as it cannot be kept: {}", reason.describe())
        }
        CauseKind::Uncacheable { reason } => format!("{name} is not cached: {}", reason.describe()),
        CauseKind::Again => format!("{name}: it was in the store, and cargo had it made again"),
        CauseKind::Unknown => format!("{name}: what it was made from is not known any more"),
    }
}

/// The predicate for a package without an input history.
pub(super) fn never_built(remote_history: RemoteHistory) -> &'static str {
    match remote_history {
        RemoteHistory::NoRemote => "never built before on this machine",
        RemoteHistory::Queried => "never built before, neither on this machine nor by others who share the remote",
        RemoteHistory::Unavailable => "never built before on this machine, and the remote does not say what it knows",
    }
}

fn changed(subject: &Subject, changes: &[Change], origins: Option<&Origins>) -> String {
    let Subject::Package(name, version, is_in_directory) = subject else {
        return changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    };
    let kind = if *is_in_directory { "package" } else { "dependency" };
    let is_version = |change: &&Change| change.input == Input::Version;
    let others = changes.iter().filter(|change| !is_version(change)).map(|change| match change.input {
        Input::Feature if change.to.is_some() => format!("{change}{}", added_by(name, version, change, origins)),
        _ => change.to_string(),
    });
    let others = others.collect::<Vec<_>>().join("; ");
    let bump = changes.iter().find(is_version).map(|change| {
        let [from, to] = [&change.from, &change.to].map(|text| text.as_deref().unwrap_or("?"));
        format!("{kind} {name} {from} → {to}")
    });
    match bump {
        Some(bump) if others.is_empty() => bump,
        Some(bump) => format!("{bump}; {others}"),
        None => format!("{name}: {others}"),
    }
}

fn added_by(name: &str, version: &str, change: &Change, origins: Option<&Origins>) -> String {
    let path = origins.and_then(|origins| origins.feature(name, version, change.name.as_deref()?));
    path.map(|path| format!(" by {}", path.join(" → "))).unwrap_or_default()
}

fn unusable(name: &str, reason: MissReason, differences: &[Difference]) -> String {
    let is_observed =
        |difference: &Difference| matches!(difference, Difference::Observed { .. } | Difference::Asked { .. });
    let subject = if name.is_empty() { String::new() } else { format!("{name}: ") };
    let details: Vec<_> = differences.iter().map(difference).collect();
    if !details.is_empty() && differences.iter().all(is_observed) {
        return format!("{subject}{}", details.join("; "));
    }
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join("; ")) };
    format!("{subject}{}{details}", describe_miss(reason))
}

/// The part of an entry that does not fit.
fn difference(difference: &Difference) -> String {
    match difference {
        Difference::CommandLine => "flags or configuration".into(),
        Difference::Rendering => "how diagnostics are printed: colours, width or format".into(),
        Difference::Path { root } => format!("the path of {}", directory(*root)),
        Difference::Variable { name } => name.clone(),
        Difference::File { path } => rooted(path),
        Difference::Observed { path } => match path.strip_prefix(IN_PATH).and_then(|name| name.strip_prefix('/')) {
            Some(name) => format!("{name}, which is found in PATH, changed"),
            None => format!("{} changed", rooted(path)),
        },
        Difference::Asked { name } => format!("it read {name}, which has another value"),
        Difference::Content => "files of its package changed during the build".into(),
        Difference::Unobserved => "it was recorded without observing what it reads".into(),
        Difference::Unseen { what } => format!("it {what}"),
        Difference::Script => "the outputs of its build script".into(),
        Difference::Linked => "the native code that it is linked with".into(),
        Difference::Dependency { name } => name.clone(),
        Difference::Reruns => "a build script that runs each time".into(),
        Difference::Damaged { object, reason } => format!("{object}: {reason}"),
        Difference::Failed { message } => message.clone(),
    }
}

/// A path that may begin with a root.
fn rooted(path: &str) -> String {
    path.replace("{{", "<").replace("}}", ">")
}

fn directory(root: Root) -> &'static str {
    match root {
        Root::BuildDir => "the target directory",
        Root::CargoHome => "CARGO_HOME",
        Root::Sysroot => "the toolchain",
        Root::TargetDir => "the directory of final outputs",
        Root::Workspace => "the workspace",
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
