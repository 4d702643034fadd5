//! Keyed hashes that stand in for what is not stored: the fingerprint of a URL, the tag of a mail address.
//!
//! Both tell whether something known occurred, to whoever has the key, and nothing to others. Key files are in
//! `installation`.

use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;

use aws_lc_rs::hmac;

use crate::destination::{Destination, Host, Scheme};

/// Length of the key in octets.
pub const FINGERPRINT_KEY_BYTES: usize = 32;
/// Octets of a mail address's tag: enough to group the addresses of one installation.
const MAIL_TAG_BYTES: usize = 6;
/// Octets of a key's id.
const KEY_ID_BYTES: usize = 4;
/// Few schemes, hosts and ports are longer, so that putting a URL together seldom has to move it.
const URL_BYTES_TYPICAL: usize = 96;
/// What the other uses of a key begin with. A URL begins with its scheme, so none of these is the beginning of one.
const MAIL_DOMAIN: &[u8] = b"tollgate mail\0";
const KEY_ID_DOMAIN: &[u8] = b"tollgate key id\0";

/// Names a fingerprint key in rows and file names without telling anything of it: eight lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId(Box<str>);

impl KeyId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Key of the URL fingerprints of one installation. Without it nobody can test guesses against the stored values.
#[derive(Clone)]
pub struct FingerprintKey {
    key: hmac::Key,
    id: KeyId,
}

impl FingerprintKey {
    /// Makes a key of random octets, which the caller keeps.
    pub fn new(key: &[u8; FINGERPRINT_KEY_BYTES]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let id = KeyId(hex(&hmac::sign(&key, KEY_ID_DOMAIN), KEY_ID_BYTES).into());
        Self { key, id }
    }

    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// HMAC-SHA256, in lower-case hexadecimal, of `scheme://host[:port]` and `path_and_query` exactly as sent.
    ///
    /// The host is canonical and the port is left out when it is the scheme's default, as people write URLs.
    pub fn fingerprint(&self, scheme: Scheme, destination: &Destination, path_and_query: &[u8]) -> String {
        // Put together first: each update of a digest costs more than copying these few octets.
        let mut url = Vec::with_capacity(URL_BYTES_TYPICAL + path_and_query.len());
        url.extend_from_slice(scheme.as_str().as_bytes());
        url.extend_from_slice(b"://");
        // Writing to memory cannot fail.
        let _ = match &destination.host {
            Host::Name(name) => url.write_all(name.as_str().as_bytes()),
            Host::Ip(IpAddr::V4(address)) => write!(url, "{address}"),
            Host::Ip(IpAddr::V6(address)) => write!(url, "[{address}]"),
        };
        if destination.port != scheme.default_port() {
            let _ = write!(url, ":{}", destination.port);
        }
        url.extend_from_slice(path_and_query);
        hex(&hmac::sign(&self.key, &url), FINGERPRINT_KEY_BYTES)
    }

    /// Twelve hexadecimal digits that stand for a mail address, whatever the case of its letters.
    pub fn mail_tag(&self, address: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(MAIL_DOMAIN);
        context.update(&address.to_ascii_lowercase());
        hex(&context.sign(), MAIL_TAG_BYTES)
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FingerprintKey({})", self.id)
    }
}

/// The keys an installation has had, for looking URLs up: the current one first.
#[derive(Clone, Debug)]
pub struct FingerprintKeys(Vec<FingerprintKey>);

impl FingerprintKeys {
    /// The current key, and older ones in any order; one that is there twice is kept once.
    pub fn new(current: FingerprintKey, older: impl IntoIterator<Item = FingerprintKey>) -> Self {
        let mut keys = vec![current];
        for key in older {
            if keys.iter().all(|known| known.id != key.id) {
                keys.push(key);
            }
        }
        Self(keys)
    }

    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.iter().map(FingerprintKey::id)
    }

    /// Every `url_fingerprint` that a row of this URL can have, one for each key.
    ///
    /// See [`FingerprintKey::fingerprint`] for what the parts of the URL are. With 256 bits no two URLs share one, so
    /// a row that has any of them is of this URL.
    pub fn fingerprints_of(&self, scheme: Scheme, destination: &Destination, path_and_query: &[u8]) -> Vec<String> {
        self.0.iter().map(|key| key.fingerprint(scheme, destination, path_and_query)).collect()
    }
}

/// The first octets of a tag, as lower-case hexadecimal digits.
fn hex(tag: &hmac::Tag, octets: usize) -> String {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    let mut digits = Vec::with_capacity(2 * octets);
    for octet in tag.as_ref().iter().take(octets) {
        digits.extend_from_slice(&[digit(octet >> 4), digit(octet & 0xf)]);
    }
    // Digits are ASCII, so nothing is lost.
    String::from_utf8(digits).unwrap_or_default()
}
