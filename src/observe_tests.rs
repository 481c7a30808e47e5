use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::*;

/// What a shell is seen to do, in a directory.
fn seen(directory: &Path, script: &str) -> Seen {
    let mut command = Command::new("/bin/sh");
    let (mut child, observation) = spawn(command.args(["-c", script]).current_dir(directory)).unwrap();
    child.wait().unwrap();
    observation.finish().unwrap()
}

fn access<'a>(seen: &'a Seen, directory: &Path, name: &str) -> Option<&'a Access> {
    let directory = directory.canonicalize().unwrap();
    seen.paths.get(directory.join(name).to_str().unwrap())
}

#[test]
fn files_are_seen_whether_or_not_they_are_there_and_by_whom() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    std::fs::write(directory.join("there"), "").unwrap();
    std::fs::create_dir(directory.join("sub")).unwrap();
    let seen = seen(directory, "read x < there; test -e away; ls sub; echo > made; cat sub/../there");
    let uses = |name: &str, used| access(&seen, directory, name).is_some_and(|access| access.uses.has(used));
    assert!(uses("there", Use::Read) && uses("away", Use::Look) && uses("sub", Use::List) && uses("made", Use::Make));
    let was = |name: &str| access(&seen, directory, name).unwrap().was;
    assert!(matches!(was("there"), Was::File(_)));
    assert_eq!((was("away"), was("sub"), was("made")), (Was::Absent, Was::Directory, Was::Absent));
    let by: Vec<_> = access(&seen, directory, "there").unwrap().by.iter().collect();
    assert_eq!(by.len(), 2, "the shell and cat: {:?}", seen.programs);
    assert!(seen.paths.iter().any(|(path, access)| path.ends_with("/cat") && access.uses.has(Use::Start)));
    assert_eq!(seen.unknown, BTreeSet::new());
}

#[test]
fn what_it_does_is_what_it_does_unseen() {
    let temporary = tempfile::tempdir().unwrap();
    let script = "exit 3";
    let mut command = Command::new("/bin/sh");
    let (mut child, observation) = spawn(command.args(["-c", script]).current_dir(temporary.path())).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(observation.finish().is_ok());
    assert!(spawn(&mut Command::new("/no/such/program")).is_err());
}
