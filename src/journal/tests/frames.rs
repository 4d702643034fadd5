//! Frames and headers: what is written is read, and what was changed is noticed.

use proptest::prelude::*;

use super::super::frame::{Frame, FrameFault, Header, Seed, check_frame};
use super::*;

fn header(number: u64) -> Header {
    Header { writer: writer(), number, first_seq: 1 }
}

fn seed(number: u64) -> Seed {
    header(number).encode().unwrap().1
}

fn frame_bytes(payload: &Payload, seq: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    payload.write_frame(seed(1), seq, &mut bytes);
    bytes
}

fn decode(bytes: &[u8]) -> Result<(Frame, usize), FrameFault> {
    check_frame(bytes, seed(1)).and_then(|checked| Ok((checked.decode()?, checked.size)))
}

prop_compose! {
    fn any_intent()(n in any::<u128>(), time in any::<i64>(), port in any::<u16>(),
        text in proptest::option::of(".{0,40}"), v6 in any::<u128>(), allowed in any::<bool>()) -> Intent {
        let mut intent = Intent::new(id(n), time, Kind::Connect, SocketAddr::new(std::net::Ipv6Addr::from_bits(v6).into(), 0));
        intent.client_port = port;
        intent.user_agent = text.clone();
        intent.path = text;
        intent.decision = allowed.then_some(crate::record::Decision::Allow);
        intent
    }
}

prop_compose! {
    fn any_outcome()(end in any::<i64>(), bytes in any::<i64>(), error in proptest::option::of(".{0,40}"),
        kind in proptest::sample::select(OutcomeKind::ALL), status in proptest::option::of(any::<u16>())) -> Outcome {
        let mut outcome = Outcome::new(end, kind);
        outcome.response_bytes = bytes;
        outcome.error = error;
        outcome.status = status;
        outcome
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        intent in any_intent(), outcome in any_outcome(), seq in 1..1_u64 << 60, more in any::<[u8; 5]>()
    ) {
        let (boxed_intent, boxed_outcome) = (Box::new(intent.clone()), Box::new(outcome.clone()));
        let event_id = intent.event_id;
        let cases = [
            (Payload::intent(&intent, 1 << 20).unwrap(), 0, Frame::Intent(boxed_intent.clone())),
            (Payload::outcome(event_id, &outcome, 1 << 20).unwrap(), seq,
                Frame::Outcome { seq, event_id, outcome: boxed_outcome.clone() }),
            (Payload::row(&intent, &outcome, 1 << 20).unwrap(), seq,
                Frame::Row { seq, intent: boxed_intent, outcome: boxed_outcome }),
            (Payload::close(), 0, Frame::Close),
        ];
        for (payload, seq, frame) in cases {
            let mut bytes = frame_bytes(&payload, seq);
            let size = bytes.len();
            bytes.extend(more);
            prop_assert_eq!(decode(&bytes), Ok((frame, size)));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed(intent in any_intent(), outcome in any_outcome(), change in 1..=255_u8) {
        let bytes = frame_bytes(&Payload::row(&intent, &outcome, 1 << 20).unwrap(), 7);
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= change;
            prop_assert!(decode(&changed).is_err(), "byte {} of {}", position, bytes.len());
        }
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let _ = Header::decode(&bytes);
        let _ = segment::parse::<String>(&bytes);
    }
}

#[test]
fn a_frame_of_another_segment_does_not_pass() {
    let mut bytes = Vec::new();
    Payload::intent(&intent(1), 1 << 20).unwrap().write_frame(seed(2), 0, &mut bytes);
    assert_eq!(decode(&bytes), Err(FrameFault::Checksum));
}

#[test]
fn settling_frames_have_a_seq_and_others_have_none() {
    let intent_payload = Payload::intent(&intent(1), 1 << 20).unwrap();
    assert_eq!(decode(&frame_bytes(&intent_payload, 4)), Err(FrameFault::ImplausibleSeq(4)));
    let outcome_payload = Payload::outcome(id(1), &outcome(1), 1 << 20).unwrap();
    assert_eq!(decode(&frame_bytes(&outcome_payload, 0)), Err(FrameFault::ImplausibleSeq(0)));
}

#[test]
fn a_length_above_the_ceiling_is_refused_before_it_is_read() {
    let mut bytes = frame_bytes(&Payload::close(), 0);
    bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode(&bytes), Err(FrameFault::TooLarge(u32::MAX)));
}

#[test]
fn zeros_are_not_frames() {
    assert_eq!(decode(&[0; 64]), Err(FrameFault::UnknownType(0)));
}

#[test]
fn header_round_trip_and_every_changed_byte() {
    let (bytes, seed) = header(9).encode().unwrap();
    assert_eq!(Header::decode(&bytes), Ok((header(9), seed, bytes.len())));
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0x10;
        assert!(Header::decode(&changed).is_err(), "byte {position}");
    }
    for length in 0..bytes.len() {
        assert_eq!(Header::decode(&bytes[..length]), Err(HeaderFault::Incomplete), "first {length} bytes");
    }
}

#[test]
fn an_oversized_outcome_loses_its_texts_and_nothing_else() {
    let mut large = outcome(5);
    large.error = Some("x".repeat(5_000));
    let payload = condense::outcome(id(5), &large, 1024).unwrap();
    let Ok((Frame::Outcome { outcome: kept, .. }, _)) = decode(&frame_bytes(&payload, 1)) else { panic!("no outcome") };
    let bytes = Payload::outcome(id(5), &large, 1 << 20).unwrap().len();
    let error = format!("the record took {bytes} bytes; its texts were left out to fit a journal frame");
    assert_eq!(*kept, Outcome { error: Some(error), ..outcome(5) });
}

#[test]
fn an_oversized_row_keeps_who_when_and_why() {
    let mut large = intent(6);
    large.host = Some("x".repeat(5_000));
    large.deny_reason = Some(crate::record::DenyReason::HostNotAllowed);
    let payload = condense::row(&large, &outcome(6), 1024).unwrap();
    let Ok((Frame::Row { intent: kept, .. }, _)) = decode(&frame_bytes(&payload, 1)) else { panic!("no row") };
    assert_eq!(*kept, Intent { host: None, ..large });
}
