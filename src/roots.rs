//! The absolute directories that differ from one machine, checkout or target directory to the next.
//!
//! Everything recorded in an entry names these directories by placeholder (`{{cargo-home}}/registry/…`), and everything
//! rustc writes is told to do likewise with `--remap-path-prefix`. [`Roots`] translates both ways. Pure: it is given
//! the paths and never asks the file system.

use std::borrow::Cow;
use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The name of a root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// Cargo's build directory (`target`, unless it was moved).
    BuildDir,
    /// `CARGO_HOME`: registry and git sources.
    CargoHome,
    /// The toolchain's sysroot.
    Sysroot,
    /// The workspace.
    Workspace,
}

impl Root {
    /// As it stands in recorded text.
    fn placeholder(self) -> &'static str {
        match self {
            Self::BuildDir => "{{build-dir}}",
            Self::CargoHome => "{{cargo-home}}",
            Self::Sysroot => "{{sysroot}}",
            Self::Workspace => "{{workspace}}",
        }
    }

    /// What rustc is told to write instead of the path, for the roots whose paths it would otherwise write.
    ///
    /// The names say where they come from; a debugger maps them back with one
    /// `set substitute-path /xcache/cargo-home ~/.cargo`.
    pub fn virtual_path(self) -> Option<&'static str> {
        match self {
            Self::BuildDir => Some("/xcache/build-dir"),
            Self::CargoHome => Some("/xcache/cargo-home"),
            Self::Sysroot | Self::Workspace => None,
        }
    }
}

/// Where each root is, here and now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roots {
    paths: BTreeMap<Root, Utf8PathBuf>,
}

impl Roots {
    /// From pairs; a root whose path is empty or `/` is left out, as everything would be below it.
    pub fn new(paths: impl IntoIterator<Item = (Root, Utf8PathBuf)>) -> Self {
        let paths = paths.into_iter().filter(|(_, path)| path.is_absolute() && path.parent().is_some()).collect();
        Self { paths }
    }

    /// The path of one root.
    pub fn get(&self, root: Root) -> Option<&Utf8Path> {
        self.paths.get(&root).map(Utf8PathBuf::as_path)
    }

    /// The digest of a root's path: how a path-bound entry remembers where it is good.
    pub fn digest(&self, root: Root) -> Option<Digest> {
        self.get(root).map(|path| Digest::of(path.as_str()))
    }

    /// Arguments for rustc. Placed before cargo's own, so that a `--remap-path-prefix` of the user's still wins.
    pub fn remap_arguments(&self) -> Vec<String> {
        self.longest_last()
            .into_iter()
            .filter_map(|(root, path)| Some(format!("--remap-path-prefix={path}={}", root.virtual_path()?)))
            .collect()
    }

    /// What undoes the remapping in the text rustc prints, so that a diagnostic names files that exist.
    pub fn unmap_pairs(&self) -> Vec<(String, String)> {
        let pair = |(root, path): (&Root, &Utf8PathBuf)| Some((root.virtual_path()?.to_owned(), path.to_string()));
        self.paths.iter().filter_map(pair).collect()
    }

    /// Replaces real paths by placeholders.
    pub fn abstract_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replace(text, |root, path| Some((path.to_owned(), root.placeholder().to_owned())))
    }

    /// Replaces placeholders by real paths.
    pub fn concrete_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replace(text, |root, path| Some((root.placeholder().to_owned(), path.to_owned())))
    }

    /// Byte strings whose presence in an output ties it to this machine, with the root each belongs to.
    ///
    /// The workspace is looked for with a slash behind it: it is often as short as `/app`.
    pub fn needles(&self) -> Vec<(Root, String)> {
        self.longest_last()
            .into_iter()
            .rev()
            .map(|(root, path)| match root {
                Root::Workspace => (root, format!("{path}/")),
                _ => (root, path.to_string()),
            })
            .collect()
    }

    /// rustc lets the last matching prefix win, so the longest has to come last.
    fn longest_last(&self) -> Vec<(Root, &Utf8Path)> {
        let mut roots: Vec<_> = self.paths.iter().map(|(root, path)| (*root, path.as_path())).collect();
        roots.sort_by_key(|(root, path)| (path.as_str().len(), *root));
        roots
    }

    /// Longest first, so that a build directory inside the workspace is not taken for the workspace.
    fn replace<'a>(&self, text: &'a str, pair: impl Fn(Root, &str) -> Option<(String, String)>) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for (root, path) in self.longest_last().into_iter().rev() {
            let Some((from, to)) = pair(root, path.as_str()) else { continue };
            if text.contains(&from) {
                text = Cow::Owned(text.replace(&from, &to));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots() -> Roots {
        Roots::new([
            (Root::CargoHome, "/home/ann/.cargo".into()),
            (Root::Workspace, "/home/ann/app".into()),
            (Root::BuildDir, "/home/ann/app/target".into()),
        ])
    }

    #[test]
    fn text_survives_a_round_trip_and_moves_to_other_roots() {
        let text = "/home/ann/app/target/debug/deps/x.d: /home/ann/.cargo/registry/src/a.rs /home/ann/app/src/b.rs";
        let recorded = roots().abstract_text(text).into_owned();
        assert_eq!(recorded, "{{build-dir}}/debug/deps/x.d: {{cargo-home}}/registry/src/a.rs {{workspace}}/src/b.rs");
        assert_eq!(roots().concrete_text(&recorded), text);
        let elsewhere = Roots::new([(Root::CargoHome, "/c".into()), (Root::BuildDir, "/t".into())]);
        assert_eq!(
            elsewhere.concrete_text(&recorded),
            "/t/debug/deps/x.d: /c/registry/src/a.rs {{workspace}}/src/b.rs"
        );
    }

    #[test]
    fn the_longest_root_wins_in_rustc_as_well() {
        let inside = Roots::new([(Root::CargoHome, "/ci".into()), (Root::BuildDir, "/ci/target".into())]);
        assert_eq!(
            inside.remap_arguments(),
            ["--remap-path-prefix=/ci=/xcache/cargo-home", "--remap-path-prefix=/ci/target=/xcache/build-dir"]
        );
    }

    #[test]
    fn a_root_that_would_match_everything_is_left_out() {
        assert_eq!(Roots::new([(Root::Workspace, "/".into()), (Root::CargoHome, "".into())]), Roots::default());
    }
}
