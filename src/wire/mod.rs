//! The HTTP/1.x request-framing inspector that stands between a client socket and hyper.
//!
//! hyper repairs some ambiguities silently (Transfer-Encoding next to Content-Length, equal duplicates of
//! Content-Length, bare LF) and answers other parse errors by itself, with no body and no audit row. [`Inspected`]
//! follows the framing of every message before hyper sees it and lets through only what has one reading. A refused head
//! reaches the service as a synthetic request that only [`WireHandle::violation`] recognises, so that the refusal gets
//! Tollgate's own response and its own row.
//!
//! [`head`] and [`chunked`] are the pure rules, `framing` applies them message after message, [`inspected`] is the
//! stream. [`sniff`] tells what protocol a tunnel carries. What is deliberately not here: whether Host, SNI and authority agree, what a method or target form means to a
//! proxy, deadlines, and anything about responses except the place where an interim response is written.
//!
//! The rules are stricter than RFC 9112 where a recipient may choose: equal duplicates and lists of Content-Length,
//! whitespace around chunk sizes, bare LF and more than one empty line before the request line are all refused.

pub mod chunked;
mod framing;
pub mod head;
pub mod inspected;
pub mod sniff;
mod state;
#[cfg(test)]
mod tests;
pub mod violation;

pub use inspected::Inspected;
pub use state::WireHandle;
pub use violation::{SeenHead, Violation, ViolationReason};

/// Fields that hyper takes in a head unless told otherwise. Being told costs it more for each head, on either side.
pub(crate) const HYPER_FIELDS_MAX: usize = 100;

/// The sizes a client may make Tollgate hold or scan on one connection.
///
/// hyper has limits of its own and answers breaches itself, without a row. They must be at least as wide as these:
/// `max_buf_size` at least `head_bytes_max` plus 8 KiB, `max_headers` at least `head_fields_max`; its fixed limits of
/// 16 KiB hold for chunk extensions and trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request head, from its first byte to the end of the empty line. At least 1024.
    pub head_bytes_max: usize,
    /// Field lines in one request head, and in one trailer section.
    pub head_fields_max: usize,
    /// Bytes of all chunk extensions of one message. Below 16384.
    pub chunk_extension_bytes_max: usize,
    /// Bytes of the trailer section of one message. At most 16384.
    pub trailer_bytes_max: usize,
    /// Bytes of interim responses that may wait for the socket.
    pub interim_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 * 1024,
            head_fields_max: 100,
            chunk_extension_bytes_max: 4 * 1024,
            trailer_bytes_max: 8 * 1024,
            interim_bytes_max: 16 * 1024,
        }
    }
}
