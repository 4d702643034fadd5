//! The rows of many sealed files of one start as one sequence in the order of `event_time` and `seq`.
//!
//! Each file is compared with what was signed for it: its bytes before it is decoded, its rows after the last one. A file is
//! open only from its first row to its last, so normally one or two are; each holds one page a column and a batch of rows.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::RewriteError;
use super::stock::StatedFile;
use crate::archive::canonical;
use crate::archive::content::Fingerprint;
use crate::archive::digest::Sha256;
use crate::archive::file::FileError;
use crate::archive::manifest;
use crate::archive::rows::Decoder;
use crate::archive::sealed::{SealedError, SealedFile, guarded};
use crate::record::Row;

/// Rows decoded at a time from one file.
const BATCH_ROWS: usize = 256;

/// A row and its leaf hash as the file has it.
#[derive(Debug)]
pub(super) struct Leafed {
    pub(super) row: Row,
    pub(super) leaf: Sha256,
    /// SHA-256 of the schema of the file.
    pub(super) schema: Sha256,
}

/// The merged sequence.
pub(super) struct Merge<'a> {
    audit_dir: &'a Path,
    /// Not begun, in the order of their first row.
    waiting: VecDeque<(i64, &'a StatedFile)>,
    sources: Vec<Source<'a>>,
    /// Position of each open source's next row, and which source it is.
    heads: BinaryHeap<Reverse<(i64, u64, usize)>>,
}

impl<'a> Merge<'a> {
    /// `files` are of one start.
    pub(super) fn new(audit_dir: &'a Path, files: &'a [StatedFile]) -> Self {
        let first_us = |stated: &StatedFile| manifest::parse_time_text(&stated.file.first_event_time);
        let mut waiting: Vec<_> = files.iter().map(|stated| (first_us(stated).unwrap_or(i64::MIN), stated)).collect();
        waiting.sort_by_key(|(first_us, stated)| (*first_us, stated.file.first_seq));
        Self { audit_dir, waiting: waiting.into(), sources: Vec::new(), heads: BinaryHeap::new() }
    }

    /// The next row; `None` after the last one of every file.
    pub(super) fn next(&mut self) -> Result<Option<Leafed>, RewriteError> {
        while let Some((first_us, stated)) = self.waiting.front() {
            if self.heads.peek().is_some_and(|Reverse((next_us, ..))| next_us < first_us) {
                break;
            }
            let source = Source::open(self.audit_dir, stated)?;
            self.waiting.pop_front();
            self.sources.push(source);
            self.announce(self.sources.len() - 1)?;
        }
        let Some(Reverse((.., index))) = self.heads.pop() else { return Ok(None) };
        let next = self.sources.get_mut(index).and_then(|source| source.next.take());
        self.announce(index)?;
        Ok(next)
    }

    /// Reads the next row of a source, or ends it.
    fn announce(&mut self, index: usize) -> Result<(), RewriteError> {
        if let Some(source) = self.sources.get_mut(index)
            && let Some(position) = source.advance()?
        {
            self.heads.push(Reverse((position.0, position.1, index)));
        }
        Ok(())
    }
}

/// A file being read row by row.
struct Source<'a> {
    stated: &'a StatedFile,
    path: PathBuf,
    epoch: u64,
    /// `None` after the last batch.
    reader: Option<ParquetRecordBatchReader>,
    batch: Option<Batch>,
    /// Of the rows so far, in file order.
    leaves: Vec<Sha256>,
    last: Option<(i64, u64)>,
    next: Option<Leafed>,
}

struct Batch {
    decoder: Decoder,
    leaves: Vec<Sha256>,
    at: usize,
}

impl<'a> Source<'a> {
    fn open(audit_dir: &Path, stated: &'a StatedFile) -> Result<Self, RewriteError> {
        let path = audit_dir.join(&stated.file.path);
        let found = Fingerprint::of(&path).map_err(FileError::io("reading", &path))?;
        if found.sha256 != stated.file.sha256 {
            return Err(RewriteError::Modified(path));
        }
        let opened = guarded(|| {
            let file = SealedFile::open(&path)?;
            Ok((file.epoch(), file.reader(false)?.with_batch_size(BATCH_ROWS).build()?))
        });
        let (epoch, reader) = opened.map_err(unreadable(&path))?;
        let reader = Some(reader);
        Ok(Self { stated, path, epoch, reader, batch: None, leaves: Vec::new(), last: None, next: None })
    }

    /// Makes the next row ready and returns its position; `None` after the last.
    fn advance(&mut self) -> Result<Option<(i64, u64)>, RewriteError> {
        loop {
            if let Some(batch) = &mut self.batch
                && let Some(leaf) = batch.leaves.get(batch.at).copied()
            {
                let row = batch.decoder.row(batch.at).map_err(SealedError::from).map_err(unreadable(&self.path))?;
                batch.at += 1;
                let position = (row.intent.event_time_us, row.seq);
                if self.last.replace(position).is_some_and(|last| last >= position) {
                    return Err(RewriteError::NotSorted(self.path.clone()));
                }
                self.next = Some(Leafed { row, leaf, schema: self.stated.file.schema_sha256 });
                return Ok(Some(position));
            }
            if !self.read_batch()? {
                return self.end().map(|()| None);
            }
        }
    }

    /// Whether there was another batch.
    fn read_batch(&mut self) -> Result<bool, RewriteError> {
        let Some(reader) = &mut self.reader else { return Ok(false) };
        let epoch = self.epoch;
        let read = guarded(|| {
            let Some(batch) = reader.next() else { return Ok(None) };
            let batch = batch?;
            Ok(Some(Batch { decoder: Decoder::new(&batch, epoch)?, leaves: canonical::leaves(&batch)?, at: 0 }))
        });
        self.batch = read.map_err(unreadable(&self.path))?;
        match &self.batch {
            Some(batch) => self.leaves.extend(&batch.leaves),
            None => self.reader = None,
        }
        Ok(self.batch.is_some())
    }

    /// The rows that were read must be those signed for.
    fn end(&mut self) -> Result<(), RewriteError> {
        let leaves = std::mem::take(&mut self.leaves);
        let StatedFile { start, file, .. } = self.stated;
        let same = leaves.len() as u64 == file.rows
            && canonical::merkle_root(&leaves) == file.merkle_root
            && self.epoch == start.epoch;
        if same { Ok(()) } else { Err(RewriteError::OtherRows(self.path.clone())) }
    }
}

fn unreadable(path: &Path) -> impl FnOnce(SealedError) -> RewriteError + '_ {
    move |source| RewriteError::Unreadable { path: path.to_owned(), source }
}
