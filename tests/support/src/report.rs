//! What `cargo xcache report --format json` says, as far as the tests look.

use serde_json::Value;

use crate::Output;

/// The report of one build.
pub struct Report {
    json: Value,
}

/// A unit of the report.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unit {
    /// Package name.
    pub package: String,
    /// Cargo's target kind.
    pub kind: String,
    /// `hit`, `fresh`, `miss`, `uncacheable` or `not-reached`.
    pub outcome: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// Why it is not in the store after it was compiled, where it is not.
    pub not_recorded: Option<String>,
    /// Its key, where it can be cached.
    pub key: Option<String>,
}

impl Report {
    #[track_caller]
    pub(crate) fn parse(output: &Output) -> Self {
        let json = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output}"));
        Self { json }
    }

    /// All of it.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Its units.
    pub fn units(&self) -> Vec<Unit> {
        let units = self.json["units"].as_array().unwrap_or_else(|| panic!("a report without units: {}", self.json));
        units.iter().map(unit).collect()
    }

    /// The packages of all units with an outcome, sorted.
    pub fn packages(&self, outcome: &str) -> Vec<String> {
        let mut packages: Vec<_> =
            self.units().into_iter().filter(|unit| unit.outcome == outcome).map(|unit| unit.package).collect();
        packages.sort();
        packages
    }

    /// The key of a package's library.
    pub fn key(&self, package: &str) -> Option<String> {
        self.units().into_iter().filter(|unit| unit.package == package && unit.kind == "lib").find_map(|unit| unit.key)
    }

    /// Why units of a package were not taken from the cache, or not put into it.
    pub fn reasons(&self, package: &str) -> Vec<String> {
        let units = self.units().into_iter().filter(|unit| unit.package == package);
        units.flat_map(|unit| [unit.reason, unit.not_recorded]).flatten().collect()
    }
}

fn unit(json: &Value) -> Unit {
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let required = |name: &str| text(name).unwrap_or_else(|| panic!("a unit without {name}: {json}"));
    Unit {
        package: required("package"),
        kind: required("kind"),
        outcome: required("outcome"),
        reason: text("reason"),
        not_recorded: text("not_recorded"),
        key: text("key"),
    }
}
