//! The report as a page: one HTML file, for people who would rather look than read.
//!
//! [`page`] renders it. [`view`] turns a report into what is shown: of it, [`groups`] has the units by outcome, and
//! [`tracks`] the timeline, in [`lanes`]. The template with its style and script is beside them.
//!
//! **Invariants.** The file is complete in itself: its own content security policy forbids every request. Everything that
//! a report says is text in it, never markup: the template escapes it, and the script only moves what is there. Without
//! scripts, all but searching and sorting works. The same report gives the same bytes.

mod groups;
mod lanes;
mod tracks;
mod view;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::Report;
use crate::digest::Digest;

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("these are no delimiters"));
    let context = minijinja::context! {
        page => Serde(view::page(report)),
        style => Value::from_safe_string(STYLE.into()),
        script => Value::from_safe_string(SCRIPT.into()),
        nonce => nonce(report),
    };
    let rendered = environment.render_str(TEMPLATE, context);
    rendered.expect("the template is a constant, and its context always has the same form")
}

/// Only the script with this word may run. Nobody who writes a crate's name can know it.
fn nonce(report: &Report) -> String {
    let json = serde_json::to_vec(report).expect("a report is JSON");
    Digest::of(json).to_string()[..32].to_owned()
}

/// `12.345`: so many percent of the whole; never more than all.
fn share(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 };
    format!("{:.3}", percent.min(100.0))
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
