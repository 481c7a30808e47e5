//! rustc: its identity, its command line, and what it writes.
//!
//! [`Invocation`] is a parsed command line, [`DepInfo`] a parsed `.d` file, [`Toolchain`] what a key knows of the
//! compiler, [`linker`] what is found by name. [`outputs`] looks into compiled files: for paths that tie them to a machine, for native code, and for the
//! metadata by which dependents recognise a crate.
//!
//! **Invariant.** Nothing here decides whether an artifact is reused; it only says what a command line or a file is.

mod dep_info;
mod invocation;
pub mod linker;
pub mod outputs;
pub mod toolchain;

pub use dep_info::DepInfo;
pub use invocation::{Emit, Extern, Invocation};
pub use toolchain::Toolchain;
