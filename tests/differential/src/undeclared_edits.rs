//! Makes undeclared inputs: the parts that read them, and their edits ([`undeclared`](crate::undeclared),
//! [`linked`](crate::linked)).
//!
//! Only inputs that are read are edited, and plain cargo can always link. So each edit shows in the output of programs
//! where they are built.

use crate::edits::is_read_undeclared;
use crate::generate::{Generator, usable_macro};
use crate::model::{
    Circumstances, ConfigPlace, Declaration, DependencyTable, Expanded, Kind, Linking, Need, Order, Origin, Package,
    Part, Search, Searched, Source, State, UndeclaredInput,
};
use crate::script::Edit;

/// An undeclared variable.
pub(crate) const UNDECLARED: &str = "XD_U";

/// Variables that are read without being declared; others may declare the last one.
const VARIABLES: [&str; 3] = [UNDECLARED, "XD_V", "XD_A"];

/// Makes one kind of edit.
type Maker<'a> = fn(&mut Generator<'a>, &State) -> Edit;

impl<'a> Generator<'a> {
    /// The circumstances at the start of a walk.
    pub(crate) fn start_circumstances(&mut self, circumstances: &mut Circumstances) {
        circumstances.searched = Searched::ALL.map(|searched| (searched, Order::Both)).into();
        circumstances.object = Some(self.random.u8(..4));
        circumstances.flagged = self.percent(10);
        circumstances.front = if self.percent(30) { 1 } else { 0 };
    }

    /// Adds a package of a registry that only reads undeclared inputs, as a dependency of the first package. Most other
    /// actions of scripts would prevent that their runs are stored, and so hide their other inputs.
    pub(crate) fn add_reader(&mut self, packages: &mut Vec<Package>) {
        let registry = |package: &Package| package.origin == Origin::Registry;
        let at = packages.iter().position(registry).unwrap_or(packages.len());
        let mut reader = Package { name: "pink".into(), origin: Origin::Registry, ..Package::default() };
        let macros = packages[at..].iter().filter(|package| package.is_macro);
        let need = |on: &str| Need { on: on.to_owned(), how: DependencyTable::Normal, loud: false };
        reader.needs = macros.map(|package| need(&package.name)).collect();
        for _ in 0..self.random.u32(2..=4) {
            let kind = match usable_macro(&reader, &packages[at..]) {
                Some(by) if self.percent(50) => {
                    Kind::Expanded { by, of: Expanded::UndeclaredInput(self.undeclared_input(&reader)) }
                }
                _ => self.undeclared_script(&reader),
            };
            let part = self.part(kind);
            reader.parts.push(part);
        }
        packages[0].needs.push(need(&reader.name));
        packages.insert(at, reader);
    }

    pub(crate) fn undeclared_parts(&mut self, package: &Package, later: &[Package]) -> Vec<Part> {
        (0..self.random.u32(1..=3)).map(|_| self.undeclared_part(package, later)).collect()
    }

    fn undeclared_part(&mut self, package: &Package, later: &[Package]) -> Part {
        // The scripts of members run again in any case.
        let scripts = if matches!(package.origin, Origin::Git | Origin::Registry) { 10 } else { 3 };
        let mut kinds = vec![
            (scripts, self.undeclared_script(package)),
            (3, Kind::Linked(self.linking(package))),
            (if package.is_macro { 0 } else { 2 }, Kind::Started),
        ];
        if let Some(by) = usable_macro(package, later) {
            kinds.push((2, Kind::Expanded { by: by.clone(), of: Expanded::UndeclaredVariable }));
            kinds.push((10, Kind::Expanded { by, of: Expanded::UndeclaredInput(self.undeclared_input(package)) }));
        }
        let kind = self.weighted(&kinds);
        self.part(kind)
    }

    fn undeclared_script(&mut self, package: &Package) -> Kind {
        let header = Source::Header(self.pick(&[Search::Flag, Search::Variable]));
        let source = if self.percent(25) { header } else { Source::Undeclared(self.undeclared_input(package)) };
        let declaration = match self.declaration(package) {
            // With this one, steps are usually not compared.
            Declaration::Appended => Declaration::Env,
            declaration => declaration,
        };
        Kind::Scripted { source, declaration }
    }

    fn undeclared_input(&mut self, package: &Package) -> UndeclaredInput {
        use UndeclaredInput::{
            Appearing, File, Ignored, LinkedDirectory, Links, Listing, Manifest, Named, Names, Nested, Tool, Variable,
        };
        let variable = self.pick(&VARIABLES).to_owned();
        let declared = self.percent(50);
        let mut kinds =
            vec![Variable(variable.clone()), Named { variable, declared }, File, Appearing, Listing, Tool, Tool];
        if package.origin == Origin::Member {
            kinds.extend([Ignored, Manifest, Nested, Names, Links, LinkedDirectory]);
        }
        self.pick(&kinds)
    }

    fn linking(&mut self, package: &Package) -> Linking {
        use Linking::{Archive, Arguments, Attribute, LinkerScript, Object, Variable};
        let (arguments, libraries) = ([Object, LinkerScript, Arguments], [Archive, Attribute, Variable]);
        // Libraries of other packages are not programs.
        let may_have_arguments = package.is_macro || package.origin == Origin::Member;
        if may_have_arguments && self.percent(60) { self.pick(&arguments) } else { self.pick(&libraries) }
    }

    /// An edit of an undeclared input that is read, or a new part that reads one.
    pub(crate) fn edit_of_undeclared_input(&mut self, state: &State) -> Edit {
        let has = |is_one: fn(&Part) -> bool| u32::from(parts(state).any(is_one));
        let variables = u32::from(!variables(state).is_empty());
        let objects = has(|part| part.kind == Kind::Started);
        // With such flags, almost nothing that is linked is cached.
        let unflagged = if state.circumstances.flagged { 6 } else { 1 };
        let kinds: [(u32, Maker<'a>); 8] = [
            (1, Self::addition),
            (12 * has(Part::is_outside), Self::edit_of_value),
            (4 * variables, Self::edit_of_undeclared_variable),
            (3 * variables, Self::edit_of_env),
            (3 * has(|part| part.searched().is_some()), Self::edit_of_search),
            (3 * has(is_compiled), |generator, state| {
                Edit::Front((state.circumstances.front + generator.random.u8(1..3)) % 3)
            }),
            (3 * objects, |generator, _| Edit::Object(generator.random.u8(..4))),
            (unflagged * objects, |_, state| Edit::Flagged(!state.circumstances.flagged)),
        ];
        self.weighted(&kinds)(self, state)
    }

    fn addition(&mut self, state: &State) -> Edit {
        let package = self.pick(&state.packages);
        let later: Vec<_> = state.needed(&package).map(|(_, other)| other.clone()).collect();
        let part = self.undeclared_part(&package, &later);
        Edit::AddPart { package: package.name, part }
    }

    fn edit_of_value(&mut self, state: &State) -> Edit {
        let outside: Vec<_> = parts(state).filter(|part| part.is_outside()).cloned().collect();
        let part = self.pick(&outside);
        Edit::Value { part: part.id, value: (part.value + self.random.u8(1..4)) % 4, quietly: self.percent(30) }
    }

    fn edit_of_undeclared_variable(&mut self, state: &State) -> Edit {
        let name = self.pick(&variables(state));
        let before = state.circumstances.variables.get(name).map(String::as_str);
        let others: Vec<_> = [None, Some("p"), Some("q")].into_iter().filter(|value| *value != before).collect();
        Edit::Variable { name: name.into(), value: self.pick(&others).map(str::to_owned) }
    }

    /// Sets a variable in the configuration.
    fn edit_of_env(&mut self, state: &State) -> Edit {
        let place = self.weighted(&[(3, ConfigPlace::Workspace), (1, ConfigPlace::Home)]);
        let key = format!("env.{}", self.pick(&variables(state)));
        let value = self.pick(&[None, Some("\"p\""), Some("\"q\""), Some("{ value = \"q\", force = true }")]);
        Edit::Config { place, key, value: value.map(str::to_owned) }
    }

    fn edit_of_search(&mut self, state: &State) -> Edit {
        let searched: Vec<_> = parts(state).filter_map(Part::searched).collect();
        let searched = self.pick(&searched);
        let order = self.pick(&[Some(Order::Both), Some(Order::Reversed), Some(Order::Late), None]);
        // Without an archive, nothing could be linked.
        let order = order.or_else(|| (searched == Searched::LibraryPath).then_some(Order::Both));
        Edit::Searched { searched, order }
    }
}

fn parts(state: &State) -> impl Iterator<Item = &Part> {
    state.packages.iter().flat_map(|package| &package.parts)
}

/// The variables that are read without being declared.
fn variables(state: &State) -> Vec<&'static str> {
    VARIABLES.into_iter().filter(|name| is_read_undeclared(state, name)).collect()
}

/// Whether it needs a C compiler.
fn is_compiled(part: &Part) -> bool {
    matches!(
        part.kind,
        Kind::Scripted { source: Source::Header(_), .. } | Kind::Scripted { declaration: Declaration::Native, .. }
    )
}
