//! The process that proves: it builds the small workspace in one directory with a store of its own, and then in another.
//!
//! A format holds for a cargo if in the second directory this cargo finds every unit fresh, with all files beside it that
//! it has written in the first one, and if it does not find those fresh whose inputs have been edited. Cargo itself says which are fresh (`--message-format json`).
//!
//! **Invariants.** Everything but the answer is below the directory of the request, which is removed once there is one. What
//! another prover has left there is used: it goes on where that was broken off. It ends with the session that has started
//! it, however that ends: its input is closed then.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use ignore::WalkBuilder;
use serde::Deserialize;

use super::{ProofResult, Request, SWITCH, recall, remember, workspace};
use crate::error::{Error, Result};
use crate::fs::write_atomic;
use crate::process;
use crate::store::LocalStore;

/// The first argument of the prover.
pub(super) const NAME: &str = "--prove-cargo";
/// What the first build has written, once there is one.
const WRITTEN: &str = "written.json";
/// The directories of what cargo keeps of units, and of what we leave.
const OF_CARGO: &[&str] = &[".fingerprint", "fingerprint", "run", "xcache"];
/// Variables that say where temporary files are.
const TEMPORARY: [&str; 3] = ["TMPDIR", "TMP", "TEMP"];
/// In a directory with a longer path, there cannot be a session: there is a limit to the paths of sockets.
const SHORT: usize = 76;
/// Flags, so that there is something to hash; what they say is of no meaning.
const FLAGS: &str = "--cfg probe";

/// Runs as the prover, if that is what this process was started as.
pub fn run_if_prover() -> Option<ExitCode> {
    if std::env::args_os().nth(1)? != NAME {
        return None;
    }
    #[cfg(unix)]
    let _ = rustix::process::nice(5);
    Some(match serve_request() {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

fn serve_request() -> Option<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).ok()?;
    let request: Request = serde_json::from_str(&line).ok()?;
    thread::spawn(|| {
        // Nothing more comes.
        let _ = io::stdin().read_line(&mut String::new());
        end_all()
    });
    let store = LocalStore::open(&request.store).ok()?;
    let result = Prover { request: &request, store: &store }.prove().ok()?;
    remember(&store, request.key, &result);
    let _ = fs::remove_dir_all(&request.directory);
    serde_json::to_writer(io::stdout(), &result).ok()
}

/// Ends this process, and all that it has started.
fn end_all() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
    std::process::exit(1)
}

struct Prover<'a> {
    request: &'a Request,
    store: &'a LocalStore,
}

/// Something of what cargo says of a build.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    fresh: Option<bool>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Why a format does not hold.
type Refusal = String;

impl Prover<'_> {
    /// Tries all formats. An error is of this machine, and says nothing of cargo.
    fn prove(&self) -> Result<ProofResult> {
        let Request { directory, formats, .. } = self.request;
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        // Two provers at a time would be in each other's way.
        let alone = directory.join("lock");
        let lock = File::create(&alone).map_err(Error::io("create", &alone))?;
        lock.lock().map_err(Error::io("lock", &alone))?;
        if let Some(result) = recall(self.store.proof(self.request.key)) {
            return Ok(result);
        }
        let mut first = None;
        for format in formats {
            match self.holds(format)? {
                Ok(()) => return Ok(ProofResult { format: Some(format.clone()), reason: None }),
                Err(reason) => first = first.or(Some(reason)),
            }
        }
        Ok(ProofResult { format: None, reason: first })
    }

    fn holds(&self, format: &str) -> Result<Result<(), Refusal>> {
        let of_format: String = format.chars().filter(char::is_ascii_alphanumeric).collect();
        let site = BuildSite { prover: self, format, directory: self.request.directory.join(of_format) };
        let written = match site.built_before() {
            Some(written) => written,
            None => match site.build_first()? {
                Ok(written) => written,
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        site.begin("another")?;
        let Some(placed) = site.build("another")? else {
            return Ok(Err("what was put into its build directory breaks the build".into()));
        };
        if let Some(name) = names(&placed, |message| message.fresh != Some(true)).first() {
            return Ok(Err(format!("it does not take `{name}` as fresh that was built elsewhere")));
        }
        let there = site.files();
        if let Some(name) = written.difference(&there).next() {
            return Ok(Err(format!("it writes `{name}`, and takes as fresh what comes without")));
        }
        workspace::edit(&site.workspace(), &site.home("another"))?;
        let Some(edited) = site.build_plainly("another")? else {
            return Ok(Err("after an edit, what was put into its build directory breaks the build".into()));
        };
        match names(&edited, |message| message.fresh == Some(false)) {
            dirty if dirty == workspace::EDITED => Ok(Ok(())),
            dirty => Ok(Err(format!("after an edit, it compiles {} again", dirty.join(", ")))),
        }
    }
}

/// Where the workspace is built, with a store of its own.
struct BuildSite<'a> {
    prover: &'a Prover<'a>,
    format: &'a str,
    directory: PathBuf,
}

impl BuildSite<'_> {
    /// The same for all homes: what is compiled of a member is bound to it.
    fn workspace(&self) -> PathBuf {
        self.directory.join("workspace")
    }

    fn home(&self, name: &str) -> PathBuf {
        self.directory.join(format!("home-{name}"))
    }

    fn target(&self) -> PathBuf {
        self.workspace().join("target")
    }

    /// The names of all that was built, without the hashes in them. Of what cargo keeps beside them it says itself whether
    /// that is enough.
    fn files(&self) -> BTreeSet<String> {
        let target = self.target();
        let entries = WalkBuilder::new(&target).standard_filters(false).build().flatten();
        let files = entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        let names = files.filter_map(|file| Some(file.path().strip_prefix(&target).ok()?.to_str()?.to_owned()));
        let is_kept_beside = |name: &String| name.split('/').any(|part| OF_CARGO.contains(&part));
        names.filter(|name| !is_kept_beside(name)).map(|name| without_hashes(&name)).collect()
    }

    /// A workspace in which nothing was built, and a `CARGO_HOME`.
    fn begin(&self, home: &str) -> Result<()> {
        let target = self.target();
        match fs::remove_dir_all(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &target)(error)),
            _ => {}
        }
        workspace::write_home(&self.home(home))?;
        workspace::write(&self.workspace(), &self.home(home), &self.prover.request.config)
    }

    /// Of another prover, which did not come any further.
    fn built_before(&self) -> Option<BTreeSet<String>> {
        serde_json::from_slice(&fs::read(self.directory.join(WRITTEN)).ok()?).ok()
    }

    /// Compiles and records everything, and says which files there are then.
    fn build_first(&self) -> Result<Result<BTreeSet<String>, Refusal>> {
        self.begin("one")?;
        let Some(built) = self.build("one")? else {
            return Ok(Err("a small workspace cannot be built with it".into()));
        };
        if names(&built, |_| true) != workspace::TARGETS {
            return Ok(Err("it does not say what it has built".into()));
        }
        let written = self.files();
        let bytes = serde_json::to_vec(&written).expect("text");
        write_atomic(&self.directory.join(WRITTEN), &bytes)?;
        Ok(Ok(written))
    }

    /// With the cache, and a format that is believed.
    fn build(&self, home: &str) -> Result<Option<Vec<Message>>> {
        let mut command = Command::new(&self.prover.request.executable);
        command.args(["xcache", "build"]).env(SWITCH, self.format).env("CARGO", &self.prover.request.cargo);
        command.env("XCACHE_DIR", self.directory.join("store"));
        self.run(command, home)
    }

    /// Without it, and with another value of what a build script has asked for.
    fn build_plainly(&self, home: &str) -> Result<Option<Vec<Message>>> {
        let mut command = Command::new(&self.prover.request.cargo);
        command.arg("build").env(workspace::VARIABLE, "another");
        self.run(command, home)
    }

    /// What cargo says of the units; nothing where the build fails.
    fn run(&self, mut command: Command, home: &str) -> Result<Option<Vec<Message>>> {
        let Request { rustc, options, .. } = self.prover.request;
        command.args(["--offline", "--quiet", "--message-format", "json"]);
        command.args(options.iter().map(|option| format!("-Z{option}")));
        command.current_dir(self.workspace()).env("RUSTC", rustc).env("CARGO_HOME", self.home(home));
        // What a file in a directory above may say of these is not meant for it.
        let target = self.target();
        command.env("CARGO_TARGET_DIR", &target).env("CARGO_BUILD_BUILD_DIR", &target);
        command.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
        command.env("CARGO_INCREMENTAL", "0").env("RUSTFLAGS", FLAGS);
        // What is broken off leaves nothing elsewhere.
        let temporary = self.prover.request.directory.join("tmp");
        if temporary.as_os_str().len() < SHORT {
            fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
            command.envs(TEMPORARY.map(|name| (name, &temporary)));
        }
        // Nor is what is configured for the cache of a user.
        command.env("HOME", self.home(home));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let output = process::start(&mut command).and_then(Child::wait_with_output);
        let output = output.map_err(Error::io("run", Path::new(command.get_program())))?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(output.status.success().then_some(messages))
    }
}

/// A name in which each word of sixteen hexadecimal digits is a `#`.
fn without_hashes(name: &str) -> String {
    let is_hash = |word: &str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = name.split_inclusive(['/', '-', '.']);
    let plain = words.map(|word| {
        let end = word.trim_end_matches(['/', '-', '.']);
        if is_hash(end) { word.replace(end, "#") } else { word.to_owned() }
    });
    plain.collect()
}

/// The targets of some messages about units.
fn names(messages: &[Message], is_meant: impl Fn(&Message) -> bool) -> Vec<&str> {
    let of_units = messages.iter().filter(|message| message.fresh.is_some() && is_meant(message));
    let mut names: Vec<_> = of_units.filter_map(|message| Some(message.target.as_ref()?.name.as_str())).collect();
    names.sort_unstable();
    names
}
