//! The linkers of these tests are real programs: scripts in a directory, beside the files of a library.

use serde_json::json;

use super::*;
use crate::cargo::{Invocation, Rustflags};
use crate::reference::field_changes::{Change, assert_each_field_counts};

const HOST: &str = "x86_64-unknown-linux-gnu";
const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// A machine whose linkers answer `--version` with their name and a given version.
struct Machine {
    directory: tempfile::TempDir,
    store: LocalStore,
    sees_inputs: bool,
}

impl Machine {
    fn new(version: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        let machine = Self { directory, store, sees_inputs: false };
        for name in ["cc", "clang", "ldd", "x86_64-w64-mingw32-gcc"] {
            machine.script(name, version);
        }
        machine.write("lib/crt1.o", "start");
        machine
    }

    fn script(&self, name: &str, version: &str) {
        use std::os::unix::fs::PermissionsExt;
        // The text contains no path, so that it is the same on every machine.
        let directories = "libraries: =$(dirname \"$0\")/../lib";
        let answer = format!(
            "case $1 in --version) echo '{name} {version}' ;; -print-search-dirs) echo \"{directories}\" ;; *) exit 1 ;; esac"
        );
        self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{answer}\n"));
        let path = self.directory.path().join("bin").join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::process::while_nothing_starts(|| std::fs::write(path, content)).unwrap();
    }

    fn class_of(&self, platform: &str, variables: &[(&str, &str)], config: serde_json::Value) -> Option<HostClass> {
        let path = format!("{}:/usr/bin:/bin", self.directory.path().join("bin").display());
        let variables = variables.iter().copied().chain([("PATH", path.as_str())]);
        let environment = Environment(variables.map(|(name, value)| (name.into(), value.into())).collect());
        let cargo = Cargo::new(None, Invocation::new(None, "build", Vec::new()));
        let config = serde_json::from_value(config).unwrap();
        let directory = self.directory.path();
        let (environment, cargo, config, store) = (&environment, &cargo, &config, &self.store);
        let variable = |name: &str| environment.text(name);
        let flags = Rustflags { config, variable: &variable }.of(platform, |_| Some("unix\n".into()));
        let flags = &[(platform.to_owned(), flags)].into();
        let sees_inputs = &|| self.sees_inputs;
        LinkerProbe { environment, directory, cargo, config, store, host: HOST, flags, sees_inputs }.class(platform)
    }
}

/// The class of a new machine.
fn class(version: &str, variables: &[(&str, &str)], config: serde_json::Value) -> Option<HostClass> {
    Machine::new(version).class_of(HOST, variables, config)
}

#[test]
fn a_platform_is_known_by_its_linker_and_its_library() {
    let plain = class("1.0", &[], json!({}));
    assert!(plain.is_some());
    assert_eq!(class("1.0", &[], json!({})), plain, "other paths and times");
    assert_ne!(class("2.0", &[], json!({})), plain);
    let linker = ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "clang");
    assert_ne!(class("1.0", &[linker], json!({})), plain);
    assert_ne!(class("1.0", &[], json!({ "target": { HOST: { "linker": "clang" } } })), plain);
    let words = |class: Option<HostClass>, name: &str| class.unwrap().components[name].description.clone();
    assert_eq!(words(plain.clone(), "linker"), "cc 1.0");
    assert_eq!(words(plain, "C library"), "ldd 1.0");
    assert_eq!(words(class("1.0", &[linker], json!({})), "linker"), "clang 1.0");
    assert_eq!(class("1.0", &[(linker.0, "absent")], json!({})), None);
}

#[test]
fn a_platform_is_another_one_when_its_linker_or_its_library_has_another_content() {
    let machine = Machine::new("1.0");
    for platform in [HOST, WINDOWS] {
        let class = || machine.class_of(platform, &[], json!({}));
        let plain = class();
        assert!(plain.is_some() && class() == plain, "{platform}");
        let linker = if platform == HOST { "cc" } else { "x86_64-w64-mingw32-gcc" };
        let path = machine.directory.path().join("bin").join(linker);
        let text = std::fs::read_to_string(&path).unwrap();
        machine.write(&format!("bin/{linker}"), &format!("{text}# of the same version\n"));
        assert_ne!(class(), plain, "{platform}");
        machine.write(&format!("bin/{linker}"), &text);
        assert_eq!(class(), plain, "{platform}");
        machine.write("lib/crt1.o", "other");
        assert_ne!(class(), plain, "{platform}");
        machine.write("lib/crt1.o", "start");
    }
}

#[test]
fn the_class_of_another_platform_depends_only_on_its_own_linker() {
    let machine = Machine::new("1.0");
    let plain = machine.class_of(WINDOWS, &[], json!({}));
    machine.script("cc", "2.0");
    machine.script("ldd", "2.0");
    assert_eq!(machine.class_of(WINDOWS, &[], json!({})), plain);
    machine.script("x86_64-w64-mingw32-gcc", "2.0");
    assert_ne!(machine.class_of(WINDOWS, &[], json!({})), plain);
    let flags = json!({ "target": { HOST: { "rustflags": ["-Clink-arg=-s"] } } });
    assert!(machine.class_of(WINDOWS, &[], flags.clone()).is_some());
    assert_eq!(machine.class_of(HOST, &[], flags), None);
}

#[test]
fn a_platform_with_an_unknown_linker_has_no_class() {
    let machine = Machine::new("1.0");
    let known = |platform: &str| machine.class_of(platform, &[], json!({})).is_some();
    for platform in
        ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-musl", "wasm32-unknown-unknown", "thumbv7em-none-eabihf"]
    {
        assert!(known(platform), "{platform}");
    }
    for platform in ["x86_64-pc-windows-msvc", "i686-pc-windows-gnu", "avr-none", "riscv32imac-esp-espidf", "made-up"] {
        assert!(!known(platform), "{platform}");
    }
    // If a linker does not name its directories, only the library of this host is known, by its version.
    machine.write("bin/x86_64-w64-mingw32-gcc", "#!/bin/sh\ntest $1 = --version && echo 1.0\n");
    assert!(!known(WINDOWS));
}

#[test]
fn a_platform_whose_linker_is_set_by_flags_has_a_class_only_if_inputs_are_observed() {
    let flags = json!({ "rustflags": ["-C", "link-arg=-fuse-ld=mold"] });
    for config in [
        json!({ "build": flags }),
        json!({ "target": { HOST: flags } }),
        json!({ "target": { "cfg(unix)": flags } }),
        json!({ "target": { "cfg(unix)": { "linker": "clang" } } }),
    ] {
        assert_eq!(class("1.0", &[], config.clone()), None, "{config}");
        let observing = Machine { sees_inputs: true, ..Machine::new("1.0") };
        assert!(observing.class_of(HOST, &[], config).is_some(), "the inputs of any linker are observed");
    }
    for variable in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS"] {
        assert_eq!(class("1.0", &[(variable, "-Clinker=clang")], json!({})), None, "{variable}");
    }
    // Flags for another target, or about something else, say nothing about this linker.
    for other in [
        json!({ "target": { "x86_64-unknown-linux-musl": flags }, "build": { "rustflags": ["-g"] } }),
        json!({ "target": { "cfg(windows)": flags } }),
        json!({ "build": { "rustflags": ["--cfg", "linked", "-L", "native=/linker", "-Cmetadata=link"] } }),
    ] {
        assert_eq!(class("1.0", &[], other.clone()), class("1.0", &[], json!({})), "{other}");
    }
}

#[test]
fn each_part_of_a_linker_and_of_a_library_makes_another_one() {
    let linker = || ProbedLinker {
        name: Some(OsStr::new("cc")),
        version: "cc 1",
        content: Digest::of("cc"),
        ld: Some(Digest::of("ld")),
    };
    let changes: &[Change<ProbedLinker<'_>>] = &[
        ("name", |linker| linker.name = Some(OsStr::new("clang"))),
        ("said", |linker| linker.version = "cc 2"),
        ("content", |linker| linker.content = Digest::of("another")),
        ("behind", |linker| linker.ld = None),
    ];
    assert_each_field_counts(Domain::HostClass, linker, changes);
    let changes: &[Change<ProbedLibrary<'_>>] =
        &[("said", |library| library.version = "2"), ("content", |library| library.content = Digest::of("another"))];
    assert_each_field_counts(
        Domain::HostClass,
        || ProbedLibrary { version: "1", content: Digest::of("libc") },
        changes,
    );
}

#[test]
fn each_file_of_a_library_alone_makes_another_class() {
    let machine = Machine::new("1.0");
    let class = || machine.class_of(HOST, &[], json!({}));
    LIBRARIES.iter().for_each(|name| machine.write(&format!("lib/{name}"), "one"));
    let plain = class();
    assert!(plain.is_some() && class() == plain);
    for name in LIBRARIES {
        machine.write(&format!("lib/{name}"), "another");
        assert_ne!(class(), plain, "{name}");
        machine.write(&format!("lib/{name}"), "one");
    }
    assert_eq!(class(), plain);
}

#[test]
fn what_the_linker_starts_makes_another_class() {
    let machine = Machine::new("1.0");
    let path = machine.directory.path().join("bin/cc");
    let text = std::fs::read_to_string(&path).unwrap();
    let names_ld = text.replace("*) exit 1", "-print-prog-name=ld) echo ld ;; *) exit 1");
    machine.write("bin/cc", &names_ld);
    machine.script("ld", "1.0");
    let plain = machine.class_of(HOST, &[], json!({}));
    assert!(plain.is_some());
    machine.script("ld", "2.0");
    assert_ne!(machine.class_of(HOST, &[], json!({})), plain);
    machine.script("ld", "1.0");
    assert_eq!(machine.class_of(HOST, &[], json!({})), plain);
}
