//! What a loss of power would leave of the files this thread wrote.
//!
//! A model of a file system that keeps only what it was told to: file contents as of their last sync, and the entries of a
//! directory as of its last sync. Of what was not synced, anything may have got to the disk all the same, of a file any of
//! what was written to it, in any order: [`Disk::left`] takes a choice, [`Disk::losses`] proposes the worst ones. Three things are taken for granted, because every file system that
//! is fit for evidence does them: an entry changes whole, a renamed file never has neither name unless its old directory was
//! synced before its new one, and two directories exchange their names at once or not at all.
//!
//! Each thread has its own, off until [`begin`]. What the thread did not do through `storage` is not part of it.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

mod disk;
mod file;

pub(crate) use disk::{Disk, Loss, Tree};
pub(crate) use file::Written;

thread_local! {
    static DISKS: RefCell<Option<Vec<Disk>>> = const { RefCell::new(None) };
}

/// Starts recording on this thread what happens below `root`; what is there counts as durable.
pub(crate) fn begin(root: &Path) {
    DISKS.with_borrow_mut(|disks| *disks = Some(vec![Disk::of(root)]));
}

/// How many calls were recorded so far.
pub(crate) fn position() -> usize {
    DISKS.with_borrow(|disks| disks.as_ref().map_or(0, |disks| disks.len() - 1))
}

/// Stops recording. The disk after each call; the first is as it was in the beginning.
pub(crate) fn end() -> Vec<Disk> {
    DISKS.with_borrow_mut(Option::take).unwrap_or_default()
}

fn record(change: impl FnOnce(&mut Disk)) {
    DISKS.with_borrow_mut(|disks| {
        if let Some(disks) = disks
            && let Some(mut disk) = disks.last().cloned()
        {
            change(&mut disk);
            disks.push(disk);
        }
    });
}

/// A file was made at `path`, or emptied if there was one.
pub(super) fn created(path: &Path) {
    record(|disk| disk.create(path));
}

pub(super) fn written_at(path: &Path, offset: u64, bytes: &[u8]) {
    record(|disk| disk.write_at(path, offset, bytes));
}

pub(super) fn cut(path: &Path, length: u64) {
    record(|disk| disk.cut(path, length));
}

/// The file at `path` has the contents it has now, by whatever way it got them.
pub(super) fn written(path: &Path) {
    record(|disk| {
        if let Ok(contents) = fs::read(path) {
            disk.write(path, &contents);
        }
    });
}

pub(super) fn synced(path: &Path) {
    record(|disk| disk.sync(path));
}

pub(super) fn renamed(from: &Path, to: &Path) {
    record(|disk| disk.rename(from, to));
}

pub(super) fn linked(from: &Path, to: &Path) {
    record(|disk| disk.link(from, to));
}

pub(super) fn exchanged(one: &Path, other: &Path) {
    record(|disk| disk.exchange(one, other));
}

/// A file or an empty directory is gone.
pub(super) fn removed(path: &Path) {
    record(|disk| disk.remove(path));
}

pub(super) fn dir_created(path: &Path) {
    record(|disk| disk.create_dir(path));
}

pub(super) fn dir_synced(path: &Path) {
    record(|disk| disk.sync_dir(path));
}
