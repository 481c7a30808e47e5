use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A build script, and the stand-ins of a session.
struct Scene {
    directory: TempDir,
    stand_ins: StandIns,
}

impl Scene {
    /// `answer` is a shell script, the wrapper.
    fn new(answer: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let session = directory.path().join("it's a session");
        std::fs::create_dir(&session).unwrap();
        let wrapper = session.join("wrapper");
        write_program(&wrapper, answer);
        std::fs::create_dir(directory.path().join("build")).unwrap();
        let scene = Self { directory, stand_ins: StandIns::new(&wrapper) };
        write_program(scene.script().as_std_path(), "echo the script $1 $VARIABLE");
        scene
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::try_from(self.directory.path().join(name)).unwrap()
    }

    fn script(&self) -> Utf8PathBuf {
        self.path("build/script")
    }

    fn put(&self) {
        self.stand_ins.put(Runs::One(UnitId(7)), &self.script());
    }

    fn remove_session(&self) {
        std::fs::remove_dir_all(self.path("it's a session")).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = self.path("build").read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into()).collect();
        names.sort();
        names
    }
}

fn write_program(path: &Path, text: &str) {
    process::while_nothing_starts(|| {
        let mut file = fs::temporary_file(path.parent().unwrap()).unwrap();
        write!(file, "#!/bin/sh\n{text}\n").unwrap();
        fs::make_executable(file.as_file()).unwrap();
        fs::persist(file, path).unwrap();
    });
}

fn run(program: &Utf8Path) -> String {
    process::output(Command::new(program).arg("argument").env("VARIABLE", "value")).unwrap()
}

#[test]
fn a_stand_in_starts_the_wrapper_with_its_own_path_and_all_arguments() {
    let scene = Scene::new("echo \"$# $1 $2 $3 $4 $VARIABLE\"");
    scene.put();
    let script = scene.script();
    assert_eq!(run(&script), format!("4 --build-script {script} {script} argument value\n"));
    // A script may be started by a relative path, and without arguments.
    let output =
        Command::new("sh").args(["-c", "cd \"$1\" && ./script", "sh"]).arg(scene.path("build")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 --build-script ./script ./script  \n");
}

#[test]
fn it_starts_the_program_after_the_session_is_gone() {
    let scene = Scene::new("exit 1");
    scene.put();
    scene.remove_session();
    assert_eq!(run(&scene.script()), "the script argument value\n");
}

#[test]
fn it_finds_the_program_after_both_are_moved() {
    let scene = Scene::new("exit 1");
    scene.put();
    scene.remove_session();
    std::fs::rename(scene.path("build"), scene.path("moved")).unwrap();
    assert_eq!(run(&scene.path("moved/script")), "the script argument value\n");
    assert_eq!(displaced_program(scene.path("moved/script").as_std_path()), scene.path("moved/.xcache/program"));
}

#[test]
fn it_has_the_modification_time_of_the_program() {
    let scene = Scene::new("exit 1");
    let modified = || std::fs::metadata(scene.script()).unwrap().modified().unwrap();
    let before = modified();
    scene.put();
    assert_eq!(modified(), before);
}

#[test]
fn the_program_is_put_back_under_every_name_of_the_stand_in() {
    let scene = Scene::new("exit 1");
    let (script, linked, copied) = (scene.script(), scene.path("build/linked"), scene.path("build/copied"));
    let before = std::fs::read(&script).unwrap();
    scene.put();
    std::fs::hard_link(&script, &linked).unwrap();
    std::fs::copy(&script, &copied).unwrap();
    scene.stand_ins.remove();
    for path in [&script, &linked, &copied] {
        assert_eq!(std::fs::read(path).unwrap(), before, "{path}");
    }
    assert_eq!(scene.names(), ["copied", "linked", "script"]);
}

#[test]
fn it_is_replaced_by_the_program_unless_that_starts_again() {
    let scene = Scene::new("exit 1");
    scene.put();
    scene.stand_ins.restore_program(&scene.script());
    assert_eq!(
        (run(&scene.script()), scene.names()),
        ("the script argument value\n".to_owned(), vec!["script".to_owned()])
    );
    scene.stand_ins.put(Runs::Several, &scene.script());
    scene.stand_ins.restore_program(&scene.script());
    assert_eq!(scene.names(), [".xcache", "script"]);
}

#[test]
fn a_program_that_replaced_the_stand_in_stays() {
    let scene = Scene::new("exit 1");
    scene.put();
    write_program(scene.script().as_std_path(), "echo another");
    scene.stand_ins.remove();
    assert_eq!((run(&scene.script()), scene.names()), ("another\n".to_owned(), vec!["script".to_owned()]));
}

#[test]
fn a_stand_in_of_a_killed_session_is_replaced_and_the_program_kept() {
    let scene = Scene::new("exit 1");
    scene.put();
    let next = Scene::new("echo the next session");
    let stand_ins = StandIns::new(next.path("it's a session/wrapper").as_std_path());
    stand_ins.put(Runs::Unknown, &scene.script());
    assert_eq!(run(&scene.script()), "the next session\n");
    stand_ins.remove();
    assert_eq!(run(&scene.script()), "the script argument value\n");
}

#[test]
fn a_session_that_ends_keeps_what_another_session_needs() {
    let first = Scene::new("exit 1");
    first.put();
    let next = Scene::new("echo the next session");
    let second = StandIns::new(next.path("it's a session/wrapper").as_std_path());
    second.put(Runs::Unknown, &first.script());
    first.stand_ins.remove();
    assert_eq!(run(&first.script()), "the next session\n");
    next.remove_session();
    assert_eq!(run(&first.script()), "the script argument value\n");
    second.remove();
    assert_eq!(
        (run(&first.script()), first.names()),
        ("the script argument value\n".to_owned(), vec!["script".to_owned()])
    );
}

#[test]
fn concurrent_sessions_lose_no_program() {
    let scene = Scene::new("exit 1");
    let place_and_remove = |name: String| {
        let stand_ins = StandIns::new(Path::new(&name));
        for _ in 0..50 {
            stand_ins.put(Runs::Unknown, &scene.script());
            stand_ins.remove();
        }
    };
    std::thread::scope(|scope| {
        (0..4).for_each(|session| drop(scope.spawn(move || place_and_remove(format!("/nowhere/{session}")))));
    });
    assert_eq!(
        (run(&scene.script()), scene.names()),
        ("the script argument value\n".to_owned(), vec!["script".to_owned()])
    );
}

#[test]
fn a_run_is_found_only_by_a_stand_in_of_this_session() {
    let scene = Scene::new("exit 1");
    scene.put();
    assert_eq!(scene.stand_ins.run_of(&scene.path("build/linked")), Some(UnitId(7)));
    assert_eq!(scene.stand_ins.run_of(&scene.path("elsewhere/script")), None);
}
