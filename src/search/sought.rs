//! URLs to be looked up: read from a stream, and normalised as the recorder does it. Pure but for the reading.
//!
//! A URL that is looked up is mostly a leaked secret. So it comes from stdin and never from the command line, which other
//! users see and shells keep; no error repeats any of it, and the types that hold it cannot be printed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use crate::destination::{Destination, DestinationError, Scheme};
use crate::observe::redact::FingerprintKeys;

/// Most URLs at once: each is compared with each row.
const URLS_MAX: usize = 1000;
/// Largest input in octets.
const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest URL in octets: as long as the longest head that Tollgate can be told to accept.
const URL_BYTES_MAX: usize = 1024 * 1024;

/// Why there is nothing to look up. Says where, and never what was there.
#[derive(Debug, thiserror::Error)]
pub enum SoughtError {
    #[error("stdin cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("stdin is a terminal, which shows what is typed; pipe the URL: tollgate records --url-stdin < file")]
    Terminal,
    #[error("stdin holds no URL; write one a line")]
    Nothing,
    #[error("stdin holds more than {INPUT_BYTES_MAX} bytes; look up fewer URLs at once")]
    TooLarge,
    #[error("stdin holds more than {URLS_MAX} URLs; look up fewer at once")]
    TooMany,
    #[error("stdin, line {line}: {fault}")]
    Url { line: usize, fault: UrlFault },
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("longer than {URL_BYTES_MAX} bytes; no request can have had this URL")]
    TooLong,
    #[error("no scheme; begin the URL with https:// or http://")]
    NoScheme,
    #[error("the scheme is neither https nor http; only such calls have a fingerprint")]
    OtherScheme,
    #[error("the host is not valid: {0}")]
    Host(#[from] DestinationError),
    #[error("a blank, a control character or a letter outside ASCII; write it percent-encoded, as it is sent")]
    NotAsSent,
}

/// URLs to be looked up, none of them twice.
pub struct Sought(Vec<Url>);

struct Url {
    scheme: Scheme,
    destination: Destination,
    path_and_query: String,
}

impl Sought {
    /// Reads one URL a line; empty lines and blanks around a URL do not count.
    pub fn read(input: impl Read) -> Result<Self, SoughtError> {
        let mut bytes = Vec::new();
        input.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > INPUT_BYTES_MAX {
            return Err(SoughtError::TooLarge);
        }
        let mut urls = Vec::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if urls.len() == URLS_MAX {
                return Err(SoughtError::TooMany);
            }
            urls.push(Url::parse(line).map_err(|fault| SoughtError::Url { line: number + 1, fault })?);
        }
        if urls.is_empty() { Err(SoughtError::Nothing) } else { Ok(Self(urls)) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Each fingerprint that a row of one of the URLs can have, with the position of the URL, from 1.
    pub fn fingerprints(&self, keys: &FingerprintKeys) -> BTreeMap<String, usize> {
        let mut numbers = BTreeMap::new();
        for (index, url) in self.0.iter().enumerate() {
            let path_and_query = url.path_and_query.as_bytes();
            for fingerprint in keys.fingerprints_of(url.scheme, &url.destination, path_and_query) {
                numbers.entry(fingerprint).or_insert(index + 1);
            }
        }
        numbers
    }
}

/// The fingerprints as a query takes them.
pub fn wanted(numbers: &BTreeMap<String, usize>) -> BTreeSet<String> {
    numbers.keys().cloned().collect()
}

impl Url {
    /// Scheme and host in any case, the scheme's own port left out or written; path and query are taken as they are. User
    /// information and a fragment are dropped, because neither is sent.
    fn parse(line: &[u8]) -> Result<Self, UrlFault> {
        if line.len() > URL_BYTES_MAX {
            return Err(UrlFault::TooLong);
        }
        let line = std::str::from_utf8(line).map_err(|_| UrlFault::NotAsSent)?;
        let (scheme, rest) = line.split_once("://").ok_or(UrlFault::NoScheme)?;
        let scheme = Scheme::parse(&scheme.to_ascii_lowercase()).ok_or(UrlFault::OtherScheme)?;
        let sent = rest.split('#').next().unwrap_or_default();
        let (authority, target) = sent.split_at(sent.find(['/', '?']).unwrap_or(sent.len()));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let destination = Destination::from_authority(authority, scheme)?;
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlFault::NotAsSent);
        }
        let path_and_query = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { scheme, destination, path_and_query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::redact::FingerprintKey;

    fn keys() -> FingerprintKeys {
        FingerprintKeys::new(FingerprintKey::new(&[7; 32]), [FingerprintKey::new(&[8; 32])])
    }

    fn fingerprints(url: &str) -> BTreeSet<String> {
        wanted(&Sought::read(url.as_bytes()).map_err(|error| error.to_string()).unwrap().fingerprints(&keys()))
    }

    #[test]
    fn one_url_has_one_fingerprint_a_key_however_it_is_spelled() {
        let expected = fingerprints("https://hooks.slack.com/services/T0/B0/x?a=1");
        assert_eq!(expected.len(), 2);
        for spelled in [
            "HTTPS://Hooks.Slack.COM:443/services/T0/B0/x?a=1",
            "  https://hooks.slack.com./services/T0/B0/x?a=1#part \r\n\n",
            "https://user:word@hooks.slack.com/services/T0/B0/x?a=1",
        ] {
            assert_eq!(fingerprints(spelled), expected, "{spelled}");
        }
        for other in [
            "http://hooks.slack.com/services/T0/B0/x?a=1",
            "https://hooks.slack.com:8443/services/T0/B0/x?a=1",
            "https://hooks.slack.com/services/t0/B0/x?a=1",
            "https://hooks.slack.com/services/T0/B0/x?a=1&",
            "https://hooks.slack.com/services/T0/B0/x/?a=1",
            "https://hooks.slack.com/services/T0/B0/%78?a=1",
        ] {
            assert_eq!(fingerprints(other).intersection(&expected).count(), 0, "{other}");
        }
        assert_eq!(fingerprints("https://a.test"), fingerprints("https://a.test/"));
        assert_eq!(fingerprints("https://a.test?q=1"), fingerprints("https://a.test/?q=1"));
    }

    #[test]
    fn what_cannot_be_looked_up_is_named_by_line_and_not_repeated() {
        let long = format!("https://a.test/{}", "x".repeat(URL_BYTES_MAX));
        for (input, expected) in [
            ("", "stdin holds no URL; write one a line"),
            ("hooks.slack.com/SECRET", "stdin, line 1: no scheme; begin the URL with https:// or http://"),
            (
                "\nhtps://a.test/SECRET",
                "stdin, line 2: the scheme is neither https nor http; only such calls have a fingerprint",
            ),
            (
                "https://[SECRET]/x",
                "stdin, line 1: the host is not valid: the text between brackets is not an IPv6 address, or the brackets do not match",
            ),
            (
                "https://a.test/ok\nhttps://a.test/SECRET x",
                "stdin, line 2: a blank, a control character or a letter outside ASCII; write it percent-encoded, as it is sent",
            ),
            (&long, "stdin, line 1: longer than 1048576 bytes; no request can have had this URL"),
            (&"https://a.test/\n".repeat(1001), "stdin holds more than 1000 URLs; look up fewer at once"),
            (&"\n".repeat(4 * 1024 * 1024 + 1), "stdin holds more than 4194304 bytes; look up fewer URLs at once"),
        ] {
            assert_eq!(Sought::read(input.as_bytes()).err().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn fingerprints_lead_back_to_the_position_of_their_url() {
        let sought = Sought::read(&b"https://a.test/1\n\nhttps://b.test/2"[..]).ok().unwrap();
        let mut numbers: Vec<usize> = sought.fingerprints(&keys()).into_values().collect();
        numbers.sort_unstable();
        assert_eq!((sought.count(), numbers), (2, vec![1, 1, 2, 2]));
    }
}
