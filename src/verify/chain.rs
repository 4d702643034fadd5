//! The chain: each entry signed by a key that can be believed, each naming the one before, none missing.
//!
//! What the entries say about files is put together in `stated`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::stated::Stated;
use super::trust::{Belief, Trust};
use super::{Fault, Problem, VerifyError, at};
use crate::archive::chain::Head;
use crate::archive::digest::Sha256;
use crate::archive::entries::{self, Piece};
use crate::archive::manifest::{self, Entry, SignedEntry};
use crate::archive::statement::Statement;

/// The chain as far as it can be believed.
pub(super) struct Chain {
    /// What its entries say.
    pub(super) stated: Stated,
    pub(super) problems: Vec<Problem>,
    pub(super) entries: u64,
    /// Entries that are proved by the hashes after them only: the public key of their signature is not at hand.
    pub(super) unchecked: u64,
    pub(super) head: Option<Head>,
    /// The hashes of the entries that were asked for, by index, as far as they are there.
    pub(super) hashes: BTreeMap<u64, Option<Sha256>>,
    /// Indices of believed entries that hand over to another key.
    pub(super) rotations: Vec<u64>,
    pub(super) trust: Trust,
}

/// An entry and where it is.
struct Placed {
    place: String,
    entry: Entry,
    /// Whether its signature was checked.
    checked: bool,
}

/// Reads the chain in `dir`. `present` are the files of the dataset, `hashes` is filled in.
pub(super) fn read(
    dir: &Path,
    trust: Trust,
    present: &BTreeMap<String, PathBuf>,
    hashes: BTreeMap<u64, Option<Sha256>>,
) -> Result<Chain, VerifyError> {
    let listing = entries::list(dir).map_err(at(dir))?;
    let mut reader = Reader::new(trust, present, hashes);
    for stray in &listing.strays {
        reader.complain(place(stray), Fault::Stray);
    }
    for piece in &listing.pieces {
        reader.missing_before(*piece.indices.start());
        reader.add_piece(piece, &listing.doubled);
    }
    reader.disown_pending();
    Ok(reader.chain)
}

/// A file of the chain as reports name it.
fn place(path: &Path) -> String {
    format!("manifest/{}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// What the next entry has to name as the one before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
    None,
    Entry(Sha256),
    /// It is missing or unreadable, which has been said.
    Unknown,
}

struct Reader<'a> {
    present: &'a BTreeMap<String, PathBuf>,
    chain: Chain,
    /// Entries from before the given key, to be believed once one of that key pins them.
    pending: Vec<Placed>,
    next_index: u64,
    previous: Previous,
}

impl<'a> Reader<'a> {
    fn new(trust: Trust, present: &'a BTreeMap<String, PathBuf>, hashes: BTreeMap<u64, Option<Sha256>>) -> Self {
        let (stated, problems, rotations) = (Stated::default(), Vec::new(), Vec::new());
        let chain = Chain { stated, problems, entries: 0, unchecked: 0, head: None, hashes, rotations, trust };
        Self { present, chain, pending: Vec::new(), next_index: 1, previous: Previous::None }
    }

    fn complain(&mut self, place: String, fault: Fault) {
        self.chain.problems.push(Problem { place, fault });
    }

    fn missing_before(&mut self, index: u64) {
        let first = place(Path::new(&manifest::file_name(self.next_index)));
        match index.saturating_sub(self.next_index) {
            0 => return,
            1 => self.complain(first, Fault::EntryMissing),
            missing => self.complain(first, Fault::EntriesMissing(missing)),
        }
        self.lose_track();
    }

    /// What comes next cannot be linked to what came before.
    fn lose_track(&mut self) {
        self.disown_pending();
        self.chain.trust.lose_track();
        self.previous = Previous::Unknown;
    }

    fn add_piece(&mut self, piece: &Piece, doubled: &[Piece]) {
        let name = place(&piece.path);
        self.next_index = piece.indices.end().saturating_add(1);
        let bytes = match piece.bytes() {
            Ok(bytes) => bytes,
            Err(error) => {
                self.complain(name, error.into());
                return self.lose_track();
            }
        };
        let Some(found) = piece.split(&bytes) else {
            self.complain(name, Fault::Pack);
            return self.lose_track();
        };
        for (index, entry) in found {
            let place = if piece.packed { format!("{name} entry {index}") } else { name.clone() };
            self.add(index, entry, place);
            for single in doubled.iter().filter(|single| *single.indices.start() == index) {
                self.compare(single, entry);
            }
        }
    }

    /// A file of one entry that a packed file has as well must be the same.
    fn compare(&mut self, single: &Piece, packed: &[u8]) {
        match single.bytes() {
            Ok(bytes) if bytes == packed => {}
            Ok(_) => self.complain(place(&single.path), Fault::Doubled),
            Err(error) => self.complain(place(&single.path), error.into()),
        }
    }

    fn add(&mut self, index: u64, bytes: &[u8], place: String) {
        self.chain.entries += 1;
        let sha256 = Sha256::of(bytes);
        self.chain.head = Some(Head { index, sha256 });
        if let Some(hash) = self.chain.hashes.get_mut(&index) {
            *hash = Some(sha256);
        }
        let before = std::mem::replace(&mut self.previous, Previous::Entry(sha256));
        let signed = match SignedEntry::parse(bytes) {
            Ok(signed) => signed,
            Err(error) => {
                self.complain(place, error.into());
                self.disown_pending();
                return self.chain.trust.lose_track();
            }
        };
        if signed.entry.index != index {
            self.complain(place, Fault::Index(signed.entry.index));
            self.disown_pending();
            return self.chain.trust.lose_track();
        }
        let linked = match before {
            Previous::None => signed.entry.previous.is_none(),
            Previous::Entry(sha256) => signed.entry.previous == Some(sha256),
            Previous::Unknown => true,
        };
        if !linked {
            self.complain(place.clone(), Fault::Previous);
            self.disown_pending();
        }
        match self.chain.trust.judge(&signed) {
            Ok(Belief::Signed) => {
                self.believe_pending();
                self.believe(Placed { place, entry: signed.entry, checked: true });
            }
            Ok(Belief::IfLinked { checked }) => self.pending.push(Placed { place, entry: signed.entry, checked }),
            Err(fault) => self.complain(place, fault),
        }
    }

    fn believe_pending(&mut self) {
        for placed in std::mem::take(&mut self.pending) {
            self.believe(placed);
        }
    }

    fn believe(&mut self, Placed { place, entry, checked }: Placed) {
        self.chain.unchecked += u64::from(!checked);
        if let Statement::KeyRotation(rotation) = &entry.statement
            && rotation.new_key_id != entry.key_id
        {
            self.chain.rotations.push(entry.index);
        }
        for fault in self.chain.stated.add(entry, self.present) {
            self.complain(place.clone(), fault);
        }
    }

    /// Entries that nothing pins to the given key.
    fn disown_pending(&mut self) {
        for Placed { place, entry, .. } in std::mem::take(&mut self.pending) {
            self.complain(place, Fault::UnknownKey(entry.key_id));
        }
    }
}
