//! Cargo's merged configuration, as far as keys and the session need it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tables that change what cargo passes to rustc in ways the unit graph does not show.
const RELEVANT: &[&str] = &["unstable", OPTIONS];
/// What is switched on by `-Z` and by variables; no table of cargo's has such a name.
const OPTIONS: &str = "-Z";
/// Settings that change what cargo writes into the build directory.
const OF_FORMAT: &[&[&str]] = &[&["unstable"], &[OPTIONS], &["build", "fingerprint"], &["build", "sbom"]];
/// Tables whose content reaches build scripts through variables.
const SEEN_BY_SCRIPTS: &[&str] = &["env", "target"];

/// The answer of `cargo config get`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CargoConfig {
    tables: BTreeMap<String, Value>,
}

impl CargoConfig {
    /// A value by its path.
    fn get(&self, path: &[&str]) -> Option<&Value> {
        let (table, rest) = path.split_first()?;
        rest.iter().try_fold(self.tables.get(*table)?, |value, key| value.get(key))
    }

    /// A text of the table `build`, also an empty one.
    pub fn build(&self, name: &str) -> Option<&str> {
        self.get(&["build", name])?.as_str()
    }

    /// `build.target`: one platform, or several.
    pub fn targets(&self) -> Vec<&str> {
        match self.get(&["build", "target"]) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(value) => value.as_str().into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// `target.<triple>.linker`.
    pub fn linker(&self, triple: &str) -> Option<&str> {
        self.get(&["target", triple, "linker"])?.as_str()
    }

    /// Whether a `target.'cfg(…)'` table names a linker.
    pub fn has_conditional_linker(&self) -> bool {
        let targets = self.tables.get("target").and_then(Value::as_object).into_iter().flatten();
        targets.into_iter().any(|(name, table)| name.starts_with("cfg(") && table.get("linker").is_some())
    }

    /// The same, with what the command and the environment switch on.
    #[must_use]
    pub fn with_options(mut self, options: Vec<String>) -> Self {
        if !options.is_empty() {
            self.tables.insert(OPTIONS.into(), options.into());
        }
        self
    }

    /// What the command and the environment switch on: `-Z` options.
    pub fn options(&self) -> Vec<&str> {
        let options = self.tables.get(OPTIONS).and_then(Value::as_array).into_iter().flatten();
        options.filter_map(Value::as_str).collect()
    }

    /// All settings that change what cargo writes into the build directory, by their names.
    pub fn of_format(&self) -> BTreeMap<String, &Value> {
        OF_FORMAT.iter().filter_map(|path| Some((path.join("."), self.get(path)?))).collect()
    }

    /// What is switched on that only nightly has.
    pub fn unstable(&self) -> Option<&Value> {
        self.tables.get("unstable").filter(|table| table.as_object().is_some_and(|table| !table.is_empty()))
    }

    /// The tables of platforms, with nothing in them but the linker.
    pub fn linkers(&self) -> toml::Table {
        let targets = self.tables.get("target").and_then(Value::as_object).into_iter().flatten();
        let linker =
            |table: &Value| Some(toml::Table::from_iter([("linker".into(), table.get("linker")?.as_str()?.into())]));
        targets.filter_map(|(name, table)| Some((name.clone(), toml::Value::Table(linker(table)?)))).collect()
    }

    /// Whether packages may be taken from directories in which nobody has to keep them as they are.
    pub fn replaces_packages(&self) -> bool {
        let sources = self.tables.get("source").and_then(Value::as_object).into_iter().flatten();
        let mut directories = sources.filter(|(_, source)| source.get("directory").is_some());
        ["paths", "patch"].iter().any(|name| self.tables.contains_key(*name)) || directories.next().is_some()
    }

    /// Every list of rustc flags in the configuration, by the table it stands in. Cargo picks those whose `cfg(…)` fits;
    /// taking all of them into a key can only make it more particular.
    pub fn rustflags(&self) -> BTreeMap<String, Vec<String>> {
        let targets = self.tables.get("target").and_then(Value::as_object).into_iter().flatten();
        let mut flags: BTreeMap<_, _> = targets
            .filter_map(|(name, table)| Some((format!("target.{name}"), flag_list(table.get("rustflags")?))))
            .collect();
        flags.extend(self.get(&["build", "rustflags"]).map(|value| ("build".to_owned(), flag_list(value))));
        flags
    }

    /// What build scripts see of it.
    pub fn seen_by_scripts(&self) -> BTreeMap<String, Value> {
        self.tables_of(SEEN_BY_SCRIPTS)
    }

    /// The names of the variables that the configuration sets.
    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        let variables = self.tables.get("env").and_then(Value::as_object).into_iter().flatten();
        variables.map(|(name, _)| name.as_str())
    }

    /// What the configuration says of each variable.
    pub fn said_of_variables(&self) -> BTreeMap<String, String> {
        let variables = self.tables.get("env").and_then(Value::as_object).into_iter().flatten();
        variables.map(|(name, said)| (name.clone(), said.to_string())).collect()
    }

    /// The variables that the configuration sets, as text.
    pub fn variables(&self) -> String {
        self.tables.get("env").map(ToString::to_string).unwrap_or_default()
    }

    /// What is part of every key.
    pub fn relevant(&self) -> BTreeMap<String, Value> {
        self.tables_of(RELEVANT)
    }

    fn tables_of(&self, names: &[&str]) -> BTreeMap<String, Value> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), self.tables.get(*name)?.clone()))).collect()
    }
}

/// A list, or a string that cargo splits at white space.
fn flag_list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(Into::into).collect(),
        Value::String(text) => text.split_whitespace().map(Into::into).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_from_every_table() {
        let config: CargoConfig = serde_json::from_str(
            r#"{"build":{"rustflags":"-C debuginfo=1","rustc-wrapper":"sccache"},
                "target":{"cfg(unix)":{"rustflags":["--cfg","x"]},"x86_64-unknown-linux-gnu":{"linker":"cc"}}}"#,
        )
        .unwrap();
        assert_eq!(config.targets(), [""; 0]);
        assert_eq!(
            config.rustflags(),
            [
                ("build".to_owned(), vec!["-C".to_owned(), "debuginfo=1".to_owned()]),
                ("target.cfg(unix)".to_owned(), vec!["--cfg".to_owned(), "x".to_owned()]),
            ]
            .into()
        );
        assert_eq!((config.build("rustc-wrapper"), config.build("rustc")), (Some("sccache"), None));
    }

    #[test]
    fn there_may_be_one_target_or_several() {
        let targets = |json: &str| serde_json::from_str::<CargoConfig>(json).unwrap().targets().join(" ");
        assert_eq!(targets(r#"{"build":{"target":"a"}}"#), "a");
        assert_eq!(targets(r#"{"build":{"target":["a","b"]}}"#), "a b");
    }
}
