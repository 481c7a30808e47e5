//! Variables that a crate reads with `env!` and `option_env!`.
//!
//! Variables that cargo sets to a path move with their root. A value that a build script has set is a path if it lies
//! in the script's own directory ([`Roots::record_value`]). All other values are compared unchanged.
//!
//! The output may contain a path in a form that no search finds (its length, a hash, a part of it). So a path that is
//! read binds the output to its root, unless all sources only include files with it ([`only_includes`]). Included files
//! are compared by content.

use std::sync::LazyLock;

use camino::Utf8Path;
use regex::Regex;

use crate::digest::{Digest, Domain};
use crate::roots::{RootedPath, Roots, Value};

/// Variables that cargo sets to a path (`core/compiler/compilation.rs`, `fill_env`; `core/compiler/mod.rs`).
const PATHS: &[&str] = &[
    "CARGO",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_RUSTC_CURRENT_DIR",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

/// The recorded form of a variable's value. `own` are the package's own directories.
pub fn recorded(name: &str, value: &str, roots: &Roots, own: &[&Utf8Path]) -> Value {
    if !PATHS.contains(&name) && !name.starts_with("CARGO_BIN_EXE_") {
        return roots.record_value(value, own);
    }
    match roots.record(value, &mut Default::default()) {
        RootedPath::Plain(text) => Value::Text(text),
        path => Value::Path(path),
    }
}

/// The digest of a variable's value; `None` if it is not set.
pub fn digest(name: &str, value: Option<&str>, roots: &Roots, own: &[&Utf8Path]) -> Option<Digest> {
    value.map(|value| Digest::of_value(Domain::Variable, &recorded(name, value, roots, own)))
}

/// Whether these sources read the variable only to include files. If that is not certain, the answer is no.
pub fn only_includes(name: &str, sources: &[String]) -> bool {
    static READ: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"\benv\s*!\s*[(\[{]\s*(.)"#).expect("the pattern is valid"));
    static INCLUDED: LazyLock<Regex> = LazyLock::new(|| {
        let module = r"(?:(?:::\s*)?(?:std|core)\s*::\s*)?";
        let include = r"\binclude(?:_str|_bytes)?\s*!\s*[(\[{]\s*";
        let concat = r"concat\s*!\s*[(\[{]\s*";
        let env = r#"env\s*!\s*[(\[{]\s*"([A-Za-z0-9_]+)""#;
        Regex::new(&format!("{include}(?:{module}{concat})?{module}{env}")).expect("the pattern is valid")
    });
    let quoted = format!("\"{name}\"");
    let mut includes = 0;
    for source in sources {
        if READ.captures_iter(source).any(|read| &read[1] != "\"") {
            return false;
        }
        let named = source.matches(&quoted).count();
        let included = INCLUDED.captures_iter(source).filter(|found| &found[1] == name).count();
        if named != included {
            return false;
        }
        includes += included;
    }
    includes > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::Root;

    #[test]
    fn paths_of_cargos_move_and_other_values_are_what_they_are() {
        let at = |workspace: &str| Roots::new([(Root::Workspace, workspace.into())]);
        let of = |name: &str, value: &str, workspace: &str| digest(name, Some(value), &at(workspace), &[]);
        assert_eq!(of("CARGO_MANIFEST_DIR", "/app/x", "/app"), of("CARGO_MANIFEST_DIR", "/w/x", "/w"));
        assert_ne!(of("URL", "/app/x", "/app"), of("URL", "/w/x", "/w"));
        assert_eq!(of("URL", "https://example.com/apple", "/app"), of("URL", "https://example.com/apple", "/w"));
        assert_ne!(of("URL", "https://example.com/apple", "/app"), of("URL", "https://example.com/wle", "/w"));
        assert_eq!(digest("URL", None, &at("/w"), &[]), None);
        let own = [Utf8Path::new("/app/out")];
        assert_eq!(
            digest("GENERATED", Some("/app/out/x.rs"), &at("/app"), &own),
            digest("GENERATED", Some("/w/out/x.rs"), &at("/w"), &["/w/out".into()])
        );
    }

    #[test]
    fn a_variable_only_includes_if_every_mention_does() {
        let only = |source: &str| only_includes("OUT_DIR", &[source.to_owned()]);
        for source in [
            r#"include!(concat!(env!("OUT_DIR"), "/x.rs"));"#,
            r#"const A: &str = ::core::include_str! { std::concat!( ::std::env!( "OUT_DIR" , "set"), "/x") };"#,
            "include_bytes!(concat!(\n    env!(\"OUT_DIR\"),\n \"/x\"))",
            r#"include!(env!("OUT_DIR")); const B: &str = env!("OTHER");"#,
        ] {
            assert!(only(source), "{source}");
        }
        for source in [
            "",
            r#"const N: usize = env!("OUT_DIR").len();"#,
            r#"include!(concat!(env!("OUT_DIR"), "/x.rs")); const D: &str = env!("OUT_DIR");"#,
            r#"include!(concat!(env!("OUT_DIR"), "/x.rs")); const D: Option<&str> = option_env!("OUT_DIR");"#,
            r#"include!(concat!(env!("OUT_DIR"), "/x.rs")); const D: &str = env!(concat!("OUT", "_DIR"));"#,
            r#"macro_rules! m { ($name:literal) => { env!($name) } } include!(concat!(env!("OUT_DIR"), "/x.rs"));"#,
        ] {
            assert!(!only(source), "{source}");
        }
    }
}
