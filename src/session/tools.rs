//! The programs that replace rustc or run in front of it, found as cargo finds them.
//!
//! Mirrors `GlobalContext::get_tool` and `ConfigRelativePath::resolve_program`. The tool's own variable wins, even if
//! it is empty, which means no program. A name without a directory is looked up in `PATH`. A relative path starts at
//! the current directory if it comes from a variable or an option, and at the directory that contains `.cargo` if it
//! comes from a file.
//!
//! **Invariant.** The result is the program that cargo would start, or a name that cargo cannot start either.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{Environment, Options};
use crate::cargo::{Cargo, CargoConfig};
use crate::digest::Digest;
use crate::error::Result;
use crate::probe::Program;
use crate::store::LocalStore;
use crate::wrapper::UserWrapper;

/// A program that the user can choose: by a variable of its own, by a `CARGO_BUILD_…` variable, or in the
/// configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    variable: Option<&'static str>,
    /// The key in the table `build`.
    configured: &'static str,
}

/// The compiler.
pub(super) const RUSTC: Tool = Tool { variable: Some("RUSTC"), configured: "rustc" };
/// The program in front of the compiler.
pub(super) const WRAPPER: Tool = Tool { variable: Some("RUSTC_WRAPPER"), configured: "rustc-wrapper" };
/// The program in front of the compiler for members.
pub(super) const WORKSPACE_WRAPPER: Tool =
    Tool { variable: Some("RUSTC_WORKSPACE_WRAPPER"), configured: "rustc-workspace-wrapper" };

impl Tool {
    /// The program that the environment names. `None` leaves the choice to the configuration.
    pub(super) fn in_environment(self, options: &Options) -> Option<OsString> {
        let variable = |name: &str| options.environment.0.get(OsStr::new(name));
        let is_option = || options.invocation.values("config").iter().any(|flag| holds(flag, self.configured));
        let configured = || variable(&format!("CARGO_BUILD_{}", self.configured.to_uppercase().replace('-', "_")));
        let named = self.variable.and_then(variable).or_else(|| configured().filter(|_| !is_option()))?;
        Some(from(&options.directory, named))
    }

    /// The program that the environment or the configuration names. An empty name switches it off.
    pub(super) fn named(self, options: &Options, cargo: &Cargo, config: &CargoConfig) -> Result<Option<OsString>> {
        let named = match (self.in_environment(options), config.build(self.configured)) {
            (Some(named), _) => Some(named),
            (None, Some(name)) => {
                Some(configured(&options.directory, cargo, &format!("build.{}", self.configured), name)?)
            }
            (None, None) => None,
        };
        Ok(named.filter(|name| !name.is_empty()))
    }
}

fn holds(flag: &OsStr, name: &str) -> bool {
    flag.to_string_lossy().contains(name)
}

/// A program that the configuration names. For a relative path, which is rare, cargo says which file it comes from.
pub(super) fn configured(directory: &Path, cargo: &Cargo, key: &str, name: &str) -> Result<OsString> {
    if !has_directory(OsStr::new(name)) || Path::new(name).is_absolute() {
        return Ok(name.into());
    }
    let origin = cargo.config_origin(key)?;
    let file = origin.as_deref().and_then(Path::parent).and_then(Path::parent);
    Ok(from(file.unwrap_or(directory), OsStr::new(name)))
}

pub(super) fn from(directory: &Path, name: &OsStr) -> OsString {
    if has_directory(name) { directory.join(name).into() } else { name.to_owned() }
}

fn has_directory(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

/// Finds a program as the system does for cargo.
pub(super) fn find(environment: &Environment, directory: &Path, name: &OsStr) -> Option<Program> {
    Program::find(name, directory, environment.get("PATH"))
}

/// The user's own rustc wrapper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wrapper {
    /// The program that is started, and the name that cargo passes to build scripts.
    pub user: UserWrapper,
    /// Its name and the digest of its content.
    pub identity: String,
}

impl Wrapper {
    /// Finds the wrapper that is named, if there is one.
    pub(super) fn find(
        options: &Options,
        cargo: &Cargo,
        config: &CargoConfig,
        store: &LocalStore,
    ) -> Result<Option<Self>> {
        let Some(name) = WRAPPER.named(options, cargo, config)? else { return Ok(None) };
        let found = find(&options.environment, &options.directory, &name);
        let content = found.as_ref().and_then(|program| program.content(store));
        let path = found.map_or_else(|| PathBuf::from(&name), |program| program.path().to_owned());
        let text = |name: &OsStr| name.to_string_lossy().into_owned();
        Ok(Some(Self {
            identity: identity(&path, content),
            user: UserWrapper { program: text(path.as_os_str()), name_for_scripts: text(&name) },
        }))
    }
}

/// A program's name and content. The name counts because some programs act differently under another one.
fn identity(path: &Path, content: Option<Digest>) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    content.map_or_else(|| path.to_string_lossy().into_owned(), |content| format!("{name} {content}"))
}
