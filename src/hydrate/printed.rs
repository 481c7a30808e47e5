//! What a build script printed, line by line.
//!
//! Lines for cargo (`core/compiler/custom_build.rs`, `BuildOutput::parse`) say a value behind a name. Of two names cargo
//! itself takes the value for a path; the value of any other is one if it is, as a whole, in a directory of the script's
//! own, or in the `OUT_DIR` of another one, of which it has heard. Else it is text, and what it holds of a root binds the run. All other lines are noise: nobody reads them. So are
//! warnings: of others' packages, cargo shows them only where it shows the noise, too (`-vv`).

use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::cargo::layout;
use crate::entry::{Content, PrintedLine};
use crate::roots::{Root, Roots, Value};

/// Names whose value is a path.
const PATHS: &[&str] = &["rerun-if-changed", "rustc-link-search"];
/// Names whose value is a name and a value, and one that may be a kind and a path.
const NAMED: &[&str] = &["metadata", "rustc-env", "rustc-link-search"];

/// What is for people only.
const FOR_PEOPLE: &str = "warning";

/// Records what was printed to standard output. `own` are the directories of the script's own.
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

/// What is recorded of what was printed, without the places of what is known to be a path, and without what is left out
/// elsewhere.
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

/// What was printed, as it would be here; nothing where a root of it is not known.
pub fn printed(content: &Content, roots: &Roots) -> Option<String> {
    match content {
        Content::Printed { lines, roots: then } => resolve(lines, *then == roots.digest_of_all(), roots),
        _ => None,
    }
}

/// The values that a script has set for `env!`, by their names.
pub(super) fn variables(content: &Content) -> impl Iterator<Item = &str> {
    let heads = directives(content).into_iter().filter_map(|line| match line {
        PrintedLine::Directive { head, .. } => head.trim_start().strip_prefix("cargo:"),
        PrintedLine::Noise(_) | PrintedLine::NoiseHere(_) => None,
    });
    let heads = heads.map(|head| head.strip_prefix(':').unwrap_or(head));
    heads.filter_map(|head| head.strip_prefix("rustc-env=")?.strip_suffix('='))
}

/// Whether a script has said anything about linking.
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
    let said = printed.lines().filter_map(|line| line.strip_prefix("cargo:"));
    let set = said.filter_map(|said| said.strip_prefix(':').unwrap_or(said).strip_prefix("rustc-cfg=feature=\""));
    set.filter_map(|value| value.strip_suffix('"')).map(str::to_owned).collect()
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
    let said = start.strip_prefix("cargo::").or_else(|| start.strip_prefix("cargo:"))?;
    let (name, behind) = said.split_once('=').unwrap_or((said, ""));
    if name == FOR_PEOPLE {
        return None;
    }
    let value = match behind.split_once('=') {
        Some((_, value)) if NAMED.contains(&name) => value,
        _ => behind,
    };
    let head = line[..line.len() - value.len()].to_owned();
    let value = match PATHS.contains(&name) {
        true => Value::Path(roots.record(value, bound)),
        false => {
            let build_dir = roots.get(Root::BuildDir);
            let heard = build_dir.and_then(|build_dir| layout::out_dir_of(build_dir, Utf8Path::new(value)));
            roots.record_value(value, &own.iter().copied().chain(heard).collect::<Vec<_>>())
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

    /// What is printed in one place as it is taken in another, and what it is bound to.
    fn moved(printed: &str, here: &Roots, there: &Roots) -> (String, BTreeSet<Root>) {
        let out = here.get(Root::BuildDir).unwrap().join("debug/build/x-0/out");
        let mut bound = BTreeSet::new();
        let Content::Printed { lines, roots } = record(printed, here, &[&out], &mut bound) else { unreachable!() };
        assert_eq!(resolve(&lines, roots == here.digest_of_all(), here).as_deref(), Some(printed));
        (resolve(&lines, roots == there.digest_of_all(), there).unwrap(), bound)
    }

    #[test]
    fn paths_move_by_what_they_are_said_to_be() {
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
    fn other_values_are_left_alone_and_bind() {
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
    fn what_was_heard_of_another_script_moves_by_cargos_name_of_its_directory() {
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

    /// Whether in one directory or in several: elsewhere, only the first of them would be another one.
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
    fn noise_with_a_root_is_left_out_elsewhere() {
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
        fn what_was_printed_comes_back_and_says_elsewhere_what_it_said_or_is_bound(
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
