//! The Rust code of made-up packages.
//!
//! Every library has a function `report`, whose lines show all inputs of the library and of its dependencies. Programs
//! and tests print them, so output compiled from a wrong input shows it.

use std::fmt::Write as _;

use crate::directories::Directories;
use crate::linked;
use crate::model::{
    Declaration, DependencyTable, Expanded, Kind, Linking, Origin, Package, Part, Source, State, Text, UndeclaredInput,
};
use crate::undeclared;

/// The root file of a package's library.
pub(crate) fn library(state: &State, package: &Package, directories: &Directories) -> String {
    let mut code = String::new();
    if package.broken {
        code.push_str("compile_error!(\"broken on purpose\");\n");
    }
    for part in &package.parts {
        code.push_str(&item(package, part));
    }
    let lines: String = package.parts.iter().map(|part| lines_of_part(state, package, part, directories)).collect();
    let needs: String = state.needed(package).map(|(need, other)| lines_of_need(need.how, other)).collect();
    let signature = if package.is_macro { "fn report()" } else { "pub fn report()" };
    write!(
        code,
        "{signature} -> Vec<String> {{
    let mut lines: Vec<String> = Vec::new();
    let mut say = |what: &str, value: String| lines.push(format!(\"{{}} {{what}}: {{value}}\", {:?}));
    say(\"version\", env!(\"CARGO_PKG_VERSION\").to_owned());
    say(\"loud\", cfg!(feature = \"loud\").to_string());
{lines}{needs}    lines
}}
",
        package.name
    )
    .expect("writing to memory");
    match package.is_macro {
        true => code + READING_FUNCTIONS + MACROS,
        false => code + UNIT_TEST,
    }
}

/// The file of a part.
pub(crate) fn data_file(package: &Package, part: &Part) -> String {
    match part.kind {
        Kind::Module => format!("src/{}.rs", module(package, part)),
        Kind::Scripted { declaration: Declaration::Native, .. } => native_file(package, part),
        Kind::Scripted { source: Source::Directory, .. } => format!("data/d{}/x{}.txt", part.id, package.renamed),
        _ => format!("data/f{}-{}.txt", part.id, package.renamed),
    }
}

/// The files of its parts that are in the workspace but not in the package.
pub(crate) fn shared_files(package: &Package) -> Vec<(String, String)> {
    let shared = package.parts.iter().filter(|part| part.kind == Kind::Shared);
    shared.map(|part| (shared_file(part), format!("content {}\n", part.value))).collect()
}

fn shared_file(part: &Part) -> String {
    format!("shared/s{}.txt", part.id)
}

fn native_file(package: &Package, part: &Part) -> String {
    format!("native/n{}-{}.c", part.id, package.renamed)
}

/// The files of a package's parts.
pub(crate) fn data_files(package: &Package) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for part in &package.parts {
        let text = format!("content {}\n", part.value);
        match &part.kind {
            Kind::Included | Kind::OwnFile | Kind::Expanded { of: Expanded::File, .. } => {
                files.push((data_file(package, part), text));
            }
            Kind::Module => files.push((data_file(package, part), format!("pub const VALUE: u8 = {};\n", part.value))),
            Kind::Scripted { source, declaration } => {
                if matches!(source, Source::File | Source::AnyFile | Source::Directory) {
                    files.push((input_file(package, part, source), text));
                }
                if *declaration == Declaration::Native {
                    files.push((native_file(package, part), native(package, part)));
                }
            }
            _ => {}
        }
    }
    files
}

/// The file that a script reads. A part that also compiles C has two files.
fn input_file(package: &Package, part: &Part, source: &Source) -> String {
    let kind = Kind::Scripted { source: source.clone(), declaration: Declaration::Env };
    data_file(package, &Part { kind, ..part.clone() })
}

fn native(package: &Package, part: &Part) -> String {
    format!(
        "#ifndef XD_CC\n#define XD_CC 0\n#endif\n#ifndef XD_FRONT\n#define XD_FRONT 0\n#endif\nint {}(void) {{ return 1000 * XD_FRONT + 100 * XD_CC + 10 * {} + VALUE; }}\n",
        native_name(package, part),
        part.value
    )
}

fn native_name(package: &Package, part: &Part) -> String {
    format!("xd_{}_{}", package.name, part.id)
}

fn module(package: &Package, part: &Part) -> String {
    format!("part{}_{}", part.id, package.renamed)
}

/// What a part adds at the top level of the library.
fn item(package: &Package, part: &Part) -> String {
    let Part { id, value, kind } = part;
    match kind {
        Kind::Module => format!("mod {};\n", module(package, part)),
        Kind::Inlined if !package.is_macro => {
            format!(
                "#[inline(always)]\npub fn inlined_{id}<T: Default + ToString>() -> String {{ {value}.to_string() + &T::default().to_string() }}\n"
            )
        }
        Kind::Scripted { declaration: Declaration::Code, .. } => {
            format!("mod code_{id} {{ include!(concat!(env!(\"OUT_DIR\"), \"/c{id}.rs\")); }}\n")
        }
        Kind::Scripted { declaration: Declaration::Native, .. } => {
            format!("extern \"C\" {{ fn {}() -> i32; }}\n", native_name(package, part))
        }
        Kind::Linked(linking) if is_of_library(package, *linking) => linked::item(part, *linking),
        _ => String::new(),
    }
}

/// Whether the library reports the linked value; programs report the rest.
fn is_of_library(package: &Package, linking: Linking) -> bool {
    package.is_macro || !linking.is_argument()
}

fn lines_of_part(state: &State, package: &Package, part: &Part, directories: &Directories) -> String {
    let Part { id, value, kind } = part;
    let value = match kind {
        Kind::Shared if package.origin == Origin::Member => {
            format!("include_str!(\"../../{}\").trim()", shared_file(part))
        }
        Kind::Shared => return String::new(),
        Kind::Literal => format!("\"{value}\""),
        Kind::Module => format!("{}::VALUE", module(package, part)),
        Kind::Inlined if package.is_macro => format!("\"{value}\""),
        Kind::Inlined => format!("inlined_{id}::<u8>()"),
        Kind::Included => format!("include_str!(\"../{}\").trim()", data_file(package, part)),
        Kind::Variable(name) => format!("option_env!({name:?}).unwrap_or(\"unset\")"),
        Kind::Manifest => manifest(package),
        Kind::Configuration => CONFIGURATION.to_owned(),
        Kind::Warns => return format!("    let unused_{id} = {value};\n"),
        Kind::Ambient => AMBIENT.to_owned(),
        Kind::OwnFile if package.is_macro => {
            let file = data_file(package, part);
            format!("std::fs::read_to_string(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{file}\")).unwrap().trim()")
        }
        Kind::OwnFile => return String::new(),
        Kind::Expanded { by, of } => match expanded(state, package, part, by, of, directories) {
            Some(code) => code,
            None => return String::new(),
        },
        // The library itself does not read what a macro reads, so the compiler does not know about it.
        Kind::Scripted { .. } if is_read_by_macro(state, package, *id) => return String::new(),
        Kind::Scripted { declaration, .. } => match reading_in_library(package, part, *declaration) {
            Some(code) => code,
            None => return String::new(),
        },
        Kind::Linked(linking) if is_of_library(package, *linking) => linked::value(part),
        Kind::Started if !package.is_macro => linked::STARTED.to_owned(),
        Kind::Linked(_) | Kind::Started => return String::new(),
    };
    format!("    say(\"{id}\", {value}.to_string());\n")
}

/// Only members have file paths that do not depend on the checkout.
fn manifest(package: &Package) -> String {
    let file = if package.origin == Origin::Member { ", \" \", file!()" } else { "" };
    format!(
        "concat!(env!(\"CARGO_PKG_DESCRIPTION\"), \" \", env!(\"CARGO_MANIFEST_DIR\"), \" \", env!(\"CARGO_CRATE_NAME\"){file})"
    )
}

fn has_macro(state: &State, package: &Package, name: &str) -> bool {
    let mut needs = state.needed(package);
    needs.any(|(need, other)| {
        other.name == name && other.is_macro && matches!(need.how, DependencyTable::Normal | DependencyTable::Unix)
    })
}

fn expanded(
    state: &State,
    package: &Package,
    part: &Part,
    by: &str,
    of: &Expanded,
    directories: &Directories,
) -> Option<String> {
    if !has_macro(state, package, by) {
        return None;
    }
    match of {
        Expanded::File => Some(format!("{by}::of_file!({:?})", data_file(package, part))),
        Expanded::Package => Some(format!("{by}::of_package!()")),
        Expanded::UndeclaredVariable => Some(format!("{by}::of_variable!(\"XD_U\")")),
        Expanded::UndeclaredInput(input) => {
            let what = undeclared::argument(package, part, input, directories)?;
            Some(format!("{by}::of_undeclared!({what:?})"))
        }
        Expanded::Script(id) => expanded_of_script(package, by, *id),
    }
}

fn expanded_of_script(package: &Package, by: &str, id: u32) -> Option<String> {
    let (_, _, declaration) = package.scripted().find(|(part, ..)| part.id == id)?;
    match declaration {
        Declaration::Env => Some(format!("{by}::of_variable!(\"XD_PART_{id}\")")),
        Declaration::Generated | Declaration::Mode(_) | Declaration::Appended => {
            Some(format!("{by}::of_out_dir!(\"g{id}.txt\")"))
        }
        _ => None,
    }
}

fn is_read_by_macro(state: &State, package: &Package, id: u32) -> bool {
    package.parts.iter().any(|part| match &part.kind {
        Kind::Expanded { by, of: Expanded::Script(read) } if *read == id => {
            has_macro(state, package, by) && expanded_of_script(package, by, id).is_some()
        }
        _ => false,
    })
}

fn reading_in_library(package: &Package, part: &Part, declaration: Declaration) -> Option<String> {
    let id = part.id;
    let file = format!("concat!(env!(\"OUT_DIR\"), \"/g{id}.txt\")");
    Some(match declaration {
        Declaration::Env => format!("env!(\"XD_PART_{id}\")"),
        Declaration::Cfg => {
            let tests: Vec<_> = (0..4).map(|n| format!("cfg!(xd_part_{id} = \"{n}\")")).collect();
            format!("format!(\"{{:?}}\", [{}])", tests.join(", "))
        }
        Declaration::Generated | Declaration::Appended => format!("include_str!({file}).trim()"),
        Declaration::Mode(_) => format!(
            "format!(\"{{}} {{:o}}\", include_str!({file}), std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata({file}).unwrap().permissions()))"
        ),
        Declaration::Code => format!("code_{id}::VALUE"),
        Declaration::Native => format!("unsafe {{ {}() }}", native_name(package, part)),
        Declaration::Metadata | Declaration::Warning => return None,
    })
}

fn lines_of_need(how: DependencyTable, other: &Package) -> String {
    let name = &other.name;
    let condition = match how {
        DependencyTable::Normal | DependencyTable::Unix => "",
        DependencyTable::Flagged => "#[cfg(xd_flag)]\n    ",
        DependencyTable::Dev => "#[cfg(test)]\n    ",
        DependencyTable::Build => return String::new(),
    };
    if other.is_macro {
        return format!("    {condition}lines.extend({name}::report_all!().lines().map(str::to_owned));\n");
    }
    let inlined = other.parts.iter().filter(|part| part.kind == Kind::Inlined);
    let inlined: String =
        inlined.map(|part| format!("    {condition}lines.push({name}::inlined_{}::<u16>());\n", part.id)).collect();
    format!("    {condition}lines.extend({name}::report());\n{inlined}")
}

/// The build script of a package.
pub(crate) fn script(state: &State, package: &Package, directories: &Directories) -> String {
    let declares =
        package.scripted().any(|(_, source, declaration)| declares(source) || declaration == Declaration::Native);
    let mut code = SCRIPT.replace("@undeclared@", READING_FUNCTIONS);
    if declares {
        code.push_str("    println!(\"cargo::rerun-if-changed=build.rs\");\n");
    }
    for (part, source, declaration) in package.scripted() {
        let value = script_value(state, package, part, source, directories, declares);
        write!(code, "    let value: String = {value};\n{}", script_lines(package, part, declaration))
            .expect("writing to memory");
    }
    for (part, linking) in package.linked() {
        code.push_str(&linked::script_lines(part, linking, directories));
    }
    code + "}\n"
}

fn declares(source: &Source) -> bool {
    match source {
        Source::Undeclared(UndeclaredInput::Named { declared, .. }) => *declared,
        _ => matches!(source, Source::File | Source::Directory | Source::Variable(_)),
    }
}

fn script_value(
    state: &State,
    package: &Package,
    part: &Part,
    source: &Source,
    directories: &Directories,
    declares: bool,
) -> String {
    match source {
        Source::Literal => format!("{:?}.to_owned()", part.value.to_string()),
        Source::File | Source::AnyFile => {
            let file = input_file(package, part, source);
            let rerun = if declares { format!("println!(\"cargo::rerun-if-changed={file}\");") } else { String::new() };
            format!("{{ {rerun} fs::read_to_string({file:?}).unwrap().trim().to_owned() }}")
        }
        Source::Directory => {
            let dir = format!("data/d{}", part.id);
            format!("{{ println!(\"cargo::rerun-if-changed={dir}\"); listing({dir:?}) }}")
        }
        Source::Variable(name) => {
            format!("{{ println!(\"cargo::rerun-if-env-changed={name}\"); variable({name:?}) }}")
        }
        Source::Cargo(name) => format!("variable({name:?})"),
        Source::Text(text) => script_text(package, *text, directories),
        Source::Metadata(on) => format!("starting_with(\"DEP_XD_{}_\")", on.to_uppercase()),
        Source::Dependency(on) => script_dependency(state, package, on),
        Source::Environment => "environment()".to_owned(),
        Source::Undeclared(input) => script_undeclared(package, part, input, directories),
        Source::Header(search) => undeclared::probe(part, *search, directories),
    }
}

fn script_undeclared(package: &Package, part: &Part, input: &UndeclaredInput, directories: &Directories) -> String {
    let Some(what) = undeclared::argument(package, part, input, directories) else { return "String::new()".to_owned() };
    match input {
        UndeclaredInput::Named { variable, declared: true } => {
            format!("{{ println!(\"cargo::rerun-if-env-changed={variable}\"); undeclared({what:?}) }}")
        }
        _ => format!("undeclared({what:?})"),
    }
}

fn script_text(package: &Package, text: Text, directories: &Directories) -> String {
    match text {
        Text::Url => "\"https://example.com/apple\".to_owned()".to_owned(),
        Text::Braces => "\"{{workspace}}/{{name}} {{build-dir}} {{cargo-home}}/x\".to_owned()".to_owned(),
        Text::Checkout(n) => format!("{:?}.to_owned()", format!("{}le", directories.checkout(n).display())),
        Text::Home(n) => format!("{:?}.to_owned()", format!("{}/le", directories.home(n).display())),
        Text::Here => "variable(\"CARGO_MANIFEST_DIR\")".to_owned(),
        Text::HereAndMore => "variable(\"CARGO_MANIFEST_DIR\") + \"le\"".to_owned(),
        Text::Root => root(package),
        Text::RootAndMore => format!("{} + \"le\"", root(package)),
        Text::Out => "variable(\"OUT_DIR\")".to_owned(),
    }
}

fn root(package: &Package) -> String {
    let (variable, depth) = match package.origin {
        Origin::Member => ("CARGO_MANIFEST_DIR", 1),
        Origin::Side => ("CARGO_MANIFEST_DIR", 2),
        Origin::Git | Origin::Registry => ("OUT_DIR", 5),
    };
    format!("above({variable:?}, {depth})")
}

fn script_dependency(state: &State, package: &Package, on: &str) -> String {
    let found = state.needed(package).find(|(need, other)| need.how == DependencyTable::Build && other.name == on);
    match found {
        Some((_, other)) if other.is_macro => format!("{on}::report_all!().lines().collect::<Vec<_>>().join(\"|\")"),
        Some(_) => format!("{on}::report().join(\"|\")"),
        None => "String::from(\"none\")".to_owned(),
    }
}

fn script_lines(package: &Package, part: &Part, declaration: Declaration) -> String {
    let id = part.id;
    let generated = format!("    fs::write(out.join(\"g{id}.txt\"), &value).unwrap();\n");
    match declaration {
        Declaration::Env => format!("    println!(\"cargo::rustc-env=XD_PART_{id}={{value}}\");\n"),
        Declaration::Cfg => format!(
            "    println!(\"cargo::rustc-check-cfg=cfg(xd_part_{id}, values(\\\"0\\\", \\\"1\\\", \\\"2\\\", \\\"3\\\"))\");
    println!(\"cargo::rustc-cfg=xd_part_{id}=\\\"{{}}\\\"\", digit(&value));\n"
        ),
        Declaration::Generated => generated,
        Declaration::Code => format!(
            "    fs::write(out.join(\"c{id}.rs\"), format!(\"pub const VALUE: &str = {{value:?}};\")).unwrap();\n"
        ),
        Declaration::Mode(mode) => format!(
            "    let _ = fs::remove_file(out.join(\"g{id}.txt\"));\n{generated}    fs::set_permissions(out.join(\"g{id}.txt\"), std::os::unix::fs::PermissionsExt::from_mode(0o{mode:o})).unwrap();\n"
        ),
        Declaration::Appended => format!(
            "    let file = fs::File::options().create(true).append(true).open(out.join(\"g{id}.txt\"));
    std::io::Write::write_all(&mut file.unwrap(), value.as_bytes()).unwrap();\n"
        ),
        Declaration::Native => {
            let file = native_file(package, part);
            let name = native_name(package, part);
            format!(
                "    println!(\"cargo::rerun-if-changed={file}\");\n    compile({file:?}, {name:?}, digit(&value), &out);\n"
            )
        }
        Declaration::Metadata => format!("    println!(\"cargo::metadata=p{id}={{value}}\");\n"),
        Declaration::Warning => format!("    println!(\"cargo::warning=part {id}: {{value}}\");\n"),
    }
}

/// The program of a package.
pub(crate) fn program(package: &Package, title: &str) -> String {
    let (items, lines) = linked_with_program(package);
    format!("{items}fn main() {{\n    println!({title:?});\n{lines}    {}\n}}\n", print_report(package))
}

/// The items of a program, and the lines about values that only the program is linked with.
fn linked_with_program(package: &Package) -> (String, String) {
    let items = linked::of_programs(package).map(|(part, linking)| linked::item(part, linking)).collect();
    let lines = linked::of_programs(package)
        .map(|(part, _)| format!("    println!(\"linked {}: {{}}\", {});\n", part.id, linked::value(part)));
    (items, lines.collect())
}

/// The integration test of a package.
pub(crate) fn test(package: &Package, has_program: bool) -> String {
    let program = if has_program {
        format!(
            "let output = std::process::Command::new(env!(\"CARGO_BIN_EXE_{name}\")).output().unwrap();
    println!(\"{{}} says {{}}\", env!(\"CARGO_BIN_EXE_{name}\"), String::from_utf8_lossy(&output.stdout));",
            name = package.name
        )
    } else {
        String::new()
    };
    let (items, lines) = linked_with_program(package);
    format!(
        "{items}#[test]
fn it() {{
    println!(\"{{}}\", env!(\"CARGO_TARGET_TMPDIR\"));
{lines}    {}
    {program}
}}
",
        print_report(package)
    )
}

fn print_report(package: &Package) -> String {
    format!("for line in {}::report() {{ println!(\"{{line}}\"); }}", package.name)
}

const CONFIGURATION: &str = "format!(\"{} {} {} {} {:?}\", cfg!(debug_assertions), cfg!(panic = \"abort\"), cfg!(xd_flag), \
                             cfg!(target_feature = \"avx2\"), [cfg!(xd_compiler = \"1\"), cfg!(xd_compiler = \"2\")])";

const AMBIENT: &str = "std::env::vars().map(|(name, _)| name).filter(|name| name != \"XCACHE_DIR\" && [\"RUSTC\", \
                       \"XCACHE\", \"CARGO_CACHE\", \"CARGO_ENCODED\"].iter().any(|start| \
                       name.starts_with(start))).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<\
                       Vec<_>>().join(\" \")";

const UNIT_TEST: &str = "#[cfg(test)]
mod tests {
    #[test]
    fn it() { for line in super::report() { println!(\"{line}\"); } }
}
";

/// Functions with which scripts and macros read undeclared inputs.
const READING_FUNCTIONS: &str = include_str!("templates/undeclared.rs");

/// The macros of a procedural macro, after its report.
const MACROS: &str = include_str!("templates/macros.rs");

/// The beginning of a build script.
const SCRIPT: &str = include_str!("templates/build.rs");
