//! What is known of Kibana's releases: which change is in which, and what of a connector's traffic bypasses a proxy.
//!
//! The data is `releases.yml`, embedded. It states only what was read in release notes and pull requests; everything
//! else is [`Standing::Unknown`], and whoever shows it says so. Nothing here looks at a running Kibana.

mod file;
mod version;

pub use file::ReleasesError;
pub use version::{Line, Version, VersionError};

/// The embedded data.
const EMBEDDED: &str = include_str!("releases.yml");

/// TLS options of `kibana.yml` reach https targets behind a proxy.
pub const TLS_OPTIONS: &str = "tls_options";
/// Mail verifies the certificate of an https proxy.
pub const MAIL_VERIFIES_PROXY: &str = "mail_verifies_proxy";
/// `xpack.actions.email.services.enabled` exists.
pub const MAIL_SERVICES_ENABLED: &str = "mail_services_enabled";

/// A change of Kibana and the releases that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub id: String,
    /// A pull request of elastic/kibana (`#269898`), or a setting.
    pub reference: String,
    /// Year and month, `2026-05`.
    pub merged: String,
    /// Every release from this one on has it; always with a patch.
    pub first: Version,
    /// Older lines that have it too.
    pub lines: Vec<Backport>,
}

/// A change in a line older than its first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backport {
    pub line: Line,
    pub reference: String,
    /// First release of the line that has it; `None` when that is not known exactly.
    pub from: Option<Version>,
}

/// Whether a version has a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    Present,
    Absent,
    /// Only the line was named, and it depends on the patch: from this release on.
    From(Version),
    /// The line has it, but which release was the first is not known exactly; the reference to look for.
    Unknown(&'a str),
}

impl Change {
    /// Whether a version has it. Lines that are not listed and are older than the first release do not.
    pub fn standing(&self, version: Version) -> Standing<'_> {
        if let Some(backport) = self.lines.iter().find(|backport| backport.line == version.line) {
            return backport.from.map_or(Standing::Unknown(&backport.reference), |from| since(from, version));
        }
        match version.line.cmp(&self.first.line) {
            std::cmp::Ordering::Greater => Standing::Present,
            std::cmp::Ordering::Equal => since(self.first, version),
            std::cmp::Ordering::Less => Standing::Absent,
        }
    }
}

/// Whether a version of the same line is `first` or a later one.
fn since<'a>(first: Version, version: Version) -> Standing<'a> {
    match (version.patch, first.patch.unwrap_or(0)) {
        (None, 0) => Standing::Present,
        (None, _) => Standing::From(first),
        (Some(patch), first) if patch >= first => Standing::Present,
        (Some(_), _) => Standing::Absent,
    }
}

/// Whether calls of a blind spot leave at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlindSpotKind {
    /// They leave, and no row shows them.
    Bypass,
    /// There is no call that could have a row.
    NoEgress,
}

/// Traffic of connectors that does not pass the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindSpot {
    pub id: String,
    /// Connector type ids; empty for all.
    pub connectors: Vec<String>,
    pub kind: BlindSpotKind,
    pub what: String,
    pub fix: String,
    /// It exists from this change on.
    opened_by: Option<Change>,
    /// It exists before this change.
    closed_by: Option<Change>,
}

/// Whether a version has a blind spot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applies {
    Yes,
    No,
    /// Not known exactly, or it depends on the patch; why.
    Perhaps(String),
}

impl BlindSpot {
    /// Whether it exists in a version; without a version, whether it depends on one.
    pub fn applies(&self, version: Option<Version>) -> Applies {
        let (change, opens) = match (&self.opened_by, &self.closed_by) {
            (Some(change), _) => (change, true),
            (None, Some(change)) => (change, false),
            (None, None) => return Applies::Yes,
        };
        let word = if opens { "since" } else { "until" };
        let Some(version) = version else {
            return Applies::Perhaps(format!("{word} {}", change.describe()));
        };
        match change.standing(version) {
            Standing::Present if opens => Applies::Yes,
            Standing::Absent if !opens => Applies::Yes,
            Standing::Present | Standing::Absent => Applies::No,
            Standing::From(first) => Applies::Perhaps(format!("{word} {first}")),
            Standing::Unknown(reference) => Applies::Perhaps(format!(
                "{word} a release of {} that is not known exactly: look for {reference} in its release notes",
                version.line
            )),
        }
    }

    /// Whether calls of this connector type are among it.
    pub fn concerns(&self, connector_type: &str) -> bool {
        self.connectors.iter().any(|id| id == connector_type)
    }
}

impl Change {
    /// The releases that have it, for people: `9.4.2 (#269898, 2026-05; 9.3 by #274812, release not known exactly)`.
    pub fn describe(&self) -> String {
        let lines = self.lines.iter().map(|backport| match backport.from {
            Some(from) => format!("; {from} by {}", backport.reference),
            None => format!("; {} by {}, release not known exactly", backport.line, backport.reference),
        });
        format!("{} ({}, {}{})", self.first, self.reference, self.merged, lines.collect::<String>())
    }
}

/// Everything that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releases {
    changes: Vec<Change>,
    blind_spots: Vec<BlindSpot>,
}

impl Releases {
    /// The embedded data.
    ///
    /// # Errors
    /// It cannot be read; a test shows that it can.
    pub fn embedded() -> Result<Self, ReleasesError> {
        file::read(EMBEDDED)
    }

    /// A change by its id.
    pub fn change(&self, id: &str) -> Option<&Change> {
        self.changes.iter().find(|change| change.id == id)
    }

    /// All blind spots, in the order of the file.
    pub fn blind_spots(&self) -> &[BlindSpot] {
        &self.blind_spots
    }
}

#[cfg(test)]
mod tests;
