//! The README and the book work: their commands run, their configuration loads, their JSON parses, and their links lead
//! somewhere.
//!
//! Every command line that contains `cargo xcache` is run, in order, page by page. Remotes become a directory, the
//! README's clone becomes a copy of the fixture, and the reader's `ci.sh` is created; nothing else is changed. Commands
//! of other programs (`cargo install`, `jq`) are skipped. `.ci/lint` builds the book with mdBook.

use std::path::{Path, PathBuf};

use support::{Project, Sandbox, Tool, is_available, repository, tree};
use xcache::config::{Overrides, Settings};

fn chapters() -> PathBuf {
    repository().join("book/src")
}

/// The pages, by path.
fn pages() -> Vec<PathBuf> {
    let mut pages = tree::children(&chapters());
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.push(repository().join("README.md"));
    pages.sort();
    pages
}

/// The tested parts of a page.
#[derive(Default)]
struct Page<'a> {
    blocks: Vec<Block<'a>>,
    /// The lines outside of blocks.
    prose: Vec<&'a str>,
}

/// A fenced block.
struct Block<'a> {
    language: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> Page<'a> {
    fn parse(text: &'a str) -> Self {
        let mut page = Self::default();
        let mut is_open = false;
        for line in text.lines() {
            match (line.trim_start().strip_prefix("```"), is_open) {
                (Some(language), false) => {
                    page.blocks.push(Block { language, lines: Vec::new() });
                    is_open = true;
                }
                (Some(_), true) => is_open = false,
                (None, true) => page.blocks.last_mut().expect("a block is open").lines.push(line),
                (None, false) => page.prose.push(line),
            }
        }
        page
    }

    /// The commands of xcache: all lines of `sh` blocks, and the lines of `console` blocks with a prompt.
    fn commands(&self) -> Vec<String> {
        let lines = self.blocks.iter().flat_map(Block::typed);
        let ours = lines.filter_map(|line| line.split("&&").map(str::trim).find(|part| part.contains("cargo xcache")));
        ours.map(|line| line.split(['#', '|']).next().unwrap_or_default().trim().to_owned()).collect()
    }

    /// The texts of all blocks in a language.
    fn in_language(&self, language: &str) -> Vec<String> {
        let blocks = self.blocks.iter().filter(|block| block.language == language);
        blocks.map(|block| block.lines.join("\n")).collect()
    }

    /// The targets of the page's links and images that are in this repository.
    fn links(&self) -> Vec<String> {
        let prose = self.prose.join("\n");
        let targets = prose.split("](").skip(1).filter_map(|behind| Some(behind.split_once(')')?.0));
        targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
    }

    /// The anchors of the page's headings, by the rule of mdBook and GitHub. No page has two headings with the same
    /// text.
    fn anchors(&self) -> Vec<String> {
        let headings = self.prose.iter().filter(|line| line.starts_with('#'));
        headings.map(|heading| heading.trim_start_matches('#').trim().chars().filter_map(in_anchor).collect()).collect()
    }
}

impl<'a> Block<'a> {
    /// What a reader would type.
    fn typed(&self) -> Vec<&'a str> {
        match self.language {
            "sh" => self.lines.clone(),
            "console" => self.lines.iter().filter_map(|line| line.strip_prefix("$ ")).collect(),
            _ => Vec::new(),
        }
    }
}

/// The character of an anchor for a character of a heading.
fn in_anchor(character: char) -> Option<char> {
    match character {
        '_' | '-' => Some(character),
        _ if character.is_alphanumeric() => Some(character.to_ascii_lowercase()),
        _ if character.is_whitespace() => Some('-'),
        _ => None,
    }
}

fn run(project: &Project, remote: &Path, command: &str) {
    let mut words: Vec<String> = command.split_whitespace().map(Into::into).collect();
    for word in &mut words {
        for scheme in ["s3://", "webdavs://"] {
            if let Some((before, _)) = word.split_once(scheme) {
                *word = format!("{before}file://{}", remote.display());
            }
        }
        *word = word.replace("fixtures/app/", "");
    }
    let start = words.iter().position(|word| word == "cargo").expect("the command contains cargo");
    let (variables, arguments) = words.split_at(start);
    if arguments[2] == "nextest" && !is_available(Tool::Nextest, project.has_nextest()) {
        return;
    }
    let mut invocation = project.xcache(&arguments[2..]);
    for variable in variables {
        let (name, value) = variable.split_once('=').expect("only variables precede cargo");
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
        let commands = Page::parse(&tree::read(&page)).commands();
        if commands.is_empty() {
            continue;
        }
        let project = sandbox.checkout("app").env("XCACHE_REMOTE", format!("file://{}", remote.display()));
        let project = project.with_nextest();
        tree::write_script(&project.dir().join("ci.sh"), "cargo build --workspace && cargo test --workspace");
        // A page may show something that needs a build the reader has done.
        project.xcache(["build"]).ok();
        commands.iter().for_each(|command| run(&project, &remote, command));
        count += commands.len();
    }
    assert!(count > 8, "only {count} commands were found");
}

#[test]
fn every_block_of_toml_is_valid_configuration() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.path("workspace");
    let mut count = 0;
    for page in pages() {
        for block in Page::parse(&tree::read(&page)).in_language("toml") {
            tree::write(&workspace.join(".config/xcache.toml"), &block);
            if let Err(error) = Settings::load(Some(&workspace), &Overrides::default()) {
                panic!("{}: {error}\n{block}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 2, "only {count} blocks were found");
}

#[test]
fn every_block_of_json_parses() {
    let mut count = 0;
    for page in pages() {
        for block in Page::parse(&tree::read(&page)).in_language("json") {
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&block) {
                panic!("{}: {error}\n{block}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 2, "only {count} blocks were found");
}

#[test]
fn every_link_in_the_documentation_leads_to_a_file_and_a_heading() {
    let (mut count, mut broken) = (0, Vec::new());
    for page in pages() {
        for link in Page::parse(&tree::read(&page)).links() {
            count += 1;
            if let Err(reason) = follow(&page, &link) {
                broken.push(format!("{}: {link}: {reason}", page.display()));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
    assert!(count > 100, "only {count} links were found");
}

/// Checks that a link's target exists. mdBook publishes nothing from outside of the book.
fn follow(page: &Path, link: &str) -> Result<(), &'static str> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let directory = page.parent().expect("a page is in a directory");
    let target = if path.is_empty() { page.to_owned() } else { directory.join(path) };
    let (Ok(target), Ok(book)) = (target.canonicalize(), chapters().canonicalize()) else {
        return Err("there is no such file");
    };
    if directory.ends_with("book/src") && !target.starts_with(book) {
        return Err("the file is outside of the book");
    }
    match anchor {
        Some(anchor) if !Page::parse(&tree::read(&target)).anchors().iter().any(|known| known == anchor) => {
            Err("there is no such heading")
        }
        _ => Ok(()),
    }
}

/// mdBook silently leaves out all other pages.
#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let summary = chapters().join("SUMMARY.md");
    let mut listed: Vec<_> =
        Page::parse(&tree::read(&summary)).links().iter().map(|link| chapters().join(link)).collect();
    listed.sort();
    let pages: Vec<_> = pages().into_iter().filter(|page| page.starts_with(chapters()) && *page != summary).collect();
    assert_eq!(listed, pages);
}
