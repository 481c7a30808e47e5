//! The report as a page: one HTML file.
//!
//! [`page`] renders it. The template (`html/page.html`) reads the report itself, and derived values from [`view`], with
//! the [`timeline`].
//!
//! **Invariants.** The file is self-contained: its content security policy forbids every request. Texts of the report
//! are never markup: the template escapes them, and the script only moves elements. Without scripts, everything works
//! except for filtering, sorting, zooming and details. The same report gives the same bytes.

mod timeline;
mod view;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::Report;
use super::present::{bytes, time};
use crate::digest::Digest;

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Renders the page.
pub fn page(report: &Report) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the default ones"));
    environment.add_filter("time", |millis: Option<u64>| millis.map(time).unwrap_or_default());
    environment.add_filter("seconds", |millis: u64| format!("{}.{:03} s", millis / 1000, millis % 1000));
    environment.add_filter("bytes", |number: Option<u64>| number.map(bytes).unwrap_or_default());
    environment.add_function("share", share);
    environment.add_function("length", |start: u64, end: u64| end.saturating_sub(start));
    let context = minijinja::context! {
        report => Serde(report),
        page => Serde(view::page(report)),
        style => Value::from_safe_string(STYLE.into()),
        script => Value::from_safe_string(SCRIPT.into()),
        nonce => nonce(report),
    };
    let rendered = environment.render_str(TEMPLATE, context);
    rendered.expect("the template is a constant, and its context always has the same form")
}

/// The nonce of the only script that may run. Authors of texts in the report cannot know it.
fn nonce(report: &Report) -> String {
    let json = serde_json::to_vec(report).expect("a report can be serialized");
    Digest::of(json).to_string()[..32].to_owned()
}

/// `12.345`: a part in percent of the whole, at most 100.
fn share(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 };
    format!("{:.3}", percent.min(100.0))
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
