//! Flags of the user's by which a unit depends on what no key has.
//!
//! The wrapper reads the command line of every crate that is compiled, and refuses such flags there. Build scripts have no
//! command line, but see what the flags make of the target (`CARGO_CFG_TARGET_FEATURE`); and what is put into the target
//! directory before cargo runs has none yet. So the flags are judged here as well, before anything is looked up.
//!
//! **Invariant.** A flag counts wherever cargo may take it from. What is set for a platform that a unit is not for does not.

use serde_json::Value;

use super::{PlanInputs, Unit};
use crate::event::Reason;
use crate::rustc::Invocation;

/// Unstable options whose value is a file, or code that the compiler loads.
const LOADING: &[&str] = &["codegen-backend", "llvm-plugins", "profile-sample-use"];

/// The reason against a unit by the flags that cargo may have for it, if there is one.
pub(super) fn against(inputs: &PlanInputs<'_>, unit: &Unit, has_targets: bool) -> Option<Reason> {
    let of_profile = unit.profile.fields.get("rustflags").map(texts).unwrap_or_default();
    // With `--target`, the flags are for the units of that target and not for those of the host.
    let of_user = if has_targets && unit.platform.is_none() { Vec::new() } else { of_user(inputs, unit) };
    of_user.into_iter().chain([of_profile]).find_map(|flags| judge(&flags))
}

/// Each list of flags that cargo may take for a unit.
fn of_user(inputs: &PlanInputs<'_>, unit: &Unit) -> Vec<Vec<String>> {
    if let Some(flags) = &inputs.environment_rustflags {
        return vec![flags.clone()];
    }
    let platform = unit.platform.as_deref().unwrap_or_else(|| inputs.toolchain.host());
    let is_meant = |table: &str| match table.strip_prefix("target.") {
        Some(target) => target == platform || target.starts_with("cfg("),
        None => true,
    };
    let variable = variable(platform, "RUSTFLAGS");
    let in_variables =
        inputs.environment.iter().filter(|(name, _)| **name == variable || *name == "CARGO_BUILD_RUSTFLAGS");
    let in_variables = in_variables.map(|(_, flags)| flags.split_whitespace().map(Into::into).collect());
    let configured = inputs.config.rustflags().into_iter().filter(|(table, _)| is_meant(table));
    configured.map(|(_, flags)| flags).chain(in_variables).collect()
}

/// The variable that stands for `target.<triple>.<name>`.
fn variable(platform: &str, name: &str) -> String {
    format!("CARGO_TARGET_{}_{name}", platform.to_uppercase().replace(['-', '.'], "_"))
}

fn judge(flags: &[String]) -> Option<Reason> {
    let invocation = Invocation::parse(flags);
    let finds_crates = !invocation.externs.is_empty() || searched(flags).any(finds_crates);
    let loads =
        flags.iter().any(|flag| LOADING.iter().any(|name| flag.replace('_', "-").contains(&format!("{name}="))));
    invocation.uncacheable().or((finds_crates || loads).then_some(Reason::CompilerInput))
}

/// The values of `-L`, attached or as the next argument.
fn searched(flags: &[String]) -> impl Iterator<Item = &str> {
    let next = flags.iter().skip(1).map(String::as_str).chain([""]);
    flags.iter().zip(next).filter_map(|(flag, next)| match flag.strip_prefix("-L")? {
        "" => Some(next),
        value => Some(value),
    })
}

/// Libraries for the linker are not crates. What else is found there, nobody names.
fn finds_crates(value: &str) -> bool {
    !["native=", "framework="].iter().any(|kind| value.starts_with(kind))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(flags: &str) -> Option<Reason> {
        judge(&flags.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_that_ask_this_machine_are_seen_however_they_are_spelled() {
        for flags in [
            "-Ctarget-cpu=native",
            "-C target-cpu=native",
            "-Ctarget_cpu=native",
            "--codegen target-cpu=native",
            "--codegen=target_cpu=native",
            "-g -C target-cpu=native -v",
        ] {
            assert_eq!(judged(flags), Some(Reason::HostCpu), "{flags}");
        }
        assert_eq!(judged("-Ctarget-cpu=x86-64-v3"), None);
    }

    #[test]
    fn flags_that_read_what_no_key_has_are_seen() {
        for flags in [
            "-L /crates",
            "-L/crates",
            "-Lcrate=/crates",
            "-L dependency=/crates",
            "-L all=/crates",
            "--extern found=/crates/libfound.rlib",
            "-Cprofile-use=/some.profdata",
            "-C profile_use=/some.profdata",
            "-Zcodegen-backend=/some.so",
            "-Z llvm_plugins=/some.so",
            "@/some/arguments",
        ] {
            assert_eq!(judged(flags), Some(Reason::CompilerInput), "{flags}");
        }
        for flags in ["-Lnative=/lib", "-L native=/lib", "-L framework=/lib", "--cfg L", "-Copt-level=3 -g"] {
            assert_eq!(judged(flags), None, "{flags}");
        }
    }
}
