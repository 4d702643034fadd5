//! Everything that can be wrong with evidence, and how bad each is. Pure.

use std::io;

use crate::archive::digest::Sha256;
use crate::archive::manifest::ManifestError;
use crate::archive::sealed::SealedError;
use crate::journal::segment::ReadError;

/// What a fault says about the evidence as a whole; ordered by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Everything is as it was written, but records are known to be missing.
    Incomplete,
    /// Something is not as it was signed.
    Tampered,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("is missing from the chain")]
    ManifestMissing,
    #[error("{0} manifests are missing from the chain, from this one on")]
    ManifestsMissing(u64),
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    #[error("is signed with another key ({0}): verify with that one if it is known")]
    UnknownKey(Sha256),
    #[error("its signature does not match: it was modified, or forged")]
    Signature,
    #[error("is manifest {0} of the chain under another name")]
    Index(u64),
    #[error("does not continue the manifest before it: that one, or this, was replaced")]
    Previous,
    #[error("states {0}, as an earlier manifest does")]
    PathTwice(String),
    #[error("does not belong here")]
    Stray,
    #[error("is missing")]
    FileMissing,
    #[error("was renamed to {0}")]
    Renamed(String),
    #[error("is a copy of {0}")]
    Copy(String),
    #[error("is in the dataset without a valid manifest")]
    NotSigned,
    #[error("has {found} bytes, {signed} were signed: truncated or modified")]
    Size { found: u64, signed: u64 },
    #[error("was modified: its bytes are not those that were signed")]
    Bytes,
    /// The bytes are those signed for, so the statement was wrong when it was made.
    #[error("its {0} is not what its manifest states")]
    Statement(&'static str),
    #[error("{0}")]
    Sealed(#[from] SealedError),
    #[error("these rows are nowhere: they were removed before they were signed for")]
    SeqGap,
    #[error("these rows are in more than one sealed file")]
    SeqTwice,
    #[error("holds {0} rows that stand for records which were lost while they were recorded")]
    GapRows(u64),
    #[error("{0}")]
    Segment(#[from] ReadError),
    #[error("{0} bytes of it are damaged; the next start of Tollgate repairs it and records what is missing")]
    SegmentDamage(u64),
}

impl Fault {
    /// Stable identifier for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ManifestMissing | Self::ManifestsMissing(_) => "manifest_missing",
            Self::Unreadable(_) => "unreadable",
            Self::Manifest(_) => "manifest_malformed",
            Self::UnknownKey(_) => "unknown_key",
            Self::Signature => "bad_signature",
            Self::Index(_) => "manifest_renamed",
            Self::Previous => "chain_broken",
            Self::PathTwice(_) => "stated_twice",
            Self::Stray => "stray_file",
            Self::FileMissing => "file_missing",
            Self::Renamed(_) => "file_renamed",
            Self::Copy(_) => "file_copied",
            Self::NotSigned => "file_not_signed",
            Self::Size { .. } => "file_size",
            Self::Bytes => "file_modified",
            Self::Statement(_) => "statement_mismatch",
            Self::Sealed(_) => "file_damaged",
            Self::SeqGap => "sequence_gap",
            Self::SeqTwice => "sequence_duplicate",
            Self::GapRows(_) => "gap_rows",
            Self::Segment(_) | Self::SegmentDamage(_) => "journal_damaged",
        }
    }

    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::GapRows(_) | Self::Segment(_) | Self::SegmentDamage(_) => Severity::Incomplete,
            Self::ManifestMissing
            | Self::ManifestsMissing(_)
            | Self::Unreadable(_)
            | Self::Manifest(_)
            | Self::UnknownKey(_)
            | Self::Signature
            | Self::Index(_)
            | Self::Previous
            | Self::PathTwice(_)
            | Self::Stray
            | Self::FileMissing
            | Self::Renamed(_)
            | Self::Copy(_)
            | Self::NotSigned
            | Self::Size { .. }
            | Self::Bytes
            | Self::Statement(_)
            | Self::Sealed(_)
            | Self::SeqGap
            | Self::SeqTwice => Severity::Tampered,
        }
    }
}
