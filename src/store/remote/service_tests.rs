use std::collections::BTreeMap;

use super::*;
use crate::config::{RemoteUrl, Remotes};

fn source(url: &str, options: &[(&str, &str)]) -> RemoteSource {
    let secret = |value: &str| serde_json::from_value(Value::from(value)).unwrap();
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), secret(value))).collect();
    RemoteSource { url: url.into(), options, shown: RemoteUrl::from(url).to_string() }
}

fn parse_with(url: &str, options: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<(Service, Vec<String>)> {
    let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Service::parse(&source(url, options), &find)
}

/// The options for opendal that have a value.
#[track_caller]
fn options_of(url: &str, options: &[(&str, &str)], variables: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let (service, unknown) = parse_with(url, options, variables).unwrap();
    assert_eq!(unknown, [""; 0]);
    let Target::Other(located) = service.target else { panic!("{url} needs more than options") };
    let has_value = |value: &Value| !value.is_null() && *value != Value::Bool(false) && *value != 0;
    let mut options = located.config.as_object().unwrap().clone();
    // On by default.
    options.remove("enable_conditional_read");
    options.into_iter().filter(|(_, value)| has_value(value)).collect()
}

fn expected<const N: usize>(options: [(&str, &str); N]) -> BTreeMap<String, Value> {
    options.map(|(name, value)| (name.to_owned(), Value::from(value))).into()
}

#[cfg(feature = "webdav")]
#[test]
fn the_scheme_of_webdav_determines_whether_it_uses_tls() {
    let plain = options_of("webdav://host:8080/a/b%20c", &[], &[]);
    assert_eq!(plain, expected([("endpoint", "http://host:8080"), ("root", "/a/b c")]));
    let secure = options_of("webdavs://us%40er:hun%2Bt&r+2@host/a", &[], &[]);
    let user = [("username", "us@er"), ("password", "hun+t&r+2")];
    assert_eq!(secure, expected([("endpoint", "https://host"), ("root", "/a"), user[0], user[1]]));
    let table = options_of("webdav", &[("endpoint", "https://host/dav"), ("root", "a")], &[]);
    assert_eq!(table, expected([("endpoint", "https://host/dav"), ("root", "a")]));
}

#[cfg(feature = "http")]
#[test]
fn files_over_http_keep_their_scheme() {
    let options = options_of("https://host:8443/cache?token=t", &[], &[]);
    assert_eq!(options, expected([("endpoint", "https://host:8443"), ("root", "cache"), ("token", "t")]));
}

#[cfg(feature = "redis")]
#[test]
fn the_path_of_redis_is_the_database_and_the_prefix() {
    let mut options = options_of("rediss://:hunter2@host:7000/3/team", &[("password", "other")], &[]);
    assert_eq!(options.remove("db"), Some(3.into()));
    let place = [("endpoint", "rediss://host:7000"), ("root", "team")];
    assert_eq!(options, expected([place[0], place[1], ("password", "other")]), "the table wins");
    assert_eq!(options_of("redis://host", &[], &[]), expected([("endpoint", "redis://host")]));
}

#[cfg(feature = "azblob")]
#[test]
fn azure_s_endpoint_and_account_are_read_from_its_variables() {
    let account = [("AZURE_STORAGE_ACCOUNT_NAME", "ours"), ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")];
    let options = options_of("azblob://box/prefix", &[], &account);
    let place = [("container", "box"), ("root", "prefix"), ("endpoint", "https://ours.blob.core.windows.net")];
    let who = [("account_name", "ours"), ("account_key", "a2V5")];
    assert_eq!(options, expected([place[0], place[1], place[2], who[0], who[1]]));
    let emulated = options_of("azblob://box", &[], &[("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/x")]);
    assert_eq!(emulated, expected([("container", "box"), ("endpoint", "http://127.0.0.1:1/x")]));
}

#[cfg(feature = "gcs")]
#[test]
fn an_emulator_of_google_cloud_storage_needs_no_credentials() {
    let mut options = options_of("gs://bucket/prefix", &[], &[("STORAGE_EMULATOR_HOST", "127.0.0.1:1")]);
    assert_eq!(options.remove("skip_signature"), Some(true.into()));
    let place = [("bucket", "bucket"), ("root", "prefix"), ("endpoint", "http://127.0.0.1:1")];
    assert_eq!(options, expected(place));
}

#[cfg(feature = "all-services")]
#[test]
fn every_kind_accepts_its_example() {
    for kind in KINDS {
        let url = kind.example.replace('…', "x");
        let variables = [("AZURE_STORAGE_ACCOUNT", "ours"), ("HOME", "/nowhere")];
        let (service, unknown) = parse_with(&url, &[], &variables).unwrap();
        assert_eq!((service.kind.name, unknown.len()), (kind.name, 0), "{url}");
        assert!((kind.options)().len() > 2 || kind.name == "fs", "{}: {:?}", kind.name, (kind.options)());
    }
}

#[cfg(feature = "s3")]
#[test]
fn a_message_about_an_unknown_option_names_the_nearest() {
    let (_, unknown) = parse_with("s3://bucket", &[("storage_clas", "IA"), ("xyzzy", "hunter2")], &[]).unwrap();
    assert_eq!(unknown.len(), 2);
    assert!(unknown[0].contains("storage_clas") && unknown[0].contains("default_storage_class"), "{unknown:?}");
    assert!(!unknown[1].contains("hunter2"), "{unknown:?}");
    let (_, unknown) = parse_with("s3://bucket", &[("AWS_Region", "eu-west-1")], &[]).unwrap();
    assert_eq!(unknown, [""; 0], "opendal has several names for it");
}

#[cfg(feature = "memcached")]
#[test]
fn a_long_prefix_in_memcached_is_an_error() {
    let long = format!("memcached://host:11211/{}", "x".repeat(121));
    assert!(parse_with(&long, &[], &[]).unwrap_err().to_string().contains("longer than 120"));
}

#[test]
fn no_secret_is_shown() {
    for kind in KINDS {
        let url = kind.example.replacen("://", "://user:hunter2@", 1) + "?password=hunter2&xyzzy=hunter2";
        match parse_with(&url, &[("token", "hunter2")], &[]) {
            Ok((service, unknown)) => assert!(!format!("{service:?} {unknown:?}").contains("hunter2"), "{}", kind.name),
            Err(error) => assert!(!error.to_string().contains("hunter2"), "{error}"),
        }
    }
}

#[test]
fn a_store_is_known_by_where_it_is_and_not_by_who_asks() {
    let place = |url: &str, variables: &[(&str, &str)]| parse_with(url, &[], variables).unwrap().0.identity();
    #[cfg(feature = "s3")]
    {
        let at = |endpoint: &'static str| [("AWS_ENDPOINT_URL_S3", endpoint), ("AWS_CONFIG_FILE", "/nowhere")];
        let one = place("s3://bucket/place", &at("http://one"));
        assert_eq!(place("s3://bucket/place/", &at("http://one/")), one);
        let asked_by = [at("http://one")[0], ("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "key")];
        assert_eq!(place("s3://bucket/place", &asked_by), one);
        for (url, endpoint) in [
            ("s3://bucket/place", "http://two"),
            ("s3://bucket/place", ""),
            ("s3://bucket/elsewhere", "http://one"),
            ("s3://another/place", "http://one"),
        ] {
            assert_ne!(place(url, &at(endpoint)), one, "{url} at {endpoint:?}");
        }
    }
    #[cfg(feature = "fs")]
    {
        assert_eq!(place("file:///one", &[]), place("file:///one", &[]));
        assert_ne!(place("file:///one", &[]), place("file:///two", &[]));
    }
    #[cfg(feature = "redis")]
    {
        let one = place("redis://:secret@host:6379/0/place", &[]);
        assert_eq!(place("redis://user:other@host:6379/0/place/", &[]), one);
        assert_ne!(place("redis://host:6379/1/place", &[]), one);
        assert_ne!(place("redis://host:6380/0/place", &[]), one);
    }
}

#[test]
fn a_remote_is_shown_without_its_query() {
    let remotes = Remotes::default();
    assert_eq!(remotes.find("s3://bucket?x=hunter2").unwrap().shown, "s3://bucket");
}
