//! The contents of one file of the model: what readers see, what is durable, and what was written in between.
//!
//! Which name leads to it is `disk`'s part.

use std::rc::Rc;

pub(super) type Bytes = Rc<[u8]>;

/// A file, whatever it is called.
#[derive(Clone, Debug)]
pub(super) struct FileState {
    /// What readers see.
    contents: Bytes,
    /// What was there at the last sync.
    synced: Bytes,
    /// What happened since then, in order.
    unsynced: Vec<Step>,
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Step {
    /// Bytes from an offset on; what is between the end of the file and there becomes zeros.
    Put {
        offset: usize,
        bytes: Bytes,
    },
    Resize(usize),
}

/// How much got to the disk of what was written to a file and not synced. In place or at the end makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// So many 255ths of the bytes, those that were written first.
    First(u8),
    /// So many 255ths of the bytes, those that were written last, and the size: later pages without earlier ones. With none of
    /// the bytes, a file that grew has zeros in their place.
    Last(u8),
    /// Each write whole or not at all: bit `n % 64` says it of the `n`th.
    Each(u64),
}

impl Written {
    /// None, half and all of it in order, only the size, later pages only, and every other write.
    pub(super) const WORST: [Self; 7] = [
        Self::First(0),
        Self::First(128),
        Self::First(255),
        Self::Last(0),
        Self::Last(128),
        Self::Each(!0 / 3),
        Self::Each(!0 / 3 * 2),
    ];
}

impl FileState {
    pub(super) fn empty() -> Self {
        Self::durable(&[])
    }

    pub(super) fn durable(contents: &[u8]) -> Self {
        Self { contents: contents.into(), synced: contents.into(), unsynced: Vec::new() }
    }

    pub(super) const fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    pub(super) fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.step(Step::Put { offset, bytes: bytes.into() });
    }

    pub(super) fn resize(&mut self, length: usize) {
        if length != self.contents.len() {
            self.step(Step::Resize(length));
        }
    }

    /// It has these contents now: more at its end, or others.
    pub(super) fn become_bytes(&mut self, contents: &[u8]) {
        match contents.strip_prefix(&*self.contents) {
            Some([]) => {}
            Some(more) => self.put(self.contents.len(), more),
            None => {
                self.resize(0);
                self.put(0, contents);
            }
        }
    }

    pub(super) fn sync(&mut self) {
        self.synced = Bytes::clone(&self.contents);
        self.unsynced.clear();
    }

    fn step(&mut self, step: Step) {
        let mut contents = self.contents.to_vec();
        step.apply(&mut contents);
        self.contents = contents.into();
        self.unsynced.push(step);
    }

    /// What a loss of power leaves of it.
    pub(super) fn after_loss(&self, written: Written) -> Bytes {
        let mut left = self.synced.to_vec();
        let total: usize = self.unsynced.iter().map(Step::len).sum();
        let share = |part: u8| total * usize::from(part) / 255;
        let mut before = 0;
        for (position, step) in self.unsynced.iter().enumerate() {
            match written {
                Written::First(part) => step.apply_first(&mut left, share(part).checked_sub(before)),
                Written::Last(part) => step.apply_from(&mut left, (total - share(part)).saturating_sub(before)),
                Written::Each(bits) if bits >> (position % 64) & 1 == 1 => step.apply(&mut left),
                Written::Each(_) => {}
            }
            before += step.len();
        }
        left.into()
    }
}

impl Step {
    fn len(&self) -> usize {
        match self {
            Self::Put { bytes, .. } => bytes.len(),
            // So that it is before or behind a share of what was written.
            Self::Resize(_) => 1,
        }
    }

    fn apply(&self, file: &mut Vec<u8>) {
        self.apply_from(file, 0);
    }

    /// Of its bytes only the first so many, and nothing at all with none of them.
    fn apply_first(&self, file: &mut Vec<u8>, count: Option<usize>) {
        match (self, count) {
            (_, None | Some(0)) => {}
            (Self::Put { offset, bytes }, Some(count)) => put(file, *offset, &bytes[..count.min(bytes.len())]),
            (Self::Resize(length), Some(_)) => file.resize(*length, 0),
        }
    }

    /// Without the first so many bytes, but of the size it made the file.
    fn apply_from(&self, file: &mut Vec<u8>, skipped: usize) {
        match self {
            Self::Put { offset, bytes } => {
                let skipped = skipped.min(bytes.len());
                put(file, offset + skipped, &bytes[skipped..]);
            }
            Self::Resize(length) => file.resize(*length, 0),
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A durable file of eight zeros, with two writes in place that were not synced, and one behind them.
    fn written_in_place() -> FileState {
        let mut file = FileState::durable(&[0; 8]);
        file.put(0, &[1, 1]);
        file.put(2, &[2, 2, 2, 2]);
        file.put(8, &[3, 3]);
        file
    }

    #[test]
    fn what_was_written_in_place_may_be_lost_alone_half_or_before_what_follows() {
        let file = written_in_place();
        let left = |written| file.after_loss(written).to_vec();
        assert_eq!(left(Written::First(0)), [0; 8]);
        assert_eq!(left(Written::First(128)), [1, 1, 2, 2, 0, 0, 0, 0], "half of the second write");
        assert_eq!(left(Written::First(255)), [1, 1, 2, 2, 2, 2, 0, 0, 3, 3]);
        assert_eq!(left(Written::Last(0)), [0; 10], "the size, and none of the bytes");
        assert_eq!(left(Written::Last(128)), [0, 0, 0, 0, 2, 2, 0, 0, 3, 3]);
        assert_eq!(left(Written::Each(0b010)), [0, 0, 2, 2, 2, 2, 0, 0]);
        assert_eq!(left(Written::Each(0b101)), [1, 1, 0, 0, 0, 0, 0, 0, 3, 3]);
    }

    #[test]
    fn a_sync_keeps_all_of_it_and_a_cut_is_lost_or_kept_as_a_write_is() {
        let mut file = written_in_place();
        file.sync();
        assert!(file.is_synced());
        let whole = [1, 1, 2, 2, 2, 2, 0, 0, 3, 3];
        assert_eq!(file.after_loss(Written::First(0))[..], whole);
        file.resize(4);
        assert_eq!(file.after_loss(Written::First(0))[..], whole);
        assert_eq!(file.after_loss(Written::Last(0))[..], whole[..4]);
        file.become_bytes(&[1, 1, 2, 2, 5]);
        assert_eq!(file.after_loss(Written::Each(0b10))[..], [1, 1, 2, 2, 5, 2, 0, 0, 3, 3]);
        file.become_bytes(&[9]);
        assert_eq!(file.after_loss(Written::First(255))[..], [9]);
    }
}
