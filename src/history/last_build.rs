//! What is kept of a build beside its report: the inputs of its misses, from which they are explained.
//!
//! **Invariant.** Written once, and only where something was compiled that could have been a hit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::entry::{Kind, frame, unframe};
use crate::error::Result;
use crate::event::{Difference, Event, EventKind, UnitId};
use crate::fs;
use crate::key::unit_inputs::UnitInputs;
use crate::plan::BuildPlan;

/// What the report does not say.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LastBuild {
    /// When the session began: it belongs to the report of the same time.
    pub started: Option<Timestamp>,
    /// The name under which a remote knows more of its units.
    pub shared: Option<Digest>,
    /// What the units that were compiled are made from, and all that they depend on.
    #[serde(rename = "recipes")]
    pub unit_inputs: BTreeMap<UnitId, UnitInputs>,
    /// In what entries did not fit.
    pub differences: BTreeMap<UnitId, BTreeSet<Difference>>,
}

impl LastBuild {
    /// From a plan and what happened; nothing where there is nothing to explain.
    pub fn new(plan: &BuildPlan, shared: Digest, events: &[Event]) -> Option<Self> {
        let mut last = Self { shared: Some(shared), ..Self::default() };
        let mut compiled = BTreeSet::new();
        for event in events {
            match &event.kind {
                EventKind::SessionStarted { started, .. } => last.started = Some(*started),
                EventKind::Compiled { unit, .. } if plan.unit(*unit).key.is_ok() => drop(compiled.insert(*unit)),
                EventKind::Differs { unit, difference } => {
                    last.differences.entry(*unit).or_default().insert(difference.clone());
                }
                _ => {}
            }
        }
        last.unit_inputs = plan.unit_inputs_below(compiled);
        (!last.unit_inputs.is_empty()).then_some(last)
    }

    /// The triple of the machine it ran on.
    pub fn host(&self) -> Option<&str> {
        let mut compilers = self.unit_inputs.values().map(|unit_inputs| unit_inputs.inputs.rustc.as_str());
        compilers.next()?.lines().find_map(|line| line.strip_prefix("host: "))
    }

    /// Where it is kept.
    pub fn path(target_dir: &Path) -> PathBuf {
        target_dir.join("xcache").join("explain")
    }

    /// Keeps it.
    pub fn write(&self, target_dir: &Path) -> Result<()> {
        fs::write_atomic(&Self::path(target_dir), &frame(Kind::LastBuild, self))
    }

    /// The one of the build that began at this time; nothing where there is none, or it cannot be read.
    pub fn read(target_dir: &Path, started: Option<Timestamp>) -> Option<Self> {
        let bytes = fs::read_optional(&Self::path(target_dir)).ok()??;
        let last: Self = unframe(Kind::LastBuild, "explain", &bytes).ok()?;
        (last.started == started).then_some(last)
    }
}
