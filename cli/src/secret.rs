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
    match without_newline(&text) {
        "" => Err(Failure::Usage(format!("--password-file {} is empty", path.display()))),
        password => Ok(password.to_owned()),
    }
}

/// Editors end a file with a newline; one is theirs, anything else belongs to the password.
fn without_newline(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::without_newline;

    #[test]
    fn one_newline_at_the_end_is_not_part_of_a_password() {
        for (text, password) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a\nb", "a\nb"),
            ("\n", ""),
        ] {
            assert_eq!(without_newline(text), password);
        }
    }
}
