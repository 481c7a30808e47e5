//! The crates that the user names: `name` or `name@version`.

use crate::report::UnitReport;

/// The least similarity at which one name may be a misspelling of another.
const CLOSE: f64 = 0.8;

/// A crate that the user names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    text: String,
}

impl Selection {
    /// Parses an argument.
    pub fn parse(text: &str) -> Self {
        Self { text: text.into() }
    }

    /// Whether a unit belongs to this crate. The first parts of a version are enough: `1` matches `1.0.3`.
    pub fn matches(&self, unit: &UnitReport) -> bool {
        let (name, version) = self.parts();
        let is_end = |rest: &str| rest.is_empty() || rest.starts_with(['.', '-', '+']);
        [&unit.package, &unit.target].into_iter().any(|of_unit| plain(of_unit) == plain(name))
            && version.is_none_or(|version| unit.version.strip_prefix(version).is_some_and(is_end))
    }

    fn parts(&self) -> (&str, Option<&str>) {
        self.text.split_once('@').map_or((&self.text, None), |(name, version)| (name, Some(version)))
    }

    /// The argument.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The same for the names of a package and its crate, which differ in hyphens.
fn plain(name: &str) -> String {
    name.replace('-', "_").to_lowercase()
}

/// The crates of a build that the user may have meant: other versions, and crates with similar names.
pub fn similar(selection: &Selection, units: &[UnitReport]) -> Vec<String> {
    let wanted = plain(selection.parts().0);
    let score = |unit: &UnitReport| {
        let name = plain(&unit.package);
        if name.contains(&wanted) { 1.0 } else { strsim::jaro_winkler(&name, &wanted) }
    };
    let mut close: Vec<_> = units.iter().map(|unit| (score(unit), unit)).filter(|(score, _)| *score > CLOSE).collect();
    close.sort_by(|(one, a), (other, b)| other.total_cmp(one).then_with(|| a.package.cmp(&b.package)));
    let mut names: Vec<_> = close.into_iter().map(|(_, unit)| format!("{}@{}", unit.package, unit.version)).collect();
    names.dedup();
    names.truncate(3);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, tests};

    fn unit(package: &str, version: &str, target: &str) -> UnitReport {
        UnitReport { version: version.into(), target: target.into(), ..tests::unit(package, Outcome::Fresh) }
    }

    #[test]
    fn a_selection_matches_package_or_target_and_the_first_parts_of_the_version() {
        let unit = unit("proc-macro2", "1.0.86", "proc_macro2");
        for text in ["proc-macro2", "proc_macro2", "proc-macro2@1", "proc-macro2@1.0", "proc-macro2@1.0.86"] {
            assert!(Selection::parse(text).matches(&unit), "{text}");
        }
        for text in ["proc-macro", "proc-macro2@2", "proc-macro2@1.0.8", "macro2", ""] {
            assert!(!Selection::parse(text).matches(&unit), "{text}");
        }
    }

    #[test]
    fn only_similar_names_are_suggested() {
        let units =
            [unit("serde", "1.0.1", "serde"), unit("serde_json", "1.0.9", "serde_json"), unit("log", "0.4.1", "log")];
        assert_eq!(similar(&Selection::parse("sered"), &units), ["serde@1.0.1", "serde_json@1.0.9"]);
        assert_eq!(similar(&Selection::parse("json"), &units), ["serde_json@1.0.9"]);
        assert_eq!(similar(&Selection::parse("serde@2"), &units)[0], "serde@1.0.1");
        assert_eq!(similar(&Selection::parse("tokio"), &units), [""; 0]);
    }
}
