//! The list of a sealed file's rows, kept beside the chain: the first eight bytes of each row's leaf hash, in file order.
//!
//! The entry of a file names the SHA-256 of its list, and `write` makes the list durable before there is an entry. With
//! it a verifier can tell which rows of a modified file are not those that were sealed; that the file was modified is told
//! without it. A list has its SHA-256 as its name; one that is there already stays the file it is. Which lists are no longer
//! needed is decided in `maintenance`, and which are as they should be in `verify`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::digest::Sha256;
use super::file::{self, FileError, Steps};
use super::seal::Settings;
use crate::storage::{self, Site};

/// Bytes that stand for one row.
pub const LEAF_BYTES: usize = 8;
const DIRECTORY: &str = "leaves";
const STEPS: Steps = Steps { write: Site::LeavesWrite, sync: Site::LeavesSync, rename: Site::LeavesRename };

/// The first bytes of a leaf hash. Enough to tell rows apart that nobody chose to have the same: each has a random
/// `event_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortLeaf([u8; LEAF_BYTES]);

impl From<&Sha256> for ShortLeaf {
    fn from(leaf: &Sha256) -> Self {
        Self(leaf.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// The SHA-256 of a list that is durable: what an entry may name. Only `write` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed(Sha256);

impl Listed {
    #[must_use]
    pub fn sha256(self) -> Sha256 {
        self.0
    }
}

/// The directory of lists of a chain.
#[must_use]
pub fn directory(manifest_dir: &Path) -> PathBuf {
    manifest_dir.join(DIRECTORY)
}

/// Whether a name in the directory of the chain is that of the directory of lists.
#[must_use]
pub fn is_directory(name: &str) -> bool {
    name == DIRECTORY
}

/// The SHA-256 of the list of these rows.
#[must_use]
pub fn digest(leaves: &[Sha256]) -> Sha256 {
    Sha256::of(&bytes(leaves))
}

fn bytes(leaves: &[Sha256]) -> Vec<u8> {
    leaves.iter().flat_map(|leaf| ShortLeaf::from(leaf).0).collect()
}

/// Makes sure that the list of a file's rows is there, durably. The directory must exist.
///
/// When it is there, as after a failure between a list and its entry, it is not replaced: that is what somebody else would do to it.
pub(crate) fn write(settings: &Settings, leaves: &[Sha256]) -> Result<Listed, FileError> {
    let bytes = bytes(leaves);
    let sha256 = Sha256::of(&bytes);
    let (name, dir) = (sha256.to_string(), directory(&settings.manifest_dir));
    let path = dir.join(&name);
    match open_same(&path, &bytes) {
        Some(file) => {
            // Whoever wrote it may have died before it was durable.
            storage::sync(Site::LeavesSync, &file, &path).map_err(FileError::io("syncing", &path))?;
            file::sync_dir(&dir)?;
        }
        None => file::place(&settings.staging_dir.join(&name), &path, &bytes, &STEPS)?,
    }
    Ok(Listed(sha256))
}

/// The file at `path`, if there is one with these bytes.
fn open_same(path: &Path, bytes: &[u8]) -> Option<File> {
    let is_alike = |found: fs::Metadata| found.is_file() && found.len() == bytes.len() as u64;
    let mut file = fs::symlink_metadata(path).is_ok_and(is_alike).then(|| File::open(path).ok()).flatten()?;
    let mut found = Vec::with_capacity(bytes.len());
    let read = file.by_ref().take(bytes.len() as u64).read_to_end(&mut found);
    (read.is_ok() && found == bytes).then_some(file)
}

/// Reads the list of a file of `rows` rows.
///
/// # Errors
/// It cannot be read, or is the list of another number of rows.
pub fn read(path: &Path, rows: u64) -> io::Result<Vec<ShortLeaf>> {
    let expected = rows.saturating_mul(LEAF_BYTES as u64);
    let mut bytes = Vec::new();
    File::open(path)?.take(expected.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != expected {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is the list of another number of rows"));
    }
    let (leaves, _) = bytes.as_chunks();
    Ok(leaves.iter().map(|leaf| ShortLeaf(*leaf)).collect())
}

/// The files in a directory of lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Those with the name of a list.
    pub named: BTreeMap<Sha256, PathBuf>,
    pub strays: Vec<PathBuf>,
}

/// Lists a directory by the names of its files. An absent one has none.
pub fn list(dir: &Path) -> io::Result<Lists> {
    let mut found = Lists::default();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let named = entry.file_name().to_str().and_then(|name| name.parse().ok());
        match named.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) {
            Some(sha256) => drop(found.named.insert(sha256, entry.path())),
            None => found.strays.push(entry.path()),
        }
    }
    found.strays.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_there_stays_the_same_file_and_any_other_in_its_place_is_replaced() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().expect("temp dir");
        let settings = Settings::new(dir.path());
        super::super::seal::prepare(&settings).expect("prepares");
        let leaves = [Sha256::of(b"a"), Sha256::of(b"b")];
        let listed = write(&settings, &leaves).expect("writes");
        let path = directory(&settings.manifest_dir).join(listed.sha256().to_string());
        let inode = || fs::symlink_metadata(&path).expect("is there").ino();
        let (first, whole) = (inode(), fs::read(&path).expect("reads"));
        assert_eq!(write(&settings, &leaves).expect("writes again"), listed);
        assert_eq!(inode(), first);
        let mut changed = whole.clone();
        changed[3] ^= 1;
        for other in [&whole[..8], &changed, &[]] {
            fs::write(&path, other).expect("changes");
            assert_eq!(write(&settings, &leaves).expect("writes again"), listed);
            assert_eq!(fs::read(&path).expect("reads"), whole);
        }
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).expect("moves away");
        std::os::unix::fs::symlink(&aside, &path).expect("links");
        write(&settings, &leaves).expect("writes again");
        assert!(fs::symlink_metadata(&path).expect("is there").is_file(), "a link is no list");
    }

    #[test]
    fn a_list_is_eight_bytes_a_row_and_named_by_its_digest() {
        let dir = tempfile::tempdir().expect("temp dir");
        let settings = Settings::new(dir.path());
        super::super::seal::prepare(&settings).expect("prepares");
        let leaves = [Sha256::of(b"a"), Sha256::of(b"b")];
        let expected = [&leaves[0].as_bytes()[..8], &leaves[1].as_bytes()[..8]].concat();
        for _ in 0..2 {
            let listed = write(&settings, &leaves).expect("writes");
            assert_eq!((listed.sha256(), digest(&leaves)), (Sha256::of(&expected), Sha256::of(&expected)));
        }
        let place = directory(&settings.manifest_dir);
        let path = place.join(Sha256::of(&expected).to_string());
        assert_eq!(fs::read(&path).expect("reads"), expected);
        assert_eq!(read(&path, 2).expect("reads"), leaves.each_ref().map(ShortLeaf::from));
        for rows in [0, 1, 3, u64::MAX] {
            assert!(read(&path, rows).is_err(), "{rows}");
        }
        fs::write(place.join("notes"), "").expect("writes");
        fs::create_dir(place.join(Sha256::of(b"").to_string())).expect("dir");
        let mut strays = vec![place.join("notes"), place.join(Sha256::of(b"").to_string())];
        strays.sort();
        let found = list(&place).expect("lists");
        assert_eq!(found, Lists { named: BTreeMap::from([(Sha256::of(&expected), path)]), strays });
        assert_eq!(list(&place.join("absent")).expect("none"), Lists::default());
    }
}
