#![allow(dead_code, unused_variables)]
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

@undeclared@
fn above(name: &str, depth: usize) -> String {
    Path::new(&variable(name)).ancestors().nth(depth).map_or_else(String::new, |dir| dir.display().to_string())
}

fn starting_with(prefix: &str) -> String {
    let mut found: Vec<_> = env::vars().filter(|(name, _)| name.starts_with(prefix)).collect();
    found.sort();
    format!("{found:?}")
}

// Variables that users set are left out: they are not declared.
fn environment() -> String {
    let is_ours = |name: &str| ["CARGO_", "RUSTC", "XCACHE"].iter().any(|start| name.starts_with(start));
    let is_users = |name: &str| {
        ["CARGO_TARGET_DIR", "CARGO_BUILD_", "CARGO_INCREMENTAL", "CARGO_HOME", "CARGO_MAKEFLAGS", "XCACHE_DIR", "CARGO_NET_", "CARGO_TERM_"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let mut names: Vec<_> = env::vars().map(|(name, _)| name).filter(|name| is_ours(name) && !is_users(name)).collect();
    names.sort();
    format!("{} {:?}", names.join(" "), ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"].map(variable))
}

fn digit(text: &str) -> u32 { text.bytes().map(u32::from).sum::<u32>() % 4 }

fn listing(dir: &str) -> String {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.map(|path| format!("{} {}", path.display(), fs::read_to_string(&path).unwrap().trim())).collect();
    found.sort();
    found.join(",")
}

fn run(program: &str, arguments: &[&str]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success());
}

fn cc() -> String { env::var("CC").unwrap_or_else(|_| "cc".to_owned()) }

fn compile(file: &str, name: &str, value: u32, out: &Path) {
    let object = out.join(format!("{name}.o"));
    let library = out.join(format!("lib{name}.a"));
    let _ = fs::remove_file(&library);
    run(&cc(), &["-c", file, "-o", object.to_str().unwrap(), &format!("-DVALUE={value}"), "-fPIC"]);
    run("ar", &["crs", library.to_str().unwrap(), object.to_str().unwrap()]);
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static={name}");
}

// The output of a program that is compiled with a header. Leaves no files.
fn probe(id: u32, flags: &[&str], out: &Path) -> String {
    let (source, program) = (out.join(format!("probe{id}.c")), out.join(format!("probe{id}")));
    let code = format!(
        "#include <stdio.h>\n#include <xd_{id}.h>\n#ifndef XD_FRONT\n#define XD_FRONT 0\n#endif\n\
        int main(void) {{ printf(\"content %d %d\", XD_{id}, XD_FRONT); return 0; }}\n"
    );
    fs::write(&source, code).unwrap();
    let made = Command::new(cc()).args(flags).arg(&source).arg("-o").arg(&program).output().unwrap();
    let said = made.status.success().then(|| said(&program));
    for file in [source, program] {
        let _ = fs::remove_file(file);
    }
    said.unwrap_or_else(|| "none".to_owned())
}

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
