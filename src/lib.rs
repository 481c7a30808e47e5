//! A build cache for cargo that fetches the whole dependency tree before the build starts.
//!
//! [`session::run`] is the product: it plans a build from cargo's own unit graph, computes the key of every unit,
//! fetches cached units into the local store, places them, runs cargo with a rustc wrapper that restores hits and
//! records misses, and sends new entries to the remote. Everything else is a part of that. Modules import only modules
//! further down this list:
//!
//! | module | responsibility |
//! |---|---|
//! | [`session`] | the phases, in order |
//! | `explain` | why the last build compiled what it compiled (feature `explain`) |
//! | [`history`], [`ledger`], [`journal`], [`ci`] | kept reports; sums over sessions; events in a file; the summary for CI |
//! | [`recipe`] | a file that describes the dependencies of a workspace |
//! | [`wrapper`], [`report`] | one rustc call; the fold of events |
//! | [`hydrate`] | placing units in the build directory, so that cargo finds them fresh |
//! | [`plan`] | units and keys |
//! | [`inputs`] | observed inputs of a unit as conditions, and whether they hold |
//! | [`prefetch`], [`upload`], [`probe`] | fetching entries into the local store; sending recorded entries to the remote; remembered outputs of programs |
//! | [`store`], [`cargo`], [`rustc`] | the two tiers; all calls of cargo; rustc's command line and outputs |
//! | [`key`], [`entry`], [`event`], [`roots`] | pure data |
//! | [`config`], [`process`], [`link`], [`observe`] | settings; running a program; this binary under another name; observing a program |
//! | [`fs`], [`digest`], [`error`] | atomic writes; hashes; errors with hints |

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod cargo;
pub mod ci;
pub mod config;
pub mod digest;
pub mod entry;
pub mod error;
pub mod event;
#[cfg(feature = "explain")]
pub mod explain;
pub mod fs;
pub mod history;
pub mod hydrate;
pub mod inputs;
pub mod journal;
pub mod key;
#[cfg(test)]
mod layers;
pub mod ledger;
pub mod link;
pub mod observe;
pub mod plan;
pub mod prefetch;
pub mod probe;
pub mod process;
pub mod recipe;
#[cfg(test)]
mod reference;
pub mod report;
pub mod roots;
pub mod rustc;
pub mod session;
pub mod store;
pub mod upload;
pub mod wrapper;

pub use error::{Error, Result};
