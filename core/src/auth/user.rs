use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Bytes that a user's name may have.
const LENGTH_MAX: usize = 64;

/// The name of a user: 1 to 64 printable ASCII characters.
///
/// ```
/// use cndt_core::auth::UserName;
///
/// assert_eq!(UserName::default().as_str(), "default");
/// assert!("sensor 7".parse::<UserName>().is_ok());
/// assert!("zoë".parse::<UserName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// What is no name of a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 64 printable ASCII characters; {0:?} does not")]
pub struct UserNameError(String);

impl UserName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for UserName {
    /// `default`: who logs in by a password alone.
    fn default() -> Self {
        Self(String::from("default"))
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(name: &str) -> Result<Self, UserNameError> {
        let fits = (1..=LENGTH_MAX).contains(&name.len());
        if fits && name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Ok(Self(String::from(name)));
        }
        Err(UserNameError(name.chars().take(LENGTH_MAX).collect()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
