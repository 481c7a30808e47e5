use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A build script, and what its stand-in asks.
struct Scene {
    directory: TempDir,
    shims: Shims,
}

impl Scene {
    /// `answer` is what the wrapper does, in the shell's language.
    fn new(answer: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let session = directory.path().join("it's a session");
        std::fs::create_dir(&session).unwrap();
        let asking = session.join("wrapper");
        write_program(&asking, answer);
        write_program(&directory.path().join("script"), "echo the script $1");
        Self { directory, shims: Shims::new(&asking) }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::try_from(self.directory.path().join(name)).unwrap()
    }

    fn put(&self) {
        self.shims.put(UnitId(7), &self.path("script"));
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.path("").read_dir_utf8().unwrap().map(|it| it.unwrap().file_name().into()).collect();
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

fn say(program: &Utf8Path) -> String {
    process::output(Command::new(program).arg("said")).unwrap()
}

#[test]
fn a_stand_in_takes_the_sessions_answer() {
    let scene = Scene::new("echo \"answered $1 for ${2##*/}\"");
    scene.put();
    assert_eq!(say(&scene.path("script")), "answered --build-script for script.it's a session\n");
}

#[test]
fn it_starts_the_program_where_the_session_does_not_know_or_is_gone() {
    let scene = Scene::new("exit 1");
    scene.put();
    assert_eq!(say(&scene.path("script")), "the script said\n");
    std::fs::remove_dir_all(scene.path("it's a session")).unwrap();
    assert_eq!(say(&scene.path("script")), "the script said\n");
}

#[test]
fn it_finds_the_program_where_the_two_are_moved() {
    let scene = Scene::new("exit 1");
    scene.put();
    let moved = scene.path("moved");
    std::fs::create_dir(&moved).unwrap();
    for name in scene.names().iter().filter(|name| name.starts_with("script")) {
        std::fs::rename(scene.path(name), moved.join(name)).unwrap();
    }
    assert_eq!(say(&moved.join("script")), "the script said\n");
}

#[test]
fn it_is_as_old_as_the_program() {
    let scene = Scene::new("exit 1");
    let modified = || std::fs::metadata(scene.path("script")).unwrap().modified().unwrap();
    let before = modified();
    scene.put();
    assert_eq!(modified(), before);
}

#[test]
fn the_program_is_put_back_under_every_name_that_the_stand_in_has() {
    let scene = Scene::new("exit 1");
    let (script, linked, copied) = (scene.path("script"), scene.path("linked"), scene.path("copied"));
    let before = std::fs::read(&script).unwrap();
    let names = scene.names();
    scene.put();
    std::fs::hard_link(&script, &linked).unwrap();
    std::fs::copy(&script, &copied).unwrap();
    let directory = scene.directory;
    scene.shims.remove();
    for path in [&script, &linked, &copied] {
        assert_eq!(std::fs::read(path).unwrap(), before, "{path}");
        assert_eq!(say(path), "the script said\n");
    }
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, names.len() + 2);
}

#[test]
fn what_has_taken_its_place_is_left_alone() {
    let scene = Scene::new("exit 1");
    scene.put();
    let script = scene.path("script");
    write_program(script.as_std_path(), "echo another");
    let directory = scene.directory;
    scene.shims.remove();
    assert_eq!(say(&script), "another\n");
    drop(directory);
}

#[test]
fn only_a_stand_in_of_this_session_is_known_by_its_program() {
    let scene = Scene::new("exit 1");
    scene.put();
    let name = scene.names().into_iter().find(|name| name.starts_with("script.")).unwrap();
    assert_eq!(scene.shims.run_of(&scene.path(&name)), Some(UnitId(7)));
    assert_eq!(scene.shims.run_of(&scene.path("script")), None);
    assert_eq!(scene.shims.run_of(&Utf8Path::new("/elsewhere").join(&name)), None);
}
