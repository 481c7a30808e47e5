//! rustc: its identity, its command line, and what it writes.
//!
//! [`Invocation`] is a parsed command line, [`DepInfo`] a parsed `.d` file and [`RecordedDepInfo`] its recorded form.
//! [`Toolchain`] is what a key contains of the compiler, and [`linker`] finds libraries by name. [`variables`] handles
//! the variables that crates read, and [`diagnostics`] the messages for remapped files. [`written`] names the files
//! that a call writes, and [`outputs`] looks into them: for native code, and for the metadata by which dependents
//! recognise a crate. [`objects`] finds the debug sections of compiled files, and compressed texts in them.
//!
//! **Invariant.** Nothing here decides whether an artifact is reused. This module only describes command lines and
//! files.

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
