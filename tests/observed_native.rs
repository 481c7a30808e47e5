//! What C compilers and linkers read without declaring it: if it changed, they are started again, and if not, their
//! outputs are reused.
//!
//! A C function returns a number, which a program prints. The number gets there in each of the ways in which compilers
//! and linkers find files.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use support::native::{in_archive, in_object};
use support::readers::leaf_witness;
use support::witness::{NOTHING, in_file};
use support::{Package, Project, Sandbox, Witness, tree};

/// The last text is built after both have been recorded.
const TEXTS: [&str; 3] = ["1", "2", "1"];

// Inputs of C compilers.

/// Compiles a C file with the flags of an expression, as the `cc` crate does, and declares what that crate declares.
const COMPILING: &str = r#"
    let out = std::env::var("OUT_DIR").unwrap();
    let variable = |name: &str| {
        println!("cargo:rerun-if-env-changed={name}");
        std::env::var(name).ok()
    };
    let run = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
    };
    let compiler = variable("CC").unwrap_or_else(|| "cc".into());
    let flags: String = @flags@;
    let object = format!("{out}/value.o");
    let mut arguments = vec!["-c", "value.c", "-o", &object];
    arguments.extend(flags.split_whitespace());
    run(&compiler, &arguments);
    run("ar", &["crsD", &format!("{out}/libvalue.a"), &object]);
    println!("cargo:rerun-if-changed=value.c");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static=value");
"#;

/// The flags in a variable.
const CFLAGS: &str = "variable(\"CFLAGS\").unwrap_or_default()";

/// The flags in a description for pkg-config.
const DESCRIBED: &str = "{
    let path = format!(\"{}/value.pc\", variable(\"PKG_CONFIG_PATH\").unwrap());
    let description = std::fs::read_to_string(path).unwrap();
    description.lines().find_map(|line| line.strip_prefix(\"Cflags: \")).unwrap().to_owned()
}";

const FROM_FLAG: &str = "int value(void) { return VALUE; }\n";

const FROM_HEADER: &str = "#include <made_up_value.h>\nint value(void) { return VALUE; }\n";

/// A package of a registry whose script compiles this source with these flags.
fn compiling(source: &str, flags: &str) -> Witness {
    let library = "extern \"C\" { fn value() -> i32; } pub fn said() -> i32 { unsafe { value() } }";
    let native = Package::new("leaf", "1.0.0", library).links("value").file("value.c", source);
    leaf_witness(Sandbox::new(), [native.counted_script(&COMPILING.replace("@flags@", flags))], "said()")
}

/// Makes the header in a directory define a number, or removes it.
fn in_header(directory: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let write = in_file(&directory.join("made_up_value.h"));
    move |project, text| {
        let content = if text == NOTHING { NOTHING.into() } else { format!("#define VALUE {text}\n") };
        write(project, &content)
    }
}

#[test]
fn a_changed_pkg_config_description_of_the_same_size_is_an_input_of_a_script() {
    let witness = compiling(FROM_FLAG, DESCRIBED);
    let directory = witness.sandbox.path("described");
    let demo = witness.demo.clone().env("PKG_CONFIG_PATH", &directory);
    witness.assert_follows_changes(&TEXTS, |_, text| {
        in_file(&directory.join("value.pc"))(&demo, &format!("Name: value\nCflags: -DVALUE={text}\n"))
    });
}

#[test]
fn a_header_in_a_directory_named_by_a_flag_is_an_input() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    let directory = witness.sandbox.path("headers");
    let demo = witness.demo.clone().env("CFLAGS", format!("-I{}", directory.display()));
    witness.assert_follows_changes(&TEXTS, |_, text| in_header(&directory)(&demo, text));
}

#[test]
fn a_header_in_a_directory_named_by_cpath_is_an_input() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    let directory = witness.sandbox.path("headers");
    let demo = witness.demo.clone().env("CPATH", &directory);
    witness.assert_follows_changes(&TEXTS, |_, text| in_header(&directory)(&demo, text));
}

#[test]
fn another_directory_in_cpath_is_an_input() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    witness.assert_follows_changes(&TEXTS, in_variable_with_headers(&witness));
}

/// Sets the variable `CPATH` to a directory whose header defines a number.
fn in_variable_with_headers(witness: &Witness) -> impl Fn(&Project, &str) -> Project + use<> {
    let directory = witness.sandbox.path("headers");
    move |project, text| {
        let directory = directory.join(text);
        in_header(&directory)(project, text).env("CPATH", directory)
    }
}

#[test]
fn a_header_is_an_input_on_other_machines() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    witness.assert_shared(in_variable_with_headers(&witness));
}

/// Asserts that a header is an input that appears in the first of two directories, and disappears again.
#[track_caller]
fn assert_first_directory_is_input(name: &str, value: impl Fn(&Path, &Path) -> String) {
    let witness = compiling(FROM_HEADER, CFLAGS);
    let [first, second] = ["first", "second"].map(|name| witness.sandbox.path(name));
    std::fs::create_dir_all(&first).expect("directories can be created");
    let demo = witness.demo.clone().env(name, value(&first, &second));
    witness.assert_follows_changes(&TEXTS, |_, text| {
        in_header(&second)(&demo, "1");
        in_header(&first)(&demo, if text == "1" { NOTHING } else { text })
    });
}

#[test]
fn a_header_that_appears_in_an_earlier_directory_of_a_flag_is_an_input() {
    let flags = |first: &Path, second: &Path| format!("-I{} -I{}", first.display(), second.display());
    assert_first_directory_is_input("CFLAGS", flags);
}

#[test]
fn a_header_that_appears_in_an_earlier_directory_of_cpath_is_an_input() {
    assert_first_directory_is_input("CPATH", |first, second| format!("{}:{}", first.display(), second.display()));
}

/// A script that starts the compiler with flags from a file.
#[test]
fn flags_read_by_a_script_in_front_of_the_compiler_are_an_input() {
    let witness = compiling(FROM_FLAG, CFLAGS);
    let [compiler, flags] = ["tools/compiler", "tools/flags"].map(|name| witness.sandbox.path(name));
    tree::write_script(&compiler, &format!("exec cc $(cat '{}') \"$@\"", flags.display()));
    let demo = witness.demo.clone().env("CC", &compiler);
    witness.assert_follows_changes(&TEXTS, |_, text| in_file(&flags)(&demo, &format!("-DVALUE={text}")));
}

/// A script that starts another compiler, which is replaced.
#[test]
fn a_replaced_compiler_behind_a_script_is_an_input() {
    let witness = compiling(FROM_FLAG, CFLAGS);
    let [compiler, behind] = ["tools/compiler", "behind/compiler"].map(|name| witness.sandbox.path(name));
    tree::write_script(&compiler, &format!("exec '{}' \"$@\"", behind.display()));
    let demo = witness.demo.clone().env("CC", &compiler);
    witness.assert_follows_changes(&TEXTS, |_, text| {
        tree::write_script(&behind, &format!("exec cc -DVALUE={text} \"$@\""));
        demo.clone()
    });
}

// Inputs of linkers.

/// A program that prints the result of a C function unknown to cargo.
const MAIN: &str = "unsafe extern \"C\" { fn value() -> i32; } fn main() { println!(\"{}\", unsafe { value() }); }";

/// The same, with the name of the library.
const LINKING_MAIN: &str = "#[link(name = \"value\")] unsafe extern \"C\" { fn value() -> i32; }
    fn main() { println!(\"{}\", unsafe { value() }); }";

/// A member with this program, and with a script that prints these lines for cargo, if there are any.
fn member(sandbox: Sandbox, main: &'static str, said: &[String]) -> Witness {
    let registry = sandbox.registry([]);
    let script = script_printing(said);
    Witness::new(sandbox, move |sandbox| {
        let demo = sandbox.demo(&registry, "", main);
        script.iter().for_each(|script| demo.write("build.rs", script));
        demo
    })
}

/// A script that prints these lines for cargo, if there are any.
fn script_printing(lines: &[String]) -> Option<String> {
    let own = "rerun-if-changed=build.rs".to_owned();
    let said = |line: &String| format!("println!(\"cargo:{{}}\", {line:?});\n");
    let said: String = std::iter::once(&own).chain(lines).map(said).collect();
    (!lines.is_empty()).then(|| format!("fn main() {{ {said} }}"))
}

/// A member whose script makes the linker read something in a directory.
fn member_with(said: impl Fn(&Path) -> Vec<String>) -> (Witness, PathBuf) {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("native");
    (member(sandbox, MAIN, &said(&directory)), directory)
}

#[test]
fn an_object_that_a_script_passes_to_the_linker_is_an_input() {
    let (witness, native) = member_with(|native| vec![format!("rustc-link-arg={}/value.o", native.display())]);
    witness.assert_correct(&TEXTS, in_object(&native));
}

#[test]
fn an_object_that_a_script_passes_to_the_linker_of_a_macro_is_an_input() {
    let sandbox = Sandbox::new();
    let native = sandbox.path("native");
    let library = "extern \"C\" { fn value() -> i32; }
        #[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
            unsafe { value() }.to_string().parse().unwrap()
        }";
    let asking = Package::new("asking", "1.0.0", library).procedural_macro();
    let asking = with_script(asking, &[format!("rustc-link-arg={}/value.o", native.display())]);
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> i32 { asking::ask!() }").dependency("asking", "1");
    leaf_witness(sandbox, [asking, leaf], "said()").assert_correct(&TEXTS, in_object(&native));
}

#[test]
fn a_linker_script_named_by_a_script_is_an_input() {
    let (witness, native) = member_with(|native| vec![format!("rustc-link-arg={}/value.ld", native.display())]);
    witness.assert_correct(&TEXTS, |project, text| {
        let object = native.join(text).join("value.o");
        in_object(&native.join(text))(project, text);
        in_file(&native.join("value.ld"))(project, &format!("INPUT({})", object.display()))
    });
}

#[test]
fn an_object_named_by_a_linker_script_is_an_input() {
    let (witness, native) = member_with(|native| vec![format!("rustc-link-arg={}/value.ld", native.display())]);
    tree::write(&native.join("value.ld"), format!("INPUT({}/value.o)", native.display()));
    witness.assert_correct(&TEXTS, in_object(&native));
}

/// Prints which of its functions are exported.
const EXPORTING: &str = "
    unsafe extern \"C\" { fn dlsym(handle: *const u8, name: *const std::ffi::c_char) -> *const u8; }
    #[unsafe(no_mangle)] pub extern \"C\" fn exported_1() {}
    #[unsafe(no_mangle)] pub extern \"C\" fn exported_2() {}
    fn main() {
        std::hint::black_box([exported_1 as extern \"C\" fn(), exported_2]);
        for (said, name) in [(\"1\", c\"exported_1\"), (\"2\", c\"exported_2\")] {
            if !unsafe { dlsym(std::ptr::null(), name.as_ptr()) }.is_null() { print!(\"{said}\"); }
        }
    }";

#[test]
fn a_version_script_named_by_a_script_is_an_input() {
    let sandbox = Sandbox::new();
    let script = sandbox.path("native/exports.map");
    let said = ["-Wl,--export-dynamic".to_owned(), format!("-Wl,--version-script={}", script.display())];
    let witness = member(sandbox, EXPORTING, &said.map(|argument| format!("rustc-link-arg={argument}")));
    witness.assert_correct(&TEXTS, |project, text| {
        in_file(&script)(project, &format!("{{ global: exported_{text}; local: *; }};\n"))
    });
}

#[test]
fn an_archive_that_a_members_script_names_as_a_library_is_an_input() {
    let (witness, native) = member_with(|native| {
        vec![format!("rustc-link-search=native={}", native.display()), "rustc-link-lib=static=value".into()]
    });
    witness.assert_correct(&TEXTS, in_archive(&native));
}

#[test]
fn an_archive_that_a_dependencys_script_names_as_a_library_is_an_input() {
    let (witness, native) = dependency_with("", |native| {
        vec![format!("rustc-link-search=native={}", native.display()), "rustc-link-lib=static=value".into()]
    });
    witness.assert_correct(&TEXTS, in_archive(&native));
}

#[test]
fn an_archive_that_a_script_passes_to_the_linker_is_an_input() {
    let (witness, native) =
        member_with(|native| vec![format!("rustc-link-arg=-L{}", native.display()), "rustc-link-arg=-lvalue".into()]);
    witness.assert_correct(&TEXTS, in_archive(&native));
}

#[test]
fn an_archive_that_appears_in_an_earlier_directory_is_an_input() {
    let (witness, native) = member_with(|native| {
        let search = |name: &str| format!("rustc-link-search=native={}/{name}", native.display());
        vec![search("first"), search("second"), "rustc-link-lib=value".into()]
    });
    std::fs::create_dir_all(native.join("first")).expect("directories can be created");
    witness.assert_correct(&TEXTS, in_first(&native));
}

/// Makes the archive in the first of two directories contain a number. The number 1 comes from the second directory.
fn in_first(native: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let [first, second] = ["first", "second"].map(|name| native.join(name));
    move |project, text| {
        in_archive(&second)(project, "1");
        in_archive(&first)(project, if text == "1" { NOTHING } else { text })
    }
}

/// A dependency whose source has this attribute, and whose script prints these lines for cargo.
fn dependency_with(attribute: &str, said: impl Fn(&Path) -> Vec<String>) -> (Witness, PathBuf) {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("native");
    let library =
        format!("{attribute} extern \"C\" {{ fn value() -> i32; }} pub fn said() -> i32 {{ unsafe {{ value() }} }}");
    let leaf = with_script(Package::new("leaf", "1.0.0", &library), &said(&directory));
    (leaf_witness(sandbox, [leaf], "said()"), directory)
}

fn with_script(package: Package, said: &[String]) -> Package {
    script_printing(said).iter().fold(package, |package, script| package.build_script(script))
}

/// Attributes of a source with which the linker or the compiler finds the library.
const ATTRIBUTES: [&str; 2] = ["#[link(name = \"value\")]", "#[link(name = \"value\", kind = \"static\")]"];

#[test]
fn an_archive_named_by_a_source_is_an_input_if_a_script_names_the_directory() {
    for attribute in ATTRIBUTES {
        let search = |native: &Path| vec![format!("rustc-link-search=native={}", native.display())];
        let (witness, native) = dependency_with(attribute, search);
        witness.assert_correct(&TEXTS, in_archive(&native));
    }
}

#[test]
fn an_archive_named_by_a_source_is_an_input_if_a_flag_names_the_directory() {
    for attribute in ATTRIBUTES {
        let (witness, native) = dependency_with(attribute, |_| Vec::new());
        let demo = witness.demo.clone().env("RUSTFLAGS", format!("-Lnative={}", native.display()));
        witness.assert_correct(&TEXTS, |_, text| in_archive(&native)(&demo, text));
    }
}

/// A macro that expands to the number in the archive found through `LIBRARY_PATH`.
fn macro_with_archive() -> Package {
    let library = format!(
        "{} extern \"C\" {{ fn value() -> i32; }}
        #[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{
            unsafe {{ value() }}.to_string().parse().unwrap()
        }}",
        ATTRIBUTES[0]
    );
    Package::new("asking", "1.0.0", &library).procedural_macro()
}

/// Asserts that the program follows the archive of such a macro if these packages use it.
#[track_caller]
fn assert_archive_of_macro_is_input(users: impl IntoIterator<Item = Package>) {
    let sandbox = Sandbox::new();
    let native = sandbox.path("native");
    let witness = leaf_witness(sandbox, users.into_iter().chain([macro_with_archive()]), "said()");
    let demo = witness.demo.clone().env("LIBRARY_PATH", &native);
    witness.assert_follows_changes(&TEXTS, |_, text| in_archive(&native)(&demo, text));
}

#[test]
fn an_archive_linked_into_a_macro_is_an_input_of_the_crate_that_uses_the_macro() {
    let asks = "pub fn said() -> i32 { asking::ask!() }";
    assert_archive_of_macro_is_input([Package::new("leaf", "1.0.0", asks).dependency("asking", "1")]);
}

#[test]
fn an_archive_linked_into_a_macro_is_an_input_of_a_crate_that_uses_it_through_another_one() {
    let calls = "pub use asking; #[macro_export] macro_rules! call { () => { $crate::asking::ask!() } }";
    let calling = Package::new("calling", "1.0.0", calls).dependency("asking", "1");
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> i32 { calling::call!() }").dependency("calling", "1");
    assert_archive_of_macro_is_input([calling, leaf]);
}

/// The linker's inputs of a macro are those of the machine, but a user of the macro is reused on other machines
/// nevertheless.
#[test]
fn users_of_a_macro_linked_with_an_archive_are_reused_on_other_machines() {
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> i32 { asking::ask!() }").dependency("asking", "1");
    let witness = leaf_witness(Sandbox::new(), [leaf, macro_with_archive()], "said()");
    witness.assert_shared(in_variable_with_archives(&witness));
}

#[test]
fn an_archive_found_through_library_path_is_an_input() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    let native = witness.sandbox.path("native");
    let demo = witness.demo.clone().env("LIBRARY_PATH", &native);
    witness.assert_follows_changes(&TEXTS, |_, text| in_archive(&native)(&demo, text));
}

#[test]
fn an_archive_of_a_dependency_found_through_library_path_is_an_input() {
    let (witness, native) = dependency_with(ATTRIBUTES[0], |_| Vec::new());
    let demo = witness.demo.clone().env("LIBRARY_PATH", &native);
    witness.assert_follows_changes(&TEXTS, |_, text| in_archive(&native)(&demo, text));
}

/// Sets the variable `LIBRARY_PATH` to a directory with an archive that contains a number.
fn in_variable_with_archives(witness: &Witness) -> impl Fn(&Project, &str) -> Project + use<> {
    let directory = witness.sandbox.path("native");
    move |project, text| {
        let directory = directory.join(text);
        in_archive(&directory)(project, text).env("LIBRARY_PATH", directory)
    }
}

#[test]
fn another_directory_in_library_path_is_an_input() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    witness.assert_follows_changes(&TEXTS, in_variable_with_archives(&witness));
}

#[test]
fn an_archive_that_appears_in_an_earlier_directory_of_library_path_is_an_input() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    let native = witness.sandbox.path("native");
    std::fs::create_dir_all(native.join("first")).expect("directories can be created");
    let value = format!("{0}/first:{0}/second", native.display());
    let demo = witness.demo.clone().env("LIBRARY_PATH", value);
    witness.assert_follows_changes(&TEXTS, |_, text| in_first(&native)(&demo, text));
}

#[test]
fn an_archive_that_the_linker_finds_is_an_input_on_other_machines() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    witness.assert_sent(in_variable_with_archives(&witness));
}

#[test]
fn an_object_that_cargos_configuration_passes_to_the_linker_is_an_input() {
    let witness = member(Sandbox::new(), MAIN, &[]);
    let native = witness.sandbox.path("native");
    let config = witness.demo.read(".cargo/config.toml");
    let flags = format!("rustflags = [\"-Clink-arg={}/value.o\"]", native.display());
    witness.demo.write(".cargo/config.toml", format!("{config}\n[target.{}]\n{flags}\n", witness.demo.host()));
    witness.assert_correct(&TEXTS, in_object(&native));
}

#[test]
fn an_object_that_the_command_passes_to_the_linker_is_an_input() {
    let witness = member(Sandbox::new(), MAIN, &[]);
    let native = witness.sandbox.path("native");
    let argument = format!("link-arg={}/value.o", native.display());
    witness.built_by(&["rustc", "--", "-C", &argument]).assert_follows_changes(&TEXTS, in_object(&native));
}
