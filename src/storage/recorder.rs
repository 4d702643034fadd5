//! What a loss of power would leave of the files this thread wrote.
//!
//! A model of a file system that keeps only what it was told to: file contents up to their last sync, and the entries of a
//! directory as of its last sync. Each thread has its own, off until [`begin`]. Files the thread did not create through
//! `storage` are not part of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One file, whatever it is called.
#[derive(Clone, Debug, Default)]
struct Inode {
    contents: Vec<u8>,
    synced: usize,
}

/// A change of a directory that is not durable yet.
#[derive(Clone, Debug)]
enum Change {
    Link { path: PathBuf, inode: usize },
    Unlink { path: PathBuf },
}

impl Change {
    fn path(&self) -> &Path {
        match self {
            Self::Link { path, .. } | Self::Unlink { path } => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link { path, inode } => drop(names.insert(path.clone(), *inode)),
            Self::Unlink { path } => drop(names.remove(path)),
        }
    }
}

/// The file system at one moment: what is durable, and what is only on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    inodes: Vec<Inode>,
    /// What open files and readers see.
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// In the order they were made.
    changes: Vec<Change>,
}

impl Disk {
    /// Writes into `to` what a loss of power leaves of the files directly in `from`. `kept` decides, for each thing that was
    /// not synced, how much of it the disk had written all the same: 0 nothing, 255 everything.
    pub(crate) fn after_power_loss(&self, from: &Path, to: &Path, mut kept: impl FnMut() -> u8) {
        let mut names = self.durable.clone();
        for change in &self.changes {
            if kept() >= 128 {
                change.apply(&mut names);
            }
        }
        for (path, inode) in &names {
            let Ok(name) = path.strip_prefix(from) else { continue };
            let inode = &self.inodes[*inode];
            let unsynced = inode.contents.len() - inode.synced;
            let length = inode.synced + unsynced * usize::from(kept()) / 255;
            fs::write(to.join(name), &inode.contents[..length]).unwrap();
        }
    }
}

thread_local! {
    static DISKS: RefCell<Option<Vec<Disk>>> = const { RefCell::new(None) };
}

/// Starts recording on this thread.
pub(crate) fn begin() {
    DISKS.with_borrow_mut(|disks| *disks = Some(vec![Disk::default()]));
}

/// How many changes were recorded so far.
pub(crate) fn position() -> usize {
    DISKS.with_borrow(|disks| disks.as_ref().map_or(0, |disks| disks.len() - 1))
}

/// Stops recording. The disk after each change; the first is empty.
pub(crate) fn end() -> Vec<Disk> {
    DISKS.with_borrow_mut(Option::take).unwrap_or_default()
}

fn record(change: impl FnOnce(&mut Disk)) {
    DISKS.with_borrow_mut(|disks| {
        if let Some(disks) = disks {
            let mut disk = disks.last().cloned().unwrap_or_default();
            change(&mut disk);
            disks.push(disk);
        }
    });
}

pub(super) fn created(path: &Path) {
    record(|disk| {
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.link(path, inode);
    });
}

pub(super) fn appended(path: &Path, bytes: &[u8]) {
    record(|disk| {
        if let Some(inode) = disk.names.get(path).copied() {
            disk.inodes[inode].contents.extend_from_slice(bytes);
        }
    });
}

pub(super) fn synced(path: &Path) {
    record(|disk| {
        if let Some(inode) = disk.names.get(path).copied() {
            disk.inodes[inode].synced = disk.inodes[inode].contents.len();
        }
    });
}

pub(super) fn renamed(from: &Path, to: &Path) {
    record(|disk| {
        if let Some(inode) = disk.names.get(from).copied() {
            disk.unlink(from);
            disk.link(to, inode);
        }
    });
}

pub(super) fn removed(path: &Path) {
    record(|disk| disk.unlink(path));
}

pub(super) fn dir_synced(dir: &Path) {
    record(|disk| {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            std::mem::take(&mut disk.changes).into_iter().partition(|change| change.path().parent() == Some(dir));
        for change in here {
            change.apply(&mut disk.durable);
        }
        disk.changes = elsewhere;
    });
}

impl Disk {
    fn link(&mut self, path: &Path, inode: usize) {
        self.names.insert(path.to_owned(), inode);
        self.changes.push(Change::Link { path: path.to_owned(), inode });
    }

    fn unlink(&mut self, path: &Path) {
        self.names.remove(path);
        self.changes.push(Change::Unlink { path: path.to_owned() });
    }
}
