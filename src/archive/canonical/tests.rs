//! The canonical form against serde_json, the tree against the words of the RFC.

use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;

use super::*;
use crate::archive::rows;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::record::Row;

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

/// The canonical form, value by value, by serde_json.
fn by_column(row: &Row) -> String {
    let batch = rows::encode(&[row]).expect("encodes");
    let types = column_types(&batch.schema()).expect("known columns");
    let values = types.into_iter().zip(batch.columns()).map(|(column_type, values)| {
        if values.is_null(0) {
            return serde_json::Value::Null;
        }
        match column_type {
            ColumnType::String => values.as_string::<i32>().value(0).into(),
            ColumnType::Int64 => values.as_primitive::<Int64Type>().value(0).into(),
            ColumnType::Int32 => values.as_primitive::<Int32Type>().value(0).into(),
            ColumnType::Boolean => values.as_boolean().value(0).into(),
            ColumnType::Timestamp => values.as_primitive::<TimestampMicrosecondType>().value(0).into(),
        }
    });
    serde_json::Value::Array(values.collect()).to_string()
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
        write_string(&mut text, &value, false);
        let expected = serde_json::to_string(&number).expect("encodes") + &serde_json::to_string(&value).expect("encodes");
        prop_assert_eq!(String::from_utf8(text).expect("UTF-8"), expected);
    }

    #[test]
    fn a_row_is_written_the_same_whatever_rows_are_around_it(
        rows in proptest::collection::vec(samples::any_row(), 1..4),
        repeated in 1..4_usize,
    ) {
        // Repeated, so that columns hold one value; together, so that they do not.
        let texts = |rows: &[&Row]| {
            let (batch, mut texts) = (rows::encode(rows).expect("encodes"), Vec::new());
            for_each_row(&batch, 0..rows.len(), |text| texts.push(text.to_vec())).expect("known columns");
            texts
        };
        let together = texts(&rows.iter().collect::<Vec<_>>());
        for (row, text) in rows.iter().zip(together) {
            let alone = by_column(row);
            prop_assert_eq!(String::from_utf8_lossy(&text), alone.as_str());
            for repeated in texts(&vec![row; repeated]) {
                prop_assert_eq!(String::from_utf8_lossy(&repeated), alone.as_str());
            }
        }
    }

    #[test]
    fn different_rows_have_different_leaves(rows in proptest::collection::vec(samples::any_row(), 2)) {
        let leaf = |row| leaves(&rows::encode(&[row]).expect("encodes")).expect("known columns");
        prop_assert_eq!(leaf(&rows[0]) == leaf(&rows[1]), rows[0] == rows[1]);
    }
}
