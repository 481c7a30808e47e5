//! Why a unit cannot be cached, as far as a plan can tell.

use super::key_scope::KeyScope;
use super::{SCRIPT_RUN, Unit};
use crate::cargo::GraphUnit;
use crate::event::UncacheableReason;

/// What a session caches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'a> {
    /// Where linked and native units are valid, as far as that is known.
    pub key_scope: &'a KeyScope,
    /// Whether packages in directories are cached.
    pub members: bool,
}

impl Policy<'_> {
    /// The reason why a unit is uncacheable, if it is.
    pub(super) fn uncacheable_reason(self, graph: &GraphUnit, unit: &Unit) -> Option<UncacheableReason> {
        let standard_library = graph.is_std.then_some(UncacheableReason::StandardLibrary);
        standard_library.or_else(|| by_mode(unit)).or_else(|| self.by_origin(unit)).or_else(|| by_target(unit))
    }

    fn by_origin(self, unit: &Unit) -> Option<UncacheableReason> {
        let kind = match unit.kind.as_str() {
            _ if unit.is_script_run() => UncacheableReason::BuildScriptRun,
            _ if unit.mode == "test" => UncacheableReason::Test,
            "custom-build" => UncacheableReason::BuildScript,
            "proc-macro" => UncacheableReason::ProcMacro,
            "bin" => UncacheableReason::Bin,
            "test" | "bench" | "example" => UncacheableReason::Test,
            _ if unit.is_linked() => UncacheableReason::Linked,
            _ => UncacheableReason::Path,
        };
        let (is_lib, is_known) = (kind == UncacheableReason::Path, self.key_scope.is_known(unit));
        let is_native = unit.native && unit.depends_on_host() && is_known && !self.key_scope.native_is_known();
        match unit.external {
            _ if is_native && (unit.external || self.members) => Some(UncacheableReason::Native),
            true => (!is_lib && !is_known).then_some(kind),
            // Only a checksum or a commit proves that a build script would do the same again.
            false if unit.is_script_run() => Some(kind),
            false => (!self.members || !is_lib && !is_known).then_some(kind),
        }
    }
}

fn by_mode(unit: &Unit) -> Option<UncacheableReason> {
    match unit.mode.as_str() {
        "doc" | "docscrape" => Some(UncacheableReason::Doc),
        "doctest" => Some(UncacheableReason::Test),
        "build" | "check" | "test" | SCRIPT_RUN => None,
        _ => Some(UncacheableReason::Unplanned),
    }
}

fn by_target(unit: &Unit) -> Option<UncacheableReason> {
    match () {
        () if unit.platform.as_deref().is_some_and(|platform| platform.ends_with(".json")) => {
            Some(UncacheableReason::CustomTarget)
        }
        () => None,
    }
}
