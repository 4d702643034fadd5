//! Old entries of the chain, many to a file: a year of sealing is not a million files.
//!
//! The bytes stay what they were. Single files go only once the packed one is durable; a crash in between leaves both, which
//! is the same chain, and the next round removes what is there twice.

use super::RewriteError;
use super::round::Round;
use crate::archive::entries::{self, Listing, Piece};
use crate::archive::file::{self, FileError, Steps, sync_dir};
use crate::archive::manifest::{self, SignedEntry};
use crate::storage::{self, Site};

/// Entries in a packed file, and as many of the newest that stay single at least.
pub(super) const ENTRIES: usize = 1000;
const STEPS: Steps = Steps { write: Site::PackWrite, sync: Site::PackSync, rename: Site::PackRename };
/// A packed file is closed earlier when it is this large, in bytes.
const BYTES_MAX: usize = 16 << 20;

/// Packs what can be packed, `entries` to a file; how many files of single entries are gone.
pub(super) fn pack(round: &Round<'_>, entries: usize) -> Result<u64, RewriteError> {
    let dir = &round.settings.manifest_dir;
    let mut gone = 0;
    loop {
        let listing = entries::list(dir).map_err(FileError::io("listing", dir))?;
        gone += remove_doubled(round, &listing)?;
        let singles: Vec<&Piece> = listing.pieces.iter().filter(|piece| !piece.packed).collect();
        let closed = singles.get(..entries).filter(|_| singles.len() >= 2 * entries);
        let Some(bytes) = closed.map(stretch).transpose()?.filter(|stretch| stretch.entries > 1) else {
            return Ok(gone);
        };
        write(round, &bytes)?;
    }
}

/// Neighbouring entries, as bytes.
#[derive(Default)]
struct Stretch {
    first: u64,
    entries: u64,
    bytes: Vec<u8>,
}

/// As many of the entries, from the first, as follow one another and are whole.
fn stretch(singles: &[&Piece]) -> Result<Stretch, RewriteError> {
    let mut stretch = Stretch::default();
    for piece in singles {
        let index = *piece.indices.start();
        let bytes = piece.bytes().map_err(FileError::io("reading", &piece.path))?;
        let whole = SignedEntry::parse(&bytes).is_ok_and(|signed| signed.entry.index == index);
        if stretch.entries == 0 {
            stretch.first = index;
        }
        let follows = index == stretch.first + stretch.entries;
        if !whole || !follows || stretch.bytes.len() + bytes.len() > BYTES_MAX {
            break;
        }
        stretch.bytes.extend(bytes);
        stretch.entries += 1;
    }
    Ok(stretch)
}

fn write(round: &Round<'_>, stretch: &Stretch) -> Result<(), RewriteError> {
    let name = manifest::pack_name(stretch.first, stretch.first + stretch.entries - 1);
    let (staged, path) = (round.settings.staging_dir.join(&name), round.settings.manifest_dir.join(&name));
    Ok(file::place(&staged, &path, &stretch.bytes, &STEPS)?)
}

/// Removes single files whose very bytes a packed file has; any other is left for `verify` to name.
fn remove_doubled(round: &Round<'_>, listing: &Listing) -> Result<u64, RewriteError> {
    let mut gone = 0;
    for packed in listing.pieces.iter().filter(|piece| piece.packed) {
        let doubled: Vec<&Piece> =
            listing.doubled.iter().filter(|single| packed.indices.contains(single.indices.start())).collect();
        if doubled.is_empty() {
            continue;
        }
        let bytes = packed.bytes().map_err(FileError::io("reading", &packed.path))?;
        let entries = packed.split(&bytes).unwrap_or_default();
        for single in doubled {
            let own = single.bytes().map_err(FileError::io("reading", &single.path))?;
            if entries.iter().any(|(index, entry)| index == single.indices.start() && *entry == own) {
                (round.expect)(&single.path);
                // Not while the sealing thread reads the chain.
                let removed = round.locked(|| storage::remove(Site::PackedRemove, &single.path));
                removed.map_err(FileError::io("removing", &single.path))?;
                gone += 1;
            }
        }
    }
    if gone > 0 {
        sync_dir(&round.settings.manifest_dir)?;
    }
    Ok(gone)
}
