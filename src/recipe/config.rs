//! Reduces `.cargo/config.toml` to the settings that affect a build of dependencies.

use camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};

use super::read_table;
use crate::error::Result;

/// The tables that affect such a build.
const KEPT: &[&str] = &[
    "build",
    "env",
    "host",
    "http",
    "net",
    "patch",
    "paths",
    "profile",
    "registries",
    "registry",
    "resolver",
    "source",
    "target",
    "unstable",
];
/// Keys in these tables that do not affect it, at any depth, except in `[env]`: they concern members only, or how and
/// how fast the build runs. Secrets are dropped as well.
const DROPPED: &[&str] = &["incremental", "jobs", "proxy", "runner", "secret-key", "token", "warnings"];
/// Keys whose value is a path relative to the directory of `.cargo`.
const PATHS: &[&[&str]] = &[
    &["build", "build-dir"],
    &["build", "target-dir"],
    &["http", "cainfo"],
    &["source", "*", "directory"],
    &["source", "*", "local-registry"],
];
/// Keys whose value is a program; it is a path only if it contains a slash.
const PROGRAMS: &[&[&str]] = &[
    &["build", "rustc"],
    &["build", "rustc-wrapper"],
    &["build", "rustc-workspace-wrapper"],
    &["target", "*", "ar"],
    &["target", "*", "linker"],
];

/// Reads the configuration file of a workspace.
pub(super) fn read(root: &Utf8Path) -> Result<Table> {
    let names = ["config", "config.toml"].map(|name| root.join(".cargo").join(name));
    let first = names.iter().find(|path| path.is_file());
    Ok(first.map(|path| read_table(path)).transpose()?.flatten().unwrap_or_default())
}

/// The part of the configuration that affects a build of dependencies.
pub(super) fn reduce(config: Table) -> Table {
    let kept = config.into_iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
    let reduced = kept.map(|(name, value)| match &*name {
        "env" => (name, value),
        _ => (name, drop_keys(value)),
    });
    reduced.filter(|(_, value)| is_not_empty(value)).collect()
}

fn is_not_empty(value: &Value) -> bool {
    value.as_table().is_none_or(|table| !table.is_empty())
}

fn drop_keys(value: Value) -> Value {
    match value {
        Value::Table(table) => {
            let kept = table.into_iter().filter(|(name, _)| !DROPPED.contains(&name.as_str()));
            let reduced = kept.map(|(name, value)| (name, drop_keys(value)));
            Value::Table(reduced.filter(|(_, value)| is_not_empty(value)).collect())
        }
        other => other,
    }
}

/// Makes paths absolute that are relative to the workspace at `home`.
pub(super) fn make_absolute(config: &mut Table, home: &Utf8Path) {
    let in_home = |path: &str| home.join(path).to_string();
    let is_path = |value: &str| value.contains('/');
    PATHS.iter().for_each(|keys| change(config, keys, &|value| (!value.starts_with('{')).then(|| in_home(value))));
    PROGRAMS.iter().for_each(|keys| change(config, keys, &|value| is_path(value).then(|| in_home(value))));
    change(config, &["build", "target"], &|value| value.ends_with(".json").then(|| in_home(value)));
    let variables = config.get_mut("env").and_then(Value::as_table_mut).into_iter().flatten();
    for (_, variable) in variables {
        let Some(table) = variable.as_table_mut() else { continue };
        if table.remove("relative").is_some_and(|relative| relative.as_bool() == Some(true))
            && let Some(Value::String(value)) = table.get_mut("value")
        {
            *value = home.join(Utf8PathBuf::from(&*value)).into();
        }
    }
}

/// Changes the strings at this path; `*` matches any key.
fn change(table: &mut Table, keys: &[&str], new: &impl Fn(&str) -> Option<String>) {
    let Some((key, rest)) = keys.split_first() else { return };
    for (_, value) in table.iter_mut().filter(|(name, _)| *key == "*" || name == key) {
        match value {
            Value::Table(inner) => change(inner, rest, new),
            Value::String(text) if rest.is_empty() => {
                if let Some(new) = new(text) {
                    *text = new;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn credentials_and_settings_that_do_not_affect_the_build_are_left_out() {
        let plain = parse("[build]\nrustflags = [\"-g\"]\n[registries.own]\nindex = \"https://x\"\n");
        let more = parse(
            "[alias]\nb = \"build\"\n[term]\nquiet = true\n[build]\nrustflags = [\"-g\"]\njobs = 3\n[registry]\ntoken = \"secret\"\n\
            [registries.own]\nindex = \"https://x\"\ntoken = \"secret\"\n[http]\nproxy = \"u:p@x\"\n[target.t]\nrunner = \"r\"\n",
        );
        assert_eq!(reduce(more), plain);
        assert_eq!(reduce(plain.clone()), plain);
    }

    #[test]
    fn a_variable_of_any_name_is_kept() {
        let config = parse("[env]\ntoken = \"x\"\n");
        assert_eq!(reduce(config.clone()), config);
    }

    #[test]
    fn paths_become_absolute_and_program_names_stay() {
        let mut config = parse(
            "[source.v]\ndirectory = \"vendor\"\n[target.t]\nlinker = \"tools/cc\"\n[target.u]\nlinker = \"cc\"\n\
            [env]\nA = { value = \"a\", relative = true }\nB = \"b\"\n",
        );
        make_absolute(&mut config, "/app".into());
        let expected = parse(
            "[source.v]\ndirectory = \"/app/vendor\"\n[target.t]\nlinker = \"/app/tools/cc\"\n[target.u]\nlinker = \"cc\"\n\
            [env]\nA = { value = \"/app/a\" }\nB = \"b\"\n",
        );
        assert_eq!(config, expected);
    }
}
