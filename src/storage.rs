//! The file-system calls that evidence depends on, each at a named [`Site`].
//!
//! Journal and archive change files only through these, so that tests can let any of them fail, hang or be the last thing
//! the process does (`faults`), and can tell what a loss of power would leave (`recorder`). What a failure means is for
//! the callers to decide; nothing here is retried.

#[cfg(test)]
pub(crate) mod crash;
#[cfg(test)]
pub(crate) mod recorder;

/// Outside tests nothing is recorded.
#[cfg(not(test))]
mod recorder {
    use std::path::Path;

    pub(super) const fn created(_: &Path) {}
    pub(super) const fn appended(_: &Path, _: &[u8]) {}
    pub(super) const fn synced(_: &Path) {}
    pub(super) const fn renamed(_: &Path, _: &Path) {}
    pub(super) const fn removed(_: &Path) {}
    pub(super) const fn dir_synced(_: &Path) {}
}

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::faults;

macro_rules! sites {
    ($($(#[$doc:meta])* $site:ident = $code:literal,)+) => {
        /// One kind of call, by what it is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Site {
            $($(#[$doc])* $site,)+
        }

        impl Site {
            pub const ALL: &'static [Self] = &[$(Self::$site,)+];

            /// The name by which tests know it.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$site => $code,)+
                }
            }
        }
    };
}

sites! {
    /// Space for the segment being written, ahead of what is written.
    JournalReserve = "journal.reserve",
    /// Frames of a commit to the segment being written.
    JournalAppend = "journal.append",
    /// The sync of a commit, or of a segment that is closed.
    JournalSync = "journal.sync",
    /// A new or rewritten segment under its temporary name.
    SegmentWrite = "segment.write",
    SegmentSync = "segment.sync",
    SegmentRename = "segment.rename",
    SegmentDirSync = "segment.dir_sync",
    /// A segment that holds nothing, or never got its final name.
    SegmentRemove = "segment.remove",
    /// A segment of which nothing can be read, put aside.
    QuarantineRename = "quarantine.rename",
    /// A Parquet file in staging.
    ParquetWrite = "parquet.write",
    ParquetSync = "parquet.sync",
    ParquetRename = "parquet.rename",
    /// A directory of the dataset, of the chain, or the journal's after a segment was sealed.
    ArchiveDirSync = "archive.dir_sync",
    ManifestWrite = "manifest.write",
    ManifestSync = "manifest.sync",
    ManifestRename = "manifest.rename",
    /// The list of a sealed file's rows.
    LeavesWrite = "leaves.write",
    LeavesSync = "leaves.sync",
    LeavesRename = "leaves.rename",
    /// A list of rows that no file needs.
    LeavesRemove = "leaves.remove",
    /// A segment of which every row is sealed.
    SealedRemove = "sealed.remove",
    /// The directories in which a partition is made anew: made and removed.
    RewriteDir = "rewrite.dir",
    /// A file that replaces others, in staging.
    RewriteWrite = "rewrite.write",
    RewriteSync = "rewrite.sync",
    /// It gets the name it will have.
    RewriteRename = "rewrite.rename",
    /// A file that stays, or comes, in the partition made anew.
    RewriteLink = "rewrite.link",
    /// The partition made anew takes the place of the one there was.
    RewriteExchange = "rewrite.exchange",
    /// A file whose rows are in another one, or are stated as removed.
    RewriteRemove = "rewrite.remove",
    /// Many entries of the chain in one file.
    PackWrite = "pack.write",
    PackSync = "pack.sync",
    PackRename = "pack.rename",
    /// A file of one entry that is in a packed one too.
    PackedRemove = "packed.remove",
}

/// Makes one call, with a point before and one after it at which a test can intervene.
pub(crate) fn step<T>(site: Site, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(test)]
    crash::count()?;
    faults::reach(site, faults::Moment::Before)?;
    let done = call()?;
    faults::reach(site, faults::Moment::After)?;
    Ok(done)
}

/// Creates the file for reading and appending; it must not exist.
pub(crate) fn create_new(site: Site, path: &Path) -> io::Result<File> {
    let file = step(site, || fs::OpenOptions::new().read(true).append(true).create_new(true).open(path))?;
    recorder::created(path);
    Ok(file)
}

/// Appends to `file`, which is the one at `path`.
pub(crate) fn append(site: Site, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(site, || file.write_all(bytes))?;
    recorder::appended(path, bytes);
    Ok(())
}

/// Allocates `bytes` from `offset` on, without changing the file's size.
pub(crate) fn reserve(site: Site, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    step(site, || Ok(rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, bytes)?))
}

/// Makes the contents of `file`, which is the one at `path`, durable.
pub(crate) fn sync(site: Site, file: &File, path: &Path) -> io::Result<()> {
    step(site, || Ok(rustix::fs::fdatasync(file)?))?;
    recorder::synced(path);
    Ok(())
}

pub(crate) fn rename(site: Site, from: &Path, to: &Path) -> io::Result<()> {
    step(site, || fs::rename(from, to))?;
    recorder::renamed(from, to);
    Ok(())
}

pub(crate) fn remove(site: Site, path: &Path) -> io::Result<()> {
    step(site, || fs::remove_file(path))?;
    recorder::removed(path);
    Ok(())
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(site: Site, dir: &Path) -> io::Result<()> {
    step(site, || File::open(dir).and_then(|dir| dir.sync_all()))?;
    recorder::dir_synced(dir);
    Ok(())
}

/// Replaces a small file: after a crash it is the old one or the new one, never half.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let staged = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&staged)?;
    // A file that a crash left behind has the mode of its time.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
