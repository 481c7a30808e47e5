//! Whether cargo is asked to compile members without `-C incremental`.
//!
//! The setting decides, unless the user has told cargo himself, in the environment or with `--config`: that is meant for
//! this very command. What manifests and configuration files say is meant for all and gives way to the setting. Cargo's
//! own order would not do: `CARGO_INCREMENTAL` overrides everything in it, but the variables of configuration and of
//! profiles are overridden by what the session adds.

use super::Options;
use crate::config::Incremental;

pub(super) fn is_stripped(options: &Options) -> bool {
    let mut variables = options.environment.0.keys().filter_map(|name| name.to_str());
    options.settings.incremental == Incremental::Strip
        && !variables.any(decides)
        && !options.invocation.configures_incremental()
}

/// Whether a variable is cargo's and about incremental compilation, in all or in one profile. To cargo, an empty one
/// says no.
fn decides(variable: &str) -> bool {
    let in_profile = |rest: &str| rest.ends_with("_INCREMENTAL");
    ["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"].contains(&variable)
        || variable.strip_prefix("CARGO_PROFILE_").is_some_and(in_profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_cargos_decide() {
        for name in ["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL", "CARGO_PROFILE_DEV_INCREMENTAL"] {
            assert!(decides(name), "{name}");
        }
        for name in ["XCACHE_INCREMENTAL", "INCREMENTAL", "CARGO_PROFILE_DEV_DEBUG", "CARGO_BUILD_JOBS"] {
            assert!(!decides(name), "{name}");
        }
    }
}
