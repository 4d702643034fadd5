//! Heads of the chain that were anchored elsewhere, compared with the chain as it is now.
//!
//! A chain that does not have an anchored head was cut off or written anew, however well it is signed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::trust::Trust;
use super::{Fault, Problem, VerifyError, at};
use crate::archive::anchor::{Anchor, AnchorError, SignedAnchor, split};
use crate::archive::digest::Sha256;

/// Largest file of anchors that is read, in bytes: some 150 000 of them, more than a year of one every five minutes.
const ANCHORS_BYTES_MAX: u64 = 64 << 20;

/// The anchors of a file, in its order.
pub(super) struct Anchors {
    place: String,
    found: Vec<Result<SignedAnchor, AnchorError>>,
}

impl Anchors {
    pub(super) fn read(path: &Path) -> Result<Self, VerifyError> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(at(path))?;
        file.take(ANCHORS_BYTES_MAX).read_to_end(&mut bytes).map_err(at(path))?;
        let found = split(&bytes).into_iter().map(Anchor::parse).collect();
        Ok(Self { place: path.display().to_string(), found })
    }

    /// The indices whose hashes have to be known to [`Anchors::compare`].
    pub(super) fn wanted(&self) -> BTreeMap<u64, Option<Sha256>> {
        self.found.iter().flatten().map(|anchor| (anchor.unchecked().index, None)).collect()
    }

    /// What each anchor says, not checked, and its bytes.
    pub(super) fn into_anchors(self) -> impl Iterator<Item = (Anchor, String)> {
        self.found.into_iter().flatten().map(|signed| (signed.unchecked().clone(), signed.text()))
    }

    /// The last anchor that the chain has, and what is wrong with the others.
    pub(super) fn compare(
        self,
        hashes: &BTreeMap<u64, Option<Sha256>>,
        trust: &Trust,
    ) -> (Option<Anchor>, Vec<Problem>) {
        let (mut last, mut problems): (Option<Anchor>, _) = (None, Vec::new());
        let empty = self.found.is_empty();
        for (number, found) in self.found.into_iter().enumerate() {
            match found.and_then(|signed| signed.check(|id| trust.key(id))) {
                Ok(anchor) if hashes.get(&anchor.index) == Some(&Some(anchor.sha256)) => {
                    if last.as_ref().is_none_or(|last| last.index <= anchor.index) {
                        last = Some(anchor);
                    }
                }
                Ok(Anchor { index, sha256, time, .. }) => {
                    let place = format!("entry {index} of the chain");
                    problems.push(Problem { place, fault: Fault::NotAnchored { sha256, time } });
                }
                Err(error) => {
                    let place = format!("{} anchor {}", self.place, number + 1);
                    problems.push(Problem { place, fault: Fault::Anchor(error) });
                }
            }
        }
        if empty {
            problems.push(Problem { place: self.place, fault: Fault::NoAnchor });
        }
        (last, problems)
    }
}
