//! The settings, each declared once.
//!
//! Each row defines a field of `Settings`, its default, the flag, the variable, the row in the book and the property in
//! the schema of a config file. Only the code that uses a setting is elsewhere. The pattern of `define_settings!` in
//! `config.rs` explains the parts of a row.

/// Calls a macro with every setting: `xcache::settings!(define)` is `define! { remote { … } dir { … } … }`.
///
/// The types of flags are resolved where the macro is called, so `PathBuf` and `RemoteUrl` must be in scope there.
#[macro_export]
macro_rules! settings {
    ($define:ident) => {
        $define! {
            #[schemars(with = "String")]
            remote {
                name: "remote",
                type: Option<RemoteUrl>,
                flag: RemoteUrl as "URL",
                default: None => "none",
                summary: "the remote store: a URL such as s3://bucket/prefix, or the name of a table in a config file",
            }
            dir {
                name: "dir",
                type: PathBuf,
                flag: PathBuf as "DIRECTORY",
                default: default_dir() => "the platform's cache directory",
                summary: "the directory of the local store",
            }
            upload {
                name: "upload",
                type: bool,
                flag: bool as "BOOL",
                default: true,
                summary: "upload newly compiled units to the remote: true or false",
            }
            concurrency {
                name: "concurrency",
                type: usize,
                flag: usize as "NUMBER",
                default: 32,
                summary: "the maximum number of concurrent requests to the remote",
            }
            timeout {
                name: "timeout",
                type: u64,
                flag: u64 as "SECONDS",
                default: 5,
                summary: "seconds without data after which a request to the remote fails",
            }
            upload_timeout {
                name: "upload-timeout",
                type: u64,
                flag: u64 as "SECONDS",
                default: 300,
                summary: "seconds to wait for pending uploads after the build",
            }
            #[schemars(schema_with = "schema::size")]
            max_size {
                name: "max-size",
                type: ByteSize,
                flag: String as "SIZE",
                default: ByteSize::gib(10) => "10 GiB",
                summary: "the maximum size of the local store; the least recently used units are removed first",
            }
            compression {
                name: "compression",
                type: i32,
                flag: i32 as "LEVEL",
                default: 3,
                summary: "the zstd level of packs uploaded to the remote",
            }
            members {
                name: "members",
                type: Switch,
                flag: String as "SWITCH",
                default: Switch::On => "on",
                summary: "cache workspace members and other packages in directories: on or off",
            }
            incremental {
                name: "incremental",
                type: Incremental,
                flag: String as "MODE",
                default: Incremental::by_default(std::env::var_os("CI").as_deref()) => "strip if `CI` is set, else keep",
                summary: "incremental compilation of members: keep it, or strip it so that every compilation can be cached",
            }
            workspace_paths {
                name: "workspace-paths",
                type: WorkspacePaths,
                flag: String as "MODE",
                default: WorkspacePaths::Keep => "keep",
                summary: "the workspace's path in compiled members: keep it, or remap it to share members between checkouts",
            }
            key_files {
                name: "key-files",
                type: String,
                flag: String as "PATHS",
                default: String::new() => "none",
                summary: "undeclared files and directories that members read, separated by commas",
            }
            key_env {
                name: "key-env",
                type: String,
                flag: String as "NAMES",
                default: String::new() => "none",
                summary: "undeclared environment variables that members read, separated by commas",
            }
            observe {
                name: "observe",
                type: Switch,
                flag: String as "SWITCH",
                default: Switch::On => "on",
                summary: "observe what build scripts, macros and linkers read: on or off",
            }
            unknown {
                name: "unknown",
                type: Unobserved,
                flag: String as "MODE",
                default: Unobserved::Compile => "compile",
                summary: "units whose inputs were not observed: compile them every time, or trust their declarations",
            }
            #[schemars(with = "PathBuf")]
            events {
                name: "events",
                type: Option<PathBuf>,
                flag: PathBuf as "FILE",
                default: None => "none",
                summary: "a file to which every event is appended as a line of JSON",
            }
            ci_summary {
                name: "ci-summary",
                type: Switch,
                flag: String as "SWITCH",
                default: Switch::On => "on",
                summary: "write a summary for GitHub Actions and metrics for GitLab: on or off",
            }
            price_core_minute {
                name: "price-core-minute",
                type: f64,
                flag: f64 as "PRICE",
                default: 0.0 => "0",
                summary: "the price of one minute of one core of the CI machine",
            }
            price_gb_received {
                name: "price-gb-received",
                type: f64,
                flag: f64 as "PRICE",
                default: 0.0 => "0",
                summary: "the price of one gigabyte received from the remote",
            }
            price_gb_sent {
                name: "price-gb-sent",
                type: f64,
                flag: f64 as "PRICE",
                default: 0.0 => "0",
                summary: "the price of one gigabyte sent to the remote",
            }
            price_request {
                name: "price-request",
                type: f64,
                flag: f64 as "PRICE",
                default: 0.0 => "0",
                summary: "the price of one request to the remote",
            }
        }
    };
}
