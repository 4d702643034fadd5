//! The rows of a segment by their places, beside what reading it whole says.

use proptest::prelude::*;

use super::super::frame::Header;
use super::super::segment::{ReadError, RowsError, SegmentBytes};
use super::*;

/// Frames of few exchanges, so that they meet: outcomes without intent, intents twice, rows of intents.
#[derive(Clone, Copy, Debug)]
enum Written {
    Intent(u128),
    Outcome(u128),
    Row(u128),
}

fn written() -> impl Strategy<Value = Written> {
    let n = 0..5_u128;
    prop_oneof![n.clone().prop_map(Written::Intent), n.clone().prop_map(Written::Outcome), n.prop_map(Written::Row)]
}

fn segment_of(frames: &[Written], ending: &[Payload]) -> Vec<u8> {
    let (mut bytes, seed) = Header { writer: writer(), number: 1, first_seq: 1 }.encode().unwrap();
    for (frame, seq) in frames.iter().zip(1..) {
        let (payload, seq) = match *frame {
            Written::Intent(n) => (Payload::intent(&intent(n), 1 << 20), 0),
            Written::Outcome(n) => (Payload::outcome(id(n), &outcome(n + u128::from(seq)), 1 << 20), seq),
            Written::Row(n) => (Payload::row(&intent(n), &outcome(n + u128::from(seq)), 1 << 20), seq),
        };
        payload.unwrap().write_frame(seed, seq, &mut bytes);
    }
    for payload in ending {
        payload.write_frame(seed, 0, &mut bytes);
    }
    bytes
}

fn in_file(bytes: &[u8]) -> SegmentBytes {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000003-00000001.journal");
    std::fs::write(&path, bytes).unwrap();
    SegmentBytes::read(&path, Vec::new()).unwrap()
}

proptest! {
    #[test]
    fn rows_are_those_of_the_whole_contents_in_any_order_asked(frames in proptest::collection::vec(written(), 0..20)) {
        let bytes = in_file(&segment_of(&frames, &[Payload::close()]));
        let expected = bytes.contents::<String>().unwrap().rows;
        let rows = bytes.rows().unwrap();
        let found: Vec<_> = rows.places().iter().map(|place| (place.seq, place.event_id, place.event_time_us)).collect();
        let keys = expected.iter().map(|row| (row.seq, row.intent.event_id, row.intent.event_time_us));
        prop_assert_eq!(found, keys.collect::<Vec<_>>());

        let backwards: Vec<_> = rows.places().iter().rev().collect();
        let mut decoded = Vec::new();
        for chunk in backwards.chunks(3) {
            let before = decoded.len();
            let mut batch = Vec::new();
            rows.decode(chunk, &mut batch).unwrap();
            decoded.extend(batch);
            prop_assert_eq!(decoded.len(), before + chunk.len());
        }
        decoded.reverse();
        prop_assert_eq!(decoded.len(), expected.len());
        for (found, expected) in decoded.iter().zip(&expected) {
            // Texts are bytes in one and strings in the other, and are written as the same bytes.
            let found_bytes = postcard::to_stdvec(&(&found.intent, &found.outcome)).unwrap();
            prop_assert_eq!(found_bytes, postcard::to_stdvec(&(&expected.intent, &expected.outcome)).unwrap());
            prop_assert_eq!((found.seq, &found.writer), (expected.seq, &expected.writer));
        }
    }
}

#[test]
fn a_changed_byte_anywhere_is_damage() {
    let bytes = segment_of(&[Written::Intent(1), Written::Outcome(1), Written::Row(2)], &[Payload::close()]);
    let frames = segment_of(&[], &[]).len();
    for position in frames..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        assert!(matches!(in_file(&changed).rows(), Err(RowsError::Damaged)), "byte {position}");
    }
    let without_header = in_file(&bytes[1..]);
    assert!(matches!(without_header.rows(), Err(RowsError::Read(ReadError::Header { .. }))));
}

#[test]
fn zeros_end_a_segment_only_if_it_was_not_closed() {
    let frames = [Written::Row(1), Written::Row(2)];
    for (ending, sound) in [(&[][..], true), (&[Payload::close()], false)] {
        let mut bytes = segment_of(&frames, ending);
        bytes.extend([0; 100]);
        assert_eq!(in_file(&bytes).rows().is_ok(), sound, "{ending:?}");
        bytes.push(1);
        assert!(in_file(&bytes).rows().is_err(), "{ending:?}");
    }
}
