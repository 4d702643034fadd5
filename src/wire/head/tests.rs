//! One named case for every way in which a head can have more than one reading.
//!
//! The names P06 to P16 are those of the probes that were sent to other proxies, several of which let them pass.

use super::ViolationReason as R;
use super::*;

fn check(head: &str) -> Result<Head, ViolationReason> {
    check_head(head.as_bytes(), &Limits::default())
}

/// A valid HTTP/1.1 head with `fields`, each ended by CRLF, after Host.
fn with_fields(fields: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n")
}

fn plain(framing: Framing) -> Head {
    Head { framing, connect: false, upgrade: false }
}

/// Each line is followed by CRLF and a Host field.
const REQUEST_LINES: &[(&str, &str, R)] = &[
    ("two empty lines", "\r\n\r\nGET / HTTP/1.1", R::LeadingEmptyLines),
    ("leading bare LF", "\nGET / HTTP/1.1", R::BareLf),
    ("leading space", " GET / HTTP/1.1", R::InvalidRequestLine),
    ("two spaces before target", "GET  / HTTP/1.1", R::InvalidRequestLine),
    ("two spaces before version", "GET /  HTTP/1.1", R::InvalidRequestLine),
    ("trailing space", "GET / HTTP/1.1 ", R::InvalidRequestLine),
    ("tab as separator", "GET\t/ HTTP/1.1", R::InvalidMethod),
    ("space in target", "GET /a b HTTP/1.1", R::InvalidRequestLine),
    ("HTTP/0.9", "GET /", R::InvalidRequestLine),
    ("method with a bracket", "GE[T / HTTP/1.1", R::InvalidMethod),
    ("method with NUL", "GE\0T / HTTP/1.1", R::InvalidMethod),
    ("bare CR in method", "GE\rT / HTTP/1.1", R::BareCr),
    ("bare CR in target", "GET /\r HTTP/1.1", R::BareCr),
    ("bare LF after version", "GET / HTTP/1.1\nX: y", R::BareLf),
    ("HTTP/1.2", "GET / HTTP/1.2", R::UnsupportedVersion),
    ("HTTP/2 preface", "PRI * HTTP/2.0", R::UnsupportedVersion),
    ("lower-case version", "GET / http/1.1", R::UnsupportedVersion),
    ("long minor version", "GET / HTTP/1.10", R::UnsupportedVersion),
    ("another protocol", "GET / ICE/1.0", R::UnsupportedVersion),
    ("fragment", "GET /a#b HTTP/1.1", R::FragmentInTarget),
    ("fragment for @", "GET http://a#@b/ HTTP/1.1", R::FragmentInTarget),
    ("tab in target", "GET /a\tb HTTP/1.1", R::InvalidTarget),
    ("DEL in target", "GET /a\x7fb HTTP/1.1", R::InvalidTarget),
    ("UTF-8 in target", "GET /\u{e9} HTTP/1.1", R::InvalidTarget),
    ("no host", "GET http:/// HTTP/1.1", R::InvalidTarget),
    ("path without slash", "GET a/b HTTP/1.1", R::InvalidTarget),
];

#[test]
fn request_lines_with_more_than_one_reading_are_refused() {
    for (name, line, reason) in REQUEST_LINES {
        assert_eq!(check(&format!("{line}\r\nHost: a\r\n\r\n")), Err(*reason), "{name}");
    }
    let method_of = |len: usize| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(len));
    assert_eq!(check(&method_of(METHOD_BYTES_MAX)), Ok(plain(Framing::Empty)));
    assert_eq!(check(&method_of(METHOD_BYTES_MAX + 1)), Err(R::InvalidMethod));
}

#[test]
fn a_target_longer_than_hyper_parses_is_refused_here() {
    let target_of = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1));
    assert_eq!(check(&target_of(TARGET_BYTES_MAX)), Ok(plain(Framing::Empty)));
    assert_eq!(check(&target_of(TARGET_BYTES_MAX + 1)), Err(R::InvalidTarget));
}

/// What follows a valid request line.
const FIELD_LINES: &[(&str, &str, R)] = &[
    ("P15 bare LF after a field", "Host: a\nX: b\r\n\r\n", R::BareLf),
    ("bare LF at the end", "Host: a\r\n\n", R::BareLf),
    ("LF LF", "Host: a\n\n", R::BareLf),
    ("bare CR in a value", "Host: a\rX: b\r\n\r\n", R::BareCr),
    ("CR CR LF", "Host: a\r\r\n\r\n", R::BareCr),
    ("obs-fold with space", "Host: a\r\nX: b\r\n c\r\n\r\n", R::ObsoleteFolding),
    ("obs-fold with tab", "Host: a\r\nX: b\r\n\tc\r\n\r\n", R::ObsoleteFolding),
    ("folded first field", " Host: a\r\n\r\n", R::ObsoleteFolding),
    ("P14", "Host: a\r\nTransfer-Encoding : chunked\r\n\r\n", R::WhitespaceBeforeColon),
    ("tab before colon", "Host\t: a\r\n\r\n", R::WhitespaceBeforeColon),
    ("no colon", "Host: a\r\nX\r\n\r\n", R::MissingColon),
    ("empty name", "Host: a\r\n: b\r\n\r\n", R::InvalidFieldName),
    ("space in name", "Host: a\r\nX Y: b\r\n\r\n", R::InvalidFieldName),
    ("NUL in name", "Host: a\r\nX\0: b\r\n\r\n", R::InvalidFieldName),
    ("non-ASCII name", "Host: a\r\n\u{e9}: b\r\n\r\n", R::InvalidFieldName),
    ("NUL in value", "Host: a\r\nX: b\0c\r\n\r\n", R::ControlInFieldValue),
    ("vertical tab", "Host: a\r\nX: \x0bb\r\n\r\n", R::ControlInFieldValue),
    ("DEL in value", "Host: a\r\nX: \x7f\r\n\r\n", R::ControlInFieldValue),
    ("P06 two Hosts", "Host: a\r\nhost: b\r\n\r\n", R::RepeatedHost),
    ("two equal Hosts", "Host: a\r\nHost: a\r\n\r\n", R::RepeatedHost),
    ("no Host", "X: a\r\n\r\n", R::MissingHost),
    ("no fields", "\r\n", R::MissingHost),
    ("no end", "Host: a\r\n", R::TruncatedHead),
];

#[test]
fn field_lines_with_more_than_one_reading_are_refused() {
    for (name, rest, reason) in FIELD_LINES {
        assert_eq!(check(&format!("GET / HTTP/1.1\r\n{rest}")), Err(*reason), "{name}");
    }
}

/// Values of one Content-Length field.
const CONTENT_LENGTHS: &[(&str, &str)] = &[
    ("list", "5, 6"),
    ("list of equal values", "5,5"),
    ("plus", "+5"),
    ("minus", "-5"),
    ("hexadecimal", "0x5"),
    ("underscore", "1_0"),
    ("space inside", "1 0"),
    ("empty", ""),
    ("Arabic digit", "\u{661}"),
    ("2^63", "9223372036854775808"),
    ("2^64 + 5", "18446744073709551621"),
];

/// Values of one Transfer-Encoding field.
const TRANSFER_ENCODINGS: &[(&str, &str)] = &[
    ("identity", "identity"),
    ("another coding first", "gzip, chunked"),
    ("twice", "chunked, chunked"),
    ("parameter", "chunked;a=b"),
    ("quoted", "\"chunked\""),
    ("trailing comma", "chunked,"),
    ("leading comma", ",chunked"),
    ("longer word", "xchunked"),
    ("non-breaking space", "\u{a0}chunked"),
    ("empty", " "),
];

/// Fields that contradict each other.
const LENGTHS: &[(&str, &str, R)] = &[
    ("P13", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", R::LengthAndTransferEncoding),
    ("TE first", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", R::LengthAndTransferEncoding),
    ("length 0", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", R::LengthAndTransferEncoding),
    ("P16 unequal", "Content-Length: 5\r\nContent-Length: 6\r\n", R::RepeatedContentLength),
    ("equal", "Content-Length: 5\r\ncontent-length: 5\r\n", R::RepeatedContentLength),
    ("TE.TE", "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n", R::UnsupportedTransferEncoding),
    ("TE twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", R::UnsupportedTransferEncoding),
];

#[test]
fn lengths_with_more_than_one_reading_are_refused() {
    for (name, value) in CONTENT_LENGTHS {
        let head = with_fields(&format!("Content-Length: {value}\r\n"));
        assert_eq!(check(&head), Err(R::InvalidContentLength), "{name}");
    }
    for (name, value) in TRANSFER_ENCODINGS {
        let head = with_fields(&format!("Transfer-Encoding: {value}\r\n"));
        assert_eq!(check(&head), Err(R::UnsupportedTransferEncoding), "{name}");
    }
    for (name, fields, reason) in LENGTHS {
        assert_eq!(check(&with_fields(fields)), Err(*reason), "{name}");
    }
    let http10 = "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(check(http10), Err(R::TransferEncodingInHttp10));
    let connect = "CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(check(connect), Err(R::ContentInConnect));
}

#[test]
fn fields_with_one_reading_pass_with_their_framing() {
    let cases = [
        ("no content", "", Framing::Empty),
        ("length 0", "Content-Length: 0\r\n", Framing::Empty),
        ("whitespace around a length", "content-length:\t 012 \r\n", Framing::Length(12)),
        ("2^63 - 1", "Content-Length: 9223372036854775807\r\n", Framing::Length((1 << 63) - 1)),
        ("chunked in any case", "TRANSFER-ENCODING:ChunKed\t\r\n", Framing::Chunked),
        ("empty and obs-text values", "X:\r\nY: \u{e9}\t \r\n", Framing::Empty),
    ];
    for (name, fields, framing) in cases {
        assert_eq!(check(&with_fields(fields)), Ok(plain(framing)), "{name}");
    }
}

#[test]
fn request_lines_with_one_reading_pass() {
    for head in [
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nUpgrade: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a.test:80/b?c=d HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://[::1]:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET //a/b?x=%2f|y HTTP/1.1\r\nHost: a\r\n\r\n",
        "M-SEARCH / HTTP/1.1\r\nHost:\r\n\r\n",
    ] {
        assert_eq!(check(head), Ok(plain(Framing::Empty)), "{head}");
    }
    let connect = Head { connect: true, ..plain(Framing::Empty) };
    assert_eq!(check("CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), Ok(connect));
    let upgrade = Head { upgrade: true, ..plain(Framing::Empty) };
    assert_eq!(check(&with_fields("UPGRADE: websocket\r\n")), Ok(upgrade));
}

#[test]
fn the_field_limit_counts_every_line() {
    let limits = Limits { head_fields_max: 3, ..Limits::default() };
    let check = |fields: &str| check_head(with_fields(fields).as_bytes(), &limits);
    assert_eq!(check("A: 1\r\nA: 2\r\n"), Ok(plain(Framing::Empty)));
    assert_eq!(check("A: 1\r\nA: 2\r\nA: 3\r\n"), Err(R::TooManyFields));
}

#[test]
fn what_cannot_become_http_is_refused_at_its_first_bytes() {
    assert_eq!(check_method_prefix(b"\x16\x03\x01"), Err(R::InvalidMethod), "a TLS ClientHello");
    assert_eq!(check_method_prefix(&[b'A'; METHOD_BYTES_MAX + 1]), Err(R::InvalidMethod));
    assert_eq!(check_method_prefix(b"\r\n\x05\x01\x00"), Err(R::InvalidMethod), "SOCKS after an empty line");
    assert_eq!(check_method_prefix(b"\r\nGET /\x16"), Ok(()), "only the method is judged");
    assert_eq!(check_method_prefix(b""), Ok(()));
}

#[test]
fn the_fast_path_for_targets_agrees_with_the_uri_parser() {
    let taken = |target: &[u8]| {
        let plain = is_plain_target(target);
        assert!(!plain || Uri::try_from(target).is_ok(), "{}", target.escape_ascii());
        plain
    };
    for byte in 0..=u8::MAX {
        assert_eq!(taken(&[b'/', byte, b'?', byte]), PLAIN_PATH.has(byte));
        assert_eq!(taken(&[b"http://a", &[byte][..], b"b/"].concat()), PLAIN_AUTHORITY.has(byte) || byte == b'/');
    }
    assert!(taken(b"http://a.test:65536/x?y=z"), "the port is judged later");
    for target in [
        &b"http://"[..],
        b"http:///",
        b"http://a",
        b"http://a:/",
        b"http://a:1:2/",
        b"http://a:123456/",
        b"http://u@a/",
        b"http://[::1]/",
        b"a",
        b"",
    ] {
        assert!(!taken(target), "{}", target.escape_ascii());
    }
}
