//! Linked objects and archives outside of all packages, named by scripts, attributes and flags.
//!
//! Each is made from a value, and no source or argument differs with the value.

use crate::directories::Directories;
use crate::entry::{Entries, Entry};
use crate::model::{Linking, Order, Package, Part, Searched};

/// The files to be linked for a part.
pub(crate) fn entries(part: &Part, linking: Linking, directories: &Directories) -> Entries {
    let (id, value) = (part.id, part.value % 4);
    let object = |name: String, value| (name, Entry::Object(function(id, value)));
    if linking == Linking::Object {
        return Entries::from([object(format!("o{id}.o"), value)]);
    }
    if !linking.is_argument() {
        return archives(id, value);
    }
    let path = directories.outside().join(format!("o{id}-{value}.o"));
    let text = match linking {
        Linking::LinkerScript => format!("INPUT(\"{}\")\n", path.display()),
        _ => format!("\"{}\"\n", path.display()),
    };
    let objects = (0..4).map(|value| object(format!("o{id}-{value}.o"), value));
    objects.chain([(list(id), Entry::Text(text))]).collect()
}

/// One archive in the second of two directories, or another one in the first as well. One always exists, since without
/// it nothing could be linked.
fn archives(id: u32, value: u8) -> Entries {
    let archive = |dir: &str, value| {
        let path = format!("{dir}/{}/lib{}.a", Searched::LibraryPath.dir(), library(id));
        (path, Entry::Archive(function(id, value)))
    };
    match value {
        3 => Entries::from([archive("early", 3), archive("late", 0)]),
        value => Entries::from([archive("late", value)]),
    }
}

/// A file that names an object.
fn list(id: u32) -> String {
    format!("o{id}.list")
}

fn library(id: u32) -> String {
    format!("xd_link_{id}")
}

fn function(id: u32, value: u8) -> String {
    format!("int {}(void) {{ return {value}; }}\n", library(id))
}

/// C code that sets a variable when a program starts.
pub(crate) fn starting(value: u8) -> String {
    format!(
        "#include <stdlib.h>\n__attribute__((constructor)) static void start(void) {{ setenv(\"XD_OBJECT\", \"{value}\", 1); }}\n"
    )
}

/// Code that reads this variable.
pub(crate) const STARTED: &str = "std::env::var(\"XD_OBJECT\").unwrap_or_else(|_| \"unset\".to_owned())";

/// The lines that the script prints about a part.
pub(crate) fn script_lines(part: &Part, linking: Linking, directories: &Directories) -> String {
    let id = part.id;
    let outside = directories.outside();
    let outside = outside.display();
    let argument = |argument: String| print_for_cargo(&format!("rustc-link-arg={argument}"));
    let searches = || {
        let dirs = directories.searched(Searched::LibraryPath, Order::Both);
        dirs.iter()
            .map(|dir| print_for_cargo(&format!("rustc-link-search=native={}", dir.display())))
            .collect::<String>()
    };
    match linking {
        Linking::Object => argument(format!("{outside}/o{id}.o")),
        Linking::LinkerScript => argument(format!("{outside}/{}", list(id))),
        Linking::Arguments => argument(format!("@{outside}/{}", list(id))),
        Linking::Archive => searches() + &print_for_cargo(&format!("rustc-link-lib=static={}", library(id))),
        Linking::Attribute => searches(),
        Linking::Variable => String::new(),
    }
}

fn print_for_cargo(text: &str) -> String {
    format!("    println!({:?});\n", format!("cargo::{text}"))
}

/// The declaration of the function, at the top level of the code that is linked with it.
pub(crate) fn item(part: &Part, linking: Linking) -> String {
    let name = library(part.id);
    let attribute = match linking {
        Linking::Attribute => format!("#[link(name = {name:?}, kind = \"static\")]\n"),
        Linking::Variable => format!("#[link(name = {name:?})]\n"),
        _ => String::new(),
    };
    format!("{attribute}extern \"C\" {{ fn {name}() -> i32; }}\n")
}

/// Code that calls the function.
pub(crate) fn value(part: &Part) -> String {
    format!("unsafe {{ {}() }}", library(part.id))
}

/// The parts of a package that are linked with its programs and tests, but not with its library.
pub(crate) fn of_programs(package: &Package) -> impl Iterator<Item = (&Part, Linking)> {
    package.linked().filter(|(_, linking)| linking.is_argument() && !package.is_macro)
}
