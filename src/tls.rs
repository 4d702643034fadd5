//! The cryptography all TLS here is made of, and in which order it is preferred.
//!
//! One provider for listeners, interception and upstreams. Who verifies whom is decided by its users.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{CipherSuite, ServerConfig};

/// AES-128 with GCM, which is the fastest of them on processors with AES instructions and as strong as a P-256 certificate.
const FIRST: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = default_provider();
    // Stable: the other suites of each version keep rustls's order.
    provider.cipher_suites.sort_by_key(|suite| (suite.tls13().is_none(), !FIRST.contains(&suite.suite())));
    Arc::new(provider)
});

/// The one provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// What all servers have in common: our order of suites, not the client's, and one ticket, because a client that resumes needs
/// one for each connection and most of Kibana's never resume.
pub(crate) fn tune(server: &mut ServerConfig) {
    server.ignore_client_order = true;
    server.send_tls13_tickets = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_128_comes_first_in_each_version_and_no_suite_is_lost() {
        let suites: Vec<CipherSuite> =
            provider().cipher_suites.iter().map(rustls::SupportedCipherSuite::suite).collect();
        assert_eq!(suites.first(), Some(&CipherSuite::TLS13_AES_128_GCM_SHA256));
        let first_of_tls12 = suites.iter().position(|suite| FIRST.contains(suite) && *suite != suites[0]);
        assert_eq!(first_of_tls12, Some(3), "{suites:?}");
        assert_eq!(suites.len(), default_provider().cipher_suites.len());
    }
}
