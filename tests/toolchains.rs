//! Programs that decide what is built, replaced under the same name: compilers, wrappers, linkers.
//!
//! Each test replaces only the program with that name. Units built with the other program must not be reused, and must
//! be reused where nothing was replaced.

use std::path::{Path, PathBuf};

use support::rustc::{TOOLCHAIN, real};
use support::sandbox::sorted;
use support::{Package, Project, Rustc, Sandbox, tree};

const NONE: [&str; 0] = [];

/// A library that shows how it was compiled.
fn leaf() -> Package {
    let library = "pub fn voice() -> &'static str { if cfg!(shout) { \"SHOUT\" } else { \"quiet\" } }";
    Package::new("leaf", "1.0.0", library)
}

const MAIN: &str = "fn main() { println!(\"{}\", leaf::voice()); }";

fn demo(sandbox: &Sandbox) -> Project {
    sandbox.demo(&sandbox.registry([leaf()]), "leaf = \"1\"", MAIN).env("CARGO_INCREMENTAL", "0")
}

/// Builds into an empty target directory. Returns the compiled crates.
#[track_caller]
fn build(sandbox: &Sandbox, demo: &Project) -> Vec<String> {
    demo.clean();
    sandbox.reset();
    demo.xcache(["build"]).ok();
    sandbox.compiled()
}

/// A path as text.
fn text(path: &Path) -> &str {
    path.to_str().expect("test directories have plain names")
}

/// `PATH` with a directory in front.
fn path_with(directory: &Path) -> String {
    format!("{}:{}", text(directory), std::env::var("PATH").expect("PATH is set"))
}

/// The variable that names the linker of a platform.
fn linker_of(platform: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", platform.to_uppercase().replace('-', "_"))
}

/// Installs a script atomically over an existing file, as package managers do.
fn install(path: &Path, content: &str) {
    let beside = path.with_extension("new");
    tree::write_script(&beside, content);
    std::fs::rename(beside, path).expect("the file can be replaced");
}

#[test]
fn units_linked_by_another_linker_with_a_dot_in_its_name_are_not_reused() {
    let sandbox = Sandbox::new();
    let tools = sandbox.path("tools");
    let linker = |name: &str, version: &str| {
        let answer = format!("if [ \"$*\" = --version ]; then echo 'gcc {version}'; exit; fi");
        install(&tools.join(name), &format!("{answer}\nexec /usr/bin/cc \"$@\""));
    };
    linker("gcc-4", "4.8");
    linker("gcc-4.9", "4.9.1");
    let demo = demo(&sandbox);
    let variable = linker_of(&demo.host());
    let demo = demo.env("PATH", path_with(&tools)).env(&variable, "gcc-4.9");
    assert_eq!(build(&sandbox, &demo), ["demo", "leaf"]);
    assert_eq!(build(&sandbox, &demo), NONE);
    linker("gcc-4", "4.8.5");
    assert_eq!(build(&sandbox, &demo), NONE);
    linker("gcc-4.9", "4.9.4");
    assert_eq!(build(&sandbox, &demo), ["demo"]);
    assert_eq!(build(&sandbox, &demo), NONE);
    linker("gcc-4.9", "4.9.1");
    assert_eq!(build(&sandbox, &demo), NONE);
}

#[test]
fn units_linked_by_another_linker_of_the_same_version_are_not_reused() {
    let sandbox = Sandbox::new();
    let linker = sandbox.path("tools/cc");
    install(&linker, "exec /usr/bin/cc \"$@\"");
    let demo = demo(&sandbox).env("PATH", path_with(&sandbox.path("tools")));
    build(&sandbox, &demo);
    assert_eq!(build(&sandbox, &demo), NONE);
    install(&linker, "exec /usr/bin/cc -Wl,--build-id=none \"$@\"");
    assert_eq!(build(&sandbox, &demo), ["demo"]);
    assert_eq!(build(&sandbox, &demo), NONE);
}

#[test]
fn units_linked_through_a_script_by_an_upgraded_linker_are_not_reused() {
    let sandbox = Sandbox::new();
    let version = sandbox.path("version");
    tree::write(&version, "gcc 13");
    let answer = format!("if [ \"$*\" = --version ]; then cat '{}'; exit; fi", text(&version));
    install(&sandbox.path("tools/cc"), &format!("{answer}\nexec /usr/bin/cc \"$@\""));
    let demo = demo(&sandbox).env("PATH", path_with(&sandbox.path("tools")));
    build(&sandbox, &demo);
    assert_eq!(build(&sandbox, &demo), NONE);
    tree::write(&version, "gcc 14");
    assert_eq!(build(&sandbox, &demo), ["demo"]);
}

/// A program without any library, for platforms whose libraries are not installed.
const BARE: &str = r#"#![feature(no_core, lang_items)]
#![allow(internal_features)]
#![no_core]
#![no_main]
#[lang = "pointee_sized"]
pub trait PointeeSized {}
#[lang = "meta_sized"]
pub trait MetaSized: PointeeSized {}
#[lang = "sized"]
pub trait Sized: MetaSized {}
"#;

#[test]
fn units_linked_by_another_linker_for_another_platform_are_not_reused() {
    const WINDOWS: &str = "x86_64-pc-windows-gnu";
    let sandbox = Sandbox::new();
    let demo = sandbox.demo_unlocked("", BARE).env("CARGO_INCREMENTAL", "0").env("RUSTC_BOOTSTRAP", "1");
    demo.edit("Cargo.toml", "[dependencies]", "[profile.dev]\npanic = \"abort\"\n[dependencies]");
    let tools = sandbox.path("tools");
    let linker = |product: &str| {
        let script = format!(
            "case $1 in
                --version) echo 'mingw 12'; exit ;;
                -print-search-dirs) echo 'libraries: =/nowhere'; exit ;;
                -print-*) exit 1 ;;
            esac
            for argument do
                case $argument in @*) eval \"set -- $(tr '\\n' ' ' < \"${{argument#@}}\")\" ;; esac
            done
            while [ $# -gt 0 ]; do test \"$1\" = -o && echo {product} > \"$2\"; shift; done"
        );
        install(&tools.join("x86_64-w64-mingw32-gcc"), &script);
    };
    linker("one");
    let demo = demo.env("PATH", path_with(&tools));
    let build = || {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build", "--target", WINDOWS]).ok();
        (sandbox.compiled(), tree::read(&demo.target().join(WINDOWS).join("debug/demo.exe")))
    };
    let made = |product: &str| (vec!["demo".to_owned()], format!("{product}\n"));
    assert_eq!(build(), made("one"));
    assert_eq!(build(), (vec![], "one\n".into()), "{}", demo.report().json());
    linker("two");
    assert_eq!(build(), made("two"));
    assert_eq!(build(), (vec![], "two\n".into()));
    // A linker that does not print its search directories is unknown.
    install(
        &tools.join("x86_64-w64-mingw32-gcc"),
        "while [ $# -gt 0 ]; do test \"$1\" = -o && echo three > \"$2\"; shift; done",
    );
    for _ in 0..2 {
        assert_eq!(build(), made("three"));
    }
    assert_eq!(demo.report().reasons("demo"), ["bin"]);
}

#[test]
fn units_for_the_hosts_own_triple_are_hits() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    let host = demo.host();
    for expected in [&["demo", "leaf"][..], &[]] {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build", "--target", &host]).ok();
        assert_eq!(sandbox.compiled(), expected);
    }
}

#[test]
fn a_script_in_place_of_the_compiler_is_identified_by_the_compiler_it_reports() {
    let sandbox = Sandbox::new();
    let other = sandbox.another_rustc(Rustc::of_another_version);
    let (shim, choice) = (sandbox.path("shims/rustc"), sandbox.path("choice"));
    install(&shim, &format!("exec \"$(cat '{}')\" \"$@\"", text(&choice)));
    let demo = demo(&sandbox).env("RUSTC", &shim);
    let build = |chosen: &Rustc| {
        tree::write(&choice, text(chosen.executable()));
        other.reset();
        let compiled = build(&sandbox, &demo);
        [compiled, sorted(other.compilations())]
    };
    let all = ["demo", "leaf"];
    assert_eq!(build(sandbox.rustc()), [&all[..], &NONE]);
    assert_eq!(build(sandbox.rustc()), [NONE; 2]);
    assert_eq!(build(&other), [&NONE[..], &all]);
    assert_eq!(build(&other), [NONE; 2]);
    assert_eq!(build(sandbox.rustc()), [NONE; 2]);
}

#[test]
fn a_changed_script_in_place_of_the_compiler_is_another_compiler() {
    let sandbox = Sandbox::new();
    let shim = sandbox.path("shims/rustc");
    let script = |flags: &str| install(&shim, &format!("exec '{}' \"$@\" {flags}", text(sandbox.rustc().executable())));
    script("");
    let demo = demo(&sandbox).env("RUSTC", &shim);
    build(&sandbox, &demo);
    assert_eq!(build(&sandbox, &demo), NONE);
    script("--cfg shout");
    assert_eq!(build(&sandbox, &demo), ["demo", "leaf"]);
    assert_eq!(demo.run_binary("demo"), "SHOUT\n");
}

#[test]
fn a_changed_script_configured_as_the_compiler_is_another_compiler() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox).env_remove("RUSTC");
    let shim = demo.dir().join("tools/rustc");
    let script = |flags: &str| install(&shim, &format!("exec '{}' \"$@\" {flags}", text(sandbox.rustc().executable())));
    script("");
    let config = demo.read(".cargo/config.toml");
    demo.write(".cargo/config.toml", format!("{config}\n[build]\nrustc = \"tools/rustc\"\n"));
    build(&sandbox, &demo);
    assert_eq!(build(&sandbox, &demo), NONE);
    script("--cfg shout");
    assert_eq!(build(&sandbox, &demo), ["demo", "leaf"]);
    assert_eq!(demo.run_binary("demo"), "SHOUT\n");
}

/// A toolchain whose standard library differs in one bit and has the same size.
fn with_another_library(dir: &Path) -> Rustc {
    let rustc = Rustc::new(dir);
    let own = dir.join(TOOLCHAIN).join("lib");
    let from = own.canonicalize().expect("the libraries exist").join("rustlib");
    std::fs::remove_file(&own).expect("the link can be removed");
    let host = real(&[]).map(|_| std::env::consts::ARCH).expect("rustc is on PATH");
    // Only the host's libraries are needed.
    let is_hosts = |path: &PathBuf| text(path.file_name().expect("a triple").as_ref()).starts_with(host);
    for platform in tree::children(&from).into_iter().filter(|path| path.join("lib").is_dir() && is_hosts(path)) {
        let name = platform.file_name().expect("a triple").to_owned();
        let libraries = own.join("rustlib").join(name).join("lib");
        std::fs::create_dir_all(&libraries).expect("directories can be created");
        for file in tree::children(&platform.join("lib")).into_iter().filter(|path| path.is_file()) {
            let to = libraries.join(file.file_name().expect("a file"));
            std::fs::copy(&file, &to).expect("the library can be copied");
            if text(&file).contains("libunwind-") {
                tree::damage(&to);
            }
        }
    }
    rustc
}

#[test]
fn the_same_compiler_with_another_standard_library_is_another_toolchain() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    build(&sandbox, &demo);
    let same = sandbox.another_rustc(Rustc::new);
    let other = sandbox.another_rustc(with_another_library);
    for (rustc, expected) in [(&same, &NONE[..]), (&other, &["demo", "leaf"]), (&other, &NONE)] {
        rustc.reset();
        build(&sandbox, &demo.clone().with_rustc(rustc));
        assert_eq!(sorted(rustc.compilations()), expected);
    }
}

/// Installs a wrapper that adds these flags.
fn wrapper(path: &Path, flags: &str) {
    install(path, &format!("rustc=$1; shift; exec \"$rustc\" \"$@\" {flags}"));
}

#[test]
fn units_of_another_wrapper_at_the_same_path_are_not_shared() {
    let sandbox = Sandbox::new();
    let tool = sandbox.path("tools/wrap");
    let demo = demo(&sandbox).env("RUSTC_WRAPPER", &tool);
    wrapper(&tool, "--cfg shout");
    assert_eq!(build(&sandbox, &demo), ["demo", "leaf"]);
    assert_eq!(build(&sandbox, &demo), NONE);
    assert_eq!(demo.run_binary("demo"), "SHOUT\n");
    wrapper(&tool, "--cfg other");
    assert_eq!(build(&sandbox, &demo), ["demo", "leaf"]);
    assert_eq!(demo.run_binary("demo"), "quiet\n");
}

#[test]
fn a_script_sees_the_cfgs_that_a_wrapper_adds_to_the_compilers_answers() {
    let sandbox = Sandbox::new();
    let script = "println!(\"cargo:rustc-env=SAID={:?}\", std::env::var(\"CARGO_CFG_SHOUT\").is_ok());";
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> &'static str { env!(\"SAID\") }")
        .build_script(&format!("fn main() {{ {script} }}"));
    let registry = sandbox.registry([leaf]);
    let demo = sandbox.demo(&registry, "leaf = \"1\"", "fn main() { println!(\"{}\", leaf::said()); }");
    let tool = sandbox.path("tools/wrap");
    wrapper(&tool, "--cfg shout");
    let wrapped = demo.clone().env("RUSTC_WRAPPER", &tool);
    for (project, said) in [(&demo, "false\n"), (&wrapped, "true\n"), (&demo, "false\n"), (&wrapped, "true\n")] {
        project.clean();
        project.xcache(["build"]).ok();
        assert_eq!(project.run_binary("demo"), said);
        assert_eq!(project.output_of_plain_cargo(), said);
    }
}

#[test]
fn units_of_another_wrapper_with_the_same_name_are_not_shared() {
    let sandbox = Sandbox::new();
    let [one, two, three] = ["one", "two", "three"].map(|name| sandbox.path(name));
    wrapper(&one.join("wrap"), "--cfg shout");
    wrapper(&two.join("wrap"), "--cfg other");
    wrapper(&three.join("wrap"), "--cfg shout");
    let demo = demo(&sandbox).env("RUSTC_WRAPPER", "wrap");
    let build = |directory: &PathBuf| {
        let demo = demo.clone().env("PATH", path_with(directory));
        (build(&sandbox, &demo), demo.run_binary("demo"))
    };
    let all = || vec!["demo".to_owned(), "leaf".to_owned()];
    assert_eq!(build(&one), (all(), "SHOUT\n".into()));
    assert_eq!(build(&two), (all(), "quiet\n".into()));
    assert_eq!(build(&three), (vec![], "SHOUT\n".into()), "the same wrapper at another path");
}

#[test]
fn an_empty_variable_switches_a_configured_wrapper_off() {
    let sandbox = Sandbox::new();
    let tool = sandbox.path("tools/wrap");
    wrapper(&tool, "--cfg shout");
    let demo = demo(&sandbox);
    build(&sandbox, &demo);
    // Outside of the package, to be no input of it.
    let config = demo.dir().with_file_name(".cargo/config.toml");
    tree::write(&config, format!("[build]\nrustc-wrapper = {tool:?}\n"));
    assert_eq!(build(&sandbox, &demo), ["demo", "leaf"]);
    assert_eq!(demo.run_binary("demo"), "SHOUT\n");
    for variable in ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"] {
        let off = demo.clone().env(variable, "");
        assert_eq!(build(&sandbox, &off), NONE, "{variable}");
        assert_eq!(demo.run_binary("demo"), "quiet\n", "{variable}");
    }
}

#[test]
fn a_wrapper_with_a_relative_path_is_run_for_every_crate() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    wrapper(&demo.dir().join("tools/wrap"), "--cfg shout");
    let config = demo.read(".cargo/config.toml");
    demo.write("nested/nothing", "");
    let check = |demo: &Project, directory: &str| {
        demo.clean();
        demo.empty_store();
        demo.xcache(["build"]).in_dir(&demo.dir().join(directory)).ok();
        assert_eq!(demo.run_binary("demo"), "SHOUT\n");
    };
    check(&demo.clone().env("RUSTC_WRAPPER", "tools/wrap"), "");
    check(&demo.clone().env("CARGO_BUILD_RUSTC_WRAPPER", "../tools/wrap"), "nested");
    // In a file, the path is relative to the directory that contains `.cargo`.
    demo.write(".cargo/config.toml", format!("{config}\n[build]\nrustc-wrapper = \"tools/wrap\"\n"));
    check(&demo, "nested");
}

#[test]
fn scripts_run_again_with_flags_for_another_processor() {
    let script = "println!(\"cargo:rerun-if-changed=build.rs\");";
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf().counted_script(script)]);
    let demo = sandbox.demo(&registry, "leaf = \"1\"", MAIN);
    let host = demo.host();
    let run = |flags: &str| {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build", "--target", &host]).env("RUSTFLAGS", flags).ok();
        sandbox.scripts_run()
    };
    for flags in ["-C target-cpu=native", "-g", "-C target-cpu=x86-64-v2"] {
        assert_eq!(run(flags), ["leaf"], "{flags}");
        assert_eq!(run(flags), NONE, "{flags}: {}", demo.report().json());
    }
    assert_eq!(run("-C target-cpu=native"), NONE);
}

/// Compiles a C file as the `cc` crate does.
const COMPILING: &str = r#"
    let out = std::env::var("OUT_DIR").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
    };
    let object = format!("{out}/value.o");
    run("cc", &["-c", "value.c", "-o", &object]);
    run("ar", &["crsD", &format!("{out}/libvalue.a"), &object]);
    println!("cargo:rerun-if-changed=value.c");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static=value");
"#;

#[test]
fn native_code_compiled_through_a_script_by_an_upgraded_compiler_is_not_reused() {
    let sandbox = Sandbox::new();
    let chosen = sandbox.path("chosen");
    install(&sandbox.path("tools/cc"), &format!("exec '{}' \"$@\"", text(&chosen)));
    let compiler = |version: u32| {
        let answer = format!("if [ \"$*\" = --version ]; then echo 'gcc {version}'; exit; fi");
        install(&chosen, &format!("{answer}\nexec /usr/bin/cc -DVALUE={version} \"$@\""));
    };
    let library = "extern \"C\" { fn value() -> i32; } pub fn says() -> i32 { unsafe { value() } }";
    let native = Package::new("value-sys", "1.0.0", library).links("value").counted_script(COMPILING);
    let native = native.file("value.c", "int value(void) { return VALUE; }\n");
    let registry = sandbox.registry([native]);
    let demo = sandbox.demo(&registry, "value-sys = \"1\"", "fn main() { println!(\"{}\", value_sys::says()); }");
    let demo = demo.env("PATH", path_with(&sandbox.path("tools")));
    let run = || {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        (sandbox.scripts_run(), demo.run_binary("demo"))
    };
    compiler(13);
    assert_eq!(run(), (vec!["value-sys".into()], "13\n".into()));
    assert_eq!(run(), (vec![], "13\n".into()), "{}", demo.report().json());
    compiler(14);
    assert_eq!(run(), (vec!["value-sys".into()], "14\n".into()));
    assert_eq!(run(), (vec![], "14\n".into()));
}
