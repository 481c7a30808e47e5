//! Build scripts and procedural macros that read one thing, in a workspace whose program prints what they read.

use crate::{Package, Sandbox, Witness};

/// The functions for reading. Each returns a text.
const READERS: &str = r#"
    fn variable(name: &str) -> String { std::env::var(name).unwrap_or_else(|_| "nothing".into()) }

    /// The last word in a file.
    fn file(path: impl AsRef<std::path::Path>) -> String {
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| "nothing".into());
        text.split_whitespace().last().unwrap().to_owned()
    }

    fn list(path: impl AsRef<std::path::Path>) -> String {
        let files = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = files.collect();
        names.sort();
        if names.is_empty() { "nothing".into() } else { names.join(" ") }
    }

    fn is_there(path: impl AsRef<std::path::Path>) -> String { path.as_ref().exists().to_string() }

    fn tool(name: &str) -> String {
        let said = std::process::Command::new(name).output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().to_owned()
    }

    /// Whether a tool succeeds.
    fn agrees(name: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
        std::process::Command::new(name).args(arguments).output().unwrap().status.success().to_string()
    }

    /// The path of a file of the package that is compiled.
    fn own(path: &str) -> String { format!("{}/{path}", variable("CARGO_MANIFEST_DIR")) }
"#;

/// A program that prints `said` of the registry package `leaf`.
pub fn leaf_witness(sandbox: Sandbox, packages: impl IntoIterator<Item = Package>, said: &str) -> Witness {
    let registry = sandbox.registry(packages);
    let main = format!("fn main() {{ println!(\"{{}}\", leaf::{said}); }}");
    Witness::new(sandbox, move |sandbox| sandbox.demo(&registry, "leaf = \"1\"", &main))
}

/// The package has a file with a text, a directory with a name, and a file to compile.
fn leaf(library: &str) -> Package {
    Package::new("leaf", "1.0.0", library).file("said.txt", "1").file("listed/1", "").file("tried.rs", "")
}

/// A workspace where the script of `leaf` declares these inputs, such as `env-changed=NAME`, and reads something.
pub fn script_in(sandbox: Sandbox, declared: &[&str], look: &str) -> Witness {
    let declared: String = declared.iter().map(|input| format!("println!(\"cargo:rerun-if-{input}\");")).collect();
    let script = format!("{READERS} {declared} println!(\"cargo:rustc-env=SAID={{}}\", {look});");
    leaf_witness(sandbox, [leaf("pub const SAID: &str = env!(\"SAID\");").counted_script(&script)], "SAID")
}

/// The same on a new machine.
pub fn script(declared: &[&str], look: &str) -> Witness {
    script_in(Sandbox::new(), declared, look)
}

/// Uses the macro.
const ASKS: &str = "pub const SAID: &str = asking::ask!(\"MADE_UP_BY_CALLER\", \"of:MADE_UP_IN_TEXT\", MADE_UP_AS_WORD, \"the made_up\", \"small\");";

/// A macro that reads something. `named` are the words in its input.
fn asking(look: &str) -> Package {
    let library = format!(
        "{READERS}
        #[proc_macro] pub fn ask(input: proc_macro::TokenStream) -> proc_macro::TokenStream {{
            let named = input.to_string();
            let named: Vec<&str> = named.split([' ', '\\n', ',', ':', '\"']).filter(|word| !word.is_empty()).collect();
            let said: String = {look};
            format!(\"{{said:?}}\").parse().unwrap()
        }}"
    );
    Package::new("asking", "1.0.0", &library).procedural_macro()
}

/// A workspace where `leaf` of a registry uses the macro.
pub fn dependency_in(sandbox: Sandbox, look: &str) -> Witness {
    leaf_witness(sandbox, [asking(look), leaf(ASKS).dependency("asking", "1")], "SAID")
}

/// The same on a new machine.
pub fn dependency(look: &str) -> Witness {
    dependency_in(Sandbox::new(), look)
}

/// A workspace where `leaf` uses the macro through a macro of another crate.
pub fn called(look: &str) -> Witness {
    let calls =
        "pub use asking; #[macro_export] macro_rules! call { () => { $crate::asking::ask!(MADE_UP_BY_MACRO) } }";
    let calling = Package::new("calling", "1.0.0", calls).dependency("asking", "1");
    let leaf = leaf("pub const SAID: &str = calling::call!();").dependency("calling", "1");
    leaf_witness(Sandbox::new(), [asking(look), calling, leaf], "SAID")
}

/// A workspace where the member `inner` uses the macro, in a subdirectory.
pub fn member_in(sandbox: Sandbox, look: &str) -> Witness {
    let registry = sandbox.registry([asking(look)]);
    let main = "fn main() { println!(\"{}\", inner::SAID); }";
    let manifest = "[package]\nname = \"inner\"\nedition = \"2021\"\n[dependencies]\nasking = \"1\"\n";
    Witness::new(sandbox, move |sandbox| {
        let demo = sandbox.demo_unlocked("inner = { path = \"inner\" }", main);
        demo.write("inner/Cargo.toml", manifest);
        demo.write("inner/src/lib.rs", ASKS);
        demo.write("inner/said.txt", "1");
        demo.write("inner/listed/1", "");
        sandbox.lock(&demo, &registry, manifest, &[]);
        demo
    })
}

/// The same on a new machine.
pub fn member(look: &str) -> Witness {
    member_in(Sandbox::new(), look)
}
