//! What a build script links, as far as its output shows.

use camino::Utf8Path;

/// Libraries of the compiler and the C library, which the host class covers.
const RUNTIME: &[&str] = &["c", "c++", "dl", "gcc", "gcc_s", "m", "pthread", "resolv", "rt", "stdc++", "util"];

/// Where the libraries come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkedLibraries {
    /// Nothing is linked.
    Nothing,
    /// The script made them, or they are in its package.
    Own,
    /// At least one is from the system. Static libraries become part of the linked unit.
    System {
        /// Whether at least one library of the system is static.
        is_static: bool,
    },
    /// There are directives that are not interpreted here.
    Unclear,
}

impl LinkedLibraries {
    /// Interprets the output of a script with this `OUT_DIR` and package.
    pub fn of(printed: &str, out_dir: &Utf8Path, package_dir: &Utf8Path) -> Self {
        let Some(Directives { directories, libraries }) = Directives::parse(printed) else {
            return Self::Unclear;
        };
        if directories.is_empty() && libraries.is_empty() {
            return Self::Nothing;
        }
        let is_own = |directory: &Utf8Path| directory.starts_with(out_dir) || directory.starts_with(package_dir);
        let (own, foreign): (Vec<_>, Vec<_>) = directories.into_iter().partition(|directory| is_own(directory));
        let mut of_system = libraries.iter().filter(|library| !library.is_runtime() && !library.is_in(&own)).peekable();
        if foreign.is_empty() && of_system.peek().is_none() {
            return Self::Own;
        }
        Self::System { is_static: of_system.any(|library| library.is_static) }
    }

    /// The names of the libraries that a script links, without those of the compiler.
    pub fn libraries(printed: &str) -> Vec<String> {
        let libraries = Directives::parse(printed).map(|directives| directives.libraries).unwrap_or_default();
        libraries.iter().filter(|library| !library.is_runtime()).map(|library| library.name.to_owned()).collect()
    }

    /// Whether the script's output and files determine what is linked.
    pub fn follow_from_script(self) -> bool {
        matches!(self, Self::Nothing | Self::Own | Self::System { is_static: false })
    }
}

/// A script's directives about linking.
struct Directives<'a> {
    directories: Vec<&'a Utf8Path>,
    libraries: Vec<Library<'a>>,
}

impl<'a> Directives<'a> {
    /// `None` if there is any other directive about linking than directories and libraries.
    fn parse(printed: &'a str) -> Option<Self> {
        let (mut directories, mut libraries) = (Vec::new(), Vec::new());
        for (name, value) in printed.lines().filter_map(directive) {
            match name {
                "rustc-link-search" => directories.push(Utf8Path::new(without_kind(value).1)),
                "rustc-link-lib" => libraries.push(Library::parse(value)),
                "rustc-flags" => return None,
                name if name.starts_with("rustc-link") || name.starts_with("rustc-cdylib-link") => return None,
                _ => {}
            }
        }
        Some(Self { directories, libraries })
    }
}

/// Splits a line for cargo into name and value.
fn directive(line: &str) -> Option<(&str, &str)> {
    let directive = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:"))?;
    Some(directive.split_once('=').unwrap_or((directive, "")))
}

/// `KIND[:MODIFIERS]=VALUE`.
fn without_kind(value: &str) -> (&str, &str) {
    value.split_once('=').unwrap_or(("", value))
}

struct Library<'a> {
    name: &'a str,
    is_static: bool,
    is_framework: bool,
}

impl<'a> Library<'a> {
    fn parse(value: &'a str) -> Self {
        let (kind, name) = without_kind(value);
        let kind = kind.split(':').next().unwrap_or_default();
        // `NAME:RENAME`
        let name = name.split(':').next().unwrap_or(name);
        Self { name, is_static: kind == "static", is_framework: kind == "framework" }
    }

    fn is_runtime(&self) -> bool {
        self.is_framework || !self.is_static && RUNTIME.contains(&self.name)
    }

    fn is_in(&self, directories: &[&Utf8Path]) -> bool {
        let Self { name, .. } = self;
        let files =
            [format!("lib{name}.a"), format!("lib{name}.so"), format!("lib{name}.dylib"), format!("{name}.lib")];
        directories.iter().any(|directory| files.iter().any(|file| directory.join(file).exists()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_a_script_made_are_its_own() {
        let temporary = tempfile::tempdir().unwrap();
        let out = Utf8Path::from_path(temporary.path()).unwrap();
        std::fs::create_dir(out.join("lib")).unwrap();
        std::fs::write(out.join("lib/libz.a"), "").unwrap();
        let of = |printed: &str| LinkedLibraries::of(&printed.replace("OUT", out.as_str()), out, "/package".into());
        assert_eq!(of("cargo:rerun-if-changed=z.c\nhello\n"), LinkedLibraries::Nothing);
        let own = "cargo:rustc-link-search=native=OUT/lib\ncargo::rustc-link-lib=static:+whole-archive=z:other\n";
        assert_eq!(of(own), LinkedLibraries::Own);
        assert_eq!(
            of(&format!("{own}cargo:rustc-link-lib=stdc++\ncargo:rustc-link-lib=framework=Security")),
            LinkedLibraries::Own
        );
        let system = |is_static| LinkedLibraries::System { is_static };
        assert_eq!(of(&format!("{own}cargo:rustc-link-lib=ssl")), system(false));
        assert_eq!(of(&format!("{own}cargo:rustc-link-lib=static=stdc++")), system(true));
        assert_eq!(
            LinkedLibraries::libraries(&format!("{own}cargo:rustc-link-lib=ssl\ncargo:rustc-link-lib=m")),
            ["z", "ssl"]
        );
        assert_eq!(of("cargo:rustc-link-lib=z"), system(false));
        assert_eq!(of("cargo:rustc-link-search=/usr/lib"), system(false));
        assert_eq!(of("cargo:rustc-link-search=native=/usr/lib\ncargo:rustc-link-lib=static=z"), system(true));
        for line in ["cargo:rustc-flags=-l z", "cargo::rustc-link-arg=-z", "cargo:rustc-cdylib-link-arg=-z"] {
            assert_eq!(of(line), LinkedLibraries::Unclear, "{line}");
        }
    }
}
