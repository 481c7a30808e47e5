//! The crates that are asked about: `name` or `name@version`.

use crate::report::UnitReport;

/// As long as two names are closer than this, one may be meant by the other.
const CLOSE: f64 = 0.8;

/// What the user has named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    name: String,
    version: Option<String>,
}

impl Selection {
    /// From an argument.
    pub fn parse(text: &str) -> Self {
        match text.split_once('@') {
            Some((name, version)) => Self { name: name.into(), version: Some(version.into()) },
            None => Self { name: text.into(), version: None },
        }
    }

    /// Whether a unit is of this crate. A version may be given as far as it matters: `1` is `1.0.3`, too.
    pub fn matches(&self, unit: &UnitReport) -> bool {
        let is_name = [&unit.package, &unit.target].into_iter().any(|name| plain(name) == plain(&self.name));
        is_name
            && self.version.as_ref().is_none_or(|version| {
                unit.version
                    .strip_prefix(version.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
            })
    }

    /// As it was written.
    pub fn text(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Crates and packages differ in this.
fn plain(name: &str) -> String {
    name.replace('-', "_").to_lowercase()
}

/// Which of the crates of a build may be meant: other versions of it, and those whose names are close.
pub fn similar(selection: &Selection, units: &[UnitReport]) -> Vec<String> {
    let wanted = plain(&selection.name);
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
    use crate::report::Outcome;

    fn unit(package: &str, version: &str, target: &str) -> UnitReport {
        UnitReport {
            package: package.into(),
            version: version.into(),
            target: target.into(),
            kind: "lib".into(),
            mode: "build".into(),
            platform: None,
            dependencies: Vec::new(),
            features: Vec::new(),
            key: None,
            rejected: None,
            outcome: Outcome::Fresh,
        }
    }

    #[test]
    fn a_crate_is_named_by_package_or_target_and_as_much_of_the_version_as_matters() {
        let unit = unit("proc-macro2", "1.0.86", "proc_macro2");
        for text in ["proc-macro2", "proc_macro2", "proc-macro2@1", "proc-macro2@1.0", "proc-macro2@1.0.86"] {
            assert!(Selection::parse(text).matches(&unit), "{text}");
        }
        for text in ["proc-macro", "proc-macro2@2", "proc-macro2@1.0.8", "macro2", ""] {
            assert!(!Selection::parse(text).matches(&unit), "{text}");
        }
    }

    #[test]
    fn names_that_are_close_are_suggested_and_others_are_not() {
        let units =
            [unit("serde", "1.0.1", "serde"), unit("serde_json", "1.0.9", "serde_json"), unit("log", "0.4.1", "log")];
        assert_eq!(similar(&Selection::parse("sered"), &units), ["serde@1.0.1", "serde_json@1.0.9"]);
        assert_eq!(similar(&Selection::parse("json"), &units), ["serde_json@1.0.9"]);
        assert_eq!(similar(&Selection::parse("serde@2"), &units)[0], "serde@1.0.1");
        assert_eq!(similar(&Selection::parse("tokio"), &units), [""; 0]);
    }
}
