//! Reading one segment after the other into the same memory.
//!
//! The kernel clears memory before it hands it out; for a segment's worth that takes longer than reading the segment. What
//! is in a segment is not looked at here.

use std::path::Path;
use std::time::{Duration, Instant};

use super::segment::SegmentError;
use crate::archive::file::FileError;
use crate::journal::segment::{ReadError, SegmentBytes};

/// Memory for a larger segment is given back at once; with the usual settings there is none.
const KEPT_BYTES_MAX: usize = 128 << 20;
/// Memory of which a segment needed less than one part in so many is given back: it is left from busier times.
const NEEDED_PART: usize = 4;
/// Without a segment for so long, it is given back.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// Reads one segment into memory: [`SegmentBytes::read`], except in tests.
pub(in crate::archive) type ReadSegment = fn(&Path, Vec<u8>) -> Result<SegmentBytes, ReadError>;

/// Reads segments.
#[derive(Debug)]
pub(in crate::archive) struct Reader {
    read: ReadSegment,
    memory: Vec<u8>,
    kept_since: Instant,
}

impl Reader {
    pub(in crate::archive) fn new(read: ReadSegment) -> Self {
        Self { read, memory: Vec::new(), kept_since: Instant::now() }
    }

    /// The bytes of a segment; `None` if it was sealed before: recovery and the journal's writer may both have named it.
    pub(in crate::archive) fn read(&mut self, segment: &Path) -> Result<Option<SegmentBytes>, SegmentError> {
        if !segment.try_exists().map_err(FileError::io("inspecting", segment))? {
            return Ok(None);
        }
        Ok(Some((self.read)(segment, std::mem::take(&mut self.memory))?))
    }

    /// Takes back the memory of a segment that is done with.
    pub(super) fn reuse(&mut self, bytes: SegmentBytes, now: Instant) {
        self.keep(bytes.into_memory(), now);
    }

    fn keep(&mut self, memory: Vec<u8>, now: Instant) {
        let worth_it = memory.capacity() <= KEPT_BYTES_MAX && memory.len() >= memory.capacity() / NEEDED_PART;
        self.memory = if worth_it { memory } else { Vec::new() };
        self.kept_since = now;
    }

    /// Gives memory back if no segment has come for a while.
    pub(super) fn release_idle(&mut self, now: Instant) {
        if now.saturating_duration_since(self.kept_since) >= KEPT_FOR {
            self.memory = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::archive::samples::{self, MIDNIGHT_US};

    fn keeping(length: usize, capacity: usize) -> Reader {
        let mut memory = Vec::with_capacity(capacity);
        memory.resize(length, 0);
        let mut reader = Reader::new(SegmentBytes::read);
        reader.keep(memory, Instant::now());
        reader
    }

    #[test]
    fn a_segment_is_read_into_the_memory_of_the_one_before() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("1.journal");
        let segment = |rows: &[_]| samples::segment(rows).into_memory();
        let rows: Vec<_> = (1..=9).map(|seq| samples::row(seq, MIDNIGHT_US)).collect();
        let mut reader = Reader::new(SegmentBytes::read);
        let mut places = Vec::new();
        for count in [9, 7, 8] {
            fs::write(&path, segment(&rows[..count])).expect("writes");
            let bytes = reader.read(&path).expect("reads").expect("is there");
            assert_eq!(bytes.rows().expect("undamaged").places().len(), count, "nothing is left of the longer one");
            reader.reuse(bytes, Instant::now());
            places.push((reader.memory.as_ptr(), reader.memory.capacity()));
        }
        places.dedup();
        assert_eq!(places.len(), 1);
        fs::remove_file(&path).expect("removes");
        assert!(reader.read(&path).expect("no failure").is_none());
    }

    #[test]
    fn memory_is_given_back_when_segments_are_small_or_it_is_too_large() {
        assert_eq!(keeping(100, 400).memory.capacity(), 400);
        assert_eq!(keeping(99, 400).memory.capacity(), 0);
        assert_eq!(keeping(KEPT_BYTES_MAX, KEPT_BYTES_MAX + 1).memory.capacity(), 0);
    }

    #[test]
    fn memory_is_given_back_when_no_segment_comes() {
        let mut reader = keeping(100, 100);
        reader.release_idle(reader.kept_since + KEPT_FOR / 2);
        assert_eq!(reader.memory.capacity(), 100);
        reader.release_idle(reader.kept_since + KEPT_FOR);
        assert_eq!(reader.memory.capacity(), 0);
    }
}
