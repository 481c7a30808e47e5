//! A workspace whose program prints what something read during the build: a script, a macro, a compiler or a linker.
//!
//! It is built in one empty target directory after the other. The program must print the current value, and if the
//! value has not changed, nothing may run or be compiled.

use std::iter;
use std::path::{Path, PathBuf};

use crate::{Project, Sandbox, by_form, is_long, tree};

/// The text for something absent.
pub const NOTHING: &str = "nothing";

/// The workspace, on its own machine.
pub struct Witness {
    /// The machine.
    pub sandbox: Sandbox,
    /// The first checkout. Its program is called `demo`.
    pub demo: Project,
    checkout: Box<dyn Fn(&Sandbox) -> Project>,
    command: Vec<String>,
}

impl Witness {
    /// `checkout` creates another checkout of the workspace each time.
    pub fn new(sandbox: Sandbox, checkout: impl Fn(&Sandbox) -> Project + 'static) -> Self {
        // Members that are compiled incrementally are cached only partly.
        let checkout = move |sandbox: &Sandbox| checkout(sandbox).env("CARGO_INCREMENTAL", "0");
        let demo = checkout(&sandbox);
        Self { sandbox, demo, checkout: Box::new(checkout), command: vec!["build".into()] }
    }

    /// Builds with another command than `build`.
    #[must_use]
    pub fn built_by(self, command: &[&str]) -> Self {
        Self { command: command.iter().map(|&word| word.to_owned()).collect(), ..self }
    }

    /// Asserts that a build into an empty target directory makes a program that prints this.
    #[track_caller]
    pub fn assert_prints(&self, project: &Project, said: &str) {
        project.clean();
        self.sandbox.reset();
        project.xcache(&self.command).ok();
        assert_eq!(project.run_binary("demo").trim_end(), said, "{}", project.report().json());
    }

    /// Asserts the same, and that no script runs and nothing is compiled.
    #[track_caller]
    pub fn assert_reused(&self, project: &Project, said: &str) {
        self.assert_prints(project, said);
        let started = (self.sandbox.scripts_run(), self.sandbox.compiled());
        assert_eq!(started, (vec![], vec![]), "scripts run and crates compiled, in {}", project.report().json());
    }

    /// Asserts the same except for members, which are not shared between checkouts.
    #[track_caller]
    fn assert_dependencies_reused(&self, project: &Project, said: &str) {
        self.assert_prints(project, said);
        let started = (self.sandbox.scripts_run(), self.sandbox.compiled_externals());
        assert_eq!(started, (vec![], vec![]), "scripts run and crates compiled, in {}", project.report().json());
    }

    /// Asserts that the program prints each of the texts in turn, and that everything is reused while a text stays the
    /// same. `set` puts a text where it will be read, and returns the project that reads it there.
    ///
    /// The short form leaves out the last text, which usually is one of those before it, and builds only once more than
    /// the text changes.
    #[track_caller]
    pub fn assert_follows_changes(&self, texts: &[&str], set: impl Fn(&Project, &str) -> Project) {
        let texts = by_form(short(texts), texts);
        for (index, text) in texts.iter().enumerate() {
            self.assert_prints(&set(&self.demo, text), text);
            if is_long() || index + 1 == texts.len() {
                self.assert_reused(&set(&self.demo, text), text);
            }
        }
    }

    /// Asserts that the program prints each of the texts in turn, whatever runs or is compiled.
    #[track_caller]
    pub fn assert_correct(&self, texts: &[&str], set: impl Fn(&Project, &str) -> Project) {
        let times = by_form(1, 2);
        for text in texts.iter().flat_map(|text| iter::repeat_n(text, times)) {
            self.assert_prints(&set(&self.demo, text), text);
        }
    }

    /// Asserts that with the same text, units of registries are reused in another checkout, and on a machine that has
    /// only what this one sent. With another text, the program must print that one.
    ///
    /// The short form has only the other machine, which also has another checkout.
    #[track_caller]
    pub fn assert_shared(&self, set: impl Fn(&Project, &str) -> Project) {
        let here = self.assert_reused_everywhere("1", |project| set(project, "1"));
        for project in [self.elsewhere()].iter().chain(&here) {
            self.assert_prints(&set(project, "2"), "2");
        }
    }

    /// Asserts the same for something that never changes. Returns the checkouts on this machine where it is reused.
    #[track_caller]
    pub fn assert_reused_everywhere(&self, said: &str, set: impl Fn(&Project) -> Project) -> Vec<Project> {
        let here = self.sending(&self.demo);
        self.assert_prints(&set(&here), said);
        let mut reused = Vec::new();
        if is_long() {
            let checkout = self.sending(&(self.checkout)(&self.sandbox));
            self.assert_reused(&set(&here), said);
            self.assert_dependencies_reused(&set(&checkout), said);
            reused.extend([checkout, here]);
        }
        self.assert_dependencies_reused(&set(&self.elsewhere()), said);
        reused
    }

    /// Asserts that with the same text, everything is reused at the same path of a machine that has only what this one
    /// sent. With another text, the program must print that one.
    #[track_caller]
    pub fn assert_sent(&self, set: impl Fn(&Project, &str) -> Project) {
        let here = self.assert_reused_at_this_path("1", |project| set(project, "1"));
        self.assert_prints(&set(&self.another_store(&here), "2"), "2");
    }

    /// Asserts the same for something that never changes. Returns the checkout.
    #[track_caller]
    pub fn assert_reused_at_this_path(&self, said: &str, set: impl Fn(&Project) -> Project) -> Project {
        let here = self.sending(&self.demo);
        self.assert_prints(&set(&here), said);
        if is_long() {
            self.assert_reused(&set(&here), said);
        }
        self.assert_reused(&set(&self.another_store(&here)), said);
        here
    }

    /// The project with a remote.
    fn sending(&self, project: &Project) -> Project {
        project.clone().env("XCACHE_REMOTE", format!("file://{}", self.sandbox.path("remote").display()))
    }

    /// A checkout on another machine, which uses the same remote.
    fn elsewhere(&self) -> Project {
        let project = self.sending(&(self.checkout)(&self.sandbox));
        self.another_store(&project).with_cargo_home(&self.sandbox.another_cargo_home())
    }

    /// The same on an empty machine.
    fn another_store(&self, project: &Project) -> Project {
        project.clone().with_store(&self.sandbox.unused("store"))
    }
}

/// Writes a text to a file, or removes the file.
pub fn in_file(path: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = path.to_owned();
    move |project, text| {
        write(&path, text);
        project.clone()
    }
}

/// The same for a file below the project's directory.
pub fn in_file_of_project(path: &str) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = PathBuf::from(path);
    move |project, text| {
        write(&project.dir().join(&path), text);
        project.clone()
    }
}

/// Sets a variable to a text, or unsets it.
pub fn in_variable(name: &str) -> impl Fn(&Project, &str) -> Project + use<> {
    let name = name.to_owned();
    move |project, text| {
        let project = project.clone();
        if text == NOTHING { project.env_remove(&name) } else { project.env(&name, text) }
    }
}

/// Makes a text the only name in a directory, or empties the directory.
pub fn in_directory(path: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = path.to_owned();
    move |project, text| {
        tree::remove(&path);
        std::fs::create_dir_all(&path).expect("directories can be created");
        if text != NOTHING {
            tree::write(&path.join(text), "");
        }
        project.clone()
    }
}

fn write(path: &Path, text: &str) {
    if text == NOTHING {
        let _ = std::fs::remove_file(path);
    } else {
        tree::write(path, text);
    }
}

/// All texts but the last one, if the text changes among them.
pub fn short<'a>(texts: &'a [&'a str]) -> &'a [&'a str] {
    if texts.len() > 2 { &texts[..texts.len() - 1] } else { texts }
}
