//! What is asked and shown on a terminal, and nowhere else.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use support::{PASSWORD, Serve, run, until};

/// A command whose stdin, stdout and stderr are a terminal that this test sits at.
struct Session {
    terminal: File,
    child: Child,
    shown: JoinHandle<String>,
}

impl Session {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("it is ours");
        unlockpt(&terminal).expect("it is ours");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name");
        let open = || {
            let name = name.to_str().expect("text");
            OpenOptions::new().read(true).write(true).open(name).expect("the other end")
        };
        // It becomes the controlling terminal, where passwords are asked for.
        let child = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_cndt")])
            .args(arguments)
            .env_remove("CNDT_PASSWORD")
            .env_remove("CNDT_WEBHOOK_SECRET")
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .envs(variables.iter().copied())
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .expect("the command runs");
        let terminal = File::from(terminal);
        let mut reader = terminal.try_clone().expect("it can be shared");
        let shown = std::thread::spawn(move || {
            let mut all = Vec::new();
            // Reading fails once nobody is at the other end.
            let _ = reader.read_to_end(&mut all);
            String::from_utf8_lossy(&all).into_owned()
        });
        Self { terminal, child, shown }
    }

    /// Waits until what is typed is shown, or is not.
    fn echoes(&self, wanted: bool) {
        until("the terminal is set", || {
            let modes = tcgetattr(&self.terminal).expect("it is a terminal").local_modes;
            modes.contains(LocalModes::ECHO) == wanted
        });
    }

    fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("somebody is there");
    }

    /// The exit status, and all that was shown.
    fn end(mut self) -> (i32, String) {
        let status = self.child.wait().expect("it ends").code().expect("it ends by itself");
        (status, self.shown.join().expect("it was read"))
    }
}

#[test]
fn a_password_is_asked_for_without_being_shown() {
    let serve = Serve::start(&[]);
    let mut session = Session::start(&["call", &serve.address, "greet", "name=World"], &[]);
    session.echoes(false);
    session.type_in(&format!("{PASSWORD}\n"));
    let (status, shown) = session.end();
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("Password: ") && shown.contains("Hello, World!"), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[test]
fn a_secret_is_asked_for_without_being_shown() {
    let mut session = Session::start(&["webhook", "sign"], &[]);
    session.echoes(false);
    session.type_in("hidden\n");
    session.echoes(true);
    session.type_in("body\n\u{4}");
    let (status, shown) = session.end();
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("Secret: ") && shown.contains("X-Webhook-Signature: "), "{shown}");
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn an_unknown_method_is_answered_by_those_that_are_near() {
    let serve = Serve::start(&[]);
    let arguments = ["call", &serve.address, "gret", "name=x"];
    let (status, shown) = Session::start(&arguments, &[("CNDT_PASSWORD", PASSWORD)]).end();
    assert_eq!(status, 1, "{shown}");
    assert!(shown.contains("hint: did you mean `greet`?"), "{shown}");
    // Programs get one object and nothing else.
    assert_eq!(run(&arguments).stderr.lines().count(), 1);
}

#[test]
fn progress_and_colour_are_for_terminals() {
    let serve = Serve::start(&[]);
    let arguments = ["bench", &serve.address, "--duration", "1s"];
    let (status, shown) = Session::start(&arguments, &[("CNDT_PASSWORD", PASSWORD)]).end();
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains(" calls/s, ") && shown.contains(" s left"), "{shown}");
    let (_, coloured) = Session::start(&["demo"], &[]).end();
    assert!(coloured.contains("\x1b[32m✓\x1b[0m handshake"), "{coloured}");
    let (_, plain) = Session::start(&["demo"], &[("NO_COLOR", "1")]).end();
    assert!(plain.contains("✓ handshake") && !plain.contains("\x1b[3"), "{plain}");
    let ran = run(&arguments);
    assert_eq!(ran.stderr, "", "{ran:?}");
    assert!(!ran.stdout.contains('\x1b') && !run(&["demo"]).stdout.contains('\x1b'), "{ran:?}");
}
