//! `cargo xcache report`: what the sessions in a target directory left there, on standard output.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use xcache::cargo::{Cargo, Invocation};
use xcache::report::Report;
use xcache::report::text::{self, View};
use xcache::session;

use crate::terminal;

#[derive(clap::Args)]
pub(crate) struct ReportArguments {
    /// As a table, or as JSON
    #[arg(long, default_value = "text")]
    format: Format,
    /// A row for every unit, also for those that were not compiled
    #[arg(long)]
    all: bool,
    /// The workspace's Cargo.toml
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// The target directory that was built into
    #[arg(long, value_name = "DIRECTORY")]
    target_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Shows it, and returns the exit code.
pub(crate) fn run(arguments: &ReportArguments) -> ExitCode {
    let shown = last_report(arguments).and_then(|report| {
        terminal::output(terminal::Options::default(), |out, width| match arguments.format {
            Format::Text => text::table(&report, View { width, all: arguments.all }, out),
            Format::Json => writeln!(out, "{:#}", serde_json::to_value(&report)?),
        })
        .map_err(|error| error.to_string())
    });
    shown.map_or_else(|error| terminal::fail(&error, 1), |()| ExitCode::SUCCESS)
}

/// The report that the last build left in the target directory.
fn last_report(arguments: &ReportArguments) -> Result<Report, String> {
    let target_dir = match &arguments.target_dir {
        Some(target_dir) => target_dir.clone(),
        None => {
            let manifest = arguments.manifest_path.iter().map(|path| [OsStr::new("--manifest-path"), path.as_os_str()]);
            let arguments = manifest.flatten().map(Into::into).collect();
            let cargo = std::env::var_os("CARGO").map(PathBuf::from);
            let workspace = Cargo::new(cargo, Invocation::new(None, "build", arguments)).workspace();
            workspace.map_err(|error| error.to_string())?.target_dir.into()
        }
    };
    let path = session::report_path(&target_dir);
    let json = std::fs::read(&path).map_err(|error| {
        format!("there is no report at {}: {error}; `cargo xcache build` writes one", path.display())
    })?;
    serde_json::from_slice(&json).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}
