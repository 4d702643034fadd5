//! The bytes of the journal: the segment header and the checksummed frames that follow it.
//!
//! Pure: no I/O, no clock. It knows what one frame means, not which frames belong together (`segment`), nor when
//! one is written (`log`).
//!
//! All integers are little-endian.
//!
//! ```text
//! header: magic [8] | version u32 | length u32 | checksum u32 | body [length]
//! frame:  length u32 | checksum u32 | type u8 | seq u64 | payload [length]
//! ```
//!
//! Zeros are no frame, since no type has the code 0: in a segment that is not closed, they may follow the last one.
//!
//! Checksums are CRC-32C over everything else in the header or frame. A frame's checksum starts from its segment's
//! header checksum, so a frame left over from another segment, or bytes a client chose, do not pass for a frame here.
//! Bodies and payloads are postcard, which does not describe itself: a change to the record types needs a new
//! [`FORMAT_VERSION`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::{Intent, Outcome, Writer};

mod encode;
mod outline;

pub(super) use outline::{Begun, Halves, Outline, decode_halves, decode_row};

/// Version of the frame layout and of the record types inside it.
pub(super) const FORMAT_VERSION: u32 = 2;

/// Largest payload a reader accepts, in bytes; above every limit a writer can be set to.
pub(super) const PAYLOAD_BYTES_CEILING: u32 = 4 << 20;

/// Largest `seq`: the audit column is signed, and there is room to count on from here.
const SEQ_MAX: u64 = i64::MAX as u64 / 2;

const MAGIC: [u8; 8] = *b"TGJRNL\r\n";
const HEADER_BODY_BYTES_MAX: u32 = 4096;

/// What the header of a segment says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) writer: Writer,
    /// Position of the segment among those of its epoch, from 1.
    pub(super) number: u64,
    /// The lowest `seq` a settling frame of this segment can have.
    pub(super) first_seq: u64,
}

/// Length, checksum, type and seq.
const FRAME_HEAD_BYTES: usize = 4 + 4 + 1 + 8;

/// Start value of the frame checksums of one segment: its header's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

/// One decoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame<S = String> {
    /// An exchange began.
    Intent(Box<Intent<S>>),
    /// The exchange whose intent has this event id ended.
    Outcome { seq: u64, event_id: Uuid, outcome: Box<Outcome<S>> },
    /// An exchange that began and ended at once, or whose intent is not in the journal.
    Row { seq: u64, intent: Box<Intent<S>>, outcome: Box<Outcome<S>> },
    /// Nothing follows.
    Close,
}

/// The type byte of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameType {
    Intent,
    Outcome,
    Row,
    Close,
}

impl FrameType {
    const fn code(self) -> u8 {
        match self {
            Self::Intent => 1,
            Self::Outcome => 2,
            Self::Row => 3,
            Self::Close => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Intent),
            2 => Some(Self::Outcome),
            3 => Some(Self::Row),
            4 => Some(Self::Close),
            _ => None,
        }
    }

    /// Whether a frame of this type finishes a row, and so has a `seq`.
    pub(super) const fn settles(self) -> bool {
        match self {
            Self::Outcome | Self::Row => true,
            Self::Intent | Self::Close => false,
        }
    }
}

/// A frame's type and payload, encoded by the thread that has the record, waiting for its `seq` and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    frame_type: FrameType,
    bytes: Box<[u8]>,
}

/// Why a record could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("the record takes {bytes} bytes, more than the {bytes_max} a journal frame may have")]
    TooLarge { bytes: usize, bytes_max: u32 },
    #[error("the record cannot be encoded: {0}")]
    Postcard(#[from] postcard::Error),
}

impl Payload {
    pub(super) fn intent(intent: &Intent, bytes_max: u32) -> Result<Self, EncodeError> {
        Self::encode(FrameType::Intent, intent, bytes_max)
    }

    pub(super) fn outcome(event_id: Uuid, outcome: &Outcome, bytes_max: u32) -> Result<Self, EncodeError> {
        Self::encode(FrameType::Outcome, &(event_id, outcome), bytes_max)
    }

    pub(super) fn row(intent: &Intent, outcome: &Outcome, bytes_max: u32) -> Result<Self, EncodeError> {
        Self::encode(FrameType::Row, &(intent, outcome), bytes_max)
    }

    pub(super) fn close() -> Self {
        Self { frame_type: FrameType::Close, bytes: Box::default() }
    }

    fn encode(frame_type: FrameType, value: &impl Serialize, bytes_max: u32) -> Result<Self, EncodeError> {
        encode::encode(value, |bytes| {
            if bytes.len() > bytes_max as usize {
                return Err(EncodeError::TooLarge { bytes: bytes.len(), bytes_max });
            }
            Ok(Self { frame_type, bytes: bytes.into() })
        })?
    }

    pub(super) const fn frame_type(&self) -> FrameType {
        self.frame_type
    }

    /// Size of the payload in bytes, without the frame around it.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Its first `bytes` bytes only.
    #[cfg(test)]
    pub(super) fn cut(mut self, bytes: usize) -> Self {
        self.bytes = self.bytes[..bytes].into();
        self
    }

    /// Size of the frame in bytes.
    pub(super) const fn frame_len(&self) -> usize {
        FRAME_HEAD_BYTES + self.bytes.len()
    }

    /// Appends the finished frame to `out`. `seq` is 0 for frames that settle nothing.
    pub(super) fn write_frame(&self, seed: Seed, seq: u64, out: &mut Vec<u8>) {
        // The constructors bound the payload by a u32, so the length cannot be cut short.
        let length = (self.bytes.len() as u32).to_le_bytes();
        let code = self.frame_type.code();
        out.extend_from_slice(&length);
        out.extend_from_slice(&frame_checksum(seed, length, code, seq, &self.bytes).to_le_bytes());
        out.push(code);
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

fn frame_checksum(seed: Seed, length: [u8; 4], code: u8, seq: u64, payload: &[u8]) -> u32 {
    let mut head = [0; 13];
    let (head_length, rest) = head.split_at_mut(4);
    let (head_code, head_seq) = rest.split_at_mut(1);
    head_length.copy_from_slice(&length);
    head_code.copy_from_slice(&[code]);
    head_seq.copy_from_slice(&seq.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(seed.0, &head), payload)
}

/// Why the bytes at some position are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameFault {
    #[error("the frame is incomplete")]
    Incomplete,
    #[error("the frame says its payload has {0} bytes, more than a frame may have")]
    TooLarge(u32),
    #[error("{0} is not a frame type")]
    UnknownType(u8),
    #[error("a frame of this type cannot have seq {0}")]
    ImplausibleSeq(u64),
    #[error("the frame's checksum does not match")]
    Checksum,
    #[error("the frame's payload cannot be decoded: {0}")]
    Payload(#[from] postcard::Error),
    #[error("the frame's payload has {0} bytes too many")]
    TrailingBytes(usize),
}

/// A frame whose checksum matches, its payload not yet decoded.
pub(super) struct Checked<'a> {
    frame_type: FrameType,
    seq: u64,
    payload: &'a [u8],
    /// Size of the whole frame in bytes.
    pub(super) size: usize,
}

/// Checks the frame at the start of `input` without decoding its payload.
pub(super) fn check_frame(input: &[u8], seed: Seed) -> Result<Checked<'_>, FrameFault> {
    let mut rest = input;
    let length_bytes = take::<4>(&mut rest).ok_or(FrameFault::Incomplete)?;
    let checksum = u32::from_le_bytes(take(&mut rest).ok_or(FrameFault::Incomplete)?);
    let [code] = take(&mut rest).ok_or(FrameFault::Incomplete)?;
    let seq = u64::from_le_bytes(take(&mut rest).ok_or(FrameFault::Incomplete)?);

    // The cheap checks come first: a search for the next good frame runs them at every byte.
    let length = u32::from_le_bytes(length_bytes);
    if length > PAYLOAD_BYTES_CEILING {
        return Err(FrameFault::TooLarge(length));
    }
    let frame_type = FrameType::from_code(code).ok_or(FrameFault::UnknownType(code))?;
    if frame_type.settles() == (seq == 0) || seq > SEQ_MAX {
        return Err(FrameFault::ImplausibleSeq(seq));
    }
    let payload = rest.get(..length as usize).ok_or(FrameFault::Incomplete)?;
    if frame_checksum(seed, length_bytes, code, seq, payload) != checksum {
        return Err(FrameFault::Checksum);
    }
    Ok(Checked { frame_type, seq, payload, size: input.len() - rest.len() + payload.len() })
}

impl<'a> Checked<'a> {
    pub(super) fn decode<S: Deserialize<'a>>(&self) -> Result<Frame<S>, FrameFault> {
        let seq = self.seq;
        Ok(match self.frame_type {
            FrameType::Intent => Frame::Intent(Box::new(decode_all(self.payload)?)),
            FrameType::Outcome => {
                let (event_id, outcome): (Uuid, Outcome<S>) = decode_all(self.payload)?;
                Frame::Outcome { seq, event_id, outcome: Box::new(outcome) }
            }
            FrameType::Row => {
                let (intent, outcome): (Intent<S>, Outcome<S>) = decode_all(self.payload)?;
                Frame::Row { seq, intent: Box::new(intent), outcome: Box::new(outcome) }
            }
            FrameType::Close => self.close(Frame::Close)?,
        })
    }

    fn close<T>(&self, frame: T) -> Result<T, FrameFault> {
        if self.payload.is_empty() { Ok(frame) } else { Err(FrameFault::TrailingBytes(self.payload.len())) }
    }
}

fn decode_all<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, FrameFault> {
    let (value, rest) = postcard::take_from_bytes(payload)?;
    if rest.is_empty() { Ok(value) } else { Err(FrameFault::TrailingBytes(rest.len())) }
}

/// Why a file's first bytes are not a segment header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    #[error("the file ends inside its header")]
    Incomplete,
    #[error("the file does not begin as a journal segment does")]
    Magic,
    #[error("the segment has format version {found}; this program reads version {FORMAT_VERSION}")]
    Version { found: u32 },
    #[error("the header says it has {0} bytes, more than a header may have")]
    TooLarge(u32),
    #[error("the header's checksum does not match")]
    Checksum,
    #[error("the header says that rows begin at seq {0}, which is not possible")]
    FirstSeq(u64),
    #[error("the header cannot be decoded: {0}")]
    Body(#[from] postcard::Error),
}

impl Header {
    /// The encoded header and the seed of the frames that follow it.
    pub(super) fn encode(&self) -> Result<(Vec<u8>, Seed), EncodeError> {
        let body = postcard::to_stdvec(self)?;
        if body.len() > HEADER_BODY_BYTES_MAX as usize {
            return Err(EncodeError::TooLarge { bytes: body.len(), bytes_max: HEADER_BODY_BYTES_MAX });
        }
        let version = FORMAT_VERSION.to_le_bytes();
        let length = (body.len() as u32).to_le_bytes();
        let seed = header_checksum(version, length, &body);
        let mut bytes = Vec::with_capacity(20 + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&version);
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&seed.0.to_le_bytes());
        bytes.extend_from_slice(&body);
        Ok((bytes, seed))
    }

    /// Decodes the header at the start of `input`; also returns its size in bytes.
    pub(super) fn decode(input: &[u8]) -> Result<(Self, Seed, usize), HeaderFault> {
        let mut rest = input;
        let magic_seen = input.get(..input.len().min(MAGIC.len())).unwrap_or_default();
        if !MAGIC.starts_with(magic_seen) {
            return Err(HeaderFault::Magic);
        }
        take::<8>(&mut rest).ok_or(HeaderFault::Incomplete)?;
        let version = take::<4>(&mut rest).ok_or(HeaderFault::Incomplete)?;
        let length_bytes = take::<4>(&mut rest).ok_or(HeaderFault::Incomplete)?;
        let checksum = u32::from_le_bytes(take(&mut rest).ok_or(HeaderFault::Incomplete)?);
        let found = u32::from_le_bytes(version);
        if found != FORMAT_VERSION {
            return Err(HeaderFault::Version { found });
        }
        let length = u32::from_le_bytes(length_bytes);
        if length > HEADER_BODY_BYTES_MAX {
            return Err(HeaderFault::TooLarge(length));
        }
        let body = rest.get(..length as usize).ok_or(HeaderFault::Incomplete)?;
        let seed = header_checksum(version, length_bytes, body);
        if seed.0 != checksum {
            return Err(HeaderFault::Checksum);
        }
        let header: Self = postcard::from_bytes(body)?;
        if header.first_seq > SEQ_MAX {
            return Err(HeaderFault::FirstSeq(header.first_seq));
        }
        Ok((header, seed, input.len() - rest.len() + body.len()))
    }
}

fn header_checksum(version: [u8; 4], length: [u8; 4], body: &[u8]) -> Seed {
    let crc = crc32c::crc32c(&MAGIC);
    let crc = crc32c::crc32c_append(crc, &version);
    let crc = crc32c::crc32c_append(crc, &length);
    Seed(crc32c::crc32c_append(crc, body))
}

/// Splits `N` bytes off the front of `input`.
fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}
