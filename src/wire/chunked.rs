//! An incremental scanner over the chunked transfer coding (RFC 9112 section 7.1) of one request body.
//!
//! It finds the end of the body and refuses what other recipients might frame differently. It decodes nothing: chunk data
//! is skipped by arithmetic, and only sizes, extensions, line ends and trailers are looked at, byte by byte. Stricter than
//! the RFC: no whitespace between a chunk size and what follows it.

use super::head::{is_token_byte, is_value_byte};
use super::{Limits, ViolationReason};

/// Most hexadecimal digits of a chunk size, leading zeros included.
const SIZE_DIGITS_MAX: u8 = 16;

/// Fields that a trailer section must not carry (RFC 9110 section 6.5.1), because a recipient that merges trailers into
/// the head would change framing, routing or authentication.
const FORBIDDEN_TRAILERS: [&[u8]; 16] = [
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// How far one call of [`ChunkScanner::advance`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkProgress {
    /// Bytes that belong to the body and are in order. The byte after them is the offending one after a violation, and
    /// the first byte of the next message after the end.
    pub accepted: usize,
    pub state: ChunkState,
}

/// Where the body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    /// All bytes were accepted and the body goes on.
    Open,
    /// The CRLF that ends the trailer section was accepted.
    Ended,
    /// The body cannot be framed from here on; the scanner must not be used again.
    Violated(ViolationReason),
}

/// What the next byte must be.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

const NEXT_CHUNK: Expect = Expect::Size { size: 0, digits: 0 };

/// The state of one chunked body between two reads.
#[derive(Clone, Debug)]
pub struct ChunkScanner {
    expect: Expect,
    extension_bytes_left: usize,
    trailer_bytes_left: usize,
    trailers_left: usize,
    name: TrailerName,
}

impl ChunkScanner {
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            expect: NEXT_CHUNK,
            extension_bytes_left: limits.chunk_extension_bytes_max,
            trailer_bytes_left: limits.trailer_bytes_max,
            trailers_left: limits.head_fields_max,
            name: TrailerName::default(),
        }
    }

    /// Scans `bytes`, which follow those accepted before.
    pub fn advance(&mut self, bytes: &[u8]) -> ChunkProgress {
        let mut accepted = 0;
        while let Some(rest) = bytes.get(accepted..)
            && let Some(first) = rest.first()
        {
            if let Expect::Data { left } = self.expect {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                accepted += here;
                let left = left - here as u64;
                self.expect = if left == 0 {
                    Expect::DataCr
                } else {
                    Expect::Data { left }
                };
                continue;
            }
            match self.step(*first) {
                Ok(Some(next)) => self.expect = next,
                Ok(None) => {
                    return ChunkProgress {
                        accepted: accepted + 1,
                        state: ChunkState::Ended,
                    };
                }
                Err(reason) => {
                    return ChunkProgress {
                        accepted,
                        state: ChunkState::Violated(reason),
                    };
                }
            }
            accepted += 1;
        }
        ChunkProgress {
            accepted,
            state: ChunkState::Open,
        }
    }

    /// What follows `byte`; `None` when it ended the body.
    fn step(&mut self, byte: u8) -> Result<Option<Expect>, ViolationReason> {
        match self.expect {
            Expect::Size { size, digits } => step_size(byte, size, digits).map(Some),
            Expect::Extension { size } => self.step_extension(byte, size).map(Some),
            Expect::SizeLf { size: 0 } => expect_lf(byte, Expect::TrailerStart),
            Expect::SizeLf { size } => expect_lf(byte, Expect::Data { left: size }),
            // Reached only with no data left.
            Expect::Data { .. } | Expect::DataCr if byte == b'\r' => Ok(Some(Expect::DataLf)),
            Expect::Data { .. } | Expect::DataCr => Err(ViolationReason::InvalidChunkEnd),
            Expect::DataLf => expect_lf(byte, NEXT_CHUNK),
            Expect::EndLf if byte == b'\n' => Ok(None),
            Expect::EndLf => Err(ViolationReason::InvalidTrailer),
            Expect::TrailerStart | Expect::TrailerName | Expect::TrailerValue | Expect::TrailerLf => {
                self.trailer_bytes_left = self
                    .trailer_bytes_left
                    .checked_sub(1)
                    .ok_or(ViolationReason::TrailersTooLarge)?;
                self.step_trailer(byte).map(Some)
            }
        }
    }

    fn step_extension(&mut self, byte: u8, size: u64) -> Result<Expect, ViolationReason> {
        if byte == b'\r' {
            return Ok(Expect::SizeLf { size });
        }
        if !is_value_byte(byte) {
            return Err(ViolationReason::InvalidChunkExtension);
        }
        self.extension_bytes_left = self
            .extension_bytes_left
            .checked_sub(1)
            .ok_or(ViolationReason::ChunkExtensionsTooLarge)?;
        Ok(Expect::Extension { size })
    }

    fn step_trailer(&mut self, byte: u8) -> Result<Expect, ViolationReason> {
        match (self.expect, byte) {
            (Expect::TrailerStart, b'\r') => Ok(Expect::EndLf),
            (Expect::TrailerStart, _) if is_token_byte(byte) => {
                self.trailers_left = self
                    .trailers_left
                    .checked_sub(1)
                    .ok_or(ViolationReason::TrailersTooLarge)?;
                self.name = TrailerName::default();
                self.name.push(byte);
                Ok(Expect::TrailerName)
            }
            (Expect::TrailerName, b':') if self.name.is_forbidden() => Err(ViolationReason::ForbiddenTrailer),
            (Expect::TrailerName, b':') => Ok(Expect::TrailerValue),
            (Expect::TrailerName, _) if is_token_byte(byte) => {
                self.name.push(byte);
                Ok(Expect::TrailerName)
            }
            (Expect::TrailerValue, b'\r') => Ok(Expect::TrailerLf),
            (Expect::TrailerValue, _) if is_value_byte(byte) => Ok(Expect::TrailerValue),
            (Expect::TrailerLf, b'\n') => Ok(Expect::TrailerStart),
            _ => Err(ViolationReason::InvalidTrailer),
        }
    }
}

fn step_size(byte: u8, size: u64, digits: u8) -> Result<Expect, ViolationReason> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(Expect::SizeLf { size }),
        b';' if digits > 0 => return Ok(Expect::Extension { size }),
        b'\n' if digits > 0 => return Err(ViolationReason::InvalidChunkEnd),
        _ => return Err(ViolationReason::InvalidChunkSize),
    };
    if digits == SIZE_DIGITS_MAX {
        return Err(ViolationReason::InvalidChunkSize);
    }
    // At most 16 digits of 4 bits fit; the highest bit is refused because other recipients count with a sign.
    let size = (size << 4) | u64::from(digit);
    if size > i64::MAX as u64 {
        return Err(ViolationReason::InvalidChunkSize);
    }
    Ok(Expect::Size {
        size,
        digits: digits + 1,
    })
}

fn expect_lf(byte: u8, next: Expect) -> Result<Option<Expect>, ViolationReason> {
    if byte == b'\n' {
        Ok(Some(next))
    } else {
        Err(ViolationReason::InvalidChunkEnd)
    }
}

/// The beginning of a trailer's name in lower case, as far as needed to compare it with the forbidden ones.
#[derive(Clone, Debug, Default)]
struct TrailerName {
    bytes: [u8; 24],
    len: usize,
}

impl TrailerName {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte.to_ascii_lowercase();
        }
        self.len += 1;
    }

    /// A name longer than the buffer is longer than every forbidden one.
    fn is_forbidden(&self) -> bool {
        self.bytes
            .get(..self.len)
            .is_some_and(|name| FORBIDDEN_TRAILERS.contains(&name))
    }
}
