//! Signing for the sealed files of a segment before the segment is deleted.
//!
//! Doing it again after a crash at any step completes what is missing and changes nothing else. A sealed file is signed
//! for only if each of its rows is in the segment at hand, so that a file put into the dataset by somebody else never
//! gets a signature.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::batches::for_each_batch;
use super::canonical;
use super::chain::{Chain, ChainError};
use super::content::{Content, Fingerprint};
use super::dataset::{self, FileName};
use super::digest::Sha256;
use super::entries;
use super::file::FileError;
use super::leaves::{self, Listed};
use super::manifest::{self, SignedEntry, Start};
use super::seal::{self, Sealed, Settings};
use super::sealed::SealedError;
use super::statement::{FileStatement, Statement};
use crate::journal::segment::{Place, SegmentRows};

/// Why a sealed file could not be signed for. Its segment is kept.
#[derive(Debug, thiserror::Error)]
pub enum CoverError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path} {source}")]
    Unreadable { path: PathBuf, source: SealedError },
    #[error("{0} holds rows that its journal segment does not: move it out of the dataset and keep it as evidence")]
    ForeignRows(PathBuf),
}

/// A file that may hold rows of a segment.
struct Candidate {
    name: FileName,
    path: PathBuf,
    /// As entries spell it.
    relative: String,
}

/// Signs for every file that [`super::seal::seal`] wrote for these rows, now or before a crash, and that has no entry
/// yet. `rows` are all rows of one segment, `written` the files just written for them, `time_us` is now.
pub fn cover(chain: &mut Chain, rows: &SegmentRows<'_>, written: &[Sealed], time_us: i64) -> Result<(), CoverError> {
    for file in unsigned(chain.settings(), rows, written)? {
        let fingerprint = Fingerprint::of(&file.path).map_err(FileError::io("reading", &file.path))?;
        // Bytes that are still those just written hold the rows they were written for: they need not be decoded.
        let known = written.iter().find(|written| written.path == file.path && written.fingerprint == fingerprint);
        let read;
        let content = if let Some(written) = known {
            &written.content
        } else {
            read = content_on_disk(&file.path, rows)?;
            &read
        };
        // Durable before the entry that names it.
        let listed = leaves::write(chain.settings(), &content.leaves)?;
        if let Some(statement) = statement(file.relative, fingerprint, content, listed) {
            let start = Start { instance_id: file.name.instance_id().to_owned(), epoch: file.name.epoch() };
            chain.append(&start, time_us, Statement::File(statement))?;
        }
    }
    Ok(())
}

/// What a file holds, decoded from disk, if each of its rows is among `rows`.
fn content_on_disk(path: &Path, rows: &SegmentRows<'_>) -> Result<Content, CoverError> {
    let expected = leaves_of(rows, path)?;
    let content = Content::read(path);
    let content = content.map_err(|source| CoverError::Unreadable { path: path.to_owned(), source })?;
    if content.leaves.iter().all(|leaf| expected.contains(leaf)) {
        Ok(content)
    } else {
        Err(CoverError::ForeignRows(path.to_owned()))
    }
}

/// What an entry says about a file; `None` for a file without rows, which is never written. `relative` is its path
/// below the dataset, `listed` the list of its rows.
#[must_use]
pub fn statement(
    relative: String,
    fingerprint: Fingerprint,
    content: &Content,
    listed: Listed,
) -> Option<FileStatement> {
    let (seqs, (first_us, last_us)) = (content.seq_range()?, content.event_times?);
    Some(FileStatement {
        path: relative,
        bytes: fingerprint.bytes,
        sha256: fingerprint.sha256,
        rows: content.leaves.len() as u64,
        first_seq: *seqs.start(),
        last_seq: *seqs.end(),
        first_event_time: manifest::time_text(first_us),
        last_event_time: manifest::time_text(last_us),
        merkle_root: canonical::merkle_root(&content.leaves),
        schema_sha256: content.schema,
        policy_hashes: content.policy_hashes.iter().cloned().collect(),
        leaves_sha256: Some(listed.sha256()),
    })
}

/// The path as entries and reports spell it: relative to the dataset, `/` between the parts.
#[must_use]
pub fn relative(audit_dir: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(audit_dir).ok()?.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

/// Files without an entry that can hold some of these rows, in the order in which they are signed for.
fn unsigned(settings: &Settings, rows: &SegmentRows<'_>, written: &[Sealed]) -> Result<Vec<Candidate>, FileError> {
    let mut found = Vec::new();
    for (date, places) in seal::by_day(rows) {
        let Some((first, last)) = seal::seq_range(&places) else { continue };
        let Some(range) = FileName::new(rows.writer(), first, last) else { continue };
        let dir = settings.audit_dir.join(date.directory_name());
        let mut files = dataset::files(&dir).map_err(FileError::io("listing", &dir))?;
        files.retain(|(name, _)| name.overlaps(&range));
        files.sort_by_key(|(name, _)| name.to_string());
        found.extend(files.into_iter().filter_map(|(name, path)| {
            let relative = relative(&settings.audit_dir, &path)?;
            Some(Candidate { name, path, relative })
        }));
    }
    let stated = stated(&settings.manifest_dir, &found, written)?;
    found.retain(|file| !stated.contains(&file.relative));
    Ok(found)
}

/// Which of the files have an entry. Those just written have none, so normally nothing has to be read; after a crash
/// the chain is read backwards, at most to the start that wrote the first of the rows.
fn stated(dir: &Path, files: &[Candidate], written: &[Sealed]) -> Result<HashSet<String>, FileError> {
    let asked: Vec<&Candidate> =
        files.iter().filter(|file| !written.iter().any(|written| written.path == file.path)).collect();
    let mut sought: HashSet<&str> = asked.iter().map(|file| file.relative.as_str()).collect();
    let mut found = HashSet::new();
    if sought.is_empty() {
        return Ok(found);
    }
    let walked = entries::walk_back(dir, |SignedEntry { entry, .. }| {
        if let Some(file) = entry.statement.file()
            && sought.remove(file.path.as_str())
        {
            found.insert(file.path.clone());
        }
        let began = matches!(entry.statement, Statement::Start(_));
        let precedes = |name: &FileName| entry.instance_id == name.instance_id() && entry.epoch <= name.epoch();
        let nothing_before = began && asked.iter().all(|file| precedes(&file.name));
        !nothing_before && !sought.is_empty()
    });
    walked.map_err(FileError::io("reading", dir))?;
    Ok(found)
}

/// The leaf hashes of rows; `path` is only for the error.
fn leaves_of(rows: &SegmentRows<'_>, path: &Path) -> Result<HashSet<Sha256>, FileError> {
    let places: Vec<&Place<'_>> = rows.places().iter().collect();
    let mut leaves = HashSet::with_capacity(places.len());
    for_each_batch(path, rows, &places, |batch| {
        let hashed = canonical::leaves(batch).map_err(SealedError::from);
        leaves.extend(hashed.map_err(|source| FileError::Content { path: path.to_owned(), source })?);
        Ok(())
    })?;
    Ok(leaves)
}

#[cfg(test)]
mod tests;
