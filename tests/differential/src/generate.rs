//! Makes scripts: a workspace, and a random walk from it ([`edits`](crate::edits)). The same seed makes the same
//! script.
//!
//! There are few values, so a walk returns to earlier states, for which the store has entries, possibly wrong ones.

use std::collections::BTreeSet;

use fastrand::Rng;

use crate::directories::{CHECKOUTS, HOMES};
use crate::model::{
    Circumstances, Declaration, DependencyTable, Expanded, Kind, Need, Origin, Package, Part, Source, State, Target,
    TargetDir, Text,
};
use crate::script::{Command, Edit, Script, Verb};

/// What scripts may contain.
pub(crate) struct Possible {
    pub toolchain: Option<String>,
    pub clippy: bool,
    /// Whether macros and scripts read undeclared inputs.
    pub undeclared: bool,
    /// Whether scripts compute values from their own paths, so that the result does not show the path.
    pub derived: bool,
    /// Whether the environment set by cargo and its wrappers is printed as a whole.
    pub environment: bool,
}

/// A script with this many steps.
pub(crate) fn script(seed: u64, steps: usize, possible: &Possible) -> Script {
    let mut random = Rng::with_seed(seed);
    let checkouts = [random.usize(..CHECKOUTS), random.usize(..CHECKOUTS)];
    let command = Command::new(Verb::Check);
    let mut generator = Generator { random, possible, parts: 0, checkouts, command, current: Vec::new() };
    let start = generator.start();
    let mut state = start.clone();
    let steps = (0..steps).map(|n| generator.step(&mut state, n)).collect();
    Script::new(start, steps)
}

pub(crate) struct Generator<'a> {
    pub random: Rng,
    pub possible: &'a Possible,
    parts: u32,
    /// The usual checkouts of this walk: it returns to them, and texts contain their paths.
    pub checkouts: [usize; 2],
    /// The last command, which most steps repeat.
    pub command: Command,
    /// The target directories, by checkout, without outputs from before the last edit that cargo does not see.
    pub current: Vec<(usize, TargetDir)>,
}

pub(crate) const VARIABLES: [&str; 3] = ["XD_A", "XD_B", "XD_C"];

/// Variables that cargo sets for scripts.
const OF_CARGO: [&str; 10] = [
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

impl Generator<'_> {
    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        self.random.choice(choices).expect("there are choices").clone()
    }

    /// Chooses by weight.
    pub(crate) fn weighted<T: Clone>(&mut self, choices: &[(u32, T)]) -> T {
        let sum: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.random.u32(..sum);
        for (weight, choice) in choices {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return choice.clone(),
            }
        }
        unreachable!("the number is below the sum of the weights")
    }

    fn start(&mut self) -> State {
        let mut packages = self.skeletons();
        for n in 0..packages.len() {
            packages[n].needs = self.needs(&packages, n);
        }
        for n in 1..packages.len() {
            let name = packages[n].name.clone();
            if packages[..n].iter().all(|package| package.needs.iter().all(|need| need.on != name)) {
                packages[0].needs.push(Need { on: name, how: DependencyTable::Normal, loud: false });
            }
        }
        for n in 0..packages.len() {
            packages[n].parts = self.parts(&packages[n].clone(), &packages[n + 1..]);
        }
        if self.possible.undeclared {
            self.add_reader(&mut packages);
        }
        let circumstances = Circumstances { git: self.percent(30), ..Circumstances::default() };
        let mut state = State { packages, circumstances };
        if self.percent(15) {
            like_dev(&mut state.circumstances);
        }
        if self.possible.undeclared {
            self.start_circumstances(&mut state.circumstances);
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
        let (few, many) = if self.possible.undeclared { (2, 2) } else { (4, 1) };
        let macros = self.weighted(&[(few, 0), (4, 1), (many, 2)]);
        ["mac", "mad"].iter().take(macros).for_each(|name| add(name, self.weighted(&origins), true));
        let others = self.weighted(&[(2, 1), (4, 2), (2, 3)]);
        let origins = [(5, Origin::Registry), (2, Origin::Git), (1, Origin::Side)];
        ["red", "green", "blue"].iter().take(others).for_each(|name| add(name, self.weighted(&origins), false));
        // Members come first: dependencies come after their dependents.
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

    pub(crate) fn need(&mut self, other: &Package) -> Need {
        let how = self.weighted(&[
            (14, DependencyTable::Normal),
            (3, DependencyTable::Build),
            (1, DependencyTable::Dev),
            (1, DependencyTable::Unix),
            (1, DependencyTable::Flagged),
        ]);
        Need { on: other.name.clone(), how, loud: self.percent(25) }
    }

    pub(crate) fn parts(&mut self, package: &Package, later: &[Package]) -> Vec<Part> {
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
        if self.possible.undeclared {
            parts.extend(self.undeclared_parts(package, later));
        }
        parts
    }

    pub(crate) fn part(&mut self, kind: Kind) -> Part {
        self.parts += 1;
        Part { id: self.parts, value: self.random.u8(..4), kind }
    }

    pub(crate) fn library_part(&mut self, package: &Package, later: &[Package]) -> Part {
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
                kinds.push((3, Kind::Expanded { by, of: Expanded::UndeclaredVariable }));
            }
        }
        let kind = self.weighted(&kinds);
        self.part(kind)
    }

    pub(crate) fn script_part(&mut self, package: &Package, later: &[Package]) -> Part {
        let (source, mut declaration) = (self.source(package, later), self.declaration(package));
        if is_place(&source) && matches!(declaration, Declaration::Cfg | Declaration::Native) && !self.possible.derived
        {
            declaration = Declaration::Env;
        }
        self.part(Kind::Scripted { source, declaration })
    }

    fn source(&mut self, package: &Package, later: &[Package]) -> Source {
        let mut sources = vec![
            (2, Source::Literal),
            (4, Source::File),
            (1, Source::Directory),
            (2, Source::AnyFile),
            (4, Source::Variable(self.pick(&VARIABLES).to_owned())),
            (3, Source::Cargo(self.pick(&OF_CARGO).to_owned())),
            (7, Source::Text(self.text())),
            (u32::from(self.possible.environment), Source::Environment),
        ];
        for other in later {
            match package.needs.iter().find(|need| need.on == other.name).map(|need| need.how) {
                Some(DependencyTable::Normal) if other.links => sources.push((6, Source::Metadata(other.name.clone()))),
                Some(DependencyTable::Build) => sources.push((8, Source::Dependency(other.name.clone()))),
                _ => {}
            }
        }
        self.weighted(&sources)
    }

    fn text(&mut self) -> Text {
        if self.percent(30) {
            let n = self.checkout();
            return self.pick(&[Text::Checkout(n), Text::Home(n % HOMES)]);
        }
        use Text::{Braces, Here, HereAndMore, Out, Root, RootAndMore, Url};
        self.pick(&[Url, Braces, Here, HereAndMore, Root, RootAndMore, Out])
    }

    /// One of the two checkouts of this walk.
    pub(crate) fn checkout(&mut self) -> usize {
        let checkouts = self.checkouts;
        self.pick(&checkouts)
    }

    pub(crate) fn declaration(&mut self, package: &Package) -> Declaration {
        let tellings = [
            (5, Declaration::Env),
            (3, Declaration::Cfg),
            (3, Declaration::Generated),
            (2, Declaration::Code),
            (2, Declaration::Mode(self.pick(&[0o600, 0o644, 0o755, 0o444]))),
            (1, Declaration::Appended),
            (2, Declaration::Native),
            (1, Declaration::Warning),
            (if package.links { 6 } else { 0 }, Declaration::Metadata),
        ];
        self.weighted(&tellings)
    }

    /// A macro that reads the output of the script.
    fn reader(&mut self, package: &Package, parts: &[Part], later: &[Package]) -> Option<Part> {
        let by = usable_macro(package, later)?;
        let scripted = parts.iter().filter(|part| matches!(part.kind, Kind::Scripted { .. }));
        let ids: Vec<_> = scripted.map(|part| part.id).collect();
        let of = Expanded::Script(self.pick(&ids));
        self.percent(60).then(|| self.part(Kind::Expanded { by, of }))
    }
}

/// Whether a value is the path of the script's own package or output.
fn is_place(source: &Source) -> bool {
    match source {
        Source::Text(text) => !matches!(text, Text::Url | Text::Braces | Text::Checkout(_) | Text::Home(_)),
        Source::Cargo(name) => name == "CARGO_MANIFEST_DIR",
        _ => false,
    }
}

/// Makes `release` equal to `dev` except for its name.
fn like_dev(circumstances: &mut Circumstances) {
    let fields = [
        ("opt-level", "0"),
        ("debug", "0"),
        ("debug-assertions", "true"),
        ("overflow-checks", "true"),
        ("codegen-units", "256"),
    ];
    let fields = fields.map(|(field, value)| (field.to_owned(), value.to_owned()));
    circumstances.profiles.insert("release".into(), fields.into());
}

pub(crate) fn usable_macro(package: &Package, later: &[Package]) -> Option<String> {
    let is_used = |other: &&Package| {
        package
            .needs
            .iter()
            .any(|need| need.on == other.name && matches!(need.how, DependencyTable::Normal | DependencyTable::Unix))
    };
    later.iter().filter(|other| other.is_macro).find(is_used).map(|other| other.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::target_key;
    use crate::undeclared_edits::UNDECLARED;

    const POSSIBLE: Possible =
        Possible { toolchain: None, clippy: true, undeclared: true, derived: true, environment: true };

    #[test]
    fn the_same_seed_makes_the_same_script_and_another_seed_another() {
        assert_eq!(script(7, 25, &POSSIBLE), script(7, 25, &POSSIBLE));
        assert_ne!(script(7, 25, &POSSIBLE), script(8, 25, &POSSIBLE));
    }

    #[test]
    fn a_script_can_be_written_and_read() {
        for seed in 0..50 {
            let made = script(seed, 25, &POSSIBLE);
            let text = serde_json::to_string(&made).expect("a script is plain data");
            assert_eq!(serde_json::from_str::<Script>(&text).expect("a written script can be read"), made);
        }
    }

    #[test]
    fn undeclared_inputs_are_left_out_unless_requested() {
        let declared = Possible { undeclared: false, ..POSSIBLE };
        let mentions = |possible| {
            let texts = (0..50).map(|seed| serde_json::to_string(&script(seed, 25, possible)).expect("plain data"));
            { texts }.any(|text| WORDS.iter().any(|word| text.contains(word)))
        };
        assert!(mentions(&POSSIBLE));
        assert!(!mentions(&declared));
    }

    /// Words that occur only with undeclared inputs.
    const WORDS: [&str; 12] = [
        UNDECLARED,
        "\"undeclared\"",
        "{\"untold\":",
        "{\"header\":",
        "{\"linked\":",
        "\"started\"",
        "{\"searched\":",
        "{\"front\":",
        "{\"object\":",
        "{\"flagged\":",
        "\"env.XD_U\"",
        "\"verb\":\"rustc\"",
    ];

    #[test]
    fn all_undeclared_inputs_occur() {
        let texts = (0..300).map(|seed| serde_json::to_string(&script(seed, 25, &POSSIBLE)).expect("plain data"));
        let text: String = texts.collect();
        let undeclared = [
            "file",
            "appearing",
            "listing",
            "tool",
            "ignored",
            "manifest",
            "nested",
            "names",
            "links",
            "linked-directory",
        ];
        let undeclared = undeclared.map(|name| format!("{{\"untold\":\"{name}\"}}"));
        let linked = ["object", "linker-script", "arguments", "archive", "attribute", "variable"];
        let linked = linked.map(|name| format!("{{\"linked\":\"{name}\"}}"));
        let others = [
            "{\"untold\":{\"variable\":\"XD_V\"}}",
            "{\"variable\":\"XD_A\",\"declared\":true}",
            "{\"variable\":\"XD_U\",\"declared\":false}",
            "{\"header\":\"flag\"}",
            "{\"header\":\"variable\"}",
            "{\"searched\":\"path\",\"order\":null}",
            "{\"searched\":\"library-path\",\"order\":\"late\"}",
        ];
        let words = undeclared.iter().chain(&linked).map(String::as_str).chain(others).chain(WORDS);
        let missing: Vec<_> = words.filter(|word| !text.contains(word)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        // Otherwise nothing could be linked.
        assert!(!text.contains("{\"searched\":\"library-path\",\"order\":null}"));
    }

    fn is_outside(edit: &Edit, state: &State) -> bool {
        matches!(edit, Edit::Value { part, .. } if state.part(*part).is_some_and(|(_, part)| part.is_outside()))
    }

    #[test]
    fn a_target_directory_is_empty_when_it_is_used_after_an_edit_unseen_by_cargo() {
        for seed in 0..100 {
            let made = script(seed, 25, &POSSIBLE);
            let mut state = made.start.clone();
            let mut current = vec![target_key(&state)];
            for step in &made.steps {
                for edit in &step.edits {
                    if is_outside(edit, &state) {
                        current.clear();
                    }
                    let before = target_key(&state);
                    edit.apply(&mut state);
                    if matches!(edit, Edit::Moved { .. }) && current.contains(&before) {
                        current.push(target_key(&state));
                    }
                }
                let place = target_key(&state);
                assert!(current.contains(&place) || step.edits.contains(&Edit::Clean), "{seed} {step:?}");
                current.push(place);
            }
        }
    }
}
