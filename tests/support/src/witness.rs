//! A workspace whose program says what something has seen while it was built: a script, a macro, a compiler, a linker.
//!
//! It is built in one empty target directory after the other. What the program says has to be what is there to be seen
//! now, and where that is what it was, nothing is to be run or compiled.

use std::path::{Path, PathBuf};

use crate::{Project, Sandbox, tree};

/// What is said of something that is not there.
pub const NOTHING: &str = "nothing";

/// The workspace, on a machine of its own.
pub struct Witness {
    /// The machine.
    pub sandbox: Sandbox,
    /// The first checkout. Its program is called `demo`.
    pub demo: Project,
    checkout: Box<dyn Fn(&Sandbox) -> Project>,
    command: Vec<String>,
}

impl Witness {
    /// `checkout` makes a checkout of the workspace, as often as it is called.
    pub fn new(sandbox: Sandbox, checkout: impl Fn(&Sandbox) -> Project + 'static) -> Self {
        // What is compiled incrementally is not cached.
        let checkout = move |sandbox: &Sandbox| checkout(sandbox).env("CARGO_INCREMENTAL", "0");
        let demo = checkout(&sandbox);
        Self { sandbox, demo, checkout: Box::new(checkout), command: vec!["build".into()] }
    }

    /// Is built by another command than `build`.
    #[must_use]
    pub fn built_by(self, command: &[&str]) -> Self {
        Self { command: command.iter().map(|&word| word.to_owned()).collect(), ..self }
    }

    /// Into an empty target directory: the program says this.
    #[track_caller]
    pub fn assert_prints(&self, project: &Project, said: &str) {
        project.clean();
        self.sandbox.reset();
        project.xcache(&self.command).ok();
        assert_eq!(project.run_binary("demo").trim_end(), said, "{}", project.report().json());
    }

    /// The same, and no script is run, and nothing compiled.
    #[track_caller]
    pub fn assert_reused(&self, project: &Project, said: &str) {
        self.assert_prints(project, said);
        let started = (self.sandbox.scripts_run(), self.sandbox.compiled());
        assert_eq!(started, (vec![], vec![]), "what was run and compiled of {}", project.report().json());
    }

    /// The same, but for members: in other places they are others.
    #[track_caller]
    fn assert_dependencies_reused(&self, project: &Project, said: &str) {
        self.assert_prints(project, said);
        let started = (self.sandbox.scripts_run(), self.sandbox.compiled_externals());
        assert_eq!(started, (vec![], vec![]), "what was run and compiled of {}", project.report().json());
    }

    /// The program says each of the texts in its turn, and where a text stays, all is reused. `set` puts one where it is
    /// looked for, and gives the project that is to find it there.
    #[track_caller]
    pub fn assert_follows_changes(&self, texts: &[&str], set: impl Fn(&Project, &str) -> Project) {
        for text in texts {
            self.assert_prints(&set(&self.demo, text), text);
            self.assert_reused(&set(&self.demo, text), text);
        }
    }

    /// The program says each of the texts in its turn, whatever has to be done for that.
    #[track_caller]
    pub fn assert_correct(&self, texts: &[&str], set: impl Fn(&Project, &str) -> Project) {
        for text in texts.iter().flat_map(|text| [text, text]) {
            self.assert_prints(&set(&self.demo, text), text);
        }
    }

    /// What is of registries is reused in another checkout, and on a machine that has nothing but what this one has sent,
    /// where the text is the same. Where it is another one, the program says that.
    #[track_caller]
    pub fn assert_shared(&self, set: impl Fn(&Project, &str) -> Project) {
        let [here, checkout] = self.assert_reused_everywhere("1", |project| set(project, "1"));
        for project in [self.elsewhere(), checkout, here] {
            self.assert_prints(&set(&project, "2"), "2");
        }
    }

    /// The same of something that is always so. Gives the first checkout, and another one on the same machine.
    #[track_caller]
    pub fn assert_reused_everywhere(&self, said: &str, set: impl Fn(&Project) -> Project) -> [Project; 2] {
        let here = self.sending(&self.demo);
        let checkout = self.sending(&(self.checkout)(&self.sandbox));
        self.assert_prints(&set(&here), said);
        self.assert_reused(&set(&here), said);
        self.assert_dependencies_reused(&set(&checkout), said);
        self.assert_dependencies_reused(&set(&self.elsewhere()), said);
        [here, checkout]
    }

    /// All is reused at the same path of a machine that has nothing but what this one has sent, where the text is the
    /// same. Where it is another one, the program says that.
    #[track_caller]
    pub fn assert_sent(&self, set: impl Fn(&Project, &str) -> Project) {
        let here = self.assert_reused_at_this_path("1", |project| set(project, "1"));
        self.assert_prints(&set(&self.another_store(&here), "2"), "2");
    }

    /// The same of something that is always so. Gives the checkout.
    #[track_caller]
    pub fn assert_reused_at_this_path(&self, said: &str, set: impl Fn(&Project) -> Project) -> Project {
        let here = self.sending(&self.demo);
        self.assert_prints(&set(&here), said);
        self.assert_reused(&set(&here), said);
        self.assert_reused(&set(&self.another_store(&here)), said);
        here
    }

    /// The same with a remote store.
    fn sending(&self, project: &Project) -> Project {
        project.clone().env("XCACHE_REMOTE", format!("file://{}", self.sandbox.path("remote").display()))
    }

    /// A checkout on another machine, which uses the same remote.
    fn elsewhere(&self) -> Project {
        let project = self.sending(&(self.checkout)(&self.sandbox));
        self.another_store(&project).with_cargo_home(&self.sandbox.another_cargo_home())
    }

    /// The same on a machine that has nothing yet.
    fn another_store(&self, project: &Project) -> Project {
        project.clone().with_store(&self.sandbox.unused("store"))
    }
}

/// Has a text be in a file, or no file be there.
pub fn in_file(path: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = path.to_owned();
    move |project, text| {
        write(&path, text);
        project.clone()
    }
}

/// The same for a file that is named from the project's directory.
pub fn in_file_of_project(path: &str) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = PathBuf::from(path);
    move |project, text| {
        write(&project.dir().join(&path), text);
        project.clone()
    }
}

/// Has a text be in a variable, or the variable not be set.
pub fn in_variable(name: &str) -> impl Fn(&Project, &str) -> Project + use<> {
    let name = name.to_owned();
    move |project, text| {
        let project = project.clone();
        if text == NOTHING { project.env_remove(&name) } else { project.env(&name, text) }
    }
}

/// Has a text be the only name in a directory, or the directory be empty.
pub fn in_directory(path: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = path.to_owned();
    move |project, text| {
        tree::remove(&path);
        std::fs::create_dir_all(&path).expect("directories can be made");
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
