//! The small workspace that a proof builds, with one unit of each kind that cargo distinguishes.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::digest::Digest;
use crate::error::{Error, Result};

/// The target names that cargo reports when it builds the workspace.
pub(super) const TARGETS: &[&str] = &[
    "build-script-build",
    "build-script-build",
    "probe",
    "probe_declares",
    "probe_feature",
    "probe_macro",
    "probe_member",
    "probe_user",
    "probe_watches",
];
/// The targets that are no longer fresh after [`edit`] and with another value of [`VARIABLE`].
pub(super) const EDITED: &[&str] = &["probe", "probe_declares", "probe_member", "probe_user", "probe_watches"];
/// The time of the sources, since 1970, which is older than any build. Cargo looks at the time of a file that a build
/// script watches, unless the file is in a registry's own directory.
const SOURCE_TIME: Duration = Duration::from_secs(1_000_000_000);
/// The variable that a build script watches.
pub(super) const VARIABLE: &str = "PROBE_VALUE";

/// Paths and texts. The packages below `vendor` go into `CARGO_HOME`; to cargo, they are from a registry.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"member\"]\n[profile.dev]\ndebug = 0\n"),
    (
        "app/Cargo.toml",
        "[package]\nname = \"probe\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[dependencies]\n\
         probe_member = { path = \"../member\" }\nprobe_user = \"1\"\nprobe_watches = \"1\"\n",
    ),
    (
        "app/src/main.rs",
        "fn main() { println!(\"{}\", probe_member::ONE + probe_user::TWO + probe_watches::THREE); }\n",
    ),
    ("member/Cargo.toml", "[package]\nname = \"probe_member\"\nversion = \"1.0.0\"\nedition = \"2021\"\n"),
    ("member/src/lib.rs", "pub const ONE: u32 = 1;\n"),
    (
        "vendor/feature/Cargo.toml",
        "[package]\nname = \"probe_feature\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[features]\nmore = []\nother = []\n",
    ),
    ("vendor/feature/src/lib.rs", "#[cfg(feature = \"more\")]\npub const TWO: u32 = 2;\n"),
    (
        "vendor/declares/Cargo.toml",
        "[package]\nname = \"probe_declares\"\nversion = \"1.0.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n",
    ),
    (
        "vendor/declares/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-env-changed=PROBE_VALUE\");\n    \
         println!(\"cargo:rustc-env=PROBE_SAID={:?}\", std::env::var_os(\"PROBE_VALUE\"));\n    \
         let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());\n    \
         std::fs::write(out.join(\"made.rs\"), \"pub const MADE: u32 = 0;\").unwrap();\n}\n",
    ),
    (
        "vendor/declares/src/lib.rs",
        "pub const SAID: &str = env!(\"PROBE_SAID\");\ninclude!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n",
    ),
    (
        "vendor/watches/Cargo.toml",
        "[package]\nname = \"probe_watches\"\nversion = \"1.0.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n",
    ),
    ("vendor/watches/build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=watched.txt\");\n}\n"),
    ("vendor/watches/watched.txt", "one\n"),
    ("vendor/watches/src/lib.rs", "pub const THREE: u32 = 3;\n"),
    (
        "vendor/macro/Cargo.toml",
        "[package]\nname = \"probe_macro\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[lib]\nproc-macro = true\n",
    ),
    (
        "vendor/macro/src/lib.rs",
        "#[proc_macro]\npub fn two(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n    \
         \"2\".parse().unwrap()\n}\n",
    ),
    (
        "vendor/user/Cargo.toml",
        "[package]\nname = \"probe_user\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[dependencies]\nprobe_declares = \"1\"\n\
         probe_macro = \"1\"\nprobe_feature = { version = \"1\", features = [\"more\"] }\n",
    ),
    (
        "vendor/user/src/lib.rs",
        "pub const TWO: u32 = probe_macro::two!() + probe_feature::TWO + probe_declares::MADE - 2;\n",
    ),
];

/// Writes the packages that are not members into a `CARGO_HOME`.
pub(super) fn write_home(home: &Path) -> Result<()> {
    for (name, text) in FILES.iter().filter(|(name, _)| name.starts_with("vendor/")) {
        let path = home.join(name);
        write_file(&path, text)?;
        let file = File::options().write(true).open(&path).map_err(Error::io("open", &path))?;
        file.set_modified(SystemTime::UNIX_EPOCH + SOURCE_TIME).map_err(Error::io("write", &path))?;
        if let Some(package) = name.strip_suffix("/Cargo.toml") {
            // Any checksum will do for the package, and its files need none.
            let checksum = format!("{{\"files\":{{}},\"package\":\"{}\"}}", Digest::of(package.as_bytes()));
            write_file(&path.with_file_name(".cargo-checksum.json"), &checksum)?;
        }
    }
    Ok(())
}

/// Writes the members and the configuration. The configuration is in the workspace, so it overrides files in
/// directories above.
pub(super) fn write(directory: &Path, home: &Path, config: &str) -> Result<()> {
    let vendor = toml::Value::from(home.join("vendor").to_string_lossy().into_owned());
    let sources = format!("[source.crates-io]\nreplace-with = \"vendor\"\n[source.vendor]\ndirectory = {vendor}\n");
    write_file(&directory.join(".cargo/config.toml"), &format!("{config}\n{sources}"))?;
    let mut members = FILES.iter().filter(|(name, _)| !name.starts_with("vendor/"));
    members.try_for_each(|(name, text)| write_file(&directory.join(name), text))
}

/// Edits the source of a member and the file that a build script watches.
pub(super) fn edit(directory: &Path, home: &Path) -> Result<()> {
    write_file(&directory.join("member/src/lib.rs"), "pub const ONE: u32 = 4;\n")?;
    write_file(&home.join("vendor/watches/watched.txt"), "two\n")
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    fs::write(path, text).map_err(Error::io("write", path))
}
