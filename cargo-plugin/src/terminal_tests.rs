use std::sync::Arc;

use indicatif::TermLike;

use super::*;

/// Everything that was written and drawn.
#[derive(Clone, Debug, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn text(&self) -> String {
        anstream::adapter::strip_str(&String::from_utf8(self.0.lock().unwrap().clone()).unwrap()).to_string()
    }

    fn terminal(&self, quiet: bool) -> Terminal<Self> {
        let drawn = self.clone();
        let target = Box::new(move || ProgressDrawTarget::term_like(Box::new(drawn.clone())));
        Terminal::new(self.clone(), quiet, Bars { target, colored: true, bar: None })
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, line: &str) -> io::Result<()> {
        writeln!(self.clone(), "{line}")
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.clone().write_all(text.as_bytes())
    }
    fn clear_line(&self) -> io::Result<()> {
        self.write_line("<cleared>")
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn observe(terminal: &Terminal<Screen>, at_ms: u64, kind: EventKind) {
    terminal.observe(&Event { at_ms, kind });
}

fn started(phase: Phase) -> EventKind {
    EventKind::PhaseStarted { phase }
}

fn finished(phase: Phase) -> EventKind {
    EventKind::PhaseFinished { phase }
}

fn warning(message: &str) -> EventKind {
    EventKind::Warning { message: message.into() }
}

#[test]
fn a_warning_is_written_once_and_on_one_line() {
    let screen = Screen::default();
    let terminal = screen.terminal(false);
    observe(&terminal, 1, warning("the disk\nis full"));
    observe(&terminal, 2, warning("the disk\nis full"));
    assert_eq!(screen.text(), "warning: the disk is full\n");
}

#[test]
fn a_warning_is_styled_like_cargos() {
    let screen = Screen::default();
    screen.terminal(false).warn("x");
    let bytes = screen.0.lock().unwrap().clone();
    assert_eq!(String::from_utf8(bytes).unwrap(), "\x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m:\x1b[0m x\n");
}

#[test]
fn a_failed_remote_is_one_line() {
    let screen = Screen::default();
    let failed = EventKind::RemoteFailed { remote: "s3://b".into(), message: "AccessDenied: no\n key".into() };
    observe(&screen.terminal(false), 1, failed);
    assert_eq!(screen.text(), "warning: remote s3://b: AccessDenied: no key; building without it\n");
}

#[test]
fn nothing_is_written_while_cargo_runs() {
    let screen = Screen::default();
    let terminal = screen.terminal(false);
    observe(&terminal, 0, started(Phase::Build));
    observe(&terminal, 1, warning("first"));
    observe(&terminal, 2, warning("second"));
    observe(&terminal, 900, EventKind::UploadProgress { done: 1, total: 5, bytes: 9 });
    assert_eq!(screen.text(), "");
    observe(&terminal, 1000, finished(Phase::Build));
    assert_eq!(screen.text(), "warning: first\nwarning: second\n");
    observe(&terminal, 1001, warning("third"));
    assert!(screen.text().ends_with("second\nwarning: third\n"));
}

#[test]
fn held_messages_are_written_if_the_session_is_interrupted() {
    let screen = Screen::default();
    let terminal = screen.terminal(false);
    observe(&terminal, 0, started(Phase::Build));
    observe(&terminal, 1, warning("held"));
    drop(terminal);
    assert_eq!(screen.text(), "warning: held\n");
}

#[test]
fn quiet_writes_nothing() {
    let screen = Screen::default();
    let terminal = screen.terminal(true);
    observe(&terminal, 0, started(Phase::Prefetch));
    observe(&terminal, 1, warning("w"));
    observe(&terminal, 999, EventKind::PrefetchProgress { done: 1, total: 5, bytes: 9 });
    terminal.print(|out| writeln!(out, "summary"));
    drop(terminal);
    assert_eq!(screen.text(), "");
}

#[test]
fn a_slow_prefetch_is_drawn_and_cleared() {
    let screen = Screen::default();
    let terminal = screen.terminal(false);
    observe(&terminal, 0, started(Phase::Prefetch));
    observe(&terminal, 100, EventKind::PrefetchProgress { done: 1, total: 141, bytes: 10 });
    assert_eq!(screen.text(), "", "not yet slow");
    observe(&terminal, 400, EventKind::PrefetchProgress { done: 12, total: 141, bytes: 34_100_000 });
    let line = "    Fetching [==>                      ] 12/141, 34.1 MB";
    assert!(screen.text().contains(line), "{}", screen.text());
    observe(&terminal, 500, finished(Phase::Prefetch));
    assert!(screen.text().trim_end().ends_with("<cleared>"), "{}", screen.text());
    assert!(terminal.state().bars.bar.is_none());
}

#[test]
fn progress_is_drawn_in_its_own_phase_only() {
    let screen = Screen::default();
    let terminal = screen.terminal(false);
    observe(&terminal, 0, started(Phase::Plan));
    observe(&terminal, 500, EventKind::PrefetchProgress { done: 1, total: 5, bytes: 9 });
    assert_eq!(screen.text(), "");
    observe(&terminal, 1000, started(Phase::Prefetch));
    observe(&terminal, 1500, started(Phase::Build));
    observe(&terminal, 2000, EventKind::PrefetchProgress { done: 1, total: 5, bytes: 9 });
    assert_eq!(screen.text(), "");
    observe(&terminal, 2500, finished(Phase::Prefetch));
    observe(&terminal, 3000, finished(Phase::Build));
    observe(&terminal, 3000, started(Phase::Upload));
    observe(&terminal, 3400, EventKind::UploadProgress { done: 1, total: 2, bytes: 0 });
    assert!(screen.text().contains("   Uploading ["), "{}", screen.text());
}

#[test]
fn the_environment_is_read_as_cargo_reads_it() {
    let read = |variables: &[(&str, &str)]| {
        Environment::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    };
    let default = Environment { color: ColorChoice::Auto, quiet: false, progress: true };
    assert_eq!(read(&[]), default);
    assert_eq!(read(&[("CARGO_TERM_COLOR", "always")]), Environment { color: ColorChoice::Always, ..default });
    assert_eq!(read(&[("CARGO_TERM_PROGRESS_WHEN", "never")]), Environment { progress: false, ..default });
    assert_eq!(read(&[("CI", "true")]), Environment { progress: false, ..default });
    assert_eq!(read(&[("CARGO_TERM_QUIET", "true")]), Environment { quiet: true, ..default });
}
