//! A map by event id that hashes next to nothing.
//!
//! Only for ids that this process made: half of their bits are random, and chosen by nobody else. What is read from files keeps the
//! standard hasher.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use uuid::Uuid;

pub(super) type ByEventId<V> = HashMap<Uuid, V, BuildHasherDefault<RandomHalf>>;

/// About 2^64 divided by the golden ratio, and odd: the low bits, which are random, reach all others.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The second half of what is hashed last.
#[derive(Debug, Default)]
pub(super) struct RandomHalf(u64);

impl Hasher for RandomHalf {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(half) = bytes.last_chunk() {
            self.0 = u64::from_be_bytes(*half).wrapping_mul(SPREAD);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher as _;

    use super::*;

    /// A map finds the place of an entry by the low bits, and tells entries apart by the seven highest.
    #[test]
    fn ids_of_one_moment_are_spread_by_their_low_bits_and_by_their_high_ones() {
        let hashes: Vec<u64> =
            (0..4096).map(|_| BuildHasherDefault::<RandomHalf>::default().hash_one(Uuid::now_v7())).collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xfff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        // 4096 balls into 4096 bins fill 63% of them.
        assert!(low.len() > 2_300, "{}", low.len());
        assert_eq!(high.len(), 128);
    }
}
