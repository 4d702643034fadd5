//! The Ed25519 key that signs manifests, and public keys that check signatures.
//!
//! The private key is made once, stays in its file with mode 0600 and is never printed. What is signed is decided in
//! `chain`; trust in a public key is decided by whoever passes it to `verify`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::digest::Sha256;
use crate::storage;

/// The private key, PEM, PKCS#8.
pub const PRIVATE_KEY_FILE: &str = "manifest.key";
/// The public key, PEM, SubjectPublicKeyInfo.
pub const PUBLIC_KEY_FILE: &str = "manifest.pub";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: others than its owner can read it (mode {mode:03o}); chmod 600 it, or replace the key")]
    Readable { path: PathBuf, mode: u32 },
    #[error("{0}: not a PKCS#8 Ed25519 key in PEM; restore it from a backup")]
    NotAPrivateKey(PathBuf),
    #[error("{0}: not an Ed25519 public key in PEM (BEGIN PUBLIC KEY)")]
    NotAPublicKey(PathBuf),
    #[error("the cryptographic library could not make or use an Ed25519 key")]
    Crypto,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyError + '_ {
    |source| KeyError::Io { path: path.to_owned(), source }
}

/// A public key that checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads a PEM file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let pem = fs::read(path).map_err(at(path))?;
        let refused = || KeyError::NotAPublicKey(path.to_owned());
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(&pem).map_err(|_| refused())?;
        Self::from_spki(spki.as_ref().to_vec()).ok_or_else(refused)
    }

    /// From DER, SubjectPublicKeyInfo; `None` if it is not an Ed25519 key.
    #[must_use]
    pub fn from_spki(spki: Vec<u8>) -> Option<Self> {
        UnparsedPublicKey::new(&ED25519, &spki).parse().ok()?;
        Some(Self { spki })
    }

    /// DER, SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the DER form.
    #[must_use]
    pub fn id(&self) -> Sha256 {
        Sha256::of(&self.spki)
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.spki).verify(message, signature).is_ok()
    }

    /// Writes it to a PEM file, durably.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        write_durably(path, self.pem().as_bytes(), 0o644)
    }

    fn pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&self.spki))
    }
}

/// The key pair of this installation.
pub struct Signer {
    key: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    /// Loads the key in `keys_dir`, which must exist, or makes one; writes the public key beside it.
    pub fn load_or_create(keys_dir: &Path) -> Result<Self, KeyError> {
        let path = keys_dir.join(PRIVATE_KEY_FILE);
        if !path.try_exists().map_err(at(&path))? {
            create(&path)?;
        }
        let signer = Self::load(&path)?;
        let public_path = keys_dir.join(PUBLIC_KEY_FILE);
        if fs::read_to_string(&public_path).ok() != Some(signer.public.pem()) {
            signer.public.save(&public_path)?;
        }
        Ok(signer)
    }

    /// Makes a private key and writes it to a file.
    pub(super) fn create(path: &Path) -> Result<Self, KeyError> {
        create(path)?;
        Self::load(path)
    }

    pub(super) fn load(path: &Path) -> Result<Self, KeyError> {
        let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Readable { path: path.to_owned(), mode });
        }
        let pem = fs::read(path).map_err(at(path))?;
        let refused = || KeyError::NotAPrivateKey(path.to_owned());
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| refused())?;
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.secret_pkcs8_der()).map_err(|_| refused())?;
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| KeyError::Crypto)?;
        let public = PublicKey { spki: spki.as_ref().to_vec() };
        Ok(Self { key, public })
    }

    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature over `message`, 64 bytes; the same message always gets the same one (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.key.try_sign(message).map_err(|_| KeyError::Crypto)?.as_ref().to_vec())
    }
}

fn create(path: &Path) -> Result<(), KeyError> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| KeyError::Crypto)?;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8.as_ref()));
    write_durably(path, pem.as_bytes(), 0o600)
}

fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    storage::replace(path, bytes, mode).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let first = Signer::load_or_create(dir.path()).expect("makes");
        let again = Signer::load_or_create(dir.path()).expect("loads");
        assert_eq!(first.public(), again.public());
        let mode = fs::metadata(dir.path().join(PRIVATE_KEY_FILE)).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_exported_key_checks_signatures() {
        let dir = tempfile::tempdir().expect("temp dir");
        let signer = Signer::load_or_create(dir.path()).expect("makes");
        let public = PublicKey::load(&dir.path().join(PUBLIC_KEY_FILE)).expect("loads");
        assert_eq!(public.id(), signer.public().id());
        let signature = signer.sign(b"said").expect("signs");
        assert!(public.verifies(b"said", &signature));
        assert!(!public.verifies(b"Said", &signature));
        assert!(!public.verifies(b"said", &signature[1..]));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        Signer::load_or_create(dir.path()).expect("makes");
        let path = dir.path().join(PRIVATE_KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = Signer::load_or_create(dir.path()).err().expect("refused");
        assert!(matches!(error, KeyError::Readable { mode: 0o640, .. }), "{error}");
    }

    #[test]
    fn damage_is_not_taken_for_a_missing_key() {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join(PRIVATE_KEY_FILE), "").expect("writes");
        fs::set_permissions(dir.path().join(PRIVATE_KEY_FILE), fs::Permissions::from_mode(0o600)).expect("chmod");
        let error = Signer::load_or_create(dir.path()).err().expect("refused");
        assert!(matches!(error, KeyError::NotAPrivateKey(_)), "{error}");
    }
}
