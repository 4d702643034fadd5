//! The rows of a closed segment by their places in it, and the rows themselves, a few at a time.
//!
//! Sealing sorts and splits rows by a few of their fields; whole rows, a KiB each, are decoded only when their turn comes.
//! Every frame's checksum is checked at the beginning. Where damage is, and what it left, is for `contents` to say.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::super::frame::{self, Begun, FrameFault, Halves, Header, Outline};
use super::contents::ReadError;
use super::open::Open;
use crate::record::{Row, Writer};

/// So many rows tell how long the rows of their segment are.
const ROWS_TELLING: usize = 256;

/// Why a segment's rows cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Sealing the rest and deleting the segment would hide what is missing.
    #[error("it is damaged; restart Tollgate to repair it and record what is missing")]
    Damaged,
}

/// The finished rows of an undamaged segment, in the order they were journaled.
#[derive(Debug)]
pub struct SegmentRows<'a> {
    writer: Arc<Writer>,
    places: Vec<Place<'a>>,
}

/// Where a row is, and what decides where it goes.
#[derive(Debug)]
pub struct Place<'a> {
    /// Position among the rows of its writer.
    pub seq: u64,
    pub event_id: Uuid,
    /// Start of the exchange, microseconds since the Unix epoch, UTC.
    pub event_time_us: i64,
    payloads: Payloads<'a>,
}

/// The payloads of the frames that make a row.
#[derive(Debug)]
enum Payloads<'a> {
    Whole(&'a [u8]),
    Halves { intent: &'a [u8], outcome: &'a [u8] },
}

impl<'a> SegmentRows<'a> {
    /// Checks every frame in the bytes of a segment; `path` is only for the error.
    pub(super) fn locate(path: &Path, bytes: &'a [u8]) -> Result<Self, RowsError> {
        let header = |fault| ReadError::Header { path: path.to_owned(), fault };
        let (Header { writer, .. }, seed, mut offset) = Header::decode(bytes).map_err(header)?;
        let mut located = Located::default();
        while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let checked = frame::check_frame(rest, seed).and_then(|checked| Ok((checked.outline()?, checked.size)));
            let Ok((outline, size)) = checked else {
                // Nothing was written there, and nothing will be.
                if !located.closed && rest.iter().all(|byte| *byte == 0) {
                    break;
                }
                return Err(RowsError::Damaged);
            };
            located.add(outline);
            offset += size;
            located.make_room(bytes.len() / offset);
        }
        Ok(Self { writer: Arc::new(writer), places: located.places })
    }

    /// Who wrote all of them.
    #[must_use]
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    #[must_use]
    pub fn places(&self) -> &[Place<'a>] {
        &self.places
    }

    /// Decodes rows, in the order given, into `rows`, whose memory is used again. That their texts are UTF-8 is not checked.
    ///
    /// # Errors
    /// A payload is not what its frame says, though its checksum matches.
    pub fn decode(&self, places: &[&Place<'a>], rows: &mut Vec<Row<&'a [u8]>>) -> Result<(), RowsError> {
        rows.clear();
        for place in places {
            let (intent, outcome) = place.payloads.decode().map_err(|_| RowsError::Damaged)?;
            rows.push(Row { seq: place.seq, writer: Arc::clone(&self.writer), intent, outcome });
        }
        Ok(())
    }
}

/// Joins the places of intents and outcomes.
#[derive(Default)]
struct Located<'a> {
    places: Vec<Place<'a>>,
    open: Open<Begun<'a>>,
    closed: bool,
}

impl<'a> Located<'a> {
    fn add(&mut self, outline: Outline<'a>) {
        match outline {
            Outline::Intent(begun) => self.open.begin(begun.event_id, begun),
            Outline::Outcome { seq, event_id, payload: outcome } => {
                // Only damage leaves an outcome without its intent, and recovery accounts for that.
                if let Some(begun) = self.open.take(event_id) {
                    let intent = begun.payload;
                    self.add_row(seq, &begun, Payloads::Halves { intent, outcome });
                }
            }
            Outline::Row { seq, begun } => {
                self.open.take(begun.event_id);
                self.add_row(seq, &begun, Payloads::Whole(begun.payload));
            }
            Outline::Close => self.closed = true,
        }
    }

    /// Room for all rows at once, as soon as those found so far tell how many there may be: `part` says that they
    /// are one part in so many.
    fn make_room(&mut self, part: usize) {
        let found = self.places.len();
        if found >= ROWS_TELLING && found == self.places.capacity() {
            self.places.reserve_exact(found.saturating_mul(part));
        }
    }

    fn add_row(&mut self, seq: u64, begun: &Begun<'a>, payloads: Payloads<'a>) {
        let Begun { event_id, event_time_us, .. } = *begun;
        self.places.push(Place { seq, event_id, event_time_us, payloads });
    }
}

impl<'a> Payloads<'a> {
    fn decode(&self) -> Result<Halves<&'a [u8]>, FrameFault> {
        match self {
            Self::Whole(payload) => frame::decode_row(payload),
            Self::Halves { intent, outcome } => frame::decode_halves(intent, outcome),
        }
    }
}
