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

fn published() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let packages = metadata["packages"].as_array().expect("a list").clone();
    packages.into_iter().filter(|package| package["publish"].is_null()).collect()
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

/// The command has neither: whoever installs it has `--help`.
#[test]
fn every_library_has_a_readme_licenses_and_all_of_its_documentation() {
    for package in published().iter().filter(|package| package["name"] != "cndt-cli") {
        let name = &package["name"];
        let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
        let folder = manifest.parent().expect("it is in a folder");
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(folder.join(file).exists(), "{name} has no {file}");
        }
        assert_eq!(package["readme"], "README.md", "{name}");
        assert_eq!(package["metadata"]["docs"]["rs"]["all-features"], true, "{name}");
        let documentation = fs::read_to_string(folder.join("src/lib.rs")).expect("a library");
        let features = package["features"].as_object().expect("a map").keys();
        for feature in features.filter(|feature| *feature != "default") {
            let row = format!("//! | `{feature}` |");
            assert!(documentation.contains(&row), "{name}: {feature} is not documented");
        }
    }
}
