//! Skips a unit: cargo is told that it is compiled.

use std::io;

use camino::Utf8Path;

use super::{BuildContext, Call, Conversation, Units};
use crate::cargo::Layout;
use crate::event::{EventKind, UnitId};
use crate::fs;
use crate::link::link;
use crate::rustc::written::{linked, written};
use crate::wrapper::skip_members::Trace;

impl Units {
    /// Whether the unit is skipped.
    pub(super) fn is_skipped(&self, id: UnitId) -> bool {
        self.build.context.skipped_members.as_ref().is_some_and(|skipped| skipped.contains(id))
    }

    /// Tells cargo that the unit is compiled.
    pub(super) fn skip(&self, mut conversation: Conversation, id: UnitId, call: &Call) -> io::Result<()> {
        let unit = self.build.context.plan.unit(id);
        // An older dep-info would make cargo accept older outputs.
        let outputs = written(&call.invocation, &call.out_dir);
        outputs.iter().try_for_each(|output| fs::remove_file(output.as_std_path())).map_err(io::Error::other)?;
        if unit.kind == "custom-build"
            && let Some(skipped_members) = &self.build.context.skipped_members
        {
            let program = linked(&call.invocation, &call.out_dir);
            program.map_or(Ok(()), |program| link(skipped_members.stand_in(), program.as_std_path()))?;
        }
        let trace = trace(&self.build.context, id, call);
        self.state().traces.extend(trace);
        self.build.stores.log.record(EventKind::LeftOut { unit: id });
        conversation.print(String::new(), String::new())
    }
}

/// The directories of cargo's records of a skipped unit, and of its build script's run if that is skipped, too.
fn trace(context: &BuildContext, id: UnitId, call: &Call) -> Option<Trace> {
    let (site, unit) = (context.site(), context.plan.unit(id));
    let profile = site.profile(unit)?;
    let hash = call.invocation.extra_filename().trim_start_matches('-');
    let own = site.format.layout.of_compiled(&profile, &unit.package, hash, &call.out_dir)?;
    let mut directories = vec![profile.join(own.fingerprint)];
    let is_alone = site.format.layout == Layout::PerUnit || unit.kind == "custom-build";
    let directory_of = |outputs: &Utf8Path| match site.format.layout {
        Layout::Classic => outputs.to_owned(),
        Layout::PerUnit => outputs.parent().unwrap_or(outputs).to_owned(),
    };
    directories.extend(is_alone.then(|| directory_of(&profile.join(own.outputs))));
    let skipped_members = context.skipped_members.as_ref()?;
    if let Some(script) = call.script_dir()
        && let Some(run) = unit.script_run(&context.plan)
        && skipped_members.contains(run)
        && let Some(profile) = site.profile(context.plan.unit(run))
        && let Some(paths) = site.format.layout.of_run(&profile, script)
    {
        directories.extend(
            [Some(profile.join(paths.fingerprint)), script.parent().map(Utf8Path::to_owned)].into_iter().flatten(),
        );
    }
    Some(Trace { profile, directories })
}
