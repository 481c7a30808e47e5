//! Objects and archives outside of all packages, with a C function that returns a number.

use std::path::Path;
use std::process::Command;

use crate::witness::NOTHING;
use crate::{Project, tree};

/// Makes the function in a directory's object return a number.
pub fn in_object(directory: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let object = directory.join("value.o");
    move |project, text| {
        compile(&object, text);
        project.clone()
    }
}

/// Makes the function in a directory's archive return a number, or removes the archive.
pub fn in_archive(directory: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let [object, archive] = ["value.o", "libvalue.a"].map(|name| directory.join(name));
    move |project, text| {
        let _ = std::fs::remove_file(&archive);
        if text != NOTHING {
            compile(&object, text);
            run(Command::new("ar").arg("crsD").arg(&archive).arg(&object));
        }
        project.clone()
    }
}

fn compile(object: &Path, value: &str) {
    let source = object.with_extension("c");
    tree::write(&source, format!("int value(void) {{ return {value}; }}\n"));
    run(Command::new("cc").args(["-fPIC", "-c"]).arg(&source).arg("-o").arg(object));
}

fn run(command: &mut Command) {
    assert!(command.status().expect("the program starts").success(), "{command:?}");
}
