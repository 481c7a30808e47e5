//! The steps of a made-up walk: edits of sources, changes of circumstances, events, and a command.

use std::collections::BTreeSet;

use crate::directories::{CHECKOUTS, HOMES};
use crate::generate::{Generator, VARIABLES};
use crate::model::{
    CompilerSetting, ConfigPlace, Declaration, Expanded, Incremental, Kind, Origin, Package, Part, State, Target,
    TargetDir,
};
use crate::script::{Command, Damage, Edit, Step, Verb};
use crate::undeclared_edits::UNDECLARED;

/// Makes one kind of edit.
type Maker<'a> = fn(&mut Generator<'a>, &State) -> Edit;

impl<'a> Generator<'a> {
    pub(crate) fn step(&mut self, state: &mut State, n: usize) -> Step {
        let mut edits = Vec::new();
        let count = if n == 0 { 0 } else { self.weighted(&[(2, 0), (6, 1), (2, 2)]) };
        let mut needs_clean = false;
        let mut is_undeclared_edit = false;
        for _ in 0..count {
            let edit = self.edit(state);
            let is_unseen = is_seen_only_in_empty_target(&edit, state);
            needs_clean |= is_unseen;
            is_undeclared_edit |= self.possible.undeclared && is_unseen;
            let before = target_key(state);
            edit.apply(state);
            self.follow(&edit, is_unseen, before, state);
            edits.push(edit);
        }
        needs_clean |= self.is_outdated(state) && n > 0;
        if n > 0 && self.percent(45) {
            edits.push(self.event(state));
        }
        let appends = state
            .packages
            .iter()
            .flat_map(Package::scripted)
            .any(|(.., declaration)| declaration == Declaration::Appended);
        let uncompared = appends && !needs_clean && self.percent(50);
        if needs_clean || (appends && !uncompared) {
            edits.retain(|edit| *edit != Edit::Clean);
            // A session in the background must not have started in a directory that is then removed.
            let is_together = |edit: &Edit| matches!(edit, Edit::Together { .. }) && self.possible.undeclared;
            edits.insert(edits.iter().position(is_together).unwrap_or(edits.len()), Edit::Clean);
        }
        // If the same command is repeated, the store has entries from before an unseen edit.
        if n == 0 || self.percent(if is_undeclared_edit { 15 } else { 40 }) {
            self.command = self.new_command(state);
        }
        Step { edits, command: self.command.clone(), uncompared, reused: BTreeSet::new() }
    }

    /// Keeps track of the target directories without outputs from before an edit that cargo does not see.
    fn follow(&mut self, edit: &Edit, is_unseen: bool, before: (usize, TargetDir), state: &State) {
        if is_unseen {
            self.current.clear();
        }
        if matches!(edit, Edit::Moved { .. }) && self.current.contains(&before) {
            self.current.push(target_key(state));
        }
    }

    /// Whether the target directory may have outputs from before an edit that cargo did not see. Afterwards it counts
    /// as current.
    fn is_outdated(&mut self, state: &State) -> bool {
        let place = target_key(state);
        let is_current = !self.possible.undeclared || self.current.contains(&place);
        self.current.push(place);
        !is_current
    }

    fn new_command(&mut self, state: &State) -> Command {
        let verbs = [
            // A check does not show what was read.
            (if self.possible.undeclared { 8 } else { 40 }, Verb::Check),
            (26, Verb::Build),
            (8, Verb::Run),
            (9, Verb::Test),
            (7, Verb::TestNoRun),
            (if self.possible.clippy { 5 } else { 0 }, Verb::Clippy),
            (if self.possible.undeclared { 8 } else { 0 }, Verb::Rustc),
        ];
        let mut command = Command::new(self.weighted(&verbs));
        command.profile = self.weighted(&[(78, None), (10, Some("release".into())), (12, Some("fast".into()))]);
        let members: Vec<_> = state.members().map(|package| package.name.clone()).collect();
        if matches!(command.verb, Verb::Run | Verb::Rustc) {
            command.packages.insert("one".into());
        } else if self.percent(15) {
            command.packages.insert(self.pick(&members));
        }
        if self.percent(12) {
            command.loud.insert(match command.packages.first() {
                Some(package) => package.clone(),
                None => self.pick(&members),
            });
        }
        command.all_targets = self.percent(12);
        command.triple = self.percent(6);
        if self.percent(5) {
            let configs = ["profile.dev.opt-level=1", "profile.dev.debug-assertions=false", "env.XD_B=\"c\""];
            command.config.push(self.pick(&configs).into());
        }
        command
    }

    fn event(&mut self, state: &State) -> Edit {
        let kinds = [(60, 0), (15, 1), (12, 2), (12, 3), (10, 4)];
        match self.weighted(&kinds) {
            0 => Edit::Clean,
            1 => self.damage(),
            2 => Edit::Plain(self.either_command(state)),
            3 => {
                let after_ms = self.random.u64(20..900);
                Edit::Killed { command: self.either_command(state), after_ms }
            }
            _ => {
                let apart = self.percent(60);
                // In the same directory, it must not build other programs than the compared ones.
                let command = if apart { self.either_command(state) } else { Command::new(Verb::Check) };
                Edit::Together { command, apart }
            }
        }
    }

    fn either_command(&mut self, state: &State) -> Command {
        if self.percent(50) { self.command.clone() } else { self.new_command(state) }
    }

    fn damage(&mut self) -> Edit {
        let kinds = [
            (4, Damage::Remove),
            (3, Damage::Truncate),
            (4, Damage::Flip),
            (2, Damage::Exchange),
            (1, Damage::Everything),
        ];
        let count = self.pick(&[1, 3, 10, 100]);
        Edit::Damage { how: self.weighted(&kinds), count, seed: self.random.u64(..) }
    }

    fn edit(&mut self, state: &State) -> Edit {
        let repaired = self.repair(state);
        if let Some(edit) = repaired {
            return edit;
        }
        let package = self.pick(&state.packages);
        match self.weighted(&[(52, 0), (48, 1), (if self.possible.undeclared { 100 } else { 0 }, 2)]) {
            0 => self.edit_of_source(state, &package),
            1 => self.edit_of_circumstances(state),
            _ => self.edit_of_undeclared_input(state),
        }
    }

    /// Errors that prevent any compilation do not stay for long.
    fn repair(&mut self, state: &State) -> Option<Edit> {
        let broken = state.packages.iter().find(|package| package.broken);
        if let Some(package) = broken.filter(|_| self.percent(80)) {
            return Some(Edit::Break { package: package.name.clone(), broken: false });
        }
        (state.circumstances.lint.as_deref() == Some("deny") && self.percent(70)).then_some(Edit::Lint(None))
    }

    fn edit_of_source(&mut self, state: &State, package: &Package) -> Edit {
        let name = package.name.clone();
        let later: Vec<_> = state.needed(package).map(|(_, other)| other.clone()).collect();
        match self.weighted(&[(40, 0), (7, 1), (5, 2), (5, 3), (4, 4), (4, 5), (5, 6), (5, 7), (2, 8), (4, 9)]) {
            1 => {
                let scripted = self.percent(50);
                let part =
                    if scripted { self.script_part(package, &later) } else { self.library_part(package, &later) };
                Edit::AddPart { package: name, part }
            }
            2 if package.parts.len() > 1 => Edit::RemovePart(self.pick(&package.parts).id),
            3 => Edit::Rename(name),
            4 => Edit::Describe { package: name, description: self.random.u8(..3) },
            5 => Edit::Break { package: name, broken: true },
            6 if package.origin == Origin::Member && !package.is_macro => {
                let target = self.pick(&Target::ALL);
                Edit::Target { package: name, target, present: !package.has(target) }
            }
            7 => self.edit_of_needs(state, package),
            8 => Edit::Links { package: name, links: !package.links },
            9 => self.edit_of_packages(state),
            _ => {
                let part = self.pick(&package.parts);
                Edit::Value { part: part.id, value: self.random.u8(..4), quietly: self.percent(30) }
            }
        }
    }

    fn edit_of_needs(&mut self, state: &State, package: &Package) -> Edit {
        let later = state.packages.iter().skip_while(|other| other.name != package.name).skip(1);
        let possible: Vec<_> = later.filter(|other| package.origin.may_need(other.origin)).cloned().collect();
        if possible.is_empty() {
            return Edit::Clean;
        }
        let other = self.pick(&possible);
        let present = package.needs.iter().all(|need| need.on != other.name) || self.percent(40);
        Edit::Need { package: package.name.clone(), need: self.need(&other), present }
    }

    /// Adds or removes one package.
    fn edit_of_packages(&mut self, state: &State) -> Edit {
        if state.package("grey").is_some() {
            return Edit::Remove("grey".into());
        }
        let mut package = Package { name: "grey".into(), origin: Origin::Registry, ..Package::default() };
        package.parts = self.parts(&package.clone(), &[]);
        Edit::Add(package)
    }

    fn edit_of_circumstances(&mut self, state: &State) -> Edit {
        let kinds: [(u32, Maker<'a>); 14] = [
            (16, Self::edit_of_variables),
            (9, |generator, _| Edit::Rustflags(generator.rustflags())),
            (9, |generator, _| generator.edit_of_config()),
            (12, Self::edit_of_profile),
            (3, Self::edit_of_toolchain),
            (16, |generator, _| Edit::Checkout(generator.any_checkout())),
            (7, |generator, state| Edit::Home((state.circumstances.home + generator.random.usize(1..HOMES)) % HOMES)),
            (8, |generator, _| Edit::TargetDir(generator.target_dir())),
            (4, |_, state| Edit::Vendored(!state.circumstances.vendored)),
            (4, |generator, _| Edit::Lint(generator.lint())),
            (3, Self::edit_of_incremental),
            (5, Self::edit_of_compiler),
            (3, |generator, _| Edit::Cc(generator.random.u8(..3))),
            (4, |generator, state| Edit::Moved { checkout: generator.checkout(), target: state.circumstances.target }),
        ];
        self.weighted(&kinds)(self, state)
    }

    fn edit_of_variables(&mut self, _: &State) -> Edit {
        let mut names = VARIABLES.to_vec();
        names.extend(self.possible.undeclared.then_some(UNDECLARED));
        let value = self.pick(&[None, Some("p"), Some("q")]).map(str::to_owned);
        Edit::Variable { name: self.pick(&names).into(), value }
    }

    fn edit_of_toolchain(&mut self, state: &State) -> Edit {
        Edit::Toolchain(self.possible.toolchain.clone().filter(|_| state.circumstances.toolchain.is_none()))
    }

    fn any_checkout(&mut self) -> usize {
        if self.percent(80) { self.checkout() } else { self.random.usize(..CHECKOUTS) }
    }

    fn target_dir(&mut self) -> TargetDir {
        use TargetDir::{BuildDir, BuildDirAndElsewhere, Elsewhere, Inside, Linked, Relative};
        self.pick(&[Inside, Inside, Elsewhere, BuildDir, BuildDirAndElsewhere, Linked, Relative])
    }

    fn lint(&mut self) -> Option<String> {
        self.weighted(&[(3, None), (3, Some("allow")), (1, Some("deny"))]).map(str::to_owned)
    }

    fn edit_of_incremental(&mut self, state: &State) -> Edit {
        Edit::Incremental(match state.circumstances.incremental {
            Incremental::Off => Incremental::Kept,
            Incremental::Kept => Incremental::Off,
        })
    }

    fn edit_of_compiler(&mut self, state: &State) -> Edit {
        let mut compiler = state.circumstances.compiler;
        compiler.digit = self.random.u8(1..=2);
        if compiler.by == CompilerSetting::Nothing || self.percent(50) {
            let kinds = [
                CompilerSetting::Nothing,
                CompilerSetting::WrapperVariable,
                CompilerSetting::WrapperConfig,
                CompilerSetting::RustcVariable,
                CompilerSetting::RustcConfig,
            ];
            compiler.by = self.pick(&kinds);
            compiler.name = self.random.u8(..2);
        }
        Edit::Compiler(compiler)
    }

    fn rustflags(&mut self) -> Option<String> {
        let flags = [
            None,
            Some("--cfg xd_flag"),
            Some("-C opt-level=1"),
            Some("-C debug-assertions=off"),
            Some("-C target-feature=+avx2"),
            Some("-C codegen-units=1"),
        ];
        self.pick(&flags).map(str::to_owned)
    }

    fn edit_of_config(&mut self) -> Edit {
        let lines = [
            ("env.XD_B", "\"p\""),
            ("env.XD_B", "\"q\""),
            ("env.XD_B", "{ value = \"r\", force = true }"),
            ("build.rustflags", "[\"--cfg\", \"xd_flag\"]"),
            ("target.'cfg(unix)'.rustflags", "[\"--cfg\", \"xd_flag\"]"),
            ("profile.dev.opt-level", "1"),
            ("profile.fast.debug-assertions", "true"),
            ("profile.dev.package.one.debug-assertions", "false"),
            ("build.jobs", "1"),
        ];
        let place = self.weighted(&[(3, ConfigPlace::Workspace), (1, ConfigPlace::Above), (1, ConfigPlace::Home)]);
        let (key, value) = self.pick(&lines);
        let value = self.percent(60).then(|| value.to_owned());
        Edit::Config { place, key: key.into(), value }
    }

    fn edit_of_profile(&mut self, state: &State) -> Edit {
        let profile = self.weighted(&[(6, "dev"), (1, "release"), (3, "fast")]);
        let fields: &[(&str, &[&str])] = &[
            ("opt-level", &["0", "1"]),
            ("debug", &["0", "1", "\"line-tables-only\""]),
            ("debug-assertions", &["true", "false"]),
            ("overflow-checks", &["true", "false"]),
            ("panic", &["\"abort\"", "\"unwind\""]),
            ("lto", &["\"thin\"", "\"off\"", "false"]),
            ("codegen-units", &["1", "3"]),
            ("strip", &["\"symbols\"", "\"none\""]),
            ("build-override.opt-level", &["1"]),
            ("package.\"*\".opt-level", &["1"]),
        ];
        let (field, values) = self.pick(fields);
        let (mut field, mut value) = (field.to_owned(), self.pick(values).to_owned());
        if self.percent(20) {
            let package = self.pick(&state.packages).name;
            (field, value) = (format!("package.{package}.debug-assertions"), "false".into());
        }
        let value = self.percent(70).then_some(value);
        Edit::Profile { profile: profile.into(), field, value }
    }
}

/// Whether plain cargo sees an edit only in an empty target directory, because the modification time stays or the file
/// is not declared.
fn is_seen_only_in_empty_target(edit: &Edit, state: &State) -> bool {
    let is_undeclared = |part: &Part| {
        part.is_outside() || matches!(part.kind, Kind::OwnFile | Kind::Expanded { of: Expanded::File, .. })
    };
    match edit {
        Edit::Value { quietly: true, .. } => true,
        // Cargo compares only what compilers report about themselves.
        Edit::Compiler(_) | Edit::Cc(_) => true,
        Edit::Searched { .. } | Edit::Front(_) | Edit::Object(_) => true,
        Edit::Variable { name, .. } => name == UNDECLARED || is_read_undeclared(state, name),
        Edit::Config { key, .. } => key.strip_prefix("env.").is_some_and(|name| is_read_undeclared(state, name)),
        Edit::Value { part, .. } | Edit::RemovePart(part) => {
            state.part(*part).is_some_and(|(_, part)| is_undeclared(part))
        }
        Edit::Rename(package) => state.package(package).is_some_and(|package| package.parts.iter().any(is_undeclared)),
        _ => false,
    }
}

/// Whether a variable is read without being declared.
pub(crate) fn is_read_undeclared(state: &State, name: &str) -> bool {
    let is_undeclared = |part: &Part| matches!(part.kind, Kind::Expanded { of: Expanded::UndeclaredVariable, .. });
    let mut parts = state.packages.iter().flat_map(|package| &package.parts);
    (name == UNDECLARED && parts.any(is_undeclared))
        || state.packages.iter().flat_map(Package::undeclared_inputs).any(|(_, input)| input.variable() == Some(name))
}

/// What identifies a target directory.
pub(crate) fn target_key(state: &State) -> (usize, TargetDir) {
    (state.circumstances.checkout, state.circumstances.target)
}
