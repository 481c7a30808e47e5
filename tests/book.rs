//! The examples in README and book work: every command line with `cargo xcache` in it is run, in order, page by page.
//!
//! Buckets become a directory, the README's clone becomes the copied fixture, and the reader's `ci.sh` is made; nothing
//! else is changed. Commands of other programs (`cargo install`, `jq`) are left out.

use std::path::{Path, PathBuf};

use support::{Project, Sandbox, skipped, tree};

/// The pages, by path.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the plugin is in the repository");
    let chapters = std::fs::read_dir(root.join("book/src")).expect("there is a book");
    let mut pages: Vec<_> = chapters.map(|entry| entry.expect("the book can be listed").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// The command lines of a page: `sh` blocks whole, of `console` blocks the lines with a prompt.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut block = None;
    for line in page.lines() {
        match (block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (Some("sh"), None) => commands.push(line.to_owned()),
            (Some("console"), None) => commands.extend(line.strip_prefix("$ ").map(Into::into)),
            _ => {}
        }
    }
    let ours =
        commands.iter().filter_map(|line| line.split("&&").map(str::trim).find(|part| part.contains("cargo xcache")));
    ours.map(|line| line.split(['#', '|']).next().unwrap_or_default().trim().to_owned()).collect()
}

fn run(project: &Project, remote: &Path, command: &str) {
    let mut words: Vec<String> = command.split_whitespace().map(Into::into).collect();
    for word in &mut words {
        if let Some((before, _)) = word.split_once("s3://") {
            *word = format!("{before}file://{}", remote.display());
        }
        *word = word.replace("fixtures/app/", "");
    }
    let start = words.iter().position(|word| word == "cargo").expect("it is a cargo command");
    let (variables, arguments) = words.split_at(start);
    if arguments[2] == "nextest" && !project.has_nextest() {
        return skipped(&format!("`{command}`: cargo-nextest is not installed"));
    }
    let mut invocation = project.xcache(&arguments[2..]);
    for variable in variables {
        let (name, value) = variable.split_once('=').expect("only variables stand before cargo");
        invocation = invocation.env(name, value);
    }
    invocation.ok();
}

#[test]
fn every_command_in_the_documentation_works() {
    let sandbox = Sandbox::new();
    let remote = sandbox.path("bucket");
    let mut count = 0;
    for page in pages() {
        let project = sandbox.checkout("app").env("XCACHE_REMOTE", format!("file://{}", remote.display()));
        let project = project.with_nextest();
        tree::write_script(&project.dir().join("ci.sh"), "cargo build --workspace && cargo test --workspace");
        // What a page shows may rest on a build that the reader has done.
        project.xcache(["build"]).ok();
        let text = std::fs::read_to_string(&page).expect("the page can be read");
        for command in commands(&text) {
            run(&project, &remote, &command);
            count += 1;
        }
    }
    assert!(count > 8, "only {count} commands were found");
}
