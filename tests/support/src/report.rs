//! The output of `cargo xcache report --format json`, as far as the tests use it.

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
    /// Cargo's compile mode.
    pub mode: String,
    /// `hit`, `fresh`, `miss`, `uncacheable` or `not-reached`.
    pub outcome: String,
    /// The reason, if there is one.
    pub reason: Option<String>,
    /// Why it is not in the store although it was compiled, if so.
    pub not_recorded: Option<String>,
    /// Its key, if it is cacheable.
    pub key: Option<String>,
    /// Whether it was placed before cargo ran, and cargo found it fresh.
    pub hydrated: bool,
    /// Cargo's reason to build it although it was hydrated, if so.
    pub rejected: Option<String>,
}

impl Unit {
    /// Its package, and what part of it unless it is a library or program.
    pub fn name(&self) -> String {
        match (self.kind.as_str(), self.mode.as_str()) {
            (_, "run-custom-build") => format!("{} (run)", self.package),
            ("custom-build", _) => format!("{} (build script)", self.package),
            _ => self.package.clone(),
        }
    }
}

impl Report {
    /// Parses the output of `cargo xcache report --format json`.
    #[track_caller]
    pub fn parse(output: &Output) -> Self {
        let json = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output}"));
        Self { json }
    }

    /// The whole report.
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

    /// The names of all units for which `like` holds, sorted; see [`Unit::name`].
    pub fn names(&self, like: impl Fn(&Unit) -> bool) -> Vec<String> {
        let mut names: Vec<_> = self.units().iter().filter(|unit| like(unit)).map(Unit::name).collect();
        names.sort();
        names
    }

    /// The units that were hydrated and found fresh by cargo, sorted.
    pub fn hydrated(&self) -> Vec<String> {
        self.names(|unit| unit.hydrated)
    }

    /// One of the totals.
    #[track_caller]
    pub fn total(&self, name: &str) -> u64 {
        self.json["totals"][name].as_u64().unwrap_or_else(|| panic!("no total {name} in {}", self.json))
    }

    /// Milliseconds from the beginning of the session to the beginning and to the end of a phase.
    #[track_caller]
    pub fn phase(&self, name: &str) -> (u64, u64) {
        let phases = self.json["phases"].as_array().map_or(&[][..], Vec::as_slice);
        let phase = phases.iter().find(|phase| phase["phase"] == name);
        let times = phase.and_then(|phase| Some((phase["start_ms"].as_u64()?, phase["end_ms"].as_u64()?)));
        times.unwrap_or_else(|| panic!("no finished phase {name} in {}", self.json))
    }

    /// The key of the unit with this [name](Unit::name).
    #[track_caller]
    pub fn key_of(&self, name: &str) -> String {
        let unit = self.units().into_iter().find(|unit| unit.name() == name);
        unit.and_then(|unit| unit.key).unwrap_or_else(|| panic!("no key of {name} in {}", self.json))
    }

    /// The key of a package's library.
    pub fn key(&self, package: &str) -> Option<String> {
        self.units().into_iter().filter(|unit| unit.package == package && unit.kind == "lib").find_map(|unit| unit.key)
    }

    /// Why units of a package were not taken from the cache, or not stored.
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
        mode: required("mode"),
        outcome: required("outcome"),
        reason: text("reason"),
        not_recorded: text("not_recorded"),
        key: text("key"),
        hydrated: json["hydrated"] == true,
        rejected: text("rejected"),
    }
}
