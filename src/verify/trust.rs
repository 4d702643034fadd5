//! Which keys signatures are believed by: the given one, those it hands over to, and those before it that the chain pins.
//!
//! Going forward, a rotation that is signed with a believed key names the next one. Going back there are no signatures
//! to believe: what came before the first entry of the given key is proved by the hashes from that entry on, and the
//! signatures of old keys are checked as far as their public keys are at hand. Pure.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Fault;
use crate::archive::digest::Sha256;
use crate::archive::manifest::SignedEntry;
use crate::archive::signer::PublicKey;
use crate::archive::statement::{KeyRotationStatement, Statement};

/// How far an entry can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// Signed with the given key or one it hands over to.
    Signed,
    /// Before the given key; its signature was checked with an old public key if `checked`.
    IfLinked { checked: bool },
}

pub(super) struct Trust {
    /// The given key and those that believed rotations name.
    believed: HashMap<Sha256, PublicKey>,
    /// Keys from before. Where they come from proves nothing, but an entry that the chain pins names them by digest.
    old: HashMap<Sha256, PublicKey>,
    /// The key that signs now; `None` where that is not known.
    active: Option<Sha256>,
    /// Whether a believed key has signed already.
    reached: bool,
}

impl Trust {
    pub(super) fn new(given: PublicKey, old: Vec<PublicKey>) -> Self {
        let old = old.into_iter().map(|key| (key.id(), key)).collect();
        Self { believed: HashMap::from([(given.id(), given)]), old, active: None, reached: false }
    }

    /// Judges the signature of the next entry of the chain.
    pub(super) fn judge(&mut self, signed: &SignedEntry) -> Result<Belief, Fault> {
        let key_id = signed.entry.key_id;
        let believed = self.believed.get(&key_id);
        let key = believed.or_else(|| self.old.get(&key_id));
        if key.is_some_and(|key| !key.verifies(&signed.signed, &signed.signature)) {
            return Err(Fault::Signature);
        }
        // Only a rotation hands over to another key.
        if self.active.is_some_and(|active| active != key_id) || (self.reached && believed.is_none()) {
            return Err(Fault::UnknownKey(key_id));
        }
        let checked = key.is_some();
        self.reached = believed.is_some();
        self.active = Some(key_id);
        if let Statement::KeyRotation(rotation) = &signed.entry.statement {
            let key = rotated(rotation).ok_or(Fault::RotatedKey)?;
            self.active = Some(key.id());
            if self.reached {
                self.believed.insert(key.id(), key);
            }
        }
        Ok(if self.reached { Belief::Signed } else { Belief::IfLinked { checked } })
    }

    /// A key that is believed by now, or an old one.
    pub(super) fn key(&self, id: &Sha256) -> Option<&PublicKey> {
        self.believed.get(id).or_else(|| self.old.get(id))
    }

    /// After entries that are missing or unreadable, of which one may be a rotation.
    pub(super) fn lose_track(&mut self) {
        self.active = None;
    }
}

/// The key that a rotation hands over to, if it names one.
pub(super) fn rotated(rotation: &KeyRotationStatement) -> Option<PublicKey> {
    let key = PublicKey::from_spki(STANDARD.decode(&rotation.new_key).ok()?)?;
    (key.id() == rotation.new_key_id).then_some(key)
}
