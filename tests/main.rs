//! All integration tests, in one program: it is linked once, and shared resources are created once.
//!
//! They run the real `cargo xcache` on their own workspaces, with real servers and tools. `support` has the shared
//! code. Names of tests begin with their module: `cargo test --test integration -- members::` runs those of one module.

mod accounts;
mod advice;
mod book;
mod checkouts;
mod ci;
mod clippy;
mod diagnostics;
mod exec;
mod explain;
mod faults;
mod hostile_paths;
mod hostile_scripts;
mod html;
mod hydrate;
mod images;
mod incremental;
mod install;
mod killed;
mod linked;
mod matrix;
mod members;
mod native;
mod needless;
mod no_reuse;
mod not_hydrated;
mod observed;
mod observed_native;
mod observed_reuse;
mod observed_where;
mod oracle;
mod prebuilt;
mod proof;
mod recipe;
mod remembered;
mod remote;
mod replayed;
mod report;
mod reuse;
mod services;
mod toolchains;
mod warm;
