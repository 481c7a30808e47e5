//! What is stored about the last build besides its report: the inputs of its misses, which explain them.
//!
//! **Invariant.** It is written once, and only if a unit was compiled that could have been a hit.

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

/// The data that the report lacks.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LastBuild {
    /// When the session began. The report of the same build has the same time.
    pub started: Option<Timestamp>,
    /// The name under which a remote stores further input histories of its units.
    pub shared: Option<Digest>,
    /// The inputs of the compiled units and of everything that they depend on.
    #[serde(rename = "recipes")]
    pub unit_inputs: BTreeMap<UnitId, UnitInputs>,
    /// How entries did not fit.
    pub differences: BTreeMap<UnitId, BTreeSet<Difference>>,
}

impl LastBuild {
    /// Collects the data from a plan and its events; none if there is nothing to explain.
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

    /// The target triple of the host.
    pub fn host(&self) -> Option<&str> {
        let mut compilers = self.unit_inputs.values().map(|unit_inputs| unit_inputs.inputs.rustc.as_str());
        compilers.next()?.lines().find_map(|line| line.strip_prefix("host: "))
    }

    /// The path of the file.
    pub fn path(target_dir: &Path) -> PathBuf {
        target_dir.join("xcache").join("explain")
    }

    /// Writes the file.
    pub fn write(&self, target_dir: &Path) -> Result<()> {
        fs::write_atomic(&Self::path(target_dir), &frame(Kind::LastBuild, self))
    }

    /// Reads the data of the build that began at this time. Absent if there is none, or if it cannot be read.
    pub fn read(target_dir: &Path, started: Option<Timestamp>) -> Option<Self> {
        let bytes = fs::read_optional(&Self::path(target_dir)).ok()??;
        let last: Self = unframe(Kind::LastBuild, "explain", &bytes).ok()?;
        (last.started == started).then_some(last)
    }
}
