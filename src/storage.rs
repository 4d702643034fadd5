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
    pub(super) const fn written_at(_: &Path, _: u64, _: &[u8]) {}
    pub(super) const fn cut(_: &Path, _: u64) {}
    pub(super) const fn written(_: &Path) {}
    pub(super) const fn synced(_: &Path) {}
    pub(super) const fn renamed(_: &Path, _: &Path) {}
    pub(super) const fn linked(_: &Path, _: &Path) {}
    pub(super) const fn exchanged(_: &Path, _: &Path) {}
    pub(super) const fn removed(_: &Path) {}
    pub(super) const fn dir_created(_: &Path) {}
    pub(super) const fn dir_synced(_: &Path) {}
}

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

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
    /// Zeros in the segment being written, ahead of its frames.
    JournalReserve = "journal.reserve",
    /// Frames of a commit to the segment being written.
    JournalAppend = "journal.append",
    /// The zeros behind the frames of a segment that is closed are cut off.
    JournalCut = "journal.cut",
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
    /// A directory of the dataset, of the chain or of the journal: looked for, and made if it is not there.
    EvidenceDir = "evidence.dir",
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
    /// What an earlier process left in staging.
    StaleRemove = "stale.remove",
    /// A small file that is replaced whole: keys, identity, count of starts, receipts of anchors.
    SmallWrite = "small.write",
    SmallSync = "small.sync",
    SmallRename = "small.rename",
    SmallRemove = "small.remove",
    SmallDirSync = "small.dir_sync",
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

/// Creates the file for reading and writing; it must not exist.
pub(crate) fn create_new(site: Site, path: &Path) -> io::Result<File> {
    let file = step(site, || OpenOptions::new().read(true).write(true).create_new(true).open(path))?;
    recorder::created(path);
    Ok(file)
}

/// Creates the file for writing, or empties the one there is. What is written to it is seen at its [`sync`].
pub(crate) fn create(site: Site, path: &Path) -> io::Result<File> {
    let file = step(site, || File::create(path))?;
    recorder::created(path);
    Ok(file)
}

/// Creates the file with these bytes, or replaces those of the one there is. Not durable yet.
pub(crate) fn write(site: Site, path: &Path, bytes: &[u8]) -> io::Result<File> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        Ok(file)
    };
    let file = step(site, write)?;
    recorder::created(path);
    recorder::written_at(path, 0, bytes);
    Ok(file)
}

/// Writes to `file`, which is the one at `path`, from byte `offset` on: over what is there, and beyond its end.
pub(crate) fn write_at(site: Site, file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    step(site, || file.write_all_at(bytes, offset))?;
    recorder::written_at(path, offset, bytes);
    Ok(())
}

/// Cuts `file`, which is the one at `path`, to its first `length` bytes. Not durable yet.
pub(crate) fn cut(site: Site, file: &File, path: &Path, length: u64) -> io::Result<()> {
    step(site, || file.set_len(length))?;
    recorder::cut(path, length);
    Ok(())
}

/// Makes the contents of `file`, which is the one at `path`, durable.
pub(crate) fn sync(site: Site, file: &File, path: &Path) -> io::Result<()> {
    recorder::written(path);
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

/// Gives a file a second name, which must be free.
pub(crate) fn link(site: Site, from: &Path, to: &Path) -> io::Result<()> {
    step(site, || fs::hard_link(from, to))?;
    recorder::linked(from, to);
    Ok(())
}

/// Lets two directories exchange their names, at once; `false` where the file system cannot do that.
pub(crate) fn exchange(site: Site, one: &Path, other: &Path) -> io::Result<bool> {
    #[cfg(test)]
    if !crash::can_exchange() {
        return Ok(false);
    }
    let call = || match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(io::Error::from(error)),
    };
    let exchanged = step(site, call)?;
    if exchanged {
        recorder::exchanged(one, other);
    }
    Ok(exchanged)
}

/// Makes a directory, which must not exist. Not durable yet.
pub(crate) fn create_dir(site: Site, dir: &Path) -> io::Result<()> {
    step(site, || fs::create_dir(dir))?;
    recorder::dir_created(dir);
    Ok(())
}

/// Removes an empty directory.
pub(crate) fn remove_dir(site: Site, dir: &Path) -> io::Result<()> {
    step(site, || fs::remove_dir(dir))?;
    recorder::removed(dir);
    Ok(())
}

/// Makes sure that a directory is there, durably. What is above it must exist.
///
/// One that is found is synced into its parent as well: whoever made it may have died before doing so.
pub(crate) fn ensure_dir(site: Site, dir: &Path, mode: u32) -> io::Result<()> {
    let make = || match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(false),
        created => created.map(|()| true),
    };
    if step(site, make)? {
        recorder::dir_created(dir);
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(site, parent.unwrap_or(Path::new(".")))
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
    match remove(Site::SmallRemove, &staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Not emptied: it may be another name of the file that it is to replace.
        Ok(()) | Err(_) => {}
    }
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&staged)?;
        // Whatever the umask is.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        Ok(file)
    };
    let file = step(Site::SmallWrite, write)?;
    recorder::created(&staged);
    sync(Site::SmallSync, &file, &staged)?;
    rename(Site::SmallRename, &staged, path)?;
    path.parent().map_or(Ok(()), |dir| sync_dir(Site::SmallDirSync, dir))
}
