//! Builds the library that records which files C compilers look at (`src/observe/interposer.rs`), to be embedded in the
//! binary.
//!
//! If it cannot be built, an empty file takes its place. Everything is still observed, in twice the time.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: [&str; 3] = ["src/observe/interposer.rs", "src/observe/elf.rs", "src/observe/journal.rs"];
/// The libraries that have the loader's functions, and the names under which the results are embedded. Before 2.34, the
/// GNU C library had a separate library for these functions. Each library that is loaded costs every compiler a search.
const LOADERS: [(&str, &str); 2] = [("libc.so.6", "interposer.so"), ("libdl.so.2", "interposer-older.so")];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let is_observing = variable("CARGO_CFG_TARGET_OS") == "linux"
        && (variable("CARGO_CFG_TARGET_ARCH") == "x86_64" || variable("CARGO_CFG_TARGET_ARCH") == "aarch64");
    for (loader, name) in LOADERS {
        let library = out.join(name);
        let built = if is_observing { build(&out, loader, &library) } else { Ok(()) };
        if let Err(error) = &built {
            println!(
                "cargo::warning=C compilers will be observed more slowly, without the interposer library: {error}"
            );
        }
        if built.is_err() || !is_observing {
            fs::write(&library, "").expect("OUT_DIR can be written");
        }
    }
}

fn build(out: &Path, name: &str, library: &Path) -> Result<(), String> {
    // The result must refer to the loader's library by name, but the linker does not find that library on every system.
    let loader = out.join(name);
    let source = out.join("loader.rs");
    let stub = "#![no_std] #[panic_handler] fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} } \
                #[unsafe(no_mangle)] pub extern \"C\" fn dlsym() {}";
    fs::write(&source, stub).map_err(|error| error.to_string())?;
    compile(&source, &loader, &[format!("link-arg=-Wl,-soname,{name}")])?;
    let needed = [format!("link-arg={}", loader.display()), "link-arg=-Wl,-z,now".into()];
    compile(Path::new(SOURCES[0]), library, &needed)
}

/// Compiles a shared library that depends only on `core`.
fn compile(source: &Path, to: &Path, options: &[String]) -> Result<(), String> {
    let mut command = Command::new(variable("RUSTC"));
    command.args(["--crate-type", "cdylib", "--edition", "2024", "--crate-name", "interposer", "--cap-lints", "warn"]);
    command.arg("--target").arg(variable("TARGET")).arg(source).arg("-o").arg(to);
    let mut fixed = vec!["panic=abort", "opt-level=3", "lto=fat", "codegen-units=1", "strip=symbols"];
    fixed.extend(["target-feature=-crt-static", "link-arg=-nostdlib", "link-arg=-nostartfiles"]);
    if variable("CARGO_CFG_TARGET_ENV") == "musl" {
        // The target's own objects are for programs.
        fixed.push("link-self-contained=no");
    }
    for option in fixed.into_iter().map(str::to_owned).chain(options.iter().cloned()) {
        command.arg("-C").arg(option);
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        command.arg("-C").arg(option);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(stderr.lines().find(|line| line.starts_with("error")).unwrap_or("rustc failed").to_owned())
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_default()
}
