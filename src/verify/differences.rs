//! Which rows make the difference between two lists of leaf hashes: what was signed and what a file has now. Pure.
//!
//! Hashes tell equal rows from others and nothing more. A row that is in both is the same row, wherever it is. A row that
//! replaces another between the same neighbours was changed; what is left over was added or removed. Whatever is not named is
//! as it was signed, and in that order.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::archive::leaves::ShortLeaf;

/// One row that is not as it was signed. Rows are counted from 0, as by DuckDB's `file_row_number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Another row is there: `row` in the file, in place of row `was` of the signed file.
    Changed { row: usize, was: usize },
    /// The signed file does not have this row, or not as often.
    Added { row: usize },
    /// Row `was` of the signed file is gone.
    Removed { was: usize },
    /// A row of the signed file that is somewhere else now.
    Moved { row: usize, was: usize },
}

impl Difference {
    /// The row in the file; `None` if it is not there any more.
    #[must_use]
    pub const fn row(self) -> Option<usize> {
        match self {
            Self::Changed { row, .. } | Self::Added { row } | Self::Moved { row, .. } => Some(row),
            Self::Removed { .. } => None,
        }
    }

    /// The row in the file that was signed; `None` if it is not from there.
    #[must_use]
    pub const fn signed_row(self) -> Option<usize> {
        match self {
            Self::Changed { was, .. } | Self::Removed { was } | Self::Moved { was, .. } => Some(was),
            Self::Added { .. } => None,
        }
    }

    /// Stable identifier for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Changed { .. } => "changed",
            Self::Added { .. } => "added",
            Self::Removed { .. } => "removed",
            Self::Moved { .. } => "moved",
        }
    }
}

/// A row of the file and the row of the signed file that it is.
type Pair = (usize, usize);

/// The differences, in the order of the file; rows that are gone are where they were.
pub(super) fn between(signed: &[ShortLeaf], found: &[ShortLeaf]) -> Vec<Difference> {
    let same = pair_same(signed, found);
    let line = longest_in_order(&same);
    let gone = unpaired(signed.len(), same.iter().map(|(_, was)| *was));
    let new = unpaired(found.len(), same.iter().map(|(row, _)| *row));
    let mut differences: Vec<Difference> =
        moved(&same, &line).into_iter().map(|(row, was)| Difference::Moved { row, was }).collect();
    let (in_place, gone, new) = take_common(&gone, &new, signed.len() == found.len());
    differences.extend(in_place.into_iter().map(|row| Difference::Changed { row, was: row }));
    differences.extend(match_gaps(&gone, &new, &line));
    differences.sort_by_key(|difference| (difference.row().or(difference.signed_row()), *difference));
    differences
}

/// Pairs of equal rows, by row of the file. A row that is there several times is the signed one where it fits best.
fn pair_same(signed: &[ShortLeaf], found: &[ShortLeaf]) -> Vec<Pair> {
    let first = signed.iter().zip(found).take_while(|(one, other)| one == other).count();
    let rest = signed.iter().skip(first).rev().zip(found.iter().skip(first).rev());
    let last = rest.take_while(|(one, other)| one == other).count();
    let mut pairs: Vec<Pair> = (0..first).map(|row| (row, row)).collect();
    pairs.extend((1..=last).map(|back| (found.len() - back, signed.len() - back)));

    let mut places: HashMap<ShortLeaf, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for (was, leaf) in signed.iter().enumerate().take(signed.len() - last).skip(first) {
        places.entry(*leaf).or_default().1.push(was);
    }
    for (row, leaf) in found.iter().enumerate().take(found.len() - last).skip(first) {
        if let Some((rows, _)) = places.get_mut(leaf) {
            rows.push(row);
        }
    }
    let mut repeated = Vec::new();
    for (rows, were) in places.into_values() {
        match (&rows[..], &were[..]) {
            ([], _) => {}
            ([row], [was]) => pairs.push((*row, *was)),
            (_, _) => repeated.push((rows, were)),
        }
    }
    pairs.sort_unstable();
    let line = longest_in_order(&pairs);
    for (rows, were) in repeated {
        pairs.extend(pair_repeated(rows, &were, &line));
    }
    pairs.sort_unstable();
    pairs
}

/// Pairs of equal rows of which there are several: those first that lie between the same neighbours.
fn pair_repeated(mut rows: Vec<usize>, were: &[usize], line: &[Pair]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for was in were {
        let at = line.partition_point(|(_, before)| before < was);
        let after = at.checked_sub(1).and_then(|at| line.get(at));
        let until = line.get(at);
        let fits =
            |row: &usize| after.is_none_or(|(after, _)| after < row) && until.is_none_or(|(until, _)| row < until);
        let best = rows.iter().position(fits).unwrap_or(0);
        if rows.is_empty() {
            break;
        }
        pairs.push((rows.remove(best), *was));
    }
    pairs
}

/// The most pairs that are in the same order in both: a longest increasing subsequence. `pairs` are in the order of the
/// file, and so is the answer.
fn longest_in_order(pairs: &[Pair]) -> Vec<Pair> {
    // The last pair of the best line of each length, and the pair before each.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::with_capacity(pairs.len()));
    let was = |at: &usize| pairs.get(*at).map(|(_, was)| *was);
    for at in 0..pairs.len() {
        let length = ends.partition_point(|end| was(end) < was(&at));
        before.push(length.checked_sub(1).and_then(|length| ends.get(length).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let (mut line, mut next) = (Vec::with_capacity(ends.len()), ends.last().copied());
    while let Some(at) = next {
        line.extend(pairs.get(at));
        next = before.get(at).copied().flatten();
    }
    line.reverse();
    line
}

/// The rows that are in no pair, ascending.
fn unpaired(rows: usize, paired: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut is_paired = vec![false; rows];
    for row in paired {
        if let Some(is_paired) = is_paired.get_mut(row) {
            *is_paired = true;
        }
    }
    is_paired.iter().enumerate().filter(|(_, is_paired)| !**is_paired).map(|(row, _)| row).collect()
}

/// Same rows in another order. If rows have exchanged their places, which makes at most twice as many as have to be moved to
/// restore the order, these; else those that have to be moved.
fn moved(same: &[Pair], line: &[Pair]) -> Vec<Pair> {
    let mut in_order: Vec<usize> = same.iter().map(|(_, was)| *was).collect();
    in_order.sort_unstable();
    let is_elsewhere = |((_, was), expected): &(&Pair, &usize)| was != *expected;
    let exchanged: Vec<Pair> = same.iter().zip(&in_order).filter(is_elsewhere).map(|(pair, _)| *pair).collect();
    if exchanged.len() <= 2 * (same.len() - line.len()) {
        return exchanged;
    }
    let mut line = line.iter().peekable();
    same.iter().filter(|pair| line.next_if_eq(pair).is_none()).copied().collect()
}

/// Rows that are in both, if there are as many rows as before, and the rest of each.
fn take_common(gone: &[usize], new: &[usize], same_length: bool) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let is_common = |row: &usize| same_length && gone.binary_search(row).is_ok() && new.binary_search(row).is_ok();
    let rest = |rows: &[usize]| rows.iter().filter(|row| !is_common(row)).copied().collect();
    (new.iter().filter(|row| is_common(row)).copied().collect(), rest(gone), rest(new))
}

/// What came and what went between the same neighbours is what was changed, one by one.
fn match_gaps(gone: &[usize], new: &[usize], line: &[Pair]) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (mut gone, mut new) = (gone.iter().peekable(), new.iter().peekable());
    loop {
        let of_new = new.peek().map(|row| line.partition_point(|(at, _)| at < row));
        let of_gone = gone.peek().map(|was| line.partition_point(|(_, at)| at < was));
        let order = match (of_new, of_gone) {
            (None, None) => return differences,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(of_new), Some(of_gone)) => of_new.cmp(&of_gone),
        };
        let row = if order.is_le() { new.next().copied() } else { None };
        let was = if order.is_ge() { gone.next().copied() } else { None };
        differences.extend(match (row, was) {
            (Some(row), Some(was)) => Some(Difference::Changed { row, was }),
            (Some(row), None) => Some(Difference::Added { row }),
            (None, Some(was)) => Some(Difference::Removed { was }),
            (None, None) => None,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::Difference::{Added, Changed, Moved, Removed};
    use super::*;
    use crate::archive::digest::Sha256;

    fn leaves(rows: &[u32]) -> Vec<ShortLeaf> {
        rows.iter().map(|row| ShortLeaf::from(&Sha256::of(&row.to_be_bytes()))).collect()
    }

    fn of(signed: &[u32], found: &[u32]) -> Vec<Difference> {
        between(&leaves(signed), &leaves(found))
    }

    #[test]
    fn each_kind_of_change_is_told_apart() {
        let signed = [0, 1, 2, 3, 4, 5];
        assert_eq!(of(&signed, &signed), []);
        assert_eq!(of(&signed, &[0, 1, 9, 3, 4, 5]), [Changed { row: 2, was: 2 }]);
        assert_eq!(of(&signed, &[0, 1, 3, 4, 5]), [Removed { was: 2 }]);
        assert_eq!(of(&signed, &[0, 1, 9, 2, 3, 4, 5]), [Added { row: 2 }]);
        assert_eq!(of(&signed, &[0, 4, 2, 3, 1, 5]), [Moved { row: 1, was: 4 }, Moved { row: 4, was: 1 }]);
        assert_eq!(of(&signed, &[1, 0, 2, 3, 4, 5]), [Moved { row: 0, was: 1 }, Moved { row: 1, was: 0 }]);
        assert_eq!(of(&signed, &[2, 1, 0, 3, 4, 5]), [Moved { row: 0, was: 2 }, Moved { row: 2, was: 0 }]);
        assert_eq!(of(&signed, &[5, 0, 1, 2, 3, 4]), [Moved { row: 0, was: 5 }]);
        assert_eq!(of(&signed, &[]), (0..6).map(|was| Removed { was }).collect::<Vec<_>>());
        assert_eq!(of(&[], &[7, 7]), [Added { row: 0 }, Added { row: 1 }]);
    }

    #[test]
    fn several_changes_at_once_are_each_named() {
        let signed = [0, 1, 2, 3, 4, 5, 6, 7];
        // One changed before, between and after two that changed places.
        let found = [8, 6, 2, 9, 4, 5, 1, 10];
        let expected = [
            Changed { row: 0, was: 0 },
            Moved { row: 1, was: 6 },
            Changed { row: 3, was: 3 },
            Moved { row: 6, was: 1 },
            Changed { row: 7, was: 7 },
        ];
        assert_eq!(of(&signed, &found), expected);
        assert_eq!(
            of(&[0, 1, 2], &[2, 9, 0]),
            [Moved { row: 0, was: 2 }, Changed { row: 1, was: 1 }, Moved { row: 2, was: 0 }]
        );
        // One went, another came, and one between them was changed.
        let found = [0, 2, 3, 9, 5, 6, 10, 7];
        assert_eq!(of(&signed, &found), [Removed { was: 1 }, Changed { row: 3, was: 4 }, Added { row: 6 }]);
    }

    #[test]
    fn of_copies_the_one_out_of_place_is_named() {
        let signed = [0, 1, 2, 3, 4, 5];
        assert_eq!(of(&signed, &[3, 0, 1, 2, 3, 4, 5]), [Added { row: 0 }]);
        assert_eq!(of(&signed, &[0, 1, 2, 3, 4, 5, 1]), [Added { row: 6 }]);
        assert_eq!(
            of(&signed, &[9, 3, 1, 2, 3, 4, 10]),
            [Changed { row: 0, was: 0 }, Added { row: 1 }, Changed { row: 6, was: 5 }]
        );
    }

    proptest! {
        #[test]
        fn what_is_not_named_is_as_it_was_signed_in_that_order(
            signed in vec(0..12_u32, 0..24),
            found in vec(0..14_u32, 0..24),
        ) {
            let differences = of(&signed, &found);
            let rows: BTreeSet<usize> = differences.iter().filter_map(|one| one.row()).collect();
            let were: BTreeSet<usize> = differences.iter().filter_map(|one| one.signed_row()).collect();
            let rest = |rows: &[u32], named: &BTreeSet<usize>| -> Vec<u32> {
                rows.iter().enumerate().filter(|(at, _)| !named.contains(at)).map(|(_, row)| *row).collect()
            };
            prop_assert_eq!(rest(&found, &rows), rest(&signed, &were), "{:?}", differences);
            prop_assert_eq!(signed == found, differences.is_empty());
            let named = differences.iter().filter(|one| one.row().is_some()).count();
            prop_assert_eq!(named, rows.len(), "a row is named once: {:?}", differences);
        }

        #[test]
        fn rows_that_exchange_places_are_named_and_no_others(rows in 2..40_usize, swaps in vec(any::<[Index; 2]>(), 1..6)) {
            let signed: Vec<u32> = (0..rows as u32).collect();
            let (mut found, mut expected) = (signed.clone(), BTreeSet::new());
            for [one, other] in swaps {
                let (one, other) = (one.index(rows), other.index(rows));
                if one != other && !expected.contains(&one) && !expected.contains(&other) {
                    found.swap(one, other);
                    expected.extend([one, other]);
                }
            }
            let expected: Vec<Difference> =
                expected.into_iter().map(|row| Moved { row, was: found[row] as usize }).collect();
            prop_assert_eq!(of(&signed, &found), expected);
        }
    }
}
