//! S3 and compatible services: endpoint, region and credentials.
//!
//! opendal finds credentials as every AWS tool does: `AWS_ACCESS_KEY_ID` …, `AWS_PROFILE` and `~/.aws`, a web identity,
//! the role of a container or an instance. [`Location`] adds the endpoint and the region, so that `s3://bucket/prefix`
//! alone is enough. Only this module reads `AWS_…` variables, and it receives the environment from its caller.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use ini::Ini;
use opendal::services::S3Config;
use opendal::{Buffer, Configurator, HttpTransporter, OperationContext, Operator};
use serde::Serialize;

use super::http::Transport;
use super::{Lookup, Options, Traffic, answers};
use crate::error::{Error, Result};

const AWS_ENDPOINT: &str = "https://s3.amazonaws.com";
const DEFAULT_REGION: &str = "us-east-1";
const DETECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A bucket, and how to reach it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Location {
    bucket: String,
    prefix: String,
    /// `None` for AWS itself.
    endpoint: Option<String>,
    /// `None` if AWS has to be asked.
    region: Option<String>,
    profile: Option<String>,
    /// Options of the remote's table. The fields above come first.
    config: S3Config,
}

impl Location {
    /// The options of the table come first. Then the endpoint is from `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the
    /// profile; the region from `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, or for an endpoint the one that such
    /// servers accept.
    pub(super) fn new(bucket: Option<&str>, prefix: &str, options: &Options, lookup: Lookup<'_>) -> Result<Self> {
        let invalid = |reason: String| Error::Config { name: "remote".into(), reason };
        let config = S3Config::from_iter(options.clone()).map_err(|error| invalid(answers::option_error(&error)))?;
        let bucket = bucket.unwrap_or(&config.bucket).to_owned();
        if bucket.is_empty() {
            return Err(invalid("the URL names no bucket: s3://bucket/prefix".into()));
        }
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let profile_name = config.profile.clone().or_else(|| set("AWS_PROFILE"));
        let profile = Profile::load(profile_name.as_deref(), &set);
        let endpoint = config.endpoint.clone().or_else(|| set("AWS_ENDPOINT_URL_S3"));
        let endpoint = endpoint.or_else(|| set("AWS_ENDPOINT_URL")).or(profile.endpoint);
        let endpoint = endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        let region = config.region.clone().or_else(|| set("AWS_REGION"));
        let region = region.or_else(|| set("AWS_DEFAULT_REGION")).or(profile.region);
        let region = region.or_else(|| endpoint.as_ref().map(|_| DEFAULT_REGION.to_owned()));
        let prefix =
            if prefix.trim_matches('/').is_empty() { config.root.as_deref().unwrap_or_default() } else { prefix };
        Ok(Self { bucket, prefix: prefix.to_owned(), endpoint, region, profile: profile_name, config })
    }

    /// The endpoint, the bucket, and the place in it.
    pub(super) fn place(&self) -> impl Serialize {
        ("s3", &self.endpoint, &self.bucket, self.prefix.trim_matches('/'))
    }

    /// An operator that sends every request through [`Transport`].
    pub(super) async fn operator(&self, stall: Duration, traffic: Arc<Traffic>) -> opendal::Result<Operator> {
        let endpoint = self.endpoint.as_deref().unwrap_or(AWS_ENDPOINT);
        let transport = Transport::new(endpoint, "s3", stall, traffic)?;
        let region = match &self.region {
            Some(region) => region.clone(),
            None => self.query_region(&transport).await.unwrap_or_else(|| DEFAULT_REGION.into()),
        };
        let mut config = self.config.clone();
        config.bucket.clone_from(&self.bucket);
        config.root = Some(self.prefix.clone());
        config.region = Some(region);
        config.endpoint = Some(endpoint.to_owned());
        config.profile.clone_from(&self.profile);
        // A certificate does not match a bucket name with a dot.
        if self.endpoint.is_none() && !self.bucket.contains('.') {
            config.enable_virtual_host_style = true;
        }
        let context = OperationContext::new().with_http_transport(HttpTransporter::new(transport));
        Ok(Operator::from_config(config)?.with_context(context))
    }

    /// The region of a bucket, which AWS tells anybody, even in a refusal.
    async fn query_region(&self, transport: &Transport) -> Option<String> {
        let request = Request::head(format!("{AWS_ENDPOINT}/{}", self.bucket)).body(Buffer::new()).ok()?;
        let response = tokio::time::timeout(DETECTION_TIMEOUT, transport.fetch_counted(request)).await.ok()?.ok()?;
        Some(response.headers().get("x-amz-bucket-region")?.to_str().ok()?.to_owned())
    }
}

/// The settings of a profile in `~/.aws/config`.
#[derive(Default)]
struct Profile {
    region: Option<String>,
    endpoint: Option<String>,
}

impl Profile {
    fn load(name: Option<&str>, set: &dyn Fn(&str) -> Option<String>) -> Self {
        let home = || set("HOME").or_else(|| set("USERPROFILE")).map(|home| PathBuf::from(home).join(".aws/config"));
        let Some(path) = set("AWS_CONFIG_FILE").map(PathBuf::from).or_else(home) else { return Self::default() };
        let Ok(file) = Ini::load_from_file_noescape(path) else { return Self::default() };
        let section = match name {
            None | Some("default") => file.section(Some("default")).or_else(|| file.section(Some("profile default"))),
            Some(name) => file.section(Some(format!("profile {name}"))),
        };
        let get = |key| section.and_then(|section| section.get(key)).map(|value| value.trim().to_owned());
        Self { region: get("region"), endpoint: get("endpoint_url") }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn location(variables: &[(&str, &str)]) -> Location {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Location::new(Some("bucket"), "prefix", &Options::new(), &find).unwrap()
    }

    #[test]
    fn options_win_over_variables() {
        let options = [("endpoint", "http://minio/"), ("region", "eu-west-3"), ("bucket", "other"), ("root", "below")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let find = |name: &str| (name != "AWS_PROFILE" && name != "HOME").then(|| format!("http://{name}"));
        let location = Location::new(None, "/", &options, &find).unwrap();
        assert_eq!(location.endpoint.as_deref(), Some("http://minio"));
        assert_eq!(location.region.as_deref(), Some("eu-west-3"));
        assert_eq!((location.bucket.as_str(), location.prefix.as_str()), ("other", "below"));
    }

    #[test]
    fn aws_is_asked_for_the_region_if_nothing_names_it() {
        assert_eq!((location(&[]).endpoint, location(&[]).region), (None, None));
    }

    #[test]
    fn the_endpoint_and_region_variables_for_s3_win() {
        let location = location(&[
            ("AWS_ENDPOINT_URL", "http://other"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000/"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_REGION", ""),
        ]);
        assert_eq!(location.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(location.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn a_custom_endpoint_needs_no_region() {
        assert_eq!(location(&[("AWS_ENDPOINT_URL", "http://minio")]).region.as_deref(), Some("us-east-1"));
    }

    #[test]
    fn a_profile_may_set_region_and_endpoint() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        let text = "[default]\nregion = eu-north-1\n\n[profile ci]\nregion=ap-south-1\nendpoint_url = http://ci\n";
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let default = location(&[("AWS_CONFIG_FILE", file)]);
        assert_eq!((default.region.as_deref(), default.endpoint), (Some("eu-north-1"), None));
        let ci = location(&[("AWS_CONFIG_FILE", file), ("AWS_PROFILE", "ci")]);
        assert_eq!((ci.region.as_deref(), ci.endpoint.as_deref()), (Some("ap-south-1"), Some("http://ci")));
        let absent = location(&[("AWS_CONFIG_FILE", file), ("AWS_PROFILE", "absent")]);
        assert_eq!((absent.region, absent.endpoint), (None, None));
    }

    #[test]
    fn the_profile_is_found_in_the_home_directory() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        fs::write(home.path().join(".aws/config"), "[default]\nregion = eu-north-1\n").unwrap();
        assert_eq!(location(&[("HOME", home.path().to_str().unwrap())]).region.as_deref(), Some("eu-north-1"));
    }
}
