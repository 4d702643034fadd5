//! Why the bytes of a request were refused, and what could still be read from them.
//!
//! The reasons are a closed list, each a sentence that names the place and the remedy. [`SeenHead`] reads a refused head
//! without judging it: its values are for the audit row and for recognising the client, never for routing.

use std::error::Error;
use std::fmt;

use bytes::Bytes;

use crate::record::DenyReason;

/// A value that [`SeenHead`] returns is cut to this many bytes.
pub const SEEN_VALUE_BYTES_MAX: usize = 2048;

/// What a request did that leaves more than one reading, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ViolationReason {
    /// RFC 9112 section 2.2 asks to ignore at least one empty line; more are refused.
    #[error("the request line is preceded by more than one empty line; send the request line first")]
    LeadingEmptyLines,
    /// RFC 9110 section 9.1: a method is a token; here of at most 64 characters.
    #[error("the method is not a token of at most 64 characters; this does not look like HTTP/1.1")]
    InvalidMethod,
    /// RFC 9112 section 3.
    #[error("the request line is not `method target version` with single spaces; correct the request line")]
    InvalidRequestLine,
    /// RFC 9112 section 2.3.
    #[error("the version in the request line is neither HTTP/1.1 nor HTTP/1.0; use one of them")]
    UnsupportedVersion,
    /// RFC 9112 section 3.2; also targets longer than 65534 bytes.
    #[error("the request target is not a valid URI; percent-encode the characters that RFC 3986 does not allow")]
    InvalidTarget,
    /// RFC 9112 section 3.2: no target form has a fragment.
    #[error("the request target has a fragment; leave out everything from `#` on")]
    FragmentInTarget,
    /// RFC 9112 section 2.2.
    #[error("a line of the request head ends in LF alone; end every line with CRLF")]
    BareLf,
    /// RFC 9112 section 2.2.
    #[error("the request head has a CR that no LF follows; end every line with CRLF")]
    BareCr,
    /// RFC 9112 section 5.2.
    #[error("a field value continues on a second line; send each field on one line")]
    ObsoleteFolding,
    /// RFC 9112 section 5.
    #[error("a field line has no colon; send fields as `name: value`")]
    MissingColon,
    /// RFC 9112 section 5.1.
    #[error("a field name is followed by whitespace before its colon; remove the whitespace")]
    WhitespaceBeforeColon,
    /// RFC 9110 section 5.1.
    #[error("a field name is empty or not a token; correct the field name")]
    InvalidFieldName,
    /// RFC 9110 section 5.5.
    #[error("a field value has a control character; remove it")]
    ControlInFieldValue,
    /// RFC 9112 section 3.2.
    #[error("the request has more than one Host field; send exactly one")]
    RepeatedHost,
    /// RFC 9112 section 3.2.
    #[error("the HTTP/1.1 request has no Host field; send exactly one")]
    MissingHost,
    /// RFC 9112 section 6.3 allows equal values to be merged; Tollgate does not.
    #[error("the request has more than one Content-Length field; send exactly one")]
    RepeatedContentLength,
    /// RFC 9110 section 8.6; a list of equal values is refused too.
    #[error("the Content-Length is not one decimal number below 2^63; send one number")]
    InvalidContentLength,
    /// RFC 9112 section 6.1.
    #[error("the request has both Transfer-Encoding and Content-Length; send one of them")]
    LengthAndTransferEncoding,
    /// RFC 9112 section 6.1.
    #[error("the HTTP/1.0 request has a Transfer-Encoding; send a Content-Length instead")]
    TransferEncodingInHttp10,
    /// RFC 9112 section 6.1; `chunked` is the only coding accepted, once.
    #[error("the Transfer-Encoding is not exactly `chunked`; send it once, without other codings or parameters")]
    UnsupportedTransferEncoding,
    /// RFC 9110 section 9.3.6: content in a CONNECT request has no meaning.
    #[error("the CONNECT request announces content; send it through the tunnel after the 200 response")]
    ContentInConnect,
    /// The head is larger than `head_bytes_max`.
    #[error("the request head is larger than this proxy accepts; send fewer or shorter fields")]
    HeadTooLarge,
    /// The head has more than `head_fields_max` field lines.
    #[error("the request head has more fields than this proxy accepts; send fewer fields")]
    TooManyFields,
    /// The client stopped sending in the middle of a head.
    #[error("the connection ended inside the request head; send the whole head")]
    TruncatedHead,
    /// RFC 9112 section 7.1.
    #[error("a chunk size is not 1 to 16 hexadecimal digits below 2^63; correct the chunked coding")]
    InvalidChunkSize,
    /// RFC 9112 section 7.1.1.
    #[error("a chunk extension has a control character; correct the chunked coding")]
    InvalidChunkExtension,
    /// The chunk extensions are larger than `chunk_extension_bytes_max`.
    #[error("the chunk extensions are larger than this proxy accepts; leave them out")]
    ChunkExtensionsTooLarge,
    /// RFC 9112 section 7.1.
    #[error("a chunk or a line of the chunked coding is not ended by CRLF; correct the chunked coding")]
    InvalidChunkEnd,
    /// RFC 9112 section 7.1.2.
    #[error("a trailer line is not `name: value` ended by CRLF; correct the trailer section")]
    InvalidTrailer,
    /// RFC 9110 section 6.5.1.
    #[error("a trailer field belongs in the request head (framing, routing or authentication); send it there")]
    ForbiddenTrailer,
    /// The trailers are larger than `trailer_bytes_max` or more than `head_fields_max`.
    #[error("the trailer section is larger than this proxy accepts; send fewer or shorter trailers")]
    TrailersTooLarge,
}

impl ViolationReason {
    /// The audit column value for this reason.
    #[must_use]
    pub const fn deny_reason(self) -> DenyReason {
        match self {
            Self::LeadingEmptyLines
            | Self::InvalidMethod
            | Self::InvalidRequestLine
            | Self::UnsupportedVersion
            | Self::InvalidTarget
            | Self::FragmentInTarget
            | Self::BareLf
            | Self::BareCr
            | Self::ObsoleteFolding
            | Self::MissingColon
            | Self::WhitespaceBeforeColon
            | Self::InvalidFieldName
            | Self::ControlInFieldValue
            | Self::RepeatedHost
            | Self::MissingHost
            | Self::TruncatedHead
            | Self::InvalidChunkExtension
            | Self::InvalidTrailer
            | Self::ForbiddenTrailer => DenyReason::MalformedRequest,
            Self::RepeatedContentLength
            | Self::InvalidContentLength
            | Self::LengthAndTransferEncoding
            | Self::TransferEncodingInHttp10
            | Self::UnsupportedTransferEncoding
            | Self::ContentInConnect
            | Self::InvalidChunkSize
            | Self::InvalidChunkEnd => DenyReason::AmbiguousLength,
            Self::HeadTooLarge | Self::TooManyFields | Self::ChunkExtensionsTooLarge | Self::TrailersTooLarge => {
                DenyReason::HeadTooLarge
            }
        }
    }

    /// The reason inside an error that a request body or a connection returned, wherever it is in the chain of sources.
    #[must_use]
    pub fn in_error(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(current) = next {
            if let Some(reason) = current.downcast_ref::<Self>() {
                return Some(*reason);
            }
            // `io::Error::source` skips the error it wraps, so that one is asked for by name.
            let wrapped = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = match wrapped {
                Some(inner) => Some(inner),
                None => current.source(),
            };
        }
        None
    }
}

/// A refused request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub reason: ViolationReason,
    pub seen: SeenHead,
}

/// The raw bytes of a refused head, at most `head_bytes_max` of them, and a best-effort reading.
///
/// `Debug` prints no values: a head may carry credentials and secret URLs.
#[derive(Clone, PartialEq, Eq)]
pub struct SeenHead {
    raw: Bytes,
}

impl SeenHead {
    pub(super) fn capture(bytes: &[u8], bytes_max: usize) -> Self {
        let kept = bytes.get(..bytes_max).unwrap_or(bytes);
        Self { raw: Bytes::copy_from_slice(kept) }
    }

    /// Everything before the first whitespace of the first line that is not empty.
    #[must_use]
    pub fn method(&self) -> Option<String> {
        self.request_line_part(0)
    }

    /// What stands between the first and the second whitespace of that line. It may hold secrets: redact it.
    #[must_use]
    pub fn target(&self) -> Option<String> {
        self.request_line_part(1)
    }

    /// The first Host field, if any.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        self.values("host").next().map(text)
    }

    /// Every User-Agent field, in order.
    #[must_use]
    pub fn user_agents(&self) -> Vec<String> {
        self.values("user-agent").map(text).collect()
    }

    /// The values of every field called `name` (any case), in order, trimmed, each cut to [`SEEN_VALUE_BYTES_MAX`].
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines().skip(1).filter_map(move |line| {
            let colon = memchr::memchr(b':', line)?;
            let (found, value) = line.split_at_checked(colon)?;
            found
                .trim_ascii()
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| cut(value.get(1..)?.trim_ascii().into()))?
        })
    }

    fn request_line_part(&self, index: usize) -> Option<String> {
        let line = self.lines().next()?;
        let part = line.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()).nth(index)?;
        cut(Some(part)).map(text)
    }

    /// The lines of the head without their ends; empty lines are left out.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.raw.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty())
    }
}

fn cut(value: Option<&[u8]>) -> Option<&[u8]> {
    value.map(|bytes| bytes.get(..SEEN_VALUE_BYTES_MAX).unwrap_or(bytes))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl fmt::Debug for SeenHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenHead").field("bytes", &self.raw.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_head_still_says_who_and_what() {
        let raw = b"\r\nPOST  http://a.test/x?y HTTP/1.1\nHOST : b.test\r\nuser-agent:one\rUser-Agent: two \r\n\r\n";
        let seen = SeenHead::capture(raw, 1024);
        assert_eq!(seen.method().as_deref(), Some("POST"));
        assert_eq!(seen.target().as_deref(), Some("http://a.test/x?y"));
        assert_eq!(seen.host().as_deref(), Some("b.test"));
        assert_eq!(seen.user_agents(), ["one", "two"]);
        assert_eq!(seen.values("proxy-authorization").count(), 0);
    }

    #[test]
    fn nothing_can_be_too_short_or_too_long_to_be_read() {
        let nothing = SeenHead::capture(b"", 1024);
        assert_eq!((nothing.method(), nothing.target(), nothing.host()), (None, None, None));
        let head = format!("GET /{} HTTP/1.1\r\nHost: {}", "t".repeat(5000), "h".repeat(5000));
        let seen = SeenHead::capture(head.as_bytes(), 6000);
        assert_eq!(seen.target().map(|target| target.len()), Some(SEEN_VALUE_BYTES_MAX));
        assert_eq!(seen.host().map(|host| host.len()), Some(6000 - 5000 - "GET / HTTP/1.1\r\nHost: ".len()));
    }

    #[test]
    fn a_seen_head_does_not_print_what_it_holds() {
        let seen = SeenHead::capture(b"GET /secret HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\n", 1024);
        assert_eq!(format!("{seen:?}"), "SeenHead { bytes: 59, .. }");
    }

    #[test]
    fn the_reason_is_found_behind_io_errors() {
        let inner = std::io::Error::other(ViolationReason::InvalidChunkEnd);
        let outer = std::io::Error::new(std::io::ErrorKind::InvalidData, inner);
        assert_eq!(ViolationReason::in_error(&outer), Some(ViolationReason::InvalidChunkEnd));
        assert_eq!(ViolationReason::in_error(&std::io::Error::other("else")), None);
    }
}
