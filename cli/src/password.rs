//! `cndt password hash`, and the files of users that it fills.

use std::path::Path;

use cndt_tokio::users::{HashError, Users, hash_password};

use crate::args::HashArgs;
use crate::exit::Failure;
use crate::{out, secret};

/// Between a user's name, which may have colons of its own, and its verifier.
const SEPARATOR: &str = ":SCRAM-SHA-256$";

pub(crate) fn hash(arguments: &HashArgs) -> Result<(), Failure> {
    let password = secret::password(arguments.password_file.as_deref())?;
    let record = hash_password(&password, arguments.iterations).map_err(|error| match error {
        HashError::Scram(wrong) => Failure::Usage(wrong.to_string()),
        HashError::Entropy(error) => Failure::Failed(error.to_string()),
    })?;
    match &arguments.user {
        Some(user) => out::line(&format!("{user}:{record}")),
        None => out::line(&record.to_string()),
    }
}

/// Reads a file of users. Empty lines and those that begin with `#` are passed over.
pub(crate) fn users(path: &Path) -> Result<Users, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("--users {name}: {error}")))?;
    let users = parse(&text)
        .map_err(|(line, words)| Failure::Usage(format!("--users {name}, line {line}: {words}")))?;
    if users.is_empty() {
        return Err(Failure::Usage(format!("--users {name} names nobody")));
    }
    Ok(users)
}

fn parse(text: &str) -> Result<Users, (usize, String)> {
    let mut users = Users::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |words: String| (index + 1, words);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = line.rfind(SEPARATOR).ok_or_else(|| wrong("NAME:VERIFIER expected".into()))?;
        let (user, record) = (&line[..at], &line[at + 1..]);
        let user = user.parse().map_err(|error| wrong(format!("{error}")))?;
        let record = record.parse().map_err(|error| wrong(format!("{error}")))?;
        if users.names().any(|known| *known == user) {
            return Err(wrong(format!("`{user}` stands twice")));
        }
        users = users.with(user, record);
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::parse;

    const RECORD: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn a_file_of_users_is_read_line_by_line() {
        let text = format!("# people\n\nann:{RECORD}\n a:b:{RECORD} \n");
        let users = parse(&text).expect("a good file");
        assert_eq!(users.names().map(|name| name.as_str()).collect::<Vec<_>>(), ["a:b", "ann"]);
        for (text, line) in [
            ("ann".to_owned(), 1),
            (format!("\nzoë:{RECORD}"), 2),
            (format!("ann:{RECORD}x"), 1),
            (format!("ann:{RECORD}\nann:{RECORD}"), 2),
        ] {
            assert_eq!(parse(&text).map_err(|(line, _)| line).map(drop), Err(line), "{text}");
        }
    }
}
