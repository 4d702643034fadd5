//! Reading one segment: cut anywhere, changed in the middle, and still being written.

use super::super::frame::Header;
use super::super::segment::{Damage, Orphan, ReadError};
use super::*;

/// A segment with an open intent, a row in two frames and a row in one, and the offsets its frames begin at.
fn sample() -> (Vec<u8>, Vec<usize>) {
    let header = Header { writer: writer(), number: 1, first_seq: 5 };
    let (mut bytes, seed) = header.encode().unwrap();
    let frames = [
        (Payload::intent(&intent(1), 1 << 20).unwrap(), 0),
        (Payload::intent(&intent(2), 1 << 20).unwrap(), 0),
        (Payload::outcome(id(1), &outcome(1), 1 << 20).unwrap(), 5),
        (Payload::row(&intent(3), &outcome(3), 1 << 20).unwrap(), 6),
        (Payload::close(), 0),
    ];
    let mut offsets = Vec::new();
    for (payload, seq) in frames {
        offsets.push(bytes.len());
        payload.write_frame(seed, seq, &mut bytes);
    }
    offsets.push(bytes.len());
    (bytes, offsets)
}

#[test]
fn a_whole_segment_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000003-00000001.journal");
    std::fs::write(&path, sample().0).unwrap();
    let expected = segment::Contents {
        writer: Arc::new(writer()),
        number: 1,
        first_seq: 5,
        rows: vec![row(5, 1), row(6, 3)],
        open: vec![intent(2)],
        orphans: Vec::new(),
        closed: true,
        damage: None,
    };
    assert_eq!(segment::read(&path).unwrap(), expected);
}

#[test]
fn a_segment_cut_anywhere_is_a_prefix_and_a_torn_tail() {
    let (bytes, offsets) = sample();
    for (length, zeros) in (0..bytes.len()).flat_map(|length| [0, 1, 30, 5_000].map(|zeros| (length, zeros))) {
        let cut = &[&bytes[..length], &vec![0; if length < offsets[0] { 0 } else { zeros }]].concat();
        if length < offsets[0] {
            assert_eq!(segment::parse::<String>(cut), Err(HeaderFault::Incomplete), "cut at {length}");
            continue;
        }
        let contents = segment::parse(cut).unwrap();
        // A frame of which only zeros are cut off is whole with zeros in their place.
        let length = length + bytes[length..].iter().take_while(|byte| **byte == 0).count().min(zeros);
        let whole_frames = offsets.iter().filter(|&&offset| offset <= length).count() - 1;
        let rows = [vec![], vec![], vec![], vec![row(5, 1)], vec![row(5, 1), row(6, 3)]];
        let open = [vec![], vec![intent(1)], vec![intent(1), intent(2)], vec![intent(2)], vec![intent(2)]];
        let of_rows = whole_frames.min(4);
        assert_eq!((&contents.rows, &contents.open), (&rows[of_rows], &open[of_rows]), "cut at {length}");
        let (start, closed) = (offsets[whole_frames], whole_frames == 5);
        // Zeros at the end are not counted, not even those the frame would have had. Behind a close frame they are.
        let end = if closed { cut.len() } else { cut.iter().rposition(|byte| *byte != 0).unwrap() + 1 };
        let torn = (start < end).then_some(Damage { corrupt: vec![], torn: Some(start as u64..end as u64) });
        assert_eq!((contents.closed, contents.damage), (closed, torn), "cut at {length}, {zeros} zeros");
    }
}

#[test]
fn a_changed_byte_costs_one_frame_and_is_located() {
    let (bytes, offsets) = sample();
    for position in offsets[0]..offsets[4] {
        let mut changed = bytes.clone();
        changed[position] ^= 0xff;
        let contents = segment::parse(&changed).unwrap();
        let frame = offsets.iter().rposition(|&offset| offset <= position).unwrap();
        let corrupt = std::iter::once(offsets[frame] as u64..offsets[frame + 1] as u64).collect();
        assert_eq!(contents.damage, Some(Damage { corrupt, torn: None }), "byte {position}");
        let orphan = Orphan { seq: 5, event_id: id(1), outcome: outcome(1) };
        let (rows, open, orphans) = match frame {
            0 => (vec![row(6, 3)], vec![intent(2)], vec![orphan]),
            1 => (vec![row(5, 1), row(6, 3)], vec![], vec![]),
            2 => (vec![row(6, 3)], vec![intent(1), intent(2)], vec![]),
            _ => (vec![row(5, 1)], vec![intent(2)], vec![]),
        };
        assert_eq!((contents.rows, contents.open, contents.orphans), (rows, open, orphans), "byte {position}");
    }
}

#[test]
fn a_row_supersedes_its_intent() {
    let header = Header { writer: writer(), number: 1, first_seq: 1 };
    let (mut bytes, seed) = header.encode().unwrap();
    Payload::intent(&intent(1), 1 << 20).unwrap().write_frame(seed, 0, &mut bytes);
    Payload::row(&intent(1), &outcome(1), 1 << 20).unwrap().write_frame(seed, 1, &mut bytes);
    let contents = segment::parse(&bytes).unwrap();
    assert_eq!((contents.rows, contents.open), (vec![row(1, 1)], vec![]));
}

#[test]
fn a_missing_file_is_an_io_error_and_another_file_is_not_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000003-00000001.journal");
    assert!(
        matches!(segment::read(&path), Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound)
    );
    std::fs::write(&path, "not a segment at all, but long enough").unwrap();
    assert!(matches!(segment::read(&path), Err(ReadError::Header { fault: HeaderFault::Magic, .. })));
}

#[test]
fn names_sort_as_epochs_and_numbers_do() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["00000002-00000010.journal", "00000010-00000001.journal", "100000000-00000001.journal"];
    for name in names.iter().rev().chain(&["2-1.journal", "00000002-00000011.journal.tmp", "notes.txt"]) {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let expected: Vec<_> = names.iter().map(|name| dir.path().join(name)).collect();
    assert_eq!(segment::list(dir.path()).unwrap(), expected);
}
