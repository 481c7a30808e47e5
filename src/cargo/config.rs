//! Cargo's merged configuration, as far as keys and the session need it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tables that change what cargo passes to rustc in ways the unit graph does not show.
const RELEVANT: &[&str] = &["unstable", UNSTABLE_OPTIONS, "host", "target-applies-to-host"];
/// Options that `-Z` and variables turn on. No table of cargo's has this name.
const UNSTABLE_OPTIONS: &str = "-Z";
/// Settings that change what cargo writes into the build directory.
const FORMAT_SETTINGS: &[&[&str]] =
    &[&["unstable"], &[UNSTABLE_OPTIONS], &["build", "fingerprint"], &["build", "sbom"]];
/// Settings of a target that no build script sees: how to run programs, and flags, which are inputs of their own.
const UNSEEN_BY_SCRIPTS: &[&str] = &["runner", "rustdocflags", "rustflags"];

/// The output of `cargo config get`.
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

    /// A string of the table `build`, which may be empty.
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

    /// The same configuration with the `-Z` options of the command and the environment.
    #[must_use]
    pub fn with_options(mut self, options: Vec<String>) -> Self {
        if !options.is_empty() {
            self.tables.insert(UNSTABLE_OPTIONS.into(), options.into());
        }
        self
    }

    /// The `-Z` options of the command and the environment.
    pub fn options(&self) -> Vec<&str> {
        let options = self.tables.get(UNSTABLE_OPTIONS).and_then(Value::as_array).into_iter().flatten();
        options.filter_map(Value::as_str).collect()
    }

    /// All settings that change what cargo writes into the build directory, by their names.
    pub fn format_settings(&self) -> BTreeMap<String, &Value> {
        FORMAT_SETTINGS.iter().filter_map(|path| Some((path.join("."), self.get(path)?))).collect()
    }

    /// The settings of `[unstable]`, if there are any.
    pub fn unstable(&self) -> Option<&Value> {
        self.tables.get("unstable").filter(|table| table.as_object().is_some_and(|table| !table.is_empty()))
    }

    /// The tables of platforms, reduced to the linker.
    pub fn linkers(&self) -> toml::Table {
        let targets = self.tables.get("target").and_then(Value::as_object).into_iter().flatten();
        let linker =
            |table: &Value| Some(toml::Table::from_iter([("linker".into(), table.get("linker")?.as_str()?.into())]));
        targets.filter_map(|(name, table)| Some((name.clone(), toml::Value::Table(linker(table)?)))).collect()
    }

    /// Whether packages may come from directories whose content can change.
    pub fn replaces_packages(&self) -> bool {
        let sources = self.tables.get("source").and_then(Value::as_object).into_iter().flatten();
        let mut directories = sources.filter(|(_, source)| source.get("directory").is_some());
        ["paths", "patch"].iter().any(|name| self.tables.contains_key(*name)) || directories.next().is_some()
    }

    /// Whether settings for targets may also apply to hosts if the command names a target.
    pub fn may_flag_hosts(&self) -> bool {
        const UNSTABLE: [&str; 2] = ["host-config", "target-applies-to-host"];
        let is_on = |name: &str| self.get(&["unstable", name]).is_some();
        let plain = |option: &str| option.to_lowercase().replace('_', "-");
        UNSTABLE.iter().any(|name| is_on(name) || self.options().iter().any(|option| plain(option).contains(name)))
    }

    /// Every list of rustc flags in the configuration, by its table.
    pub fn rustflags(&self) -> BTreeMap<String, Vec<String>> {
        let targets = self.tables.get("target").and_then(Value::as_object).into_iter().flatten();
        let mut flags: BTreeMap<_, _> = targets
            .filter_map(|(name, table)| Some((format!("target.{name}"), flag_list(table.get("rustflags")?))))
            .collect();
        flags.extend(self.get(&["build", "rustflags"]).map(|value| ("build".to_owned(), flag_list(value))));
        flags
    }

    /// What build scripts for a platform see of the configuration besides variables: the linker, and the settings that
    /// replace a script with `links`.
    pub fn seen_by_scripts(&self, platform: &str) -> Option<Value> {
        let targets = self.tables.get("target").and_then(Value::as_object).into_iter().flatten();
        let applying = targets.filter(|(name, _)| *name == platform || name.starts_with("cfg("));
        let seen = applying.filter_map(|(name, table)| {
            let mut table = table.as_object()?.clone();
            table.retain(|key, _| !UNSEEN_BY_SCRIPTS.contains(&key.as_str()));
            (!table.is_empty()).then(|| (name.clone(), Value::Object(table)))
        });
        let seen: serde_json::Map<_, _> = seen.collect();
        (!seen.is_empty()).then_some(Value::Object(seen))
    }

    /// The variables that the configuration sets, with the setting of each.
    pub fn configured_variables(&self) -> impl Iterator<Item = (&str, &Value)> {
        let variables = self.variables().and_then(Value::as_object).into_iter().flatten();
        variables.map(|(name, setting)| (name.as_str(), setting))
    }

    /// The same as strings. `place` is appended to a path that is relative to a configuration file.
    pub fn variable_settings(&self, place: &str) -> BTreeMap<String, String> {
        let is_relative = |setting: &Value| setting.get("relative").and_then(Value::as_bool) == Some(true);
        let text = |setting: &Value| format!("{setting}{}", if is_relative(setting) { place } else { "" });
        self.configured_variables().map(|(name, setting)| (name.to_owned(), text(setting))).collect()
    }

    /// The table of variables that the configuration sets.
    pub fn variables(&self) -> Option<&Value> {
        self.tables.get("env")
    }

    /// The tables that are part of every key.
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
    fn one_target_and_several_are_read() {
        let targets = |json: &str| serde_json::from_str::<CargoConfig>(json).unwrap().targets().join(" ");
        assert_eq!(targets(r#"{"build":{"target":"a"}}"#), "a");
        assert_eq!(targets(r#"{"build":{"target":["a","b"]}}"#), "a b");
    }
}
