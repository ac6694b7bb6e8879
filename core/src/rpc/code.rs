use core::fmt;

/// Why a call failed, as a number that both ends know (the user's document of error codes).
///
/// A number that no table knows is kept as [`ErrorCode::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ErrorCode {
    /// 1000: nothing better is known.
    #[default]
    Unknown,
    /// 1001: the handler failed.
    Internal,
    /// 1003: the caller did not want the answer any more. Not in the documents; the number is the
    /// Python package's.
    Cancelled,
    /// 2000: the arguments are not what the method takes.
    Validation,
    /// 2001: a required field is missing.
    MissingField,
    /// 2002: a field has the wrong type.
    InvalidType,
    /// 3000: the method wants a login.
    AuthRequired,
    /// 3001: the login was refused.
    AuthFailed,
    /// 3002: the caller may not do that.
    PermissionDenied,
    /// 4000: there is no such method.
    MethodNotFound,
    /// 4001: the parameters are unusable as a whole.
    InvalidParams,
    /// 5000: the connection failed.
    ConnectionError,
    /// 5001: it took too long.
    Timeout,
    /// 6000: too many requests; try again later.
    RateLimited,
    /// Any other number, kept as it came.
    Other(i64),
}

/// The numbers: dialect `cndt`, JSON-RPC data and the API.
const KNOWN: [(ErrorCode, i64, &str); 14] = [
    (ErrorCode::Unknown, 1000, "UNKNOWN"),
    (ErrorCode::Internal, 1001, "INTERNAL"),
    (ErrorCode::Cancelled, 1003, "CANCELLED"),
    (ErrorCode::Validation, 2000, "VALIDATION"),
    (ErrorCode::MissingField, 2001, "MISSING_FIELD"),
    (ErrorCode::InvalidType, 2002, "INVALID_TYPE"),
    (ErrorCode::AuthRequired, 3000, "AUTH_REQUIRED"),
    (ErrorCode::AuthFailed, 3001, "AUTH_FAILED"),
    (ErrorCode::PermissionDenied, 3002, "PERMISSION_DENIED"),
    (ErrorCode::MethodNotFound, 4000, "METHOD_NOT_FOUND"),
    (ErrorCode::InvalidParams, 4001, "INVALID_PARAMS"),
    (ErrorCode::ConnectionError, 5000, "CONNECTION_ERROR"),
    (ErrorCode::Timeout, 5001, "TIMEOUT"),
    (ErrorCode::RateLimited, 6000, "RATE_LIMITED"),
];

/// Where the Python package's numbers differ from the documented ones: 3002 and 5001 mean something
/// else there, 3003 and 1002 are its own words for ours.
const PERMISSION_DENIED_IN_PYTHON: i64 = 3003;
const TIMEOUT_IN_PYTHON: i64 = 1002;

impl ErrorCode {
    /// The code with this documented number.
    pub fn from_number(number: i64) -> Self {
        KNOWN
            .iter()
            .find(|(_, known, _)| *known == number)
            .map_or(Self::Other(number), |(code, _, _)| *code)
    }

    /// The documented number.
    pub fn number(self) -> i64 {
        match self {
            Self::Other(number) => number,
            known => KNOWN.iter().find(|(code, _, _)| *code == known).map_or(1000, |entry| entry.1),
        }
    }

    /// The documented name (`METHOD_NOT_FOUND`), or `OTHER`.
    pub fn name(self) -> &'static str {
        KNOWN.iter().find(|(code, _, _)| *code == self).map_or("OTHER", |entry| entry.2)
    }

    /// The code that the Python package means by this number.
    ///
    /// The package's 3002 (AUTH_EXPIRED) and 5001 (DISCONNECTED) have no documented counterpart:
    /// they become [`ErrorCode::AuthRequired`] and [`ErrorCode::ConnectionError`], the nearest in
    /// meaning for a caller who must decide what to do next.
    pub fn from_netconduit(number: i64) -> Self {
        match number {
            PERMISSION_DENIED_IN_PYTHON => Self::PermissionDenied,
            TIMEOUT_IN_PYTHON => Self::Timeout,
            3002 => Self::AuthRequired,
            5001 => Self::ConnectionError,
            other => Self::from_number(other),
        }
    }

    /// The number by which the Python package knows this code.
    pub fn to_netconduit(self) -> i64 {
        match self {
            Self::PermissionDenied => PERMISSION_DENIED_IN_PYTHON,
            Self::Timeout => TIMEOUT_IN_PYTHON,
            other => other.number(),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}
