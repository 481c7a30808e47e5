//! A rustc call: the wrapper's request, its parsed command line and its directories.

use camino::{Utf8Path, Utf8PathBuf};

use super::protocol::Request;
use super::restore::Variables;
use crate::hydrate::own_dirs;
use crate::plan::{Driver, PRIMARY, Unit};
use crate::roots::Roots;
use crate::rustc::Invocation;
use crate::rustc::written::written;

/// A rustc call with its parsed command line.
pub(super) struct Call {
    pub request: Request,
    pub invocation: Invocation,
    /// The program that is started instead of rustc, with rustc as its first argument.
    driver: Option<String>,
    /// The directory that rustc runs in.
    pub directory: Utf8PathBuf,
    /// The directory that rustc writes to.
    pub out_dir: Utf8PathBuf,
}

impl Call {
    /// The system reports rustc's directory without links. Cargo's names go through the links that lead to a root.
    pub(super) fn new(request: Request, invocation: Invocation, driver: Option<String>, roots: Option<&Roots>) -> Self {
        let through_links = roots.and_then(|roots| roots.resolve(&roots.locate(&request.directory)));
        let directory = through_links.unwrap_or_else(|| Utf8PathBuf::from(&request.directory));
        let out_dir = directory.join(invocation.out_dir.clone().unwrap_or_default());
        Self { request, invocation, driver, directory, out_dir }
    }

    /// Whether the call uses the compiler of the plan: rustc, or the driver in front of it.
    pub(super) fn is_compiled_by(&self, driver: Option<&Driver>, unit: &Unit) -> bool {
        let is_primary = self.request.environment.contains_key(PRIMARY);
        driver.map(|driver| driver.program.as_str()) == self.driver.as_deref()
            && driver.is_none_or(|driver| !driver.depends_on_primary || unit.primary == is_primary)
    }

    /// The file in which rustc lists what it has read.
    pub(super) fn dep_info(&self) -> Option<Utf8PathBuf> {
        let outputs = written(&self.invocation, &self.out_dir);
        outputs.into_iter().find(|output| output.extension() == Some("d"))
    }

    /// The environment of a call for this unit.
    pub(super) fn variables<'a>(&'a self, unit: &'a Unit, roots: &'a Roots) -> Variables<'a> {
        let own = own_dirs(unit, self.script_dir(), roots);
        Variables { environment: &self.request.environment, roots, own }
    }

    /// `OUT_DIR`, if the package has a build script.
    pub(super) fn script_dir(&self) -> Option<&Utf8Path> {
        self.request.environment.get("OUT_DIR").map(Utf8Path::new)
    }
}
