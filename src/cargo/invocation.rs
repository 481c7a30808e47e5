//! What the user asked cargo for.

use std::ffi::{OsStr, OsString};
use std::iter;

use serde::Serialize;

use crate::digest::Digest;

/// A cargo command line: `[+toolchain] command arguments…`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Invocation {
    /// `+toolchain`, with the plus sign.
    pub toolchain: Option<String>,
    /// The subcommand.
    pub command: String,
    /// Everything behind it, verbatim.
    pub arguments: Vec<OsString>,
}

/// Options that take a value and stand in these forms: `--name value`, `--name=value`.
const LONG_VALUED: &[&str] = &[
    "manifest-path",
    "lockfile-path",
    "target-dir",
    "target",
    "config",
    "package",
    "exclude",
    "bin",
    "example",
    "test",
    "bench",
    "features",
    "profile",
    "jobs",
    "color",
    "message-format",
    "artifact-dir",
    "crate-type",
    "print",
    "path",
    "root",
    "index",
    "registry",
    "token",
    "vers",
    "version",
];

/// Short options that take a value.
const SHORT_VALUED: &[char] = &['p', 'F', 'j', 'Z', 'C'];

/// Short options that have a long name.
const SHORT: &[(char, &str)] =
    &[('p', "package"), ('F', "features"), ('j', "jobs"), ('q', "quiet"), ('r', "release"), ('v', "verbose")];

/// Has clippy look at those packages only that the command names.
pub const NO_DEPS: &str = "--no-deps";
/// What `cargo clippy` puts behind each argument.
const CLIPPY_SEPARATOR: &str = "__CLIPPY_HACKERY__";

/// Flags of `cargo clippy` that `cargo check` does not have.
const CLIPPY_ONLY: &[&str] = &[NO_DEPS, "--fix", "--allow-dirty", "--allow-staged", "--allow-no-vcs"];

impl Invocation {
    /// From the arguments behind our own options.
    pub fn new(toolchain: Option<String>, command: impl Into<String>, arguments: Vec<OsString>) -> Self {
        Self { toolchain, command: command.into(), arguments }
    }

    /// Cargo's own arguments: those before `--`.
    fn own(&self) -> impl Iterator<Item = &OsStr> {
        self.arguments.iter().map(OsString::as_os_str).take_while(|argument| *argument != "--")
    }

    /// The last value of a long option.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.values(name).pop()
    }

    /// Every value of a long option.
    pub fn values(&self, name: &str) -> Vec<&OsStr> {
        let flag = format!("--{name}");
        let mut values = Vec::new();
        let mut arguments = self.own();
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            if text == flag {
                values.extend(arguments.next());
            } else if let Some(value) = text.strip_prefix(&flag).and_then(|rest| rest.strip_prefix('=')) {
                values.push(OsStr::new(value));
            } else if is_valued(text) {
                arguments.next();
            }
        }
        values
    }

    /// How many arguments there are up to the last `--config`, and its value: what stands behind them wins.
    pub fn up_to_config(&self) -> usize {
        let mut last = 0;
        let mut arguments = self.own().enumerate();
        while let Some((index, argument)) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            let is_config = text == "--config" || text.starts_with("--config=");
            let value = if is_valued(text) { arguments.next() } else { None };
            if is_config {
                last = value.map_or(index, |(index, _)| index) + 1;
            }
        }
        last
    }

    /// Whether a flag is there, in one of these spellings.
    pub fn has_flag(&self, spellings: &[&str]) -> bool {
        self.own().any(|argument| argument.to_str().is_some_and(|argument| spellings.contains(&argument)))
    }

    /// Whether packages are named.
    pub fn has_package(&self) -> bool {
        self.options().iter().any(|(name, _)| name == "package")
    }

    /// `-q` was asked for, also within a bundle such as `-qr`.
    pub fn is_quiet(&self) -> bool {
        self.own().filter_map(OsStr::to_str).any(|argument| {
            argument == "--quiet"
                || argument.strip_prefix('-').is_some_and(|flags| {
                    !flags.is_empty() && flags.bytes().all(|flag| b"qrv".contains(&flag)) && flags.contains('q')
                })
        })
    }

    /// The subcommand whose units are those of this one: `clippy` is `check` with another compiler for the members, and
    /// `run`, which would go on and run something, is `build`.
    pub fn planning_command(&self) -> &str {
        match self.command.as_str() {
            "clippy" | "c" => "check",
            "run" | "r" | "b" => "build",
            "t" => "test",
            "d" => "doc",
            command => command,
        }
    }

    /// What `cargo clippy` tells its compiler in `CLIPPY_ARGS`: its own `--no-deps`, and what stands behind the dashes.
    /// Nothing where one of these is no text.
    pub fn clippy_arguments(&self) -> Option<String> {
        let own = self.own().filter(|argument| *argument == NO_DEPS);
        let behind = self.arguments.iter().map(OsString::as_os_str).skip(self.own().count() + 1);
        own.chain(behind).map(|argument| Some(format!("{}{CLIPPY_SEPARATOR}", argument.to_str()?))).collect()
    }

    /// The arguments for the planning run.
    pub fn planning_arguments(&self) -> Vec<&OsStr> {
        let dropped: &[&str] = match self.command.as_str() {
            "clippy" => CLIPPY_ONLY,
            "doc" | "d" => &["--open"],
            _ => &[],
        };
        self.own()
            .take(self.program_arguments())
            .filter(|argument| !dropped.iter().any(|flag| argument == flag))
            .collect()
    }

    /// Cargo's own arguments with each option (or other argument) replaced by what `change` gives for its name and value,
    /// where it gives something. A value may be attached to a short option or stand alone.
    pub fn map_options(&self, change: impl Fn(&str, Option<&str>) -> Option<Vec<String>>) -> Vec<OsString> {
        let mut mapped = Vec::new();
        let mut arguments = self.own();
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            let mut original = vec![argument.to_owned()];
            let (name, value) = match text.split_once('=').filter(|(name, _)| name.starts_with("--")) {
                Some((name, value)) => (name, Some(value)),
                None if is_valued(text) => {
                    let value = arguments.next();
                    original.extend(value.map(OsStr::to_owned));
                    (text, value.and_then(OsStr::to_str))
                }
                None => match text.strip_prefix("-p").filter(|value| !value.is_empty()) {
                    Some(value) => ("-p", Some(value)),
                    None => (text, None),
                },
            };
            match change(name, value) {
                Some(changed) => mapped.extend(changed.into_iter().map(OsString::from)),
                None => mapped.extend(original),
            }
        }
        mapped
    }

    /// Where the arguments for the program begin that `cargo run` runs: at the first one that belongs to no option.
    fn program_arguments(&self) -> usize {
        if !["run", "r"].contains(&self.command.as_str()) {
            return usize::MAX;
        }
        let mut arguments = self.own().enumerate();
        while let Some((index, argument)) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            if is_valued(text) {
                arguments.next();
            } else if !text.starts_with('-') {
                return index;
            }
        }
        usize::MAX
    }

    /// The flags that say which workspace is meant.
    pub fn workspace_flags(&self) -> Vec<OsString> {
        let mut flags = self.config_flags();
        for name in ["manifest-path", "lockfile-path"] {
            flags.extend(self.value(name).into_iter().flat_map(|value| [format!("--{name}").into(), value.to_owned()]));
        }
        flags
    }

    /// The flags that say which features are on.
    pub fn feature_flags(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        let mut arguments = self.own();
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            if ["--all-features", "--no-default-features"].contains(&text) || text.starts_with("--features=") {
                flags.push(argument.to_owned());
            } else if ["--features", "-F"].contains(&text) {
                flags.extend(
                    arguments.next().into_iter().flat_map(|features| ["--features".into(), features.to_owned()]),
                );
            } else if let Some(features) = text.strip_prefix("-F") {
                flags.extend(["--features".into(), features.into()]);
            } else if is_valued(text) {
                arguments.next();
            }
        }
        flags
    }

    /// `--config` and `-Z`.
    pub fn config_flags(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        for value in self.values("config") {
            flags.extend(["--config".into(), value.to_owned()]);
        }
        let mut arguments = self.own();
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            if text == "-Z" {
                flags.extend(arguments.next().map(|value| OsString::from(format!("-Z{}", value.to_string_lossy()))));
            } else if text.starts_with("-Z") {
                flags.push(argument.to_owned());
            }
        }
        flags
    }

    /// Whether a `--config` says anything of incremental compilation. Files that one names are not looked into.
    pub fn configures_incremental(&self) -> bool {
        self.values("config").into_iter().filter_map(OsStr::to_str).any(|config| {
            let Ok(config) = config.parse::<toml::Table>() else { return false };
            let profiles = config.get("profile").and_then(toml::Value::as_table);
            let profiles = profiles.into_iter().flat_map(|profiles| profiles.values());
            config.get("build").into_iter().chain(profiles).any(|table| table.get("incremental").is_some())
        })
    }

    /// The arguments that say what is built, for the graph index: not where, how loudly, or with how many jobs. Each is an
    /// option with its value, or a value alone.
    pub fn identity(&self) -> Vec<(String, Option<String>)> {
        const LEFT_OUT: &[&str] = &[
            "manifest-path",
            "lockfile-path",
            "target-dir",
            "color",
            "message-format",
            "jobs",
            "quiet",
            "verbose",
            "locked",
            "offline",
            "frozen",
        ];
        let command = (String::new(), Some(self.planning_command().to_owned()));
        let options = self.options().into_iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
        let behind =
            self.arguments.iter().skip(self.own().count()).map(|argument| (String::new(), Some(text(argument))));
        let is_for_rustc = self.command == "rustc";
        iter::once(command).chain(options).chain(behind.filter(|_| is_for_rustc)).collect()
    }

    /// Cargo's own arguments, taken apart as cargo does it: the long name of an option with its value, or a value without a
    /// name. A short option that has no long one keeps its dash.
    pub(super) fn options(&self) -> Vec<(String, Option<String>)> {
        let mut options = Vec::new();
        let mut arguments = self.own().map(text);
        while let Some(argument) = arguments.next() {
            if let Some(long) = argument.strip_prefix("--") {
                options.push(match long.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None if LONG_VALUED.contains(&long) => (long.to_owned(), arguments.next()),
                    None => (long.to_owned(), None),
                });
            } else if let Some(bundle) = argument.strip_prefix('-').filter(|bundle| !bundle.is_empty()) {
                options.extend(unbundled(bundle, || arguments.next()));
            } else {
                options.push((String::new(), Some(argument)));
            }
        }
        options
    }
}

/// Short options, the last of which may have its value behind it (`-j4`, `-j=4`) or in the next argument.
fn unbundled(bundle: &str, next: impl FnOnce() -> Option<String>) -> Vec<(String, Option<String>)> {
    let mut options = Vec::new();
    for (index, flag) in bundle.char_indices() {
        let name = SHORT.iter().find(|(short, _)| *short == flag);
        let name = name.map_or_else(|| format!("-{flag}"), |(_, long)| (*long).to_owned());
        if SHORT_VALUED.contains(&flag) {
            let attached = &bundle[index + flag.len_utf8()..];
            let attached = attached.strip_prefix('=').unwrap_or(attached);
            let value = if attached.is_empty() { next() } else { Some(attached.to_owned()) };
            options.push((name, value));
            break;
        }
        options.push((name, None));
    }
    options
}

/// What is no text is told apart by the digest of it.
fn text(argument: impl AsRef<OsStr>) -> String {
    let argument = argument.as_ref();
    let digest = || format!("{} {}", argument.to_string_lossy(), Digest::of(argument.as_encoded_bytes()));
    argument.to_str().map_or_else(digest, str::to_owned)
}

/// Whether an option's value is the next argument.
fn is_valued(argument: &str) -> bool {
    argument.strip_prefix("--").is_some_and(|name| LONG_VALUED.contains(&name))
        || argument.strip_prefix('-').is_some_and(|flag| SHORT_VALUED.iter().any(|it| flag.chars().eq([*it])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(command: &str, arguments: &[&str]) -> Invocation {
        Invocation::new(None, command, arguments.iter().map(Into::into).collect())
    }

    #[test]
    fn values_are_found_in_each_spelling_and_not_behind_the_dashes() {
        let invocation = invocation(
            "run",
            &[
                "--target-dir",
                "t",
                "--config=a=1",
                "--bin",
                "--config",
                "--config",
                "b=2",
                "-Zx",
                "-Z",
                "y",
                "--",
                "--target-dir",
                "z",
            ],
        );
        assert_eq!(invocation.value("target-dir").unwrap(), "t");
        assert_eq!(invocation.values("config"), ["a=1", "b=2"]);
        assert_eq!(invocation.config_flags(), ["--config", "a=1", "--config", "b=2", "-Zx", "-Zy"]);
    }

    #[test]
    fn incremental_compilation_is_seen_in_configuration() {
        let configures = |config: &str| invocation("build", &["--config", config]).configures_incremental();
        assert!(configures("build.incremental=true"));
        assert!(configures("build = { jobs = 1, incremental = false }"));
        assert!(configures("profile.dev.incremental=true"));
        assert!(!configures("build.jobs=1"));
        assert!(!configures("incremental.toml"));
        assert!(!invocation("run", &["--", "--config", "build.incremental=true"]).configures_incremental());
    }

    #[test]
    fn options_are_replaced_in_each_spelling() {
        let build = invocation("build", &["--bin", "a", "--bin=b", "-px", "-p", "y", "--release", "--", "--bin", "c"]);
        let mapped = build.map_options(|name, value| match (name, value) {
            ("--bin", Some(name)) => Some(vec![format!("[{name}]")]),
            ("-p", Some(_)) => Some(Vec::new()),
            _ => None,
        });
        assert_eq!(mapped, ["[a]", "[b]", "--release"]);
    }

    #[test]
    fn quiet_is_seen_alone_and_in_a_bundle() {
        assert!(invocation("build", &["-q"]).is_quiet());
        assert!(invocation("build", &["-rq"]).is_quiet());
        assert!(!invocation("build", &["-p", "q"]).is_quiet());
        assert!(!invocation("run", &["--", "-q"]).is_quiet());
    }

    #[test]
    fn clippy_is_planned_as_check() {
        let clippy = invocation("clippy", &["--fix", "--all-targets", "--", "-D", "warnings"]);
        assert_eq!(clippy.planning_command(), "check");
        assert_eq!(clippy.planning_arguments(), ["--all-targets"]);
    }

    #[test]
    fn clippy_is_told_what_cargo_clippy_would_tell_it() {
        let told = |arguments: &[&str]| invocation("clippy", arguments).clippy_arguments().unwrap();
        assert_eq!(told(&["--workspace", "-p", "x"]), "");
        assert_eq!(told(&["--no-deps", "--", "-W", "x"]), told(&["--", "--no-deps", "-W", "x"]));
        assert_eq!(told(&["--", "-D", "--"]), "-D__CLIPPY_HACKERY__--__CLIPPY_HACKERY__");
    }

    #[test]
    fn run_is_planned_as_build_without_what_is_the_programs() {
        let run = invocation("run", &["--bin", "x", "-r", "file", "--release"]);
        assert_eq!(run.planning_command(), "build");
        assert_eq!(run.planning_arguments(), ["--bin", "x", "-r"]);
    }

    /// As a command line.
    fn identity(command: &str, arguments: &[&str]) -> String {
        let parts = invocation(command, arguments).identity().into_iter().map(|part| match part {
            (name, None) => format!("--{name}"),
            (name, Some(value)) if name.is_empty() => value,
            (name, Some(value)) => format!("--{name}={value}"),
        });
        parts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_identity_leaves_out_where_and_how_loudly() {
        let here = ["--release", "--target-dir", "/t", "-q", "-j", "2", "--features=x"];
        let there = ["-r", "--manifest-path=/w/Cargo.toml", "-F", "x", "--locked", "--color", "always", "-vvj4"];
        assert_eq!(identity("build", &here), "build --release --features=x");
        assert_eq!(identity("b", &there), "build --release --features=x");
        assert_eq!(identity("build", &["-rj", "4", "-px"]), "build --release --package=x");
    }

    #[test]
    fn the_identity_takes_no_value_for_an_option() {
        let release = "build --features=color --release";
        for value in ["color", "jobs", "target-dir", "manifest-path", "message-format"] {
            let with = |more: &[&str]| identity("build", &[&["--features", value], more].concat());
            assert_eq!(with(&["--release"]), release.replace("color", value));
            assert_eq!(with(&[]), format!("build --features={value}"));
            assert_ne!(identity("build", &["-p", value, "--release"]), identity("build", &["-p", value]));
            assert_ne!(identity("test", &[value, "--release"]), identity("test", &[value]));
        }
        assert_ne!(identity("rustc", &["--crate-type", "lib"]), identity("rustc", &["--crate-type", "bin"]));
        assert_ne!(identity("rustc", &["--", "--cfg=a"]), identity("rustc", &["--", "--cfg=b"]));
        assert_eq!(identity("run", &["--", "a"]), identity("run", &["--", "b"]), "what the program is given");
    }

    #[test]
    #[cfg(unix)]
    fn arguments_that_are_no_text_are_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let of = |byte: u8| Invocation::new(None, "test", vec![OsStr::from_bytes(&[byte]).into()]).identity();
        assert_ne!(of(0xfe), of(0xff));
        assert_eq!(of(0xfe), of(0xfe));
    }
}
