//! A build cache for cargo that fetches the whole dependency tree before the build starts.

pub mod cargo;
pub mod config;
pub mod digest;
pub mod entry;
pub mod error;
pub mod event;
pub mod fs;
pub mod key;
pub mod plan;
pub mod prefetch;
pub mod probe;
pub mod process;
pub mod report;
pub mod roots;
pub mod rustc;
pub mod store;
pub mod upload;

pub use error::{Error, Result};
