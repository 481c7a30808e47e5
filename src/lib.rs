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
pub mod process;
pub mod report;
pub mod roots;
pub mod rustc;

pub use error::{Error, Result};
