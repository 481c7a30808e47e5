//! Parses cargo's command line as cargo does.
//!
//! [`parse`] is the only loop over arguments. Every question about a command line is a query over the [`Arguments`] that
//! it returns.
//!
//! **Invariant.** Each token before `--` belongs to an [`Argument`], and the token ranges ascend.

use std::ffi::{OsStr, OsString};
use std::ops::Range;

/// Long options that take a value: `--name value`, `--name=value`.
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

/// Short options that take a value: `-p value`, `-pvalue`, `-p=value`.
const SHORT_VALUED: &[char] = &['p', 'F', 'j', 'Z', 'C'];

/// Short options that have a long name.
const SHORT: &[(char, &str)] =
    &[('p', "package"), ('F', "features"), ('j', "jobs"), ('q', "quiet"), ('r', "release"), ('v', "verbose")];

/// The three parts of a command line.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Arguments<'a> {
    /// Cargo's own arguments.
    pub cargo: Vec<Argument<'a>>,
    /// The arguments of the program that `cargo run` starts, from the first argument that belongs to no option.
    pub program: Vec<Argument<'a>>,
    /// The arguments after `--`, verbatim.
    pub rest: &'a [OsString],
}

/// An option with its value, or a value alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Argument<'a> {
    /// The long name, without dashes. A short option without a long name keeps its dash; a value alone has no name.
    pub name: String,
    /// The value, attached or in a token of its own.
    pub value: Option<&'a OsStr>,
    /// The range of tokens that contain it. The options of a bundle (`-vj4`) share one token.
    pub tokens: Range<usize>,
}

impl Argument<'_> {
    /// The argument in separate tokens: `--name value`, or `-Zvalue` if the option has no long name.
    pub(super) fn to_tokens(&self) -> Vec<OsString> {
        let value = self.value.map(OsStr::to_owned);
        match self.name.as_str() {
            "" => value.into_iter().collect(),
            short if short.starts_with('-') => {
                let mut token = OsString::from(short);
                token.push(value.unwrap_or_default());
                vec![token]
            }
            long => std::iter::once(format!("--{long}").into()).chain(value).collect(),
        }
    }
}

/// Parses the arguments of a command. For `cargo run`, everything from the first value without an option belongs to the
/// program.
pub(super) fn parse<'a>(command: &str, tokens: &'a [OsString]) -> Arguments<'a> {
    let end = tokens.iter().position(|token| token == "--").unwrap_or(tokens.len());
    let mut cargo = Vec::new();
    let mut next = 0;
    while next < end {
        let start = next;
        let value = tokens[..end].get(start + 1).map(OsString::as_os_str);
        let mut options = options_in(&tokens[start], value);
        next = start + if options.takes_next { 2 } else { 1 };
        cargo.extend(options.named.drain(..).map(|(name, value)| Argument { name, value, tokens: start..next }));
    }
    let is_run = ["run", "r"].contains(&command);
    let program = cargo.iter().position(|argument| is_run && argument.name.is_empty()).unwrap_or(cargo.len());
    Arguments { program: cargo.split_off(program), cargo, rest: tokens.get(end + 1..).unwrap_or_default() }
}

/// The options in one token, and whether the last of them has its value in the next token.
#[derive(Default)]
struct Options<'a> {
    named: Vec<(String, Option<&'a OsStr>)>,
    takes_next: bool,
}

impl<'a> Options<'a> {
    fn one(name: &str, value: Option<&'a OsStr>) -> Self {
        Self { named: vec![(name.to_owned(), value)], takes_next: false }
    }

    /// Adds an option whose value is the next token, if there is one.
    fn add_valued(&mut self, name: &str, next: Option<&'a OsStr>) {
        self.named.push((name.to_owned(), next));
        self.takes_next = next.is_some();
    }
}

fn options_in<'a>(token: &'a OsStr, next: Option<&'a OsStr>) -> Options<'a> {
    let text = utf8_prefix(token);
    if let Some(long) = text.strip_prefix("--") {
        return match long.split_once('=') {
            Some((name, _)) => Options::one(name, suffix(token, "--=".len() + name.len())),
            None if LONG_VALUED.contains(&long) => {
                let mut options = Options::default();
                options.add_valued(long, next);
                options
            }
            None => Options::one(long, None),
        };
    }
    match text.strip_prefix('-') {
        Some(bundle) if !bundle.is_empty() => short_options(token, bundle, next),
        _ => Options::one("", Some(token)),
    }
}

/// Short options. The last one may have its value attached (`-j4`, `-j=4`) or in the next token.
fn short_options<'a>(token: &'a OsStr, bundle: &str, next: Option<&'a OsStr>) -> Options<'a> {
    let mut options = Options::default();
    for (index, flag) in bundle.char_indices() {
        let long = SHORT.iter().find(|(short, _)| *short == flag);
        let name = long.map_or_else(|| format!("-{flag}"), |(_, long)| (*long).to_owned());
        if !SHORT_VALUED.contains(&flag) {
            options.named.push((name, None));
            continue;
        }
        let value_start = index + flag.len_utf8();
        let value_start = value_start + usize::from(bundle[value_start..].starts_with('='));
        match suffix(token, "-".len() + value_start).filter(|value| !value.is_empty()) {
            Some(value) => options.named.push((name, Some(value))),
            None => options.add_valued(&name, next),
        }
        break;
    }
    options
}

/// The longest UTF-8 prefix of the token. Only a value may go on with other bytes.
#[cfg(unix)]
fn utf8_prefix(token: &OsStr) -> &str {
    let chunk = token.as_encoded_bytes().utf8_chunks().next();
    chunk.map_or("", |chunk| chunk.valid())
}

/// The token, if it is UTF-8. No other token can be split on this system.
#[cfg(not(unix))]
fn utf8_prefix(token: &OsStr) -> &str {
    token.to_str().unwrap_or_default()
}

/// The token from this offset, which lies within [`utf8_prefix`].
fn suffix(token: &OsStr, offset: usize) -> Option<&OsStr> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        token.as_bytes().get(offset..).map(OsStr::from_bytes)
    }
    #[cfg(not(unix))]
    {
        token.to_str()?.get(offset..).map(OsStr::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each argument as `name=value` with its token range, by part.
    fn parsed(command: &str, tokens: &[&str]) -> [Vec<(String, Range<usize>)>; 2] {
        let tokens: Vec<_> = tokens.iter().map(OsString::from).collect();
        let Arguments { cargo, program, .. } = parse(command, &tokens);
        [cargo, program].map(|part| {
            let shown = |value: &OsStr| format!("={}", value.to_str().unwrap());
            let argument = |it: Argument<'_>| (it.name + &it.value.map(shown).unwrap_or_default(), it.tokens);
            part.into_iter().map(argument).collect()
        })
    }

    fn build(tokens: &[&str]) -> Vec<String> {
        let [cargo, program] = parsed("build", tokens);
        assert_eq!(program, []);
        cargo.into_iter().map(|(argument, _)| argument).collect()
    }

    #[test]
    fn an_option_has_one_name_in_every_spelling() {
        for features in [&["-Fx"][..], &["-F=x"], &["-F", "x"], &["--features=x"], &["--features", "x"], &["-F=", "x"]]
        {
            assert_eq!(build(&[features, &["--release"]].concat()), ["features=x", "release"], "{features:?}");
        }
        assert_eq!(
            build(&["--config=a", "--config", "b=1", "-Zx", "-Z", "y"]),
            ["config=a", "config=b=1", "-Z=x", "-Z=y"]
        );
        assert_eq!(build(&["--features=", "-", "-n"]), ["features=", "=-", "-n"]);
    }

    #[test]
    fn the_options_of_a_bundle_share_their_tokens() {
        let of = |argument: &str, tokens| (argument.to_owned(), tokens);
        let bundle = [of("verbose", 0..1), of("verbose", 0..1), of("jobs=4", 0..1), of("release", 1..2)];
        assert_eq!(parsed("build", &["-vvj4", "-r"])[0], bundle);
        let apart = [of("verbose", 0..2), of("jobs=4", 0..2), of("release", 2..3)];
        assert_eq!(parsed("build", &["-vj", "4", "-r"])[0], apart);
    }

    #[test]
    fn a_value_that_looks_like_an_option_is_a_value() {
        assert_eq!(build(&["--bin", "--config", "--release"]), ["bin=--config", "release"]);
        assert_eq!(build(&["-p", "-q"]), ["package=-q"]);
        assert_eq!(build(&["-p", "--", "-q"]), ["package"]);
        assert_eq!(build(&["--config"]), ["config"]);
    }

    #[test]
    fn arguments_after_the_program_of_run_belong_to_it() {
        let names = |command| parsed(command, &["--bin", "x", "file", "-q", "--", "-r"]).map(|part| part.len());
        assert_eq!(names("run"), [1, 2]);
        assert_eq!(names("r"), [1, 2]);
        assert_eq!(names("test"), [3, 0]);
        let tokens = ["x", "--", "a", "--"].map(OsString::from);
        assert_eq!(parse("run", &tokens).rest, ["a", "--"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_value_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let parsed = |tokens: &[&[u8]]| {
            let tokens: Vec<_> = tokens.iter().map(|token| OsStr::from_bytes(token).to_owned()).collect();
            let cargo = parse("build", &tokens).cargo;
            cargo.into_iter().map(|it| (it.name, it.value.map(|value| value.as_bytes().to_vec()))).collect::<Vec<_>>()
        };
        let of = |name: &str, value: &[u8]| (name.to_owned(), Some(value.to_vec()));
        assert_eq!(parsed(&[b"--target-dir=\xff"]), [of("target-dir", b"\xff")]);
        assert_eq!(parsed(&[b"--target-dir", b"\xff"]), [of("target-dir", b"\xff")]);
        assert_eq!(parsed(&[b"-p\xff", b"\xff"]), [of("package", b"\xff"), of("", b"\xff")]);
    }
}
