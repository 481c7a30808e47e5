//! What C compilers and linkers read and tell nobody: where it has changed, they are started again, and where it has not,
//! what they made is reused.
//!
//! A function in C gives a number, which a program says. The number comes to it by each of the ways in which compilers and
//! linkers find files.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use support::native::{in_archive, in_object};
use support::readers::of_leaf;
use support::witness::{NOTHING, in_file};
use support::{Package, Project, Sandbox, Witness, tree};

/// The last is seen by what has seen the ones before.
const TEXTS: [&str; 3] = ["1", "2", "1"];

// What C compilers read.

/// Compiles a C file with the flags that an expression gives, as the `cc` crate does, and declares what it declares.
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

/// The flags that a variable gives.
const CFLAGS: &str = "variable(\"CFLAGS\").unwrap_or_default()";

/// The flags that a description for pkg-config gives.
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
    of_leaf(Sandbox::new(), [native.counted_script(&COMPILING.replace("@flags@", flags))], "said()")
}

/// Has the header in a directory define a number, or not be there.
fn in_header(directory: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let write = in_file(&directory.join("made_up_value.h"));
    move |project, text| {
        let content = if text == NOTHING { NOTHING.into() } else { format!("#define VALUE {text}\n") };
        write(project, &content)
    }
}

#[test]
fn a_description_of_the_same_size_counts_for_a_script() {
    let witness = compiling(FROM_FLAG, DESCRIBED);
    let directory = witness.sandbox.path("described");
    let demo = witness.demo.clone().env("PKG_CONFIG_PATH", &directory);
    witness.assert_follows(&TEXTS, |_, text| {
        in_file(&directory.join("value.pc"))(&demo, &format!("Name: value\nCflags: -DVALUE={text}\n"))
    });
}

#[test]
fn a_header_in_a_directory_of_a_flag_counts_for_a_compiler() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    let directory = witness.sandbox.path("headers");
    let demo = witness.demo.clone().env("CFLAGS", format!("-I{}", directory.display()));
    witness.assert_follows(&TEXTS, |_, text| in_header(&directory)(&demo, text));
}

#[test]
fn a_header_in_a_directory_of_a_variable_of_the_compiler_counts() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    let directory = witness.sandbox.path("headers");
    let demo = witness.demo.clone().env("CPATH", &directory);
    witness.assert_follows(&TEXTS, |_, text| in_header(&directory)(&demo, text));
}

#[test]
fn a_variable_of_the_compiler_that_names_another_directory_counts() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    witness.assert_follows(&TEXTS, in_variable_with_headers(&witness));
}

/// Has the variable `CPATH` name a directory whose header defines a number.
fn in_variable_with_headers(witness: &Witness) -> impl Fn(&Project, &str) -> Project + use<> {
    let directory = witness.sandbox.path("headers");
    move |project, text| {
        let directory = directory.join(text);
        in_header(&directory)(project, text).env("CPATH", directory)
    }
}

#[test]
fn a_header_counts_on_other_machines() {
    let witness = compiling(FROM_HEADER, CFLAGS);
    witness.assert_shared(in_variable_with_headers(&witness));
}

/// A header comes to be in the first of two directories, and goes again.
#[track_caller]
fn assert_first_directory_counts(name: &str, value: impl Fn(&Path, &Path) -> String) {
    let witness = compiling(FROM_HEADER, CFLAGS);
    let [first, second] = ["first", "second"].map(|name| witness.sandbox.path(name));
    std::fs::create_dir_all(&first).expect("directories can be made");
    let demo = witness.demo.clone().env(name, value(&first, &second));
    witness.assert_follows(&TEXTS, |_, text| {
        in_header(&second)(&demo, "1");
        in_header(&first)(&demo, if text == "1" { NOTHING } else { text })
    });
}

#[test]
fn a_header_that_comes_to_be_in_an_earlier_directory_of_a_flag_counts() {
    let flags = |first: &Path, second: &Path| format!("-I{} -I{}", first.display(), second.display());
    assert_first_directory_counts("CFLAGS", flags);
}

#[test]
fn a_header_that_comes_to_be_in_an_earlier_directory_of_a_variable_counts() {
    assert_first_directory_counts("CPATH", |first, second| format!("{}:{}", first.display(), second.display()));
}

/// A script that starts the compiler with flags that are in a file.
#[test]
fn flags_that_a_script_in_front_of_the_compiler_reads_count() {
    let witness = compiling(FROM_FLAG, CFLAGS);
    let [compiler, flags] = ["tools/compiler", "tools/flags"].map(|name| witness.sandbox.path(name));
    tree::write_script(&compiler, &format!("exec cc $(cat '{}') \"$@\"", flags.display()));
    let demo = witness.demo.clone().env("CC", &compiler);
    witness.assert_follows(&TEXTS, |_, text| in_file(&flags)(&demo, &format!("-DVALUE={text}")));
}

/// A script that starts another compiler, which becomes another one and says nothing of that.
#[test]
fn a_compiler_behind_a_script_counts_that_becomes_another_one() {
    let witness = compiling(FROM_FLAG, CFLAGS);
    let [compiler, behind] = ["tools/compiler", "behind/compiler"].map(|name| witness.sandbox.path(name));
    tree::write_script(&compiler, &format!("exec '{}' \"$@\"", behind.display()));
    let demo = witness.demo.clone().env("CC", &compiler);
    witness.assert_follows(&TEXTS, |_, text| {
        tree::write_script(&behind, &format!("exec cc -DVALUE={text} \"$@\""));
        demo.clone()
    });
}

// What linkers read.

/// A program that says what a function of C gives, of which cargo knows nothing.
const MAIN: &str = "unsafe extern \"C\" { fn value() -> i32; } fn main() { println!(\"{}\", unsafe { value() }); }";

/// The same, which names the library.
const LINKING_MAIN: &str = "#[link(name = \"value\")] unsafe extern \"C\" { fn value() -> i32; }
    fn main() { println!(\"{}\", unsafe { value() }); }";

/// A member with this program, and with a script that says this to cargo, where it says anything.
fn member(sandbox: Sandbox, main: &'static str, said: &[String]) -> Witness {
    let registry = sandbox.registry([]);
    let script = script_saying(said);
    Witness::new(sandbox, move |sandbox| {
        let demo = sandbox.demo(&registry, "", main);
        script.iter().for_each(|script| demo.write("build.rs", script));
        demo
    })
}

/// A script that says this to cargo; none where there is nothing to say.
fn script_saying(lines: &[String]) -> Option<String> {
    let own = "rerun-if-changed=build.rs".to_owned();
    let said = |line: &String| format!("println!(\"cargo:{{}}\", {line:?});\n");
    let said: String = std::iter::once(&own).chain(lines).map(said).collect();
    (!lines.is_empty()).then(|| format!("fn main() {{ {said} }}"))
}

/// A member whose script has the linker read something that is in a directory of the machine.
fn member_with(said: impl Fn(&Path) -> Vec<String>) -> (Witness, PathBuf) {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("native");
    (member(sandbox, MAIN, &said(&directory)), directory)
}

#[test]
fn an_object_that_a_script_names_for_the_linker_counts() {
    let (witness, native) = member_with(|native| vec![format!("rustc-link-arg={}/value.o", native.display())]);
    witness.assert_right(&TEXTS, in_object(&native));
}

#[test]
fn an_object_that_a_script_names_for_the_linker_of_a_macro_counts() {
    let sandbox = Sandbox::new();
    let native = sandbox.path("native");
    let library = "extern \"C\" { fn value() -> i32; }
        #[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
            unsafe { value() }.to_string().parse().unwrap()
        }";
    let asking = Package::new("asking", "1.0.0", library).procedural_macro();
    let asking = with_script(asking, &[format!("rustc-link-arg={}/value.o", native.display())]);
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> i32 { asking::ask!() }").dependency("asking", "1");
    of_leaf(sandbox, [asking, leaf], "said()").assert_right(&TEXTS, in_object(&native));
}

#[test]
fn a_linker_script_that_a_script_names_counts() {
    let (witness, native) = member_with(|native| vec![format!("rustc-link-arg={}/value.ld", native.display())]);
    witness.assert_right(&TEXTS, |project, text| {
        let object = native.join(text).join("value.o");
        in_object(&native.join(text))(project, text);
        in_file(&native.join("value.ld"))(project, &format!("INPUT({})", object.display()))
    });
}

#[test]
fn an_object_that_a_linker_script_names_counts() {
    let (witness, native) = member_with(|native| vec![format!("rustc-link-arg={}/value.ld", native.display())]);
    tree::write(&native.join("value.ld"), format!("INPUT({}/value.o)", native.display()));
    witness.assert_right(&TEXTS, in_object(&native));
}

/// Says which of its functions can be found in it when it runs.
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
fn a_version_script_that_a_script_names_counts() {
    let sandbox = Sandbox::new();
    let script = sandbox.path("native/exports.map");
    let said = ["-Wl,--export-dynamic".to_owned(), format!("-Wl,--version-script={}", script.display())];
    let witness = member(sandbox, EXPORTING, &said.map(|argument| format!("rustc-link-arg={argument}")));
    witness.assert_right(&TEXTS, |project, text| {
        in_file(&script)(project, &format!("{{ global: exported_{text}; local: *; }};\n"))
    });
}

#[test]
fn an_archive_that_a_members_script_names_as_a_library_counts() {
    let (witness, native) = member_with(|native| {
        vec![format!("rustc-link-search=native={}", native.display()), "rustc-link-lib=static=value".into()]
    });
    witness.assert_right(&TEXTS, in_archive(&native));
}

#[test]
fn an_archive_that_a_script_of_a_dependency_names_as_a_library_counts() {
    let (witness, native) = dependency_with("", |native| {
        vec![format!("rustc-link-search=native={}", native.display()), "rustc-link-lib=static=value".into()]
    });
    witness.assert_right(&TEXTS, in_archive(&native));
}

#[test]
fn an_archive_that_a_script_names_for_the_linker_counts() {
    let (witness, native) =
        member_with(|native| vec![format!("rustc-link-arg=-L{}", native.display()), "rustc-link-arg=-lvalue".into()]);
    witness.assert_right(&TEXTS, in_archive(&native));
}

#[test]
fn an_archive_that_comes_to_be_in_an_earlier_directory_counts() {
    let (witness, native) = member_with(|native| {
        let search = |name: &str| format!("rustc-link-search=native={}/{name}", native.display());
        vec![search("first"), search("second"), "rustc-link-lib=value".into()]
    });
    std::fs::create_dir_all(native.join("first")).expect("directories can be made");
    witness.assert_right(&TEXTS, in_first(&native));
}

/// Has the function in the archive of the first of two directories give a number. One that the second gives is in that.
fn in_first(native: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let [first, second] = ["first", "second"].map(|name| native.join(name));
    move |project, text| {
        in_archive(&second)(project, "1");
        in_archive(&first)(project, if text == "1" { NOTHING } else { text })
    }
}

/// A dependency whose source has this attribute, and whose script says this to cargo.
fn dependency_with(attribute: &str, said: impl Fn(&Path) -> Vec<String>) -> (Witness, PathBuf) {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("native");
    let library =
        format!("{attribute} extern \"C\" {{ fn value() -> i32; }} pub fn said() -> i32 {{ unsafe {{ value() }} }}");
    let leaf = with_script(Package::new("leaf", "1.0.0", &library), &said(&directory));
    (of_leaf(sandbox, [leaf], "said()"), directory)
}

fn with_script(package: Package, said: &[String]) -> Package {
    script_saying(said).iter().fold(package, |package, script| package.build_script(script))
}

/// A source says that it links it, and the linker or the compiler finds it.
const LINKED: [&str; 2] = ["#[link(name = \"value\")]", "#[link(name = \"value\", kind = \"static\")]"];

#[test]
fn an_archive_that_only_a_source_names_counts_where_a_script_names_the_directory() {
    for attribute in LINKED {
        let search = |native: &Path| vec![format!("rustc-link-search=native={}", native.display())];
        let (witness, native) = dependency_with(attribute, search);
        witness.assert_right(&TEXTS, in_archive(&native));
    }
}

#[test]
fn an_archive_that_only_a_source_names_counts_where_a_flag_names_the_directory() {
    for attribute in LINKED {
        let (witness, native) = dependency_with(attribute, |_| Vec::new());
        let demo = witness.demo.clone().env("RUSTFLAGS", format!("-Lnative={}", native.display()));
        witness.assert_right(&TEXTS, |_, text| in_archive(&native)(&demo, text));
    }
}

/// A macro that gives the number of the function in the archive that `LIBRARY_PATH` leads to.
fn macro_with_archive() -> Package {
    let library = format!(
        "{} extern \"C\" {{ fn value() -> i32; }}
        #[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{
            unsafe {{ value() }}.to_string().parse().unwrap()
        }}",
        LINKED[0]
    );
    Package::new("asking", "1.0.0", &library).procedural_macro()
}

/// The program says what such a macro gives where these packages use it.
#[track_caller]
fn assert_archive_of_macro_counts(users: impl IntoIterator<Item = Package>) {
    let sandbox = Sandbox::new();
    let native = sandbox.path("native");
    let witness = of_leaf(sandbox, users.into_iter().chain([macro_with_archive()]), "said()");
    let demo = witness.demo.clone().env("LIBRARY_PATH", &native);
    witness.assert_follows(&TEXTS, |_, text| in_archive(&native)(&demo, text));
}

#[test]
fn an_archive_counts_where_a_macro_is_used_that_it_is_linked_with() {
    let asks = "pub fn said() -> i32 { asking::ask!() }";
    assert_archive_of_macro_counts([Package::new("leaf", "1.0.0", asks).dependency("asking", "1")]);
}

#[test]
fn an_archive_counts_where_another_crate_has_a_macro_called_that_it_is_linked_with() {
    let calls = "pub use asking; #[macro_export] macro_rules! call { () => { $crate::asking::ask!() } }";
    let calling = Package::new("calling", "1.0.0", calls).dependency("asking", "1");
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> i32 { calling::call!() }").dependency("calling", "1");
    assert_archive_of_macro_counts([calling, leaf]);
}

/// What the linker reads for a macro is the machine's: who uses the macro is none the less good on others.
#[test]
fn what_uses_a_macro_that_is_linked_with_an_archive_is_reused_on_other_machines() {
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> i32 { asking::ask!() }").dependency("asking", "1");
    let witness = of_leaf(Sandbox::new(), [leaf, macro_with_archive()], "said()");
    witness.assert_shared(in_variable_with_archives(&witness));
}

#[test]
fn an_archive_counts_that_is_in_a_directory_of_a_variable_of_the_linker() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    let native = witness.sandbox.path("native");
    let demo = witness.demo.clone().env("LIBRARY_PATH", &native);
    witness.assert_follows(&TEXTS, |_, text| in_archive(&native)(&demo, text));
}

#[test]
fn an_archive_of_a_dependency_counts_that_is_in_a_directory_of_a_variable_of_the_linker() {
    let (witness, native) = dependency_with(LINKED[0], |_| Vec::new());
    let demo = witness.demo.clone().env("LIBRARY_PATH", &native);
    witness.assert_follows(&TEXTS, |_, text| in_archive(&native)(&demo, text));
}

/// Has the variable `LIBRARY_PATH` name a directory with an archive whose function gives a number.
fn in_variable_with_archives(witness: &Witness) -> impl Fn(&Project, &str) -> Project + use<> {
    let directory = witness.sandbox.path("native");
    move |project, text| {
        let directory = directory.join(text);
        in_archive(&directory)(project, text).env("LIBRARY_PATH", directory)
    }
}

#[test]
fn a_variable_of_the_linker_that_names_another_directory_counts() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    witness.assert_follows(&TEXTS, in_variable_with_archives(&witness));
}

#[test]
fn an_archive_that_comes_to_be_in_an_earlier_directory_of_a_variable_counts() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    let native = witness.sandbox.path("native");
    std::fs::create_dir_all(native.join("first")).expect("directories can be made");
    let value = format!("{0}/first:{0}/second", native.display());
    let demo = witness.demo.clone().env("LIBRARY_PATH", value);
    witness.assert_follows(&TEXTS, |_, text| in_first(&native)(&demo, text));
}

#[test]
fn an_archive_that_a_linker_finds_counts_on_other_machines() {
    let witness = member(Sandbox::new(), LINKING_MAIN, &[]);
    witness.assert_sent(in_variable_with_archives(&witness));
}

#[test]
fn an_object_that_cargos_configuration_names_for_the_linker_counts() {
    let witness = member(Sandbox::new(), MAIN, &[]);
    let native = witness.sandbox.path("native");
    let config = witness.demo.read(".cargo/config.toml");
    let flags = format!("rustflags = [\"-Clink-arg={}/value.o\"]", native.display());
    witness.demo.write(".cargo/config.toml", format!("{config}\n[target.{}]\n{flags}\n", witness.demo.host()));
    witness.assert_right(&TEXTS, in_object(&native));
}

#[test]
fn an_object_that_the_command_names_for_the_linker_counts() {
    let witness = member(Sandbox::new(), MAIN, &[]);
    let native = witness.sandbox.path("native");
    let argument = format!("link-arg={}/value.o", native.display());
    witness.built_by(&["rustc", "--", "-C", &argument]).assert_follows(&TEXTS, in_object(&native));
}
