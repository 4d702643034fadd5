//! Decoding a frame in two steps: first what tells rows apart, and the rest when its row is wanted.
//!
//! Like all of `frame`, it does not know which frames belong together.

use serde::Deserialize;
use uuid::Uuid;

use super::{Checked, FrameFault, FrameType, decode_all};
use crate::record::{Intent, Outcome};

/// A frame of which only what tells rows apart is decoded.
pub(in crate::journal) enum Outline<'a> {
    Intent(Begun<'a>),
    /// `payload` is for [`decode_halves`].
    Outcome {
        seq: u64,
        event_id: Uuid,
        payload: &'a [u8],
    },
    /// Its payload is for [`decode_row`].
    Row {
        seq: u64,
        begun: Begun<'a>,
    },
    Close,
}

/// An exchange that began.
pub(in crate::journal) struct Begun<'a> {
    pub(in crate::journal) event_id: Uuid,
    pub(in crate::journal) event_time_us: i64,
    pub(in crate::journal) payload: &'a [u8],
}

impl<'a> Begun<'a> {
    /// From a payload that begins with an intent, of which these are the first fields.
    fn outline(payload: &'a [u8]) -> Result<Self, FrameFault> {
        let ((event_id, event_time_us), _) = postcard::take_from_bytes(payload)?;
        Ok(Self { event_id, event_time_us, payload })
    }
}

impl<'a> Checked<'a> {
    pub(in crate::journal) fn outline(&self) -> Result<Outline<'a>, FrameFault> {
        let (seq, payload) = (self.seq, self.payload);
        Ok(match self.frame_type {
            FrameType::Intent => Outline::Intent(Begun::outline(payload)?),
            FrameType::Outcome => {
                let (event_id, _) = postcard::take_from_bytes(payload)?;
                Outline::Outcome { seq, event_id, payload }
            }
            FrameType::Row => Outline::Row { seq, begun: Begun::outline(payload)? },
            FrameType::Close => self.close(Outline::Close)?,
        })
    }
}

/// Both halves of a row.
pub(in crate::journal) type Halves<S> = (Intent<S>, Outcome<S>);

/// What the payload of a row says.
pub(in crate::journal) fn decode_row<'a, S: Deserialize<'a>>(payload: &'a [u8]) -> Result<Halves<S>, FrameFault> {
    decode_all(payload)
}

/// What the payloads of an intent and of its outcome say.
pub(in crate::journal) fn decode_halves<'a, S: Deserialize<'a>>(
    intent: &'a [u8],
    outcome: &'a [u8],
) -> Result<Halves<S>, FrameFault> {
    let (_, outcome): (Uuid, _) = decode_all(outcome)?;
    Ok((decode_all(intent)?, outcome))
}
