//! The signed chain of this installation, open for appending: every entry is written here and nowhere else.
//!
//! One thread owns it, that of the sealer. An entry is whole and durable or not there. What entries say is not decided
//! here; [`super::cover`] states files, other threads send what they have to say as [`super::notes`].

use std::fs;
use std::path::Path;

use super::anchor::{Anchor, AnchorSignError};
use super::digest::Sha256;
use super::entries;
use super::file::{self, FileError, Steps};
use super::manifest::{self, Entry, FORMAT, Start};
use super::seal::Settings;
use super::signer::{KeyError, Signer};
use super::statement::Statement;
use crate::storage::Site;

const STEPS: Steps = Steps { write: Site::ManifestWrite, sync: Site::ManifestSync, rename: Site::ManifestRename };

/// Why an entry could not be written. The chain is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("an entry of the chain could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

/// The last entry of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub index: u64,
    /// Of both lines of the entry.
    pub sha256: Sha256,
}

/// The chain, open for appending.
pub struct Chain {
    settings: Settings,
    signer: Signer,
    head: Option<Head>,
    /// The last append failed, and may have got its entry into the directory all the same.
    in_doubt: bool,
    added: u64,
    last_time_us: i64,
}

impl Chain {
    /// Creates the directory, durably, and finds the end of the chain; reads no entry but the last.
    ///
    /// An entry that cannot be read as one does not keep Tollgate from starting; `verify` names it.
    pub fn open(settings: Settings, signer: Signer) -> Result<Self, FileError> {
        let dir = &settings.manifest_dir;
        fs::create_dir_all(dir).map_err(FileError::io("creating directory", dir))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            file::sync_dir(parent)?;
        }
        let head = head_of(dir)?;
        Ok(Self { settings, signer, head, in_doubt: false, added: 0, last_time_us: 0 })
    }

    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// Entries appended since the chain was opened.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.added
    }

    /// When the last of them was, in microseconds since the Unix epoch; 0 if there was none.
    #[must_use]
    pub fn last_time_us(&self) -> i64 {
        self.last_time_us
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The head signed to be anchored elsewhere, with its index; `None` for a chain without entries.
    pub fn anchor(&self, start: &Start, time_us: i64) -> Result<Option<(u64, Vec<u8>)>, AnchorSignError> {
        let Some(head) = self.head else { return Ok(None) };
        Ok(Some((head.index, Anchor::sign(head, &start.instance_id, time_us, &self.signer)?)))
    }

    /// Signs a statement and writes it, durably, as the new head. `start` is the one that wrote the rows the statement
    /// is about, or else the one that runs; `time_us` is now, in microseconds since the Unix epoch.
    pub fn append(&mut self, start: &Start, time_us: i64, statement: Statement) -> Result<Head, ChainError> {
        if self.in_doubt {
            self.head = head_of(&self.settings.manifest_dir)?;
        }
        let index = self.head.map_or(0, |head| head.index).saturating_add(1);
        let entry = Entry {
            format: FORMAT,
            index,
            previous: self.head.map(|head| head.sha256),
            key_id: self.signer.public().id(),
            instance_id: start.instance_id.clone(),
            epoch: start.epoch,
            time: manifest::time_text(time_us),
            statement,
        };
        let line = entry.to_line()?;
        let bytes = manifest::entry_bytes(&line, &self.signer.sign(&line)?);
        self.in_doubt = true;
        self.write(index, &bytes)?;
        self.in_doubt = false;
        let head = Head { index, sha256: Sha256::of(&bytes) };
        self.head = Some(head);
        self.added += 1;
        self.last_time_us = time_us;
        Ok(head)
    }

    fn write(&self, index: u64, bytes: &[u8]) -> Result<(), FileError> {
        let name = manifest::file_name(index);
        let (staged, path) = (self.settings.staging_dir.join(&name), self.settings.manifest_dir.join(&name));
        file::place(&staged, &path, bytes, &STEPS)
    }
}

/// The end of the chain on disk. Of a last entry that cannot be read as one, all bytes count.
fn head_of(dir: &Path) -> Result<Option<Head>, FileError> {
    let listing = entries::list(dir).map_err(FileError::io("listing", dir))?;
    let Some(piece) = listing.pieces.last() else { return Ok(None) };
    let bytes = piece.bytes().map_err(FileError::io("reading", &piece.path))?;
    let last = piece.split(&bytes).and_then(|entries| entries.last().map(|(_, entry)| *entry));
    Ok(Some(Head { index: *piece.indices.end(), sha256: Sha256::of(last.unwrap_or(&bytes)) }))
}
