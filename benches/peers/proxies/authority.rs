//! The CA that an intercepting peer gets: every peer the same kind of key, P-256, as Tollgate makes.

use std::path::PathBuf;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::Setup;

/// Files in the proxy's directory, PEM.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Key and certificate in one.
    pub(super) both: PathBuf,
}

impl Authority {
    /// Makes a CA and writes its files.
    pub(super) fn make(setup: &Setup) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Bench interception CA");
        let (certificate, key) = (params.self_signed(&key)?.pem(), key.serialize_pem());
        Ok(Self {
            both: setup.write("both.pem", &format!("{key}{certificate}"))?,
            certificate: setup.write("ca.pem", &certificate)?,
            key: setup.write("ca.key", &key)?,
        })
    }
}
