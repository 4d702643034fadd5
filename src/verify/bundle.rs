//! A row with all that is needed to check it without the rest of the evidence: the bundle of `tollgate prove`.
//!
//! The entry that states the row's file is signed, so a bundle ends there unless it leads on to an anchored head. Trust
//! goes forward only: the entries that hand over to the key of that entry are in the bundle, so that the public key
//! it is signed with, or any before it, suffices. Pure; documented in `docs/manifest.md`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::archive::anchor::{Anchor, AnchorError};
use crate::archive::canonical;
use crate::archive::chain::Head;
use crate::archive::digest::Sha256;
use crate::archive::manifest::{Entry, EntryError, SignedEntry};
use crate::archive::signer::PublicKey;
use crate::archive::statement::Statement;

use super::trust::rotated;

/// Version of the form described here.
pub const FORMAT: u32 = 1;
/// Largest bundle that is read, in bytes.
pub const BUNDLE_BYTES_MAX: u64 = 64 << 20;

/// Keys are written in this order; entries are the exact bytes of the chain, two lines each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// [`FORMAT`].
    pub format: u32,
    pub event_id: String,
    /// Canonical form of the row.
    pub row: String,
    /// Name and type of its columns, a line each.
    pub schema: String,
    /// Place of the row in its file, from 0.
    pub leaf: u64,
    /// RFC 6962 audit path from the row to the Merkle root.
    pub path: Vec<Sha256>,
    /// States the file of the row.
    pub entry: String,
    /// The key rotations before it, in order.
    pub rotations: Vec<String>,
    /// The entries after it up to the anchored one, in order.
    pub after: Vec<String>,
    /// The anchored head, as it was sent out.
    pub anchor: Option<String>,
}

/// Why a bundle proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("is not a bundle: {0}")]
    Form(#[from] serde_json::Error),
    #[error("has format {0}, this version reads format {FORMAT}: use a newer Tollgate")]
    Format(u32),
    #[error("an entry in it {0}")]
    Entry(#[from] EntryError),
    #[error("is signed with key {0}: verify with that public key or an earlier one of the same chain")]
    UnknownKey(Sha256),
    #[error("the signature of entry {0} does not match: it was modified, or forged")]
    Signature(u64),
    #[error("entry {0} hands over to a key that is none, or not the one it names")]
    RotatedKey(u64),
    #[error("its entry states no file")]
    NoFile,
    #[error("the row is not the one that was signed, or not at that place")]
    Row,
    #[error("its columns are not those that were signed")]
    Schema,
    #[error("the row has another event id than the bundle")]
    EventId,
    #[error("entry {0} does not continue the one before it")]
    Link(u64),
    #[error("its anchor {0}")]
    Anchor(#[from] AnchorError),
    #[error("does not lead to the head that its anchor names")]
    NotAnchored,
}

/// What a bundle proves.
#[derive(Debug)]
pub struct Proven {
    /// Name and value of each column.
    pub row: Vec<(String, Value)>,
    /// States the file; `time` is when it was sealed.
    pub entry: Entry,
    /// The last entry of the bundle.
    pub head: Head,
    pub anchor: Option<Anchor>,
}

/// Checks a bundle with a public key of its chain.
pub fn check(bytes: &[u8], given: &PublicKey) -> Result<Proven, BundleError> {
    let bundle: Bundle = serde_json::from_slice(bytes)?;
    if bundle.format != FORMAT {
        return Err(BundleError::Format(bundle.format));
    }
    let mut keys = HashMap::from([(given.id(), given.clone())]);
    for rotation in &bundle.rotations {
        let signed = SignedEntry::parse(rotation.as_bytes())?;
        // Those before the given key are of no use, and cannot be checked.
        if keys.contains_key(&signed.entry.key_id) {
            believe(&signed, &mut keys)?;
        }
    }
    let signed = SignedEntry::parse(bundle.entry.as_bytes())?;
    believe(&signed, &mut keys)?;
    let row = row_of(&bundle, &signed.entry)?;
    let head = follow(&bundle, &signed.entry, &mut keys)?;
    let anchor = bundle.anchor.as_ref().map(|text| Anchor::parse(text.as_bytes())).transpose()?;
    let anchor = anchor.map(|signed| signed.check(|id| keys.get(id))).transpose()?;
    if anchor.as_ref().is_some_and(|anchor| (anchor.index, anchor.sha256) != (head.index, head.sha256)) {
        return Err(BundleError::NotAnchored);
    }
    Ok(Proven { row, entry: signed.entry, head, anchor })
}

/// Checks the signature of an entry, and takes over the key it hands over to.
fn believe(signed: &SignedEntry, keys: &mut HashMap<Sha256, PublicKey>) -> Result<(), BundleError> {
    let SignedEntry { entry, signed, signature } = signed;
    let key = keys.get(&entry.key_id).ok_or(BundleError::UnknownKey(entry.key_id))?;
    if !key.verifies(signed, signature) {
        return Err(BundleError::Signature(entry.index));
    }
    if let Statement::KeyRotation(rotation) = &entry.statement {
        let key = rotated(rotation).ok_or(BundleError::RotatedKey(entry.index))?;
        keys.insert(key.id(), key);
    }
    Ok(())
}

/// The row by column, if it is where the entry says it is.
fn row_of(bundle: &Bundle, entry: &Entry) -> Result<Vec<(String, Value)>, BundleError> {
    let file = entry.statement.file().ok_or(BundleError::NoFile)?;
    let leaf = canonical::leaf(bundle.row.as_bytes());
    let root = canonical::root_from_path(leaf, bundle.leaf, file.rows, &bundle.path);
    if root != Some(file.merkle_root) {
        return Err(BundleError::Row);
    }
    if Sha256::of(bundle.schema.as_bytes()) != file.schema_sha256 {
        return Err(BundleError::Schema);
    }
    let names = bundle.schema.lines().map(|line| line.split(' ').next().unwrap_or(line).to_owned());
    let values: Vec<Value> = serde_json::from_str(&bundle.row)?;
    let row: Vec<(String, Value)> = names.zip(values).collect();
    let same = row.iter().any(|(name, value)| name == "event_id" && value.as_str() == Some(&bundle.event_id));
    if same { Ok(row) } else { Err(BundleError::EventId) }
}

/// Goes on from the entry to the last one.
fn follow(bundle: &Bundle, entry: &Entry, keys: &mut HashMap<Sha256, PublicKey>) -> Result<Head, BundleError> {
    let mut head = Head { index: entry.index, sha256: Sha256::of(bundle.entry.as_bytes()) };
    for text in &bundle.after {
        let signed = SignedEntry::parse(text.as_bytes())?;
        let index = signed.entry.index;
        if signed.entry.previous != Some(head.sha256) || head.index.checked_add(1) != Some(index) {
            return Err(BundleError::Link(index));
        }
        believe(&signed, keys)?;
        head = Head { index, sha256: Sha256::of(text.as_bytes()) };
    }
    Ok(head)
}
