//! One rewrite made ready in staging: the rows that are kept in a new file, those that are not in a statement.
//!
//! Nothing in the dataset is touched, and nothing is stated yet. Memory: for each row of the inputs its number or its leaf
//! hash, twice where it is kept, beside what reading (`merge`) and the Parquet writer's row group take.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::RewriteError;
use super::holds::LegalHold;
use super::merge::{Leafed, Merge};
use super::pace::Pace;
use super::stock::StatedFile;
use crate::archive::canonical;
use crate::archive::content::{Content, Fingerprint, Hashed};
use crate::archive::cover;
use crate::archive::dataset::FileName;
use crate::archive::digest::Sha256;
use crate::archive::file::FileError;
use crate::archive::leaves;
use crate::archive::manifest::{self, Start};
use crate::archive::properties::{Identity, REWRITING_LEVEL, writer_properties};
use crate::archive::rows;
use crate::archive::schema::arrow_schema;
use crate::archive::seal::Settings;
use crate::archive::sealed::SealedError;
use crate::archive::statement::{FileStatement, RemovedRows, RewriteInput, RewriteReason, RewriteStatement};
use crate::record::Row;
use crate::storage::{self, Site};

/// Rows encoded at a time.
const BATCH_ROWS: usize = 1024;
/// Most ranges of removed rows one entry names; see [`manifest::ENTRY_BYTES_MAX`].
const RANGES_MAX: usize = 150_000;

/// Files of one start and one day that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) reason: RewriteReason,
    pub(super) files: Vec<StatedFile>,
}

impl Batch {
    /// The start that wrote the rows.
    pub(super) fn start(&self) -> Option<&Start> {
        self.files.first().map(|file| &file.start)
    }
}

/// Writes what is kept of `batch` into `out_dir`, durably but for the directory. `None` if the batch may stay as it is:
/// it is to be removed, and every row is held.
pub(super) fn stage(
    settings: &Settings,
    out_dir: &Path,
    batch: &Batch,
    holds: &[LegalHold],
    pace: &mut Pace<'_>,
) -> Result<Option<RewriteStatement>, RewriteError> {
    let mut merge = Merge::new(&settings.audit_dir, &batch.files);
    let mut removed = Tally::default();
    let mut output: Option<Output> = None;
    let rows_max = batch.files.iter().map(|file| file.file.rows as usize).sum();
    while let Some(leafed) = merge.next()? {
        pace.breathe()?;
        let kept = match batch.reason {
            RewriteReason::Compaction => true,
            RewriteReason::Retention => holds.iter().any(|hold| hold.holds(&leafed.row.intent)),
        };
        if kept {
            let output = match &mut output {
                Some(output) => output,
                None => output.insert(Output::create(settings, out_dir, &leafed.row, rows_max)?),
            };
            output.push(leafed)?;
        } else {
            removed.add(&leafed.row);
        }
    }
    let removed = removed.finish(batch)?;
    if batch.reason == RewriteReason::Retention && removed.is_none() {
        return match output {
            Some(output) => output.discard().map(|()| None),
            None => Ok(None),
        };
    }
    let partition = batch.files.first().and_then(|file| file.file.path.split_once('/')).map_or("", |(day, _)| day);
    let output = output.map(|output| output.finish(settings, out_dir, partition)).transpose()?;
    let input = |stated: &StatedFile| RewriteInput {
        path: stated.file.path.clone(),
        sha256: stated.file.sha256,
        index: stated.index,
    };
    let holds = match batch.reason {
        RewriteReason::Compaction => Vec::new(),
        RewriteReason::Retention => holds.iter().map(|hold| hold.name.clone()).collect(),
    };
    let inputs = batch.files.iter().map(input).collect();
    Ok(Some(RewriteStatement { reason: batch.reason, inputs, output, removed, holds }))
}

/// Rows that are removed.
#[derive(Default)]
struct Tally {
    seqs: Vec<u64>,
    times: Option<(i64, i64)>,
}

impl Tally {
    fn add(&mut self, row: &Row) {
        let time_us = row.intent.event_time_us;
        let (first, last) = self.times.unwrap_or((time_us, time_us));
        self.times = Some((first.min(time_us), last.max(time_us)));
        self.seqs.push(row.seq);
    }

    fn finish(mut self, batch: &Batch) -> Result<Option<RemovedRows>, RewriteError> {
        let Some((first_us, last_us)) = self.times else { return Ok(None) };
        self.seqs.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for seq in &self.seqs {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(*seq) => *last = *seq,
                Some(_) | None => ranges.push((*seq, *seq)),
            }
        }
        if ranges.len() > RANGES_MAX {
            let path = batch.files.first().map(|file| PathBuf::from(&file.file.path)).unwrap_or_default();
            return Err(RewriteError::TooManyRanges(path));
        }
        Ok(Some(RemovedRows {
            rows: self.seqs.len() as u64,
            seqs: ranges,
            first_event_time: manifest::time_text(first_us),
            last_event_time: manifest::time_text(last_us),
        }))
    }
}

/// The new file while it is written.
struct Output {
    path: PathBuf,
    writer: ArrowWriter<Hashed<File>>,
    identity: Identity,
    schema: Sha256,
    waiting: Vec<Row>,
    /// Leaf hash of every row as its old file has it.
    leaves: Vec<Sha256>,
}

impl Output {
    fn create(settings: &Settings, out_dir: &Path, first: &Row, rows_max: usize) -> Result<Self, RewriteError> {
        let path = out_dir.join("unfinished");
        let created = storage::create(Site::RewriteWrite, &path);
        let file = Hashed::new(created.map_err(FileError::io("creating", &path))?);
        let properties = writer_properties(rows_max, settings.row_group_rows, REWRITING_LEVEL);
        let properties = properties.map_err(FileError::parquet(&path))?;
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, arrow_schema(), options);
        let writer = writer.map_err(FileError::parquet(&path))?;
        let schema = canonical::schema_fingerprint(&arrow_schema()).map_err(SealedError::from);
        let schema = schema.map_err(|source| FileError::Content { path: path.clone(), source })?;
        let identity = Identity { rows: 0, ..Identity::of(&first.writer, first.seq) };
        Ok(Self { path, writer, identity, schema, waiting: Vec::new(), leaves: Vec::new() })
    }

    fn push(&mut self, leafed: Leafed) -> Result<(), RewriteError> {
        let Leafed { row, leaf, schema } = leafed;
        if schema != self.schema {
            return Err(RewriteError::OtherSchema);
        }
        self.identity.and(row.seq);
        self.leaves.push(leaf);
        self.waiting.push(row);
        if self.waiting.len() >= BATCH_ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), RewriteError> {
        let batch = rows::encode(&self.waiting.iter().collect::<Vec<_>>());
        let batch = batch.map_err(|source| FileError::Encode { path: self.path.clone(), source })?;
        self.waiting.clear();
        Ok(self.writer.write(&batch).map_err(FileError::parquet(&self.path))?)
    }

    /// Makes the file durable under its final name and reads it back: it must hold the rows that went in, in order. The
    /// list of its rows is durable then, too.
    fn finish(mut self, settings: &Settings, out_dir: &Path, partition: &str) -> Result<FileStatement, RewriteError> {
        self.write()?;
        for pair in self.identity.metadata() {
            self.writer.append_key_value_metadata(pair);
        }
        let (file, fingerprint) = self.writer.into_inner().map_err(FileError::parquet(&self.path))?.finish();
        storage::sync(Site::RewriteSync, &file, &self.path).map_err(FileError::io("syncing", &self.path))?;
        let Identity { writer, first_seq, last_seq, .. } = &self.identity;
        let name = FileName::new(writer, *first_seq, *last_seq);
        let name = name.ok_or_else(|| RewriteError::OtherRows(self.path.clone()))?.to_string();
        let path = out_dir.join(&name);
        storage::rename(Site::RewriteRename, &self.path, &path).map_err(FileError::io("naming", &path))?;

        let found = Fingerprint::of(&path).map_err(FileError::io("reading", &path))?;
        let content = Content::read(&path);
        let content = content.map_err(|source| RewriteError::Unreadable { path: path.clone(), source })?;
        if found != fingerprint || content.leaves != self.leaves {
            return Err(RewriteError::OtherRows(path));
        }
        let listed = leaves::write(settings, &content.leaves)?;
        let statement = cover::statement(format!("{partition}/{name}"), fingerprint, &content, listed);
        statement.ok_or(RewriteError::OtherRows(path))
    }

    fn discard(self) -> Result<(), RewriteError> {
        Ok(storage::remove(Site::RewriteRemove, &self.path).map_err(FileError::io("removing", &self.path))?)
    }
}
