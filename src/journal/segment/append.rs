//! Creating a segment file and appending to it.
//!
//! A segment appears under its final name only once its header and first frames are durable. When to create one, when
//! to sync one and what to do after an error is `log`'s to decide.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::super::frame::{EncodeError, Header, PAYLOAD_BYTES_CEILING, Payload, Seed};
use super::{Contents, SegmentId, TEMPORARY_EXTENSION};
use crate::record::Row;
use crate::storage::{self, Site};

/// Why a segment cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} was removed or replaced while it was being written", path.display())]
    Replaced { path: PathBuf },
    #[error("{} has {found} bytes but {expected} were written to it", path.display())]
    LengthChanged { path: PathBuf, expected: u64, found: u64 },
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl SegmentError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// An open segment file, written by one thread.
#[derive(Debug)]
pub(in super::super) struct Segment {
    file: File,
    path: PathBuf,
    device: u64,
    inode: u64,
    seed: Seed,
    /// Bytes written to the file, synced or not.
    length: u64,
    /// Up to where the file system has promised space; `None` when it makes no promises.
    reserved: Option<u64>,
}

/// Space is reserved in steps of this many bytes.
const RESERVE_BYTES: u64 = 1 << 20;

impl Segment {
    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }

    pub(in super::super) fn file(&self) -> &File {
        &self.file
    }

    pub(in super::super) const fn seed(&self) -> Seed {
        self.seed
    }

    pub(in super::super) const fn length(&self) -> u64 {
        self.length
    }

    /// Appends whole frames in one write. After an error the segment must not be written again.
    pub(in super::super) fn append(&mut self, frames: &[u8]) -> Result<(), SegmentError> {
        self.reserve(frames.len() as u64)?;
        let appended = storage::append(Site::JournalAppend, &self.file, &self.path, frames);
        appended.map_err(SegmentError::io("append to", &self.path))?;
        self.length += frames.len() as u64;
        Ok(())
    }

    /// Makes sure that there is space for `more` bytes before one of them is written.
    fn reserve(&mut self, more: u64) -> Result<(), SegmentError> {
        let Some(reserved) = self.reserved.filter(|reserved| *reserved < self.length + more) else { return Ok(()) };
        let bytes = (self.length + more - reserved).next_multiple_of(RESERVE_BYTES);
        match storage::reserve(Site::JournalReserve, &self.file, reserved, bytes) {
            Ok(()) => self.reserved = Some(reserved + bytes),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.reserved = None,
            Err(error) => return Err(SegmentError::io("reserve space for", &self.path)(error)),
        }
        Ok(())
    }

    /// Gives back what was reserved and is not needed.
    pub(in super::super) fn release_reserve(&self) -> Result<(), SegmentError> {
        self.file.set_len(self.length).map_err(SegmentError::io("give back space of", &self.path))
    }

    /// Checks that the path still leads to this file and that nobody else changed its length.
    pub(in super::super) fn check_identity(&self) -> Result<(), SegmentError> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SegmentError::Replaced { path: self.path.clone() });
            }
            Err(error) => return Err(SegmentError::io("inspect", &self.path)(error)),
        };
        if (found.dev(), found.ino()) != (self.device, self.inode) {
            return Err(SegmentError::Replaced { path: self.path.clone() });
        }
        if found.len() != self.length {
            let path = self.path.clone();
            return Err(SegmentError::LengthChanged { path, expected: self.length, found: found.len() });
        }
        Ok(())
    }

    /// Reads the first `length` bytes through the open file, which works even when the path is gone. Returns fewer
    /// when the file became shorter.
    pub(in super::super) fn read_back(&self, length: u64) -> Result<Vec<u8>, SegmentError> {
        let mut bytes = vec![0; length as usize];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SegmentError::io("read back", &self.path)(error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// Creates the segment `header` describes in `dir`, holding `frames` (payload and `seq`), all durable.
pub(in super::super) fn create<'a>(
    dir: &Path,
    header: &Header,
    frames: impl IntoIterator<Item = (&'a Payload, u64)>,
) -> Result<Segment, SegmentError> {
    let (mut bytes, seed) = header.encode()?;
    for (payload, seq) in frames {
        payload.write_frame(seed, seq, &mut bytes);
    }
    let id = SegmentId { epoch: header.writer.epoch, number: header.number };
    let path = dir.join(id.file_name());
    let file = write_durable(&path, &bytes)?;
    let metadata = file.metadata().map_err(SegmentError::io("inspect", &path))?;
    let length = bytes.len() as u64;
    Ok(Segment { file, path, device: metadata.dev(), inode: metadata.ino(), seed, length, reserved: Some(length) })
}

/// Whether a rewritten segment ends with a close frame, which says that its open intents are in a later segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Ending {
    Close,
    Open,
}

/// Replaces the segment file `contents` was read from by one with the same header, the same open intents, and `rows`.
/// Whoever opens the path sees the old file or the new one, whole.
pub(in super::super) fn replace(
    path: &Path,
    contents: &Contents,
    rows: &[Row],
    ending: Ending,
) -> Result<(), SegmentError> {
    let header =
        Header { writer: contents.writer.as_ref().clone(), number: contents.number, first_seq: contents.first_seq };
    let (mut bytes, seed) = header.encode()?;
    // A payload that was read fits: the reader's ceiling is no lower than any writer's limit.
    let bytes_max = PAYLOAD_BYTES_CEILING;
    for intent in &contents.open {
        Payload::intent(intent, bytes_max)?.write_frame(seed, 0, &mut bytes);
    }
    for row in rows {
        Payload::row(&row.intent, &row.outcome, bytes_max)?.write_frame(seed, row.seq, &mut bytes);
    }
    match ending {
        Ending::Close => Payload::close().write_frame(seed, 0, &mut bytes),
        Ending::Open => {}
    }
    write_durable(path, &bytes).map(drop)
}

/// Writes a file under a temporary name, syncs it, renames it to `path` and syncs the directory.
pub(in super::super) fn write_durable(path: &Path, bytes: &[u8]) -> Result<File, SegmentError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".");
    temporary.push(TEMPORARY_EXTENSION);
    let temporary = PathBuf::from(temporary);
    match storage::remove(Site::SegmentRemove, &temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SegmentError::io("remove", &temporary)(error));
        }
        Ok(()) | Err(_) => {}
    }
    // In append mode, a file that somebody cut short stays too short, which the check after each commit notices.
    let file = storage::create_new(Site::SegmentWrite, &temporary).map_err(SegmentError::io("create", &temporary))?;
    storage::append(Site::SegmentWrite, &file, &temporary, bytes).map_err(SegmentError::io("write", &temporary))?;
    storage::sync(Site::SegmentSync, &file, &temporary).map_err(SegmentError::io("sync", &temporary))?;
    storage::rename(Site::SegmentRename, &temporary, path).map_err(SegmentError::io("rename to", path))?;
    if let Some(dir) = path.parent() {
        sync_dir(dir)?;
    }
    Ok(file)
}

/// Makes the directory's entries durable.
pub(in super::super) fn sync_dir(dir: &Path) -> Result<(), SegmentError> {
    storage::sync_dir(Site::SegmentDirSync, dir).map_err(SegmentError::io("sync directory", dir))
}
