//! The cargo command that the user typed.

use std::ffi::{OsStr, OsString};
use std::iter;

use serde::Serialize;

use super::arguments::{self, Argument, Arguments};
use crate::digest::Digest;

/// A cargo command line: `[+toolchain] command arguments…`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Invocation {
    /// `+toolchain`, with the plus sign.
    pub toolchain: Option<String>,
    /// The subcommand.
    pub command: String,
    /// Everything after the subcommand, verbatim.
    pub arguments: Vec<OsString>,
}

/// Options that do not change what is built, but where it goes, how much is printed, or how many jobs run.
const NOT_BUILD_OPTIONS: &[&str] = &[
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

/// Restricts clippy to the packages that the command names.
pub const NO_DEPS: &str = "--no-deps";
/// The text that `cargo clippy` appends to each argument.
const CLIPPY_SEPARATOR: &str = "__CLIPPY_HACKERY__";

/// Flags of `cargo clippy` that `cargo check` does not have.
const CLIPPY_ONLY: &[&str] = &["no-deps", "fix", "allow-dirty", "allow-staged", "allow-no-vcs"];

impl Invocation {
    /// Creates an invocation from the arguments after xcache's own options.
    pub fn new(toolchain: Option<String>, command: impl Into<String>, arguments: Vec<OsString>) -> Self {
        Self { toolchain, command: command.into(), arguments }
    }

    /// The parsed arguments.
    fn parsed(&self) -> Arguments<'_> {
        arguments::parse(&self.command, &self.arguments)
    }

    /// The last value of a long option.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.values(name).pop()
    }

    /// Every value of a long option.
    pub fn values(&self, name: &str) -> Vec<&OsStr> {
        let options = self.parsed().cargo.into_iter().filter(|argument| argument.name == name);
        options.filter_map(|argument| argument.value).collect()
    }

    /// The number of arguments up to and including the last `--config` and its value: later ones override it.
    pub fn config_end(&self) -> usize {
        let parsed = self.parsed();
        let last = parsed.cargo.iter().rfind(|argument| argument.name == "config");
        last.map_or(0, |config| config.tokens.end)
    }

    /// Whether an option was given, by its long name. A short option without a long name keeps its dash.
    pub fn has(&self, name: &str) -> bool {
        self.parsed().cargo.iter().any(|argument| argument.name == name)
    }

    /// The subcommand with the same units: `check` for `clippy`, which only uses another compiler for members, and
    /// `build` for `run`, which would also run a program.
    pub fn planning_command(&self) -> &str {
        match self.command.as_str() {
            "clippy" | "c" => "check",
            "run" | "r" | "b" => "build",
            "t" => "test",
            "d" => "doc",
            command => command,
        }
    }

    /// What `cargo clippy` passes to its compiler in `CLIPPY_ARGS`: its own `--no-deps`, and the arguments after the
    /// dashes. Absent if one of these is not UTF-8.
    pub fn clippy_arguments(&self) -> Option<String> {
        let parsed = self.parsed();
        let own = parsed.cargo.iter().filter(|argument| argument.name == "no-deps").map(|_| OsStr::new(NO_DEPS));
        let rest = parsed.rest.iter().map(OsString::as_os_str);
        own.chain(rest).map(|argument| Some(format!("{}{CLIPPY_SEPARATOR}", argument.to_str()?))).collect()
    }

    /// Cargo's own arguments for the planning run, as they were given.
    pub fn planning_arguments(&self) -> Vec<&OsStr> {
        let dropped: &[&str] = match self.command.as_str() {
            "clippy" => CLIPPY_ONLY,
            "doc" | "d" => &["open"],
            _ => &[],
        };
        let parsed = self.parsed();
        let groups = parsed.cargo.chunk_by(|one, other| one.tokens == other.tokens);
        let kept = groups.filter(|group| !group.iter().any(|argument| dropped.contains(&argument.name.as_str())));
        kept.flat_map(|group| &self.arguments[group[0].tokens.clone()]).map(OsString::as_os_str).collect()
    }

    /// All arguments before `--`. `change` receives the long name and the value of each option (or other argument) and
    /// may return a replacement. All others stay as they were given, except those that share a bundle with a replaced
    /// option.
    pub fn map_options(&self, change: impl Fn(&str, Option<&str>) -> Option<Vec<String>>) -> Vec<OsString> {
        let Arguments { mut cargo, program, .. } = self.parsed();
        cargo.extend(program);
        let changed = |argument: &Argument<'_>| change(&argument.name, argument.value.and_then(OsStr::to_str));
        let mapped = cargo.chunk_by(|one, other| one.tokens == other.tokens).map(|group| {
            let changes: Vec<_> = group.iter().map(changed).collect();
            if changes.iter().all(Option::is_none) {
                return self.arguments[group[0].tokens.clone()].to_vec();
            }
            let texts = |texts: Vec<String>| texts.into_iter().map(OsString::from).collect();
            let each = group.iter().zip(changes);
            each.flat_map(|(argument, change)| change.map_or_else(|| argument.to_tokens(), texts)).collect()
        });
        mapped.collect::<Vec<_>>().concat()
    }

    /// The flags that select the workspace.
    pub fn workspace_flags(&self) -> Vec<OsString> {
        let mut flags = self.config_flags();
        for name in ["manifest-path", "lockfile-path"] {
            flags.extend(self.value(name).into_iter().flat_map(|value| [format!("--{name}").into(), value.to_owned()]));
        }
        flags
    }

    /// The flags that select the features.
    pub fn feature_flags(&self) -> Vec<OsString> {
        self.tokens_of(&["all-features", "no-default-features", "features"])
    }

    /// `--config` and `-Z`.
    pub fn config_flags(&self) -> Vec<OsString> {
        [self.tokens_of(&["config"]), self.tokens_of(&["-Z"])].concat()
    }

    /// These options, each in separate tokens.
    fn tokens_of(&self, names: &[&str]) -> Vec<OsString> {
        let parsed = self.parsed();
        let named = parsed.cargo.iter().filter(|argument| names.contains(&argument.name.as_str()));
        named.flat_map(Argument::to_tokens).collect()
    }

    /// Whether a `--config` sets incremental compilation. Files that it names are not read.
    pub fn configures_incremental(&self) -> bool {
        self.values("config").into_iter().filter_map(OsStr::to_str).any(|config| {
            let Ok(config) = config.parse::<toml::Table>() else { return false };
            let profiles = config.get("profile").and_then(toml::Value::as_table);
            let profiles = profiles.into_iter().flat_map(|profiles| profiles.values());
            config.get("build").into_iter().chain(profiles).any(|table| table.get("incremental").is_some())
        })
    }

    /// The arguments that decide what is built, for the graph index. Each is an option with its value, or a value
    /// alone.
    ///
    /// They include the arguments that `cargo run` passes to its program without `--`, and the `--` of `cargo rustc`.
    /// Both only change the name of the index, and names must not change.
    pub fn identity(&self) -> Vec<(String, Option<String>)> {
        let command = (String::new(), Some(self.planning_command().to_owned()));
        let options = self.options().into_iter().filter(|(name, _)| !NOT_BUILD_OPTIONS.contains(&name.as_str()));
        let rest = self.arguments.iter().skip_while(|argument| *argument != "--").filter(|_| self.command == "rustc");
        let rest = rest.map(|argument| (String::new(), Some(text(argument))));
        iter::once(command).chain(options).chain(rest).collect()
    }

    /// All arguments before `--`, as text: the long name of an option with its value, or a value without a name.
    pub(super) fn options(&self) -> Vec<(String, Option<String>)> {
        let Arguments { cargo, program, .. } = self.parsed();
        let all = cargo.into_iter().chain(program);
        all.map(|argument| (argument.name, argument.value.map(text))).collect()
    }
}

/// The argument as text. A digest distinguishes arguments that are not UTF-8.
fn text(argument: impl AsRef<OsStr>) -> String {
    let argument = argument.as_ref();
    let digest = || format!("{} {}", argument.to_string_lossy(), Digest::of(argument.as_encoded_bytes()));
    argument.to_str().map_or_else(digest, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(command: &str, arguments: &[&str]) -> Invocation {
        Invocation::new(None, command, arguments.iter().map(Into::into).collect())
    }

    #[test]
    fn values_are_found_in_every_spelling_but_not_after_the_dashes() {
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
    fn incremental_compilation_is_found_in_configuration() {
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
            ("bin", Some(name)) => Some(vec![format!("[{name}]")]),
            ("package", Some(_)) => Some(Vec::new()),
            _ => None,
        });
        assert_eq!(mapped, ["[a]", "[b]", "--release"]);
    }

    #[test]
    fn quiet_is_found_alone_and_in_a_bundle() {
        assert!(invocation("build", &["-q"]).has("quiet"));
        assert!(invocation("build", &["-rq"]).has("quiet"));
        assert!(!invocation("build", &["-p", "q"]).has("quiet"));
        assert!(!invocation("run", &["--", "-q"]).has("quiet"));
    }

    #[test]
    fn a_bundle_is_split_only_if_one_of_its_options_is_replaced() {
        let without_package = |name: &str, _: Option<&str>| (name == "package").then(Vec::new);
        assert_eq!(
            invocation("build", &["-vrpx", "-vq"]).map_options(without_package),
            ["--verbose", "--release", "-vq"]
        );
        assert_eq!(invocation("build", &["-vj4", "x"]).map_options(without_package), ["-vj4", "x"]);
    }

    #[test]
    fn features_and_unstable_options_are_found_in_each_spelling() {
        let spellings = ["-Fa", "-F=b", "--features=c", "-vF", "d", "--all-features", "-Z=x", "-vZy", "--bin", "-Fe"];
        let invocation = invocation("build", &spellings);
        let features = ["--features", "a", "--features", "b", "--features", "c", "--features", "d", "--all-features"];
        assert_eq!(invocation.feature_flags(), features);
        assert_eq!(invocation.config_flags(), ["-Zx", "-Zy"]);
    }

    #[test]
    fn the_position_after_the_last_configuration_is_found() {
        assert_eq!(invocation("build", &["--release"]).config_end(), 0);
        assert_eq!(invocation("build", &["--config=a", "-v", "--config", "b", "--release"]).config_end(), 4);
        assert_eq!(invocation("run", &["--config=a", "program", "--config", "b"]).config_end(), 1);
        assert_eq!(invocation("build", &["-p", "--config", "b"]).config_end(), 0);
    }

    #[test]
    fn arguments_of_the_program_are_not_cargos() {
        let run = invocation("run", &["-r", "program", "-q", "--target-dir", "t", "--help"]);
        assert!(!run.has("quiet") && !run.has("help") && run.has("release"));
        assert_eq!(run.value("target-dir"), None);
    }

    #[test]
    fn clippy_is_planned_as_check() {
        let clippy = invocation("clippy", &["--fix", "--all-targets", "--", "-D", "warnings"]);
        assert_eq!(clippy.planning_command(), "check");
        assert_eq!(clippy.planning_arguments(), ["--all-targets"]);
    }

    #[test]
    fn clippy_gets_the_arguments_that_cargo_clippy_would_pass() {
        let passed = |arguments: &[&str]| invocation("clippy", arguments).clippy_arguments().unwrap();
        assert_eq!(passed(&["--workspace", "-p", "x"]), "");
        assert_eq!(passed(&["--no-deps", "--", "-W", "x"]), passed(&["--", "--no-deps", "-W", "x"]));
        assert_eq!(passed(&["--", "-D", "--"]), "-D__CLIPPY_HACKERY__--__CLIPPY_HACKERY__");
    }

    #[test]
    fn run_is_planned_as_build_without_the_arguments_of_the_program() {
        let run = invocation("run", &["--bin", "x", "-r", "file", "--release"]);
        assert_eq!(run.planning_command(), "build");
        assert_eq!(run.planning_arguments(), ["--bin", "x", "-r"]);
    }

    /// The identity as a command line.
    fn identity(command: &str, arguments: &[&str]) -> String {
        let parts = invocation(command, arguments).identity().into_iter().map(|part| match part {
            (name, None) => format!("--{name}"),
            (name, Some(value)) if name.is_empty() => value,
            (name, Some(value)) => format!("--{name}={value}"),
        });
        parts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_identity_leaves_out_paths_and_verbosity() {
        let here = ["--release", "--target-dir", "/t", "-q", "-j", "2", "--features=x"];
        let there = ["-r", "--manifest-path=/w/Cargo.toml", "-F", "x", "--locked", "--color", "always", "-vvj4"];
        assert_eq!(identity("build", &here), "build --release --features=x");
        assert_eq!(identity("b", &there), "build --release --features=x");
        assert_eq!(identity("build", &["-rj", "4", "-px"]), "build --release --package=x");
    }

    #[test]
    fn the_identity_does_not_mistake_a_value_for_an_option() {
        let release = "build --features=color --release";
        for value in ["color", "jobs", "target-dir", "manifest-path", "message-format"] {
            let with = |more: &[&str]| identity("build", &[&["--features", value], more].concat());
            assert_eq!(with(&["--release"]), release.replace("color", value));
            assert_eq!(with(&[]), format!("build --features={value}"));
            assert_ne!(identity("build", &["-p", value, "--release"]), identity("build", &["-p", value]));
            assert_ne!(identity("test", &[value, "--release"]), identity("test", &[value]));
        }
        assert_ne!(identity("rustc", &["--crate-type", "lib"]), identity("rustc", &["--crate-type", "bin"]));
        assert_eq!(identity("rustc", &["--lib", "--", "--cfg=a"]), "rustc --lib -- --cfg=a");
        assert_ne!(identity("rustc", &["--", "--cfg=a"]), identity("rustc", &["--", "--cfg=b"]));
        assert_eq!(identity("run", &["--", "a"]), identity("run", &["--", "b"]), "arguments of the program");
    }

    #[test]
    #[cfg(unix)]
    fn arguments_that_are_not_utf8_are_distinguished() {
        use std::os::unix::ffi::OsStrExt;
        let of = |byte: u8| Invocation::new(None, "test", vec![OsStr::from_bytes(&[byte]).into()]).identity();
        assert_ne!(of(0xfe), of(0xff));
        assert_eq!(of(0xfe), of(0xfe));
    }
}
