//! The prover: a process that builds the small workspace twice, with a store of its own.
//!
//! The second build has an empty target directory and another `CARGO_HOME`. A format holds for a cargo if this cargo
//! then finds every unit fresh, with all the files that it wrote the first time, and after an edit compiles exactly the
//! units that the edit concerns. Cargo itself says which units are fresh (`--message-format json`).
//!
//! **Invariants.** The prover writes only its result and below the directory of its request, which it removes when
//! there is a result. It continues what an earlier prover has left there. It ends with its session, however that ends,
//! because its input is closed then.

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
/// The file that lists the outputs of the first build.
const WRITTEN: &str = "written.json";
/// The directories of cargo's own files about units, and of our report.
const BOOKKEEPING: &[&str] = &[".fingerprint", "fingerprint", "run", "xcache"];
/// Variables that name the directory for temporary files.
const TEMPORARY: [&str; 3] = ["TMPDIR", "TMP", "TEMP"];
/// The longest path of a directory for temporary files. A session's socket would not fit below a longer one.
const MAX_TEMPORARY: usize = 76;
/// Flags that have no effect, so that there is something to hash.
const FLAGS: &str = "--cfg probe";

/// Runs as the prover, if this process was started as one.
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
        // The session sends nothing more, so this returns when the input is closed.
        let _ = io::stdin().read_line(&mut String::new());
        end_all()
    });
    let store = LocalStore::open(&request.store).ok()?;
    let result = Prover { request: &request, store: &store }.prove().ok()?;
    remember(&store, request.key, &result);
    let _ = fs::remove_dir_all(&request.directory);
    serde_json::to_writer(io::stdout(), &result).ok()
}

/// Ends this process and all processes that it has started.
fn end_all() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
    std::process::exit(1)
}

struct Prover<'a> {
    request: &'a Request,
    store: &'a LocalStore,
}

/// A message of cargo about a build.
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
    /// Tries all formats. An error is a problem of this machine and says nothing about cargo.
    fn prove(&self) -> Result<ProofResult> {
        let Request { directory, formats, .. } = self.request;
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        // Two provers use the same directory.
        let path = directory.join("lock");
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        lock.lock().map_err(Error::io("lock", &path))?;
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
            return Ok(Err("the build fails with units that were placed in its build directory".into()));
        };
        if let Some(name) = names(&placed, |message| message.fresh != Some(true)).first() {
            return Ok(Err(format!("it does not take `{name}` as fresh in another directory")));
        }
        let placed = site.files();
        if let Some(name) = written.difference(&placed).next() {
            return Ok(Err(format!("it writes `{name}`, but finds the unit fresh without it")));
        }
        workspace::edit(&site.workspace(), &site.home("another"))?;
        let Some(edited) = site.build_plainly("another")? else {
            return Ok(Err("after an edit, the build fails with units that were placed in its build directory".into()));
        };
        match names(&edited, |message| message.fresh == Some(false)) {
            dirty if dirty == workspace::EDITED => Ok(Ok(())),
            dirty => Ok(Err(format!("after an edit, it compiles {} again", dirty.join(", ")))),
        }
    }
}

/// The directory in which the workspace is built with one format, and its store.
struct BuildSite<'a> {
    prover: &'a Prover<'a>,
    format: &'a str,
    directory: PathBuf,
}

impl BuildSite<'_> {
    /// The workspace. It is the same for all homes, because the outputs of members are bound to it.
    fn workspace(&self) -> PathBuf {
        self.directory.join("workspace")
    }

    fn home(&self, name: &str) -> PathBuf {
        self.directory.join(format!("home-{name}"))
    }

    fn target(&self) -> PathBuf {
        self.workspace().join("target")
    }

    /// The names of all outputs, without the hashes in them. Cargo's own files are left out: whether these are right is
    /// what cargo decides.
    fn files(&self) -> BTreeSet<String> {
        let target = self.target();
        let entries = WalkBuilder::new(&target).standard_filters(false).build().flatten();
        let files = entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        let names = files.filter_map(|file| Some(file.path().strip_prefix(&target).ok()?.to_str()?.to_owned()));
        let is_bookkeeping = |name: &String| name.split('/').any(|part| BOOKKEEPING.contains(&part));
        names.filter(|name| !is_bookkeeping(name)).map(|name| without_hashes(&name)).collect()
    }

    /// Writes a workspace in which nothing was built, and a `CARGO_HOME`.
    fn begin(&self, home: &str) -> Result<()> {
        let target = self.target();
        match fs::remove_dir_all(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &target)(error)),
            _ => {}
        }
        workspace::write_home(&self.home(home))?;
        workspace::write(&self.workspace(), &self.home(home), &self.prover.request.config)
    }

    /// The outputs that an earlier prover has listed before it was stopped.
    fn built_before(&self) -> Option<BTreeSet<String>> {
        serde_json::from_slice(&fs::read(self.directory.join(WRITTEN)).ok()?).ok()
    }

    /// Compiles and records everything, and lists the outputs.
    fn build_first(&self) -> Result<Result<BTreeSet<String>, Refusal>> {
        self.begin("one")?;
        let Some(built) = self.build("one")? else {
            return Ok(Err("a small workspace cannot be built with it".into()));
        };
        if names(&built, |_| true) != workspace::TARGETS {
            return Ok(Err("it does not report what it has built".into()));
        }
        let written = self.files();
        let bytes = serde_json::to_vec(&written).expect("text");
        write_atomic(&self.directory.join(WRITTEN), &bytes)?;
        Ok(Ok(written))
    }

    /// Builds with the cache, which takes the format as proven.
    fn build(&self, home: &str) -> Result<Option<Vec<Message>>> {
        let mut command = Command::new(&self.prover.request.executable);
        command.args(["xcache", "build"]).env(SWITCH, self.format).env("CARGO", &self.prover.request.cargo);
        command.env("XCACHE_DIR", self.directory.join("store"));
        self.run(command, home)
    }

    /// Builds without the cache, and with another value of the variable that a build script watches.
    fn build_plainly(&self, home: &str) -> Result<Option<Vec<Message>>> {
        let mut command = Command::new(&self.prover.request.cargo);
        command.arg("build").env(workspace::VARIABLE, "another");
        self.run(command, home)
    }

    /// Cargo's messages about the build. `None` if the build fails.
    fn run(&self, mut command: Command, home: &str) -> Result<Option<Vec<Message>>> {
        let Request { rustc, options, .. } = self.prover.request;
        command.args(["--offline", "--quiet", "--message-format", "json"]);
        command.args(options.iter().map(|option| format!("-Z{option}")));
        command.current_dir(self.workspace()).env("RUSTC", rustc).env("CARGO_HOME", self.home(home));
        // These variables override configuration files in directories above.
        let target = self.target();
        command.env("CARGO_TARGET_DIR", &target).env("CARGO_BUILD_BUILD_DIR", &target);
        command.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
        command.env("CARGO_INCREMENTAL", "0").env("RUSTFLAGS", FLAGS);
        // If the prover is stopped, no temporary files remain elsewhere.
        let temporary = self.prover.request.directory.join("tmp");
        if temporary.as_os_str().len() < MAX_TEMPORARY {
            fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
            command.envs(TEMPORARY.map(|name| (name, &temporary)));
        }
        // The user's configuration of the cache does not apply either.
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

/// The target names in the selected messages about units, sorted.
fn names(messages: &[Message], is_selected: impl Fn(&Message) -> bool) -> Vec<&str> {
    let of_units = messages.iter().filter(|message| message.fresh.is_some() && is_selected(message));
    let mut names: Vec<_> = of_units.filter_map(|message| Some(message.target.as_ref()?.name.as_str())).collect();
    names.sort_unstable();
    names
}
