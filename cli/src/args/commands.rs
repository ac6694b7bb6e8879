use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::time;
use crate::shell::Shell;

/// How commands are run.
#[derive(Debug, Args)]
pub(crate) struct CommandArgs {
    /// Commands that may run at once; what comes meanwhile is refused
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = commands_max)]
    pub(crate) commands_max: usize,
    /// A command that takes longer is killed
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) command_timeout: Duration,
}

impl CommandArgs {
    pub(crate) fn shell(&self) -> Shell {
        Shell::new(self.commands_max, self.command_timeout)
    }
}

fn commands_max(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=10_000).contains(count));
    count.ok_or_else(|| "a whole number from 1 to 10000".to_owned())
}

/// A name and the shell line that answers it: `NAME=COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) command: String,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) =
            text.split_once('=').ok_or("there is no `=`; write it like NAME=COMMAND")?;
        let (name, command) = (name.trim(), command.trim());
        if name.is_empty() {
            return Err("no name stands before the `=`; write it like NAME=COMMAND".into());
        }
        if command.is_empty() {
            return Err("no command stands behind the `=`; write it like NAME=COMMAND".into());
        }
        Ok(Self { name: name.to_owned(), command: command.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::Named;

    #[test]
    fn the_first_equals_sign_divides() {
        let named: Named = "sum=jq .a==.b".parse().unwrap();
        assert_eq!((named.name.as_str(), named.command.as_str()), ("sum", "jq .a==.b"));
        for (text, words) in
            [("sum", "no `=`"), ("=cat", "no name"), (" =cat", "no name"), ("sum= ", "no command")]
        {
            let error = text.parse::<Named>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
