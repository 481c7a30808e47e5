//! The terminal: warnings, progress bars and final lines, in cargo's style. No other module writes to it.
//!
//! A [`Terminal`] observes the session's events. It writes only to standard error, because standard output is cargo's.
//! The output of xcache's own commands, which do not run cargo, goes to standard output through [`output`].
//!
//! **Invariants.** Nothing is written while cargo runs, because cargo draws a progress bar of its own; messages are
//! held until the build phase ends. Progress is drawn only in the prefetch and upload phases, and only if standard
//! error is a terminal. Each message is written once. [`Environment::read`] reads all variables that concern the
//! terminal. A failure to write to the terminal is not an error.

use std::collections::HashSet;
use std::io::{self, Stderr, Write};
use std::mem;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use xcache::event::{Event, EventKind, Observer, Phase};
use xcache::report::text;

/// Cargo's styles (`cargo::util::style`).
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const STATUS: Style = AnsiColor::Green.on_default().bold();
const TRANSIENT: Style = AnsiColor::Cyan.on_default().bold();
const BOLD: Style = Style::new().bold();

/// A shorter phase shows no progress bar. Cargo waits in the same way.
const DELAY_MS: u64 = 300;

/// The options for the terminal on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// `--quiet`: write nothing.
    pub(crate) quiet: bool,
    /// `--color`, if it was given.
    pub(crate) color: Option<ColorChoice>,
}

/// The variables for the terminal. anstream and indicatif read `NO_COLOR`, `CLICOLOR` and `TERM`.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Environment {
    color: ColorChoice,
    quiet: bool,
    progress: bool,
}

impl Environment {
    fn current() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the same variables as cargo (`cargo::core::shell`, `cargo::util::progress`).
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, value: &str| variable(name).as_deref() == Some(value);
        let in_ci = variable("CI").is_some() || variable("TF_BUILD").is_some();
        Self {
            color: match variable("CARGO_TERM_COLOR").as_deref() {
                Some("always") => ColorChoice::Always,
                Some("never") => ColorChoice::Never,
                _ => ColorChoice::Auto,
            },
            quiet: is("CARGO_TERM_QUIET", "true"),
            progress: match variable("CARGO_TERM_PROGRESS_WHEN").as_deref() {
                Some("never") => false,
                Some("always") => true,
                _ => !in_ci,
            },
        }
    }
}

/// Shows a session's events on `W`.
pub(crate) struct Terminal<W: Write + Send = AutoStream<Stderr>> {
    state: Mutex<State<W>>,
}

impl Terminal {
    /// A terminal on standard error.
    pub(crate) fn stderr(options: Options) -> Self {
        let environment = Environment::current();
        let quiet = options.quiet || environment.quiet;
        let stream = AutoStream::new(io::stderr(), options.color.unwrap_or(environment.color));
        let colored = stream.current_choice() != ColorChoice::Never;
        let progress = environment.progress && !quiet;
        let target = move || if progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self::new(stream, quiet, Bars { target: Box::new(target), colored, bar: None })
    }
}

impl<W: Write + Send> Terminal<W> {
    fn new(out: W, quiet: bool, bars: Bars) -> Self {
        let state =
            State { out, quiet, bars, drawable: None, building: false, held: Vec::new(), written: HashSet::new() };
        Self { state: Mutex::new(state) }
    }

    /// Whether a progress bar would be visible.
    pub(crate) fn draws_progress(&self) -> bool {
        !(self.state().bars.target)().is_hidden()
    }

    /// Writes final lines, unless quiet. To be called after the session.
    pub(crate) fn print(&self, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let mut state = self.state();
        state.end_build();
        state.bars.clear();
        if !state.quiet {
            let _ = render(&mut state.out).and_then(|()| state.out.flush());
        }
    }

    /// Writes a warning line, immediately or after cargo has ended.
    pub(crate) fn warn(&self, message: &str) {
        self.state().warn(message);
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<W: Write + Send> Observer for Terminal<W> {
    fn observe(&self, event: &Event) {
        self.state().observe(event);
    }
}

/// Held messages must not be lost if a session ends during a build.
impl<W: Write + Send> Drop for Terminal<W> {
    fn drop(&mut self) {
        let mut state = self.state();
        state.end_build();
        state.bars.clear();
    }
}

/// Writes the output of one of xcache's own commands to standard output. `render` gets the width of the terminal, if
/// there is one.
///
/// A closed pipe (`cargo xcache report | head`) is not an error.
pub(crate) fn output(
    options: Options,
    render: impl FnOnce(&mut dyn Write, Option<u16>) -> io::Result<()>,
) -> io::Result<()> {
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    let color = options.color.unwrap_or_else(|| Environment::current().color);
    let mut out = AutoStream::new(io::stdout(), color).lock();
    match render(&mut out, width).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes an error in cargo's style and returns the exit code.
pub(crate) fn fail(message: &str, code: u8) -> ExitCode {
    let mut out = AutoStream::new(io::stderr(), Environment::current().color);
    let _ = writeln!(out, "{ERROR}error{ERROR:#}{BOLD}:{BOLD:#} {message}");
    ExitCode::from(code)
}

struct State<W> {
    out: W,
    quiet: bool,
    bars: Bars,
    /// The phase that may show progress, and when it began.
    drawable: Option<(Phase, u64)>,
    /// Whether cargo uses the terminal.
    building: bool,
    held: Vec<String>,
    written: HashSet<String>,
}

impl<W: Write> State<W> {
    fn observe(&mut self, event: &Event) {
        match &event.kind {
            EventKind::PhaseStarted { phase } => self.start(*phase, event.at_ms),
            EventKind::PhaseFinished { phase } => self.finish(*phase),
            EventKind::PrefetchProgress { done, total, bytes } => {
                self.progress(Phase::Prefetch, event.at_ms, Progress { done: *done, total: *total, bytes: *bytes });
            }
            EventKind::UploadProgress { done, total, bytes } => {
                self.progress(Phase::Upload, event.at_ms, Progress { done: *done, total: *total, bytes: *bytes });
            }
            EventKind::CargoStatus { line } => self.status(line),
            EventKind::Warning { message } => self.warn(message),
            EventKind::PlanFailed { reason } => {
                self.warn(&format!("cannot plan the build: {reason}; building without the cache"));
            }
            EventKind::RemoteFailed { remote, message } => {
                self.warn(&format!("remote {remote}: {message}; building without it"));
            }
            EventKind::CargoFinished { .. } | EventKind::SessionFinished => self.end_build(),
            _ => {}
        }
    }

    fn start(&mut self, phase: Phase, at_ms: u64) {
        match phase {
            Phase::Prefetch | Phase::Upload => self.drawable = Some((phase, at_ms)),
            Phase::Build => {
                self.building = true;
                self.bars.clear();
            }
            Phase::Plan | Phase::Hydrate => {}
        }
    }

    fn finish(&mut self, phase: Phase) {
        if self.drawable.is_some_and(|(drawable, _)| drawable == phase) {
            self.drawable = None;
            self.bars.clear();
        }
        if phase == Phase::Build {
            self.end_build();
        }
    }

    fn progress(&mut self, phase: Phase, at_ms: u64, progress: Progress) {
        let is_slow = |start: u64| at_ms.saturating_sub(start) >= DELAY_MS;
        let drawable = self.drawable.is_some_and(|(drawable, start)| drawable == phase && is_slow(start));
        if drawable && !self.building && !self.quiet && progress.total > 0 {
            self.bars.show(if phase == Phase::Upload { "Uploading" } else { "Fetching" }, progress);
        }
    }

    /// Writes one of cargo's status lines, in cargo's colours.
    fn status(&mut self, line: &str) {
        let (verb, rest) = line.trim_start().split_once(' ').unwrap_or((line.trim_start(), ""));
        let out = &mut self.out;
        if !self.quiet {
            self.bars.without_bar(|| {
                let _ = writeln!(out, "{STATUS}{verb:>12}{STATUS:#} {rest}").and_then(|()| out.flush());
            });
        }
    }

    fn warn(&mut self, message: &str) {
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.quiet || !self.written.insert(line.clone()) {
            return;
        }
        if self.building {
            self.held.push(line);
        } else {
            self.write_warning(&line);
        }
    }

    /// Writes the held messages, after cargo has left the terminal.
    fn end_build(&mut self) {
        self.building = false;
        for line in mem::take(&mut self.held) {
            self.write_warning(&line);
        }
    }

    /// Writes a warning like `cargo::core::shell::Shell::warn`.
    fn write_warning(&mut self, line: &str) {
        let out = &mut self.out;
        self.bars.without_bar(|| {
            let _ = writeln!(out, "{WARNING}warning{WARNING:#}{BOLD}:{BOLD:#} {line}").and_then(|()| out.flush());
        });
    }
}

#[derive(Clone, Copy)]
struct Progress {
    done: usize,
    total: usize,
    bytes: u64,
}

/// At most one progress bar.
struct Bars {
    target: Box<dyn Fn() -> ProgressDrawTarget + Send>,
    colored: bool,
    bar: Option<ProgressBar>,
}

impl Bars {
    fn show(&mut self, verb: &str, progress: Progress) {
        let bar = self.bar.get_or_insert_with(|| {
            let prefix = format!("{verb:>12}");
            let bar = ProgressBar::with_draw_target(Some(progress.total as u64), (self.target)());
            bar.set_style(style());
            bar.with_position(progress.done as u64).with_prefix(if self.colored {
                format!("{TRANSIENT}{prefix}{TRANSIENT:#}")
            } else {
                prefix
            })
        });
        if bar.length() != Some(progress.total as u64) {
            bar.set_length(progress.total as u64);
        }
        bar.set_message(if progress.bytes > 0 { format!(", {}", text::bytes(progress.bytes)) } else { String::new() });
        bar.set_position(progress.done as u64);
    }

    /// Runs `write` while the bar is hidden.
    fn without_bar(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// `    Fetching [=====>   ] 12/141, 34.1 MB`. The prefix contains its colours, so indicatif does not choose them.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{bar:25}] {pos}/{len}{msg}")
        .expect("the template is a constant")
        .progress_chars("=> ")
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;
