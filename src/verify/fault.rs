//! Everything that can be wrong with evidence, and how bad each is. Pure.

use std::io;

use crate::archive::anchor::AnchorError;
use crate::archive::digest::Sha256;
use crate::archive::manifest::EntryError;
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
    EntryMissing,
    #[error("{0} entries are missing from the chain, from this one on")]
    EntriesMissing(u64),
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("{0}")]
    Entry(#[from] EntryError),
    #[error("does not hold as many entries of two lines as its name says")]
    Pack,
    #[error("is not the entry that the packed file has under its index")]
    Doubled,
    #[error("is signed with another key ({0}): verify with that one if it is known")]
    UnknownKey(Sha256),
    #[error("its signature does not match: it was modified, or forged")]
    Signature,
    #[error("hands over to a key that is none, or not the one it names")]
    RotatedKey,
    #[error("is entry {0} of the chain under another name")]
    Index(u64),
    #[error("does not continue the entry before it: that one, or this, was replaced")]
    Previous,
    #[error("states {0}, as an earlier entry does")]
    PathTwice(String),
    #[error("rewrites {0}, which no earlier entry states like that")]
    RewriteInput(String),
    #[error("rewrites {before} rows, of which {kept} are kept and {removed} removed, or names others as removed")]
    RewriteRows { before: u64, kept: u64, removed: u64 },
    #[error("does not belong here")]
    Stray,
    #[error("is missing")]
    FileMissing,
    #[error("was renamed to {0}")]
    Renamed(String),
    #[error("is a copy of {0}")]
    Copy(String),
    #[error("is in the dataset without a valid entry in the chain")]
    NotSigned,
    #[error("was rewritten and is still there; the next start of Tollgate removes it")]
    Superseded,
    #[error("has {found} bytes, {signed} were signed: truncated or modified")]
    Size { found: u64, signed: u64 },
    #[error("was modified: its bytes are not those that were signed")]
    Bytes,
    /// The bytes are those signed for, so the statement was wrong when it was made.
    #[error("its {0} is not what its entry states")]
    Statement(&'static str),
    #[error("{0}")]
    Sealed(#[from] SealedError),
    #[error("is missing: it is the list of the rows of {0}")]
    ListMissing(String),
    #[error("is missing, with the lists of the rows of {0} files")]
    ListsMissing(usize),
    #[error("was modified: it is not the list of rows that was signed")]
    ListModified,
    #[error("was anchored as {sha256} at {time} and is not that: the chain was cut off or written anew")]
    NotAnchored { sha256: Sha256, time: String },
    #[error("{0}")]
    Anchor(#[from] AnchorError),
    #[error("holds no anchor")]
    NoAnchor,
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
            Self::EntryMissing | Self::EntriesMissing(_) => "entry_missing",
            Self::Unreadable(_) => "unreadable",
            Self::Entry(_) => "entry_malformed",
            Self::Pack => "pack_malformed",
            Self::Doubled => "entry_doubled",
            Self::RotatedKey => "rotation_malformed",
            Self::UnknownKey(_) => "unknown_key",
            Self::Signature => "bad_signature",
            Self::Index(_) => "entry_renamed",
            Self::Previous => "chain_broken",
            Self::PathTwice(_) => "stated_twice",
            Self::RewriteInput(_) | Self::RewriteRows { .. } => "rewrite_mismatch",
            Self::Superseded => "file_superseded",
            Self::Stray => "stray_file",
            Self::FileMissing => "file_missing",
            Self::Renamed(_) => "file_renamed",
            Self::Copy(_) => "file_copied",
            Self::NotSigned => "file_not_signed",
            Self::Size { .. } => "file_size",
            Self::Bytes => "file_modified",
            Self::Statement(_) => "statement_mismatch",
            Self::Sealed(_) => "file_damaged",
            Self::ListMissing(_) | Self::ListsMissing(_) => "list_missing",
            Self::ListModified => "list_modified",
            Self::NotAnchored { .. } => "not_anchored",
            Self::Anchor(_) | Self::NoAnchor => "anchor_malformed",
            Self::SeqGap => "sequence_gap",
            Self::SeqTwice => "sequence_duplicate",
            Self::GapRows(_) => "gap_rows",
            Self::Segment(_) | Self::SegmentDamage(_) => "journal_damaged",
        }
    }

    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::GapRows(_) | Self::Segment(_) | Self::SegmentDamage(_) | Self::Superseded => Severity::Incomplete,
            Self::EntryMissing
            | Self::EntriesMissing(_)
            | Self::Unreadable(_)
            | Self::Entry(_)
            | Self::Pack
            | Self::Doubled
            | Self::RotatedKey
            | Self::RewriteInput(_)
            | Self::RewriteRows { .. }
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
            | Self::ListMissing(_)
            | Self::ListsMissing(_)
            | Self::ListModified
            | Self::NotAnchored { .. }
            | Self::Anchor(_)
            | Self::NoAnchor
            | Self::SeqGap
            | Self::SeqTwice => Severity::Tampered,
        }
    }
}
