//! One rustc call: the wrapper that cargo starts, and the session's side of it.
//!
//! The wrapper ([`client`]) is this same binary under another name. It does as little as possible: it tells the session
//! what cargo asked for and prints what the session answers, or runs rustc as told and says how that went. Every
//! decision is made in the session: [`server`] listens and answers cargo's questions about the compiler, [`conversation`]
//! is its side of one connection, [`call`] is what cargo asked for, [`context`] what the decisions rest on, and [`units`]
//! makes them. [`restore`] checks an entry and copies its files, [`record`] makes an entry of what rustc wrote. The runs of
//! build scripts are the matter of [`scripts`], and [`stand_in`] is how they come to be asked for. [`skip_members`] leaves
//! members out, and [`linker_time`] measures what linking took.
//!
//! **Invariants.** Whatever goes wrong between the two, rustc runs: a wrapper that cannot reach the session, or loses
//! it, runs the command as cargo gave it. An entry is used only if all of its [constraints](crate::entry::Constraints)
//! hold here and now. Files appear in the target directory whole, under their final name, or not at all.

mod call;
pub mod client;
mod context;
mod conversation;
mod debug_info;
mod linker_time;
mod metadata;
mod observed;
mod protocol;
mod record;
mod restore;
mod script_observations;
mod scripts;
mod server;
pub mod skip_members;
mod stand_in;
mod units;

pub use context::{BuildContext, PlannedBuild, Stores};
pub use server::{PlanSource, Planner, UserWrapper, Wrapper, WrapperContext};
pub use skip_members::SkippedMembers;
