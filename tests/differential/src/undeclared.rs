//! Undeclared inputs: their paths, the code that reads them, and their contents.
//!
//! All of it follows from the value of a part ([`UndeclaredInput`], [`Source::Header`]), and no source differs with
//! that value.

use std::path::Path;

use crate::directories::Directories;
use crate::entry::{Entries, Entry};
use crate::linked;
use crate::model::{Order, Origin, Package, Part, Search, Searched, Source, State, UndeclaredInput};

/// All entries outside of all packages.
pub(crate) fn outside(state: &State, directories: &Directories) -> Entries {
    let mut entries = Entries::new();
    for package in &state.packages {
        entries.extend(package.undeclared_inputs().flat_map(|(part, input)| outside_of_part(part, input)));
        let headers = package.scripted().filter(|(_, source, _)| matches!(source, Source::Header(_)));
        entries.extend(headers.flat_map(|(part, ..)| found(part, Searched::Cpath, &header(part.id), define)));
        entries.extend(package.linked().flat_map(|(part, linking)| linked::entries(part, linking, directories)));
    }
    entries.extend(state.circumstances.object.map(|value| (OBJECT.into(), Entry::Object(linked::starting(value)))));
    if state.circumstances.front > 0 {
        let helper = directories.outside().join(HELPER);
        let text = format!("exec cc \"$@\" -DXD_FRONT=\"$(cat '{}')\"", helper.display());
        entries.insert(FRONT.into(), Entry::Program(text));
        entries.insert(HELPER.into(), Entry::Text(format!("{}\n", state.circumstances.front)));
    }
    entries
}

/// The program that `CC` names, and the file that it reads.
pub(crate) const FRONT: &str = "front/compiler";
const HELPER: &str = "front/helper.txt";

/// The object that flags name.
pub(crate) const OBJECT: &str = "object.o";

fn text(value: u8) -> Entry {
    Entry::Text(format!("content {}\n", value % 4))
}

fn outside_of_part(part: &Part, input: &UndeclaredInput) -> Entries {
    let Part { id, value, .. } = part;
    let one = |path: String, entry| Entries::from([(path, entry)]);
    match input {
        UndeclaredInput::Named { .. } => {
            let names = ["unset", "p", "q"].into_iter().zip(*value..);
            names.map(|(name, value)| (format!("n{id}-{name}.txt"), text(value))).collect()
        }
        UndeclaredInput::File => one(format!("f{id}.txt"), text(*value)),
        UndeclaredInput::Appearing if *value > 0 => one(format!("f{id}.txt"), text(*value)),
        UndeclaredInput::Listing => names(&format!("d{id}"), *value),
        UndeclaredInput::Tool => {
            found(part, Searched::Path, &tool(*id), |_, value| Entry::Program(format!("echo content {value}")))
        }
        UndeclaredInput::Links | UndeclaredInput::LinkedDirectory => {
            let file = |n| (format!("t{id}-{n}.txt"), text(if value / 2 == n { *value } else { 0 }));
            let link = Entry::Link(Path::new("..").join(file(value / 2 % 2).0));
            Entries::from([file(0), file(1), (linked_file(*id), link)])
        }
        _ => Entries::new(),
    }
}

/// No directory, an empty one, or one with files.
fn names(dir: &str, value: u8) -> Entries {
    let files = (1..value).map(|n| (format!("{dir}/e{n}"), text(0)));
    let directory = (value > 0).then(|| (dir.to_owned(), Entry::Directory));
    files.chain(directory).collect()
}

/// A file in one of two directories: with 0 in neither, with 3 also in the early one.
fn found(part: &Part, searched: Searched, name: &str, make: fn(u32, u8) -> Entry) -> Entries {
    let path = |dir: &str| format!("{dir}/{}/{name}", searched.dir());
    match part.value % 4 {
        0 => Entries::new(),
        3 => Entries::from([(path("early"), make(part.id, 3)), (path("late"), make(part.id, 1))]),
        value => Entries::from([(path("late"), make(part.id, value))]),
    }
}

fn tool(id: u32) -> String {
    format!("xd-tool-{id}")
}

fn header(id: u32) -> String {
    format!("xd_{id}.h")
}

fn define(id: u32, value: u8) -> Entry {
    Entry::Text(format!("#define XD_{id} {value}\n"))
}

/// Entries in the directories of members.
pub(crate) fn of_members(state: &State, directories: &Directories) -> Entries {
    let mut entries = Entries::new();
    for package in state.members() {
        let of_package =
            package.undeclared_inputs().flat_map(|(part, input)| of_part(package, part, input, directories));
        entries.extend(of_package.map(|(path, entry)| (format!("{}/{path}", package.name), entry)));
    }
    entries
}

fn of_part(package: &Package, part: &Part, input: &UndeclaredInput, directories: &Directories) -> Entries {
    let Part { id, value, .. } = part;
    match input {
        UndeclaredInput::Ignored => {
            let list = (".gitignore".to_owned(), Entry::Text("/ignored\n".into()));
            Entries::from([list, (ignored_file(*id), text(*value))])
        }
        UndeclaredInput::Nested => {
            let manifest = format!(
                "[package]\nname = \"{}-nested\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[lib]\ndoctest = false\n",
                package.name
            );
            Entries::from([
                ("nested/Cargo.toml".into(), Entry::Text(manifest)),
                ("nested/src/lib.rs".into(), Entry::Text("pub const NESTED: u8 = 0;\n".into())),
                (nested_file(*id), text(*value)),
            ])
        }
        UndeclaredInput::Names => names(&names_dir(*id), *value),
        UndeclaredInput::Links => {
            Entries::from([(format!("{}.txt", link(*id)), Entry::Link(directories.outside().join(linked_file(*id))))])
        }
        UndeclaredInput::LinkedDirectory => {
            Entries::from([(link(*id), Entry::Link(directories.outside().join(linked_dir(*id))))])
        }
        _ => Entries::new(),
    }
}

fn ignored_file(id: u32) -> String {
    format!("ignored/i{id}.txt")
}

fn nested_file(id: u32) -> String {
    format!("nested/data/f{id}.txt")
}

fn names_dir(id: u32) -> String {
    format!("names/d{id}")
}

fn link(id: u32) -> String {
    format!("links/l{id}")
}

/// The directory that it leads to, outside of all packages.
fn linked_dir(id: u32) -> String {
    format!("l{id}")
}

/// A link to the file.
fn linked_file(id: u32) -> String {
    format!("{}/link.txt", linked_dir(id))
}

/// The members inside the directories of members.
pub(crate) fn nested_members(state: &State) -> impl Iterator<Item = String> {
    let has_nested =
        |package: &&Package| package.undeclared_inputs().any(|(_, input)| *input == UndeclaredInput::Nested);
    state.members().filter(has_nested).map(|package| format!("{}/nested", package.name))
}

/// The metadata in the manifest of the workspace.
pub(crate) fn metadata(state: &State) -> String {
    let input =
        state.members().flat_map(Package::undeclared_inputs).filter(|(_, input)| **input == UndeclaredInput::Manifest);
    let lines: String = input.map(|(part, _)| format!("xd_{} = {}\n", part.id, part.value)).collect();
    if lines.is_empty() { lines } else { format!("\n[workspace.metadata]\n{lines}") }
}

/// The argument for the function `undeclared` of scripts and macros. `None` if the package cannot read the input.
pub(crate) fn argument(
    package: &Package,
    part: &Part,
    input: &UndeclaredInput,
    directories: &Directories,
) -> Option<String> {
    if input.is_of_member() && package.origin != Origin::Member {
        return None;
    }
    let id = part.id;
    let outside = directories.outside();
    let outside = outside.display();
    Some(match input {
        UndeclaredInput::Variable(name) => format!("variable#{name}"),
        UndeclaredInput::Named { variable, .. } => format!("named#{variable}#{outside}/n{id}"),
        UndeclaredInput::File | UndeclaredInput::Appearing => format!("content#{outside}/f{id}.txt"),
        UndeclaredInput::Listing => format!("names#{outside}/d{id}"),
        UndeclaredInput::Tool => format!("tool#{}", tool(id)),
        UndeclaredInput::Ignored => format!("content#{}", ignored_file(id)),
        UndeclaredInput::Manifest => format!("line#xd_{id} #../Cargo.toml"),
        UndeclaredInput::Nested => format!("content#{}", nested_file(id)),
        UndeclaredInput::Names => format!("names#{}", names_dir(id)),
        UndeclaredInput::Links => format!("content#{}.txt", link(id)),
        UndeclaredInput::LinkedDirectory => format!("content#{}/link.txt", link(id)),
    })
}

/// The code of a script that compiles and runs a program with a header.
pub(crate) fn probe(part: &Part, search: Search, directories: &Directories) -> String {
    let dirs = match search {
        Search::Flag => directories.searched(Searched::Cpath, Order::Both),
        Search::Variable => Vec::new(),
    };
    let flags: Vec<_> = dirs.iter().map(|dir: &std::path::PathBuf| flag(dir)).collect();
    format!("probe({}, &{flags:?}, &out)", part.id)
}

fn flag(dir: &Path) -> String {
    format!("-I{}", dir.display())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::directories::Wanted;
    use crate::model::{Declaration, DependencyTable, Expanded, Kind, Linking, Need};
    use crate::render::{self, Files};

    pub(crate) fn directories() -> Directories {
        Directories::new(&std::env::temp_dir(), Wanted { short: [false, false], patience: Duration::ZERO })
    }

    /// All kinds whose value is outside of all sources.
    fn kinds() -> Vec<Kind> {
        use UndeclaredInput::{
            Appearing, File, Ignored, LinkedDirectory, Links, Listing, Manifest, Named, Names, Nested, Tool,
        };
        let named = |declared| Named { variable: "XD_A".into(), declared };
        let input = [
            File,
            Appearing,
            Listing,
            Tool,
            Ignored,
            Manifest,
            Nested,
            Names,
            Links,
            LinkedDirectory,
            named(true),
            named(false),
        ];
        let sources = input.iter().cloned().map(Source::Undeclared);
        let sources = sources.chain([Search::Flag, Search::Variable].map(Source::Header));
        let scripted = sources.map(|source| Kind::Scripted { source, declaration: Declaration::Env });
        let expanded = input.iter().cloned().map(|input| {
            let of = Expanded::UndeclaredInput(input);
            Kind::Expanded { by: "mac".into(), of }
        });
        use Linking::{Archive, Arguments, Attribute, LinkerScript, Object, Variable};
        let linked = [Object, LinkerScript, Arguments, Archive, Attribute, Variable].map(Kind::Linked);
        scripted.chain(expanded).chain(linked).collect()
    }

    /// A member with a program, and a macro. The parts have this value.
    pub(crate) fn state(kinds: &[Kind], value: u8) -> State {
        let parts = kinds.iter().zip(1..).map(|(kind, id)| Part { id, value, kind: kind.clone() });
        let one = Package {
            name: "one".into(),
            parts: parts.collect(),
            needs: vec![Need { on: "mac".into(), how: DependencyTable::Normal, loud: false }],
            targets: [crate::model::Target::Bin].into(),
            ..Package::default()
        };
        let mac = Package { name: "mac".into(), is_macro: true, ..Package::default() };
        State { packages: vec![one, mac], ..State::default() }
    }

    pub(crate) fn state_of_all(value: u8) -> State {
        state(&kinds(), value)
    }

    fn sources(state: &State, directories: &Directories) -> Vec<Files> {
        state.packages.iter().map(|package| render::package_files(state, package, directories)).collect()
    }

    #[test]
    fn no_source_differs_with_the_value_of_an_undeclared_input() {
        let directories = directories();
        for kind in kinds() {
            let states = [0, 1, 2, 3].map(|value| state(std::slice::from_ref(&kind), value));
            let sources = states.each_ref().map(|state| sources(state, &directories));
            assert!(sources.iter().all(|these| *these == sources[0]), "{kind:?}");
            let what = |state| {
                format!("{:?}", (outside(state, &directories), of_members(state, &directories), metadata(state)))
            };
            let different: BTreeSet<_> = states.iter().map(what).collect();
            assert_eq!(different.len(), 4, "{kind:?}");
        }
    }

    #[test]
    fn all_undeclared_inputs_are_read() {
        let directories = directories();
        for kind in kinds() {
            let texts = |kinds: &[Kind]| {
                let files = sources(&state(kinds, 0), &directories).into_iter().flatten();
                files.filter(|(path, _)| !path.starts_with("data/")).collect::<BTreeSet<_>>()
            };
            assert_ne!(texts(std::slice::from_ref(&kind)), texts(&[]), "{kind:?}");
        }
    }

    #[test]
    fn only_members_read_inputs_in_the_workspace() {
        let mut state = state_of_all(1);
        state.packages[0].origin = Origin::Registry;
        let text = format!("{:?}", sources(&state, &directories()));
        assert!(text.contains("named#XD_A#"));
        for place in ["ignored/", "../Cargo.toml", "nested/", "content#links/"] {
            assert!(!text.contains(place), "{place}");
        }
    }
}
