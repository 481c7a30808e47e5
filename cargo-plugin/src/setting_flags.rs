//! The settings as flags, one for each row of [`xcache::settings`].

use std::path::PathBuf;

use xcache::config::{Overrides, RemoteUrl, sentence};

macro_rules! define_flags {
    ($(
        $(#[$attribute:meta])*
        $field:ident {
            name: $name:literal,
            type: $type:ty,
            flag: $flag:ident as $value_name:literal,
            default: $default:expr $(=> $shown:literal)?,
            summary: $summary:literal,
        }
    )*) => {
        /// The settings that the user passed as flags.
        #[derive(clap::Args)]
        pub(crate) struct SettingFlags {
            $(
                #[arg(long = $name, value_name = $value_name, help = sentence($summary))]
                $field: Option<$flag>,
            )*
        }

        impl From<SettingFlags> for Overrides {
            fn from(flags: SettingFlags) -> Self {
                Self { $($field: flags.$field),* }
            }
        }
    };
}

xcache::settings!(define_flags);
