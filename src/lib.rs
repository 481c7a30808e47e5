//! A build cache for cargo that fetches the whole dependency tree before the build starts.
//!
//! [`session::run`] is the product: it plans a build from cargo's own unit graph, computes the key of every unit, brings
//! the cached ones into the local store, runs cargo with a rustc wrapper that restores hits and records misses, and
//! sends what is new to the remote. Everything else here is a part of that, and imports point down this list only:
//!
//! | module | responsibility |
//! |---|---|
//! | [`session`] | the phases, in order |
//! | `explain` | why the last build compiled what it compiled (feature `explain`) |
//! | [`history`], [`ledger`], [`journal`], [`ci`] | reports, kept; sums over them; events in a file; the summary for CI |
//! | [`recipe`] | everything that the dependencies of a workspace are built from, as a file |
//! | [`wrapper`], [`report`] | one rustc call; the fold of events |
//! | [`hydrate`] | units into the build directory, as cargo would find them |
//! | [`plan`] | units and keys |
//! | [`inputs`] | what was seen of a unit, as conditions, and whether they hold |
//! | [`prefetch`], [`upload`], [`probe`] | entries into the local store; recorded entries to the remote; outputs of programs, remembered |
//! | [`store`], [`cargo`], [`rustc`] | the two tiers; everything asked of cargo; rustc's command line and outputs |
//! | [`key`], [`entry`], [`event`], [`roots`] | pure data |
//! | [`config`], [`process`], [`link`], [`observe`] | settings; running a program; this binary under another name; what a program looks at |
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
