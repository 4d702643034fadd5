//! The head of the chain as it is sent to places this machine cannot rewrite.
//!
//! An anchor has two lines like an entry: a JSON object and the signature over it, so that it can be checked alone. It
//! is no entry: it has no kind, and an entry has no `head`. This module knows its form; `sinks` sends it. Documented
//! in `docs/manifest.md`.

mod sender;
mod sinks;

pub use sender::{Outbox, Sender};
pub use sinks::Sink;

use serde::{Deserialize, Serialize};

use super::chain::Head;
use super::digest::Sha256;
use super::manifest::{EntryError, FORMAT, entry_bytes, split_lines, time_text};
use super::signer::{KeyError, PublicKey, Signer};

/// The statement of an anchor. Keys are written in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// [`FORMAT`].
    pub format: u32,
    /// Always `head`.
    pub anchor: AnchorOf,
    /// Of the last entry of the chain.
    pub index: u64,
    /// Of both lines of that entry.
    pub sha256: Sha256,
    /// When this was signed; see [`time_text`].
    pub time: String,
    pub instance_id: String,
    pub key_id: Sha256,
}

/// What is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorOf {
    Head,
}

/// Why bytes are not an anchor that can be believed.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    #[error("{0}")]
    Form(#[from] EntryError),
    #[error("is signed with key {0}, which is not one of the chain")]
    UnknownKey(Sha256),
    #[error("has a signature that does not match: it was modified, or forged")]
    Signature,
}

/// An anchor taken apart. The signature is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAnchor {
    anchor: Anchor,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Anchor {
    /// Signs for a head: the two lines. `time_us` is now, in microseconds since the Unix epoch.
    pub fn sign(head: Head, instance_id: &str, time_us: i64, signer: &Signer) -> Result<Vec<u8>, AnchorSignError> {
        let anchor = Self {
            format: FORMAT,
            anchor: AnchorOf::Head,
            index: head.index,
            sha256: head.sha256,
            time: time_text(time_us),
            instance_id: instance_id.to_owned(),
            key_id: signer.public().id(),
        };
        let line = serde_json::to_vec(&anchor)?;
        Ok(entry_bytes(&line, &signer.sign(&line)?))
    }

    /// Takes the two lines apart.
    pub fn parse(bytes: &[u8]) -> Result<SignedAnchor, AnchorError> {
        let (signed, signature) = split_lines(bytes)?;
        let anchor: Self = serde_json::from_str(signed).map_err(EntryError::from)?;
        if anchor.format != FORMAT {
            return Err(EntryError::Format(anchor.format).into());
        }
        Ok(SignedAnchor { anchor, signed: signed.as_bytes().to_vec(), signature })
    }
}

/// Why an anchor could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnchorSignError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("an anchor could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

impl SignedAnchor {
    /// What it says, not checked.
    #[must_use]
    pub fn unchecked(&self) -> &Anchor {
        &self.anchor
    }

    /// The two lines it was taken from.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&entry_bytes(&self.signed, &self.signature)).into_owned()
    }

    /// The anchor, if it is signed with a key that `key` knows.
    pub fn check<'k>(self, key: impl Fn(&Sha256) -> Option<&'k PublicKey>) -> Result<Anchor, AnchorError> {
        let key = key(&self.anchor.key_id).ok_or(AnchorError::UnknownKey(self.anchor.key_id))?;
        if key.verifies(&self.signed, &self.signature) { Ok(self.anchor) } else { Err(AnchorError::Signature) }
    }
}

/// The anchors in a file that the `file` sink, or whoever collects the lines, wrote: two lines each, the last one not
/// yet complete perhaps.
#[must_use]
pub fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut found = Vec::new();
    let mut from = 0;
    for end in ends.skip(1).step_by(2) {
        found.extend(bytes.get(from..end));
        from = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_can_be_checked_alone_and_is_no_entry() {
        let dir = tempfile::tempdir().expect("temp dir");
        let signer = Signer::load_or_create(dir.path()).expect("key");
        let head = Head { index: 7, sha256: Sha256::of(b"head") };
        let bytes = Anchor::sign(head, "a1b2c3d4", 1_795_305_600_000_000, &signer).expect("signs");
        let key = |id: &Sha256| (*id == signer.public().id()).then(|| signer.public());
        let anchor = Anchor::parse(&bytes).expect("parses").check(key).expect("signed");
        assert_eq!(
            (anchor.index, anchor.sha256, anchor.time.as_str()),
            (7, head.sha256, "2026-11-22T00:00:00.000000Z")
        );
        assert!(super::super::manifest::SignedEntry::parse(&bytes).is_err());

        let unknown = Anchor::parse(&bytes).expect("parses").check(|_| None);
        assert!(matches!(unknown, Err(AnchorError::UnknownKey(_))), "{unknown:?}");
        let forged = String::from_utf8(bytes).expect("text").replace(":7,", ":8,");
        let forged = Anchor::parse(forged.as_bytes()).expect("parses").check(key);
        assert!(matches!(forged, Err(AnchorError::Signature)), "{forged:?}");
    }

    #[test]
    fn a_torn_last_anchor_is_left_out() {
        assert_eq!(split(b"a\nb\nc\nd\ne\nf"), [&b"a\nb\n"[..], b"c\nd\n"]);
        assert_eq!(split(b"a"), <[&[u8]; 0]>::default());
    }
}
