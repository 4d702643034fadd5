//! The interception CA: loads or makes it, and signs one leaf certificate per host.
//!
//! The CA's private key lives in [`Authority`] and nowhere else; leaf certificates use a key of their own, made anew at
//! every start, so that a leaked session key says nothing about the CA. Caching of leaves, and TLS itself, are done
//! beside this module.

mod certificate;
mod files;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::destination::Host;

pub use certificate::CaCertificate;
pub use files::FileError;

const DAY_S: u64 = 24 * 60 * 60;

/// How long before "now" certificates become valid, for clients whose clocks run behind.
pub const BACKDATE: Duration = Duration::from_secs(2 * DAY_S);

/// The longest `leaf_valid` that keeps a leaf's whole validity, [`BACKDATE`] included, at 197 days: clients refuse
/// server certificates valid for more than 200 days.
pub const LEAF_VALID_MAX: Duration = Duration::from_secs(195 * DAY_S);

/// How long a CA made by Tollgate is valid.
const CA_VALID: Duration = Duration::from_secs(5 * 365 * DAY_S);

/// An X.520 common name has at most 64 characters; a host that long goes into the subjectAltName only.
const COMMON_NAME_LENGTH_MAX: usize = 63;

/// Where the CA is and how long its leaves are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// PEM; the first certificate is the CA's, further ones lead from it to a root.
    pub cert_file: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted, readable by the owner alone.
    pub key_file: PathBuf,
    /// Validity of a leaf counted from its making, at most [`LEAF_VALID_MAX`].
    pub leaf_valid: Duration,
}

/// The interception CA, ready to sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CaCertificate,
    /// Certificates a client needs beside the leaf: empty when the CA signs itself.
    intermediates: Vec<CertificateDer<'static>>,
    leaf_key: KeyPair,
    leaf_signing_key: Arc<dyn SigningKey>,
    leaf_valid: Duration,
    created: bool,
}

/// Why there is no usable CA. Each message names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read, written, or trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// One of the two files exists and the other does not.
    #[error(
        "{present} exists but {missing} does not: put the missing file back, or remove {present} to have a new CA made"
    )]
    Half {
        /// The file that is there.
        present: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// The file holds no PEM certificate.
    #[error("{0}: no PEM certificate in it; it must start with -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    /// The certificate's DER is not X.509 version 3.
    #[error("{0}: the first certificate cannot be read as X.509; check it with `openssl x509 -text -in {0}`")]
    UnreadableCertificate(PathBuf),
    /// The file holds no usable PEM private key.
    #[error(
        "{0}: no unencrypted PEM private key in it; decrypt it with `openssl pkey -in {0} -out KEY` and use that file"
    )]
    NoKey(PathBuf),
    /// The key is of a kind not every client accepts.
    #[error("{0}: the key is not RSA (2048 bits or more), ECDSA P-256 or ECDSA P-384; use a CA with such a key")]
    UnsupportedKey(PathBuf),
    /// The certificate is not one that may sign others.
    #[error("{0}: not a CA certificate (basicConstraints CA:TRUE and, if present, keyUsage keyCertSign are needed)")]
    NotCa(PathBuf),
    /// The certificate was made for another key.
    #[error("{key_file} is not the key of {cert_file}: give the key this certificate was made with")]
    KeyMismatch {
        /// The CA certificate.
        cert_file: PathBuf,
        /// The key that does not belong to it.
        key_file: PathBuf,
    },
    /// The certificate's validity is over.
    #[error("{cert_file}: the CA expired on {not_after}; renew it, or remove it and its key to have a new CA made")]
    Expired {
        /// The CA certificate.
        cert_file: PathBuf,
        /// Last moment of its validity, RFC 3339.
        not_after: String,
    },
    /// The certificate's validity has not begun.
    #[error("{cert_file}: the CA is not valid before {not_before}; check this machine's clock")]
    NotYetValid {
        /// The CA certificate.
        cert_file: PathBuf,
        /// First moment of its validity, RFC 3339.
        not_before: String,
    },
    /// The subject cannot be copied byte for byte into the issuer of a leaf.
    #[error(
        "{0}: the CA's subject repeats an attribute (two OUs, say) and cannot be used as an issuer; use a CA whose subject does not"
    )]
    UnsupportedSubject(PathBuf),
    /// Making keys or signing failed inside the cryptography library.
    #[error("cannot make or sign a certificate: {0}")]
    Signing(#[from] LeafError),
}

/// Why no leaf certificate could be made for a host.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// The CA's validity ended while the process ran.
    #[error("the interception CA has expired")]
    CaExpired,
    /// The host is not ASCII and so cannot be a `dNSName`.
    #[error("the host cannot be written as a dNSName")]
    Name,
    /// The cryptography library failed.
    #[error("signing failed: {0}")]
    Crypto(#[from] rcgen::Error),
    /// rustls cannot use the leaf key.
    #[error("the leaf key was refused: {0}")]
    Key(#[from] rustls::Error),
    /// The operating system gave no randomness.
    #[error("no randomness available")]
    Random,
}

impl Authority {
    /// Loads the CA, or makes one when neither file exists.
    ///
    /// # Errors
    /// Every way in which the two files can be unusable; see [`AuthorityError`].
    pub fn load_or_create(settings: &Settings, now: SystemTime) -> Result<Self, AuthorityError> {
        if let Some(found) = Self::load_existing(settings, now)? {
            return Ok(found);
        }
        create(&settings.cert_file, &settings.key_file, now)?;
        let mut authority = Self::load(settings, now)?;
        authority.created = true;
        Ok(authority)
    }

    /// Loads the CA; `None` when neither file exists. Never makes one.
    ///
    /// # Errors
    /// Every way in which the two files can be unusable; see [`AuthorityError`].
    pub fn load_existing(settings: &Settings, now: SystemTime) -> Result<Option<Self>, AuthorityError> {
        let (cert_file, key_file) = (&settings.cert_file, &settings.key_file);
        let half = |present: &Path, missing: &Path| AuthorityError::Half {
            present: present.to_owned(),
            missing: missing.to_owned(),
        };
        match (files::exists(cert_file)?, files::exists(key_file)?) {
            (true, true) => Self::load(settings, now).map(Some),
            (false, false) => Ok(None),
            (true, false) => Err(half(cert_file, key_file)),
            (false, true) => Err(half(key_file, cert_file)),
        }
    }

    fn load(settings: &Settings, now: SystemTime) -> Result<Self, AuthorityError> {
        let (certificate, rest) = CaCertificate::read_chain(&settings.cert_file)?;
        certificate.check(now)?;
        let key = read_key(&settings.key_file)?;
        if !certificate.is_for_key(&key) {
            return Err(AuthorityError::KeyMismatch {
                cert_file: settings.cert_file.clone(),
                key_file: settings.key_file.clone(),
            });
        }
        let issuer = Issuer::from_ca_cert_der(certificate.der(), key).map_err(LeafError::from)?;
        let leaf_key = KeyPair::generate().map_err(LeafError::from)?;
        let leaf_signing_key = signing_key(&leaf_key)?;
        let intermediates = certificate.with_intermediates(rest);
        let authority = Self {
            issuer,
            certificate,
            intermediates,
            leaf_key,
            leaf_signing_key,
            leaf_valid: settings.leaf_valid.min(LEAF_VALID_MAX),
            created: false,
        };
        authority.prove(now)?;
        Ok(authority)
    }

    /// Makes the leaf certificate for a host, valid from two days before `now` for
    /// `leaf_valid`, but never outside the CA's own validity.
    ///
    /// # Errors
    /// [`LeafError::CaExpired`] once the CA is no longer valid; the others do not happen with a canonical host.
    pub fn leaf(&self, host: &Host, now: SystemTime) -> Result<CertifiedKey, LeafError> {
        let leaf = self.sign(host, now)?;
        let mut chain = Vec::with_capacity(1 + self.intermediates.len());
        chain.push(leaf);
        chain.extend(self.intermediates.iter().cloned());
        Ok(CertifiedKey::new(chain, Arc::clone(&self.leaf_signing_key)))
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// Whether [`Authority::load_or_create`] made this CA rather than found it.
    pub fn created(&self) -> bool {
        self.created
    }

    fn sign(&self, host: &Host, now: SystemTime) -> Result<CertificateDer<'static>, LeafError> {
        let now_s = unix_s(now);
        if now_s >= self.certificate.not_after_s() {
            return Err(LeafError::CaExpired);
        }
        let not_before_s = (now_s - seconds(BACKDATE)).max(self.certificate.not_before_s());
        let not_after_s = (now_s + seconds(self.leaf_valid)).min(self.certificate.not_after_s());

        let mut params = CertificateParams::default();
        set_validity(&mut params, not_before_s, not_after_s);
        params.serial_number = Some(random_serial()?);
        params.subject_alt_names = vec![subject_alt_name(host)?];
        params.distinguished_name = DistinguishedName::new();
        let common_name = host.to_string();
        if common_name.len() <= COMMON_NAME_LENGTH_MAX {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // rcgen copies the CA's own SKI here; a recomputed one breaks chains of CAs that derive it differently. Without
        // an SKI there is nothing an AKI could point to, and a made-up one helps no client.
        params.use_authority_key_identifier_extension = self.certificate.has_subject_key_identifier();
        Ok(params.signed_by(&self.leaf_key, &self.issuer)?.into())
    }

    /// Signs a throw-away leaf, so that a CA whose leaves no client would accept is refused at start.
    fn prove(&self, now: SystemTime) -> Result<(), AuthorityError> {
        let leaf = self.sign(&Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), now)?;
        self.certificate.proves(&leaf)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Makes a P-256 CA that may sign leaves only. The key is written first: a certificate without a key would look like
/// a CA that somebody lost the key of.
fn create(cert_file: &Path, key_file: &Path, now: SystemTime) -> Result<(), AuthorityError> {
    let key = KeyPair::generate().map_err(LeafError::from)?;
    let mut params = CertificateParams::default();
    set_validity(&mut params, unix_s(now) - seconds(BACKDATE), unix_s(now) + seconds(CA_VALID));
    params.serial_number = Some(random_serial()?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    // Random, so that two installations' CAs can be told apart in a trust store without naming the machine to clients.
    let [a, b, c, d] = random::<4>()?;
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Tollgate interception CA {a:02x}{b:02x}{c:02x}{d:02x}"));
    let certificate = params.self_signed(&key).map_err(LeafError::from)?;

    let key_pem = files::pem("PRIVATE KEY", key.serialized_der());
    files::create(key_file, key_pem.as_bytes(), files::Secrecy::Secret)?;
    let cert_pem = files::pem("CERTIFICATE", certificate.der());
    files::create(cert_file, cert_pem.as_bytes(), files::Secrecy::Public)?;
    Ok(())
}

fn read_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    use rustls::pki_types::pem::PemObject as _;

    let pem = files::read(path, files::Secrecy::Secret)?;
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| AuthorityError::NoKey(path.to_owned()))?;
    let key = KeyPair::try_from(&der).map_err(|_| AuthorityError::UnsupportedKey(path.to_owned()))?;
    let supported = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256];
    if supported.into_iter().any(|algorithm| key.is_compatible(algorithm)) {
        Ok(key)
    } else {
        Err(AuthorityError::UnsupportedKey(path.to_owned()))
    }
}

fn signing_key(key: &KeyPair) -> Result<Arc<dyn SigningKey>, LeafError> {
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&der)?)
}

fn subject_alt_name(host: &Host) -> Result<SanType, LeafError> {
    match host {
        Host::Ip(address) => Ok(SanType::IpAddress(*address)),
        Host::Name(name) => Ok(SanType::DnsName(name.as_str().try_into().map_err(|_| LeafError::Name)?)),
    }
}

/// 127 random bits: RFC 5280 section 4.1.2.2 wants a positive integer of at most 20 octets.
fn random_serial() -> Result<SerialNumber, LeafError> {
    let mut bytes = random::<16>()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn random<const N: usize>() -> Result<[u8; N], LeafError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| LeafError::Random)?;
    Ok(bytes)
}

fn unix_s(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, seconds)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The permission bits of the CA's key file, for people to see; nothing of its content is read.
///
/// # Errors
/// The file cannot be looked at.
pub fn key_mode(key_file: &Path) -> Result<u32, FileError> {
    files::mode(key_file)
}

/// Adds to the epoch instead of constructing: rcgen's date type belongs to a crate that this one does not depend on.
fn set_validity(params: &mut CertificateParams, not_before_s: i64, not_after_s: i64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(u64::try_from(not_before_s).unwrap_or(0));
    params.not_after = epoch + Duration::from_secs(u64::try_from(not_after_s).unwrap_or(0));
}

#[cfg(test)]
mod tests;
