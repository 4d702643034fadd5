//! The canonical form of rows, and the RFC 6962 Merkle tree over it.
//!
//! A canonical row is the JSON array of its column values in schema order: no spaces, UTF-8, only `"`, `\` and the
//! characters below U+0020 escaped, timestamps as integers (microseconds since the Unix epoch), absent values `null`.
//! It does not depend on how Parquet laid the values out, so any reader can compute it; see `docs/manifest.md`. Pure.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Schema};

use super::digest::Sha256;
use super::schema::ColumnType;

/// What precedes a row in what its leaf hash is made of (RFC 6962 section 2.1).
const LEAF: u8 = 0;
/// What precedes two hashes in what their parent is made of.
const NODE: u8 = 1;

/// A column whose type is none of [`ColumnType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {name:?} has the type {data_type}, which no audit column has")]
pub struct ForeignColumn {
    pub name: String,
    pub data_type: DataType,
}

/// The leaf hashes of all rows of a batch, in order: SHA-256 of a zero byte and the canonical row.
pub fn leaves(batch: &RecordBatch) -> Result<Vec<Sha256>, ForeignColumn> {
    let mut leaves = Vec::with_capacity(batch.num_rows());
    for_each_leaf(batch, 0..batch.num_rows(), |input| leaves.push(Sha256::of(input)))?;
    Ok(leaves)
}

/// The leaf hash of a canonical row.
#[must_use]
pub fn leaf(row: &[u8]) -> Sha256 {
    Sha256::of_parts(&[&[LEAF], row])
}

/// Hands the canonical form of some rows of a batch to `visit`.
pub fn for_each_row(
    batch: &RecordBatch,
    rows: Range<usize>,
    mut visit: impl FnMut(&[u8]),
) -> Result<(), ForeignColumn> {
    for_each_leaf(batch, rows, |input| visit(input.strip_prefix(&[LEAF]).unwrap_or_default()))
}

/// Hands what the leaf hashes of some rows are made of to `visit`.
fn for_each_leaf(batch: &RecordBatch, rows: Range<usize>, mut visit: impl FnMut(&[u8])) -> Result<(), ForeignColumn> {
    let pieces = Piece::all(column_types(&batch.schema())?, batch);
    let mut text = Vec::new();
    for row in rows {
        text.clear();
        for piece in &pieces {
            match piece {
                Piece::Same(same) => text.extend_from_slice(same),
                Piece::Varying(column) => column.write_value(&mut text, row),
            }
        }
        visit(&text);
    }
    Ok(())
}

/// A part of what all leaf hashes of a batch are made of.
enum Piece<'a> {
    /// The same in every row: punctuation, and columns that hold one value only, which is half of them or more.
    Same(Vec<u8>),
    Varying(Column<'a>),
}

impl<'a> Piece<'a> {
    fn all(types: Vec<ColumnType>, batch: &'a RecordBatch) -> Vec<Self> {
        let (mut pieces, mut same) = (Vec::with_capacity(2 * types.len() + 1), vec![LEAF, b'[']);
        for (at, (column_type, values)) in types.into_iter().zip(batch.columns()).enumerate() {
            if at > 0 {
                same.push(b',');
            }
            let column = Column::new(column_type, values);
            if column.is_constant() {
                column.write_value(&mut same, 0);
            } else {
                pieces.push(Self::Same(std::mem::take(&mut same)));
                pieces.push(Self::Varying(column));
            }
        }
        same.push(b']');
        pieces.push(Self::Same(same));
        pieces
    }
}

/// The values of a column.
enum Column<'a> {
    /// Texts, and whether each can be written as it is.
    String(&'a StringArray, bool),
    Int64(&'a Int64Array),
    Int32(&'a Int32Array),
    Boolean(&'a BooleanArray),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Column<'a> {
    /// `values` are of this type.
    fn new(column_type: ColumnType, values: &'a ArrayRef) -> Self {
        match column_type {
            ColumnType::String => {
                let values = values.as_string();
                Self::String(values, is_plain(texts(values)))
            }
            ColumnType::Int64 => Self::Int64(values.as_primitive()),
            ColumnType::Int32 => Self::Int32(values.as_primitive()),
            ColumnType::Boolean => Self::Boolean(values.as_boolean()),
            ColumnType::Timestamp => Self::Timestamp(values.as_primitive()),
        }
    }

    /// Whether all rows, and there are some, are known to hold the same.
    fn is_constant(&self) -> bool {
        match self {
            Self::String(values, _) => constant(*values, has_equal_texts),
            Self::Int64(values) => constant(*values, |values| all_equal(values.values())),
            Self::Int32(values) => constant(*values, |values| all_equal(values.values())),
            Self::Boolean(values) => constant(*values, |values| [0, values.len()].contains(&values.true_count())),
            Self::Timestamp(values) => constant(*values, |values| all_equal(values.values())),
        }
    }

    fn write_value(&self, text: &mut Vec<u8>, row: usize) {
        match self {
            Self::String(values, plain) if values.is_valid(row) => write_string(text, values.value(row), *plain),
            Self::Int64(values) if values.is_valid(row) => write_integer(text, values.value(row)),
            Self::Int32(values) if values.is_valid(row) => write_integer(text, i64::from(values.value(row))),
            Self::Boolean(values) if values.is_valid(row) => {
                text.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
            }
            Self::Timestamp(values) if values.is_valid(row) => write_integer(text, values.value(row)),
            Self::String(..) | Self::Int64(_) | Self::Int32(_) | Self::Boolean(_) | Self::Timestamp(_) => {
                text.extend_from_slice(b"null");
            }
        }
    }
}

/// Whether a column is all null, or without null and `equal`.
fn constant<A: Array>(values: &A, equal: impl FnOnce(&A) -> bool) -> bool {
    match values.null_count() {
        _ if values.is_empty() => false,
        0 => equal(values),
        nulls => nulls == values.len(),
    }
}

fn all_equal<T: PartialEq>(values: &[T]) -> bool {
    values.split_first().is_some_and(|(first, rest)| rest.iter().all(|value| value == first))
}

/// Whether all texts of a column are one: of the same length, and each the same as the next.
fn has_equal_texts(values: &StringArray) -> bool {
    let (texts, offsets) = (texts(values), values.value_offsets());
    let length = texts.len() / values.len();
    let next = texts.get(length..).unwrap_or_default();
    length * values.len() == texts.len()
        && offsets.iter().zip(offsets.iter().skip(1)).all(|(from, to)| (to - from) as usize == length)
        && texts.starts_with(next)
}

/// All texts of a column, one after the other.
fn texts(values: &StringArray) -> &[u8] {
    let offsets = values.value_offsets();
    let range = offsets.first().zip(offsets.last());
    range.and_then(|(from, to)| values.value_data().get(*from as usize..*to as usize)).unwrap_or_default()
}

/// Whether JSON writes this text without escapes. Without a branch for each byte, which is what lets the compiler look at
/// many at once.
fn is_plain(text: &[u8]) -> bool {
    let escaped = |byte: u8| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
    text.iter().fold(0, |any, byte| any | escaped(*byte)) == 0
}

/// `plain` says that nothing has to be escaped.
fn write_string(text: &mut Vec<u8>, value: &str, plain: bool) {
    if plain || is_plain(value.as_bytes()) {
        text.push(b'"');
        text.extend_from_slice(value.as_bytes());
        text.push(b'"');
    } else {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(text, value);
    }
}

/// Decimal, as `write!` does it, without its detours.
fn write_integer(text: &mut Vec<u8>, value: i64) {
    if value < 0 {
        text.push(b'-');
    }
    let (mut digits, mut used, mut left) = ([0; 20], 0, value.unsigned_abs());
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        used += 1;
        if left == 0 {
            break;
        }
    }
    text.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Root of the Merkle tree (RFC 6962 section 2.1) over leaf hashes. The root over nothing is SHA-256 of nothing.
#[must_use]
pub fn merkle_root(leaves: &[Sha256]) -> Sha256 {
    if leaves.is_empty() {
        return Sha256::of(&[]);
    }
    // Pairing neighbours and carrying an odd last one up gives the tree of the RFC: its split is the largest power of
    // two smaller than the number of leaves.
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).map(parent).collect();
    }
    level.first().copied().unwrap_or_else(|| Sha256::of(&[]))
}

/// The Merkle audit path (RFC 6962 section 2.1.1) of the leaf at `index`: the siblings on the way to the root.
#[must_use]
pub fn audit_path(leaves: &[Sha256], index: usize) -> Vec<Sha256> {
    let (mut level, mut at, mut path) = (leaves.to_vec(), index, Vec::new());
    while level.len() > 1 {
        // The last of an odd level has no sibling; it goes up as it is.
        path.extend(level.get(at ^ 1));
        level = level.chunks(2).map(parent).collect();
        at /= 2;
    }
    path
}

/// The root that follows from a leaf, its place among `count` leaves and its audit path; `None` if they do not fit.
#[must_use]
pub fn root_from_path(leaf: Sha256, index: u64, count: u64, path: &[Sha256]) -> Option<Sha256> {
    let (mut node, mut at, mut width, mut siblings) = (leaf, index, count, path.iter());
    if index >= count {
        return None;
    }
    while width > 1 {
        if at ^ 1 < width {
            let sibling = *siblings.next()?;
            node = if at % 2 == 0 { parent(&[node, sibling]) } else { parent(&[sibling, node]) };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(node)
}

fn parent(pair: &[Sha256]) -> Sha256 {
    match pair {
        [left, right] => {
            let mut input = [NODE; 65];
            let (_, hashes) = input.split_at_mut(1);
            for (byte, value) in hashes.iter_mut().zip(left.as_bytes().iter().chain(right.as_bytes())) {
                *byte = *value;
            }
            Sha256::of(&input)
        }
        [only] => *only,
        // `chunks(2)` yields neither.
        [] | [_, _, ..] => Sha256::of(&[]),
    }
}

/// Digest of [`schema_lines`].
pub fn schema_fingerprint(schema: &Schema) -> Result<Sha256, ForeignColumn> {
    Ok(Sha256::of(schema_lines(schema)?.as_bytes()))
}

/// The lines `name type`, one a column in file order, each ended by a newline; the type names are those of
/// `docs/schema.md`.
pub fn schema_lines(schema: &Schema) -> Result<String, ForeignColumn> {
    let types = column_types(schema)?;
    let lines = schema.fields().iter().zip(types);
    let lines: Vec<String> = lines.map(|(field, column)| format!("{} {}\n", field.name(), column.name())).collect();
    Ok(lines.concat())
}

fn column_types(schema: &Schema) -> Result<Vec<ColumnType>, ForeignColumn> {
    let types = schema.fields().iter().map(|field| {
        let foreign = || ForeignColumn { name: field.name().clone(), data_type: field.data_type().clone() };
        ColumnType::from_arrow(field.data_type()).ok_or_else(foreign)
    });
    types.collect()
}

#[cfg(test)]
mod tests;
