//! Reading one segment back: rows, open intents, and what is damaged.
//!
//! Read-only and safe on the segment being written: the zeros ahead of its frames are nothing, a frame half there reads as
//! a torn tail, and [`read`] sees no frame without those before it. It repairs nothing (`recover` does) and does not look at
//! other segments, which may settle an intent that is open here.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use super::super::frame::{self, EncodeError, Frame, Header, HeaderFault, PAYLOAD_BYTES_CEILING, Payload, Seed};
use super::open::Open;
use super::rows::{RowsError, SegmentRows};
use crate::record::{Intent, Outcome, Row, Writer};

/// Largest segment file that is read, in bytes; the writer rolls far below it.
pub const SEGMENT_BYTES_CEILING: u64 = 1 << 30;

/// Everything one segment holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents<S = String> {
    pub writer: Arc<Writer>,
    /// Position of the segment among those of its epoch, from 1.
    pub number: u64,
    /// The lowest `seq` a row of this segment can have.
    pub first_seq: u64,
    /// Finished rows, in the order they were journaled.
    pub rows: Vec<Row<S>>,
    /// Intents not settled in this segment, in the order they were journaled. In a closed segment each of them is
    /// carried in the next one too.
    pub open: Vec<Intent<S>>,
    /// Outcomes whose intent was lost to damage.
    pub orphans: Vec<Orphan<S>>,
    /// Whether the segment was closed: nothing will be appended to it.
    pub closed: bool,
    /// Bytes that are not valid frames. Zeros to the end of a segment that is not closed are none, and a torn tail alone is
    /// normal there.
    pub damage: Option<Damage>,
}

/// An outcome whose intent is not in the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan<S = String> {
    pub seq: u64,
    pub event_id: Uuid,
    pub outcome: Outcome<S>,
}

/// Where a segment cannot be read, as byte offsets in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Stretches with valid frames after them: written once, changed since.
    pub corrupt: Vec<Range<u64>>,
    /// What follows the last valid frame: an append that did not finish. Zeros at the end of a segment that is not closed
    /// do not count, even if some of them were to become part of that frame.
    pub torn: Option<Range<u64>>,
}

impl Damage {
    /// How many bytes are in damaged stretches, the torn tail not counted.
    pub fn corrupt_bytes(&self) -> u64 {
        self.corrupt.iter().map(|range| range.end - range.start).sum()
    }
}

/// Why nothing of a segment could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read journal segment {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("journal segment {} has {bytes} bytes, more than the {SEGMENT_BYTES_CEILING} one can have", path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{} is not a readable journal segment: {fault}", path.display())]
    Header { path: PathBuf, fault: HeaderFault },
}

/// The bytes of a segment file, which the texts of its rows can borrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentBytes {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl SegmentBytes {
    /// Reads a segment file, closed or being written, into `memory`, whose bytes are replaced.
    pub fn read(path: &Path, memory: Vec<u8>) -> Result<Self, ReadError> {
        Ok(Self { path: path.to_owned(), bytes: read_bytes(path, memory)? })
    }

    /// A closed segment in memory with these rows, all of them `writer`'s, as if it had been read from `path`.
    pub fn of_rows(path: &Path, writer: &Writer, rows: &[Row]) -> Result<Self, EncodeError> {
        let (mut bytes, seed) = Header { writer: writer.clone(), number: 1, first_seq: 1 }.encode()?;
        for row in rows {
            Payload::row(&row.intent, &row.outcome, PAYLOAD_BYTES_CEILING)?.write_frame(seed, row.seq, &mut bytes);
        }
        Payload::close().write_frame(seed, 0, &mut bytes);
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// Its rows, which are decoded when they are asked for.
    pub fn rows(&self) -> Result<SegmentRows<'_>, RowsError> {
        SegmentRows::locate(&self.path, &self.bytes)
    }

    /// The memory, for another segment.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    /// What a segment says of which this is the first look: damage is what a second one finds as well.
    ///
    /// A look at a segment being written can miss frames and see later ones, which were written after it had passed by. The
    /// writer goes from the front to the back, so that all that is before those is there by now.
    pub(in super::super) fn read_on(&self) -> Result<Contents, ReadError> {
        let contents: Contents = self.contents()?;
        if contents.damage.as_ref().is_none_or(|damage| damage.corrupt.is_empty()) {
            return Ok(contents);
        }
        self.look_again()?.contents()
    }

    /// The bytes as they are now, up to the end of what was seen at the first look.
    fn look_again(&self) -> Result<Self, ReadError> {
        let mut again = Self::read(&self.path, Vec::new())?;
        let length = again.bytes.len();
        again.bytes.truncate(written_end(&self.bytes));
        again.bytes.resize(length, 0);
        Ok(again)
    }

    /// What they say, with texts of `String` or `&str`.
    pub fn contents<'a, S: Deserialize<'a>>(&'a self) -> Result<Contents<S>, ReadError> {
        parse(&self.bytes).map_err(|fault| ReadError::Header { path: self.path.clone(), fault })
    }
}

#[cfg(test)]
impl SegmentBytes {
    /// Whose frames are whole, but one holds half a row.
    pub(crate) fn of_half_a_row(path: &Path, row: &Row) -> Self {
        let header = Header { writer: row.writer.as_ref().clone(), number: 1, first_seq: 1 };
        let (mut bytes, seed) = header.encode().expect("encodes");
        let payload = Payload::row(&row.intent, &row.outcome, u32::MAX).expect("encodes");
        let half = payload.len() / 2;
        payload.cut(half).write_frame(seed, row.seq, &mut bytes);
        Self { path: path.to_owned(), bytes }
    }

    pub(crate) fn of_bytes(path: &Path, bytes: Vec<u8>) -> Self {
        Self { path: path.to_owned(), bytes }
    }

    /// With an append behind it that did not finish.
    pub(crate) fn torn(mut self) -> Self {
        self.bytes.push(0);
        self
    }
}

/// Reads a segment, closed or being written.
pub fn read(path: &Path) -> Result<Contents, ReadError> {
    SegmentBytes::read(path, Vec::new())?.read_on()
}

fn read_bytes(path: &Path, mut bytes: Vec<u8>) -> Result<Vec<u8>, ReadError> {
    let io_error = |source| ReadError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    let expected = file.metadata().map_err(io_error)?.len();
    let expected_bytes = expected.min(SEGMENT_BYTES_CEILING) as usize;
    bytes.clear();
    if bytes.capacity() < expected_bytes {
        // Segments are about as long as each other: with a little more, the memory will do for the next one.
        bytes = Vec::with_capacity(expected_bytes + expected_bytes / 8);
    }
    file.take(SEGMENT_BYTES_CEILING + 1).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() as u64 > SEGMENT_BYTES_CEILING {
        return Err(ReadError::TooLarge { path: path.to_owned(), bytes: expected });
    }
    Ok(bytes)
}

/// Reads a segment from its bytes.
pub(in super::super) fn parse<'a, S: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Contents<S>, HeaderFault> {
    let (header, seed, mut offset) = Header::decode(bytes)?;
    let mut assembly = Assembly::new(&header);
    let mut damage = Damage::default();
    let written = written_end(bytes);
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let decoded = frame::check_frame(rest, seed).and_then(|checked| Ok((checked.decode()?, checked.size)));
        if let Ok((frame, size)) = decoded {
            assembly.add(frame);
            offset += size;
        } else if let Some(next) = next_frame(bytes, offset + 1..written, seed) {
            damage.corrupt.push(offset as u64..next as u64);
            offset = next;
        } else {
            let end = if assembly.closed { bytes.len() } else { written };
            damage.torn = Some(offset as u64..end as u64).filter(|torn| !torn.is_empty());
            break;
        }
    }
    Ok(assembly.finish(&header, damage))
}

/// Offset of the first valid frame that begins in `range`, which has none of the zeros at the end: a frame may reach into
/// them, but none begins there.
fn next_frame(bytes: &[u8], mut range: Range<usize>, seed: Seed) -> Option<usize> {
    range.find(|&offset| bytes.get(offset..).is_some_and(|rest| frame::check_frame(rest, seed).is_ok()))
}

/// Where the zeros at the end begin.
fn written_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// Joins intents and outcomes into rows.
struct Assembly<S> {
    writer: Arc<Writer>,
    rows: Vec<Row<S>>,
    open: Open<Box<Intent<S>>>,
    orphans: Vec<Orphan<S>>,
    closed: bool,
}

impl<S> Assembly<S> {
    fn new(header: &Header) -> Self {
        Self {
            writer: Arc::new(header.writer.clone()),
            rows: Vec::new(),
            open: Open::default(),
            orphans: Vec::new(),
            closed: false,
        }
    }

    fn add(&mut self, frame: Frame<S>) {
        match frame {
            Frame::Intent(intent) => self.open.begin(intent.event_id, intent),
            Frame::Outcome { seq, event_id, outcome } => match self.open.take(event_id) {
                Some(intent) => self.add_row(seq, *intent, *outcome),
                None => self.orphans.push(Orphan { seq, event_id, outcome: *outcome }),
            },
            Frame::Row { seq, intent, outcome } => {
                self.open.take(intent.event_id);
                self.add_row(seq, *intent, *outcome);
            }
            Frame::Close => self.closed = true,
        }
    }

    fn add_row(&mut self, seq: u64, intent: Intent<S>, outcome: Outcome<S>) {
        self.rows.push(Row { seq, writer: Arc::clone(&self.writer), intent, outcome });
    }

    fn finish(self, header: &Header, damage: Damage) -> Contents<S> {
        Contents {
            writer: self.writer,
            number: header.number,
            first_seq: header.first_seq,
            rows: self.rows,
            open: self.open.left().into_iter().map(|intent| *intent).collect(),
            orphans: self.orphans,
            closed: self.closed,
            damage: Some(damage).filter(|damage| *damage != Damage::default()),
        }
    }
}
