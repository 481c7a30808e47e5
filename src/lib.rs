//! A build cache for cargo that fetches the whole dependency tree before the build starts.
//!
//! [`session::run`] is the product: it plans a build from cargo's own unit graph, computes the key of every unit, brings
//! the cached ones into the local store, runs cargo with a rustc wrapper that restores hits and records misses, and
//! sends what is new to the remote. Everything else here is a part of that, and dependencies point down this list only:
//!
//! | module | responsibility |
//! |---|---|
//! | [`session`] | the phases, in order |
//! | [`plan`], [`prefetch`], [`wrapper`], [`report`] | units and keys; entries into the local store; one rustc call; the fold of events |
//! | [`store`], [`cargo`], [`rustc`] | the two tiers; everything asked of cargo; rustc's command line and outputs |
//! | [`key`], [`entry`], [`event`], [`roots`] | pure data |
//! | [`config`], [`fs`], [`digest`], [`error`] | settings; atomic writes; hashes; errors with hints |

pub mod config;
pub mod digest;
pub mod entry;
pub mod error;
pub mod event;
pub mod fs;
pub mod key;
pub mod roots;

pub use error::{Error, Result};
