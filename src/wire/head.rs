//! The rules for one HTTP/1.x request head, as a pure function over its bytes.
//!
//! A head passes only if every recipient that follows RFC 9112 reads the same request line, the same fields and the same
//! message length from it. Nothing is repaired and nothing is kept: the caller forwards the very bytes it asked about.
//! Whether the Host agrees with anything, and whether the method or target form can be served, is decided elsewhere.

use http::Uri;

use super::{Limits, ViolationReason};

/// Longest method accepted, in bytes.
const METHOD_BYTES_MAX: usize = 64;
/// hyper's own limit for targets, which it would answer itself.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;
/// The `http` crate refuses longer names, which hyper would answer itself.
const FIELD_NAME_BYTES_MAX: usize = u16::MAX as usize;

/// What follows a head (RFC 9112 section 6.3, for requests).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No content.
    Empty,
    /// Exactly this many bytes, at least one.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
}

/// What a valid head says about the bytes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub framing: Framing,
    /// The method is CONNECT.
    pub connect: bool,
    /// HTTP/1.1 with an Upgrade field: the response may be 101 and end HTTP on this connection.
    pub upgrade: bool,
}

/// Checks one complete head: from its first byte, at most one empty line before the request line included, to the end of
/// the empty line that ends it. Bytes after that line are not looked at; if it is missing, the head is truncated.
///
/// One allocation is made for targets in absolute or authority form, none otherwise.
pub fn check_head(head: &[u8], limits: &Limits) -> Result<Head, ViolationReason> {
    check_method_prefix(head)?;
    let mut lines = Lines { rest: head.strip_prefix(b"\r\n").unwrap_or(head) };
    let (method, http11) = check_request_line(lines.next()?)?;
    let mut fields = Fields::default();
    loop {
        let line = lines.next()?;
        if line.is_empty() {
            break;
        }
        fields.count += 1;
        if fields.count > limits.head_fields_max {
            return Err(ViolationReason::TooManyFields);
        }
        let (name, value) = check_field_line(line)?;
        fields.take(name, value)?;
    }
    if http11 && !fields.host {
        return Err(ViolationReason::MissingHost);
    }
    let connect = method == b"CONNECT";
    let framing = fields.framing(http11)?;
    if connect && framing != Framing::Empty {
        return Err(ViolationReason::ContentInConnect);
    }
    Ok(Head { framing, connect, upgrade: http11 && fields.upgrade })
}

/// Refuses bytes that cannot become a request line, as soon as they show it: what is not HTTP has no end of head to wait
/// for. Once this refuses some bytes it refuses every longer input that begins with them, for the same reason.
pub(super) fn check_method_prefix(bytes: &[u8]) -> Result<(), ViolationReason> {
    let line = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let method = line.iter().take(METHOD_BYTES_MAX + 1).take_while(|byte| !matches!(byte, b' ' | b'\n'));
    let mut length = 0;
    for byte in method {
        length += 1;
        // A CR may be the first half of the end of a line; the check of the whole line judges it.
        if length > METHOD_BYTES_MAX || !(is_token_byte(*byte) || *byte == b'\r') {
            return Err(ViolationReason::InvalidMethod);
        }
    }
    Ok(())
}

/// Lines of a head, without their CRLF.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a [u8], ViolationReason> {
        let lf = memchr::memchr(b'\n', self.rest).ok_or(ViolationReason::TruncatedHead)?;
        let (line, rest) = self.rest.split_at_checked(lf + 1).ok_or(ViolationReason::TruncatedHead)?;
        self.rest = rest;
        let line = line.strip_suffix(b"\r\n").ok_or(ViolationReason::BareLf)?;
        if memchr::memchr(b'\r', line).is_some() {
            return Err(ViolationReason::BareCr);
        }
        Ok(line)
    }
}

/// Returns the method and whether the version is HTTP/1.1.
fn check_request_line(line: &[u8]) -> Result<(&[u8], bool), ViolationReason> {
    if line.is_empty() {
        return Err(ViolationReason::LeadingEmptyLines);
    }
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ViolationReason::InvalidRequestLine);
    };
    if !is_token(method) {
        return Err(ViolationReason::InvalidMethod);
    }
    check_target(target)?;
    match version {
        b"HTTP/1.1" => Ok((method, true)),
        b"HTTP/1.0" => Ok((method, false)),
        _ => Err(ViolationReason::UnsupportedVersion),
    }
}

fn check_target(target: &[u8]) -> Result<(), ViolationReason> {
    if target.is_empty() {
        return Err(ViolationReason::InvalidRequestLine);
    }
    if target.len() > TARGET_BYTES_MAX || !all_bytes(target, |byte| byte.is_ascii_graphic()) {
        return Err(ViolationReason::InvalidTarget);
    }
    if target.contains(&b'#') {
        return Err(ViolationReason::FragmentInTarget);
    }
    // hyper parses the target with the same type and would answer a failure itself.
    if is_plain_target(target) || Uri::try_from(target).is_ok() { Ok(()) } else { Err(ViolationReason::InvalidTarget) }
}

/// Whether a target is one that certainly is a URI: origin-form, or absolute-form with a name, of common bytes.
fn is_plain_target(target: &[u8]) -> bool {
    let path = match target.strip_prefix(b"http://") {
        None => target,
        Some(rest) => {
            let (authority, path) = rest.split_at(memchr::memchr(b'/', rest).unwrap_or(rest.len()));
            let (name, port) = authority.split_at(memchr::memchr(b':', authority).unwrap_or(authority.len()));
            let port = port.strip_prefix(b":").unwrap_or(b"0");
            if !(is_all(name, &PLAIN_AUTHORITY) && (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit))
            {
                return false;
            }
            path
        }
    };
    path.first() == Some(&b'/') && is_all(path, &PLAIN_PATH)
}

/// Whether there are bytes, and all of them are of the set.
fn is_all(bytes: &[u8], set: &ByteSet) -> bool {
    !bytes.is_empty() && all_bytes(bytes, |byte| set.has(byte))
}

/// Whether each byte is as it has to be. All are looked at, which takes far less time than stopping at the first that is not.
fn all_bytes(bytes: &[u8], is_good: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |good, byte| good & is_good(*byte))
}

/// Splits a field line into name and untrimmed value.
pub(super) fn check_field_line(line: &[u8]) -> Result<(&[u8], &[u8]), ViolationReason> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(ViolationReason::ObsoleteFolding);
    }
    let colon = memchr::memchr(b':', line).ok_or(ViolationReason::MissingColon)?;
    let (name, value) = line.split_at_checked(colon).ok_or(ViolationReason::MissingColon)?;
    let value = value.get(1..).unwrap_or_default();
    if matches!(name.last(), Some(b' ' | b'\t')) {
        return Err(ViolationReason::WhitespaceBeforeColon);
    }
    if !is_token(name) || name.len() > FIELD_NAME_BYTES_MAX {
        return Err(ViolationReason::InvalidFieldName);
    }
    if all_bytes(value, is_value_byte) { Ok((name, value)) } else { Err(ViolationReason::ControlInFieldValue) }
}

/// What the fields read so far say about routing and length.
#[derive(Default)]
struct Fields {
    count: usize,
    host: bool,
    content_length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Fields {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), ViolationReason> {
        if name.eq_ignore_ascii_case(b"host") {
            if self.host {
                return Err(ViolationReason::RepeatedHost);
            }
            self.host = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.content_length.is_some() {
                return Err(ViolationReason::RepeatedContentLength);
            }
            self.content_length = Some(content_length(trim_ows(value))?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !trim_ows(value).eq_ignore_ascii_case(b"chunked") {
                return Err(ViolationReason::UnsupportedTransferEncoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        }
        Ok(())
    }

    fn framing(&self, http11: bool) -> Result<Framing, ViolationReason> {
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(ViolationReason::LengthAndTransferEncoding),
            (true, None) if !http11 => Err(ViolationReason::TransferEncodingInHttp10),
            (true, None) => Ok(Framing::Chunked),
            (false, None | Some(0)) => Ok(Framing::Empty),
            (false, Some(length)) => Ok(Framing::Length(length)),
        }
    }
}

fn content_length(value: &[u8]) -> Result<u64, ViolationReason> {
    let mut length: u64 = 0;
    for byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(ViolationReason::InvalidContentLength);
        }
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit)))
            .filter(|length| i64::try_from(*length).is_ok())
            .ok_or(ViolationReason::InvalidContentLength)?;
    }
    if value.is_empty() { Err(ViolationReason::InvalidContentLength) } else { Ok(length) }
}

/// Removes optional whitespace (RFC 9110 section 5.6.3: SP and HTAB) on both sides.
fn trim_ows(value: &[u8]) -> &[u8] {
    let is_ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_ows(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_ows(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

fn is_token(bytes: &[u8]) -> bool {
    is_all(bytes, &TOKEN)
}

/// A set of ASCII characters.
struct ByteSet([bool; 256]);

#[expect(clippy::indexing_slicing, reason = "every byte is an index of 256 entries")]
impl ByteSet {
    /// Letters, digits and these.
    const fn alphanumeric_and(mut others: &[u8]) -> Self {
        let (mut set, mut byte) = ([false; 256], 0_u8);
        while byte.is_ascii() {
            set[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        while let Some((byte, rest)) = others.split_first() {
            set[*byte as usize] = true;
            others = rest;
        }
        Self(set)
    }

    const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
static TOKEN: ByteSet = ByteSet::alphanumeric_and(b"!#$%&'*+-.^_`|~");
/// Bytes that RFC 3986 allows in a path or query. The rarer ones are left to the URI parser.
static PLAIN_PATH: ByteSet = ByteSet::alphanumeric_and(b"/?%-._~=&:@+,;$!");
/// Bytes of most names with a port.
static PLAIN_AUTHORITY: ByteSet = ByteSet::alphanumeric_and(b".-");

pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN.has(byte)
}

/// A byte of a field value or of a chunk extension: HTAB, SP, VCHAR, obs-text.
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests;
