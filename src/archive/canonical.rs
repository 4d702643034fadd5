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
    for_each_row(batch, 0..batch.num_rows(), |text| leaves.push(leaf(text)))?;
    Ok(leaves)
}

/// The leaf hash of a canonical row.
#[must_use]
pub fn leaf(row: &[u8]) -> Sha256 {
    Sha256::of_parts(&[&[0], row])
}

/// Hands the canonical form of some rows of a batch to `visit`.
pub fn for_each_row(
    batch: &RecordBatch,
    rows: Range<usize>,
    mut visit: impl FnMut(&[u8]),
) -> Result<(), ForeignColumn> {
    let types = column_types(&batch.schema())?;
    let columns: Vec<Column<'_>> =
        types.into_iter().zip(batch.columns()).map(|(column_type, values)| Column::new(column_type, values)).collect();
    let mut text = Vec::new();
    for row in rows {
        text.clear();
        for column in &columns {
            text.push(if text.is_empty() { b'[' } else { b',' });
            column.write_value(&mut text, row);
        }
        text.push(b']');
        visit(&text);
    }
    Ok(())
}

/// The values of a column.
enum Column<'a> {
    String(&'a StringArray),
    Int64(&'a Int64Array),
    Int32(&'a Int32Array),
    Boolean(&'a BooleanArray),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Column<'a> {
    /// `values` are of this type.
    fn new(column_type: ColumnType, values: &'a ArrayRef) -> Self {
        match column_type {
            ColumnType::String => Self::String(values.as_string()),
            ColumnType::Int64 => Self::Int64(values.as_primitive()),
            ColumnType::Int32 => Self::Int32(values.as_primitive()),
            ColumnType::Boolean => Self::Boolean(values.as_boolean()),
            ColumnType::Timestamp => Self::Timestamp(values.as_primitive()),
        }
    }

    fn write_value(&self, text: &mut Vec<u8>, row: usize) {
        match self {
            Self::String(values) if values.is_valid(row) => write_string(text, values.value(row)),
            Self::Int64(values) if values.is_valid(row) => write_integer(text, values.value(row)),
            Self::Int32(values) if values.is_valid(row) => write_integer(text, i64::from(values.value(row))),
            Self::Boolean(values) if values.is_valid(row) => {
                text.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
            }
            Self::Timestamp(values) if values.is_valid(row) => write_integer(text, values.value(row)),
            Self::String(_) | Self::Int64(_) | Self::Int32(_) | Self::Boolean(_) | Self::Timestamp(_) => {
                text.extend_from_slice(b"null");
            }
        }
    }
}

fn write_string(text: &mut Vec<u8>, value: &str) {
    // Hardly any value has something to escape.
    if value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
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
        [left, right] => Sha256::of_parts(&[&[1], left.as_bytes(), right.as_bytes()]),
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::rows;
    use crate::archive::samples::{self, MIDNIGHT_US};

    /// RFC 6962 section 2.1, word for word.
    fn by_the_rfc(leaves: &[Sha256]) -> Sha256 {
        match leaves {
            [] => Sha256::of(b""),
            [leaf] => *leaf,
            more => {
                let split = (more.len().div_ceil(2)).next_power_of_two();
                let (left, right) = (by_the_rfc(&more[..split]), by_the_rfc(&more[split..]));
                Sha256::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
            }
        }
    }

    #[test]
    fn the_tree_is_the_one_of_the_rfc() {
        let leaves: Vec<_> = (0..=70_u8).map(|leaf| Sha256::of(&[0, leaf])).collect();
        for count in 0..=leaves.len() {
            assert_eq!(merkle_root(&leaves[..count]), by_the_rfc(&leaves[..count]), "{count} leaves");
        }
    }

    #[test]
    fn a_path_leads_from_its_leaf_to_the_root_and_from_no_other() {
        let leaves: Vec<_> = (0..=34_u8).map(|leaf| Sha256::of(&[0, leaf])).collect();
        for count in 1..=leaves.len() {
            let root = Some(merkle_root(&leaves[..count]));
            for at in 0..count {
                let path = audit_path(&leaves[..count], at);
                let to_root = |leaf, at: usize, path: &[Sha256]| root_from_path(leaf, at as u64, count as u64, path);
                assert_eq!(to_root(leaves[at], at, &path), root, "{at} of {count}");
                assert_ne!(to_root(Sha256::of(b"other"), at, &path), root, "{at} of {count}");
                assert_eq!(to_root(leaves[at], at, &[&path[..], &[leaves[0]]].concat()), None, "{at} of {count}");
                assert_eq!(to_root(leaves[at], count, &path), None, "{at} of {count}");
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(to_root(leaves[at], at, shorter), None, "{at} of {count}");
                }
            }
        }
    }

    #[test]
    fn a_row_is_a_json_array_of_its_columns() {
        let mut row = samples::row(4711, MIDNIGHT_US);
        row.intent.path = Some("/\"é\u{7f}\u{1}\n\\".to_owned());
        row.outcome.upstream_reused = Some(true);
        let batch = rows::encode(&[&row]).expect("encodes");
        let text = concat!(
            r#"["00000000-0000-0000-0000-000000001267",4711,"gate-1","00000000-0000-0000-0000-00000000b007",2,"#,
            r#"1795305600000000,0,0,"http",null,null,"absent",null,"127.0.0.1",40000,null,null,null,null,null,null,"#,
            "null,null,null,null,null,null,null,\"/\\\"é\u{7f}\\u0001\\n\\\\\",null,null,null,null,0,null,null,null,",
            r#"null,null,null,true,null,null,null,null,null,0,null,null,null,null,null,"completed",null,null,null,null,null]"#
        );
        assert_eq!(leaves(&batch).expect("known columns"), [Sha256::of_parts(&[&[0], text.as_bytes()])]);
    }

    #[test]
    fn the_schema_fingerprint_is_that_of_the_documented_columns() {
        let lines: Vec<String> = crate::archive::schema::COLUMNS
            .iter()
            .map(|column| format!("{} {}\n", column.name, column.column_type.name()))
            .collect();
        let schema = crate::archive::schema::arrow_schema();
        assert_eq!(schema_fingerprint(&schema), Ok(Sha256::of(lines.concat().as_bytes())));
    }

    proptest! {
        #[test]
        fn values_are_written_as_serde_json_writes_them(number in any::<i64>(), value in ".{0,20}") {
            let mut text = Vec::new();
            write_integer(&mut text, number);
            write_string(&mut text, &value);
            let expected = serde_json::to_string(&number).expect("encodes") + &serde_json::to_string(&value).expect("encodes");
            prop_assert_eq!(String::from_utf8(text).expect("UTF-8"), expected);
        }

        #[test]
        fn different_rows_have_different_leaves(rows in proptest::collection::vec(samples::any_row(), 2)) {
            let leaf = |row| leaves(&rows::encode(&[row]).expect("encodes")).expect("known columns");
            prop_assert_eq!(leaf(&rows[0]) == leaf(&rows[1]), rows[0] == rows[1]);
        }
    }
}
