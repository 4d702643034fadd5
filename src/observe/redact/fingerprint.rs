//! The keyed fingerprint of a URL: tells whether a known URL was called without storing it.

use std::fmt;

use aws_lc_rs::hmac;

use crate::destination::{Destination, Scheme};

/// Length of the key in octets.
pub const FINGERPRINT_KEY_BYTES: usize = 32;

/// Key of the URL fingerprints of one installation. Without it nobody can test guesses against the stored values.
#[derive(Clone)]
pub struct FingerprintKey(hmac::Key);

impl FingerprintKey {
    /// Makes a key of random octets, which the caller keeps.
    pub fn new(key: &[u8; FINGERPRINT_KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// HMAC-SHA256, in lower-case hexadecimal, of `scheme://host[:port]` and `path_and_query` exactly as sent.
    ///
    /// The host is canonical and the port is left out when it is the scheme's default, as people write URLs.
    pub fn fingerprint(&self, scheme: Scheme, destination: &Destination, path_and_query: &[u8]) -> String {
        let authority = destination.to_string();
        let default_port = format!(":{}", scheme.default_port());
        let authority = authority.strip_suffix(&default_port).unwrap_or(&authority);
        let mut context = hmac::Context::with_key(&self.0);
        context.update(scheme.as_str().as_bytes());
        context.update(b"://");
        context.update(authority.as_bytes());
        context.update(path_and_query);
        let tag = context.sign();
        let digits = tag.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(..)")
    }
}
