//! The memory that segments are read into, used again from one to the next.
//!
//! The kernel clears memory before it hands it out; for a segment's worth that takes longer than reading the segment.

use std::time::{Duration, Instant};

/// Larger memory is given back at once: some rolls of the journal make a segment larger than all others.
const KEPT_BYTES_MAX: usize = 128 << 20;
/// Memory of which a segment needed less than one part in so many is given back: it is left from busier times.
const NEEDED_PART: usize = 4;
/// Without a segment for so long, it is given back.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// Memory for the bytes of one segment.
#[derive(Debug)]
pub(in crate::archive) struct Memory {
    bytes: Vec<u8>,
    kept_since: Instant,
}

impl Default for Memory {
    fn default() -> Self {
        Self { bytes: Vec::new(), kept_since: Instant::now() }
    }
}

impl Memory {
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Keeps the memory a segment was read into, if it is worth it.
    pub(super) fn keep(&mut self, bytes: Vec<u8>, now: Instant) {
        let worth = bytes.capacity() <= KEPT_BYTES_MAX && bytes.len() >= bytes.capacity() / NEEDED_PART;
        self.bytes = if worth { bytes } else { Vec::new() };
        self.kept_since = now;
    }

    /// Gives it back if no segment has come for a while.
    pub(super) fn release_idle(&mut self, now: Instant) {
        if now.saturating_duration_since(self.kept_since) >= KEPT_FOR {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(length: usize, capacity: usize) -> Memory {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(length, 0);
        let mut memory = Memory::default();
        memory.keep(bytes, Instant::now());
        memory
    }

    #[test]
    fn it_is_used_again() {
        let mut memory = kept(100, 400);
        assert_eq!(memory.take().capacity(), 400);
        assert_eq!(memory.take().capacity(), 0, "it is in use");
    }

    #[test]
    fn it_is_given_back_when_segments_are_small_or_it_is_too_large() {
        assert_eq!(kept(99, 400).take().capacity(), 0);
        assert_eq!(kept(KEPT_BYTES_MAX, KEPT_BYTES_MAX + 1).take().capacity(), 0);
    }

    #[test]
    fn it_is_given_back_when_no_segment_comes() {
        let mut memory = kept(100, 100);
        memory.release_idle(memory.kept_since + KEPT_FOR - Duration::from_millis(1));
        assert_eq!(memory.bytes.capacity(), 100);
        memory.release_idle(memory.kept_since + KEPT_FOR);
        assert_eq!(memory.bytes.capacity(), 0);
    }
}
