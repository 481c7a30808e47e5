//! Settings: one list, layered.
//!
//! Later layers win: defaults, the user's `config.toml` (in the platform's configuration directory), the workspace's
//! `.config/xcache.toml`, `XCACHE_*` variables, flags. [`SETTINGS`] is the list that `--help`, the book and the tests are
//! held against. This is the only module that reads the environment for settings; what a storage service needs
//! (`AWS_…`) is read by the store.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use etcetera::{AppStrategy, AppStrategyArgs, choose_app_strategy};
use figment::providers::{Data, Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A setting, as the documentation lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The key in a config file; the flag is `--` and this, the variable is `XCACHE_` and this in upper case.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The default, as text.
    pub default: &'static str,
}

impl Setting {
    /// Its variable.
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

fn variable(name: &str) -> String {
    format!("XCACHE_{}", name.to_uppercase().replace('-', "_"))
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    Setting { name: "remote", summary: "the remote store: s3://bucket/prefix or file:///directory", default: "none" },
    Setting { name: "dir", summary: "the directory of the local store", default: "the platform's cache directory" },
    Setting { name: "upload", summary: "upload newly compiled units to the remote: true or false", default: "true" },
    Setting { name: "concurrency", summary: "the maximum number of concurrent requests to the remote", default: "32" },
    Setting {
        name: "timeout",
        summary: "seconds without data after which a request to the remote fails",
        default: "5",
    },
    Setting { name: "upload-timeout", summary: "seconds to wait for pending uploads after the build", default: "300" },
    Setting {
        name: "max-size",
        summary: "the maximum size of the local store; the least recently used units are removed first",
        default: "10 GiB",
    },
    Setting { name: "compression", summary: "the zstd level of packs uploaded to the remote", default: "3" },
    Setting {
        name: "members",
        summary: "cache workspace members and other packages in directories: on or off",
        default: "on",
    },
    Setting {
        name: "incremental",
        summary: "incremental compilation of members: keep it, or strip it so that every compilation can be cached",
        default: "strip if `CI` is set, else keep",
    },
    Setting {
        name: "workspace-paths",
        summary: "the workspace's path in compiled members: keep it, or remap it to share members between checkouts",
        default: "keep",
    },
    Setting {
        name: "key-files",
        summary: "undeclared files and directories that members read, separated by commas",
        default: "none",
    },
    Setting {
        name: "key-env",
        summary: "undeclared environment variables that members read, separated by commas",
        default: "none",
    },
    Setting {
        name: "observe",
        summary: "observe what build scripts, macros and linkers read: on or off",
        default: "on",
    },
    Setting {
        name: "unknown",
        summary: "units whose inputs were not observed: compile them every time, or trust their declarations",
        default: "compile",
    },
    Setting { name: "events", summary: "a file to which every event is appended as a line of JSON", default: "none" },
    Setting {
        name: "ci-summary",
        summary: "write a summary for GitHub Actions and metrics for GitLab: on or off",
        default: "on",
    },
    Setting {
        name: "price-core-minute",
        summary: "the price of one minute of one core of the CI machine",
        default: "0",
    },
    Setting { name: "price-gb-received", summary: "the price of one gigabyte received from the remote", default: "0" },
    Setting { name: "price-gb-sent", summary: "the price of one gigabyte sent to the remote", default: "0" },
    Setting { name: "price-request", summary: "the price of one request to the remote", default: "0" },
];

/// The resolved settings.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The remote store's URL.
    pub remote: Option<String>,
    /// The local store's directory.
    pub dir: PathBuf,
    /// Whether to send what was compiled.
    pub upload: bool,
    /// Requests at a time.
    pub concurrency: usize,
    /// Seconds without a byte.
    pub timeout: u64,
    /// Seconds to wait for uploads.
    pub upload_timeout: u64,
    /// Size of the local store.
    pub max_size: ByteSize,
    /// zstd level.
    pub compression: i32,
    /// Whether to cache packages that are in a directory.
    pub members: Switch,
    /// What becomes of incremental compilation.
    pub incremental: Incremental,
    /// What becomes of the workspace's path.
    pub workspace_paths: WorkspacePaths,
    /// Files and directories, relative to the workspace, separated by commas.
    pub key_files: String,
    /// Names of variables, separated by commas.
    pub key_env: String,
    /// Whether to see what is read.
    pub observe: Switch,
    /// What becomes of what was not seen.
    pub unknown: Unobserved,
    /// The file that events are added to.
    pub events: Option<PathBuf>,
    /// Whether to tell a CI service.
    pub ci_summary: Switch,
    /// Of a minute of one core.
    pub price_core_minute: f64,
    /// Of 10⁹ bytes.
    pub price_gb_received: f64,
    /// Of 10⁹ bytes.
    pub price_gb_sent: f64,
    /// Of one request.
    pub price_request: f64,
}

/// What things cost, in the user's own currency.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Prices {
    /// Of a minute of one core.
    pub core_minute: f64,
    /// Of 10⁹ bytes.
    pub gb_received: f64,
    /// Of 10⁹ bytes.
    pub gb_sent: f64,
    /// Of one request.
    pub request: f64,
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// What becomes of the incremental compilation of members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Incremental {
    /// It is as cargo has it: what is compiled on top of an earlier compilation is not cached.
    Keep,
    /// Cargo is asked to do without.
    Strip,
}

/// What becomes of the workspace's path in what is compiled of its own packages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspacePaths {
    /// It is there as plain cargo has it, and what is compiled is good at this path.
    Keep,
    /// The compiler writes another one for all checkouts.
    Remap,
}

/// What becomes of what reads things that were not seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unobserved {
    /// It is compiled, or run, wherever it is needed.
    Compile,
    /// What it declares is believed.
    Trust,
}

impl Incremental {
    /// The default, by the value of `CI`: services start with an empty directory, so that incremental state is of no use.
    pub(crate) fn by_default(ci: Option<&OsStr>) -> Self {
        match ci {
            Some(ci) if !ci.is_empty() && ci != "false" => Self::Strip,
            _ => Self::Keep,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            remote: None,
            dir: platform_dirs().map_or_else(|| std::env::temp_dir().join("xcache"), |dirs| dirs.cache_dir()),
            upload: true,
            concurrency: 32,
            timeout: 5,
            upload_timeout: 300,
            max_size: ByteSize::gib(10),
            compression: 3,
            members: Switch::On,
            incremental: Incremental::by_default(std::env::var_os("CI").as_deref()),
            workspace_paths: WorkspacePaths::Keep,
            key_files: String::new(),
            key_env: String::new(),
            observe: Switch::On,
            unknown: Unobserved::Compile,
            events: None,
            ci_summary: Switch::On,
            price_core_minute: 0.0,
            price_gb_received: 0.0,
            price_gb_sent: 0.0,
            price_request: 0.0,
        }
    }
}

/// Settings given as flags: the last layer. `None` leaves the layers below alone.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overrides {
    /// `--remote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// `--dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// `--upload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<bool>,
    /// `--concurrency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// `--timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// `--upload-timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_timeout: Option<u64>,
    /// `--max-size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
    /// `--compression`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<i32>,
    /// `--members`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<String>,
    /// `--incremental`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incremental: Option<String>,
    /// `--workspace-paths`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_paths: Option<String>,
    /// `--key-files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_files: Option<String>,
    /// `--key-env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// `--observe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<String>,
    /// `--unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// `--events`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<PathBuf>,
    /// `--ci-summary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci_summary: Option<String>,
    /// `--price-core-minute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_core_minute: Option<f64>,
    /// `--price-gb-received`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_gb_received: Option<f64>,
    /// `--price-gb-sent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_gb_sent: Option<f64>,
    /// `--price-request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_request: Option<f64>,
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
        let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        let variables = Env::prefixed("XCACHE_")
            .map(|name| name.as_str().to_ascii_lowercase().replace('_', "-").into())
            .only(&names);
        figment
            .merge(variables)
            .merge(Serialized::defaults(overrides))
            .extract::<Self>()
            .map_err(config_error)?
            .validated()
    }

    /// What a build goes by: without the settings that say only what is told about it.
    #[must_use]
    pub fn of_the_build(&self) -> Self {
        let Self { events, ci_summary, price_core_minute, price_gb_received, price_gb_sent, price_request, .. } =
            Self::default();
        Self { events, ci_summary, price_core_minute, price_gb_received, price_gb_sent, price_request, ..self.clone() }
    }

    /// What things cost.
    pub fn prices(&self) -> Prices {
        Prices {
            core_minute: self.price_core_minute,
            gb_received: self.price_gb_received,
            gb_sent: self.price_gb_sent,
            request: self.price_request,
        }
    }

    /// The parts of a list that is separated by commas.
    pub fn list(text: &str) -> impl Iterator<Item = &str> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty())
    }

    /// The seconds of [`Settings::timeout`].
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn validated(mut self) -> Result<Self> {
        let invalid = |name: &str, reason: &str| Err(Error::Config { name: name.into(), reason: reason.into() });
        self.remote = self.remote.filter(|remote| !remote.is_empty());
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

/// A config file. Prices may stand in a table of their own there: `core-minute` in `[report.prices]` is
/// `price-core-minute`.
struct ConfigFile(Data<Toml>);

impl Provider for ConfigFile {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> std::result::Result<Map<Profile, Dict>, figment::Error> {
        let mut profiles = self.0.data()?;
        profiles.values_mut().for_each(lift_prices);
        Ok(profiles)
    }
}

/// Whatever else is in the table `report` stays there, and is no setting.
fn lift_prices(settings: &mut Dict) {
    let Some(Value::Dict(_, report)) = settings.get_mut("report") else { return };
    let Some(Value::Dict(_, prices)) = report.remove("prices") else { return };
    if report.is_empty() {
        settings.remove("report");
    }
    settings.extend(prices.into_iter().map(|(name, price)| (format!("price-{name}"), price)));
}

/// The user's config file, where the platform has a place for one.
pub fn user_config_file() -> Option<PathBuf> {
    Some(platform_dirs()?.config_dir().join("config.toml"))
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
