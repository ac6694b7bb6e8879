//! The two layouts a CNDT header has in the world, and sets of them.

use alloc::string::String;
use core::{fmt, str::FromStr};

/// One of the two layouts of a frame header. A connection speaks one, from its first byte to its
/// last; peers never guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// The documented layout (wire fact "Dialect `cndt`").
    Cndt,
    /// What the Python package `netconduit` sends (wire fact "Dialect `netconduit`").
    Netconduit,
}

impl Dialect {
    /// The name users write and read: `cndt` or `netconduit`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cndt => "cndt",
            Self::Netconduit => "netconduit",
        }
    }

    /// The dialect of a header whose sixth byte is `byte` (wire fact "Telling them apart from the
    /// first 6 bytes").
    #[inline]
    pub(super) const fn told_by(byte: u8) -> Self {
        match byte {
            0 => Self::Netconduit,
            _ => Self::Cndt,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    /// Reads exactly the names that [`Dialect::name`] gives.
    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        match text {
            "cndt" => Ok(Self::Cndt),
            "netconduit" => Ok(Self::Netconduit),
            _ => Err(UnknownDialect(text.into())),
        }
    }
}

/// A text that names no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no wire dialect is called {0:?}: write `cndt` or `netconduit`")]
pub struct UnknownDialect(pub String);

/// A set of dialects: those a [`Decoder`](super::Decoder) accepts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dialects(u8);

impl Dialects {
    /// Only [`Dialect::Cndt`].
    pub const CNDT: Self = Self::only(Dialect::Cndt);
    /// Only [`Dialect::Netconduit`].
    pub const NETCONDUIT: Self = Self::only(Dialect::Netconduit);
    /// Either: the first frame decides.
    pub const BOTH: Self = Self(Self::CNDT.0 | Self::NETCONDUIT.0);

    /// Whether the set has `dialect`.
    #[must_use]
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & Self::only(dialect).0 != 0
    }

    const fn only(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Cndt => Self(1),
            Dialect::Netconduit => Self(2),
        }
    }
}

impl From<Dialect> for Dialects {
    fn from(dialect: Dialect) -> Self {
        Self::only(dialect)
    }
}

impl fmt::Debug for Dialects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = [Dialect::Cndt, Dialect::Netconduit];
        f.debug_set().entries(members.iter().filter(|&&dialect| self.contains(dialect))).finish()
    }
}
