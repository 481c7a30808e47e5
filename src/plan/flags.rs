//! The user's flags that make a unit depend on something outside of its key.
//!
//! The wrapper reads the command line of every crate that is compiled, and refuses such flags there. Build scripts have
//! no rustc command line, but the flags decide what they see of the target (`CARGO_CFG_TARGET_FEATURE`). Units that are
//! hydrated have no command line yet. So the flags are checked here as well, before any lookup.
//!
//! **Invariant.** Flags count for the units that cargo passes them to, wherever they are set.

use serde_json::Value;

use super::{PlanInputs, Unit};
use crate::event::UncacheableReason;
use crate::rustc::Invocation;

/// Unstable options whose value is a file, or code that the compiler loads.
const LOADING_OPTIONS: &[&str] = &["codegen-backend", "llvm-plugins", "profile-sample-use"];

/// The reason why the flags of a unit make it uncacheable, if they do.
pub(super) fn uncacheable_reason(inputs: &PlanInputs<'_>, unit: &Unit, has_targets: bool) -> Option<UncacheableReason> {
    let profile_flags = unit.profile.fields.get("rustflags").map(strings).unwrap_or_default();
    let Some(user_flags) = user_flags(inputs, unit, has_targets) else { return Some(UncacheableReason::CompilerInput) };
    let is_known = |name: &str| inputs.environment.contains_key(name);
    reason_for_flags(user_flags, is_known).or_else(|| reason_for_flags(&profile_flags, is_known))
}

/// The user's flags for a unit, if they are known. With `--target`, flags apply to the units of that target and not to
/// those of the host.
pub(super) fn user_flags<'a>(inputs: &'a PlanInputs<'_>, unit: &Unit, has_targets: bool) -> Option<&'a [String]> {
    let platform = match unit.platform.as_deref() {
        None if has_targets && !inputs.config.may_flag_hosts() => return Some(&[]),
        None => inputs.toolchain.host(),
        Some(platform) => platform,
    };
    inputs.toolchain.flags.get(platform).map(Vec::as_slice)
}

fn reason_for_flags(flags: &[String], is_known: impl Fn(&str) -> bool) -> Option<UncacheableReason> {
    let invocation = Invocation::parse(flags);
    let finds_crates = !invocation.externs.is_empty() || search_paths(flags).any(finds_crates);
    let loads = flags
        .iter()
        .any(|flag| LOADING_OPTIONS.iter().any(|name| flag.replace('_', "-").contains(&format!("{name}="))));
    invocation.uncacheable(is_known).or((finds_crates || loads).then_some(UncacheableReason::CompilerInput))
}

/// The values of `-L`, attached or as the next argument.
fn search_paths(flags: &[String]) -> impl Iterator<Item = &str> {
    let next = flags.iter().skip(1).map(String::as_str).chain([""]);
    flags.iter().zip(next).filter_map(|(flag, next)| match flag.strip_prefix("-L")? {
        "" => Some(next),
        value => Some(value),
    })
}

/// Libraries for the linker are not crates. Nothing else in such a directory is named.
fn finds_crates(value: &str) -> bool {
    !["native=", "framework="].iter().any(|kind| value.starts_with(kind))
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason_for(flags: &str) -> Option<UncacheableReason> {
        reason_for_flags(&flags.split(' ').map(str::to_owned).collect::<Vec<_>>(), |_| false)
    }

    #[test]
    fn flags_that_query_the_machine_are_found_in_every_spelling() {
        for flags in [
            "-Ctarget-cpu=native",
            "-C target-cpu=native",
            "-Ctarget_cpu=native",
            "--codegen target-cpu=native",
            "--codegen=target_cpu=native",
            "-g -C target-cpu=native -v",
        ] {
            assert_eq!(reason_for(flags), Some(UncacheableReason::HostCpu), "{flags}");
        }
        assert_eq!(reason_for("-Ctarget-cpu=x86-64-v3"), None);
    }

    #[test]
    fn flags_that_read_inputs_outside_of_the_key_are_found() {
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
            assert_eq!(reason_for(flags), Some(UncacheableReason::CompilerInput), "{flags}");
        }
        for flags in ["-Lnative=/lib", "-L native=/lib", "-L framework=/lib", "--cfg L", "-Copt-level=3 -g"] {
            assert_eq!(reason_for(flags), None, "{flags}");
        }
    }
}
