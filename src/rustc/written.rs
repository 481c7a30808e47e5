//! The names of the files that a call of rustc writes.
//!
//! This mirrors `rustc_session::output`, and `rustc_target::spec` for the differences between platforms. One call may
//! write several files, such as a library for crates and one for other languages.
//!
//! **Invariant.** No file is looked at. Callers notice a missing file when they open it, and the plan knows the
//! platforms whose linkers write more.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Emit, Invocation};

/// The files that a call is expected to write.
pub fn written(invocation: &Invocation, out_dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let stem = stem(invocation);
    let names = invocation.emit.iter().flat_map(|emit| match emit {
        Emit::DepInfo => vec![format!("{stem}.d")],
        Emit::Metadata => vec![format!("lib{stem}.rmeta")],
        Emit::Link => crate_types(invocation).map(|of| name(of, invocation, &stem)).collect(),
        Emit::Other => Vec::new(),
    });
    let mut paths: Vec<_> = names.map(|name| out_dir.join(name)).collect();
    // A `lib` is an `rlib`.
    paths.dedup();
    paths
}

/// The program or dynamic library that a call links.
pub fn linked(invocation: &Invocation, out_dir: &Utf8Path) -> Option<Utf8PathBuf> {
    output_of_types(invocation, out_dir, &["bin", "cdylib", "dylib", "proc-macro"])
}

/// The library that a call makes for crates.
pub fn library(invocation: &Invocation, out_dir: &Utf8Path) -> Option<Utf8PathBuf> {
    output_of_types(invocation, out_dir, &["lib", "rlib"])
}

fn output_of_types(invocation: &Invocation, out_dir: &Utf8Path, types: &[&str]) -> Option<Utf8PathBuf> {
    let mut made = crate_types(invocation).filter(|_| invocation.emit.contains(&Emit::Link));
    made.find(|of| types.contains(of)).map(|of| out_dir.join(name(of, invocation, &stem(invocation))))
}

/// The crate types that a call makes. A test harness is a program instead.
fn crate_types(invocation: &Invocation) -> impl Iterator<Item = &str> {
    let types = invocation.crate_types.iter().map(String::as_str).filter(|_| !invocation.test);
    types.chain(invocation.test.then_some("bin"))
}

fn stem(invocation: &Invocation) -> String {
    format!("{}{}", invocation.crate_name.as_deref().unwrap_or_default(), invocation.extra_filename())
}

/// The name of an output. Procedural macros are always for the host, on which this code runs.
fn name(crate_type: &str, invocation: &Invocation, stem: &str) -> String {
    let target = invocation.target.as_deref();
    match crate_type {
        "bin" => format!("{stem}{}", program_suffix(target)),
        "proc-macro" => format!("{DLL_PREFIX}{stem}{DLL_SUFFIX}"),
        "cdylib" | "dylib" => {
            let (prefix, suffix) = dynamic_library_affixes(target);
            format!("{prefix}{stem}{suffix}")
        }
        "staticlib" if is_msvc(target) => format!("{stem}.lib"),
        "staticlib" => format!("lib{stem}.a"),
        _ => format!("lib{stem}.rlib"),
    }
}

/// The suffix of a program's name (`exe_suffix`).
fn program_suffix(target: Option<&str>) -> &'static str {
    match target {
        None => EXE_SUFFIX,
        Some(target) if target.contains("-windows") || target.ends_with("-uefi") => ".exe",
        Some(target) if target.contains("-emscripten") => ".js",
        Some(target) if target.starts_with("wasm") => ".wasm",
        Some(_) => "",
    }
}

/// The prefix and the suffix of a dynamic library's name (`dll_prefix`, `dll_suffix`).
fn dynamic_library_affixes(target: Option<&str>) -> (&'static str, &'static str) {
    match target {
        None => (DLL_PREFIX, DLL_SUFFIX),
        Some(target) if target.contains("-windows") => ("", ".dll"),
        Some(target) if target.contains("-apple-") => ("lib", ".dylib"),
        Some(target) if target.starts_with("wasm") => ("", ".wasm"),
        Some(_) => ("lib", ".so"),
    }
}

fn is_msvc(target: Option<&str>) -> bool {
    target.map_or(cfg!(target_env = "msvc"), |target| target.ends_with("-msvc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &str) -> Invocation {
        let common = "--crate-name a src/lib.rs --out-dir o -C extra-filename=-01";
        Invocation::parse(&format!("{common} {arguments}").split_whitespace().collect::<Vec<_>>())
    }

    /// The names of all files of a call.
    fn names(arguments: &str) -> String {
        let paths = written(&call(arguments), "o".into());
        paths.iter().map(|path| path.file_name().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_call_may_write_several_libraries() {
        let on = |target: &str, types: &str| {
            let types: String = types.split(' ').map(|of| format!("--crate-type {of} ")).collect();
            names(&format!("--emit=dep-info,link --target {target} {types}"))
        };
        let linux = "x86_64-unknown-linux-gnu";
        assert_eq!(on(linux, "cdylib staticlib rlib"), "a-01.d liba-01.so liba-01.rlib liba-01.a");
        assert_eq!(on(linux, "dylib lib rlib"), "a-01.d liba-01.so liba-01.rlib");
        assert_eq!(on("aarch64-apple-darwin", "cdylib staticlib"), "a-01.d liba-01.dylib liba-01.a");
        assert_eq!(on("wasm32-unknown-unknown", "cdylib rlib"), "a-01.d a-01.wasm liba-01.rlib");
        assert_eq!(on("x86_64-pc-windows-msvc", "staticlib"), "a-01.d a-01.lib");
        assert_eq!(on("x86_64-pc-windows-gnu", "staticlib bin"), "a-01.d a-01.exe liba-01.a");
        assert_eq!(names("--emit=dep-info,metadata,link --crate-type lib"), "a-01.d liba-01.rmeta liba-01.rlib");
        assert_eq!(names("--emit=dep-info,metadata --crate-type cdylib"), "a-01.d liba-01.rmeta");
    }

    #[test]
    fn a_library_with_its_tests_is_a_program() {
        let tests = call("--emit=dep-info,link --test --target x86_64-unknown-linux-gnu --crate-type cdylib");
        assert_eq!(linked(&tests, "o".into()), Some("o/a-01".into()));
        assert_eq!(library(&tests, "o".into()), None);
    }

    #[test]
    fn linked_outputs_and_libraries_for_crates_are_distinguished() {
        let both = call("--emit=link --target x86_64-unknown-linux-gnu --crate-type rlib,cdylib");
        assert_eq!(linked(&both, "o".into()), Some("o/liba-01.so".into()));
        assert_eq!(library(&both, "o".into()), Some("o/liba-01.rlib".into()));
        let archive = call("--emit=link --crate-type staticlib");
        assert_eq!((linked(&archive, "o".into()), library(&archive, "o".into())), (None, None));
        assert_eq!(library(&call("--emit=metadata --crate-type lib"), "o".into()), None);
    }
}
