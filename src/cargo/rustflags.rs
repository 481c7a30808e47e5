//! The user's flags that cargo passes to rustc (`core/compiler/build_context/target_info.rs`, `extra_args`).
//!
//! Variables override the tables of platforms, and these override `build.rustflags`. Within one list, the flags of a
//! variable follow those of the configuration. As in cargo, the compiler's output decides which tables with a `cfg(…)`
//! apply.
//!
//! **Invariant.** If it is not known which tables apply, all that may apply count: this only makes a key more specific.

use std::collections::BTreeMap;
use std::str::FromStr;

use cargo_platform::{Cfg, CfgExpr};

use super::CargoConfig;

/// The places where flags may be set.
#[derive(Clone, Copy)]
pub struct Rustflags<'a> {
    /// Cargo's configuration.
    pub config: &'a CargoConfig,
    /// A variable's value.
    pub variable: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl Rustflags<'_> {
    /// All flags for the units of a platform. `ask` returns the output of rustc for `--print cfg` with these flags.
    pub fn of(self, platform: &str, ask: impl FnOnce(&[String]) -> Option<String>) -> Vec<String> {
        if let Some(flags) = self.overriding_flags() {
            return flags;
        }
        let configured = self.config.rustflags();
        let (mut flags, build_flags) =
            (self.of_table(&configured, &format!("target.{platform}")), self.of_table(&configured, "build"));
        let conditional = configured.iter().filter_map(|(table, flags)| {
            let condition = table.strip_prefix("target.").filter(|condition| condition.starts_with("cfg("))?;
            Some((condition, flags))
        });
        let conditional: Vec<_> = conditional.collect();
        if !conditional.is_empty() {
            let output = ask(if flags.is_empty() { &build_flags } else { &flags });
            let cfgs: Option<Vec<_>> = output.map(|output| output.lines().flat_map(Cfg::from_str).collect());
            let applies = |condition: &str| cfgs.as_ref().is_none_or(|cfgs| CfgExpr::matches_key(condition, cfgs));
            let applying = conditional.into_iter().filter(|(condition, _)| applies(condition));
            flags.extend(applying.flat_map(|(_, flags)| flags.iter().cloned()));
        }
        if flags.is_empty() { build_flags } else { flags }
    }

    /// The flags of a variable that replaces all others.
    fn overriding_flags(self) -> Option<Vec<String>> {
        let listed = |text: &str, separator| text.split(separator).map(str::to_owned).collect::<Vec<_>>();
        let encoded = (self.variable)("CARGO_ENCODED_RUSTFLAGS");
        if let Some(encoded) = encoded {
            return Some(if encoded.is_empty() { Vec::new() } else { listed(encoded, '\x1f') });
        }
        let plain = (self.variable)("RUSTFLAGS").map(|flags| flags.split(' ').map(str::trim));
        plain.map(|flags| flags.filter(|flag| !flag.is_empty()).map(str::to_owned).collect())
    }

    /// The flags of a configured table and of its variable.
    fn of_table(self, configured: &BTreeMap<String, Vec<String>>, table: &str) -> Vec<String> {
        let variable = format!("CARGO_{}_RUSTFLAGS", table.to_uppercase().replace(['-', '.'], "_"));
        let added = (self.variable)(&variable).unwrap_or_default().split_whitespace().map(str::to_owned);
        configured.get(table).into_iter().flatten().cloned().chain(added).collect()
    }
}

/// Whether flags choose or configure the linker.
pub fn configure_linker(flags: &[String]) -> bool {
    option_names(flags).any(|name| name.contains("link"))
}

/// The names of the codegen and unstable options among flags.
fn option_names(flags: &[String]) -> impl Iterator<Item = &str> {
    let next = flags.iter().skip(1).map(String::as_str).chain([""]);
    let options = flags.iter().zip(next).filter_map(|(flag, next)| {
        let attached = ["--codegen=", "-C", "-Z"].iter().find_map(|option| flag.strip_prefix(option));
        match attached {
            Some("") => Some(next),
            Some(option) => Some(option),
            None => (flag == "--codegen").then_some(next),
        }
    });
    options.map(|option| option.split_once('=').map_or(option, |(name, _)| name).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "x86_64-unknown-linux-gnu";
    const CONFIG: &str = r#"{
        "build": {"rustflags": ["-g"]},
        "target": {
            "x86_64-unknown-linux-gnu": {"rustflags": "--cfg host"},
            "cfg(unix)": {"rustflags": ["--cfg", "unixlike"]},
            "cfg(windows)": {"rustflags": ["--cfg", "windowslike"]}
        }
    }"#;

    fn flags(config: &str, variables: &[(&'static str, &'static str)], platform: &str, cfg: Option<&str>) -> String {
        let config: CargoConfig = serde_json::from_str(config).unwrap();
        let variable = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| *value);
        let flags = Rustflags { config: &config, variable: &variable };
        flags.of(platform, |_| cfg.map(str::to_owned)).join(" ")
    }

    #[test]
    fn the_tables_of_a_platform_override_build_rustflags() {
        let unix = Some("unix\ntarget_os=\"linux\"\n");
        assert_eq!(flags(CONFIG, &[], HOST, unix), "--cfg host --cfg unixlike");
        assert_eq!(flags(CONFIG, &[], "aarch64-pc-windows-msvc", Some("windows")), "--cfg windowslike");
        assert_eq!(flags(CONFIG, &[], "wasm32-wasip1", Some("target_os=\"wasi\"")), "-g");
        assert_eq!(flags("{}", &[], HOST, None), "");
    }

    #[test]
    fn every_table_that_may_apply_counts() {
        assert_eq!(flags(CONFIG, &[], HOST, None), "--cfg host --cfg unixlike --cfg windowslike");
    }

    #[test]
    fn variables_override_the_configuration() {
        let unix = Some("unix");
        for (name, value, expected) in [
            ("RUSTFLAGS", " -O  -g ", "-O -g"),
            ("RUSTFLAGS", "", ""),
            ("CARGO_ENCODED_RUSTFLAGS", "-O\x1f--cfg\x1fa b", "-O --cfg a b"),
            ("CARGO_ENCODED_RUSTFLAGS", "", ""),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-O -g", "--cfg host -O -g --cfg unixlike"),
            ("CARGO_BUILD_RUSTFLAGS", "-O", "--cfg host --cfg unixlike"),
        ] {
            assert_eq!(flags(CONFIG, &[(name, value)], HOST, unix), expected, "{name}={value}");
        }
        assert_eq!(flags("{}", &[("CARGO_BUILD_RUSTFLAGS", "-O")], HOST, unix), "-O");
        let both = [("CARGO_ENCODED_RUSTFLAGS", "-O"), ("RUSTFLAGS", "-g")];
        assert_eq!(flags(CONFIG, &both, HOST, unix), "-O");
    }

    #[test]
    fn rustc_is_queried_with_the_flags_known_so_far() {
        let config: CargoConfig = serde_json::from_str(CONFIG).unwrap();
        let flags = Rustflags { config: &config, variable: &|_| None };
        let mut asked_with = Vec::new();
        flags.of(HOST, |with| {
            asked_with = with.to_vec();
            None
        });
        assert_eq!(asked_with, ["--cfg", "host"]);
    }

    #[test]
    fn names_of_options_are_separated_from_their_values() {
        let names = |flags: &str| {
            let flags: Vec<_> = flags.split(' ').map(str::to_owned).collect();
            option_names(&flags).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names("-Clink-arg=-s -C linker=clang"), ["link-arg", "linker"]);
        assert_eq!(
            names("--codegen link-args=x --codegen=lto -Zpre-link-args=y"),
            ["link-args", "lto", "pre-link-args"]
        );
        assert_eq!(names("--cfg linked -L /linker -Cmetadata=link"), ["metadata"]);
    }
}
