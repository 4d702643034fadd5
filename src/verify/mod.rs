//! What `tollgate verify` does: whether the evidence in a data directory, or in a copy of one, is what was signed.
//!
//! Read-only and offline, without private keys. In data-flow order: `journal` reads what is not sealed yet, `chain` the
//! entries (`trust` says which keys are believed), `stated` puts together what they say, `files` compares each sealed
//! file with that, `lists` the lists of their rows, `seqs` looks for holes between all rows. Which rows of a modified file
//! are others is told apart by [`rows`], once the rest is known. The journal is read before the dataset, so that a proxy that
//! seals meanwhile does not look like one that loses rows.
//!
//! Without anchors it cannot see that the end of the chain was cut off together with its files, nor that the holder of
//! the key wrote it anew.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::archive::anchor::Anchor;
use crate::archive::chain::Head;
use crate::archive::digest::Sha256;
use crate::archive::maintenance::stock::StatedFile;
use crate::archive::rotation;
use crate::archive::signer::{KeyError, PUBLIC_KEY_FILE, PublicKey};

mod anchored;
pub mod bundle;
mod chain;
pub mod differences;
mod fault;
mod files;
mod journal;
mod lists;
pub mod prove;
pub mod rows;
mod seqs;
mod stated;
mod trust;

use anchored::Anchors;
use rows::Modified;
use trust::Trust;

pub use fault::{Fault, Severity};

/// Old public keys that are looked at; an installation rotates a few times a year.
const OLD_KEYS_MAX: usize = 1000;

/// What to verify and against which key.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A data directory or a copy of it: `audit/` and `manifest/`, and `journal/` and `keys/` where they are copied.
    pub root: PathBuf,
    /// The public key from a place that whoever wrote `root` could not write; without one, the key in `root`.
    pub public_key: Option<PathBuf>,
    /// Anchors of the chain, as the `file` sink writes them.
    pub anchor: Option<PathBuf>,
    /// First `event_time`, microseconds since the Unix epoch: files that end before are not opened.
    pub since_us: Option<i64>,
    /// The `event_time` to stop before: files that begin later are not opened.
    pub until_us: Option<i64>,
    /// Files read at a time.
    pub threads: NonZeroUsize,
}

/// How far the verification is: files done, files in all.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// A file, or a place in the sequence of rows, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct Problem {
    /// Path relative to the data directory, or the rows meant.
    pub place: String,
    pub fault: Fault,
}

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// In the order chain, files, lists, rows, journal.
    pub problems: Vec<Problem>,
    /// Entries of the chain that were read.
    pub entries: u64,
    /// Of those, the ones from before the key whose signature could not be checked for want of their public key. The
    /// hashes in the chain prove them.
    pub unchecked: u64,
    /// Sealed files that were compared with what the chain says of them.
    pub files: u64,
    /// Rows in those of them that are intact.
    pub rows: u64,
    /// Sealed files outside the asked time range, which were not opened.
    pub skipped: u64,
    /// Rows that were removed, by rewrites the chain states.
    pub removed_rows: u64,
    /// Sealed files that are about to be rewritten: the chain states it, and nothing is done yet.
    pub pending: Vec<String>,
    /// Rows in the journal, which has checksums but no signatures yet.
    pub unsealed_rows: u64,
    /// Sealed files that the proxy was about to sign for: their rows are in the journal still.
    pub unsigned: Vec<String>,
    /// Files that were modified and whose rows [`rows::compare`] can tell apart.
    pub modified: Vec<Modified>,
    /// Lists of rows that nothing needs: a crash or a rewrite left them, and maintenance removes them.
    pub unneeded_lists: Vec<String>,
    /// The last entry of the chain.
    pub head: Option<Head>,
    /// The last anchored head that the chain has, where anchors were given.
    pub anchored: Option<Anchor>,
    /// Of the key that signatures were checked with.
    pub key_id: Sha256,
    /// Whether that key came from the verified directory itself, and so proves nothing about who wrote it.
    pub key_from_same_place: bool,
}

impl Report {
    /// The worst that was found; `None` if the evidence is intact.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.problems.iter().map(|problem| problem.fault.severity()).max()
    }
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{0} is not a data directory (it has neither `audit` nor `manifest`): name it with --data-dir or --copy")]
    NoDataDir(PathBuf),
    #[error("no public key to verify with: {0}; name one with --public-key")]
    Key(#[from] KeyError),
    #[error("{path} cannot be read: {source}; run as a user who may read the audit data")]
    Io { path: PathBuf, source: io::Error },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VerifyError + '_ {
    |source| VerifyError::Io { path: path.to_owned(), source }
}

/// Verifications of a directory in use, at most: files that are rewritten meanwhile are looked for in vain.
const ATTEMPTS_MAX: usize = 3;

/// Verifies a data directory. `progress` is called from several threads.
///
/// A running proxy may rewrite files, as it states in the chain, while they are verified; then it is done again.
pub fn run(settings: &Settings, progress: Progress<'_>) -> Result<Report, VerifyError> {
    let dirs = [settings.root.join("audit"), settings.root.join("manifest")];
    let mut attempts = 1;
    loop {
        let before = dirs.each_ref().map(|dir| files::list(dir));
        let report = run_once(settings, progress)?;
        let is_gone = |path: &PathBuf| path.symlink_metadata().is_err();
        let changed = before.into_iter().flatten().any(|files| files.values().any(is_gone));
        if report.severity().is_none() || !changed || attempts == ATTEMPTS_MAX {
            return Ok(report);
        }
        attempts += 1;
    }
}

fn run_once(settings: &Settings, progress: Progress<'_>) -> Result<Report, VerifyError> {
    let root = &settings.root;
    if !root.join("audit").is_dir() && !root.join("manifest").is_dir() {
        return Err(VerifyError::NoDataDir(root.clone()));
    }
    let own_key = root.join("keys").join(PUBLIC_KEY_FILE);
    let key = PublicKey::load(settings.public_key.as_deref().unwrap_or(&own_key))?;

    let journal = journal::read(&root.join("journal"))?;
    let present = files::list(&root.join("audit"))?;
    // Keys that cannot be listed leave signatures unchecked, which the report says.
    let old = rotation::public_keys(&root.join("keys"), OLD_KEYS_MAX).unwrap_or_default();
    let trust = Trust::new(key.clone(), old);
    let anchors = settings.anchor.as_deref().map(Anchors::read).transpose()?;
    let wanted = anchors.as_ref().map(Anchors::wanted).unwrap_or_default();
    let chain = chain::read(&root.join("manifest"), trust, &present, wanted)?;
    let is_asked = |stated: &StatedFile| files::in_range(settings, &stated.file);
    let lists = lists::check(&root.join("manifest"), &chain.stated, is_asked)?;
    let mut outcome = files::check(settings, &chain.stated, present, &lists, &journal, progress);
    let mut problems = chain.problems;
    let compared = anchors.map(|anchors| anchors.compare(&chain.hashes, &chain.trust));
    let (anchored, mut faults) = compared.unwrap_or_default();
    problems.append(&mut faults);
    problems.append(&mut outcome.problems);
    problems.extend(lists.problems);
    outcome.seqs.add_unsealed(&journal.seqs);
    problems.extend(outcome.seqs.problems());
    problems.extend(journal.problems);
    Ok(Report {
        problems,
        entries: chain.entries,
        unchecked: chain.unchecked,
        files: outcome.files,
        rows: outcome.rows,
        skipped: outcome.skipped,
        removed_rows: chain.stated.removed_rows(),
        pending: chain.stated.pending,
        unsealed_rows: journal.rows,
        unsigned: outcome.unsigned,
        modified: outcome.modified,
        unneeded_lists: lists.unneeded,
        head: chain.head,
        anchored,
        key_id: key.id(),
        key_from_same_place: settings.public_key.is_none(),
    })
}

#[cfg(test)]
mod tests;
