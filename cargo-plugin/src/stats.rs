//! `cargo xcache stats`: shows totals over all sessions that used the local store.

use std::process::ExitCode;

use xcache::config::{Overrides, Settings};
use xcache::ledger::Ledger;
use xcache::report::stats::{Stats, StoreSize};
use xcache::report::text;
use xcache::store::LocalStore;

use crate::output::{Format, show};
use crate::{launch, terminal};

#[derive(clap::Args)]
pub(crate) struct StatsArguments {
    /// Format of the totals
    #[arg(long, default_value = "text")]
    format: Format,
    /// Reset the totals to zero; the local store keeps its units
    #[arg(long, conflicts_with = "format")]
    reset: bool,
}

/// Shows or resets the totals, and returns the exit code.
pub(crate) fn run(arguments: &StatsArguments, overrides: &Overrides) -> ExitCode {
    let directory = std::env::current_dir().unwrap_or_default();
    let settings = launch::load_settings(&directory, overrides).map_err(|error| error.to_string());
    let result = settings.and_then(|settings| match arguments.reset {
        true => reset(&settings).map_err(|error| error.to_string()),
        false => {
            let stats = stats(&settings).map_err(|error| error.to_string())?;
            show(&stats, arguments.format, true, text::stats)
        }
    });
    result.map_or_else(|error| terminal::fail(&error, 1), |()| ExitCode::SUCCESS)
}

fn stats(settings: &Settings) -> xcache::Result<Stats> {
    let store = LocalStore::open(&settings.dir)?;
    let usage = store.usage()?;
    let size = StoreSize {
        directory: settings.dir.display().to_string(),
        entries: usage.entries,
        files: usage.files,
        bytes: usage.bytes,
        max_bytes: settings.max_size.as_u64(),
    };
    Ok(Stats::new(Ledger::of(&store).total()?, size, settings.prices()))
}

fn reset(settings: &Settings) -> xcache::Result<()> {
    Ledger::of(&LocalStore::open(&settings.dir)?).reset()
}
