//! The manifests: each signed by the key, each naming the one before, none missing.

use std::collections::HashMap;
use std::path::Path;

use super::{Fault, Problem, VerifyError, at};
use crate::archive::chain::{self, Head};
use crate::archive::digest::Sha256;
use crate::archive::manifest::{self, Manifest, SignedManifest};
use crate::archive::signer::PublicKey;

/// The chain as far as it can be believed.
pub(super) struct Chain {
    /// Manifests whose signature and index are right, one for each path.
    pub(super) proven: HashMap<String, Manifest>,
    pub(super) problems: Vec<Problem>,
    pub(super) manifests: u64,
    pub(super) head: Option<Head>,
}

pub(super) fn read(dir: &Path, key: &PublicKey) -> Result<Chain, VerifyError> {
    let listing = chain::list(dir).map_err(at(dir))?;
    let mut chain = Chain { proven: HashMap::new(), problems: Vec::new(), manifests: 0, head: None };
    for stray in listing.strays {
        chain.complain(&stray, Fault::Stray);
    }
    for (index, path) in listing.manifests {
        chain.missing_before(dir, index);
        chain.add(index, &path, key);
    }
    Ok(chain)
}

impl Chain {
    fn complain(&mut self, path: &Path, fault: Fault) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.problems.push(Problem { place: format!("manifest/{name}"), fault });
    }

    fn missing_before(&mut self, dir: &Path, index: u64) {
        let expected = self.head.map_or(0, |head| head.index).saturating_add(1);
        let first = dir.join(manifest::file_name(expected));
        match index.saturating_sub(expected) {
            0 => {}
            1 => self.complain(&first, Fault::ManifestMissing),
            missing => self.complain(&first, Fault::ManifestsMissing(missing)),
        }
    }

    fn add(&mut self, index: u64, path: &Path, key: &PublicKey) {
        self.manifests += 1;
        let before = self.head.filter(|head| head.index + 1 == index);
        let bytes = match chain::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.head = None;
                return self.complain(path, error.into());
            }
        };
        self.head = Some(Head { index, sha256: Sha256::of(&bytes) });
        let manifest = match proven(&bytes, index, key) {
            Ok(manifest) => manifest,
            Err(fault) => return self.complain(path, fault),
        };
        let continues = match (before, index) {
            (Some(head), _) => manifest.previous == Some(head.sha256),
            (None, 1) => manifest.previous.is_none(),
            // What comes before is missing, which has been said.
            (None, _) => true,
        };
        if !continues {
            self.complain(path, Fault::Previous);
        }
        if self.proven.contains_key(&manifest.file.path) {
            return self.complain(path, Fault::PathTwice(manifest.file.path));
        }
        self.proven.insert(manifest.file.path.clone(), manifest);
    }
}

fn proven(bytes: &[u8], index: u64, key: &PublicKey) -> Result<Manifest, Fault> {
    let SignedManifest { manifest, statement, signature } = SignedManifest::parse(bytes)?;
    if manifest.key_id != key.id() {
        return Err(Fault::UnknownKey(manifest.key_id));
    }
    if !key.verifies(&statement, &signature) {
        return Err(Fault::Signature);
    }
    if manifest.index != index {
        return Err(Fault::Index(manifest.index));
    }
    Ok(manifest)
}
