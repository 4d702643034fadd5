//! Records to bytes, each in memory of its own size.
//!
//! A record is encoded into memory that its thread keeps for the next one, and copied from there: its size is not known
//! before, and payloads wait in the journal, those of intents for as long as their calls take.

use std::cell::RefCell;

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Most memory a thread keeps between two records. Few are larger.
const KEPT_BYTES_MAX: usize = 4096;

thread_local! {
    static KEPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Takes whole texts at a time; postcard's own output of this kind takes them byte by byte.
struct Bytes(Vec<u8>);

impl Flavor for Bytes {
    type Output = Vec<u8>;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok(self.0)
    }
}

/// Encodes a record. `take` gets its bytes.
pub(super) fn encode<T>(value: &impl Serialize, take: impl FnOnce(&[u8]) -> T) -> postcard::Result<T> {
    // Nothing is kept in a thread that is at its end, where records may still be dropped.
    let mut kept = KEPT.try_with(RefCell::take).unwrap_or_default();
    kept.clear();
    let mut bytes = postcard::serialize_with_flavor(value, Bytes(kept))?;
    let taken = take(&bytes);
    bytes.clear();
    bytes.shrink_to(KEPT_BYTES_MAX);
    let _ = KEPT.try_with(|kept| kept.replace(bytes));
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_bytes() -> usize {
        KEPT.with_borrow(Vec::capacity)
    }

    #[test]
    fn a_record_is_encoded_as_postcard_does_and_nothing_of_the_one_before_is_left() {
        for text in ["a longer text than the next", "short", "", &"x".repeat(1000)] {
            let value = (7_u64, text, Some(-3_i32), true);
            let expected = postcard::to_stdvec(&value).unwrap();
            assert_eq!(encode(&value, <[u8]>::to_vec), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_large_record_leaves_no_large_memory_behind() {
        assert_eq!(encode(&"x".repeat(1000), <[u8]>::len), Ok(1002));
        assert!((1002..=KEPT_BYTES_MAX).contains(&kept_bytes()), "{}", kept_bytes());
        assert_eq!(encode(&"x".repeat(1 << 20), <[u8]>::len), Ok((1 << 20) + 3));
        assert!(kept_bytes() <= KEPT_BYTES_MAX, "{}", kept_bytes());
    }
}
