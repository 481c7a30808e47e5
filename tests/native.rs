//! Native code: what build scripts compile from C is reused unless an input changed.
//!
//! Scripts count their own runs, and the output of the programs comes from the C code.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Package, Project, Sandbox, by_form, tree};

const NONE: [&str; 0] = [];

/// Compiles a C file into a library, as the `cc` crate does, and declares its inputs.
const COMPILING: &str = r#"
    let out = std::env::var("OUT_DIR").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
    };
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let flags = std::env::var("CFLAGS").unwrap_or_default();
    let object = format!("{out}/value.o");
    let mut arguments = vec!["-c", "value.c", "-o", &object];
    arguments.extend(flags.split_whitespace());
    run(&compiler, &arguments);
    run("ar", &["crsD", &format!("{out}/libvalue.a"), &object]);
    for name in ["CC", "CFLAGS"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=value.c");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static=value");
"#;

const C: &str = "#ifndef VALUE\n#define VALUE 1\n#endif\nint value(void) { return VALUE; }\n";

/// A machine with a workspace of one program, which gets its value from C code two dependencies down.
struct Scene {
    sandbox: Sandbox,
    demo: Project,
}

impl Scene {
    /// `links` says whether the manifest of the native crate has that field.
    fn new(script: &str, links: bool) -> Self {
        let sandbox = Sandbox::new();
        let native = Package::new("value-sys", "1.0.0", "extern \"C\" { pub fn value() -> i32; }")
            .counted_script(script)
            .file("value.c", C);
        let native = if links { native.links("value") } else { native };
        let wrapper = Package::new("value", "1.0.0", "pub fn value() -> i32 { unsafe { value_sys::value() } }")
            .dependency("value-sys", "1");
        Self::with(sandbox, vec![native, wrapper])
    }

    /// The C code is in a macro that a crate exports again; another crate expands it.
    fn in_a_macro(links: bool) -> Self {
        let sandbox = Sandbox::new();
        let library = "extern \"C\" { fn value() -> i32; }
            #[proc_macro]
            pub fn value_now(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
                unsafe { value() }.to_string().parse().unwrap()
            }";
        let native = Package::new("asking", "1.0.0", library).procedural_macro();
        let native = native.counted_script(COMPILING).file("value.c", C);
        let native = if links { native.links("value") } else { native };
        let between = Package::new("between", "1.0.0", "pub use asking::value_now;").dependency("asking", "1");
        let wrapper = Package::new("value", "1.0.0", "pub fn value() -> i32 { between::value_now!() }");
        Self::with(sandbox, vec![native, between, wrapper.dependency("between", "1")])
    }

    fn with(sandbox: Sandbox, packages: Vec<Package>) -> Self {
        let registry = sandbox.registry(packages);
        let demo = sandbox.demo(&registry, "value = \"1\"", "fn main() { println!(\"{}\", value::value()); }");
        let demo = demo.env("CARGO_INCREMENTAL", "0");
        demo.cargo(["fetch"]).ok();
        Self { sandbox, demo }
    }

    /// Without observing.
    fn unobserved(self) -> Self {
        Self { demo: self.demo.env("XCACHE_OBSERVE", "off"), ..self }
    }

    /// Builds into an empty target directory. Returns the scripts that ran, the compiled crates, and the output of the
    /// program.
    #[track_caller]
    fn build(&self, variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>, String) {
        self.demo.clean();
        self.sandbox.reset();
        let build = self.demo.xcache(["build"]);
        variables.iter().fold(build, |build, (name, value)| build.env(name, value)).ok();
        (self.sandbox.scripts_run(), self.sandbox.compiled(), self.demo.run_binary("demo"))
    }

    /// Asserts that nothing was started, and that the program prints this.
    #[track_caller]
    fn assert_full_hit(&self, variables: &[(&str, &str)], said: &str) {
        let (scripts, compiled, says) = self.build(variables);
        assert_eq!((scripts, compiled), (vec![], vec![]), "{}", self.demo.report().json());
        assert_eq!(says, said);
    }

    /// Asserts that the script ran, and that the program prints this.
    #[track_caller]
    fn assert_runs(&self, variables: &[(&str, &str)], said: &str) {
        let (scripts, _, says) = self.build(variables);
        assert_eq!(scripts, ["value-sys"], "{}", self.demo.report().json());
        assert_eq!(says, said);
    }

    /// A C compiler that reports another version and adds a flag.
    fn another_compiler(&self, version: &str, flag: &str) -> PathBuf {
        let path = self.sandbox.unused("compiler").join("cc");
        let answer = format!("if [ \"$*\" = --version ]; then echo 'cc {version}'; exit; fi");
        tree::write_script(&path, &format!("{answer}\nexec /usr/bin/cc {flag} \"$@\""));
        path
    }
}

#[test]
fn native_code_compiled_by_a_script_is_a_hit() {
    let scene = Scene::new(COMPILING, true);
    scene.assert_runs(&[], "1\n");
    scene.assert_full_hit(&[], "1\n");
    scene.sandbox.assert_nothing_to_do(&scene.demo, &["build"]);
}

/// Flags for the C compiler, and what the program prints with them.
const VALUES: [(&str, &str); 2] = [("-DVALUE=1", "1\n"), ("-DVALUE=2", "2\n")];

#[test]
fn the_expansion_of_a_macro_with_other_native_code_is_not_reused() {
    for links in [true, false] {
        let scene = Scene::in_a_macro(links);
        for (flag, said) in VALUES.iter().copied().cycle().take(by_form(2, 4)) {
            assert_eq!(scene.build(&[("CFLAGS", flag)]).2, said, "{}", scene.demo.report().json());
        }
        if links {
            scene.assert_full_hit(&[("CFLAGS", "-DVALUE=2")], "2\n");
        }
    }
}

#[test]
fn the_expansion_of_a_macro_with_other_native_code_is_not_reused_in_one_target_directory() {
    for links in [true, false] {
        let scene = Scene::in_a_macro(links);
        for (flag, said) in VALUES.iter().copied().cycle().take(by_form(2, 3)) {
            scene.demo.xcache(["build"]).env("CFLAGS", flag).ok();
            assert_eq!(scene.demo.run_binary("demo"), said, "{}", scene.demo.report().json());
        }
    }
}

#[test]
fn native_code_is_a_hit_in_another_target_directory() {
    let scene = Scene::new(COMPILING, true);
    scene.build(&[]);
    // Without debug information, outputs contain no path of the machine.
    let target = scene.sandbox.unused("target");
    scene.sandbox.reset();
    scene.demo.xcache(["build"]).env("CARGO_TARGET_DIR", &target).ok();
    assert_eq!(scene.sandbox.scripts_run(), NONE);
}

/// The project in another target directory, with another cargo home.
fn elsewhere(scene: &Scene, demo: &Project) -> (Project, PathBuf) {
    let there = demo.clone().with_cargo_home(&scene.sandbox.another_cargo_home());
    there.cargo(["fetch"]).ok();
    let target = scene.sandbox.unused("the-target-directory");
    (there.env("CARGO_TARGET_DIR", &target), target)
}

#[test]
fn native_code_with_debug_information_is_a_hit_with_another_cargo_home_and_target_directory() {
    for flags in ["-g", "-g -gz=zlib"] {
        let scene = Scene::new(COMPILING, true);
        let demo = scene.demo.clone().env("CFLAGS", flags);
        demo.xcache(["build"]).ok();
        let (there, target) = elsewhere(&scene, &demo);
        scene.sandbox.reset();
        there.xcache(["build"]).ok();
        assert_eq!(scene.sandbox.scripts_run(), NONE, "{flags}: {}", there.report().json());
        assert_eq!(scene.sandbox.compiled_externals(), NONE, "{flags}: {}", there.report().json());
        assert_eq!(there.program(target.join("debug/demo"), NONE).ok().stdout, "1\n");
        scene.sandbox.assert_nothing_to_do(&there, &["build"]);
    }
}

#[test]
fn native_code_for_link_time_optimization_is_recompiled_in_another_directory() {
    let scene = Scene::new(COMPILING, true);
    let flags = [("CFLAGS", "-flto -ffat-lto-objects")];
    scene.assert_runs(&flags, "1\n");
    scene.assert_full_hit(&flags, "1\n");
    let (there, _) = elsewhere(&scene, &scene.demo.clone().env(flags[0].0, flags[0].1));
    scene.sandbox.reset();
    there.xcache(["build"]).ok();
    assert_eq!(scene.sandbox.scripts_run(), ["value-sys"], "{}", there.report().json());
}

#[test]
fn native_code_with_a_path_in_its_data_is_recompiled_in_another_directory() {
    let placed = COMPILING.replace(
        "let mut arguments =",
        "let place = format!(\"-DPLACE=\\\"{out}\\\"\"); let text = std::fs::read_to_string(\"value.c\").unwrap();
        std::fs::write(format!(\"{out}/placed.c\"), text + \"const char *place = PLACE;\").unwrap();
        run(&compiler, &[\"-c\", &format!(\"{out}/placed.c\"), \"-o\", &format!(\"{out}/placed.o\"), &place]);
        let mut arguments =",
    );
    let scene = Scene::new(&placed, true);
    scene.demo.xcache(["build"]).ok();
    let (there, _) = elsewhere(&scene, &scene.demo);
    scene.sandbox.reset();
    there.xcache(["build"]).ok();
    assert_eq!(scene.sandbox.scripts_run(), ["value-sys"], "{}", there.report().json());
}

/// Leaves what build systems leave for themselves, with a link and an empty directory.
const LEAVING: &str = r#"
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    for name in ["build/Makefile", "build/CMakeCache.txt", "build/CMakeFiles/value.dir/link.txt", "build/value.d"] {
        let text = format!("cd {} && cc -I{}/include {}\n", out.display(), out.display(), std::env::var("CARGO_MANIFEST_DIR").unwrap());
        std::fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        std::fs::write(out.join(name), text).unwrap();
    }
    std::fs::create_dir(out.join("build/empty")).unwrap();
    std::os::unix::fs::symlink("build", out.join("link")).unwrap();
    std::os::unix::fs::symlink(out.join("build"), out.join("absolute")).unwrap();
    println!("cargo:rerun-if-changed=build.rs");
"#;

#[test]
fn files_that_build_systems_leave_for_themselves_are_hits_with_the_directories_of_this_build() {
    let library = "pub fn value() -> String {
        include_str!(concat!(env!(\"OUT_DIR\"), \"/link/Makefile\")).replace(env!(\"OUT_DIR\"), \"[OUT]\")
    }";
    let sandbox = Sandbox::new();
    let scene = Scene::with(sandbox, vec![Package::new("value", "1.0.0", library).counted_script(LEAVING)]);
    scene.demo.xcache(["build"]).ok();
    let (there, target) = elsewhere(&scene, &scene.demo);
    scene.sandbox.reset();
    there.xcache(["build"]).ok();
    assert_eq!(scene.sandbox.scripts_run(), NONE, "{}", there.report().json());
    let snapshot = || {
        let out = tree::files(&target.join("debug/build"));
        let out = out.iter().find(|path| path.ends_with("out/build/Makefile")).expect("the Makefile is in OUT_DIR");
        let out = out.parent().and_then(Path::parent).expect("the Makefile is two levels down").to_owned();
        let texts: Vec<_> =
            tree::files(&out.join("build")).iter().map(|path| (path.clone(), tree::read(path))).collect();
        let links = ["link", "absolute"].map(|name| std::fs::read_link(out.join(name)).expect("a link"));
        (texts, links, out.join("build/empty").is_dir())
    };
    let ours = snapshot();
    let said = there.program(target.join("debug/demo"), NONE).ok().stdout;
    scene.sandbox.assert_nothing_to_do(&there, &["build"]);
    tree::remove(&target);
    there.cargo(["build"]).ok();
    assert_eq!(ours, snapshot(), "not what the script makes under plain cargo");
    assert_eq!(there.program(target.join("debug/demo"), NONE).ok().stdout, said);
}

#[test]
fn a_script_runs_when_a_declared_variable_has_another_value() {
    let scene = Scene::new(COMPILING, true);
    scene.assert_runs(&[], "1\n");
    scene.assert_runs(&[("CFLAGS", "-DVALUE=2")], "2\n");
    scene.assert_runs(&[], "1\n");
}

#[test]
fn a_script_runs_for_another_compiler_with_the_same_name() {
    let scene = Scene::new(COMPILING, true);
    scene.assert_runs(&[], "1\n");
    let path = |compiler: &PathBuf| {
        let directory = compiler.parent().expect("a compiler is in a directory").display().to_string();
        format!("{directory}:{}", std::env::var("PATH").unwrap_or_default())
    };
    let other = path(&scene.another_compiler("99.1", "-DVALUE=2"));
    scene.assert_runs(&[("PATH", &other)], "2\n");
    scene.assert_full_hit(&[("PATH", &other)], "2\n");
    scene.assert_full_hit(&[], "1\n");
}

#[test]
fn a_script_runs_when_the_compiler_named_by_a_variable_changes() {
    let scene = Scene::new(COMPILING, true);
    let compiler = scene.another_compiler("99.1", "-DVALUE=2");
    let name = compiler.to_str().expect("a UTF-8 path").to_owned();
    scene.assert_runs(&[("CC", &name)], "2\n");
    scene.assert_full_hit(&[("CC", &name)], "2\n");
    let next = scene.another_compiler("99.2", "-DVALUE=3");
    std::fs::rename(next, &compiler).expect("the compiler can be replaced");
    scene.assert_runs(&[("CC", &name)], "3\n");
}

#[test]
fn a_script_runs_each_time_when_the_configuration_names_the_compiler() {
    let scene = Scene::new(COMPILING, true);
    scene.assert_runs(&[], "1\n");
    let compiler = scene.another_compiler("99.1", "-DVALUE=2");
    let config = scene.demo.read(".cargo/config.toml");
    scene.demo.write(".cargo/config.toml", format!("{config}\n[env]\nCC = {compiler:?}\n"));
    for _ in 0..2 {
        scene.assert_runs(&[], "2\n");
        assert_eq!(scene.demo.report().reasons("value-sys").last().map(String::as_str), Some("native"));
    }
}

#[test]
fn a_script_runs_when_a_library_is_installed() {
    let scene = Scene::new(COMPILING, true);
    let installed = scene.sandbox.unused("pkgconfig");
    tree::write(&installed.join("one.pc"), "Version: 1");
    let variables = [("PKG_CONFIG_PATH", installed.to_str().expect("a UTF-8 path"))];
    scene.assert_runs(&variables, "1\n");
    scene.assert_full_hit(&variables, "1\n");
    tree::write(&installed.join("two.pc"), "Version: 2");
    scene.assert_runs(&variables, "1\n");
}

#[test]
fn an_observed_script_without_links_is_a_hit() {
    let scene = Scene::new(COMPILING, false);
    scene.assert_runs(&[], "1\n");
    scene.assert_full_hit(&[], "1\n");
    scene.assert_runs(&[("CFLAGS", "-DVALUE=2")], "2\n");
    scene.assert_full_hit(&[("CFLAGS", "-DVALUE=2")], "2\n");
}

#[test]
fn an_unobserved_script_without_links_runs_each_time_and_its_dependents_are_hits() {
    let scene = Scene::new(COMPILING, false).unobserved();
    scene.assert_runs(&[], "1\n");
    let (scripts, compiled, said) = scene.build(&[]);
    assert_eq!((scripts, said), (vec!["value-sys".to_owned()], "1\n".to_owned()));
    let libraries = ["value", "value_sys"];
    assert!(libraries.iter().all(|name| !compiled.contains(&(*name).to_owned())), "{compiled:?}");
    let (_, compiled, said) = scene.build(&[("CFLAGS", "-DVALUE=2")]);
    assert_eq!(said, "2\n");
    assert!(compiled.contains(&"value_sys".to_owned()), "{compiled:?}");
}

/// A script that does not declare its inputs.
fn undeclared() -> String {
    COMPILING.lines().filter(|line| !line.contains("rerun-if")).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_observed_script_that_declares_no_inputs_is_a_hit() {
    for links in [true, false] {
        let scene = Scene::new(&undeclared(), links);
        scene.assert_runs(&[], "1\n");
        scene.assert_full_hit(&[], "1\n");
        scene.assert_runs(&[("CFLAGS", "-DVALUE=2")], "2\n");
        scene.assert_full_hit(&[("CFLAGS", "-DVALUE=2")], "2\n");
    }
}

#[test]
fn an_unobserved_script_that_declares_no_inputs_runs_each_time() {
    let scene = Scene::new(&undeclared(), true).unobserved();
    for _ in 0..2 {
        scene.assert_runs(&[], "1\n");
        assert_eq!(scene.demo.report().reasons("value-sys").last().map(String::as_str), Some("native"));
    }
}

const FINDING: &str = "println!(\"cargo:rustc-link-search=native=/usr/lib\");";

#[test]
fn an_observed_script_that_finds_a_system_library_is_a_hit() {
    // The library may be the system's or the script's own, so dependents are compiled.
    let scene = Scene::new(&format!("{COMPILING}\n{FINDING}"), true);
    scene.assert_runs(&[], "1\n");
    assert_eq!(scene.build(&[]), (vec![], vec!["demo".into(), "value_sys".into()], "1\n".to_owned()));
}

#[test]
fn an_unobserved_script_that_finds_a_system_library_runs_each_time() {
    let scene = Scene::new(&format!("{COMPILING}\n{FINDING}"), true).unobserved();
    for _ in 0..2 {
        scene.assert_runs(&[], "1\n");
        assert_eq!(scene.demo.report().reasons("value-sys").last().map(String::as_str), Some("system-library"));
    }
}

/// Makes a library in a directory outside of all packages.
fn install(directory: &Path, value: u32) {
    let source = directory.join("value.c");
    tree::write(&source, format!("int value(void) {{ return {value}; }}"));
    let run = |command: &mut Command| assert!(command.status().expect("the program starts").success());
    run(Command::new("cc").arg("-c").arg(&source).arg("-o").arg(directory.join("value.o")));
    run(Command::new("ar").arg("crsD").arg(directory.join("libvalue.a")).arg(directory.join("value.o")));
}

#[test]
fn crates_with_a_static_system_library_are_compiled_each_time() {
    // The script prints the same, whatever is in the library.
    let elsewhere = Sandbox::new();
    let directory = elsewhere.path("lib");
    let found = format!(
        "println!(\"cargo:rerun-if-changed=build.rs\");
         println!(\"cargo:rustc-link-search=native={}\");
         println!(\"cargo:rustc-link-lib=static=value\");",
        directory.display()
    );
    for links in [true, false] {
        let scene = Scene::new(&found, links);
        for value in [1, 2] {
            install(&directory, value);
            assert_eq!(scene.build(&[]).2, format!("{value}\n"));
            assert!(scene.sandbox.compiled_dependencies().contains(&"value_sys".to_owned()));
        }
        assert!(scene.demo.report().reasons("value-sys").contains(&"native".to_owned()));
    }
}

#[test]
fn a_program_over_a_static_library_named_by_flags_and_a_source_is_linked_each_time() {
    let elsewhere = Sandbox::new();
    let directory = elsewhere.path("lib");
    let sandbox = Sandbox::new();
    let library = "#[link(name = \"value\", kind = \"static\")] extern \"C\" { pub fn value() -> i32; }";
    let native = Package::new("value-sys", "1.0.0", library);
    let wrapper = Package::new("value", "1.0.0", "pub fn value() -> i32 { unsafe { value_sys::value() } }");
    let scene = Scene::with(sandbox, vec![native, wrapper.dependency("value-sys", "1")]);
    let flags = format!("-L native={}", directory.display());
    for value in [1, 2] {
        install(&directory, value);
        assert_eq!(scene.build(&[("RUSTFLAGS", &flags)]).2, format!("{value}\n"), "{}", scene.demo.report().json());
    }
}

/// Makes a shared library in a directory outside of all packages.
fn install_shared(directory: &Path, value: u32) {
    let source = directory.join("value.c");
    tree::write(&source, format!("int value(void) {{ return {value}; }}"));
    let library = directory.join("libvalue.so");
    let mut compiler = Command::new("cc");
    compiler.arg("-shared").arg("-fPIC").arg(&source).arg("-o").arg(&library);
    assert!(compiler.status().expect("the program starts").success());
}

#[test]
fn a_program_linked_with_a_shared_system_library_is_a_hit_until_the_library_changes() {
    let elsewhere = Sandbox::new();
    let directory = elsewhere.path("lib");
    let found = format!(
        "println!(\"cargo:rerun-if-changed=build.rs\");
         println!(\"cargo:rustc-link-search=native={}\");
         println!(\"cargo:rustc-link-lib=value\");",
        directory.display()
    );
    let scene = Scene::new(&found, true);
    let path = directory.display().to_string();
    let build = || {
        scene.demo.clean();
        scene.sandbox.reset();
        scene.demo.xcache(["build"]).ok();
        let said = scene.demo.program(scene.demo.target().join("debug/demo"), NONE).env("LD_LIBRARY_PATH", &path);
        (scene.sandbox.compiled(), said.ok().stdout)
    };
    install_shared(&directory, 1);
    build();
    assert_eq!(build(), (vec![], "1\n".to_owned()), "{}", scene.demo.report().json());
    assert_eq!(scene.sandbox.scripts_run(), NONE);
    install_shared(&directory, 2);
    assert_eq!(build(), (vec!["demo".to_owned()], "2\n".to_owned()));
    assert_eq!(build(), (vec![], "2\n".to_owned()));
    // The linker prefers the archive, or may prefer it.
    install(&directory, 3);
    assert_eq!(build().0, ["demo"]);
    std::fs::remove_file(directory.join("libvalue.a")).expect("the archive exists");
    // A linker script says that the library is elsewhere.
    std::fs::rename(directory.join("libvalue.so"), directory.join("libreal.so")).expect("the library can be renamed");
    tree::write(&directory.join("libvalue.so"), format!("INPUT({path}/libreal.so)"));
    assert_eq!((build().0, build().0), (vec!["demo".to_owned()], vec![]));
    let real = elsewhere.path("real");
    install_shared(&real, 4);
    std::fs::copy(real.join("libvalue.so"), directory.join("libreal.so")).expect("the library can be replaced");
    assert_eq!((build().0, build().0), (vec!["demo".to_owned()], vec![]));
}

/// Calls pkg-config as the crate of that name does.
const ASKING: &str = r#"
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    let asked = std::process::Command::new("pkg-config").args(["--libs", "--cflags", "value"]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    for word in String::from_utf8(asked.stdout).unwrap().split_whitespace() {
        match word.split_at(2) {
            ("-L", directory) => println!("cargo:rustc-link-search=native={directory}"),
            ("-l", name) => println!("cargo:rustc-link-lib={name}"),
            ("-D", value) => println!("cargo:rustc-env=DEFINED={value}"),
            _ => {}
        }
    }
"#;

/// Describes the library in a directory for pkg-config.
fn describe(directory: &Path, defined: &str) {
    let text = format!(
        "Name: value\nDescription: value\nVersion: 1.0\nLibs: -L{} -lvalue\nCflags: -D{defined}\n",
        directory.display()
    );
    tree::write(&directory.join("pkgconfig/value.pc"), text);
}

/// A machine with a shared library that pkg-config finds, and a program that prints what is compiled in and linked.
fn described() -> (Scene, Sandbox, PathBuf) {
    let elsewhere = Sandbox::new();
    let directory = elsewhere.path("lib");
    install_shared(&directory, 1);
    describe(&directory, "one");
    let library = "extern \"C\" { fn value() -> i32; }
        pub fn said() -> String { format!(\"{} {}\", unsafe { value() }, env!(\"DEFINED\")) }";
    let native = Package::new("value-sys", "1.0.0", library).links("value").counted_script(ASKING);
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([native]);
    let demo = sandbox.demo(&registry, "value-sys = \"1\"", "fn main() { println!(\"{}\", value_sys::said()); }");
    let path = |directory: PathBuf| directory.display().to_string();
    let demo = demo.env("CARGO_INCREMENTAL", "0").env("PKG_CONFIG_PATH", path(directory.join("pkgconfig")));
    demo.cargo(["fetch"]).ok();
    (Scene { sandbox, demo: demo.env("LD_LIBRARY_PATH", path(directory.clone())) }, elsewhere, directory)
}

#[test]
fn a_program_with_a_library_found_by_pkg_config_is_a_hit_until_the_library_or_its_description_changes() {
    let (scene, _elsewhere, directory) = described();
    let build = |expected: &[&str], said: &str| {
        scene.demo.clean();
        scene.sandbox.reset();
        scene.demo.xcache(["build"]).ok();
        let started = [scene.sandbox.scripts_run(), scene.sandbox.compiled()].concat();
        assert_eq!(started, expected, "{}", scene.demo.report().json());
        assert_eq!(scene.demo.program(scene.demo.target().join("debug/demo"), NONE).ok().stdout, said);
    };
    build(&["value-sys", "demo", "value-sys (build script)", "value_sys"], "1 one\n");
    build(&[], "1 one\n");
    scene.sandbox.assert_nothing_to_do(&scene.demo, &["build"]);
    // Linked with another library.
    install_shared(&directory, 2);
    build(&["demo"], "2 one\n");
    build(&[], "2 one\n");
    // Described in another way.
    describe(&directory, "two");
    build(&["value-sys", "demo", "value_sys"], "2 two\n");
    build(&[], "2 two\n");
    describe(&directory, "one");
    build(&["value-sys", "demo", "value_sys"], "2 one\n");
}

#[test]
fn a_crate_with_a_library_found_by_pkg_config_is_a_hit_with_another_cargo_home_and_target_directory() {
    let (scene, _elsewhere, directory) = described();
    scene.demo.xcache(["build"]).ok();
    let there = scene.demo.with_cargo_home(&scene.sandbox.another_cargo_home());
    there.cargo(["fetch"]).ok();
    let build = |expected: &[&str], said: &str| {
        let target = scene.sandbox.unused("target");
        scene.sandbox.reset();
        there.xcache(["build"]).env("CARGO_TARGET_DIR", &target).ok();
        let started = [scene.sandbox.scripts_run(), scene.sandbox.compiled()].concat();
        assert_eq!(started, expected, "{}", there.report().json());
        assert_eq!(there.program(target.join("debug/demo"), NONE).ok().stdout, said);
    };
    // The member is compiled: it is linked in another target directory.
    build(&["demo"], "1 one\n");
    describe(&directory, "two");
    build(&["value-sys", "demo", "value_sys"], "1 two\n");
}

#[test]
fn a_program_with_a_library_named_only_by_a_source_is_linked_each_time() {
    let elsewhere = Sandbox::new();
    let directory = elsewhere.path("lib");
    let found = format!(
        "println!(\"cargo:rerun-if-changed=build.rs\");
         println!(\"cargo:rustc-link-search=native={}\");",
        directory.display()
    );
    let sandbox = Sandbox::new();
    let library =
        "#[link(name = \"value\")] extern \"C\" { fn value() -> i32; } pub fn says() -> i32 { unsafe { value() } }";
    let native = Package::new("value-sys", "1.0.0", library).links("value").counted_script(&found);
    let registry = sandbox.registry([native]);
    let demo = sandbox.demo(&registry, "value-sys = \"1\"", "fn main() { println!(\"{}\", value_sys::says()); }");
    let scene = Scene { sandbox, demo: demo.env("CARGO_INCREMENTAL", "0") };
    for value in [1, 2] {
        install_shared(&directory, value);
        scene.demo.clean();
        scene.sandbox.reset();
        scene.demo.xcache(["build"]).ok();
        assert!(scene.sandbox.compiled().contains(&"demo".to_owned()), "{}", scene.demo.report().json());
    }
}

#[test]
fn a_program_made_by_a_script_is_executable_when_it_is_reused() {
    let script = r##"
        use std::os::unix::fs::PermissionsExt;
        println!("cargo:rerun-if-changed=build.rs");
        let program = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap()).join("program");
        std::fs::write(&program, "#!/bin/sh\necho made").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    "##;
    let library = r#"
        pub fn run() -> String {
            let program = concat!(env!("OUT_DIR"), "/program");
            String::from_utf8(std::process::Command::new(program).output().unwrap().stdout).unwrap()
        }
    "#;
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("making", "1.0.0", library).counted_script(script)]);
    let demo = sandbox.demo(&registry, "making = \"1\"", "fn main() { print!(\"{}\", making::run()); }");
    let scene = Scene { sandbox, demo: demo.env("CARGO_INCREMENTAL", "0") };
    scene.build(&[]);
    scene.assert_full_hit(&[], "made\n");
}
