//! Versions of Kibana, as people write them.

use std::fmt;
use std::str::FromStr;

/// A release line: `8.19`. Ordered as released within one major version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub major: u16,
    pub minor: u16,
}

/// A version, or a whole release line when the patch is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub line: Line,
    pub patch: Option<u16>,
}

/// A text is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version of Kibana: write 9.4.2, or 9.4 when the patch does not matter")]
pub struct VersionError;

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `MAJOR.MINOR` or `MAJOR.MINOR.PATCH`.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut numbers = text.split('.').map(number);
        let mut next = || numbers.next().transpose();
        let (major, minor, patch) = (next()?, next()?, next()?);
        let (Some(major), Some(minor), None) = (major, minor, next()?) else {
            return Err(VersionError);
        };
        Ok(Self { line: Line { major, minor }, patch })
    }
}

fn number(digits: &str) -> Result<u16, VersionError> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VersionError);
    }
    digits.parse().map_err(|_| VersionError)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            Some(patch) => write!(f, "{}.{patch}", self.line),
            None => self.line.fmt(f),
        }
    }
}
