//! Everything that must be known before cargo starts: survey, graph index, plan.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};

use super::Options;
use super::cargo_inputs::CargoInputs;
use super::driver;
use super::graph;
use super::native;
use super::noop::CargoInputState;
use super::proof::{FormatStatus, RunningProof};
use super::survey::{self, Survey};
use crate::cargo::{Cargo, PackageSource, Packages, Workspace, layout};
use crate::config::remote::without_secrets;
use crate::config::{Settings, Switch, WorkspacePaths};
use crate::digest::Digest;
use crate::error::Result;
use crate::event::{EventKind, EventLog, Phase};
use crate::inputs::MachineState;
use crate::plan::content::Contents;
use crate::plan::{BuildPlan, MemberInputs, PlanInputs, Unit};
use crate::prefetch::Prefetch;
use crate::roots::Root;
use crate::store::{LocalStore, RemoteStore, Runtime};
use crate::upload::Upload;
use crate::wrapper::{BuildContext, SkippedMembers, Stores, UserWrapper};

/// Files of a workspace that sqlx's macros read.
const KNOWN_FILES: &[&str] = &[".sqlx", ".env"];
/// Variables that sqlx's macros read.
const KNOWN_VARIABLES: &[&str] = &["DATABASE_URL", "SQLX_OFFLINE", "SQLX_OFFLINE_DIR"];

/// A plan, with the stores and the background tasks of its session.
pub(super) struct Prepared {
    /// What the plan fixed.
    pub context: BuildContext,
    /// The stores that entries come from and go to.
    pub stores: Stores,
    /// What the end of the session needs.
    pub teardown: Teardown,
}

/// What the end of the session needs.
pub(super) struct Teardown {
    pub workspace: Workspace,
    pub graph_key: Digest,
    pub remote: Option<Arc<RemoteStore>>,
    /// The user's own rustc wrapper.
    pub user_wrapper: Option<UserWrapper>,
    /// What cargo reads, and its state while the plan was made. `None` if it has changed meanwhile.
    pub cargo_inputs: Option<CargoInputState>,
    /// The proof that is running, if any.
    pub proof: Option<RunningProof>,
    /// The platform of this machine.
    pub host: String,
    /// Runs all background tasks. They end when it is dropped.
    pub runtime: Runtime,
}

/// Makes the survey and the plan, and starts the prefetch: packs are on their way when this returns.
pub(super) fn prepare(options: &Options, cargo: &Cargo, store: Arc<LocalStore>, log: &EventLog) -> Result<Prepared> {
    let began = SystemTime::now();
    let survey = Survey::take(options, cargo, &store)?;
    make_target_dir(&survey.workspace)?;
    let graph_key = survey.graph_key(options);
    let runtime = Runtime::new()?;
    let remote = open_remote(options, log);
    let mut format_status = FormatStatus::of(options, cargo, &survey, &store);
    format_status.request_hint(&runtime, remote.as_ref());
    let prefetch = Prefetch::new(&runtime, store.clone(), remote.clone(), log.clone(), &options.settings);
    log.record(EventKind::PhaseStarted { phase: Phase::Prefetch });
    prefetch.start_graph(graph_key);

    let cargo_inputs = CargoInputs::of(options, &survey);
    let (plan, contents) = plan(options, cargo, &store, &survey, &cargo_inputs, log)?;
    let cargo_inputs = cargo_inputs.with_packages(plan.member_manifests());
    let cargo_inputs = cargo_inputs.are_older_than(began).then(|| CargoInputState::now(cargo_inputs));
    log.record(EventKind::Planned { units: plan.planned() });
    prefetch.want(plan.cacheable(), survey.roots.clone());
    let upload = remote
        .clone()
        .filter(|remote| options.settings.upload && !remote.is_read_only())
        .map(|remote| Upload::new(&runtime, store.clone(), remote, log.clone(), &options.settings));
    let (format, is_proven, proof) = format_status.resolve(options, &store, log);
    let user_wrapper = survey.wrapper.as_ref().map(|wrapper| wrapper.user.clone());
    // Configuration files are in the directories above the workspace, or in `CARGO_HOME`.
    let around = [Root::Workspace, Root::CargoHome].map(|root| survey.roots.get(root).map_or("", Utf8Path::as_str));
    let configured = survey.config.variable_settings(&format!("{around:?}"));
    let Survey { workspace, roots, toolchain, .. } = survey;
    let skipped_members = options.warm.map(|_| SkippedMembers::new(&plan, &roots, &options.executable)).transpose()?;
    let host = toolchain.host().to_owned();
    let environment = options.environment.0.clone();
    let machine = MachineState::new(roots.clone(), environment, configured, store.clone(), &options.settings);
    let context = BuildContext {
        plan,
        contents,
        roots,
        format,
        is_proven,
        skipped_members,
        environment: driver::cargo_environment(options),
        compiler: toolchain.version().to_owned(),
        linker: toolchain.linker,
        machine,
        is_observing: options.settings.observe == Switch::On,
    };
    let stores = Stores::new(store, prefetch, upload, log.clone());
    let teardown = Teardown { workspace, graph_key, remote, user_wrapper, cargo_inputs, proof, host, runtime };
    Ok(Prepared { context, stores, teardown })
}

/// Gets the units of the command, and makes the plan.
fn plan(
    options: &Options,
    cargo: &Cargo,
    store: &LocalStore,
    survey: &Survey,
    cargo_inputs: &CargoInputs,
    log: &EventLog,
) -> Result<(BuildPlan, Contents)> {
    let units = || graph::units(options, cargo, store, survey, cargo_inputs, log);
    let (units, native) = rayon::join(units, || native::class(options, &survey.config, store));
    let (graph, packages) = units?;
    let contents = contents(options, store, survey, &packages);
    let lockfile = survey.lockfile()?;
    let wrapper = survey.wrapper.as_ref().map(|wrapper| wrapper.identity.as_str());
    let inputs = PlanInputs {
        graph: &graph,
        packages: &packages,
        lockfile: &lockfile,
        toolchain: &survey.toolchain,
        config: &survey.config,
        environment: survey::key_environment(&options.environment, wrapper, survey.flag_inputs(options, store)),
        native,
        sees_variables: survey.config.variables().is_none() || survey::sees_inputs(&options.settings),
        driver: survey.member_compiler.driver().cloned(),
        member_inputs: survey.caches_members(options).then(|| member_inputs(options, survey, &contents)).transpose()?,
    };
    let content = |unit: &Unit| match unit.external {
        // A `.gitignore` in a downloaded package does not say which of its files count.
        true => contents.path(&unit.package_dir),
        false => Ok(contents.package(&unit.package_dir)?.digest),
    };
    let plan = BuildPlan::new(&inputs, content)?;
    Ok((plan, contents))
}

/// The contents of packages in directories, each without the other packages and without build outputs.
fn contents(options: &Options, store: &LocalStore, survey: &Survey, packages: &Packages) -> Contents {
    let Workspace { target_dir, build_dir, members, .. } = &survey.workspace;
    let in_directories = packages.values().filter(|package| package.source == PackageSource::Directory);
    let directories = in_directories.map(|package| &package.directory).chain(members);
    // xcache itself writes to these during the build.
    let journal = options.settings.events.clone();
    let source = options.settings.remote.as_deref().and_then(|remote| options.settings.remotes.find(remote).ok());
    let remote = source.and_then(|source| source.url.strip_prefix("file://").map(PathBuf::from));
    let ours = [Some(store.root().to_owned()), remote, journal].into_iter().flatten();
    let ours = ours.filter_map(|path| Utf8PathBuf::try_from(path).ok());
    let home = survey.roots.get(Root::CargoHome).map(Utf8Path::to_owned);
    let left_out = [target_dir, build_dir].into_iter().cloned().chain(ours).chain(home);
    // Files are found by the path of their package, and a link in one of these directories may lead back into it.
    let left_out = left_out.flat_map(|path| [path.canonicalize_utf8().ok(), Some(path)]).flatten().collect();
    Contents::new(left_out, directories.cloned().collect())
}

/// Files and variables that members read without declaring them: those that the settings name, and those of well-known
/// tools.
fn member_inputs(options: &Options, survey: &Survey, contents: &Contents) -> Result<MemberInputs> {
    let workspace = survey.workspace.root.clone();
    let mut digests = BTreeMap::new();
    for name in KNOWN_FILES.iter().copied().chain(Settings::list(&options.settings.key_files)) {
        let path = workspace.join(name);
        let digest = if path.exists() { Some(contents.path(&path)?.to_string()) } else { None };
        digests.insert(format!("file {name}"), digest.unwrap_or_default());
    }
    for name in KNOWN_VARIABLES.iter().copied().chain(Settings::list(&options.settings.key_env)) {
        let value = options.environment.0.get(OsStr::new(name));
        let digest = value.map(|value| Digest::of(value.as_encoded_bytes()).to_string());
        digests.insert(format!("variable {name}"), digest.unwrap_or_default());
    }
    digests
        .insert("configured variables".into(), survey.config.variables().map(ToString::to_string).unwrap_or_default());
    digests.insert("inherited".into(), survey.inherited()?);
    // In `/`, the remapped prefix would match every path.
    let is_remapped = options.settings.workspace_paths == WorkspacePaths::Remap && workspace.parent().is_some();
    Ok(MemberInputs { workspace, is_remapped, digests })
}

/// Makes the target directory as cargo would.
fn make_target_dir(workspace: &Workspace) -> Result<()> {
    [&workspace.target_dir, &workspace.build_dir].into_iter().try_for_each(|directory| layout::make_tagged(directory))
}

/// Opens the remote. If that fails, the session warns and continues without it.
fn open_remote(options: &Options, log: &EventLog) -> Option<Arc<RemoteStore>> {
    let url = options.settings.remote.as_deref()?;
    match RemoteStore::open(url, &options.settings, log) {
        Ok(remote) => Some(Arc::new(remote)),
        Err(error) => {
            let remote =
                options.settings.remotes.find(url).map_or_else(|_| without_secrets(url), |source| source.shown);
            log.record(EventKind::RemoteFailed { remote, message: error.to_string() });
            None
        }
    }
}
