//! Libraries for other languages, and other linked outputs: C programs load them or are linked with them, and print a
//! number that shows what was built.
//!
//! The number comes from a crate, an archive, an object or a script. If that changed, the program must print the new
//! number; if not, nothing may be compiled.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::native::{in_archive, in_object};
use support::readers::leaf_witness;
use support::witness::{in_file_of_project, short};
use support::{Package, Project, Sandbox, Witness, by_form, is_long, tree};

const NONE: [&str; 0] = [];

/// The last text is built after both have been recorded.
const TEXTS: [&str; 3] = ["1", "2", "1"];

/// All crate types that a library may have.
const KINDS: [&str; 7] =
    ["cdylib", "staticlib", "dylib", "cdylib, rlib", "staticlib, rlib", "dylib, rlib", "cdylib, staticlib, rlib"];

/// Each type alone or with others.
const SOME_KINDS: [&str; 3] = ["cdylib", "dylib", "cdylib, staticlib, rlib"];

/// The number comes from a crate in another directory.
const FROM_INNER: &str = "#[unsafe(no_mangle)] pub extern \"C\" fn said() -> i32 { inner::value() }";

/// The number comes from any linked object or archive.
const FROM_LINKED: &str = "unsafe extern \"C\" { fn value() -> i32; }
    #[unsafe(no_mangle)] pub extern \"C\" fn said() -> i32 { unsafe { value() } }";

/// The number comes from an archive that the linker finds by this name.
const FROM_ARCHIVE: &str = "#[link(name = \"value\")] unsafe extern \"C\" { fn value() -> i32; }
    #[unsafe(no_mangle)] pub extern \"C\" fn said() -> i32 { unsafe { value() } }";

/// Loads a library, and prints the number that the library returns.
const LOADING: &str = "#include <dlfcn.h>
    #include <stdio.h>
    int main(int count, char **arguments) {
        void *library = dlopen(arguments[1], RTLD_NOW);
        if (!library) { puts(dlerror()); return 1; }
        printf(\"%d\", ((int (*)(void)) dlsym(library, \"said\"))());
    }";

/// Is linked with a library, and prints the number that the library returns.
const LINKING: &str = "#include <stdio.h>
    extern int said(void);
    int main(void) { printf(\"%d\", said()); }";

/// Libraries of the system that a C program needs when it is linked with Rust.
const SYSTEM_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lrt", "-lpthread", "-lm", "-ldl"];

/// A machine with a workspace whose library is called `demo`.
struct Library {
    sandbox: Sandbox,
    demo: Project,
}

impl Library {
    /// A library of these crate types with the number of `inner`.
    fn new(types: &str) -> Self {
        Self::with(types, FROM_INNER, [])
    }

    /// `leaf` is the package of a registry that the library depends on, if there is one.
    fn with(types: &str, source: &str, leaf: impl IntoIterator<Item = Package>) -> Self {
        let sandbox = Sandbox::new();
        let leaf: Vec<_> = leaf.into_iter().collect();
        let dependencies = if leaf.is_empty() { "inner = { path = \"inner\" }" } else { "leaf = \"1\"" };
        let demo = sandbox.demo_unlocked(dependencies, "").env("CARGO_INCREMENTAL", "0");
        tree::remove_file(&demo.dir().join("src/main.rs"));
        demo.write("src/lib.rs", source);
        demo.write("inner/Cargo.toml", "[package]\nname = \"inner\"\nedition = \"2024\"\n");
        demo.write("inner/src/lib.rs", inner("1"));
        demo.edit("Cargo.toml", "[dependencies]", &format!("{}[dependencies]", lib_table(types)));
        demo.use_registry(&sandbox.registry(leaf));
        demo.cargo(["fetch"]).ok();
        Self { sandbox, demo }
    }

    /// Builds into an empty target directory. Returns the compiled crates.
    #[track_caller]
    fn build(&self, project: &Project) -> Vec<String> {
        project.clean();
        self.sandbox.reset();
        project.xcache(["build"]).ok();
        self.sandbox.compiled()
    }

    /// The number that C programs print with the files that were built last.
    #[track_caller]
    fn number(&self, project: &Project) -> String {
        let directory = project.target().join("debug");
        let files = ["libdemo.so", "libdemo.a"].map(|name| directory.join(name));
        let mut numbers: Vec<_> =
            files.iter().filter(|file| file.exists()).map(|file| self.number_from(file)).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 1, "{numbers:?}");
        numbers.remove(0)
    }

    fn number_from(&self, file: &Path) -> String {
        let is_linked = file.extension().is_some_and(|extension| extension == "a");
        // The program that loads a library is always the same.
        let program = if is_linked { self.sandbox.unused("linking") } else { self.sandbox.path("loading") };
        if !program.exists() {
            let source = program.with_extension("c");
            tree::write(&source, if is_linked { LINKING } else { LOADING });
            let mut compiler = Command::new("cc");
            compiler.arg("-o").arg(&program).arg(&source).args(is_linked.then_some(file)).args(SYSTEM_LIBRARIES);
            assert!(compiler.status().expect("a C compiler starts").success());
        }
        let output = Command::new(&program).arg(file).output().expect("the program starts");
        let said = String::from_utf8(output.stdout).expect("the output is text");
        assert!(output.status.success(), "{said}");
        said
    }

    /// Asserts that after a build into an empty target directory, C programs print this.
    #[track_caller]
    fn assert_prints(&self, project: &Project, text: &str) {
        let compiled = self.build(project);
        assert_eq!(self.number(project), text, "{compiled:?} was compiled of {}", project.report().json());
    }

    /// Asserts the same, and that nothing is compiled, not even by plain cargo afterwards.
    #[track_caller]
    fn assert_reused(&self, project: &Project, text: &str) {
        assert_eq!(self.build(project), NONE, "{}", project.report().json());
        assert_eq!(self.number(project), text, "{}", project.report().json());
        self.sandbox.assert_nothing_to_do(project, &["build"]);
    }

    /// Asserts that C programs print each of the texts in turn, and that everything is reused while a text stays the
    /// same. The short form is that of [`Witness::assert_follows_changes`].
    #[track_caller]
    fn assert_follows_changes(&self, set: impl Fn(&Project, &str) -> Project) {
        let texts = by_form(short(&TEXTS), &TEXTS);
        for (index, text) in texts.iter().enumerate() {
            self.assert_prints(&set(&self.demo, text), text);
            if is_long() || index + 1 == texts.len() {
                self.assert_reused(&set(&self.demo, text), text);
            }
        }
    }

    /// Asserts that C programs print each of the texts in turn, whatever is compiled.
    #[track_caller]
    fn assert_correct(&self, set: impl Fn(&Project, &str) -> Project) {
        for text in TEXTS.iter().flat_map(|text| iter::repeat_n(text, by_form(1, 2))) {
            self.assert_prints(&set(&self.demo, text), text);
        }
    }

    /// The paths and modes of all built files.
    fn built(&self) -> BTreeMap<PathBuf, u32> {
        let directory = self.demo.target().join("debug");
        let is_output = |path: &PathBuf| !path.iter().any(|part| part == ".fingerprint" || part == "build");
        let files = tree::files(&directory).into_iter().filter(is_output);
        files.map(|path| (path.clone(), path.metadata().expect("the file exists").permissions().mode())).collect()
    }
}

fn lib_table(types: &str) -> String {
    let types: Vec<_> = types.split(", ").collect();
    format!("[lib]\ncrate-type = {types:?}\n")
}

fn inner(value: &str) -> String {
    format!("pub fn value() -> i32 {{ {value} }}")
}

/// Makes the crate `inner` return a number.
fn in_inner(project: &Project, text: &str) -> Project {
    in_file_of_project("inner/src/lib.rs")(project, &inner(text))
}

#[test]
fn a_library_of_each_type_is_reused_with_all_its_files() {
    for types in by_form(&SOME_KINDS[..], &KINDS) {
        let library = Library::new(types);
        let plain = library.demo.in_clean_target(|| {
            library.demo.cargo(["build"]).ok();
            library.built()
        });
        assert_eq!(library.build(&library.demo), ["demo", "inner"], "{types}");
        library.assert_reused(&library.demo, "1");
        assert_eq!(library.built(), plain, "{types}");
        library.demo.clean();
        library.demo.xcache(["build"]).ok();
        assert_eq!(library.demo.report().hydrated(), ["demo", "inner"], "{types}: {}", library.demo.report().json());
    }
}

#[test]
fn a_changed_crate_in_a_library_of_each_type_is_followed() {
    for types in by_form(&SOME_KINDS[..], &KINDS) {
        Library::new(types).assert_follows_changes(in_inner);
    }
}

#[test]
fn a_library_of_each_type_is_restored_without_hydration() {
    for types in by_form(&SOME_KINDS[2..], &SOME_KINDS) {
        let mut library = Library::new(types);
        library.demo = library.demo.env("XCACHE_HYDRATE", "off");
        library.assert_follows_changes(in_inner);
        assert_eq!(library.demo.report().hydrated(), NONE);
    }
}

#[test]
fn a_library_of_each_type_is_correct_in_one_target_directory() {
    for types in by_form(&SOME_KINDS[2..], &SOME_KINDS) {
        let library = Library::new(types);
        for text in TEXTS {
            let project = in_inner(&library.demo, text);
            project.xcache(["build"]).ok();
            assert_eq!(library.number(&project), text, "{}", project.report().json());
            library.sandbox.assert_nothing_to_do(&project, &["build"]);
        }
    }
}

#[test]
fn a_library_of_each_type_is_hydrated_in_the_new_build_directory_layout() {
    for types in by_form(&SOME_KINDS[2..], &SOME_KINDS) {
        let library = Library::new(types);
        let demo = library.demo.clone().env("RUSTC_BOOTSTRAP", "1");
        let command = ["build", "-Zbuild-dir-new-layout"];
        for text in by_form(short(&TEXTS), &TEXTS).iter().copied() {
            in_inner(&demo, text);
            for hydrated in [None, Some(["demo", "inner"])] {
                demo.clean();
                demo.xcache(command).ok();
                assert_eq!(library.number(&demo), text, "{}", demo.report().json());
                if let Some(hydrated) = hydrated {
                    assert_eq!(demo.report().hydrated(), hydrated, "{}", demo.report().json());
                    library.sandbox.assert_nothing_to_do(&demo, &command);
                }
            }
        }
    }
}

#[test]
fn a_library_with_other_crate_types_is_not_reused() {
    let (library, mut before) = (Library::new("cdylib"), "cdylib");
    for (types, is_known) in [
        ("cdylib", false),
        ("staticlib", false),
        ("cdylib, rlib", false),
        ("dylib", false),
        ("cdylib", true),
        ("staticlib", true),
        ("dylib", true),
    ] {
        library.demo.edit("Cargo.toml", &lib_table(before), &lib_table(types));
        before = types;
        let compiled = library.build(&library.demo);
        assert_eq!(compiled.contains(&"demo".to_owned()), !is_known, "{types}: {compiled:?}");
        let is_loaded = library.demo.target().join("debug/libdemo.so").exists();
        assert_eq!(is_loaded, types != "staticlib", "{types}");
        assert_eq!(library.number(&library.demo), "1", "{types}");
    }
}

/// Cargo gives the files of such a library the same names for all inputs.
#[test]
fn features_of_a_library_without_a_hash_in_its_file_names_can_alternate() {
    let library = Library::new("cdylib, rlib");
    library.demo.edit("Cargo.toml", "[lib]", "[features]\nloud = []\n[lib]");
    let source =
        "#[unsafe(no_mangle)] pub extern \"C\" fn said() -> i32 { if cfg!(feature = \"loud\") { 2 } else { 1 } }";
    library.demo.write("src/lib.rs", source);
    let commands: [(&[&str], &str); 2] = [(&["build"], "1"), (&["build", "--features", "loud"], "2")];
    for (command, text) in commands.iter().cycle().take(by_form(4, 6)) {
        library.demo.xcache(*command).ok();
        assert_eq!(library.number(&library.demo), *text, "{}", library.demo.report().json());
        library.sandbox.assert_nothing_to_do(&library.demo, command);
    }
    library.sandbox.reset();
    for (command, text) in commands {
        library.demo.xcache(command).ok();
        assert_eq!(library.number(&library.demo), text);
    }
    assert_eq!(library.sandbox.compiled(), NONE, "{}", library.demo.report().json());
}

// Other users of the library.

/// A program of the package, which prints the number of its library.
fn with_program(types: &str) -> Witness {
    let types = types.to_owned();
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([]);
    Witness::new(sandbox, move |sandbox| {
        let demo = sandbox.demo(&registry, "", "fn main() { println!(\"{}\", demo::value()); }");
        demo.write("src/lib.rs", inner("1"));
        demo.edit("Cargo.toml", "[dependencies]", &format!("{}[dependencies]", lib_table(&types)));
        demo
    })
}

#[test]
fn a_changed_library_for_crates_and_other_languages_changes_a_program_of_its_package() {
    for types in ["cdylib, rlib", "staticlib, rlib"] {
        let witness = with_program(types);
        let set = |project: &Project, text: &str| in_file_of_project("src/lib.rs")(project, &inner(text));
        witness.assert_follows_changes(&TEXTS, set);
        witness.sandbox.assert_nothing_to_do(&witness.demo, &["build"]);
        assert_eq!(witness.demo.report().reasons("demo"), NONE);
    }
}

#[test]
fn a_program_that_loads_a_dylib_of_its_package_is_correct() {
    for types in ["dylib", "dylib, rlib"] {
        let witness = with_program(types);
        let flags = |project: &Project| project.clone().env("RUSTFLAGS", "-Cprefer-dynamic -Crpath");
        witness.assert_correct(&TEXTS, |project, text| flags(&in_file_of_project("src/lib.rs")(project, &inner(text))));
        let reasons = flags(&witness.demo).report().reasons("demo");
        assert!(reasons.contains(&"linked".to_owned()), "{types}: {reasons:?}");
    }
}

/// A package of a registry with these crate types.
fn leaf(types: &str, library: &str) -> Package {
    Package::new("leaf", "1.0.0", library).crate_types(&types.split(", ").collect::<Vec<_>>())
}

#[test]
fn a_dependency_that_also_is_a_library_for_other_languages_is_reused_everywhere() {
    for types in ["cdylib, rlib", "staticlib, lib"] {
        let leaf = leaf(types, "pub fn said() -> i32 { 1 }");
        leaf_witness(Sandbox::new(), [leaf], "said()").assert_reused_everywhere("1", Clone::clone);
    }
}

#[test]
fn a_dependency_that_no_crate_can_use_is_reused() {
    let witness = leaf_witness(Sandbox::new(), [leaf("cdylib", "")], "said()");
    witness.demo.write("src/main.rs", "fn main() { println!(\"1\"); }");
    witness.assert_prints(&witness.demo, "1");
    witness.assert_reused(&witness.demo, "1");
    assert_eq!(witness.demo.report().hydrated(), ["demo", "leaf"], "{}", witness.demo.report().json());
}

// Linked native code.

/// Compiles a C file with the flags of a variable.
const COMPILING: &str = r#"
    let out = std::env::var("OUT_DIR").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
    };
    let (flag, object) = (std::env::var("MADE_UP_FLAG").unwrap(), format!("{out}/value.o"));
    run("cc", &["-fPIC", "-c", "value.c", "-o", &object, &flag]);
    run("ar", &["crsD", &format!("{out}/libvalue.a"), &object]);
    println!("cargo:rerun-if-env-changed=MADE_UP_FLAG");
    println!("cargo:rerun-if-changed=value.c");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static=value");
"#;

/// A dependency with such a script, and a library that uses it.
fn over_native(types: &str) -> Library {
    let library = "unsafe extern \"C\" { pub fn value() -> i32; }";
    let native = Package::new("leaf", "1.0.0", library).edition("2024").links("value");
    let native = native.counted_script(COMPILING).file("value.c", "int value(void) { return VALUE; }");
    let source = "#[unsafe(no_mangle)] pub extern \"C\" fn said() -> i32 { unsafe { leaf::value() } }";
    Library::with(types, source, [native])
}

fn in_flag(project: &Project, text: &str) -> Project {
    project.clone().env("MADE_UP_FLAG", format!("-DVALUE={text}"))
}

#[test]
fn changed_native_code_of_a_dependency_is_followed() {
    let kinds = ["cdylib, staticlib, rlib", "cdylib", "staticlib", "dylib"];
    for types in by_form(&kinds[..1], &kinds) {
        over_native(types).assert_follows_changes(in_flag);
    }
}

#[test]
fn changed_native_code_of_a_dependency_is_followed_without_observing() {
    for types in ["cdylib", "staticlib"] {
        over_native(types).assert_correct(|project, text| in_flag(project, text).env("XCACHE_OBSERVE", "off"));
    }
}

#[test]
fn a_changed_archive_found_by_the_linker_is_followed() {
    let kinds = ["cdylib, rlib", "dylib", "cdylib"];
    for types in by_form(&kinds[..2], &kinds) {
        let library = Library::with(types, FROM_ARCHIVE, []);
        let native = library.sandbox.path("native");
        let demo = library.demo.clone().env("LIBRARY_PATH", &native);
        library.assert_follows_changes(|_, text| in_archive(&native)(&demo, text));
    }
}

#[test]
fn a_changed_archive_bundled_into_a_library_is_followed() {
    for (types, kind) in [("staticlib", "static"), ("cdylib", "static"), ("cdylib", "static:-bundle")] {
        let native = |directory: &Path| {
            let search = format!("println!(\"cargo:rustc-link-search=native={}\");", directory.display());
            format!("fn main() {{ {search} println!(\"cargo:rustc-link-lib={kind}=value\"); }}")
        };
        let library = Library::with(types, FROM_LINKED, []);
        let directory = library.sandbox.path("native");
        library.demo.write("build.rs", native(&directory));
        library.assert_correct(in_archive(&directory));
    }
}

#[test]
fn a_changed_archive_named_but_not_bundled_by_a_dependency_is_followed() {
    let attribute = "#[link(name = \"value\", kind = \"static\", modifiers = \"-bundle\")]";
    let source = format!("{attribute} unsafe extern \"C\" {{ pub fn value() -> i32; }}");
    let leaf = Package::new("leaf", "1.0.0", &source).edition("2024");
    let said = "#[unsafe(no_mangle)] pub extern \"C\" fn said() -> i32 { unsafe { leaf::value() } }";
    let library = Library::with("cdylib", said, [leaf]);
    let native = library.sandbox.path("native");
    let demo = library.demo.clone().env("RUSTFLAGS", format!("-Lnative={}", native.display()));
    library.assert_correct(|_, text| in_archive(&native)(&demo, text));
}

#[test]
fn a_changed_object_named_by_a_script_for_the_linker_of_a_library_is_followed() {
    for (types, directive) in [("cdylib", "rustc-link-arg"), ("cdylib", "rustc-cdylib-link-arg")] {
        let library = Library::with(types, FROM_LINKED, []);
        let native = library.sandbox.path("native");
        let said = format!("fn main() {{ println!(\"cargo:{directive}={}/value.o\"); }}", native.display());
        library.demo.write("build.rs", said);
        library.assert_correct(in_object(&native));
    }
}

/// Cargo passes such arguments on from scripts of dependencies.
#[test]
fn a_changed_object_named_by_a_dependencys_script_for_the_linker_of_a_library_is_followed() {
    let script = "fn main() {
        println!(\"cargo:rerun-if-env-changed=MADE_UP_OBJECT\");
        println!(\"cargo:rustc-cdylib-link-arg={}\", std::env::var(\"MADE_UP_OBJECT\").unwrap());
    }";
    let library = Library::with("cdylib", FROM_LINKED, [Package::new("leaf", "1.0.0", "").build_script(script)]);
    let native = library.sandbox.path("native");
    let named = |project: &Project, text: &str| {
        in_object(&native.join(text))(project, text).env("MADE_UP_OBJECT", native.join(text).join("value.o"))
    };
    library.assert_follows_changes(named);
    let same_name = library.demo.clone().env("MADE_UP_OBJECT", native.join("value.o"));
    library.assert_follows_changes(|_, text| in_object(&native)(&same_name, text));
}

#[test]
fn changed_linker_flags_of_a_library_are_followed() {
    for types in ["cdylib", "dylib"] {
        let library = Library::with(types, FROM_LINKED, []);
        let native = library.sandbox.path("native");
        let named = |project: &Project, text: &str| {
            let object = native.join(text).join("value.o");
            in_object(&native.join(text))(project, text).env("RUSTFLAGS", format!("-Clink-arg={}", object.display()))
        };
        library.assert_follows_changes(named);
    }
}

#[test]
fn a_library_linked_by_another_linker_is_not_reused() {
    let kinds = ["cdylib, rlib", "dylib", "cdylib"];
    for types in by_form(&kinds[..1], &kinds) {
        let library = Library::new(types);
        let tools = library.sandbox.path("tools");
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").expect("PATH is set"));
        let demo = library.demo.clone().env("PATH", path);
        let install = |arguments: &str| {
            let beside = tools.join("beside");
            tree::write_script(&beside, &format!("exec /usr/bin/cc {arguments} \"$@\""));
            std::fs::rename(beside, tools.join("cc")).expect("the linker can be replaced");
        };
        install("");
        assert_eq!(library.build(&demo), ["demo", "inner"], "{types}");
        assert_eq!(library.build(&demo), NONE, "{types}");
        install("-Wl,--build-id=none");
        assert_eq!(library.build(&demo), ["demo"], "{types}");
        assert_eq!(library.build(&demo), NONE, "{types}");
    }
}

// Other targets.

#[test]
fn examples_that_are_libraries_are_reused_and_correct() {
    let sandbox = Sandbox::new();
    let demo = sandbox.demo_unlocked("", "fn main() {}").env("CARGO_INCREMENTAL", "0");
    demo.write("src/lib.rs", inner("1"));
    let kinds = [("shared", "cdylib"), ("archived", "staticlib"), ("linked", "lib")];
    for (name, types) in kinds {
        demo.edit(
            "Cargo.toml",
            "[dependencies]",
            &format!("[[example]]\nname = {name:?}\ncrate-type = [{types:?}]\n[dependencies]"),
        );
        demo.write(
            &format!("examples/{name}.rs"),
            "#[unsafe(no_mangle)] extern \"C\" fn said() -> i32 { demo::value() }",
        );
    }
    let library = Library { sandbox, demo };
    let Library { sandbox, demo } = &library;
    demo.cargo(["generate-lockfile"]).ok();
    for text in by_form(short(&TEXTS), &TEXTS).iter().copied() {
        in_file_of_project("src/lib.rs")(demo, &inner(text));
        for is_known in [false, true] {
            demo.clean();
            sandbox.reset();
            demo.xcache(["build", "--examples"]).ok();
            if is_known {
                assert_eq!(sandbox.compiled(), NONE, "{}", demo.report().json());
                sandbox.assert_nothing_to_do(demo, &["build", "--examples"]);
            }
            for file in ["libshared.so", "libarchived.a"] {
                assert_eq!(library.number_from(&demo.target().join("debug/examples").join(file)), text);
            }
        }
    }
}

#[test]
fn tests_and_benchmarks_of_a_cdylib_are_reused() {
    let library = Library::new("cdylib, rlib");
    let source = format!("{FROM_INNER}\n#[test] fn it_says() {{ assert_eq!(said(), 1); }}");
    library.demo.write("src/lib.rs", source);
    library.demo.write("benches/quick.rs", "#[test] fn it_is_quick() { assert_eq!(demo::said(), 1); }");
    library.demo.write("tests/whole.rs", "#[test] fn it_is_whole() { assert_eq!(demo::said(), 1); }");
    let commands: [&[&str]; 3] = [&["test", "--tests"], &["bench", "--no-run"], &["build", "--all-targets"]];
    for command in commands {
        library.demo.clean();
        library.demo.xcache(command).ok();
        library.demo.clean();
        library.sandbox.reset();
        library.demo.xcache(command).ok();
        assert_eq!(library.sandbox.compiled(), NONE, "{command:?}: {}", library.demo.report().json());
        library.sandbox.assert_nothing_to_do(&library.demo, command);
    }
}
