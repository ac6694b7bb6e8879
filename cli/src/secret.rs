//! The password, and the secrets of webhooks: from the environment, a file, or a terminal; never from the command line.

use std::io::{self, IsTerminal};
use std::path::Path;

use zeroize::Zeroizing;

use crate::exit::Failure;

const VARIABLE: &str = "CNDT_PASSWORD";
const WEBHOOK_VARIABLE: &str = "CNDT_WEBHOOK_SECRET";

/// What no command that is run for a peer inherits.
pub(crate) const VARIABLES: [&str; 2] = [VARIABLE, WEBHOOK_VARIABLE];

/// The secrets of webhooks, the newest first; none if nobody has named any.
pub(crate) fn webhook_secrets(file: Option<&Path>) -> Result<Vec<Zeroizing<String>>, Failure> {
    if let Some(path) = file {
        let text = Zeroizing::new(from_file("--secret-file", path)?);
        return Ok(text.lines().map(|line| Zeroizing::new(line.to_owned())).collect());
    }
    Ok(from_environment(WEBHOOK_VARIABLE)?.map(Zeroizing::new).into_iter().collect())
}

/// The same, and there must be one: it is asked for where nobody has named any. Only if stdin is not
/// what is to be signed.
pub(crate) fn webhook_secrets_needed(
    file: Option<&Path>,
) -> Result<Vec<Zeroizing<String>>, Failure> {
    let secrets = webhook_secrets(file)?;
    if !secrets.is_empty() {
        return Ok(secrets);
    }
    if io::stdin().is_terminal() {
        let asked = rpassword::prompt_password("Secret: ")
            .map_err(|error| Failure::Usage(format!("cannot ask for the secret: {error}")))?;
        return Ok(vec![Zeroizing::new(asked)]);
    }
    Err(Failure::Usage(format!(
        "no secret: set {WEBHOOK_VARIABLE}, or name a file by --secret-file"
    )))
}

fn from_environment(variable: &str) -> Result<Option<String>, Failure> {
    match std::env::var(variable) {
        Ok(secret) => Ok(Some(secret).filter(|secret| !secret.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::Usage(format!("{variable} is not UTF-8")))
        }
    }
}

pub(crate) fn password(file: Option<&Path>) -> Result<String, Failure> {
    if let Some(path) = file {
        return from_file("--password-file", path);
    }
    if let Some(password) = from_environment(VARIABLE)? {
        return Ok(password);
    }
    if io::stdin().is_terminal() {
        return rpassword::prompt_password("Password: ")
            .map_err(|error| Failure::Usage(format!("cannot ask for the password: {error}")));
    }
    Err(Failure::Usage(format!(
        "no password: set {VARIABLE}, name a file by --password-file, or run on a terminal to be asked"
    )))
}

fn from_file(option: &str, path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{option} {}: {error}", path.display())))?;
    match without_newline(&text) {
        "" => Err(Failure::Usage(format!("{option} {} is empty", path.display()))),
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
