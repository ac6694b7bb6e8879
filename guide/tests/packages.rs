//! What is published says what it is: a registry refuses some of what is missing, readers miss the rest.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What crates.io takes.
const KEYWORDS_MAX: usize = 5;
const KEYWORD_LENGTH_MAX: usize = 20;
/// Of crates.io's categories, those that fit something here.
const CATEGORIES: [&str; 6] = [
    "asynchronous",
    "command-line-utilities",
    "development-tools::testing",
    "network-programming",
    "no-std",
    "parser-implementations",
];

fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    metadata["packages"].as_array().expect("a list").clone()
}

fn published() -> Vec<Value> {
    packages().into_iter().filter(|package| package["publish"].is_null()).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

#[test]
fn every_package_is_described() {
    let packages = published();
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert_eq!(names.len(), 7, "{names:?}");
    for package in &packages {
        let name = &package["name"];
        assert!(package["description"].as_str().is_some_and(|text| text.len() > 20), "{name}");
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
        assert_eq!(package["rust_version"], "1.90", "{name}");
        let keywords = texts(&package["keywords"]);
        assert!((1..=KEYWORDS_MAX).contains(&keywords.len()), "{name}: {keywords:?}");
        assert!(keywords.iter().all(|word| word.len() <= KEYWORD_LENGTH_MAX), "{keywords:?}");
        let categories = texts(&package["categories"]);
        assert!((1..=5).contains(&categories.len()), "{name}: {categories:?}");
        assert!(categories.iter().all(|one| CATEGORIES.contains(one)), "{name}: {categories:?}");
    }
}

#[test]
fn every_package_has_a_readme_licenses_and_all_of_its_documentation() {
    for package in published() {
        let name = &package["name"];
        let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
        let folder = manifest.parent().expect("it is in a folder");
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(folder.join(file).exists(), "{name} has no {file}");
        }
        assert_eq!(package["readme"], "README.md", "{name}");
        // The command's documentation is its `--help`.
        if name == "cndt-cli" {
            continue;
        }
        assert_eq!(package["metadata"]["docs"]["rs"]["all-features"], true, "{name}");
        let documentation = fs::read_to_string(folder.join("src/lib.rs")).expect("a library");
        let features = package["features"].as_object().expect("a map").keys();
        for feature in features.filter(|feature| *feature != "default") {
            let row = format!("//! | `{feature}` |");
            assert!(documentation.contains(&row), "{name}: {feature} is not documented");
        }
    }
}

/// `-p PACKAGE --example NAME`, wherever people are told to type it.
#[test]
fn examples_that_are_named_are_there() {
    let packages = packages();
    let has = |package: &str, example: &str| {
        let found = packages.iter().find(|one| one["name"] == package);
        let targets = found.and_then(|one| one["targets"].as_array()).into_iter().flatten();
        let mut examples = targets.filter(|target| texts(&target["kind"]).contains(&"example"));
        examples.any(|target| target["name"] == example)
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for page in ["../README.md", "src/examples.md", "src/embedding.md", "src/from-netconduit.md"] {
        let text = fs::read_to_string(root.join(page)).expect("a text");
        let words: Vec<&str> = text.split([' ', '\n', '`', '(', ')', ',']).collect();
        for window in words.windows(4) {
            let &["-p", package, "--example", example] = window else { continue };
            assert!(has(package, example), "{page}: {package} has no example {example}");
            named += 1;
        }
    }
    assert!(named > 15, "only {named} were found");
}
