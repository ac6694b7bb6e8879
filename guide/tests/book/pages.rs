//! The chapters, and what they are made of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A chapter as a reader sees it: with what it includes.
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

/// One line outside of blocks, or a whole block.
pub(crate) enum Line {
    Text(String),
    Block(Block),
}

pub(crate) struct Block {
    /// What stands behind the fence: `rust`, `rust,no_run`, `sh` …
    pub(crate) language: String,
    pub(crate) text: String,
    /// The comment right above it, without its marks.
    pub(crate) remark: Option<String>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every chapter, without the summary.
pub(crate) fn all() -> Vec<Page> {
    names().iter().map(|name| Page::read(name)).collect()
}

fn names() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).expect("the book is there");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    names.filter(|name| name != "SUMMARY.md").collect()
}

impl Page {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(folder().join(name)).expect("it is a text");
        let mut lines = Vec::new();
        let mut rest = text.lines();
        while let Some(line) = rest.next() {
            if let Some(included) = line.strip_prefix("{{#include ") {
                let path = folder().join(included.trim_end_matches('}'));
                let text = fs::read_to_string(&path).expect("what is included is there");
                let mut rest = text.lines();
                while let Some(line) = rest.next() {
                    lines.push(Line::read(line, &mut rest, &lines));
                }
            } else {
                lines.push(Line::read(line, &mut rest, &lines));
            }
        }
        Self { name: name.to_owned(), lines }
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.lines.iter().filter_map(|line| match line {
            Line::Block(block) => Some(block),
            Line::Text(_) => None,
        })
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Text(text) => Some(text.as_str()),
            Line::Block(_) => None,
        })
    }
}

impl Line {
    fn read<'a>(line: &str, rest: &mut impl Iterator<Item = &'a str>, before: &[Self]) -> Self {
        let Some(language) = line.strip_prefix("```") else { return Self::Text(line.to_owned()) };
        let remark = match before.last() {
            Some(Self::Text(text)) => {
                text.strip_prefix("<!-- ").and_then(|text| text.strip_suffix(" -->"))
            }
            Some(Self::Block(_)) | None => None,
        };
        let remark = remark.map(str::to_owned);
        let text: Vec<&str> = rest.take_while(|line| *line != "```").collect();
        Self::Block(Block { language: language.to_owned(), text: text.join("\n"), remark })
    }
}

#[test]
fn every_chapter_is_in_the_book_and_is_tested() {
    let summary = fs::read_to_string(folder().join("SUMMARY.md")).expect("a summary");
    let tested = include_str!("../../lib.rs");
    for name in names() {
        assert!(summary.contains(&format!("]({name})")), "{name} is missing in SUMMARY.md");
        let stem = name.strip_suffix(".md").expect("the book is made of Markdown alone");
        // The protocol has no Rust; the core's tests read its examples.
        let is_tested = tested.contains(&format!("\"{stem}\";"));
        assert!(is_tested || stem == "protocol", "{name} is missing in lib.rs");
    }
}

/// `ignore` would hide a block from the compiler, and an unknown language from every test.
#[test]
fn blocks_are_of_kinds_that_somebody_checks() {
    let known = ["rust", "rust,no_run", "sh", "text", "toml", "python", "frame"];
    for page in all() {
        for Block { language, text, .. } in page.blocks() {
            assert!(known.contains(&language.as_str()), "{}: {language:?}:\n{text}", page.name);
        }
    }
}
