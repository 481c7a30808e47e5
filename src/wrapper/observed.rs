//! Observations of build scripts, of compilers that load macros, and of linkers, as conditions of entries.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::call::Call;
use super::context::PlannedBuild;
use crate::digest::Digest;
use crate::entry::Inputs;
use crate::event::{Difference, MissReason, UncacheableReason, UnitId};
use crate::inputs::{Subject, well_known};
use crate::key::UnitKey;
use crate::observe::{self, Unknown};
use crate::plan::Unit;
use crate::roots::Root;
use crate::rustc::DepInfo;

/// Directories in `CARGO_HOME` whose whole content is fixed by checksums or commits.
const FIXED: &[&str] = &["git/checkouts", "git/db", "registry/cache", "registry/index", "registry/src"];

/// An observed run of a build script.
pub(super) struct ObservedRun<'a> {
    pub unit: &'a Unit,
    pub key: UnitKey,
    /// Its program.
    pub program: Option<&'a Utf8Path>,
    pub out_dir: &'a Utf8Path,
    /// Whether the script declares its inputs.
    pub is_declared: bool,
    /// Why the run is not recorded unless its inputs were observed.
    pub reason_if_unobserved: Option<UncacheableReason>,
    /// The lines that it printed for cargo and the files in `OUT_DIR`, as one text.
    pub made: &'a [u8],
}

/// The kind of the miss that this difference causes.
pub(super) fn miss_reason(difference: &Difference) -> MissReason {
    match difference {
        Difference::Variable { .. } => MissReason::Environment,
        Difference::Observed { .. } | Difference::Asked { .. } => MissReason::Observed,
        _ => MissReason::Input,
    }
}

impl PlannedBuild {
    /// Whether macros, a linker or a driver run in a call, which is then observed.
    pub(super) fn needs_observing(&self, id: UnitId) -> bool {
        self.context.is_observing && self.runs_other_programs(id)
    }

    fn runs_other_programs(&self, id: UnitId) -> bool {
        self.context.plan.unit(id).is_linked()
            || self.context.plan.macros_of(id).next().is_some()
            || self.context.plan.driver_of(id).is_some()
    }

    /// The inputs of a script's run, or the reason why the run is not recorded.
    pub(super) fn inputs_of_run(
        &self,
        id: UnitId,
        ran: &ObservedRun<'_>,
        observation: Option<(BTreeMap<String, String>, observe::Result)>,
    ) -> Result<Inputs, UncacheableReason> {
        let may_be_unobserved = ran.is_declared || well_known::has_known_script(&ran.unit.package);
        let inputs = self.inputs_of_any_run(id, ran, observation, may_be_unobserved);
        let is_seen = inputs.as_ref().map_or_else(|reason| *reason != UncacheableReason::Unobserved, Inputs::is_seen);
        ran.reason_if_unobserved.filter(|_| !is_seen).map_or(inputs, Err)
    }

    fn inputs_of_any_run(
        &self,
        id: UnitId,
        ran: &ObservedRun<'_>,
        observation: Option<(BTreeMap<String, String>, observe::Result)>,
        may_be_unobserved: bool,
    ) -> Result<Inputs, UncacheableReason> {
        let fixed = self.fixed(ran.unit);
        let Some((environment, observation)) = observation else { return self.unobserved(may_be_unobserved) };
        let subject = Subject {
            fixed: fixed.iter().map(Utf8PathBuf::as_path).collect(),
            dep_info_files: BTreeSet::new(),
            sources: BTreeSet::new(),
            own: vec![ran.out_dir],
            is_compiler: false,
            environment: &environment,
            program: ran.program,
            holds: &|text| memchr::memmem::find(ran.made, text).is_some(),
        };
        self.inputs(id, ran.key, &subject, observation, may_be_unobserved)
    }

    /// The inputs of the compiler and of the programs that it started.
    pub(super) fn inputs_of_call(
        &self,
        id: UnitId,
        key: UnitKey,
        call: &Call,
        observation: Option<observe::Result>,
        holds: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Inputs, UncacheableReason> {
        if !self.runs_other_programs(id) {
            return Ok(Inputs::CompilerOnly);
        }
        let mut macros = self.context.plan.macros_of(id);
        let may_be_unobserved = self.context.plan.driver_of(id).is_none()
            && macros.all(|id| well_known::has_known_macros(&self.context.plan.unit(id).package));
        let Some(observation) = observation else { return self.unobserved(may_be_unobserved) };
        self.with_subject(id, call, holds, |subject| self.inputs(id, key, subject, observation, may_be_unobserved))
    }

    /// What was linked into a macro besides crates, as a condition of its users. Without an observation it counts as
    /// nothing: the users are then recorded only if the macro is well known.
    pub(super) fn linked_code(
        &self,
        id: UnitId,
        call: &Call,
        observation: Option<&observe::Result>,
    ) -> Result<Option<Digest>, Unknown> {
        let Some(Ok(seen)) = observation else { return Ok(None) };
        self.with_subject(id, call, &|_| false, |subject| self.context.machine.linked(seen, subject))
    }

    /// Calls `then` with the subject of an observed compiler call.
    fn with_subject<T>(
        &self,
        id: UnitId,
        call: &Call,
        holds: &dyn Fn(&[u8]) -> bool,
        then: impl FnOnce(&Subject<'_>) -> T,
    ) -> T {
        let fixed = self.fixed(self.context.plan.unit(id));
        let own = [Some(call.out_dir.as_path()), call.script_dir()];
        let callers = self.context.plan.callers_of(id);
        then(&Subject {
            fixed: fixed.iter().map(Utf8PathBuf::as_path).collect(),
            dep_info_files: self.dep_info_files(call),
            sources: callers.filter_map(|id| self.context.plan.unit(id).root_file.parent()).collect(),
            own: own.into_iter().flatten().collect(),
            is_compiler: true,
            environment: &call.request.environment,
            program: None,
            holds,
        })
    }

    fn inputs(
        &self,
        id: UnitId,
        key: UnitKey,
        subject: &Subject<'_>,
        observation: observe::Result,
        may_be_unobserved: bool,
    ) -> Result<Inputs, UncacheableReason> {
        match observation {
            Ok(seen) => match self.context.machine.record(&seen, key, subject) {
                Ok(observed) => Ok(Inputs::Observed(Box::new(observed))),
                // The user trusts the inputs, but outputs elsewhere would be missing.
                Err(Unknown::Made) if !subject.is_compiler => Err(UncacheableReason::OutsideOutput),
                Err(_) if self.context.machine.trusts() => Ok(Inputs::Trusted),
                Err(unknown) => {
                    self.stores.record_differences(id, [Difference::Unseen { what: unknown.describe().into() }]);
                    Err(UncacheableReason::Unseen)
                }
            },
            Err(unseen) => {
                self.context.machine.warn_unobserved(&unseen, &self.stores.log);
                self.unobserved(may_be_unobserved)
            }
        }
    }

    /// The inputs of a run or call that was not observed. It must declare its inputs or be well known, or the user
    /// trusts it.
    fn unobserved(&self, may_be_unobserved: bool) -> Result<Inputs, UncacheableReason> {
        match may_be_unobserved {
            true => Ok(Inputs::Declared),
            false if self.context.machine.trusts() => Ok(Inputs::Trusted),
            false => Err(UncacheableReason::Unobserved),
        }
    }

    /// Directories whose content is fixed: those of `CARGO_HOME`, and the unit's own package if it is external.
    fn fixed(&self, unit: &Unit) -> Vec<Utf8PathBuf> {
        let home = self.context.roots.get(Root::CargoHome);
        let in_cargo_home = home.into_iter().flat_map(|home| FIXED.iter().map(|below| home.join(below)));
        let package = unit.external.then(|| unit.package_dir.clone());
        in_cargo_home.chain(package).collect()
    }

    /// The files that the compiler has read, from its dep-info.
    fn dep_info_files(&self, call: &Call) -> BTreeSet<Utf8PathBuf> {
        let Some(path) = call.dep_info() else { return BTreeSet::new() };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        DepInfo::parse(&text).files.iter().map(|file| call.directory.join(file)).collect()
    }
}
