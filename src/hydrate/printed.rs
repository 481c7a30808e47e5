//! The output of a build script, line by line.
//!
//! A line for cargo (`core/compiler/custom_build.rs`, `BuildOutput::parse`) is a directive: a name and a value. For two
//! names, cargo itself takes the value as a path. Any other value is a path if it lies, as a whole, in one of the
//! script's own directories or in the `OUT_DIR` of another script, which the script has learned from `DEP_…` variables.
//! Otherwise it is text, and each root that it contains binds the run. All other lines are noise, which nobody reads.
//! Warnings are noise, too: for external packages, cargo shows them only where it shows all output (`-vv`).

use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::cargo::layout;
use crate::entry::{Content, PrintedLine};
use crate::roots::{Root, Roots, Value};

/// Directives whose value is a path.
const PATHS: &[&str] = &["rerun-if-changed", "rustc-link-search"];
/// Directives whose value has the form `NAME=VALUE`, and one that may have the form `KIND=PATH`.
const NAMED: &[&str] = &["metadata", "rustc-env", "rustc-link-search"];

/// The directive that is only for people.
const WARNING: &str = "warning";

/// Records what was printed to standard output. `own` are the script's own directories.
pub(super) fn record(printed: &str, roots: &Roots, own: &[&Utf8Path], bound: &mut BTreeSet<Root>) -> Content {
    let lines =
        printed.split('\n').map(|line| directive(line, roots, own, bound).unwrap_or_else(|| noise(line, roots)));
    Content::Printed { lines: lines.collect(), roots: roots.digest_of_all() }
}

/// Records what was printed to standard error.
pub(super) fn record_noise(printed: &str, roots: &Roots) -> Content {
    let lines = printed.split('\n').map(|line| noise(line, roots)).collect();
    Content::Printed { lines, roots: roots.digest_of_all() }
}

/// The lines for cargo.
pub(super) fn directives(content: &Content) -> Vec<&PrintedLine> {
    match content {
        Content::Printed { lines, .. } => lines.iter().filter(|line| line.is_directive()).collect(),
        _ => Vec::new(),
    }
}

/// The recorded output as text, with rooted paths, and without the noise that is left out elsewhere.
pub(super) fn text(content: &Content) -> String {
    let Content::Printed { lines, .. } = content else { return String::new() };
    let text = |line: &PrintedLine| match line {
        PrintedLine::Directive { head, value: Value::Text(value) } => format!("{head}{value}\n"),
        PrintedLine::Directive { head, value: Value::Path(path) } => format!("{head}{path}\n"),
        PrintedLine::Noise(text) => format!("{text}\n"),
        PrintedLine::NoiseHere(_) => String::new(),
    };
    lines.iter().map(text).collect()
}

/// The recorded output with the paths of this machine; `None` if one of its roots is unknown.
pub fn printed(content: &Content, roots: &Roots) -> Option<String> {
    match content {
        Content::Printed { lines, roots: then } => resolve(lines, *then == roots.digest_of_all(), roots),
        _ => None,
    }
}

/// The names of the variables that a script has set for `env!`.
pub(super) fn variables(content: &Content) -> impl Iterator<Item = &str> {
    let heads = directives(content).into_iter().filter_map(|line| match line {
        PrintedLine::Directive { head, .. } => head.trim_start().strip_prefix("cargo:"),
        PrintedLine::Noise(_) | PrintedLine::NoiseHere(_) => None,
    });
    let heads = heads.map(|head| head.strip_prefix(':').unwrap_or(head));
    heads.filter_map(|head| head.strip_prefix("rustc-env=")?.strip_suffix('='))
}

/// Whether a script has printed a directive about linking.
pub(super) fn links(content: &Content) -> bool {
    const NAMES: [&str; 3] = ["rustc-link", "rustc-flags", "rustc-cdylib-link"];
    let heads = directives(content).into_iter().filter_map(|line| match line {
        PrintedLine::Directive { head, .. } => head.trim_start().strip_prefix("cargo:"),
        PrintedLine::Noise(_) | PrintedLine::NoiseHere(_) => None,
    });
    let mut heads = heads.map(|head| head.strip_prefix(':').unwrap_or(head));
    heads.any(|head| NAMES.iter().any(|name| head.starts_with(name)))
}

/// The features among the `cfg`s that a script has printed.
pub(super) fn features(printed: &str) -> BTreeSet<String> {
    let lines = printed.lines().filter_map(|line| line.strip_prefix("cargo:"));
    let values = lines.filter_map(|line| line.strip_prefix(':').unwrap_or(line).strip_prefix("rustc-cfg=feature=\""));
    values.filter_map(|value| value.strip_suffix('"')).map(str::to_owned).collect()
}

fn resolve(lines: &[PrintedLine], is_here: bool, roots: &Roots) -> Option<String> {
    let line = |line: &PrintedLine| match line {
        PrintedLine::Directive { head, value } => Some(Some(format!("{head}{}", roots.resolve_value(value)?))),
        PrintedLine::Noise(text) => Some(Some(text.clone())),
        PrintedLine::NoiseHere(text) => Some(is_here.then(|| text.clone())),
    };
    let lines: Option<Vec<_>> = lines.iter().map(line).collect();
    Some(lines?.into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

fn directive(line: &str, roots: &Roots, own: &[&Utf8Path], bound: &mut BTreeSet<Root>) -> Option<PrintedLine> {
    let start = line.trim_start();
    let directive = start.strip_prefix("cargo::").or_else(|| start.strip_prefix("cargo:"))?;
    let (name, rest) = directive.split_once('=').unwrap_or((directive, ""));
    if name == WARNING {
        return None;
    }
    let value = match rest.split_once('=') {
        Some((_, value)) if NAMED.contains(&name) => value,
        _ => rest,
    };
    let head = line[..line.len() - value.len()].to_owned();
    let value = match PATHS.contains(&name) {
        true => Value::Path(roots.record(value, bound)),
        false => {
            let build_dir = roots.get(Root::BuildDir);
            let other_out_dir = build_dir.and_then(|build_dir| layout::out_dir_of(build_dir, Utf8Path::new(value)));
            roots.record_value(value, &own.iter().copied().chain(other_out_dir).collect::<Vec<_>>())
        }
    };
    if let Value::Text(text) = &value {
        bound.extend(roots.held_by(text));
    }
    bound.extend(roots.held_by(&head));
    Some(PrintedLine::Directive { head, value })
}

fn noise(line: &str, roots: &Roots) -> PrintedLine {
    match roots.held_by(line).is_empty() {
        true => PrintedLine::Noise(line.to_owned()),
        false => PrintedLine::NoiseHere(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(workspace: &str, target: &str) -> Roots {
        Roots::new([(Root::Workspace, workspace.into()), (Root::BuildDir, target.into())])
    }

    /// The output printed `here`, as it reads `there`, and the roots that it is bound to.
    fn moved(printed: &str, here: &Roots, there: &Roots) -> (String, BTreeSet<Root>) {
        let out = here.get(Root::BuildDir).unwrap().join("debug/build/x-0/out");
        let mut bound = BTreeSet::new();
        let Content::Printed { lines, roots } = record(printed, here, &[&out], &mut bound) else { unreachable!() };
        assert_eq!(resolve(&lines, roots == here.digest_of_all(), here).as_deref(), Some(printed));
        (resolve(&lines, roots == there.digest_of_all(), there).unwrap(), bound)
    }

    #[test]
    fn values_that_are_paths_move() {
        let printed = "cargo:rerun-if-changed=/app/x\ncargo::rustc-link-search=native=/app/target/debug/build/x-0/out\n\
                       cargo:rustc-link-search=/app/target/lib\ncargo:root=/app/target/debug/build/x-0/out\n\
                       cargo::rustc-env=GEN=/app/target/debug/build/x-0/out/gen.rs\ncargo::metadata=a=b\n";
        let expected = "cargo:rerun-if-changed=/w/x\ncargo::rustc-link-search=native=/t/debug/build/x-0/out\n\
                        cargo:rustc-link-search=/t/lib\ncargo:root=/t/debug/build/x-0/out\n\
                        cargo::rustc-env=GEN=/t/debug/build/x-0/out/gen.rs\ncargo::metadata=a=b\n";
        let (moved, bound) = moved(printed, &at("/app", "/app/target"), &at("/w", "/t"));
        assert_eq!((moved.as_str(), bound), (expected, BTreeSet::new()));
    }

    #[test]
    fn other_values_stay_unchanged_and_bind() {
        let (here, there) = (at("/app", "/app/target"), at("/w", "/t"));
        for line in [
            "cargo:rustc-env=URL=https://example.com/apple",
            "cargo:rustc-env=ROOT=/app",
            "cargo:include=/app/target/debug/build/x-0/out:/app",
            "cargo:/app=1",
            "cargo::rustc-flags=-L /app",
        ] {
            let (moved, bound) = moved(line, &here, &there);
            assert!(moved == line && bound.contains(&Root::Workspace), "{line}: {moved}");
        }
        assert_eq!(moved("cargo:rustc-env=A={{workspace}}/{{name}}", &here, &there).1, BTreeSet::new());
    }

    #[test]
    fn a_path_in_the_out_dir_of_another_script_moves() {
        let (here, there) = (at("/app", "/app/target"), at("/w", "/t"));
        for directory in ["debug/build/z-sys-0123456789abcdef/out", "x/release/build/z-sys/0123456789abcdef/out"] {
            let (moved, bound) = moved(&format!("cargo:include=/app/target/{directory}/include\n"), &here, &there);
            assert_eq!((moved, bound), (format!("cargo:include=/t/{directory}/include\n"), BTreeSet::new()));
        }
        for other in ["debug/build/z-sys-1/out", "debug/build/z-sys-0123456789abcdef/output", "debug/deps"] {
            let line = format!("cargo:include=/app/target/{other}");
            assert_eq!(
                moved(&line, &here, &there),
                (line, BTreeSet::from([Root::Workspace, Root::BuildDir])),
                "{other}"
            );
        }
    }

    /// A list is not a path as a whole: only its first directory would be replaced.
    #[test]
    fn a_list_of_directories_binds() {
        let (here, there) = (at("/app", "/app/target"), at("/w", "/t"));
        let out = "/app/target/debug/build/x-0/out";
        for list in [format!("{out}/a:{out}/b"), format!("{out}/a;/app/b"), format!("{out}/a -I{out}/b")] {
            let line = format!("cargo:include={list}");
            let (moved, bound) = moved(&line, &here, &there);
            assert!(moved == line && bound.contains(&Root::BuildDir), "{line}: {moved} {bound:?}");
        }
    }

    #[test]
    fn noise_that_contains_a_root_is_left_out_elsewhere() {
        let (moved, bound) = moved("OUT_DIR = /app/target/x\nplain\n", &at("/app", "/app/target"), &at("/w", "/t"));
        assert_eq!((moved.as_str(), bound), ("plain\n", BTreeSet::new()));
    }

    #[test]
    fn warnings_are_noise() {
        let printed = "cargo:warning=/app/x\ncargo::warning=plain\ncargo:warnings=1\n";
        let (here, there) = (at("/app", "/app/target"), at("/w", "/t"));
        let (text, bound) = moved(printed, &here, &there);
        assert_eq!((text.as_str(), bound), ("cargo::warning=plain\ncargo:warnings=1\n", BTreeSet::new()));
        let (_, bound) = moved("cargo:warnings=/app/x\n", &here, &there);
        assert!(bound.contains(&Root::Workspace));
    }

    #[test]
    fn features_are_a_kind_of_cfg() {
        let printed =
            "cargo:rustc-cfg=feature=\"a\"\ncargo::rustc-cfg=feature=\"b\"\ncargo:rustc-cfg=c\nfeature=\"d\"\n";
        assert_eq!(features(printed), ["a", "b"].map(str::to_owned).into());
    }

    proptest! {
        #[test]
        fn output_is_reproduced_and_unchanged_elsewhere_unless_bound(
            heads in prop::collection::vec(0..6_usize, 0..4),
            values in prop::collection::vec("(/app|/a|/w|/t|target|le|=|:| |/){0,5}", 4),
        ) {
            const HEADS: [&str; 6] =
                ["cargo:rustc-env=", "cargo::rerun-if-changed=", "cargo:", "noise ", "cargo:rustc-link-search=", " cargo::"];
            let lines: Vec<_> = heads.iter().zip(&values).map(|(head, value)| format!("{}{value}", HEADS[*head])).collect();
            let printed = lines.join("\n");
            let (here, there) = (at("/app", "/app/target"), at("/a", "/t"));
            let (moved, bound) = moved(&printed, &here, &there);
            let is_path = |line: &&String| PATHS.iter().any(|name| line.contains(name));
            let is_noise = |line: &&String| line.starts_with("noise");
            if bound.is_empty() {
                for line in lines.iter().filter(|line| !is_path(line) && !is_noise(line)) {
                    prop_assert!(moved.contains(line.as_str()), "{line:?} in {moved:?}");
                }
            }
        }
    }
}
