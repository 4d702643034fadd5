//! Notices while running that a sealed file, the list of its rows or a file of the chain vanished or was changed.
//!
//! Light: file names and what `stat` says, the newest `audit.watch_files_max` files, every `audit.watch_s` seconds. Names of lists do not
//! tell their age: the newest of them are those written last. It reads no file and says nothing about additions and about what happened while the process did not run; `verify` does. It only reports:
//! traffic goes on, because new evidence can still be written.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::dataset;
use super::entries;
use super::leaves;
use super::seal::Settings;

/// Most disturbances a round writes to the log; all are counted.
const LOGGED_MAX: usize = 10;

/// What was done to a file by somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disturbance {
    #[error("{} is gone", .0.display())]
    Vanished(PathBuf),
    /// Another size, modification time or inode: written to, or replaced.
    #[error("{} was changed or replaced", .0.display())]
    Changed(PathBuf),
}

/// What the watch has seen since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Files looked at in the last round.
    pub files: u64,
    /// Whether there were more than are looked at: the oldest are not watched.
    pub full: bool,
    /// Disturbances in all.
    pub disturbed: u64,
    /// The latest of them.
    pub last: Option<Disturbance>,
}

#[derive(Debug, Default)]
struct Shared {
    watched: Watched,
    /// Files that Tollgate itself removes or replaces.
    expected: HashSet<PathBuf>,
}

impl Shared {
    /// Forgets announcements of files that are gone and were not watched: nobody will ask for them. One that went since the
    /// listing is in it.
    fn forget_done(&mut self, found: &Stamps) {
        if !self.expected.is_empty() {
            let watched: HashSet<&Path> = found.keys().map(|(_, path)| path.as_path()).collect();
            self.expected.retain(|path| watched.contains(path.as_path()) || Stamp::of(path).is_some());
        }
    }
}

/// A handle to the watch; cheap to clone. The thread ends with the last of them.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Mutex<Shared>>,
    /// Never sent on: its end is what the thread waits for.
    _running: mpsc::Sender<()>,
}

impl Watch {
    /// Takes the files as its thread finds them for what they should be, and looks again every `interval`, at the newest
    /// `files_max`. A start does not wait for the first look, which takes long where there are many.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(settings: &Settings, interval: Duration, files_max: usize) -> io::Result<Self> {
        let shared = Arc::new(Mutex::default());
        let (running, ended) = mpsc::channel();
        let (settings, watched) = (settings.clone(), Arc::clone(&shared));
        let watch = move || Round::new(&settings, files_max, watched).repeat(&ended, interval);
        thread::Builder::new().name("evidence-watch".to_owned()).spawn(watch)?;
        Ok(Self { shared, _running: running })
    }

    /// Tollgate is about to remove or replace this file of the dataset or the chain, or this list. To be called before it is done.
    pub fn expect_change(&self, path: &Path) {
        lock(&self.shared).expected.insert(path.to_owned());
    }

    pub fn watched(&self) -> Watched {
        lock(&self.shared).watched.clone()
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What tells a file from another, and from itself before it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// `None` if the file is not there.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Some(Self { bytes: metadata.len(), inode: metadata.ino(), modified })
    }
}

/// By day and path, so that the oldest come first.
type Stamps = BTreeMap<(String, PathBuf), Stamp>;

/// The thread's state.
struct Round {
    audit_dir: PathBuf,
    manifest_dir: PathBuf,
    /// Most files looked at; at most half of them are of the chain, and at most half of the rest are lists.
    files_max: usize,
    known: Stamps,
    shared: Arc<Mutex<Shared>>,
}

impl Round {
    fn new(settings: &Settings, files_max: usize, shared: Arc<Mutex<Shared>>) -> Self {
        let (audit_dir, manifest_dir) = (settings.audit_dir.clone(), settings.manifest_dir.clone());
        let mut round = Self { audit_dir, manifest_dir, files_max, known: BTreeMap::new(), shared };
        round.look();
        round
    }

    fn repeat(&mut self, ended: &Receiver<()>, interval: Duration) {
        while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            self.look();
        }
    }

    /// Compares what is there with what was there.
    fn look(&mut self) {
        let (found, full) = match self.stamps() {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the evidence cannot be watched: its directories cannot be listed");
                return;
            }
        };
        // Taken after the listing: what is announced later was there when the list was made.
        let mut shared = lock(&self.shared);
        let mut disturbances = Vec::new();
        for (key @ (_, path), stamp) in &self.known {
            // One that was not found may be too old to be among the newest by now, or no longer be a file.
            let disturbance = match found.get(key).copied().or_else(|| Stamp::of(path)) {
                Some(now) if now == *stamp => continue,
                Some(_) => Disturbance::Changed(path.clone()),
                None => Disturbance::Vanished(path.clone()),
            };
            if !shared.expected.remove(path) {
                disturbances.push(disturbance);
            }
        }
        shared.forget_done(&found);
        shared.watched.files = found.len() as u64;
        let was_full = std::mem::replace(&mut shared.watched.full, full);
        shared.watched.disturbed += disturbances.len() as u64;
        shared.watched.last = disturbances.last().cloned().or_else(|| shared.watched.last.take());
        drop(shared);
        if full && !was_full {
            let files_max = self.files_max;
            tracing::warn!(files_max, "there are more files than audit.watch_files_max: the oldest are not watched");
        }
        report(&disturbances);
        self.known = found;
    }

    /// The newest files, and whether there are more.
    fn stamps(&self) -> io::Result<(Stamps, bool)> {
        let mut found = Stamps::new();
        let pieces = entries::list(&self.manifest_dir)?.pieces;
        let mut full = pieces.len() > self.files_max / 2;
        for piece in pieces.into_iter().rev().take(self.files_max / 2) {
            // Behind every day.
            insert(&mut found, "manifest", piece.path);
        }
        full |= self.add_lists(&mut found)?;
        for (date, dir) in dataset::partitions(&self.audit_dir)?.into_iter().rev() {
            let files = dataset::files(&dir)?;
            if found.len() >= self.files_max && !files.is_empty() {
                full = true;
                break;
            }
            for (_, path) in files {
                insert(&mut found, &date.directory_name(), path);
            }
        }
        while found.len() > self.files_max {
            full = true;
            found.pop_first();
        }
        Ok((found, full))
    }

    /// Adds the lists that were written last; whether there are more.
    fn add_lists(&self, found: &mut Stamps) -> io::Result<bool> {
        let lists = leaves::list(&leaves::directory(&self.manifest_dir))?.named;
        let most = self.files_max.saturating_sub(found.len()) / 2;
        let full = lists.len() > most;
        let mut newest = BTreeMap::new();
        for path in lists.into_values() {
            newest.extend(Stamp::of(&path).map(|stamp| ((stamp.modified, path), stamp)));
            if newest.len() > most {
                newest.pop_first();
            }
        }
        // Behind every day.
        found.extend(newest.into_iter().map(|((_, path), stamp)| (("leaves".to_owned(), path), stamp)));
        Ok(full)
    }
}

/// A file that went away since it was listed is not found.
fn insert(found: &mut Stamps, age: &str, path: PathBuf) {
    if let Some(stamp) = Stamp::of(&path) {
        found.insert((age.to_owned(), path), stamp);
    }
}

fn report(disturbances: &[Disturbance]) {
    for disturbance in disturbances.iter().take(LOGGED_MAX) {
        tracing::error!("evidence was disturbed: {disturbance}; run `tollgate verify`");
    }
    if let Some(more) = disturbances.len().checked_sub(LOGGED_MAX).filter(|more| *more > 0) {
        tracing::error!(more, "more evidence was disturbed; run `tollgate verify`");
    }
}

#[cfg(test)]
mod tests;
