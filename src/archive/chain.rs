//! The chain of signed manifests on disk: `manifest/<index>.json`, dense from 1.
//!
//! [`Chain::cover`] signs for the sealed files of a segment before the segment is deleted. Doing it again after a
//! crash at any step completes what is missing and changes nothing else. A sealed file is signed for only if each of
//! its rows is in the segment at hand, so that a file put into the dataset by somebody else never gets a signature.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::canonical;
use super::content::{Content, Fingerprint};
use super::dataset::{self, EventDate, FileName};
use super::digest::Sha256;
use super::file::{self, FileError};
use super::manifest::{self, FORMAT, FileStatement, Kind, MANIFEST_BYTES_MAX, Manifest, SignedManifest};
use super::rows;
use super::seal::Settings;
use super::sealed::SealedError;
use super::signer::{KeyError, Signer};
use crate::record::Row;
use crate::storage::{self, Site};

/// Rows encoded at a time.
const BATCH_ROWS: usize = 1024;

/// Why a sealed file could not be signed for. Its segment is kept.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{path} {source}")]
    Unreadable { path: PathBuf, source: SealedError },
    #[error("{0} holds rows that its journal segment does not: move it out of the dataset and keep it as evidence")]
    ForeignRows(PathBuf),
    #[error("the statement about {path} could not be encoded: {source}")]
    Encode { path: PathBuf, source: serde_json::Error },
}

/// The manifests in `dir` by index, and the names there that are not those of manifests.
#[derive(Debug, Default)]
pub struct Listing {
    pub manifests: BTreeMap<u64, PathBuf>,
    pub strays: Vec<PathBuf>,
}

/// Lists a manifest directory. An absent directory is an empty chain.
pub fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_name().to_str().and_then(manifest::parse_file_name) {
            Some(index) => drop(listing.manifests.insert(index, entry.path())),
            None => listing.strays.push(entry.path()),
        }
    }
    Ok(listing)
}

/// The bytes of a manifest file, at most one more than [`MANIFEST_BYTES_MAX`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last manifest of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub index: u64,
    /// Of the bytes of the manifest file.
    pub sha256: Sha256,
}

/// The chain of this installation, open for appending.
pub struct Chain {
    dir: PathBuf,
    signer: Signer,
    head: Option<Head>,
    /// Paths, relative to the dataset, that have a manifest.
    covered: HashSet<String>,
}

impl Chain {
    /// Creates the directory, durably, and finds the end of the chain.
    ///
    /// A manifest that cannot be read as one does not keep Tollgate from starting; `verify` names it.
    pub fn open(dir: PathBuf, signer: Signer) -> Result<Self, FileError> {
        fs::create_dir_all(&dir).map_err(FileError::io("creating directory", &dir))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            file::sync_dir(parent)?;
        }
        let mut chain = Self { dir, signer, head: None, covered: HashSet::new() };
        let listing = list(&chain.dir).map_err(FileError::io("listing", &chain.dir))?;
        for (index, path) in listing.manifests {
            let bytes = read(&path).map_err(FileError::io("reading", &path))?;
            match SignedManifest::parse(&bytes) {
                Ok(parsed) => drop(chain.covered.insert(parsed.manifest.file.path)),
                Err(error) => tracing::error!(path = %path.display(), "manifest {error}; run `tollgate verify`"),
            }
            chain.head = Some(Head { index, sha256: Sha256::of(&bytes) });
        }
        Ok(chain)
    }

    /// Signs for every file that [`super::seal::seal`] wrote for these rows, now or before a crash, and that has no
    /// manifest yet. `rows` are all rows of one segment.
    pub fn cover(&mut self, settings: &Settings, rows: &[Row]) -> Result<(), ChainError> {
        let mut expected = None;
        for (name, path) in self.uncovered(settings, rows)? {
            let expected = match &mut expected {
                Some(leaves) => leaves,
                None => expected.insert(leaves_of(rows, &path)?),
            };
            let fingerprint = Fingerprint::of(&path).map_err(FileError::io("reading", &path))?;
            let content = Content::read(&path);
            let content = content.map_err(|source| ChainError::Unreadable { path: path.clone(), source })?;
            if !content.leaves.iter().all(|leaf| expected.contains(leaf)) {
                return Err(ChainError::ForeignRows(path));
            }
            if let Some(statement) = statement(&settings.audit_dir, &path, fingerprint, &content) {
                self.append(settings, &name, statement)?;
            }
        }
        Ok(())
    }

    /// Files without a manifest that can hold some of these rows, in the order in which they are signed for.
    fn uncovered(&self, settings: &Settings, rows: &[Row]) -> Result<Vec<(FileName, PathBuf)>, FileError> {
        let mut ranges: BTreeMap<(EventDate, &str, u64), Vec<&Row>> = BTreeMap::new();
        for row in rows {
            let date = EventDate::of(row.intent.event_time_us);
            ranges.entry((date, &row.writer.instance_id, row.writer.epoch)).or_default().push(row);
        }
        let mut found = Vec::new();
        for ((date, ..), group) in ranges {
            let seqs = || group.iter().map(|row| row.seq);
            let (Some(row), Some(first), Some(last)) = (group.first(), seqs().min(), seqs().max()) else { continue };
            let Some(range) = FileName::new(&row.writer, first, last) else { continue };
            let dir = settings.audit_dir.join(date.directory_name());
            let mut files = dataset::files(&dir).map_err(FileError::io("listing", &dir))?;
            files.retain(|(name, path)| {
                name.overlaps(&range)
                    && relative(&settings.audit_dir, path).is_some_and(|path| !self.covered.contains(&path))
            });
            files.sort_by_key(|(name, _)| name.to_string());
            found.extend(files);
        }
        Ok(found)
    }

    fn append(&mut self, settings: &Settings, name: &FileName, file: FileStatement) -> Result<(), ChainError> {
        let path = file.path.clone();
        let manifest = Manifest {
            format: FORMAT,
            kind: Kind::File,
            index: self.head.map_or(0, |head| head.index).saturating_add(1),
            previous: self.head.map(|head| head.sha256),
            key_id: self.signer.public().id(),
            instance_id: name.instance_id().to_owned(),
            epoch: name.epoch(),
            file,
        };
        let encode = |source| ChainError::Encode { path: PathBuf::from(&path), source };
        let statement = manifest.statement().map_err(encode)?;
        let bytes = manifest::file_bytes(&statement, &self.signer.sign(&statement)?);
        self.write(settings, manifest.index, &bytes)?;
        self.head = Some(Head { index: manifest.index, sha256: Sha256::of(&bytes) });
        self.covered.insert(path);
        Ok(())
    }

    /// Writes one manifest file: whole and durable, or not there.
    fn write(&self, settings: &Settings, index: u64, bytes: &[u8]) -> Result<(), FileError> {
        let name = manifest::file_name(index);
        let staged = settings.staging_dir.join(&name);
        let write = || {
            let mut file = File::create(&staged)?;
            file.write_all(bytes)?;
            Ok(file)
        };
        let written = storage::step(Site::ManifestWrite, write);
        written.and_then(|file| storage::sync(Site::ManifestSync, &file, &staged)).map_err(FileError::io("writing", &staged))?;
        let path = self.dir.join(&name);
        storage::rename(Site::ManifestRename, &staged, &path).map_err(FileError::io("renaming into the chain", &path))?;
        file::sync_dir(&self.dir)
    }
}

/// The path as manifests and reports spell it: relative to the dataset, `/` between the parts.
pub fn relative(audit_dir: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(audit_dir).ok()?.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

/// `None` for a file without rows, which is never written.
fn statement(audit_dir: &Path, path: &Path, fingerprint: Fingerprint, content: &Content) -> Option<FileStatement> {
    let (seqs, (first_us, last_us)) = (content.seq_range()?, content.event_times?);
    Some(FileStatement {
        path: relative(audit_dir, path)?,
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
    })
}

/// The leaf hashes of rows; `path` is only for the error.
fn leaves_of(rows: &[Row], path: &Path) -> Result<HashSet<Sha256>, ChainError> {
    let mut leaves = HashSet::with_capacity(rows.len());
    for chunk in rows.chunks(BATCH_ROWS) {
        let batch = rows::encode(&chunk.iter().collect::<Vec<_>>());
        let batch = batch.map_err(|source| FileError::Encode { path: path.to_owned(), source })?;
        let hashed = canonical::leaves(&batch).map_err(SealedError::from);
        leaves.extend(hashed.map_err(|source| ChainError::Unreadable { path: path.to_owned(), source })?);
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests;
