//! Trusting a server certificate that the operator named itself, as OpenSSL and Node.js do.
//!
//! Self-hosted services often show a certificate that signs itself. WebPKI has no place for one: a CA is not a server. Here
//! it is accepted when it is, byte for byte, in one of the operator's CA files, still valid, and for the name asked.
//! Everything else is left to WebPKI.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

#[derive(Debug)]
pub(super) struct WebPkiOrPinned {
    webpki: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl WebPkiOrPinned {
    pub(super) fn new(webpki: Arc<WebPkiServerVerifier>, pinned: Vec<CertificateDer<'static>>) -> Self {
        Self { webpki, pinned }
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.pinned.iter().any(|pinned| pinned == certificate)
    }
}

impl ServerCertVerifier for WebPkiOrPinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if judged.is_ok() || !self.is_pinned(end_entity) {
            return judged;
        }
        verify_validity(end_entity, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn verify_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let unreadable = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| unreadable())?;
    let seconds =
        |time: x509_parser::time::ASN1Time| Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default());
    if now.as_secs() < seconds(parsed.validity().not_before).as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now.as_secs() > seconds(parsed.validity().not_after).as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::RootCertStore;

    use super::*;

    /// A certificate for `self.test` that signs itself, as `openssl req -x509` makes it.
    fn self_signed(expired: bool) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["self.test".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(if expired { 2021 } else { 2040 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn judge(shown: &CertificateDer<'static>, trusted: &CertificateDer<'static>, name: &str) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = crate::tls::provider();
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let verifier = WebPkiOrPinned::new(webpki, vec![trusted.clone()]);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        verifier.verify_server_cert(shown, &[], &name, &[], now).map(drop)
    }

    #[test]
    fn the_certificate_itself_is_accepted_for_its_name() {
        let certificate = self_signed(false);
        assert_eq!(judge(&certificate, &certificate, "self.test"), Ok(()));
    }

    #[test]
    fn it_is_not_accepted_for_another_name() {
        let certificate = self_signed(false);
        let judged = judge(&certificate, &certificate, "other.test");
        assert!(
            matches!(judged, Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))),
            "{judged:?}"
        );
    }

    #[test]
    fn it_is_not_accepted_when_it_has_expired() {
        let certificate = self_signed(true);
        let judged = judge(&certificate, &certificate, "self.test");
        assert_eq!(judged, Err(Error::InvalidCertificate(CertificateError::Expired)));
    }

    #[test]
    fn another_self_signed_certificate_is_not_accepted() {
        let judged = judge(&self_signed(false), &self_signed(false), "self.test");
        assert!(matches!(judged, Err(Error::InvalidCertificate(_))), "{judged:?}");
    }
}
