//! Why a unit cannot be cached, as far as a plan can tell.

use super::recipes::Places;
use super::{SCRIPT_RUN, Unit};
use crate::cargo::GraphUnit;
use crate::event::Reason;

/// What is cached at all in a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'a> {
    /// Where linked and native units are good, as far as that is known.
    pub places: &'a Places,
    /// Packages in directories are cached.
    pub members: bool,
}

impl Policy<'_> {
    /// The reason against a unit, if there is one.
    pub(super) fn against(self, graph: &GraphUnit, unit: &Unit) -> Option<Reason> {
        let of_library = graph.is_std.then_some(Reason::StandardLibrary);
        of_library.or_else(|| by_mode(unit)).or_else(|| self.by_origin(unit)).or_else(|| by_target(unit))
    }

    fn by_origin(self, unit: &Unit) -> Option<Reason> {
        let kind = match unit.kind.as_str() {
            _ if unit.is_script_run() => Reason::BuildScriptRun,
            _ if unit.mode == "test" => Reason::Test,
            "custom-build" => Reason::BuildScript,
            "proc-macro" => Reason::ProcMacro,
            "bin" => Reason::Bin,
            "test" | "bench" | "example" => Reason::Test,
            _ if unit.is_linked() => Reason::Linked,
            _ => Reason::Path,
        };
        let (is_lib, is_known) = (kind == Reason::Path, self.places.is_known(unit));
        let is_native = unit.native && unit.is_of_host() && is_known && !self.places.native_is_known();
        match unit.external {
            _ if is_native && (unit.external || self.members) => Some(Reason::Native),
            true => (!is_lib && !is_known).then_some(kind),
            // Only a checksum or a commit says that a build script would do the same again.
            false if unit.is_script_run() => Some(kind),
            false => (!self.members || !is_lib && !is_known).then_some(kind),
        }
    }
}

fn by_mode(unit: &Unit) -> Option<Reason> {
    match unit.mode.as_str() {
        "doc" | "docscrape" => Some(Reason::Doc),
        "doctest" => Some(Reason::Test),
        "build" | "check" | "test" | SCRIPT_RUN => None,
        _ => Some(Reason::Unplanned),
    }
}

fn by_target(unit: &Unit) -> Option<Reason> {
    match () {
        () if unit.platform.as_deref().is_some_and(|platform| platform.ends_with(".json")) => {
            Some(Reason::CustomTarget)
        }
        () => None,
    }
}
