//! `cargo xcache explain`: collects what is known about the last build, and explains it.
//!
//! **Invariants.** Nothing is written. If cargo fails or the remote cannot be reached, the output has a note about it,
//! and everything else is shown.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use xcache::cargo::{Cargo, Invocation, Workspace};
use xcache::config::{Overrides, Settings};
use xcache::explain::{
    CauseKind, Explanation, LastBuild, Origins, RemoteHistory, Selection, Sources, remote, similar, text,
};
use xcache::history::{History, read_report};
use xcache::report::Report;
use xcache::store::input_history::SharedHistory;
use xcache::store::{LocalStore, input_history};

use crate::launch::load_settings;
use crate::output::{Format, json, write};
use crate::terminal;

pub(crate) const HELP: &str = "\
For each miss, shows the nearest known unit and the inputs that differ. A change to one crate is shown once, with the \
units that follow from it. Crates named on the command line are always explained, even if they were hits or cannot be \
cached.

Examples:
  cargo xcache explain
  cargo xcache explain serde syn@2
  cargo xcache explain --format json";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Crates to explain, by name or by name and version
    #[arg(value_name = "CRATE[@VERSION]")]
    crates: Vec<String>,
    /// Format of the explanation
    #[arg(long, default_value = "text")]
    format: Format,
    /// Path to the workspace's Cargo.toml
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// The target directory of the build
    #[arg(long, value_name = "DIRECTORY")]
    target_dir: Option<PathBuf>,
}

/// Explains the last build.
pub(crate) fn run(arguments: &Arguments, overrides: &Overrides) -> ExitCode {
    let result = explain(arguments, overrides).and_then(|explanation| {
        write(None, |out, width| match arguments.format {
            Format::Text => text::write(&explanation, !arguments.crates.is_empty(), width, out),
            Format::Json => json(&explanation, out),
        })
    });
    result.map_or_else(|error| terminal::fail(&error, 1), |()| ExitCode::SUCCESS)
}

fn explain(arguments: &Arguments, overrides: &Overrides) -> Result<Explanation, String> {
    let workspace = workspace(arguments);
    let target_dir = match (&arguments.target_dir, &workspace) {
        (Some(target_dir), _) => target_dir.clone(),
        (None, Ok(workspace)) => workspace.target_dir.clone().into(),
        (None, Err(error)) => return Err(error.to_string()),
    };
    let (report, mut notes) = last_report(&target_dir)?;
    let settings = settings(arguments, overrides)?;
    let store = LocalStore::open(&settings.dir).map_err(|error| error.to_string())?;
    let last = LastBuild::read(&target_dir, report.started);
    let selections: Vec<_> = arguments.crates.iter().map(|name| Selection::parse(name)).collect();
    notes.extend(selections.iter().filter_map(|selection| unmatched(selection, &report)));
    let origins = origins(&report, last.as_ref(), workspace.as_ref().ok()).unwrap_or_else(|error| {
        notes.push(format!("cannot tell which crates depend on what changed: {error}"));
        None
    });
    let sources =
        Sources { last: last.as_ref(), selections: &selections, origins: origins.as_ref(), ..Sources::default() };
    let mut explanation = Explanation::new(&report, sources, |identity| input_history::recall(&store, identity));
    if settings.remote.is_some() && explanation.causes.iter().any(|cause| cause.what == CauseKind::New) {
        let shared = shared(&settings, last.as_ref(), &mut notes);
        let remote_history = if shared.is_some() { RemoteHistory::Queried } else { RemoteHistory::Unavailable };
        let shared = shared.unwrap_or_default();
        let histories = |identity| [input_history::recall(&store, identity), shared.of(identity)].concat();
        explanation = Explanation::new(&report, Sources { remote_history, ..sources }, histories);
    }
    explanation.notes.append(&mut notes);
    Ok(explanation)
}

/// The input history in the remote, if it is available.
fn shared(settings: &Settings, last: Option<&LastBuild>, notes: &mut Vec<String>) -> Option<SharedHistory> {
    let result = remote::query(settings, last?.shared?);
    result.unwrap_or_else(|error| {
        notes.push(format!("cannot read from the remote what other machines built: {error}"));
        None
    })
}

fn workspace(arguments: &Arguments) -> xcache::Result<Workspace> {
    let manifest = arguments.manifest_path.iter().flat_map(|path| ["--manifest-path".into(), path.into()]);
    Cargo::new(program(), Invocation::new(None, "build", manifest.collect())).workspace()
}

/// The cargo that started xcache.
fn program() -> Option<PathBuf> {
    std::env::var_os("CARGO").map(PathBuf::from)
}

fn settings(arguments: &Arguments, overrides: &Overrides) -> Result<Settings, String> {
    let directory = std::env::current_dir().map_err(|error| error.to_string())?;
    let manifest = arguments.manifest_path.as_deref().and_then(Path::parent);
    let directory = manifest.map_or(directory.clone(), |manifest| directory.join(manifest));
    load_settings(&directory, overrides).map_err(|error| error.to_string())
}

/// The report of the last build, or an empty one with a note.
fn last_report(target_dir: &Path) -> Result<(Report, Vec<String>), String> {
    let read = read_report(&History::of(target_dir).newest()).map_err(|error| error.to_string())?;
    Ok(read.map_or_else(
        || {
            let directory = target_dir.display();
            let note = format!("no build report in {directory}: run `cargo xcache build` first");
            (Report::default(), vec![note])
        },
        |report| (report, Vec::new()),
    ))
}

fn unmatched(selection: &Selection, report: &Report) -> Option<String> {
    if report.units.is_empty() || report.units.iter().any(|unit| selection.matches(unit)) {
        return None;
    }
    let similar = similar(selection, &report.units);
    let hint = match similar.is_empty() {
        true => "`cargo xcache report --all` lists all units".to_owned(),
        false => format!("did you mean {}?", similar.join(" or ")),
    };
    Some(format!("no unit in the last build matches `{}`; {hint}", selection.text()))
}

/// Queries the dependency graph from cargo, with the features of the last build. Skipped if there is no unit to
/// explain.
fn origins(
    report: &Report,
    last: Option<&LastBuild>,
    workspace: Option<&Workspace>,
) -> xcache::Result<Option<Origins>> {
    let Some(workspace) = workspace.filter(|_| !report.units.is_empty()) else { return Ok(None) };
    let mut arguments = report.command.iter().map(OsString::from).peekable();
    let toolchain = arguments.next_if(|argument| argument.to_string_lossy().starts_with('+'));
    let toolchain = toolchain.map(|toolchain| toolchain.to_string_lossy().into_owned());
    let built = Invocation::new(toolchain.clone(), "build", arguments.skip(1).collect());
    let manifest: OsString = workspace.root.join("Cargo.toml").into_string().into();
    let arguments = built.feature_flags().into_iter().chain(["--manifest-path".into(), manifest]);
    let cargo = Cargo::new(program(), Invocation::new(toolchain, "build", arguments.collect()));
    let host = last.and_then(LastBuild::host).map(str::to_owned);
    let platforms: BTreeSet<_> = report.units.iter().filter_map(|unit| unit.platform.clone()).chain(host).collect();
    Origins::parse(&cargo.package_graph(&platforms.into_iter().collect::<Vec<_>>())?).map(Some)
}
