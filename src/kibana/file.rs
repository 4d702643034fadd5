//! Reads `releases.yml`.

use serde::Deserialize;

use super::version::{Line, Version};
use super::{Backport, BlindSpot, BlindSpotKind, Change, Releases};

/// Why the data cannot be used. It is part of the program, so this is a defect of the program.
#[derive(Debug, thiserror::Error)]
pub enum ReleasesError {
    #[error("the embedded list of Kibana releases is not valid YAML: {0}; report this")]
    Yaml(String),
    #[error("the embedded list of Kibana releases holds \"{0}\", which is no version; report this")]
    Version(String),
    #[error("the embedded list of Kibana releases refers to \"{0}\", which it does not hold; report this")]
    Reference(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    changes: Vec<RawChange>,
    blind_spots: Vec<RawBlindSpot>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChange {
    id: String,
    reference: String,
    merged: String,
    first: String,
    #[serde(default)]
    lines: Vec<RawBackport>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBackport {
    line: String,
    reference: String,
    #[serde(default)]
    from: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBlindSpot {
    id: String,
    connectors: Vec<String>,
    kind: RawKind,
    what: String,
    fix: String,
    #[serde(default)]
    opened_by: Option<String>,
    #[serde(default)]
    closed_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Bypass,
    NoEgress,
}

pub(super) fn read(text: &str) -> Result<Releases, ReleasesError> {
    let file: RawFile = serde_saphyr::from_str_with_options(text, crate::yaml::options(text))
        .map_err(|error| ReleasesError::Yaml(error.to_string()))?;
    let changes = file.changes.into_iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let spots = file.blind_spots.into_iter().map(|raw| blind_spot(raw, &changes));
    let blind_spots = spots.collect::<Result<Vec<_>, _>>()?;
    Ok(Releases { changes, blind_spots })
}

fn change(raw: RawChange) -> Result<Change, ReleasesError> {
    let lines = raw.lines.into_iter().map(backport).collect::<Result<Vec<_>, _>>()?;
    Ok(Change { id: raw.id, reference: raw.reference, merged: raw.merged, first: release(&raw.first)?, lines })
}

fn backport(raw: RawBackport) -> Result<Backport, ReleasesError> {
    let from = raw.from.as_deref().map(release).transpose()?;
    Ok(Backport { line: line(&raw.line)?, reference: raw.reference, from })
}

/// A version with its patch.
fn release(text: &str) -> Result<Version, ReleasesError> {
    let version = text.parse().ok().filter(|version: &Version| version.patch.is_some());
    version.ok_or_else(|| ReleasesError::Version(text.to_owned()))
}

/// A version without one.
fn line(text: &str) -> Result<Line, ReleasesError> {
    let version = text.parse().ok().filter(|version: &Version| version.patch.is_none());
    version.map(|version| version.line).ok_or_else(|| ReleasesError::Version(text.to_owned()))
}

fn blind_spot(raw: RawBlindSpot, changes: &[Change]) -> Result<BlindSpot, ReleasesError> {
    let change = |id: Option<String>| {
        let found = id.map(|id| changes.iter().find(|change| change.id == id).cloned().ok_or(id));
        found.transpose().map_err(ReleasesError::Reference)
    };
    let kind = match raw.kind {
        RawKind::Bypass => BlindSpotKind::Bypass,
        RawKind::NoEgress => BlindSpotKind::NoEgress,
    };
    let (opened_by, closed_by) = (change(raw.opened_by)?, change(raw.closed_by)?);
    Ok(BlindSpot { id: raw.id, connectors: raw.connectors, kind, what: raw.what, fix: raw.fix, opened_by, closed_by })
}
