//! Causes in words.

use super::causes::Subject;
use super::{CauseKind, Origins};
use crate::entry::IN_PATH;
use crate::event::{Difference, MissReason};
use crate::key::diff::{Change, Input};
use crate::report::reasons::describe_miss;
use crate::roots::Root;

/// What is known of units that no store of this machine has ever had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RemoteHistory {
    /// There is no remote.
    #[default]
    NoRemote,
    /// The remote was asked, and what it knows is known.
    Queried,
    /// There is a remote, and it does not say.
    Unavailable,
}

/// A cause in words; `origins` tell who has enabled a feature.
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
        CauseKind::New => format!("{name} was {}", never(remote_history)),
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

/// What is said of something that nothing is known of.
pub(super) fn never(remote_history: RemoteHistory) -> &'static str {
    match remote_history {
        RemoteHistory::NoRemote => "never built before on this machine",
        RemoteHistory::Queried => "never built before, neither here nor by those who share the remote",
        RemoteHistory::Unavailable => "never built before on this machine, and the remote does not say what it knows",
    }
}

fn changed(subject: &Subject, changes: &[Change], origins: Option<&Origins>) -> String {
    let Subject::Package(name, version, is_in_directory) = subject else {
        return changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    };
    let kind = if *is_in_directory { "package" } else { "dependency" };
    let is_version = |change: &&Change| change.input == Input::Version;
    let rest = changes.iter().filter(|change| !is_version(change)).map(|change| match change.input {
        Input::Feature if change.to.is_some() => format!("{change}{}", added_by(name, version, change, origins)),
        _ => change.to_string(),
    });
    let rest = rest.collect::<Vec<_>>().join("; ");
    let bump = changes.iter().find(is_version).map(|change| {
        let [from, to] = [&change.from, &change.to].map(|text| text.as_deref().unwrap_or("?"));
        format!("{kind} {name} {from} → {to}")
    });
    match bump {
        Some(bump) if rest.is_empty() => bump,
        Some(bump) => format!("{bump}; {rest}"),
        None => format!("{name}: {rest}"),
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

/// In what an entry does not fit, in a few words.
fn difference(difference: &Difference) -> String {
    match difference {
        Difference::CommandLine => "flags or configuration".into(),
        Difference::Rendering => "how diagnostics are printed: colours, width or format".into(),
        Difference::Path { root } => format!("the path of {}", directory(*root)),
        Difference::Variable { name } => name.clone(),
        Difference::File { path } => rooted(path),
        Difference::Observed { path } => match path.strip_prefix(IN_PATH).and_then(|name| name.strip_prefix('/')) {
            Some(name) => format!("{name}, which PATH leads to, changed"),
            None => format!("{} changed", rooted(path)),
        },
        Difference::Asked { name } => format!("it read {name}, which has another value"),
        Difference::Content => "files of its package, while the build went on".into(),
        Difference::Unobserved => "it was recorded where nobody could see what it reads".into(),
        Difference::Unseen { what } => format!("it {what}"),
        Difference::Script => "what its build script has made".into(),
        Difference::Linked => "native code it is linked with".into(),
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
        Root::TargetDir => "the directory of the programs",
        Root::Workspace => "the workspace",
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
