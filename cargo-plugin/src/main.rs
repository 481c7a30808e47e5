//! `cargo xcache`.
fn main() {}
