//! Remotes in settings: a URL, or the name of a table `[remote.<name>]` with a URL and the options of the service.
//!
//! URLs and options can contain passwords. **Invariant.** `Debug` and `Display` of these types never show the value of
//! an option, nor the user, password or query of a URL. [`RemoteUrl`] serializes with them, for the layers of settings;
//! [`Secret`] does not serialize.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use figment::value::{Dict, Empty, Tag, Value};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result};

/// The key of the URL in a table. All other keys are options of the service.
const URL: &str = "url";
/// The key that names the table to use. It is beside the tables.
const USE: &str = "use";

/// The URL of a remote, or the name of its table.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteUrl(String);

impl Deref for RemoteUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for RemoteUrl {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl FromStr for RemoteUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&self.0))
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&without_secrets(&self.0), f)
    }
}

/// A URL without user, password, query and fragment.
pub fn without_secrets(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = plain.split_once("://") else { return plain.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // An unescaped slash in the password seems to end the authority.
    let (authority, path) = match path.rsplit_once('@') {
        Some((_, rest)) if authority.contains(':') && !authority.contains('@') => {
            rest.split_at(rest.find('/').unwrap_or(rest.len()))
        }
        _ => (authority, path),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The value of an option. It is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Plain")]
pub struct Secret(String);

impl Secret {
    /// The value, for the service.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A TOML value of an option. opendal reads all of them as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Plain {
    Switch(bool),
    Number(i64),
    Text(String),
}

impl From<Plain> for Secret {
    fn from(plain: Plain) -> Self {
        Self(match plain {
            Plain::Switch(switch) => switch.to_string(),
            Plain::Number(number) => number.to_string(),
            Plain::Text(text) => text,
        })
    }
}

/// The tables `[remote.<name>]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Remotes(BTreeMap<String, Vec<(String, Secret)>>);

/// Serializes only the names: settings are hashed, and a password can be guessed from its hash.
impl Serialize for Remotes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.keys().try_for_each(|name| names.serialize_element(name))?;
        names.end()
    }
}

/// A remote as the settings describe it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteSource {
    /// The URL. Its query may contain options.
    pub url: RemoteUrl,
    /// The options of the table.
    pub options: BTreeMap<String, Secret>,
    /// The remote's name in messages, without secrets.
    pub shown: String,
}

impl Remotes {
    /// Whether there are no tables.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the only table.
    pub(super) fn only(&self) -> Option<&str> {
        let mut names = self.0.keys();
        names.next().filter(|_| names.next().is_none()).map(String::as_str)
    }

    /// The remote with this URL or name.
    pub fn find(&self, remote: &str) -> Result<RemoteSource> {
        let invalid = |reason: String| Err(Error::Config { name: "remote".into(), reason });
        let Some(table) = self.0.get(remote) else {
            if remote.contains("://") || self.is_empty() {
                let shown = without_secrets(remote);
                return Ok(RemoteSource { url: remote.into(), options: BTreeMap::new(), shown });
            }
            let names: Vec<_> = self.0.keys().map(String::as_str).collect();
            let remote = without_secrets(remote);
            return invalid(format!("{remote:?} is neither a URL nor one of the tables: {}", names.join(", ")));
        };
        let mut options: BTreeMap<_, _> = table.iter().cloned().collect();
        let Some(Secret(url)) = options.remove(URL) else {
            return invalid(format!("the table [remote.{remote}] has no `url`"));
        };
        let shown = format!("{remote} ({})", without_secrets(&url));
        Ok(RemoteSource { url: url.into(), options, shown })
    }
}

/// Turns a file's table `remote` into settings: `use` becomes the setting `remote`, and its tables become `remotes`.
///
/// Each table becomes a list. Layers merge tables, but replace lists: otherwise, a workspace could send the password of
/// a user's remote to another host.
pub(super) fn lift_tables(settings: &mut Dict) {
    let Some(Value::Dict(tag, tables)) = settings.get_mut("remote") else { return };
    let (tag, mut tables) = (*tag, std::mem::take(tables));
    settings.remove("remote");
    if let Some(name) = tables.remove(USE) {
        settings.insert("remote".into(), name);
    }
    tables.values_mut().for_each(flatten);
    settings.insert("remotes".into(), Value::Dict(tag, tables));
}

fn flatten(table: &mut Value) {
    // An error about any other value would show it.
    let Value::Dict(tag, options) = table else { return *table = Value::Empty(Tag::Default, Empty::Unit) };
    let pair = |(name, value): (String, Value)| Value::Array(Tag::Default, vec![name.into(), value]);
    *table = Value::Array(*tag, std::mem::take(options).into_iter().map(pair).collect());
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, Settings};
    use super::*;

    fn load(text: &str, remote: Option<&str>) -> Result<Settings> {
        let workspace = tempfile::tempdir().unwrap();
        std::fs::create_dir(workspace.path().join(".config")).unwrap();
        std::fs::write(workspace.path().join(".config/xcache.toml"), text).unwrap();
        Settings::load(Some(workspace.path()), &Overrides { remote: remote.map(Into::into), ..Overrides::default() })
    }

    const TABLES: &str = "[remote.lan]\nurl = 'redis://cache:6379'\npassword = 'hunter2'\ndb = 3\n\
                          [remote.far]\nurl = 's3://bucket'\nskip_signature = true\n";

    #[test]
    fn urls_are_shown_without_secrets() {
        for (url, shown) in [
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("redis://user:hunter2@host:6379/0", "redis://host:6379/0"),
            ("redis://user:hun/ter2@host/0", "redis://host/0"),
            ("redis://:hun@ter2@host/0", "redis://host/0"),
            ("azblob://box/p?account_key=hunter2#hunter2", "azblob://box/p"),
            ("s3://bucket/a@b", "s3://bucket/a@b"),
            ("lan", "lan"),
        ] {
            assert_eq!(RemoteUrl::from(url).to_string(), shown, "{url}");
            assert_eq!(format!("{:?}", RemoteUrl::from(url)), format!("{shown:?}"), "{url}");
        }
    }

    #[test]
    fn a_name_finds_its_table() {
        let settings = load(TABLES, Some("lan")).unwrap();
        let source = settings.remotes.find(settings.remote.as_deref().unwrap()).unwrap();
        assert_eq!((&*source.url, &*source.shown), ("redis://cache:6379", "lan (redis://cache:6379)"));
        let options: Vec<_> = source.options.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(options, [("db", "3"), ("password", "hunter2")]);
        let far = settings.remotes.find("far").unwrap();
        assert_eq!(far.options["skip_signature"].expose(), "true");
        assert_eq!(&*settings.remotes.find("s3://other").unwrap().url, "s3://other");
        let error = settings.remotes.find("lam").unwrap_err().to_string();
        assert!(error.contains("far, lan"), "{error}");
    }

    #[test]
    fn the_only_table_is_used_and_use_chooses_among_several() {
        let remote = |text: &str, flag| load(text, flag).unwrap().remote.as_deref().map(str::to_owned);
        assert_eq!(remote("[remote.lan]\nurl = 'redis://cache'", None).as_deref(), Some("lan"));
        assert_eq!(remote("[remote.lan]\nurl = 'redis://cache'", Some("")), None, "a flag turns it off");
        assert_eq!(remote(TABLES, None), None);
        assert_eq!(remote(&format!("[remote]\nuse = 'far'\n{TABLES}"), None).as_deref(), Some("far"));
    }

    #[test]
    fn a_table_without_a_url_is_an_error_and_so_is_a_value_instead_of_a_table() {
        let settings = load("[remote.lan]\npassword = 'hunter2'", None).unwrap();
        assert!(settings.remotes.find("lan").unwrap_err().to_string().contains("no `url`"));
        let error = load("[remote]\nlan = 'hunter2'", None).unwrap_err().to_string();
        assert!(error.contains("remotes.lan") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn no_secret_is_shown_or_serialized() {
        let mut settings = load(TABLES, Some("lan")).unwrap();
        settings.remote = Some("redis://user:hunter2@host".into());
        let source = settings.remotes.find("lan").unwrap();
        let json = serde_json::to_string(&settings.remotes).unwrap();
        for text in [format!("{settings:?}"), format!("{source:?}"), json] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_table_of_the_workspace_replaces_the_whole_table_of_the_user() {
        let mut lower: Dict = toml::from_str("[remote.lan]\nurl = 'redis://ours'\npassword = 'hunter2'").unwrap();
        let mut upper: Dict = toml::from_str("[remote.lan]\nurl = 'redis://theirs'").unwrap();
        [&mut lower, &mut upper].into_iter().for_each(lift_tables);
        let figment = figment::Figment::from(figment::providers::Serialized::defaults(lower));
        let remotes: Remotes =
            figment.merge(figment::providers::Serialized::defaults(upper)).extract_inner("remotes").unwrap();
        let source = remotes.find("lan").unwrap();
        assert_eq!((&*source.url, source.options.len()), ("redis://theirs", 0));
    }
}
