//! What the user asked cargo for.

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
    /// Everything behind it, verbatim.
    pub arguments: Vec<OsString>,
}

/// Options that do not change what is built: where it goes, how loudly, with how many jobs.
const NOT_OF_THE_BUILD: &[&str] = &[
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

/// Has clippy look at those packages only that the command names.
pub const NO_DEPS: &str = "--no-deps";
/// What `cargo clippy` puts behind each argument.
const CLIPPY_SEPARATOR: &str = "__CLIPPY_HACKERY__";

/// Flags of `cargo clippy` that `cargo check` does not have.
const CLIPPY_ONLY: &[&str] = &["no-deps", "fix", "allow-dirty", "allow-staged", "allow-no-vcs"];

impl Invocation {
    /// From the arguments behind our own options.
    pub fn new(toolchain: Option<String>, command: impl Into<String>, arguments: Vec<OsString>) -> Self {
        Self { toolchain, command: command.into(), arguments }
    }

    /// The arguments, taken apart.
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

    /// How many arguments there are up to the last `--config`, and its value: what stands behind them wins.
    pub fn up_to_config(&self) -> usize {
        let parsed = self.parsed();
        let last = parsed.cargo.iter().rfind(|argument| argument.name == "config");
        last.map_or(0, |config| config.tokens.end)
    }

    /// Whether an option is there, by its long name. A short option without one has its dash.
    pub fn has(&self, name: &str) -> bool {
        self.parsed().cargo.iter().any(|argument| argument.name == name)
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
        let parsed = self.parsed();
        let own = parsed.cargo.iter().filter(|argument| argument.name == "no-deps").map(|_| OsStr::new(NO_DEPS));
        let rest = parsed.rest.iter().map(OsString::as_os_str);
        own.chain(rest).map(|argument| Some(format!("{}{CLIPPY_SEPARATOR}", argument.to_str()?))).collect()
    }

    /// The arguments for the planning run: cargo's own, as they were given.
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

    /// All arguments before `--`, with each option (or other argument) replaced by what `change` gives for its long name
    /// and value, where it gives something. What is not replaced is as it was given, except beside a replaced option of
    /// the same bundle.
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
            each.flat_map(|(argument, change)| change.map_or_else(|| argument.spelled(), texts)).collect()
        });
        mapped.collect::<Vec<_>>().concat()
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
        self.spelled(&["all-features", "no-default-features", "features"])
    }

    /// `--config` and `-Z`.
    pub fn config_flags(&self) -> Vec<OsString> {
        [self.spelled(&["config"]), self.spelled(&["-Z"])].concat()
    }

    /// These options, each in tokens of its own.
    fn spelled(&self, names: &[&str]) -> Vec<OsString> {
        let parsed = self.parsed();
        let named = parsed.cargo.iter().filter(|argument| names.contains(&argument.name.as_str()));
        named.flat_map(Argument::spelled).collect()
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

    /// The arguments that say what is built, for the graph index. Each is an option with its value, or a value alone.
    ///
    /// What `cargo run` gives its program without `--` is among them, and the `--` of `cargo rustc`. Both only change the
    /// name of the index, and names stay as they are.
    pub fn identity(&self) -> Vec<(String, Option<String>)> {
        let command = (String::new(), Some(self.planning_command().to_owned()));
        let options = self.options().into_iter().filter(|(name, _)| !NOT_OF_THE_BUILD.contains(&name.as_str()));
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

/// What is no text is told apart by the digest of it.
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
            ("bin", Some(name)) => Some(vec![format!("[{name}]")]),
            ("package", Some(_)) => Some(Vec::new()),
            _ => None,
        });
        assert_eq!(mapped, ["[a]", "[b]", "--release"]);
    }

    #[test]
    fn quiet_is_seen_alone_and_in_a_bundle() {
        assert!(invocation("build", &["-q"]).has("quiet"));
        assert!(invocation("build", &["-rq"]).has("quiet"));
        assert!(!invocation("build", &["-p", "q"]).has("quiet"));
        assert!(!invocation("run", &["--", "-q"]).has("quiet"));
    }

    #[test]
    fn a_bundle_is_taken_apart_only_where_one_of_its_options_is_replaced() {
        let without_package = |name: &str, _: Option<&str>| (name == "package").then(Vec::new);
        assert_eq!(
            invocation("build", &["-vrpx", "-vq"]).map_options(without_package),
            ["--verbose", "--release", "-vq"]
        );
        assert_eq!(invocation("build", &["-vj4", "x"]).map_options(without_package), ["-vj4", "x"]);
    }

    #[test]
    fn features_and_unstable_options_are_found_in_each_spelling() {
        let spelled = ["-Fa", "-F=b", "--features=c", "-vF", "d", "--all-features", "-Z=x", "-vZy", "--bin", "-Fe"];
        let invocation = invocation("build", &spelled);
        let features = ["--features", "a", "--features", "b", "--features", "c", "--features", "d", "--all-features"];
        assert_eq!(invocation.feature_flags(), features);
        assert_eq!(invocation.config_flags(), ["-Zx", "-Zy"]);
    }

    #[test]
    fn the_place_behind_the_last_configuration_is_found() {
        assert_eq!(invocation("build", &["--release"]).up_to_config(), 0);
        assert_eq!(invocation("build", &["--config=a", "-v", "--config", "b", "--release"]).up_to_config(), 4);
        assert_eq!(invocation("run", &["--config=a", "program", "--config", "b"]).up_to_config(), 1);
        assert_eq!(invocation("build", &["-p", "--config", "b"]).up_to_config(), 0);
    }

    #[test]
    fn what_the_program_is_given_is_not_cargos() {
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
        assert_eq!(identity("rustc", &["--lib", "--", "--cfg=a"]), "rustc --lib -- --cfg=a");
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
