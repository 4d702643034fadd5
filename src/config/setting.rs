//! A configured value and where it was written.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is a default.
    Default,
    /// In the configuration file. Both count from 1; a column is a character.
    File { line: u64, column: u64 },
    /// On the command line, by this flag.
    Flag(&'static str),
}

/// An [`Origin`] that also knows the file, printed as `file:line:column` or as the flag.
///
/// The order is that of reading: files from top to bottom, then flags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The run's defaults.
    Default,
    /// A file as a whole.
    WholeFile(PathBuf),
    /// A position in a file; both numbers count from 1.
    File { file: PathBuf, line: u64, column: u64 },
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("defaults"),
            Self::WholeFile(file) => write!(f, "{}", file.display()),
            Self::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A value together with its [`Origin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

impl<T> Setting<T> {
    pub(super) fn flag(flag: &'static str, value: T) -> Self {
        Self { value, origin: Origin::Flag(flag) }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        let origin = Origin::File { line: spanned.referenced.line(), column: spanned.referenced.column() };
        Ok(Self { value: spanned.value, origin })
    }
}
