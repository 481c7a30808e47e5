//! A real image builder: buildah, with its own storage for each test.
//!
//! The base images of the Dockerfiles are made here, under the names in the `FROM` lines. They contain almost nothing:
//! the system's programs, the toolchain and the made-up registries are this machine's, mounted read-only for every
//! instruction that runs. A counting rustc takes the place of rustc, so [`Sandbox::compiled`] returns what the
//! instructions really started. Nothing is pulled.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use nix::sys::statvfs::statvfs;
use tempfile::TempDir;

use crate::invocation::{Invocation, Output};
use crate::{Project, Sandbox, Tool, is_available, layered, persistent_dir, repository, rustc, tree, xcache_binary};

/// The directory of the book's Dockerfiles.
pub fn dockerfiles() -> PathBuf {
    repository().join("book/src/images")
}

/// `rustup target add …`, which only checks that the target exists.
const RUSTUP: &str = r#"test "$1 $2" = "target add" && test -d "$(rustc --print target-libdir --target "$3")""#;

/// The settings of the base images. No credentials of the machine reach a build.
const RUST: &str = "ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV CARGO_HOME=/usr/local/cargo AWS_EC2_METADATA_DISABLED=true
";
const PATH: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";

/// A machine that builds images: its storage, and the directories that its builder keeps.
pub struct Images<'a> {
    sandbox: &'a Sandbox,
    dir: TempDir,
    mounts: Vec<PathBuf>,
}

impl<'a> Images<'a> {
    /// `None` if images cannot be built on this machine.
    pub fn new(sandbox: &'a Sandbox) -> Option<Self> {
        is_available(Tool::ImageBuilder, is_usable()).then_some(())?;
        let dir = tempfile::Builder::new().prefix("xcache-test-images-").tempdir_in(storage_parent());
        let dir = dir.expect("a directory can be created");
        let images = Self { sandbox, dir, mounts: mounts(sandbox) };
        let storage = |name: &str| images.dir.path().join(name);
        let config = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = {:?}\nrunroot = {:?}\n",
            storage("layers"),
            storage("run")
        );
        tree::write(&storage("storage.conf"), config);
        fs::create_dir(storage("tmp")).expect("a directory can be created");
        Some(images)
    }

    /// `buildah …`, with nothing of this machine's own images and settings. All its output is in one stream, in order.
    pub fn buildah<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Invocation {
        let mut command = Command::new("sh");
        command.args(["-c", "exec buildah \"$@\" 2>&1", "sh"]).args(arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.sandbox.home());
        command.env("CONTAINERS_STORAGE_CONF", self.dir.path().join("storage.conf"));
        // The builder also keeps its cache mounts there.
        command.env("BUILDAH_ISOLATION", "chroot").env("TMPDIR", self.dir.path().join("tmp"));
        Invocation::new(command)
    }

    /// Makes the base images of a Dockerfile of the book, which Docker would pull.
    pub fn provide(&self, dockerfile: &str) {
        for name in bases(dockerfile) {
            match name.split(':').next().expect("split yields at least one part") {
                "rust" => self.commit(&name, &self.rust(), RUST),
                "debian" => self.commit(&name, &self.skeleton("debian"), PATH),
                "cargo-xcache" => self.commit(&name, &self.xcache(), ""),
                _ => panic!("{name} is not a known base image"),
            }
        }
    }

    fn commit(&self, name: &str, tree: &Path, settings: &str) {
        let dockerfile = tree.with_extension("Dockerfile");
        tree::write(&dockerfile, format!("FROM scratch\nCOPY . /\n{settings}"));
        self.buildah(["bud", "--quiet", "--tag", name, "--file"]).arg(dockerfile).arg(tree).ok();
    }

    /// A tree of directories, most of them mount points.
    fn skeleton(&self, name: &str) -> PathBuf {
        let root = self.sandbox.unused(name);
        for dir in ["app", "etc", "root", "tmp", "usr/local/bin", "var/tmp"] {
            fs::create_dir_all(root.join(dir)).expect("directories can be created");
        }
        tree::write(&root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
        for link in ["bin", "sbin", "lib", "lib32", "lib64"] {
            if let Ok(to) = fs::read_link(Path::new("/").join(link)) {
                symlink(to, root.join(link)).expect("a link can be created");
            }
        }
        root
    }

    /// Like the image of Rust: the toolchain's programs are in cargo's directory.
    fn rust(&self) -> PathBuf {
        let root = self.skeleton("rust");
        let bin = root.join("usr/local/cargo/bin");
        fs::create_dir_all(&bin).expect("directories can be created");
        let link = |name: &str, to: &Path| symlink(to, bin.join(name)).expect("a link can be created");
        link("cargo", &toolchain().join("bin/cargo"));
        link("rustc", self.sandbox.rustc().executable());
        tree::write_script(&bin.join("rustup"), RUSTUP);
        root
    }

    /// Like our own image: one program, stripped as released ones are.
    fn xcache(&self) -> PathBuf {
        let root = self.sandbox.unused("xcache-image");
        fs::create_dir_all(&root).expect("directories can be created");
        fs::copy(&*STRIPPED, root.join("cargo-xcache")).expect("the program can be copied");
        root
    }

    /// Builds a checkout with this Dockerfile, after copying it there as the user would.
    #[track_caller]
    pub fn build(&self, checkout: &Project, dockerfile: &str, arguments: &[String]) -> Built {
        for (from, to) in [(dockerfile, "Dockerfile"), (".dockerignore", ".dockerignore")] {
            checkout.write(to, fs::read(dockerfiles().join(from)).expect("the book has the file"));
        }
        let command = self.buildah(["bud", "--layers", "--pull=never"]).args(self.volumes()).args(arguments);
        Built::parse(command.args(["--tag", "built", "."]).in_dir(checkout.dir()).ok())
    }

    fn volumes(&self) -> Vec<OsString> {
        let volume = |path: &PathBuf| {
            let kind = if path.starts_with(self.sandbox.path("rustc")) { "rw" } else { "ro" };
            let path = path.to_str().expect("test directories have plain names");
            ["--volume".into(), format!("{path}:{path}:{kind}").into()]
        };
        self.mounts.iter().flat_map(volume).collect()
    }

    /// The output of a command in a container of an image.
    #[track_caller]
    pub fn run(&self, image: &str, command: &[&str]) -> Output {
        self.buildah(["run"]).args(self.volumes()).args(["--", &self.container(image)]).args(command).ok()
    }

    /// A directory with the files of an image.
    #[track_caller]
    pub fn files(&self, image: &str) -> PathBuf {
        self.buildah(["mount", &self.container(image)]).ok().stdout.trim().into()
    }

    /// A new container. A warning that it could not run here may precede its name.
    #[track_caller]
    fn container(&self, image: &str) -> String {
        let said = self.buildah(["from", "--pull=never", image]).ok().stdout;
        said.lines().last().expect("the container has a name").to_owned()
    }

    /// Sends all images, also those between two instructions, to another machine in the form of a registry: tar files,
    /// with times in whole seconds. Images with one of these names keep them.
    pub fn send_all(&self, named: &[String], to: &Self) {
        let all = self.buildah(["images", "--all", "--quiet", "--no-trunc"]).ok().stdout;
        for (index, image) in all.lines().map(Into::into).chain(named.iter().cloned()).enumerate() {
            let packed = format!("oci:layout:{index}");
            let here = &self.sandbox.home();
            self.buildah(["push", "--quiet", "--disable-compression", &image, &packed]).in_dir(here).ok();
            let id = to.buildah(["pull", "--quiet", &packed]).in_dir(here).ok().stdout;
            if named.contains(&image) {
                to.buildah(["tag", id.trim(), &image]).ok();
            }
        }
    }

    /// Empties the directories that the builder keeps.
    pub fn forget_mounts(&self) {
        let tmp = self.dir.path().join("tmp");
        assert!(!tree::files(&tmp).is_empty(), "the builder kept nothing");
        tree::remove(&tmp);
        fs::create_dir(tmp).expect("a directory can be created");
    }

    /// Everything that is stored: layers, the histories of images, and the directories that the builder keeps.
    pub fn stored(&self) -> &Path {
        self.dir.path()
    }
}

/// The program under test, stripped once for all tests.
static STRIPPED: LazyLock<PathBuf> = LazyLock::new(|| {
    let kept = persistent_dir();
    fs::create_dir_all(&kept).expect("directories can be created");
    let dir = tempfile::tempdir_in(&kept).expect("a directory can be created");
    let (program, stripped) = (dir.path().join("cargo-xcache"), kept.join("stripped-cargo-xcache"));
    let status = Command::new("strip").arg("-o").arg(&program).arg(xcache_binary()).status();
    assert!(status.expect("binutils are installed").success());
    fs::rename(program, &stripped).expect("the program can be moved");
    stripped
});

impl Drop for Images<'_> {
    /// Containers are mounted, so their files cannot simply be removed.
    fn drop(&mut self) {
        let _ = self.buildah(["rm", "--all"]).run();
    }
}

/// A build, instruction by instruction.
pub struct Built {
    /// The whole output.
    pub output: Output,
    /// The instructions, in order.
    pub steps: Vec<Step>,
}

/// An instruction.
#[derive(Debug)]
pub struct Step {
    /// The instruction, as written in the file.
    pub instruction: String,
    /// Whether an existing layer was used instead.
    pub cached: bool,
    /// The image that it results in, if there is one.
    pub image: Option<String>,
    /// Its output.
    pub said: Vec<String>,
}

impl Step {
    fn new(instruction: &str) -> Self {
        Self { instruction: instruction.into(), cached: false, image: None, said: Vec::new() }
    }

    /// Only the first result belongs to the instruction: one that waits for another stage is announced before that
    /// stage.
    fn ended(&mut self, result: &str) {
        if self.image.is_none() {
            let cached = result.strip_prefix("Using cache ");
            (self.cached, self.image) = (cached.is_some(), Some(cached.unwrap_or(result).into()));
        }
    }

    /// The packages that cargo reports as compiled.
    pub fn compiling(&self) -> Vec<&str> {
        let names = self.said.iter().filter_map(|line| line.trim_start().strip_prefix("Compiling ")?.split(' ').next());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }
}

impl Built {
    fn parse(output: Output) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for line in output.stdout.lines() {
            let instruction = line.split_once("STEP ").and_then(|(_, step)| step.split_once(": "));
            match (instruction, line.strip_prefix("--> "), steps.last_mut()) {
                (Some((_, instruction)), _, _) => steps.push(Step::new(instruction)),
                (None, Some(result), Some(step)) => step.ended(result),
                (None, None, Some(step)) => step.said.push(line.into()),
                (None, _, None) => {}
            }
        }
        Self { output, steps }
    }

    /// The only instruction that contains this text.
    #[track_caller]
    pub fn step(&self, part: &str) -> &Step {
        let found: Vec<_> = self.steps.iter().filter(|step| step.instruction.contains(part)).collect();
        assert_eq!(found.len(), 1, "{part}: {}", self.output);
        found[0]
    }
}

/// The base images of a Dockerfile of the book: the names with a version.
pub fn bases(dockerfile: &str) -> Vec<String> {
    let text = fs::read_to_string(dockerfiles().join(dockerfile)).expect("the book has the file");
    let starts = text.lines().filter_map(|line| line.strip_prefix("ARG XCACHE_IMAGE=").or(line.strip_prefix("FROM ")));
    let names = starts.filter_map(|from| from.split(' ').find(|word| word.contains(':')));
    names.map(Into::into).collect()
}

/// Whether images can be built here.
fn is_usable() -> bool {
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    works("buildah", &["--version"]) && nix::unistd::geteuid().is_root() && works("unshare", &["--mount", "true"])
}

/// Memory, if there is enough of it: buildah waits for the disk after every step.
fn storage_parent() -> PathBuf {
    const ENOUGH: u64 = 4 << 30;
    let free = |path: &Path| statvfs(path).map(|place| place.blocks_available() * place.fragment_size());
    let memory = Path::new("/dev/shm");
    if free(memory).is_ok_and(|free| free > ENOUGH) { memory.to_owned() } else { std::env::temp_dir() }
}

/// The compiler and linker, the toolchain, the registries, and the log of rustc's starts.
fn mounts(sandbox: &Sandbox) -> Vec<PathBuf> {
    let system = ["bin", "sbin", "lib", "lib32", "lib64", "usr/bin", "usr/sbin", "usr/lib", "usr/lib32", "usr/lib64"];
    let more = ["usr/libexec", "usr/include", "usr/share/ca-certificates", "etc/alternatives", "etc/ssl"];
    let system = system.iter().chain(&more).map(|path| Path::new("/").join(path));
    let own = ["rustc"].iter().chain(&layered::SOURCES).map(|name| sandbox.path(name));
    let is_dir = |path: &PathBuf| path.is_dir() && !path.is_symlink();
    system.chain([toolchain()]).chain(own).filter(is_dir).collect()
}

/// The directory of the toolchain that runs the tests.
fn toolchain() -> PathBuf {
    let rustc = rustc::real(&[]).expect("rustc is on PATH");
    rustc.ancestors().nth(2).expect("rustc is in bin").to_owned()
}
