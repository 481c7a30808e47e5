//! From a URL and options to a service, the place of the remote in it, and the configuration for opendal.
//!
//! This is pure: it opens no connection, and the caller passes the environment. opendal defines the names of options and
//! the meaning of a URL's path. xcache adds the schemes `webdavs` and `rediss` for TLS, the options `username` and
//! `password` from a URL for services that have them, and the usual variables of some services
//! ([`from_environment`]).
//!
//! **Invariant.** `Debug` shows no value of an option.

use std::fmt;
#[cfg(feature = "fs")]
use std::path::PathBuf;

use opendal::{Configurator, Operator, OperatorUri};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

#[cfg(feature = "s3")]
use super::s3;
use super::{Lookup, Options, answers};
use crate::config::RemoteSource;
use crate::digest::{Digest, Domain};
use crate::error::{Error, Result};

/// The options that determine the place of a remote. The others are about its user.
const PLACE: [&str; 13] = [
    "endpoint",
    "cluster_endpoints",
    "bucket",
    "container",
    "filesystem",
    "share_name",
    "repository",
    "branch",
    "version",
    "db",
    "team_id",
    "team_slug",
    "root",
];

/// The similarity from which a name counts as a misspelling of another.
const MIN_SIMILARITY: f64 = 0.7;

/// A kind of storage service.
pub(super) struct Kind {
    /// opendal's name of the service.
    pub(super) name: &'static str,
    /// The URL schemes.
    schemes: &'static [&'static str],
    /// An example of a URL.
    example: &'static str,
    /// Whether its requests are HTTP, and pass [`super::http`].
    pub(super) is_http: bool,
    /// Whether it accepts no writes.
    pub(super) is_read_only: bool,
    /// The largest value, if larger objects must be split.
    pub(super) largest_value: Option<usize>,
    options: fn() -> &'static [&'static str],
    resolve: fn(&OperatorUri) -> opendal::Result<Value>,
    build: fn(&OperatorUri) -> opendal::Result<Operator>,
}

impl Kind {
    const fn new<C: Configurator>(name: &'static str, schemes: &'static [&'static str], example: &'static str) -> Self {
        Self {
            name,
            schemes,
            example,
            is_http: true,
            is_read_only: false,
            largest_value: None,
            options: option_names::<C>,
            resolve: resolve::<C>,
            build: build::<C>,
        }
    }

    fn has_option(&self, name: &str) -> bool {
        (self.options)().contains(&name)
    }

    /// The option with the most similar name.
    fn nearest_option(&self, name: &str) -> Option<&'static str> {
        let similarity = |option: &&'static str| match option.contains(name) {
            true => 1.0,
            false => strsim::jaro_winkler(option, name),
        };
        let options = (self.options)().iter().copied().map(|option| (similarity(&option), option));
        let (similarity, option) = options.max_by(|one, other| one.0.total_cmp(&other.0))?;
        (similarity >= MIN_SIMILARITY).then_some(option)
    }
}

/// The kinds of service in this build.
static KINDS: &[Kind] = &[
    #[cfg(feature = "s3")]
    Kind::new::<opendal::services::S3Config>("s3", &["s3"], "s3://bucket/prefix"),
    #[cfg(feature = "fs")]
    Kind { is_http: false, ..Kind::new::<opendal::services::FsConfig>("fs", &["file"], "file:///directory") },
    #[cfg(feature = "http")]
    Kind {
        is_read_only: true,
        ..Kind::new::<opendal::services::HttpConfig>("http", &["http", "https"], "https://host/prefix")
    },
    #[cfg(feature = "webdav")]
    Kind::new::<opendal::services::WebdavConfig>("webdav", &["webdav", "webdavs"], "webdavs://host/prefix"),
    #[cfg(feature = "gcs")]
    Kind::new::<opendal::services::GcsConfig>("gcs", &["gcs", "gs"], "gcs://bucket/prefix"),
    #[cfg(feature = "azblob")]
    Kind::new::<opendal::services::AzblobConfig>("azblob", &["azblob"], "azblob://container/prefix"),
    #[cfg(feature = "azdls")]
    Kind::new::<opendal::services::AzdlsConfig>("azdls", &["azdls"], "azdls://account.dfs.core.windows.net/filesystem"),
    #[cfg(feature = "azfile")]
    Kind::new::<opendal::services::AzfileConfig>("azfile", &["azfile"], "azfile://account.file.core.windows.net/share"),
    #[cfg(feature = "redis")]
    Kind {
        is_http: false,
        largest_value: Some(REDIS_VALUE),
        ..Kind::new::<opendal::services::RedisConfig>("redis", &["redis", "rediss"], "redis://host:6379/0/prefix")
    },
    #[cfg(feature = "memcached")]
    Kind {
        is_http: false,
        largest_value: Some(MEMCACHED_VALUE),
        ..Kind::new::<opendal::services::MemcachedConfig>("memcached", &["memcached"], "memcached://host:11211/prefix")
    },
    #[cfg(feature = "ghac")]
    Kind::new::<opendal::services::GhacConfig>("ghac", &["ghac"], "ghac:///version/prefix"),
    #[cfg(feature = "oss")]
    Kind::new::<opendal::services::OssConfig>("oss", &["oss"], "oss://bucket/prefix"),
    #[cfg(feature = "cos")]
    Kind::new::<opendal::services::CosConfig>("cos", &["cos"], "cos://bucket/prefix"),
    #[cfg(feature = "obs")]
    Kind::new::<opendal::services::ObsConfig>("obs", &["obs"], "obs://bucket/prefix"),
    #[cfg(feature = "tos")]
    Kind::new::<opendal::services::TosConfig>("tos", &["tos"], "tos://bucket/prefix"),
    #[cfg(feature = "b2")]
    Kind::new::<opendal::services::B2Config>("b2", &["b2"], "b2://bucket/prefix?bucket_id=…"),
    #[cfg(feature = "upyun")]
    Kind::new::<opendal::services::UpyunConfig>("upyun", &["upyun"], "upyun://bucket/prefix"),
    #[cfg(feature = "swift")]
    Kind::new::<opendal::services::SwiftConfig>("swift", &["swift"], "swift://host/container/prefix"),
    #[cfg(feature = "lakefs")]
    Kind::new::<opendal::services::LakefsConfig>("lakefs", &["lakefs"], "lakefs://host/repository/branch/prefix"),
    #[cfg(feature = "webhdfs")]
    Kind::new::<opendal::services::WebhdfsConfig>("webhdfs", &["webhdfs"], "webhdfs://host:9870/prefix"),
    #[cfg(feature = "vercel-artifacts")]
    Kind::new::<opendal::services::VercelArtifactsConfig>(
        "vercel-artifacts",
        &["vercel-artifacts"],
        "vercel-artifacts://",
    ),
];

/// Redis accepts values of 512 MiB. The client's limit is half a second for a command, and so for a part.
#[cfg(feature = "redis")]
const REDIS_VALUE: usize = 512 << 10;
/// Memcached's default limit is 1 MiB, which includes the key and a header. Large items occupy whole chunks of half a
/// MiB, so this size wastes no memory.
#[cfg(feature = "memcached")]
const MEMCACHED_VALUE: usize = (512 << 10) - 1024;
/// Memcached's keys have at most 250 bytes. The name of an object needs less than half of them.
const LONGEST_MEMCACHED_ROOT: usize = 120;

/// A service, and the place of the remote in it.
pub(super) struct Service {
    pub(super) kind: &'static Kind,
    pub(super) target: Target,
}

/// The place of a remote.
pub(super) enum Target {
    #[cfg(feature = "s3")]
    S3(Box<s3::Location>),
    #[cfg(feature = "fs")]
    Fs(PathBuf),
    Other(Box<Located>),
}

/// The configuration of a service for opendal.
pub(super) struct Located {
    /// The URL in opendal's form, with all options.
    uri: OperatorUri,
    /// All options that opendal has for the service.
    config: Value,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.kind.name).finish_non_exhaustive()
    }
}

impl Located {
    /// The value of an option.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.config[name].as_str().filter(|value| !value.is_empty())
    }

    /// The value of a numeric option.
    #[cfg(feature = "redis")]
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.config[name].as_i64()
    }
}

impl Service {
    /// The service of a remote, and a message for each unknown option.
    pub(super) fn parse(source: &RemoteSource, lookup: Lookup<'_>) -> Result<(Self, Vec<String>)> {
        let shown = source.url.to_string();
        let (scheme, has_place) = match source.url.split_once("://") {
            Some((scheme, _)) => (scheme.to_ascii_lowercase(), true),
            None => (source.url.to_ascii_lowercase(), false),
        };
        let Some(kind) = KINDS.iter().find(|kind| kind.schemes.contains(&scheme.as_str())) else {
            let examples: Vec<_> = KINDS.iter().map(|kind| kind.example).collect();
            let examples = examples.join(", ");
            return Err(invalid(match has_place {
                true => format!("{scheme:?} is not a service of this build, which has: {examples}"),
                false => format!("{shown:?} is not a URL; there are: {examples}"),
            }));
        };
        let url = match has_place {
            true => Some(Url::parse(&source.url).map_err(|error| invalid(format!("{shown:?} is not a URL: {error}")))?),
            false => None,
        };
        let mut options = options(source, url.as_ref(), kind);
        let unknown = unknown(&options, kind);
        let target = Target::new(kind, &scheme, url.as_ref(), &shown, &mut options, lookup)?;
        Ok((Self { kind, target }, unknown))
    }

    /// A digest of the place, whoever uses it and however the URL is spelled.
    pub(super) fn identity(&self) -> Digest {
        match &self.target {
            #[cfg(feature = "s3")]
            Target::S3(location) => Digest::of_value(Domain::Remote, &location.place()),
            #[cfg(feature = "fs")]
            Target::Fs(root) => Digest::of_value(Domain::Remote, &("file", root.as_os_str())),
            Target::Other(located) => {
                let text = |name: &str| match &located.config[name] {
                    Value::String(text) => text.trim_matches('/').to_owned(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                Digest::of_value(Domain::Remote, &(self.kind.name, PLACE.map(text)))
            }
        }
    }

    /// opendal's operator. It is not connected yet.
    pub(super) fn build(&self, located: &Located) -> opendal::Result<Operator> {
        (self.kind.build)(&located.uri)
    }
}

impl Target {
    fn new(
        kind: &'static Kind,
        scheme: &str,
        url: Option<&Url>,
        shown: &str,
        options: &mut Options,
        lookup: Lookup<'_>,
    ) -> Result<Self> {
        match kind.name {
            #[cfg(feature = "s3")]
            "s3" => {
                let bucket = url.and_then(Url::host_str).filter(|bucket| !bucket.is_empty());
                let prefix = url.map_or("", Url::path);
                s3::Location::new(bucket, prefix, options, lookup).map(|location| Self::S3(Box::new(location)))
            }
            #[cfg(feature = "fs")]
            "fs" => match url.map(Url::to_file_path) {
                Some(Ok(path)) => Ok(Self::Fs(path)),
                _ => Err(invalid(format!("{shown:?} names no directory of this machine: file:///directory"))),
            },
            _ => {
                let base = base(kind, scheme, url, options);
                for (name, value) in from_environment(kind.name, options, lookup) {
                    options.entry(name.into()).or_insert(value);
                }
                let located = OperatorUri::new(&base, options.clone())
                    .and_then(|uri| Ok(Located { config: (kind.resolve)(&uri)?, uri }))
                    .map_err(|error| {
                        invalid(format!("{shown:?}: {}; a URL is {}", answers::option_error(&error), kind.example))
                    })?;
                let root = located.option("root").unwrap_or_default();
                if kind.name == "memcached" && root.len() > LONGEST_MEMCACHED_ROOT {
                    let reason = format!("the prefix in {shown:?} is longer than {LONGEST_MEMCACHED_ROOT} bytes");
                    return Err(invalid(reason));
                }
                Ok(Self::Other(Box::new(located)))
            }
        }
    }
}

fn invalid(reason: String) -> Error {
    Error::Config { name: "remote".into(), reason }
}

/// The options of a remote. Those of the table override those in the URL.
fn options(source: &RemoteSource, url: Option<&Url>, kind: &Kind) -> Options {
    let mut options = Options::new();
    if let Some(url) = url {
        for (name, value) in [("username", url.username()), ("password", url.password().unwrap_or_default())] {
            if !value.is_empty() && kind.has_option(name) {
                options.insert(name.into(), percent_decoded(value));
            }
        }
        options.extend(url.query_pairs().map(|(name, value)| (name.to_lowercase(), value.into_owned())));
    }
    let table = source.options.iter().map(|(name, value)| (name.to_lowercase(), value.expose().to_owned()));
    options.extend(table);
    options
}

/// A part of a URL without escapes.
fn percent_decoded(text: &str) -> String {
    // The only decoder of the crate `url` is for queries. There, `+` is a space and `&` a separator.
    let query = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    let decoded = url::form_urlencoded::parse(query.as_bytes()).next();
    decoded.map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

fn unknown(options: &Options, kind: &Kind) -> Vec<String> {
    let unknown = options.keys().filter(|name| !kind.has_option(name));
    let message = |name: &String| match kind.nearest_option(name) {
        Some(nearest) => format!("{} has no option {name:?}; the nearest is {nearest:?}", kind.name),
        None => format!("{} has no option {name:?}", kind.name),
    };
    unknown.map(message).collect()
}

/// The URL for opendal. Adds the endpoint if opendal would choose a wrong one.
fn base(kind: &Kind, scheme: &str, url: Option<&Url>, options: &mut Options) -> String {
    let Some(url) = url else { return kind.name.into() };
    let host = url.host_str().unwrap_or_default();
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    match scheme {
        "webdav" | "webdavs" => {
            let http = if scheme == "webdav" { "http" } else { "https" };
            options.entry("endpoint".into()).or_insert_with(|| format!("{http}://{authority}"));
            options.entry("root".into()).or_insert_with(|| percent_decoded(url.path()));
            kind.name.into()
        }
        "rediss" => {
            options.entry("endpoint".into()).or_insert_with(|| format!("rediss://{authority}"));
            format!("redis://{authority}{}", url.path())
        }
        "http" | "https" => format!("{scheme}://{authority}{}", url.path()),
        _ => format!("{}://{authority}{}", kind.name, url.path()),
    }
}

/// Options from the usual variables of services that opendal does not read.
fn from_environment(kind: &str, options: &Options, lookup: Lookup<'_>) -> Vec<(&'static str, String)> {
    let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let mut found = Vec::new();
    let mut add = |option: &'static str, value: Option<String>| {
        found.extend(value.map(|value| (option, value)));
    };
    match kind {
        "azblob" => {
            let account = set("AZURE_STORAGE_ACCOUNT_NAME").or_else(|| set("AZURE_STORAGE_ACCOUNT"));
            let named = options.get("account_name").or(account.as_ref());
            let usual = named.map(|account| format!("https://{account}.blob.core.windows.net"));
            add("endpoint", set("AZURE_STORAGE_ENDPOINT").or(usual));
            add("account_name", account);
            add("account_key", set("AZURE_STORAGE_ACCOUNT_KEY").or_else(|| set("AZURE_STORAGE_KEY")));
            add("sas_token", set("AZURE_STORAGE_SAS_TOKEN"));
        }
        // Google's clients read this variable too, and do not sign requests to an emulator.
        "gcs" => {
            if let Some(host) = set("STORAGE_EMULATOR_HOST") {
                add("endpoint", Some(if host.contains("://") { host } else { format!("http://{host}") }));
                add("skip_signature", Some("true".into()));
            }
        }
        "swift" => {
            add("endpoint", set("OS_STORAGE_URL"));
            add("token", set("OS_AUTH_TOKEN"));
        }
        "b2" => {
            add("application_key_id", set("B2_APPLICATION_KEY_ID"));
            add("application_key", set("B2_APPLICATION_KEY"));
        }
        _ => {}
    }
    found
}

fn resolve<C: Configurator>(uri: &OperatorUri) -> opendal::Result<Value> {
    serde_json::to_value(C::from_uri(uri)?).map_err(|error| {
        opendal::Error::new(opendal::ErrorKind::ConfigInvalid, "the options cannot be read").set_source(error)
    })
}

fn build<C: Configurator>(uri: &OperatorUri) -> opendal::Result<Operator> {
    Operator::from_config(C::from_uri(uri)?)
}

/// The names of a configuration's options, including aliases.
fn option_names<C: Configurator>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    let _ = <C as Deserialize>::deserialize(Names(&mut names));
    names
}

/// A deserializer that records the names of a struct's fields, and fails.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only names are read"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
