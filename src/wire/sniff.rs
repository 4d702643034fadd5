//! What a client sends through a CONNECT tunnel, told from its first bytes.
//!
//! Pure: the caller peeks, and peeks again while the answer is `None`. This does not validate anything: it only decides
//! which parser gets the bytes. Protocols in which the server speaks first show no bytes here; they are recognised by their
//! destination, elsewhere.

/// More bytes than this are never needed: an empty line, the longest method, a space and the longest scheme.
pub const SNIFF_BYTES_MAX: usize = "\r\n".len() + METHOD_BYTES_MAX + " https://".len();

const METHOD_BYTES_MAX: usize = 64;

/// RFC 9113 section 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a tunnel's client side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A TLS record that carries a handshake (RFC 8446 section 5.1).
    Tls,
    /// An HTTP/1.x request line with a target that a request inside a tunnel can have.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2Preface,
    /// Neither. Commands of line-based protocols such as `EHLO name` are here, too.
    Unknown,
}

/// The protocol that begins with `prefix`, or `None` if more bytes are needed to tell. There is always an answer for
/// [`SNIFF_BYTES_MAX`] bytes.
#[must_use]
pub fn sniff(prefix: &[u8]) -> Option<Payload> {
    match prefix {
        [] => None,
        [0x16, rest @ ..] => match rest {
            // Up to 3.4: the record version is frozen at 3.3, early drafts sent their own.
            [3, 0..=4, ..] => Some(Payload::Tls),
            [] | [3] => None,
            [..] => Some(Payload::Unknown),
        },
        _ if prefix.starts_with(HTTP2_PREFACE) => Some(Payload::Http2Preface),
        _ if HTTP2_PREFACE.starts_with(prefix) => None,
        _ => sniff_request_line(prefix),
    }
}

fn sniff_request_line(prefix: &[u8]) -> Option<Payload> {
    if prefix == b"\r" {
        return None;
    }
    let line = prefix.strip_prefix(b"\r\n").unwrap_or(prefix);
    let method_len = line.iter().take_while(|byte| super::head::is_token_byte(**byte)).count();
    if method_len > METHOD_BYTES_MAX {
        return Some(Payload::Unknown);
    }
    let (method, rest) = line.split_at_checked(method_len)?;
    match rest {
        [] => None,
        [b' ', target @ ..] if !method.is_empty() => sniff_target(method, target),
        [..] => Some(Payload::Unknown),
    }
}

fn sniff_target(method: &[u8], target: &[u8]) -> Option<Payload> {
    let first = target.first()?;
    // A CONNECT inside a tunnel is refused, but as the HTTP request that it is.
    if matches!(first, b'/' | b'*') || method == b"CONNECT" {
        return Some(Payload::Http1);
    }
    let mut possible = [&b"http://"[..], b"https://"].into_iter().filter_map(|scheme| {
        let len = scheme.len().min(target.len());
        let matches = scheme.get(..len)?.eq_ignore_ascii_case(target.get(..len)?);
        matches.then_some(len == scheme.len())
    });
    match possible.next() {
        None => Some(Payload::Unknown),
        Some(true) => Some(Payload::Http1),
        Some(false) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn protocols_are_told_apart() {
        let cases: [(&[u8], Payload); 18] = [
            (b"\x16\x03\x01\x02\x00\x01", Payload::Tls),
            (b"\x16\x03\x03", Payload::Tls),
            (b"\x16\x05\x01", Payload::Unknown),
            (b"\x15\x03\x01", Payload::Unknown),
            (b"\x80\x2e\x01\x03\x01", Payload::Unknown),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Payload::Http2Preface),
            (b"PRI * HTTP/1.1\r\n", Payload::Http1),
            (b"POST /x", Payload::Http1),
            (b"PRIVMSG #a", Payload::Unknown),
            (b"OPTIONS *", Payload::Http1),
            (b"\r\nGET /", Payload::Http1),
            (b"GET HTTP://a", Payload::Http1),
            (b"GET https://a", Payload::Http1),
            (b"CONNECT a:443", Payload::Http1),
            (b"EHLO mail.test\r\n", Payload::Unknown),
            (b"EHLO host.test\r\n", Payload::Unknown),
            (b"SSH-2.0-OpenSSH_9.6 x", Payload::Unknown),
            (b" GET / HTTP/1.1", Payload::Unknown),
        ];
        for (bytes, payload) in cases {
            assert_eq!(sniff(bytes), Some(payload), "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn too_few_bytes_are_no_answer() {
        for bytes in [
            &b""[..],
            b"\x16",
            b"\x16\x03",
            b"P",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
            b"\r\nGET",
            b"GET ",
            b"GET http:/",
        ] {
            assert_eq!(sniff(bytes), None, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn the_longest_request_line_that_needs_all_bytes_needs_no_more() {
        let longest = format!("\r\n{} https://", "A".repeat(METHOD_BYTES_MAX));
        assert_eq!((longest.len(), sniff(longest.as_bytes())), (SNIFF_BYTES_MAX, Some(Payload::Http1)));
        assert_eq!(sniff(&longest.as_bytes()[..SNIFF_BYTES_MAX - 1]), None);
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_an_answer_and_enough_bytes_always_give_one(
            begin in proptest::sample::select(vec![&b""[..], b"\x16\x03", b"PRI * HTTP/2.0\r\n", b"GET http", b"\r\nA", b"EHLO "]),
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'A'), Just(b' ')], SNIFF_BYTES_MAX),
        ) {
            let all = [begin, &bytes].concat();
            let mut known = None;
            for len in 0..=all.len() {
                let answer = sniff(&all[..len]);
                prop_assert!(known.is_none() || answer == known);
                prop_assert!(answer.is_some() || len < SNIFF_BYTES_MAX);
                known = answer;
            }
        }
    }
}
