//! What the book tells people to type. The shell blocks of a page are one session, run from top to
//! bottom in a folder of its own.
//!
//! - `<!-- not run: why -->` above a block leaves it out.
//! - `<!-- printed -->` above a block of text means that the session prints these lines, in this order.
//! - Ports of 127.0.0.1 are exchanged for free ones. Where a reader would look whether a server is up,
//!   the session waits until it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::pages::{self, Page};

const LOOPBACK: &str = "127.0.0.1:";

const PROLOGUE: &str = "set -eu
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
is_up() {
    for _ in $(seq 600); do
        (exec 3<>\"/dev/tcp/${1%:*}/${1##*:}\") 2>/dev/null && return
        sleep 0.1
    done
    cat background.txt >&2
    return 1
}
";

#[test]
fn what_the_book_tells_to_type_works() {
    let mut sessions = 0;
    for page in pages::all() {
        let Some(script) = session(&page) else { continue };
        sessions += 1;
        let printed = run(&page.name, &script);
        let mut lines = printed.lines();
        for block in page.blocks().filter(|block| block.remark.as_deref() == Some("printed")) {
            for line in block.text.lines() {
                let is_there = lines.any(|found| found == line);
                assert!(is_there, "{}: {line:?} is not printed, but\n{printed}", page.name);
            }
        }
    }
    assert!(sessions >= 5, "only {sessions} pages were tried");
}

/// The blocks of a page that can be run, with free ports in place of its own.
fn session(page: &Page) -> Option<String> {
    let mut script = String::new();
    for block in page.blocks().filter(|block| block.language == "sh") {
        match block.remark.as_deref() {
            Some(remark) if remark.starts_with("not run: ") => continue,
            Some(remark) => panic!("{}: what is {remark:?} above a block?", page.name),
            None => {}
        }
        for line in block.text.replace("\\\n", " ").lines() {
            let Some(command) = line.strip_suffix(" &") else {
                writeln!(script, "{line}").expect("memory");
                continue;
            };
            writeln!(script, "{command} >> background.txt 2>&1 &").expect("memory");
            for port in ports(command) {
                writeln!(script, "is_up {LOOPBACK}{port}").expect("memory");
            }
        }
    }
    (!script.is_empty()).then(|| with_free_ports(&script))
}

fn ports(text: &str) -> Vec<&str> {
    let behind = text.split(LOOPBACK).skip(1);
    let end = |rest: &str| rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    behind.map(|rest| &rest[..end(rest)]).collect()
}

fn with_free_ports(script: &str) -> String {
    // All held at once, so that they differ.
    let mut free = BTreeMap::new();
    for port in ports(script) {
        let listener = || TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).expect("a port");
        free.entry(port).or_insert_with(listener);
    }
    let mut replaced = script.to_owned();
    for (port, listener) in &free {
        let own = listener.local_addr().expect("it listens");
        replaced = replaced.replace(&format!("{LOOPBACK}{port}"), &own.to_string());
    }
    replaced
}

fn run(page: &str, script: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let program = program();
    let search = std::env::var("PATH").unwrap_or_default();
    let beside = program.parent().expect("it is in a folder").display();
    let output = Command::new("bash")
        .args(["-c", &format!("{PROLOGUE}{script}")])
        .current_dir(folder.path())
        .env("PATH", format!("{beside}:{search}"))
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .output()
        .expect("bash runs");
    let printed = String::from_utf8(output.stdout).expect("it prints text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{page}: {}\n{errors}\n{printed}\nof\n{script}",
        output.status
    );
    printed
}

/// What the command is made of.
const SOURCES: [&str; 4] = ["cli", "runtime-tokio", "runtime", "core"];

/// The command. Cargo builds it for the tests of the workspace, but not for those of this package
/// alone: then an old one must not pass for the new.
fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("a test has a path");
    let profile = tests.parent().and_then(Path::parent).expect("cargo puts it two levels deep");
    let program = profile.join("cndt");
    let advice = "build it first: cargo build -p cndt-cli";
    assert!(program.exists(), "{} is missing; {advice}", program.display());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for package in SOURCES {
        let newer = newer_than(changed(&program), &workspace.join(package).join("src"));
        assert!(newer.is_none(), "{} is newer; {advice}", newer.unwrap_or_default().display());
    }
    program
}

fn newer_than(time: SystemTime, folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources are there");
    entries.map(|entry| entry.expect("it can be read").path()).find_map(|path| {
        if path.is_dir() {
            newer_than(time, &path)
        } else {
            (changed(&path) > time).then_some(path)
        }
    })
}

fn changed(file: &Path) -> SystemTime {
    fs::metadata(file).and_then(|about| about.modified()).expect("the system tells")
}
