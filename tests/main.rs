//! All integration tests, in one program: it is linked once, and what they share is made once.
//!
//! They run the real `cargo xcache` on workspaces of their own, with real servers and tools; `support` has what they have in
//! common. A test is named by its module: `cargo test --test integration -- members::` runs those of one.

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
