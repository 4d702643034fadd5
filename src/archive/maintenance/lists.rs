//! Lists of rows that no sealed file needs: their file was rewritten, or they were written for an entry that was never made.
//!
//! A list is needed from its entry on until a rewrite of its file is done, also while the file itself is missing. What a list is for is
//! read from the chain; a list that it says nothing about goes only if the chain is whole. Nobody's rows are in a list, and
//! a list can be made again from its file.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::RewriteError;
use super::pace::Pace;
use super::round::Round;
use super::swap::Places;
use crate::archive::digest::Sha256;
use crate::archive::entries;
use crate::archive::file::{FileError, sync_dir};
use crate::archive::leaves;
use crate::archive::manifest::{self, SignedEntry};
use crate::archive::seal::Settings;
use crate::archive::statement::Statement;
use crate::storage::{self, Site};

/// Removes lists that are not needed; whether it looked. While work on a day is begun and not ended, a rewrite may be stated and
/// done yet.
pub(super) fn tidy(round: &Round<'_>, pace: &mut Pace<'_>) -> Result<bool, RewriteError> {
    let staging_dir = &round.settings.staging_dir;
    if !Places::begun(staging_dir).map_err(FileError::io("listing", staging_dir))?.is_empty() {
        return Ok(false);
    }
    let unneeded = find(round.settings, pace)?;
    remove(round, unneeded)?;
    Ok(true)
}

/// Lists that nothing needs by the entries up to this one.
#[derive(Debug)]
pub(super) struct Unneeded {
    head: Option<u64>,
    lists: BTreeMap<Sha256, PathBuf>,
}

pub(super) fn find(settings: &Settings, pace: &mut Pace<'_>) -> Result<Unneeded, RewriteError> {
    let dir = leaves::directory(&settings.manifest_dir);
    let listed = leaves::list(&dir).map_err(FileError::io("listing", &dir))?.named;
    let chain = entries::list(&settings.manifest_dir).map_err(FileError::io("listing", &settings.manifest_dir))?;
    let mut search = Search::new(settings, listed, chain.pieces.last().map(|piece| *piece.indices.end()));
    let mut stopped = Ok(());
    walk_back(settings, |signed| {
        stopped = pace.breathe();
        stopped.is_ok() && search.visit(signed)
    })?;
    stopped.map(|()| search.end())
}

/// Removes what no entry since then names. Nothing is sealed meanwhile.
pub(super) fn remove(round: &Round<'_>, unneeded: Unneeded) -> Result<(), RewriteError> {
    let Unneeded { head, mut lists } = unneeded;
    if lists.is_empty() {
        return Ok(());
    }
    round.locked(|| {
        walk_back(round.settings, |SignedEntry { entry, .. }| {
            let is_newer = head.is_none_or(|head| entry.index > head);
            if let Some(sha256) = entry.statement.file().and_then(|file| file.leaves_sha256).filter(|_| is_newer) {
                lists.remove(&sha256);
            }
            is_newer && !lists.is_empty()
        })?;
        for path in lists.values() {
            (round.expect)(path);
            storage::remove(Site::LeavesRemove, path).map_err(FileError::io("removing", path))?;
        }
        Ok(sync_dir(&leaves::directory(&round.settings.manifest_dir))?)
    })
}

fn walk_back(settings: &Settings, visit: impl FnMut(&SignedEntry) -> bool) -> Result<(), RewriteError> {
    let dir = &settings.manifest_dir;
    Ok(entries::walk_back(dir, visit).map_err(FileError::io("reading", dir))?)
}

/// Looks for the entries that name some lists, from the last entry back.
struct Search<'a> {
    settings: &'a Settings,
    /// Lists for which no entry was seen yet.
    sought: BTreeMap<Sha256, PathBuf>,
    unneeded: BTreeMap<Sha256, PathBuf>,
    /// Files that later entries rewrite: path, and index of the entry that states each.
    rewritten: HashSet<(String, u64)>,
    head: Option<u64>,
    next: Next,
}

/// What the walk has to meet next.
#[derive(Clone, Copy)]
enum Next {
    /// The last entry, which has at least this index.
    Last(u64),
    Entry(u64, Sha256),
    /// The first entry was seen.
    Nothing,
    /// An entry is missing, unreadable, or not the one that the next names.
    Broken,
}

impl<'a> Search<'a> {
    fn new(settings: &'a Settings, sought: BTreeMap<Sha256, PathBuf>, last: Option<u64>) -> Self {
        let (unneeded, rewritten, next) = (BTreeMap::new(), HashSet::new(), last.map_or(Next::Broken, Next::Last));
        Self { settings, sought, unneeded, rewritten, head: None, next }
    }

    /// Takes in one entry; whether more are needed.
    fn visit(&mut self, SignedEntry { entry, signed, signature }: &SignedEntry) -> bool {
        let sha256 = || Sha256::of(&manifest::entry_bytes(signed, signature));
        let follows = match self.next {
            Next::Last(last) => entry.index >= last,
            Next::Entry(index, expected) => entry.index == index && sha256() == expected,
            Next::Nothing | Next::Broken => false,
        };
        if !follows {
            self.next = Next::Broken;
            return false;
        }
        self.head.get_or_insert(entry.index);
        self.next = match entry.previous {
            Some(previous) => Next::Entry(entry.index.saturating_sub(1), previous),
            None => Next::Nothing,
        };
        let restated = match &entry.statement {
            Statement::Rewrite(rewrite) => {
                let inputs = || rewrite.inputs.iter().map(|input| (input.path.clone(), input.index));
                // Its output never came if other files took its place.
                let restated = inputs().any(|input| self.rewritten.contains(&input));
                self.rewritten.extend(inputs());
                restated
            }
            Statement::File(_)
            | Statement::Start(_)
            | Statement::Stop(_)
            | Statement::Heartbeat(_)
            | Statement::Policy(_)
            | Statement::RefusedReload(_)
            | Statement::KeyRotation(_) => false,
        };
        self.settle(entry, restated);
        !self.sought.is_empty()
    }

    /// Whether the list that the entry names, if it is sought, is needed.
    fn settle(&mut self, entry: &manifest::Entry, restated: bool) {
        let Some(file) = entry.statement.file() else { return };
        let found = file.leaves_sha256.and_then(|sha256| self.sought.remove_entry(&sha256));
        let Some((sha256, list)) = found else { return };
        let replaced = restated || self.rewritten.contains(&(file.path.clone(), entry.index));
        let path = self.settings.audit_dir.join(&file.path);
        let is_there = || path.symlink_metadata().is_ok_and(|found| found.len() == file.bytes);
        if replaced && !is_there() {
            self.unneeded.insert(sha256, list);
        }
    }

    fn end(mut self) -> Unneeded {
        if matches!(self.next, Next::Nothing) {
            // No entry names these.
            self.unneeded.append(&mut self.sought);
        }
        Unneeded { head: self.head, lists: self.unneeded }
    }
}
