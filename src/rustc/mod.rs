//! rustc: its identity, its command line, and what it writes.
//!
//! [`Invocation`] is a parsed command line, [`DepInfo`] a parsed `.d` file and [`RecordedDepInfo`] one as it is recorded,
//! [`Toolchain`] what a key knows of the compiler, [`linker`] what is found by name. [`variables`] are those that crates
//! read, [`diagnostics`] what is printed of remapped files. [`written`] names the files that a call writes, and [`outputs`]
//! looks into them: for native code, and for the metadata by which dependents recognise a crate.
//! [`objects`] knows the sections for debuggers of compiled files, and what is hidden in them.
//!
//! **Invariant.** Nothing here decides whether an artifact is reused; it only says what a command line or a file is.

mod dep_info;
pub mod diagnostics;
pub mod invocation;
pub mod linker;
pub mod objects;
pub mod outputs;
pub mod toolchain;
pub mod variables;
pub mod written;

pub use dep_info::{DepInfo, RecordedDepInfo};
pub use invocation::{Emit, Extern, Invocation};
pub use toolchain::Toolchain;
