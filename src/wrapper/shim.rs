//! Stand-ins for the programs of build scripts.
//!
//! Cargo starts a build script by the path of its program. A stand-in is a few lines of shell at that path: they ask the
//! session, which may say that nothing has to run, and else start the program, which is beside them under another name.
//!
//! **Invariants.** At any moment, what is at the path does what the program does: whatever goes wrong, the stand-in starts
//! the program, and it finds it beside itself wherever the two are moved. It is as old as the program, so that nothing has
//! changed for cargo. When the session ends, the program is back; a session that was killed leaves a stand-in that works
//! without it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};

use super::client::SCRIPT;
use crate::event::UnitId;
use crate::fs;
use crate::process;

/// The stand-ins of a session.
pub(super) struct Shims {
    /// The wrapper, quoted for a shell; nothing where its path is not text.
    asking: Option<String>,
    /// What the names of this session's files have, and nobody else's.
    tag: String,
    /// By the name that the program has meanwhile.
    placed: Mutex<BTreeMap<String, Shim>>,
}

struct Shim {
    run: UnitId,
    program: Utf8PathBuf,
    text: String,
}

impl Shims {
    /// None yet. `asking` is the wrapper.
    pub(super) fn new(asking: &Path) -> Self {
        let session = asking.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        Self { asking: asking.to_str().map(quoted), tag: session, placed: Mutex::default() }
    }

    fn placed(&self) -> MutexGuard<'_, BTreeMap<String, Shim>> {
        self.placed.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Puts a stand-in before the program of a run. Where that is not possible, there is none.
    pub(super) fn put(&self, run: UnitId, program: &Utf8Path) {
        let Some(asking) = self.asking.as_ref().filter(|_| cfg!(unix)) else { return };
        let name = format!("{}.{}", program.file_name().unwrap_or_default(), self.tag);
        let text = text(asking, &name);
        if let Err(error) = exchange(program, &name, &text) {
            return tracing::debug!(%error, %program, "there is no stand-in");
        }
        self.placed().insert(name, Shim { run, program: program.to_owned(), text });
    }

    /// The run whose stand-in asks; `program` is where it found the program.
    pub(super) fn run_of(&self, program: &Utf8Path) -> Option<UnitId> {
        let placed = self.placed();
        let shim = placed.get(program.file_name()?)?;
        (program.parent() == shim.program.parent()).then_some(shim.run)
    }

    /// Puts all programs back, also where cargo has linked or copied a stand-in to a second name.
    pub(super) fn remove(self) {
        let placed = self.placed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (name, shim) in placed {
            if let Err(error) = put_back(&shim, &shim.program.with_file_name(name)) {
                tracing::debug!(%error, program = %shim.program, "the stand-in stays");
            }
        }
    }
}

/// The path is that of the program that was started, in whatever directory that is.
fn text(asking: &str, name: &str) -> String {
    let name = quoted(name);
    format!(
        "#!/bin/sh\n\
         # Of cargo-xcache, while it builds: the build script is the file named below, and is run unless its result is known.\n\
         program=\"${{0%/*}}\"/{name}\n\
         [ -x {asking} ] && {asking} {SCRIPT} \"$program\" && exit\n\
         exec \"$program\" \"$@\"\n"
    )
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Gives the program another name beside it, and its own to a stand-in of the same age.
fn exchange(program: &Utf8Path, name: &str, text: &str) -> io::Result<()> {
    let modified = std::fs::metadata(program)?.modified()?;
    let real = program.with_file_name(name);
    std::fs::hard_link(program, &real)?;
    let directory = program.parent().unwrap_or(Utf8Path::new("."));
    let put = || {
        let mut file = fs::temporary_file(directory.as_std_path()).map_err(io::Error::other)?;
        file.write_all(text.as_bytes())?;
        fs::make_executable(file.as_file())?;
        file.as_file().set_modified(modified)?;
        fs::persist(file, program.as_std_path()).map_err(io::Error::other)
    };
    process::while_nothing_starts(put).inspect_err(|_| drop(std::fs::remove_file(&real)))
}

fn put_back(shim: &Shim, real: &Utf8Path) -> io::Result<()> {
    let directory = shim.program.parent().unwrap_or(Utf8Path::new("."));
    let is_stand_in = |path: &Utf8Path| {
        let is_of_length = path.metadata().is_ok_and(|metadata| metadata.len() == shim.text.len() as u64);
        is_of_length && std::fs::read(path).is_ok_and(|bytes| bytes == shim.text.as_bytes())
    };
    let between = real.with_extension("link");
    for entry in directory.read_dir_utf8()? {
        let entry = entry?;
        if is_stand_in(entry.path()) {
            std::fs::hard_link(real, &between)?;
            std::fs::rename(&between, entry.path())?;
        }
    }
    std::fs::remove_file(real)
}

#[cfg(all(test, unix))]
#[path = "shim_tests.rs"]
mod tests;
