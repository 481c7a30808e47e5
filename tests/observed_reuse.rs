//! What build scripts and macros read that never changes: files of their own package, their own outputs, and what is
//! the same in each process. Units that read nothing else are reused, also in other directories and on other machines.
#![cfg(target_os = "linux")]

use std::process::Command;

use support::readers::{dependency, member, script};
use support::{Tool, Witness, by_form, is_available, is_long};

/// A script that declares its own file, and in the long form one that declares nothing.
#[track_caller]
fn assert_reused_with_scripts(said: &str, look: &str) {
    let declarations: [&[&str]; 2] = [&["changed=build.rs"], &[]];
    for declared in by_form(&declarations[..1], &declarations) {
        assert_reused_everywhere(&script(declared, look), said);
    }
}

#[track_caller]
fn assert_reused_everywhere(witness: &Witness, said: &str) {
    witness.assert_reused_everywhere(said, Clone::clone);
}

/// The macro in a dependency, and in a member: in the short form only if it looks into the directory of its package, in
/// which members differ from dependencies.
#[track_caller]
fn assert_reused_with_macros(said: &str, look: &str) {
    assert_reused_everywhere(&dependency(look), said);
    if is_long() || look.contains("own(") {
        member(look).assert_reused_at_this_path(said, Clone::clone);
    }
}

#[track_caller]
fn assert_reused(said: &str, look: &str) {
    assert_reused_with_scripts(said, look);
    assert_reused_with_macros(said, look);
}

const TEMPORARY: &str = "{
    let path = std::env::temp_dir().join(format!(\"made-up-{}.txt\", std::process::id()));
    std::fs::write(&path, \"1\").unwrap();
    let said = file(&path);
    std::fs::remove_file(path).unwrap();
    said
}";

#[test]
fn units_that_read_a_file_of_their_own_package_are_reused() {
    assert_reused("1", "file(own(\"said.txt\"))");
}

#[test]
fn units_that_list_a_directory_of_their_own_package_are_reused() {
    assert_reused("1", "list(own(\"listed\"))");
}

#[test]
fn units_that_look_for_an_absent_file_of_their_own_package_are_reused() {
    assert_reused("false", "is_there(own(\"nowhere/said.txt\"))");
}

#[test]
fn units_that_read_their_own_temporary_file_are_reused() {
    assert_reused("1", TEMPORARY);
}

#[test]
fn units_that_look_for_their_own_program_are_reused() {
    assert_reused("true", "is_there(std::env::current_exe().unwrap())");
}

#[test]
fn units_that_read_the_number_of_processors_are_reused() {
    assert_reused("true", "std::thread::available_parallelism().is_ok().to_string()");
}

#[test]
fn units_that_read_devices_are_reused() {
    assert_reused(
        "true",
        "[\"/dev/null\", \"/dev/urandom\"].iter().all(|path| std::fs::File::open(path).is_ok()).to_string()",
    );
}

#[test]
fn units_that_start_threads_and_a_shell_are_reused() {
    assert_reused("true", "std::thread::spawn(|| agrees(\"sh\", &[\"-c\", \"test $(echo 1) = 1\"])).join().unwrap()");
}

#[test]
fn a_script_that_reads_its_own_output_is_reused() {
    let look = "{
        let path = variable(\"OUT_DIR\") + \"/made.txt\";
        std::fs::write(&path, \"1\").unwrap();
        file(path)
    }";
    assert_reused_with_scripts("1", look);
}

#[test]
fn a_script_that_queries_the_compiler_is_reused() {
    assert_reused_with_scripts("true", "agrees(variable(\"RUSTC\"), &[\"-vV\"])");
}

#[test]
fn a_script_that_probes_the_compiler_is_reused() {
    let look = "{
        let out = variable(\"OUT_DIR\") + \"/tried\";
        std::fs::create_dir(&out).unwrap();
        let tried = agrees(variable(\"RUSTC\"), &[\"--crate-type=lib\", \"--out-dir\", &out, &own(\"tried.rs\")]);
        std::fs::remove_dir_all(out).unwrap();
        tried
    }";
    assert_reused_with_scripts("true", look);
}

#[test]
fn a_script_that_queries_the_c_compiler_is_reused() {
    assert_reused_with_scripts("true", "agrees(\"cc\", &[\"-dumpversion\"])");
}

#[test]
fn a_script_that_queries_git_outside_of_a_repository_is_reused() {
    if !is_available(Tool::Git, Command::new("git").arg("--version").output().is_ok()) {
        return;
    }
    assert_reused_with_scripts("false", "agrees(\"git\", &[\"rev-parse\", \"--git-dir\"])");
}
