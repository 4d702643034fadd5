//! Makes the bundle for one row: finds it, proves its place in its file, and takes what is needed from the chain.
//!
//! The file must be as it was signed; nothing else is verified.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::anchored::Anchors;
use super::bundle::{Bundle, FORMAT};
use super::trust::Trust;
use super::{VerifyError, at, chain, files};
use crate::archive::anchor::Anchor;
use crate::archive::content::Fingerprint;
use crate::archive::entries::{self, Listing};
use crate::archive::maintenance::stock::StatedFile;
use crate::archive::proof::{self, RowProof};
use crate::archive::sealed::SealedError;
use crate::archive::signer::{PUBLIC_KEY_FILE, PublicKey};
use crate::journal::segment;

/// Entries between the row and the anchor at most.
const AFTER_MAX: u64 = 10_000;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    #[error(transparent)]
    Read(#[from] VerifyError),
    #[error(
        "the row {0} is in the journal and not signed yet: try again once its segment is sealed (audit.seal_after_s)"
    )]
    NotSealed(Uuid),
    #[error("there is no row {event_id} in the signed files{}", left_out(.unreadable))]
    NotFound { event_id: Uuid, unreadable: Vec<String> },
    #[error("audit/{0} is not as it was signed: run `tollgate verify`")]
    Changed(String),
    #[error("entry {0} of the chain is missing or damaged: run `tollgate verify`")]
    Entry(u64),
    #[error(
        "no anchor in the file is of the row's entry {0} or one of the {AFTER_MAX} after it: anchor the chain again"
    )]
    NotAnchored(u64),
}

fn left_out(paths: &[String]) -> String {
    if paths.is_empty() { String::new() } else { format!("; these could not be read: {}", paths.join(", ")) }
}

/// The bundle for the row with this event id. With `anchors`, a file of them, it leads on to the first anchored head at
/// or after the entry of the row's file.
pub fn make(root: &Path, event_id: Uuid, anchors: Option<&Path>) -> Result<Bundle, ProveError> {
    let present = files::list(&root.join("audit"))?;
    let key = PublicKey::load(&root.join("keys").join(PUBLIC_KEY_FILE)).map_err(VerifyError::from)?;
    let old = crate::archive::rotation::public_keys(&root.join("keys"), super::OLD_KEYS_MAX).unwrap_or_default();
    let anchors = anchors.map(Anchors::read).transpose()?;
    let wanted = anchors.as_ref().map(Anchors::wanted).unwrap_or_default();
    let manifest_dir = root.join("manifest");
    let chain = chain::read(&manifest_dir, Trust::new(key, old), &present, wanted)?;
    let (stated, row) = find(root, &chain.stated.files, event_id)?;

    let anchor = anchors.map(|anchors| anchors.first_from(stated.index, &chain.hashes));
    let anchor = anchor.map(|found| found.ok_or(ProveError::NotAnchored(stated.index))).transpose()?;
    let last = anchor.as_ref().map_or(stated.index, |(anchor, _)| anchor.index);
    if last - stated.index > AFTER_MAX {
        return Err(ProveError::NotAnchored(stated.index));
    }
    let listing = entries::list(&manifest_dir).map_err(at(&manifest_dir))?;
    let read = |index| text(&listing, &manifest_dir, index);
    Ok(Bundle {
        format: FORMAT,
        event_id: event_id.to_string(),
        row: row.row,
        schema: row.schema,
        leaf: row.leaf,
        path: row.path,
        entry: read(stated.index)?,
        rotations: chain
            .rotations
            .iter()
            .filter(|index| **index < stated.index)
            .map(|index| read(*index))
            .collect::<Result<_, _>>()?,
        after: (stated.index + 1..=last).map(read).collect::<Result<_, _>>()?,
        anchor: anchor.map(|(_, text)| text),
    })
}

fn text(listing: &Listing, dir: &Path, index: u64) -> Result<String, ProveError> {
    let bytes = listing.entry(index).map_err(at(dir))?.ok_or(ProveError::Entry(index))?;
    String::from_utf8(bytes).map_err(|_| ProveError::Entry(index))
}

/// The file with the row, newest first, and the row.
fn find<'f>(
    root: &Path,
    files: &'f std::collections::HashMap<String, StatedFile>,
    event_id: Uuid,
) -> Result<(&'f StatedFile, RowProof), ProveError> {
    let newest_first: BTreeMap<u64, &StatedFile> =
        files.values().map(|stated| (u64::MAX - stated.index, stated)).collect();
    let mut unreadable = Vec::new();
    for stated in newest_first.into_values() {
        let path = root.join("audit").join(&stated.file.path);
        match proof::find(&path, event_id) {
            Ok(Some(row)) => {
                let found = Fingerprint::of(&path).map_err(at(&path))?;
                let same = (found.bytes, found.sha256) == (stated.file.bytes, stated.file.sha256);
                return if same { Ok((stated, row)) } else { Err(ProveError::Changed(stated.file.path.clone())) };
            }
            Ok(None) => {}
            Err(error) => unreadable.push(describe(&path, &error)),
        }
    }
    if in_journal(&root.join("journal"), event_id) {
        return Err(ProveError::NotSealed(event_id));
    }
    Err(ProveError::NotFound { event_id, unreadable })
}

fn describe(path: &Path, error: &SealedError) -> String {
    format!("{} {error}", path.display())
}

/// Whether the journal has the row or its intent; what cannot be read has not.
fn in_journal(dir: &Path, event_id: Uuid) -> bool {
    let segments: Vec<PathBuf> = segment::list(dir).unwrap_or_default();
    segments.iter().filter_map(|path| segment::read(path).ok()).any(|contents| {
        let intents = contents.rows.iter().map(|row| &row.intent).chain(&contents.open);
        intents.map(|intent| intent.event_id).any(|found| found == event_id)
    })
}

impl Anchors {
    /// The first anchored head at or after an entry, with its bytes.
    fn first_from(
        self,
        index: u64,
        hashes: &BTreeMap<u64, Option<crate::archive::digest::Sha256>>,
    ) -> Option<(Anchor, String)> {
        let usable = self
            .into_anchors()
            .filter(|(anchor, _)| anchor.index >= index && hashes.get(&anchor.index) == Some(&Some(anchor.sha256)));
        usable.min_by_key(|(anchor, _)| anchor.index)
    }
}
