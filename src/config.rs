//! Settings: declared once, in [`crate::settings`], and layered.
//!
//! Later layers win: defaults, the user's `config.toml` (in the platform's configuration directory), the workspace's
//! `.config/xcache.toml`, `XCACHE_*` variables, flags. No other module reads the environment for settings, except that
//! the store reads the variables of storage services (`AWS_…`).

pub mod remote;
mod schema;
mod table;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use etcetera::{AppStrategy, AppStrategyArgs, choose_app_strategy};
use figment::providers::{Data, Format, Serialized};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::remote::{RemoteSource, RemoteUrl, Remotes};
use crate::error::{Error, Result};

/// A setting, as the documentation lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The key in a config file. With `--` in front, it is the flag; in upper case, with `XCACHE_` in front, the
    /// variable.
    pub name: &'static str,
    /// What the setting does, in one line.
    pub summary: &'static str,
    /// The default, as text.
    pub default: &'static str,
}

impl Setting {
    /// The name of the variable.
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

/// A summary with a capital letter, as in help texts.
pub fn sentence(summary: &str) -> String {
    let mut characters = summary.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

fn variable(name: &str) -> String {
    format!("XCACHE_{}", name.to_uppercase().replace('-', "_"))
}

/// Defines the list of settings, and the types that have a field for each.
macro_rules! define_settings {
    ($(
        $(#[$attribute:meta])*
        $field:ident {
            // The key in a config file.
            name: $name:literal,
            // The type in `Settings`.
            type: $type:ty,
            // The type that the flag's value is parsed as, and the name of the value in help texts.
            flag: $flag:ident as $value_name:literal,
            // The default, and how the documentation shows it if that differs.
            default: $default:expr $(=> $shown:literal)?,
            // What the setting does, in one line.
            summary: $summary:literal,
        }
    )*) => {
        /// Every setting.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            name: $name,
            summary: $summary,
            default: define_settings!(@shown $default $(, $shown)?),
        }),*];

        /// The resolved settings.
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Settings {
            $(
                #[doc = $summary]
                $(#[$attribute])*
                #[serde(rename = $name)]
                pub $field: $type,
            )*
            /// The tables `[remote.<name>]` of config files. They are no setting of their own: the setting `remote`
            /// names one of them.
            #[schemars(skip)]
            #[serde(default, skip_serializing_if = "Remotes::is_empty")]
            pub remotes: Remotes,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)* remotes: Remotes::default() }
            }
        }

        /// The settings that flags set: the last layer. `None` keeps the value of the other layers.
        #[derive(Clone, PartialEq, Debug, Default, Serialize)]
        pub struct Overrides {
            $(
                #[doc = $summary]
                #[serde(rename = $name, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$flag>,
            )*
        }
    };
    (@shown $default:expr) => { stringify!($default) };
    (@shown $default:expr, $shown:literal) => { $shown };
}

crate::settings!(define_settings);

/// Prices in the user's own currency.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Prices {
    /// The price of a minute of one core.
    pub core_minute: f64,
    /// The price of 10⁹ bytes received.
    pub gb_received: f64,
    /// The price of 10⁹ bytes sent.
    pub gb_sent: f64,
    /// The price of one request.
    pub request: f64,
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// How members are compiled incrementally.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Incremental {
    /// As cargo does it. A compilation that continues from an earlier one is not cached.
    Keep,
    /// Not at all.
    Strip,
}

/// Which path of the workspace compiled members contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspacePaths {
    /// The real one, as with plain cargo. Members are hits only at this path.
    Keep,
    /// One that is the same in all checkouts.
    Remap,
}

/// How units are treated whose inputs were not observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unobserved {
    /// They are compiled, or run, every time.
    Compile,
    /// Their declarations are trusted.
    Trust,
}

impl Incremental {
    /// The default, given the value of `CI`. CI services start with an empty directory, so incremental state is
    /// useless.
    pub(crate) fn by_default(ci: Option<&OsStr>) -> Self {
        match ci {
            Some(ci) if !ci.is_empty() && ci != "false" => Self::Strip,
            _ => Self::Keep,
        }
    }
}

impl Overrides {
    /// The same settings as variables.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let settings = serde_json::to_value(self).unwrap_or_default();
        let settings = settings.as_object().into_iter().flatten();
        let named = |(name, value): (&String, &serde_json::Value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), Into::into);
            (variable(name), text)
        };
        settings.map(named).collect()
    }
}

impl Settings {
    /// Resolves all layers. `workspace` is the directory whose `.config/xcache.toml` counts.
    pub fn load(workspace: Option<&Path>, overrides: &Overrides) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = user_config_file() {
            figment = figment.merge(ConfigFile(Toml::file(file)));
        }
        if let Some(workspace) = workspace {
            figment = figment.merge(ConfigFile(Toml::file(workspace.join(".config/xcache.toml"))));
        }
        figment
            .merge(Variables)
            .merge(Serialized::defaults(overrides))
            .extract::<Self>()
            .map_err(config_error)?
            .validated()
    }

    /// The settings that affect a build: those that only affect what is reported have their defaults.
    #[must_use]
    pub fn of_the_build(&self) -> Self {
        let Self { events, ci_summary, price_core_minute, price_gb_received, price_gb_sent, price_request, .. } =
            Self::default();
        Self { events, ci_summary, price_core_minute, price_gb_received, price_gb_sent, price_request, ..self.clone() }
    }

    /// The prices.
    pub fn prices(&self) -> Prices {
        Prices {
            core_minute: self.price_core_minute,
            gb_received: self.price_gb_received,
            gb_sent: self.price_gb_sent,
            request: self.price_request,
        }
    }

    /// The items of a list that is separated by commas.
    pub fn list(text: &str) -> impl Iterator<Item = &str> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty())
    }

    /// [`Settings::timeout`] as a duration.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn validated(mut self) -> Result<Self> {
        let invalid = |name: &str, reason: &str| Err(Error::Config { name: name.into(), reason: reason.into() });
        self.remote = self.remote.or_else(|| self.remotes.only().map(Into::into)).filter(|remote| !remote.is_empty());
        if self.concurrency == 0 {
            return invalid("concurrency", "it must be at least 1");
        }
        if self.timeout == 0 {
            return invalid("timeout", "it must be at least 1 second");
        }
        if !zstd::compression_level_range().contains(&self.compression) {
            return invalid("compression", "it is not a zstd level");
        }
        let prices = self.prices();
        for price in [prices.core_minute, prices.gb_received, prices.gb_sent, prices.request] {
            if !(price.is_finite() && price >= 0.0) {
                return invalid("price", "it must be a number that is not negative");
            }
        }
        self.events = self.events.filter(|events| !events.as_os_str().is_empty());
        for path in [Some(&mut self.dir), self.events.as_mut()].into_iter().flatten() {
            *path = std::path::absolute(&*path).map_err(Error::io("resolve", &*path))?;
        }
        Ok(self)
    }
}

/// TOML, read by the parser that the rest of xcache uses. Figment's own feature would add a second version of it.
struct Toml;

impl Format for Toml {
    type Error = toml::de::Error;

    const NAME: &'static str = "TOML";

    fn from_str<T: DeserializeOwned>(text: &str) -> std::result::Result<T, Self::Error> {
        toml::from_str(text)
    }
}

/// The variables of settings. Switches and numbers are read as in TOML; everything else is text.
struct Variables;

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment variables")
    }

    fn data(&self) -> std::result::Result<Map<Profile, Dict>, figment::Error> {
        let set = |setting: &Setting| {
            let text = std::env::var_os(setting.variable())?;
            Some((setting.name.to_owned(), plain_value(&text.to_string_lossy())))
        };
        Ok(Map::from([(Profile::Default, SETTINGS.iter().filter_map(set).collect())]))
    }
}

fn plain_value(text: &str) -> Value {
    let text = text.trim();
    if let Ok(switch) = text.parse::<bool>() {
        switch.into()
    } else if let Ok(number) = text.parse::<i64>() {
        number.into()
    } else if let Ok(number) = text.parse::<f64>() {
        number.into()
    } else {
        text.into()
    }
}

/// A config file. It may have prices in a table: `core-minute` in `[report.prices]` is `price-core-minute`. It may have a
/// table for each remote ([`remote`]).
struct ConfigFile(Data<Toml>);

impl Provider for ConfigFile {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> std::result::Result<Map<Profile, Dict>, figment::Error> {
        let mut profiles = self.0.data()?;
        profiles.values_mut().for_each(lift_prices);
        profiles.values_mut().for_each(remote::lift_tables);
        Ok(profiles)
    }
}

/// Turns the prices in `[report.prices]` into settings. Everything else in `report` stays, and is then an unknown
/// setting.
fn lift_prices(settings: &mut Dict) {
    let Some(Value::Dict(_, report)) = settings.get_mut("report") else { return };
    let Some(Value::Dict(_, prices)) = report.remove("prices") else { return };
    if report.is_empty() {
        settings.remove("report");
    }
    settings.extend(prices.into_iter().map(|(name, price)| (format!("price-{name}"), price)));
}

/// The user's config file, if the platform has a place for one.
pub fn user_config_file() -> Option<PathBuf> {
    Some(platform_dirs()?.config_dir().join("config.toml"))
}

fn default_dir() -> PathBuf {
    platform_dirs().map_or_else(|| std::env::temp_dir().join("xcache"), |dirs| dirs.cache_dir())
}

fn platform_dirs() -> Option<impl AppStrategy> {
    choose_app_strategy(AppStrategyArgs {
        top_level_domain: "dev".into(),
        author: "xcache".into(),
        app_name: "xcache".into(),
    })
    .ok()
}

fn config_error(error: figment::Error) -> Error {
    let source = error.metadata.as_ref().and_then(|metadata| metadata.source.as_ref().map(ToString::to_string));
    let name = match (error.path.join("."), source) {
        (path, Some(source)) if !path.is_empty() => format!("{path} in {source}"),
        (path, None) if !path.is_empty() => path,
        (_, source) => source.unwrap_or_else(|| "file".into()),
    };
    Error::Config { name, reason: error.kind.to_string() }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
