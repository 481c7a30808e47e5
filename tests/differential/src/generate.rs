//! Makes scripts: a workspace, and a random walk from it. The same seed makes the same script.
//!
//! Values are few, so a walk comes back to where it was: then there is something in the store, and it may be the wrong
//! thing.

use std::collections::BTreeSet;

use fastrand::Rng;

use crate::model::{
    Around, By, ConfigPlace, Expanded, How, Incremental, Kind, Need, Origin, Package, Part, Source, State, Target,
    TargetDir, Text, Told,
};
use crate::place::{CHECKOUTS, HOMES};
use crate::script::{Command, Damage, Edit, Script, Step, Verb};

/// What scripts may ask for.
pub(crate) struct Possible {
    pub toolchain: Option<String>,
    pub clippy: bool,
    /// Whether macros and scripts read what nobody declares.
    pub undeclared: bool,
    /// Whether what cargo and its wrappers set is printed as a whole.
    pub environment: bool,
}

/// A script of so many steps.
pub(crate) fn script(seed: u64, steps: usize, possible: &Possible) -> Script {
    let mut random = Rng::with_seed(seed);
    let checkouts = [random.usize(..CHECKOUTS), random.usize(..CHECKOUTS)];
    let mut generator = Generator { random, possible, parts: 0, checkouts, command: Command::new(Verb::Check) };
    let start = generator.start();
    let mut state = start.clone();
    let steps = (0..steps).map(|n| generator.step(&mut state, n)).collect();
    Script::new(start, steps)
}

struct Generator<'a> {
    random: Rng,
    possible: &'a Possible,
    parts: u32,
    /// Where this walk is, as a rule: it comes back, and texts name these places.
    checkouts: [usize; 2],
    /// The last command: most steps repeat it.
    command: Command,
}

const VARIABLES: [&str; 3] = ["XD_A", "XD_B", "XD_C"];

/// A variable that a macro reads without telling anybody.
const UNDECLARED: &str = "XD_U";

impl Generator<'_> {
    /// Whether something happens that happens so often in a hundred times.
    fn percent(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        self.random.choice(choices).expect("there is something to choose from").clone()
    }

    /// Chooses by weight.
    fn weighted<T: Clone>(&mut self, choices: &[(u32, T)]) -> T {
        let sum: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.random.u32(..sum);
        for (weight, choice) in choices {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return choice.clone(),
            }
        }
        unreachable!("the weights add up")
    }

    fn start(&mut self) -> State {
        let mut packages = self.skeletons();
        for n in 0..packages.len() {
            packages[n].needs = self.needs(&packages, n);
        }
        for n in 1..packages.len() {
            let name = packages[n].name.clone();
            if packages[..n].iter().all(|package| package.needs.iter().all(|need| need.on != name)) {
                packages[0].needs.push(Need { on: name, how: How::Normal, loud: false });
            }
        }
        for n in 0..packages.len() {
            packages[n].parts = self.parts(&packages[n].clone(), &packages[n + 1..]);
        }
        let around = Around { git: self.percent(30), ..Around::default() };
        let mut state = State { packages, around };
        if self.percent(15) {
            like_dev(&mut state.around);
        }
        Edit::Checkout(self.checkouts[0]).apply(&mut state);
        state
    }

    fn skeletons(&mut self) -> Vec<Package> {
        let mut packages = Vec::new();
        let mut add = |name: &str, origin, is_macro| {
            packages.push(Package { name: name.into(), origin, is_macro, ..Package::default() });
        };
        let members = self.weighted(&[(4, 1), (3, 2), (1, 3)]);
        ["one", "two", "three"].iter().take(members).for_each(|name| add(name, Origin::Member, false));
        let origins = [(3, Origin::Registry), (2, Origin::Git), (2, Origin::Member), (1, Origin::Side)];
        let macros = self.weighted(&[(4, 0), (4, 1), (1, 2)]);
        ["mac", "mad"].iter().take(macros).for_each(|name| add(name, self.weighted(&origins), true));
        let others = self.weighted(&[(2, 1), (4, 2), (2, 3)]);
        let origins = [(5, Origin::Registry), (2, Origin::Git), (1, Origin::Side)];
        ["red", "green", "blue"].iter().take(others).for_each(|name| add(name, self.weighted(&origins), false));
        // Members come first: what is needed comes after what needs it.
        let rank =
            |origin| [Origin::Member, Origin::Side, Origin::Git, Origin::Registry].iter().position(|o| *o == origin);
        packages.sort_by_key(|package| (rank(package.origin), package.is_macro));
        for package in &mut packages {
            package.links = self.percent(30);
            if package.origin == Origin::Member && !package.is_macro {
                package.targets = self.targets(package.name == "one");
            }
        }
        packages
    }

    fn targets(&mut self, is_first: bool) -> BTreeSet<Target> {
        let shares = [(Target::Bin, 35), (Target::Test, 30), (Target::Example, 15), (Target::Cdylib, 12)];
        let chosen = shares.into_iter().filter(|(_, share)| self.percent(*share)).map(|(target, _)| target);
        let mut chosen: BTreeSet<_> = chosen.collect();
        chosen.extend(is_first.then_some(Target::Bin));
        chosen
    }

    fn needs(&mut self, packages: &[Package], n: usize) -> Vec<Need> {
        let mut needs = Vec::new();
        for other in &packages[n + 1..] {
            if packages[n].origin.may_need(other.origin) && self.percent(45) {
                needs.push(self.need(other));
            }
        }
        needs
    }

    fn need(&mut self, other: &Package) -> Need {
        let how =
            self.weighted(&[(14, How::Normal), (3, How::Build), (1, How::Dev), (1, How::Unix), (1, How::Flagged)]);
        Need { on: other.name.clone(), how, loud: self.percent(25) }
    }

    fn parts(&mut self, package: &Package, later: &[Package]) -> Vec<Part> {
        let mut parts = Vec::new();
        for _ in 0..self.random.u32(1..=4) {
            parts.push(self.library_part(package, later));
        }
        if self.percent(55) {
            for _ in 0..self.random.u32(2..=5) {
                parts.push(self.script_part(package, later));
            }
            let reader = self.reader(package, &parts, later);
            parts.extend(reader);
        }
        parts
    }

    fn part(&mut self, kind: Kind) -> Part {
        self.parts += 1;
        Part { id: self.parts, value: self.random.u8(..4), kind }
    }

    fn library_part(&mut self, package: &Package, later: &[Package]) -> Part {
        let variable = self.pick(&VARIABLES);
        let mut kinds = vec![
            (3, Kind::Literal),
            (2, Kind::Module),
            (3, Kind::Inlined),
            (3, Kind::Included),
            (3, Kind::Variable(variable.to_owned())),
            (2, Kind::Manifest),
            (2, Kind::Configuration),
            (2, Kind::Warns),
            (u32::from(self.possible.environment), Kind::Ambient),
        ];
        if package.origin == Origin::Member {
            kinds.push((2, Kind::Shared));
        }
        if package.is_macro {
            kinds.push((3, Kind::OwnFile));
        }
        if let Some(by) = usable_macro(package, later) {
            kinds.push((3, Kind::Expanded { by: by.clone(), of: Expanded::File }));
            kinds.push((2, Kind::Expanded { by: by.clone(), of: Expanded::Package }));
            if self.possible.undeclared {
                kinds.push((3, Kind::Expanded { by, of: Expanded::Undeclared }));
            }
        }
        let kind = self.weighted(&kinds);
        self.part(kind)
    }

    fn script_part(&mut self, package: &Package, later: &[Package]) -> Part {
        let variable = self.pick(&VARIABLES).to_owned();
        let of_cargo = [
            "PROFILE",
            "OPT_LEVEL",
            "DEBUG",
            "TARGET",
            "CARGO_FEATURE_LOUD",
            "CARGO_CFG_PANIC",
            "CARGO_CFG_TARGET_FEATURE",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PKG_DESCRIPTION",
            "CARGO_MANIFEST_DIR",
        ];
        let of_cargo = self.pick(&of_cargo).to_owned();
        let texts = [Text::Url, Text::Braces, Text::Here, Text::HereAndMore, Text::Root, Text::RootAndMore, Text::Out];
        let mut text = self.pick(&texts);
        if self.percent(30) {
            let n = self.pick(&self.checkouts.clone());
            text = self.pick(&[Text::Checkout(n), Text::Home(n % HOMES)]);
        }
        let mut sources = vec![
            (2, Source::Literal),
            (4, Source::File),
            (1, Source::Directory),
            (2, Source::AnyFile),
            (4, Source::Variable(variable)),
            (3, Source::Cargo(of_cargo)),
            (7, Source::Text(text)),
            (u32::from(self.possible.environment), Source::Environment),
        ];
        let named = |how: How| {
            later.iter().filter(move |other| package.needs.iter().any(|need| need.on == other.name && need.how == how))
        };
        sources.extend(
            named(How::Normal).filter(|other| other.links).map(|other| (6, Source::Metadata(other.name.clone()))),
        );
        sources.extend(named(How::Build).map(|other| (8, Source::Dependency(other.name.clone()))));
        let mode = self.pick(&[0o600, 0o644, 0o755, 0o444]);
        let mut tellings = vec![
            (5, Told::Env),
            (3, Told::Cfg),
            (3, Told::Generated),
            (2, Told::Code),
            (2, Told::Mode(mode)),
            (1, Told::Appended),
            (2, Told::Native),
            (1, Told::Warning),
        ];
        if package.links {
            tellings.push((6, Told::Metadata));
        }
        let kind = Kind::Scripted { source: self.weighted(&sources), told: self.weighted(&tellings) };
        self.part(kind)
    }

    /// A macro that looks at what the script made.
    fn reader(&mut self, package: &Package, parts: &[Part], later: &[Package]) -> Option<Part> {
        let by = usable_macro(package, later)?;
        let scripted = parts.iter().filter(|part| matches!(part.kind, Kind::Scripted { .. }));
        let ids: Vec<_> = scripted.map(|part| part.id).collect();
        let of = Expanded::Script(self.pick(&ids));
        self.percent(60).then(|| self.part(Kind::Expanded { by, of }))
    }

    fn step(&mut self, state: &mut State, n: usize) -> Step {
        let mut edits = Vec::new();
        let count = if n == 0 { 0 } else { self.weighted(&[(2, 0), (6, 1), (2, 2)]) };
        let mut needs_clean = false;
        for _ in 0..count {
            let edit = self.edit(state);
            needs_clean |= is_seen_from_nothing_only(&edit, state);
            edit.apply(state);
            edits.push(edit);
        }
        if n > 0 && self.percent(45) {
            edits.push(self.event(state));
        }
        let appends = state.packages.iter().flat_map(Package::scripted).any(|(.., told)| told == Told::Appended);
        let unjudged = appends && !needs_clean && self.percent(50);
        if needs_clean || (appends && !unjudged) {
            edits.retain(|edit| *edit != Edit::Clean);
            edits.push(Edit::Clean);
        }
        if n == 0 || self.percent(40) {
            self.command = self.new_command(state);
        }
        Step { edits, command: self.command.clone(), unjudged }
    }

    fn new_command(&mut self, state: &State) -> Command {
        let verbs = [
            (40, Verb::Check),
            (26, Verb::Build),
            (8, Verb::Run),
            (9, Verb::Test),
            (7, Verb::TestNoRun),
            (if self.possible.clippy { 5 } else { 0 }, Verb::Clippy),
        ];
        let mut command = Command::new(self.weighted(&verbs));
        command.profile = self.weighted(&[(78, None), (10, Some("release".into())), (12, Some("fast".into()))]);
        let members: Vec<_> = state.members().map(|package| package.name.clone()).collect();
        if command.verb == Verb::Run {
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
                // In the same directory, it must not build other programs than those that are compared.
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
        match self.weighted(&[(52, 0), (48, 1)]) {
            0 => self.edit_of_source(state, &package),
            _ => self.edit_of_circumstances(state),
        }
    }

    /// What keeps everything from being compiled does not stay for long.
    fn repair(&mut self, state: &State) -> Option<Edit> {
        let broken = state.packages.iter().find(|package| package.broken);
        if let Some(package) = broken.filter(|_| self.percent(80)) {
            return Some(Edit::Break { package: package.name.clone(), broken: false });
        }
        (state.around.lint.as_deref() == Some("deny") && self.percent(70)).then_some(Edit::Lint(None))
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

    /// One package comes and goes.
    fn edit_of_packages(&mut self, state: &State) -> Edit {
        if state.package("grey").is_some() {
            return Edit::Remove("grey".into());
        }
        let mut package = Package { name: "grey".into(), origin: Origin::Registry, ..Package::default() };
        package.parts = self.parts(&package.clone(), &[]);
        Edit::Add(package)
    }

    fn edit_of_circumstances(&mut self, state: &State) -> Edit {
        let kinds = [
            (16, 0),
            (9, 1),
            (9, 2),
            (12, 3),
            (3, 4),
            (16, 5),
            (7, 6),
            (8, 7),
            (4, 8),
            (4, 9),
            (3, 10),
            (5, 11),
            (3, 12),
            (4, 13),
        ];
        match self.weighted(&kinds) {
            0 => {
                let mut names = VARIABLES.to_vec();
                names.extend(self.possible.undeclared.then_some(UNDECLARED));
                let value = self.pick(&[None, Some("p".to_owned()), Some("q".to_owned())]);
                Edit::Variable { name: self.pick(&names).into(), value }
            }
            1 => Edit::Rustflags(self.rustflags()),
            2 => self.edit_of_config(),
            3 => self.edit_of_profile(state),
            4 if self.possible.toolchain.is_some() => {
                let other = self.possible.toolchain.clone().filter(|_| state.around.toolchain.is_none());
                Edit::Toolchain(other)
            }
            5 => Edit::Checkout(if self.percent(80) {
                self.pick(&self.checkouts.clone())
            } else {
                self.random.usize(..CHECKOUTS)
            }),
            6 => Edit::Home((state.around.home + self.random.usize(1..HOMES)) % HOMES),
            11 => self.edit_of_compiler(state),
            12 => Edit::Cc(self.random.u8(..3)),
            13 => Edit::Moved { checkout: self.pick(&self.checkouts.clone()), target: state.around.target },
            7 => {
                use TargetDir::{BuildDir, BuildDirAndElsewhere, Elsewhere, Inside, Linked, Relative};
                let dirs = [Inside, Inside, Elsewhere, BuildDir, BuildDirAndElsewhere, Linked, Relative];
                Edit::TargetDir(self.pick(&dirs))
            }
            8 => Edit::Vendored(!state.around.vendored),
            9 => Edit::Lint(self.weighted(&[(3, None), (3, Some("allow".to_owned())), (1, Some("deny".to_owned()))])),
            10 => Edit::Incremental(match state.around.incremental {
                Incremental::Off => Incremental::Kept,
                Incremental::Kept => Incremental::Off,
            }),
            _ => Edit::Clean,
        }
    }

    fn edit_of_compiler(&mut self, state: &State) -> Edit {
        let mut compiler = state.around.compiler;
        compiler.digit = self.random.u8(1..=2);
        if compiler.by == By::Nothing || self.percent(50) {
            let kinds = [By::Nothing, By::WrapperVariable, By::WrapperConfig, By::RustcVariable, By::RustcConfig];
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

/// Makes `release` what `dev` is, but for its name.
fn like_dev(around: &mut Around) {
    let fields = [
        ("opt-level", "0"),
        ("debug", "0"),
        ("debug-assertions", "true"),
        ("overflow-checks", "true"),
        ("codegen-units", "256"),
    ];
    let fields = fields.map(|(field, value)| (field.to_owned(), value.to_owned()));
    around.profiles.insert("release".into(), fields.into());
}

fn usable_macro(package: &Package, later: &[Package]) -> Option<String> {
    let is_used = |other: &&Package| {
        package.needs.iter().any(|need| need.on == other.name && matches!(need.how, How::Normal | How::Unix))
    };
    later.iter().filter(|other| other.is_macro).find(is_used).map(|other| other.name.clone())
}

/// Whether plain cargo sees an edit in an empty target directory only: the time says nothing, or nobody told it of the
/// file.
fn is_seen_from_nothing_only(edit: &Edit, state: &State) -> bool {
    let is_untold = |part: &Part| matches!(part.kind, Kind::OwnFile | Kind::Expanded { of: Expanded::File, .. });
    match edit {
        Edit::Value { quietly: true, .. } => true,
        // Cargo asks compilers who they are, and no more.
        Edit::Compiler(_) | Edit::Cc(_) => true,
        Edit::Variable { name, .. } => name == UNDECLARED,
        Edit::Value { part, .. } | Edit::RemovePart(part) => state.part(*part).is_some_and(|(_, part)| is_untold(part)),
        Edit::Rename(package) => state.package(package).is_some_and(|package| package.parts.iter().any(is_untold)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSSIBLE: Possible = Possible { toolchain: None, clippy: true, undeclared: true, environment: true };

    #[test]
    fn the_same_seed_makes_the_same_script_and_another_makes_another() {
        assert_eq!(script(7, 25, &POSSIBLE), script(7, 25, &POSSIBLE));
        assert_ne!(script(7, 25, &POSSIBLE), script(8, 25, &POSSIBLE));
    }

    #[test]
    fn a_script_survives_being_written() {
        for seed in 0..50 {
            let made = script(seed, 25, &POSSIBLE);
            let text = serde_json::to_string(&made).expect("a script is plain data");
            assert_eq!(serde_json::from_str::<Script>(&text).expect("it was written by us"), made);
        }
    }

    #[test]
    fn what_nobody_declares_is_left_out_unless_it_is_asked_for() {
        let declared = Possible { undeclared: false, ..POSSIBLE };
        let mentions = |possible| {
            let texts = (0..50).map(|seed| serde_json::to_string(&script(seed, 25, possible)).expect("plain data"));
            { texts }.any(|text| text.contains("undeclared") || text.contains(UNDECLARED))
        };
        assert!(mentions(&POSSIBLE));
        assert!(!mentions(&declared));
    }
}
