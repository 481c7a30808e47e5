//! One rustc call: the wrapper process that cargo starts, and the session's side of it.
//!
//! The wrapper ([`client`]) is this same binary under another name. It does as little as possible: it sends the session
//! what cargo asked for, and either prints the answer, or runs rustc as instructed and reports the result. The session
//! makes every decision. [`server`] listens and answers cargo's questions about the compiler, [`conversation`] is the
//! session's side of one connection, [`call`] is what cargo asked for, [`context`] is what decisions are based on, and
//! [`units`] decides. [`restore`] checks an entry and copies its files; [`record`] makes an entry of rustc's outputs.
//! [`scripts`] records and replays the runs of build scripts, with the [stand-ins](stand_in) for their programs.
//! [`skip_members`] skips members, and [`linker_time`] measures the time of the linker.
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
