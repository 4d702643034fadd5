//! Round trips through record batches, and batches that are not ours.

use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;
use crate::archive::samples;
use crate::record::Row;

fn decode_all(batch: &RecordBatch) -> Vec<Row> {
    let mut decoder = Decoder::new(batch, 7).expect("columns");
    (0..decoder.len()).map(|index| decoder.row(index).expect("row")).collect()
}

fn with_column(batch: &RecordBatch, name: &str, values: &ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let values = if field.name() == name { values } else { column };
        (field.name(), Arc::clone(values), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).expect("batch")
}

proptest! {
    #[test]
    fn rows_round_trip(rows in proptest::collection::vec(samples::any_row(), 0..8)) {
        let batch = encode(&rows.iter().collect::<Vec<_>>()).expect("encodes");
        prop_assert_eq!(decode_all(&batch), rows);
    }
}

#[test]
fn every_octet_of_an_address_is_written_as_display_does() {
    let addresses = (0..=255).map(|octet| IpAddr::from([octet, 255 - octet, octet / 3, 0]));
    let mut rows: Vec<Row> = addresses.map(with_client).collect();
    rows.push(with_client(IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1])));
    let batch = encode(&rows.iter().collect::<Vec<_>>()).expect("encodes");
    let column = batch.column_by_name("client_ip").expect("the column").as_string::<i32>();
    let expected: Vec<_> = rows.iter().map(|row| row.intent.client_ip.to_string()).collect();
    assert_eq!(column.iter().flatten().collect::<Vec<_>>(), expected);
}

fn with_client(address: IpAddr) -> Row {
    let mut row = samples::row(1, 0);
    row.intent.client_ip = address;
    row
}

#[test]
fn texts_that_are_not_utf_8_are_refused() {
    let mut row = samples::row(1, 0);
    row.intent.host = Some("@".to_owned());
    let encoded = |host: u8| {
        let mut bytes = postcard::to_stdvec(&(&row.intent, &row.outcome)).expect("encodes");
        *bytes.iter_mut().find(|byte| **byte == b'@').expect("the host") = host;
        bytes
    };
    // The halves of a character are UTF-8 only together.
    for (hosts, sound) in [([b'a', b'b'], true), ([b'a', 0xff], false), ([0xc3, 0xa9], false)] {
        let bytes = hosts.map(encoded);
        let rows = bytes.each_ref().map(|bytes| {
            let (intent, outcome) = postcard::from_bytes(bytes).expect("decodes");
            Row::<&[u8]> { seq: 1, writer: samples::writer(), intent, outcome }
        });
        assert_eq!(encode(&rows.each_ref()).is_ok(), sound, "{hosts:?}");
    }
}

#[test]
fn rows_without_optional_values_have_null_columns() {
    let row = samples::row(1, samples::MIDNIGHT_US);
    let batch = encode(&[&row]).expect("encodes");
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        assert_eq!(column.null_count() == 1, field.is_nullable(), "{}", field.name());
    }
    assert_eq!(decode_all(&batch), [row]);
}

#[test]
fn sequence_numbers_beyond_int64_are_refused() {
    let row = samples::row(u64::MAX, 0);
    assert!(encode(&[&row]).is_err());
}

#[test]
fn rows_of_one_writer_share_it() {
    let (a, b) = (samples::row(1, 0), samples::row(2, 0));
    let rows = decode_all(&encode(&[&a, &b]).expect("encodes"));
    assert!(Arc::ptr_eq(&rows[0].writer, &rows[1].writer));
}

#[test]
fn foreign_batches_are_errors_that_name_the_column() {
    let row = samples::row(1, 0);
    let batch = encode(&[&row]).expect("encodes");
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let cases: [(&str, ArrayRef, DecodeError); 4] = [
        ("kind", text("carrier_pigeon"), DecodeError::UnreadableValue { column: "kind", row: 0 }),
        ("client_ip", text("localhost"), DecodeError::UnreadableValue { column: "client_ip", row: 0 }),
        (
            "client_port",
            Arc::new(Int32Array::from(vec![70_000])),
            DecodeError::UnreadableValue { column: "client_port", row: 0 },
        ),
        (
            "outcome",
            Arc::new(StringArray::from(vec![None::<&str>])),
            DecodeError::UnexpectedNull { column: "outcome", row: 0 },
        ),
    ];
    for (name, values, expected) in cases {
        let changed = with_column(&batch, name, &values);
        assert_eq!(Decoder::new(&changed, 7).expect("columns").row(0), Err(expected));
    }
    let wrong = with_column(&batch, "seq", &text("1"));
    assert_eq!(Decoder::new(&wrong, 7).err(), Some(DecodeError::WrongType("seq")));
}

#[test]
fn columns_may_be_missing_only_where_null_is_allowed() {
    let row = samples::row(1, 0);
    let batch = encode(&[&row]).expect("encodes");
    let without = |name: &str| {
        let kept: Vec<_> = (0..batch.num_columns()).filter(|i| batch.schema().field(*i).name() != name).collect();
        batch.project(&kept).expect("projects")
    };
    assert_eq!(decode_all(&without("error")), std::slice::from_ref(&row));
    assert_eq!(Decoder::new(&without("seq"), 7).err(), Some(DecodeError::MissingColumn("seq")));
}
