//! Which file a path leads to, and how long it is: asked after every commit, so without asking for more.
//!
//! Linux (6.13 and later) remembers that somebody asked for a file's times and gives its next write an exact one. The inode
//! is then changed by every commit, and file systems without a journal of their own write it with every sync.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Tells a file from every other one that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// What is found at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) file: FileId,
    /// Bytes.
    pub(super) len: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Found {
    fn of(metadata: &Metadata) -> Self {
        Self { file: FileId::of(metadata), len: metadata.len() }
    }
}

/// What `path` leads to; a symbolic link is not followed.
#[cfg(target_os = "linux")]
pub(super) fn at(path: &Path) -> io::Result<Found> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    use rustix::io::Errno;

    match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO | StatxFlags::SIZE) {
        Ok(found) => {
            let device = makedev(found.stx_dev_major, found.stx_dev_minor);
            Ok(Found { file: FileId { device, inode: found.stx_ino }, len: found.stx_size })
        }
        // Linux before 4.11, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => fs::symlink_metadata(path).map(|metadata| Found::of(&metadata)),
        Err(error) => Err(error.into()),
    }
}

/// What `path` leads to; a symbolic link is not followed.
#[cfg(not(target_os = "linux"))]
pub(super) fn at(path: &Path) -> io::Result<Found> {
    fs::symlink_metadata(path).map(|metadata| Found::of(&metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_as_the_standard_library_tells_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "seven b").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            assert_eq!(at(path).unwrap(), Found::of(&fs::symlink_metadata(path).unwrap()));
        }
        assert_eq!(at(&path).unwrap().len, 7);
        assert_ne!(at(&path).unwrap().file, at(&link).unwrap().file);
        assert_eq!(at(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
