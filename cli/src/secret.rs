//! The password: from the environment, a file, or a terminal; never from the command line.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::exit::Failure;

const VARIABLE: &str = "CNDT_PASSWORD";

pub(crate) fn password(file: Option<&Path>) -> Result<String, Failure> {
    if let Some(path) = file {
        return from_file(path);
    }
    match std::env::var(VARIABLE) {
        Ok(password) if !password.is_empty() => return Ok(password),
        Ok(_) | Err(std::env::VarError::NotPresent) => {}
        Err(std::env::VarError::NotUnicode(_)) => {
            return Err(Failure::Usage(format!("{VARIABLE} is not UTF-8")));
        }
    }
    if io::stdin().is_terminal() {
        return rpassword::prompt_password("Password: ")
            .map_err(|error| Failure::Usage(format!("cannot ask for the password: {error}")));
    }
    Err(Failure::Usage(format!(
        "no password: set {VARIABLE}, name a file by --password-file, or run on a terminal to be asked"
    )))
}

fn from_file(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("--password-file {}: {error}", path.display())))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        Some(_) | None => Err(Failure::Usage(format!(
            "--password-file {}: the first line is empty",
            path.display()
        ))),
    }
}
