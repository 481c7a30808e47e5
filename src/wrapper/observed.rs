//! What was seen of build scripts, of compilers that load macros, and of linkers, as conditions of their entries.

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

/// Directories in `CARGO_HOME` of which every part is fixed by a checksum or a commit.
const FIXED: &[&str] = &["git/checkouts", "git/db", "registry/cache", "registry/index", "registry/src"];

/// The run of a script, as it was observed.
pub(super) struct ObservedRun<'a> {
    pub unit: &'a Unit,
    pub key: UnitKey,
    /// Its program.
    pub program: Option<&'a Utf8Path>,
    pub out_dir: &'a Utf8Path,
    /// It says what it depends on.
    pub is_declared: bool,
    /// Why it is not to be kept where nobody has seen what it reads.
    pub reason_if_unobserved: Option<UncacheableReason>,
    /// What it printed for cargo and wrote into `OUT_DIR`, as one text.
    pub made: &'a [u8],
}

/// What kind of miss it is where this is another one.
pub(super) fn miss_reason(difference: &Difference) -> MissReason {
    match difference {
        Difference::Variable { .. } => MissReason::Environment,
        Difference::Observed { .. } | Difference::Asked { .. } => MissReason::Observed,
        _ => MissReason::Input,
    }
}

impl PlannedBuild {
    /// Whether something is at work in a call besides the compiler: macros, a linker, or what stands in front of it.
    pub(super) fn needs_observing(&self, id: UnitId) -> bool {
        self.context.is_observing && self.runs_other_programs(id)
    }

    fn runs_other_programs(&self, id: UnitId) -> bool {
        self.context.plan.unit(id).is_linked()
            || self.context.plan.macros_of(id).next().is_some()
            || self.context.plan.driver_of(id).is_some()
    }

    /// What the run of a script was seen to read. An error is why the run is not kept.
    pub(super) fn inputs_of_run(
        &self,
        id: UnitId,
        ran: &ObservedRun<'_>,
        observation: Option<(BTreeMap<String, String>, observe::Result)>,
    ) -> Result<Inputs, UncacheableReason> {
        let is_believed = ran.is_declared || well_known::has_known_script(&ran.unit.package);
        let inputs = self.inputs_of_any_run(id, ran, observation, is_believed);
        let is_seen = inputs.as_ref().map_or_else(|reason| *reason != UncacheableReason::Unobserved, Inputs::is_seen);
        ran.reason_if_unobserved.filter(|_| !is_seen).map_or(inputs, Err)
    }

    fn inputs_of_any_run(
        &self,
        id: UnitId,
        ran: &ObservedRun<'_>,
        observation: Option<(BTreeMap<String, String>, observe::Result)>,
        is_believed: bool,
    ) -> Result<Inputs, UncacheableReason> {
        let fixed = self.fixed(ran.unit);
        let Some((environment, observation)) = observation else { return self.unobserved(is_believed) };
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
        self.inputs(id, ran.key, &subject, observation, is_believed)
    }

    /// What a compiler was seen to read, and what it has started.
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
        let is_believed = self.context.plan.driver_of(id).is_none()
            && macros.all(|id| well_known::has_known_macros(&self.context.plan.unit(id).package));
        let Some(observation) = observation else { return self.unobserved(is_believed) };
        self.with_subject(id, call, holds, |subject| self.inputs(id, key, subject, observation, is_believed))
    }

    /// What was linked into a macro besides crates, for its users to have as a condition. Where nobody could look, it
    /// is taken for nothing: its users are recorded only if the macro is believed.
    pub(super) fn linked_code(
        &self,
        id: UnitId,
        call: &Call,
        observation: Option<&observe::Result>,
    ) -> Result<Option<Digest>, Unknown> {
        let Some(Ok(seen)) = observation else { return Ok(None) };
        self.with_subject(id, call, &|_| false, |subject| self.context.machine.linked(seen, subject))
    }

    /// Who is observed in a call of the compiler.
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
        is_believed: bool,
    ) -> Result<Inputs, UncacheableReason> {
        match observation {
            Ok(seen) => match self.context.machine.record(&seen, key, subject) {
                Ok(observed) => Ok(Inputs::Observed(Box::new(observed))),
                // Whoever trusts what it reads still misses what it writes.
                Err(Unknown::Made) if !subject.is_compiler => Err(UncacheableReason::OutsideOutput),
                Err(_) if self.context.machine.trusts() => Ok(Inputs::Trusted),
                Err(unknown) => {
                    self.stores.record_differences(id, [Difference::Unseen { what: unknown.describe().into() }]);
                    Err(UncacheableReason::Unseen)
                }
            },
            Err(unseen) => {
                self.context.machine.warn_unobserved(&unseen, &self.stores.log);
                self.unobserved(is_believed)
            }
        }
    }

    /// What nobody has seen is kept if it is believed for what it is or says, or if the user wants that.
    fn unobserved(&self, is_believed: bool) -> Result<Inputs, UncacheableReason> {
        match is_believed {
            true => Ok(Inputs::Declared),
            false if self.context.machine.trusts() => Ok(Inputs::Trusted),
            false => Err(UncacheableReason::Unobserved),
        }
    }

    /// The directories of packages whose content is fixed.
    fn fixed(&self, unit: &Unit) -> Vec<Utf8PathBuf> {
        let home = self.context.roots.get(Root::CargoHome);
        let of_cargo = home.into_iter().flat_map(|home| FIXED.iter().map(|below| home.join(below)));
        let package = unit.external.then(|| unit.package_dir.clone());
        of_cargo.chain(package).collect()
    }

    /// The files that the compiler says it has read.
    fn dep_info_files(&self, call: &Call) -> BTreeSet<Utf8PathBuf> {
        let Some(path) = call.dep_info() else { return BTreeSet::new() };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        DepInfo::parse(&text).files.iter().map(|file| call.directory.join(file)).collect()
    }
}
