//! The CA's certificate: what is read from it, and whether it may sign leaves.
//!
//! Reads no private key, so it also serves commands that only show or export the certificate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_certificate;

use super::{AuthorityError, files, unix_s};

/// A CA certificate and the facts about it that are shown to people or bind its leaves.
#[derive(Clone, PartialEq, Eq)]
pub struct CaCertificate {
    path: PathBuf,
    der: CertificateDer<'static>,
    subject: String,
    /// DER of the subject name: a leaf's issuer must be these bytes.
    subject_der: Vec<u8>,
    public_key: Vec<u8>,
    not_before_s: i64,
    not_after_s: i64,
    self_issued: bool,
    may_sign: bool,
    has_subject_key_identifier: bool,
}

impl CaCertificate {
    /// Reads the first certificate of a PEM file. Whether it is a CA, or valid now, is not checked.
    ///
    /// # Errors
    /// The file cannot be read, or its first certificate is not X.509.
    pub fn read(path: &Path) -> Result<Self, AuthorityError> {
        Ok(Self::read_chain(path)?.0)
    }

    /// Reads all certificates of a PEM file: the CA's, then the others.
    pub(super) fn read_chain(path: &Path) -> Result<(Self, Vec<CertificateDer<'static>>), AuthorityError> {
        let pem = files::read(path, files::Secrecy::Public)?;
        let mut certificates = CertificateDer::pem_slice_iter(&pem);
        let no_certificate = || AuthorityError::NoCertificate(path.to_owned());
        let first = certificates.next().ok_or_else(no_certificate)?.map_err(|_| no_certificate())?;
        let rest = certificates.collect::<Result<Vec<_>, _>>().map_err(|_| no_certificate())?;
        Ok((Self::parse(path, &first)?, rest))
    }

    fn parse(path: &Path, der: &CertificateDer<'static>) -> Result<Self, AuthorityError> {
        let unreadable = || AuthorityError::UnreadableCertificate(path.to_owned());
        let (_, x509) = parse_x509_certificate(der).map_err(|_| unreadable())?;
        let may_sign = may_sign(&x509).ok_or_else(unreadable)?;
        Ok(Self {
            path: path.to_owned(),
            subject: x509.subject().to_string(),
            subject_der: x509.subject().as_raw().to_vec(),
            public_key: x509.public_key().subject_public_key.data.to_vec(),
            not_before_s: x509.validity().not_before.timestamp(),
            not_after_s: x509.validity().not_after.timestamp(),
            self_issued: x509.subject().as_raw() == x509.issuer().as_raw(),
            may_sign,
            has_subject_key_identifier: x509
                .iter_extensions()
                .any(|extension| matches!(extension.parsed_extension(), ParsedExtension::SubjectKeyIdentifier(_))),
            der: der.clone(),
        })
    }

    /// Refuses a certificate that is not a CA's or not valid at `now`.
    pub(super) fn check(&self, now: SystemTime) -> Result<(), AuthorityError> {
        if !self.may_sign {
            return Err(AuthorityError::NotCa(self.path.clone()));
        }
        if unix_s(now) < self.not_before_s {
            let not_before = self.not_before();
            return Err(AuthorityError::NotYetValid { cert_file: self.path.clone(), not_before });
        }
        if unix_s(now) >= self.not_after_s {
            return Err(AuthorityError::Expired { cert_file: self.path.clone(), not_after: self.not_after() });
        }
        Ok(())
    }

    /// Whether this certificate was made for `key`.
    pub(super) fn is_for_key(&self, key: &KeyPair) -> bool {
        self.public_key == key.der_bytes()
    }

    /// The certificates to send beside a leaf. Clients hold the root, so a CA that signs itself needs none; an
    /// intermediate CA goes along with every further certificate of its file that does not sign itself.
    pub(super) fn with_intermediates(&self, rest: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
        if self.self_issued {
            return Vec::new();
        }
        let signs_itself = |der: &CertificateDer<'_>| {
            parse_x509_certificate(der).is_ok_and(|(_, x509)| x509.subject().as_raw() == x509.issuer().as_raw())
        };
        std::iter::once(self.der.clone()).chain(rest.into_iter().filter(|der| !signs_itself(der))).collect()
    }

    /// Checks that a leaf signed by this CA names it byte for byte and carries its signature.
    pub(super) fn proves(&self, leaf: &CertificateDer<'_>) -> Result<(), AuthorityError> {
        let unreadable = || AuthorityError::UnreadableCertificate(self.path.clone());
        let (_, ca) = parse_x509_certificate(&self.der).map_err(|_| unreadable())?;
        let (_, leaf) = parse_x509_certificate(leaf).map_err(|_| unreadable())?;
        if leaf.issuer().as_raw() != self.subject_der {
            return Err(AuthorityError::UnsupportedSubject(self.path.clone()));
        }
        leaf.verify_signature(Some(ca.public_key())).map_err(|_| unreadable())
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The certificate, DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate alone in PEM (RFC 7468), whatever else its file holds.
    pub fn pem(&self) -> String {
        files::pem("CERTIFICATE", &self.der)
    }

    /// The subject, e.g. `CN=Tollgate interception CA 1f2e3d4c`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// SHA-256 of the DER, upper-case hex pairs joined by colons, as `openssl x509 -fingerprint -sha256` prints it.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.der);
        digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// First moment of validity, RFC 3339 UTC.
    pub fn not_before(&self) -> String {
        rfc3339(self.not_before_s)
    }

    /// Last moment of validity, RFC 3339 UTC.
    pub fn not_after(&self) -> String {
        rfc3339(self.not_after_s)
    }

    pub(super) fn not_before_s(&self) -> i64 {
        self.not_before_s
    }

    pub(super) fn not_after_s(&self) -> i64 {
        self.not_after_s
    }

    pub(super) fn has_subject_key_identifier(&self) -> bool {
        self.has_subject_key_identifier
    }
}

impl fmt::Debug for CaCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaCertificate")
            .field("path", &self.path)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// Whether the certificate may sign others (RFC 5280 sections 4.2.1.3 and 4.2.1.9); `None` when it cannot be told.
fn may_sign(x509: &X509Certificate<'_>) -> Option<bool> {
    let is_ca = x509.basic_constraints().ok()?.is_some_and(|extension| extension.value.ca);
    let may_sign_certificates = x509.key_usage().ok()?.is_none_or(|extension| extension.value.key_cert_sign());
    Some(is_ca && may_sign_certificates)
}

fn rfc3339(unix_s: i64) -> String {
    jiff::Timestamp::from_second(unix_s).map_or_else(|_| format!("{unix_s} s after 1970"), |time| time.to_string())
}
