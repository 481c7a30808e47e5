//! `cargo xcache report`: shows the reports that sessions left in a target directory.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use xcache::cargo::{Cargo, Invocation};
use xcache::config::{Overrides, Prices};
use xcache::event::lines;
use xcache::history::{History, read_report};
use xcache::report::Report;
use xcache::report::compare::Comparison;
use xcache::report::sessions::Sessions;
use xcache::report::text::{self, View};

use crate::launch;
use crate::output::{Format, json, show, write};
use crate::terminal::{self, Terminal};

const HELP: &str = "\
Examples:
  cargo xcache report --all
  cargo xcache report --last
  cargo xcache report --compare 1 0
  cargo xcache report --from target/events.jsonl";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct ReportArguments {
    /// Format of the report; html is a page for a browser
    #[arg(long, default_value = "text")]
    format: ReportFormat,
    /// Write the report to a file
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["last", "compare"])]
    output: Option<PathBuf>,
    /// Show a row for every unit, including units that were not compiled
    #[arg(long)]
    all: bool,
    /// Show a line for each of the last sessions [default: 20]
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, default_missing_value = "20", conflicts_with = "compare")]
    last: Option<usize>,
    /// Show what changed between two builds, given by number (0 is the last build) or by report file
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    compare: Option<Vec<PathBuf>>,
    /// Read a file that `--events` wrote instead of the target directory
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifest_path", "target_dir"])]
    from: Option<PathBuf>,
    /// Path to the workspace's Cargo.toml
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// The target directory of the build
    #[arg(long, value_name = "DIRECTORY")]
    target_dir: Option<PathBuf>,
}

/// The format of a report.
#[derive(Clone, Copy, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
    Html,
}

impl ReportFormat {
    /// The format of a result about several builds.
    fn for_several_builds(self) -> Result<Format, String> {
        match self {
            Self::Text => Ok(Format::Text),
            Self::Json => Ok(Format::Json),
            Self::Html => Err("--last and --compare support text and JSON only".into()),
        }
    }
}

/// Shows the report, and returns the exit code.
pub(crate) fn run(arguments: &ReportArguments, overrides: &Overrides) -> ExitCode {
    let ReportArguments { format, all, .. } = *arguments;
    let result = match (&arguments.compare, arguments.last) {
        (Some(builds), _) => format
            .for_several_builds()
            .and_then(|format| show(&compare(arguments, builds)?, format, all, text::comparison)),
        (None, Some(count)) => format
            .for_several_builds()
            .and_then(|format| show(&Sessions::of(&reports(arguments, count)?), format, all, text::sessions)),
        (None, None) => {
            newest(arguments).and_then(|report| write_one(arguments, &report.with_prices(prices(overrides))))
        }
    };
    result.map_or_else(|error| terminal::fail(&error, 1), |()| ExitCode::SUCCESS)
}

#[cfg(feature = "html")]
fn page(report: &Report) -> io::Result<String> {
    Ok(xcache::report::html::page(report))
}

#[cfg(not(feature = "html"))]
fn page(_report: &Report) -> io::Result<String> {
    Err(io::Error::other("this cargo-xcache was built without the feature `html`"))
}

fn write_one(arguments: &ReportArguments, report: &Report) -> Result<(), String> {
    let ReportArguments { format, all, output, .. } = arguments;
    write(output.as_deref(), |out, width| match format {
        ReportFormat::Text => text::table(report, View { width, all: *all }, out),
        ReportFormat::Json => json(report, out),
        ReportFormat::Html => out.write_all(page(report)?.as_bytes()),
    })
}

/// The prices in the settings. If the settings cannot be read, the report is shown without costs.
fn prices(overrides: &Overrides) -> Prices {
    let directory = std::env::current_dir().unwrap_or_default();
    match launch::load_settings(&directory, overrides) {
        Ok(settings) => settings.prices(),
        Err(error) => {
            Terminal::stderr(terminal::Options::default()).warn(&error.to_string());
            Prices::default()
        }
    }
}

fn compare(arguments: &ReportArguments, builds: &[PathBuf]) -> Result<Comparison, String> {
    let [before, after] = builds else { unreachable!("clap takes two") };
    Ok(Comparison::of(&build(arguments, before)?, &build(arguments, after)?))
}

/// The report with this number or path.
fn build(arguments: &ReportArguments, name: &Path) -> Result<Report, String> {
    let Some(index) = name.to_str().and_then(|name| name.parse::<usize>().ok()) else { return read(name) };
    let mut reports = reports(arguments, usize::MAX)?;
    match reports.len() {
        count if index >= count => Err(format!("no report {index}: only {count} are kept")),
        _ => Ok(reports.swap_remove(index)),
    }
}

/// The report of the last build.
fn newest(arguments: &ReportArguments) -> Result<Report, String> {
    match &arguments.from {
        Some(path) => reports(arguments, 1)?.pop().ok_or_else(|| format!("no events in {}", path.display())),
        None => read(&history(arguments)?.newest()),
    }
}

/// The last reports, the newest first.
fn reports(arguments: &ReportArguments, count: usize) -> Result<Vec<Report>, String> {
    let Some(path) = &arguments.from else {
        return history(arguments)?.last(count).map_err(|error| error.to_string());
    };
    let describe = |error: &dyn Display| format!("cannot read {}: {error}", path.display());
    let text = std::fs::read(path).map_err(|error| describe(&error))?;
    let sessions = lines::read(&text).map_err(|error| describe(&error))?;
    Ok(sessions.iter().rev().take(count).map(|events| Report::from_events(events)).collect())
}

fn read(path: &Path) -> Result<Report, String> {
    let report = read_report(path).map_err(|error| error.to_string())?;
    report.ok_or_else(|| format!("no report at {}: run `cargo xcache build` first", path.display()))
}

fn history(arguments: &ReportArguments) -> Result<History, String> {
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
    Ok(History::of(&target_dir))
}
