//! Whether the session makes cargo compile members without `-C incremental`.
//!
//! The setting decides, unless the user has told cargo in the environment or with `--config`, which is meant for this
//! one command. Manifests and configuration files are meant for all commands, so the setting overrides them. Cargo's
//! own precedence does not give this order: `CARGO_INCREMENTAL` overrides everything, but what the session adds
//! overrides the variables for configuration and profiles.

use super::Options;
use crate::config::Incremental;

pub(super) fn is_stripped(options: &Options) -> bool {
    let mut variables = options.environment.0.keys().filter_map(|name| name.to_str());
    options.settings.incremental == Incremental::Strip
        && !variables.any(decides)
        && !options.invocation.configures_incremental()
}

/// Whether a variable tells cargo about incremental compilation, in all profiles or in one. An empty one counts: it
/// switches incremental compilation off.
fn decides(variable: &str) -> bool {
    let in_profile = |rest: &str| rest.ends_with("_INCREMENTAL");
    ["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"].contains(&variable)
        || variable.strip_prefix("CARGO_PROFILE_").is_some_and(in_profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_variables_about_incremental_compilation_decide() {
        for name in ["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL", "CARGO_PROFILE_DEV_INCREMENTAL"] {
            assert!(decides(name), "{name}");
        }
        for name in ["XCACHE_INCREMENTAL", "INCREMENTAL", "CARGO_PROFILE_DEV_DEBUG", "CARGO_BUILD_JOBS"] {
            assert!(!decides(name), "{name}");
        }
    }
}
