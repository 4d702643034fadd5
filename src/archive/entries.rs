//! The files that hold the chain: `manifest/<index>.json` with one entry each, and `manifest/<first>-<last>.jsonl` with
//! the exact bytes of many, in order. Read in index order they are the chain, however they are cut.
//!
//! Lists and reads; whether the entries are what was signed is for `verify`, appending is for `chain`, and what else is in the
//! directory for [`super::leaves`].

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::leaves;
use super::manifest::{ENTRY_BYTES_MAX, SignedEntry, parse_file_name, parse_pack_name};

/// Most entries in one file.
pub const PACK_ENTRIES_MAX: u64 = 10_000;
/// Largest file of packed entries that is read, in bytes.
pub const PACK_BYTES_MAX: u64 = 64 << 20;

/// One file of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of the entries it holds, by its name.
    pub indices: RangeInclusive<u64>,
    pub path: PathBuf,
    /// Whether its form is that of packed entries, which it also is for a range of one.
    pub packed: bool,
}

/// The files of a manifest directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// In index order, none overlapping another.
    pub pieces: Vec<Piece>,
    /// Files of one entry that a packed file holds as well, as a crash after packing leaves them.
    pub doubled: Vec<Piece>,
    /// What has no name of a file of the chain, or overlaps one.
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
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        if leaves::is_directory(name) {
            continue;
        }
        match Piece::named(name, entry.path()) {
            Some(piece) => found.push(piece),
            None => listing.strays.push(entry.path()),
        }
    }
    // Of two that begin together the packed one, which is the longer, comes first.
    found.sort_unstable_by_key(|piece| (*piece.indices.start(), !piece.packed));
    for piece in found {
        let last = listing.pieces.last();
        match last.filter(|last| piece.indices.start() <= last.indices.end()) {
            None => listing.pieces.push(piece),
            Some(last) if last.packed && !piece.packed => listing.doubled.push(piece),
            Some(_) => listing.strays.push(piece.path),
        }
    }
    Ok(listing)
}

impl Piece {
    fn named(name: &str, path: PathBuf) -> Option<Self> {
        if let Some(index) = parse_file_name(name) {
            return Some(Self { indices: index..=index, path, packed: false });
        }
        let (first, last) = parse_pack_name(name).filter(|(first, last)| last - first < PACK_ENTRIES_MAX)?;
        Some(Self { indices: first..=last, path, packed: true })
    }

    /// The bytes of the file, at most one more than a file of this form may have.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let bytes_max = if self.packed { PACK_BYTES_MAX } else { ENTRY_BYTES_MAX };
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The entries in the bytes of the file, with their index; `None` if packed ones are not as many as the name says.
    #[must_use]
    pub fn split<'a>(&self, bytes: &'a [u8]) -> Option<Vec<(u64, &'a [u8])>> {
        if !self.packed {
            return Some(vec![(*self.indices.start(), bytes)]);
        }
        let (mut rest, mut found) = (bytes, Vec::new());
        for index in self.indices.clone() {
            let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
            let (entry, after) = rest.split_at_checked(ends.nth(1)? + 1)?;
            found.push((index, entry));
            rest = after;
        }
        rest.is_empty().then_some(found)
    }
}

impl Listing {
    /// The bytes of the entry with this index; `None` if it is missing or its file is not what its name says.
    pub fn entry(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(piece) = self.pieces.iter().find(|piece| piece.indices.contains(&index)) else { return Ok(None) };
        let bytes = piece.bytes()?;
        let entries = piece.split(&bytes).unwrap_or_default();
        Ok(entries.into_iter().find(|(at, _)| *at == index).map(|(_, entry)| entry.to_vec()))
    }
}

/// Hands the readable entries to `visit`, from the last one back, until it returns `false`.
///
/// An entry that cannot be read as one is passed over; `verify` names it.
pub fn walk_back(dir: &Path, mut visit: impl FnMut(&SignedEntry) -> bool) -> io::Result<()> {
    for piece in list(dir)?.pieces.iter().rev() {
        let bytes = piece.bytes()?;
        for (index, entry) in piece.split(&bytes).unwrap_or_default().into_iter().rev() {
            match SignedEntry::parse(entry) {
                Ok(entry) if !visit(&entry) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    let path = piece.path.display();
                    tracing::error!(%path, index, "the chain has an entry that {error}; run `tollgate verify`");
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{file_name, pack_name};
    use super::*;

    fn names(pieces: &[Piece]) -> Vec<String> {
        pieces.iter().map(|piece| piece.path.file_name().expect("name").to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn packed_and_single_entries_are_one_sequence() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (first, second) = (pack_name(1, 2), pack_name(3, 4));
        for name in [&file_name(6), &second, &file_name(5), &first, &file_name(3), &pack_name(2, 9), "x"] {
            fs::write(dir.path().join(name), "").expect("writes");
        }
        let listing = list(dir.path()).expect("lists");
        assert_eq!(names(&listing.pieces), [first, second, file_name(5), file_name(6)]);
        assert_eq!(names(&listing.doubled), [file_name(3)]);
        let mut strays = listing.strays;
        strays.sort();
        assert_eq!(strays, [dir.path().join(pack_name(2, 9)), dir.path().join("x")]);
    }

    #[test]
    fn packed_entries_are_two_lines_each_and_as_many_as_the_name_says() {
        let piece = Piece::named(&pack_name(7, 8), PathBuf::new()).expect("a piece");
        let split = |bytes: &'static str| piece.split(bytes.as_bytes());
        assert_eq!(split("a\nb\nc\nd\n"), Some(vec![(7, &b"a\nb\n"[..]), (8, b"c\nd\n")]));
        for other in ["", "a\nb\n", "a\nb\nc\nd", "a\nb\nc\nd\n\n", "a\nb\nc\nd\ne\nf\n"] {
            assert_eq!(split(other), None, "{other:?}");
        }
        assert_eq!(Piece::named(&pack_name(1, PACK_ENTRIES_MAX + 1), PathBuf::new()), None);
    }
}
