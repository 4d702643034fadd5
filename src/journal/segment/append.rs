//! Creating a segment file and adding frames to it.
//!
//! A segment appears under its final name only once its header and first frames are durable. Further frames are written
//! over zeros that were written before them, step by step, so that the sync of most commits has nothing to write but the
//! frames: size and blocks of the file stay. While it is written, the file ends at least one byte behind its frames. When to
//! create one, when to sync one and what to do after an error is `log`'s to decide.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::frame::{EncodeError, Header, PAYLOAD_BYTES_CEILING, Payload, Seed};
use super::identity::{self, FileId};
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
    identity: FileId,
    seed: Seed,
    /// Bytes of header and frames, synced or not.
    length: u64,
    /// Bytes of the file: header, frames and the zeros behind them.
    extent: u64,
}

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

    /// Bytes of header and frames; the file has zeros behind them.
    pub(in super::super) const fn length(&self) -> u64 {
        self.length
    }

    /// Adds whole frames in one write, after zeros in steps of `fill_bytes` if there are not enough. After an error the
    /// segment must not be written again.
    pub(in super::super) fn append(&mut self, frames: &[u8], fill_bytes: u64) -> Result<(), SegmentError> {
        self.fill(frames.len() as u64, fill_bytes)?;
        self.write(frames)
    }

    /// Makes sure that there are zeros for `more` bytes and one beyond them. A disk that has no room for them says so here,
    /// before a frame is written.
    fn fill(&mut self, more: u64, fill_bytes: u64) -> Result<(), SegmentError> {
        let needed = self.length + more + 1;
        if needed <= self.extent {
            return Ok(());
        }
        // Zeros beyond its end would hide that somebody cut the file short.
        self.check_identity()?;
        let zeros = vec![0; fill_bytes as usize];
        while self.extent < needed {
            storage::write_at(Site::JournalReserve, &self.file, &self.path, self.extent, &zeros)
                .map_err(SegmentError::io("make room in", &self.path))?;
            self.extent += fill_bytes;
        }
        Ok(())
    }

    fn write(&mut self, frames: &[u8]) -> Result<(), SegmentError> {
        storage::write_at(Site::JournalAppend, &self.file, &self.path, self.length, frames)
            .map_err(SegmentError::io("append to", &self.path))?;
        self.length += frames.len() as u64;
        Ok(())
    }

    /// Cuts off the zeros behind the frames.
    pub(in super::super) fn cut(&mut self) -> Result<(), SegmentError> {
        // Cut to a length it does not have any more, the file would get zeros in place of frames.
        self.check_identity()?;
        storage::cut(Site::JournalCut, &self.file, &self.path, self.length)
            .map_err(SegmentError::io("cut", &self.path))?;
        self.extent = self.length;
        Ok(())
    }

    /// Adds the last frames, without zeros behind them: the segment was [`cut`](Self::cut).
    pub(in super::super) fn append_last(&mut self, frames: &[u8]) -> Result<(), SegmentError> {
        self.write(frames)?;
        self.extent = self.length;
        Ok(())
    }

    /// Checks that the path still leads to this file and that nobody else changed its length.
    pub(in super::super) fn check_identity(&self) -> Result<(), SegmentError> {
        let found = match identity::at(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SegmentError::Replaced { path: self.path.clone() });
            }
            Err(error) => return Err(SegmentError::io("inspect", &self.path)(error)),
        };
        if found.file != self.identity {
            return Err(SegmentError::Replaced { path: self.path.clone() });
        }
        if found.len != self.extent {
            let path = self.path.clone();
            return Err(SegmentError::LengthChanged { path, expected: self.extent, found: found.len });
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
    let identity = FileId::of(&file.metadata().map_err(SegmentError::io("inspect", &path))?);
    let length = bytes.len() as u64;
    Ok(Segment { file, path, identity, seed, length, extent: length })
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
    let file = storage::create_new(Site::SegmentWrite, &temporary).map_err(SegmentError::io("create", &temporary))?;
    storage::write_at(Site::SegmentWrite, &file, &temporary, 0, bytes)
        .map_err(SegmentError::io("write", &temporary))?;
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
