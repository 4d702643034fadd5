//! Follows message after message over the bytes of one client connection: heads, bodies, and where HTTP ends.
//!
//! Pure: the caller presents bytes, [`MessageFraming::advance`] says how many of them hyper may have.
//! However the bytes are cut into calls, the verdict and the bytes cleared before it are the same.

use super::chunked::{ChunkScanner, ChunkState};
use super::head::{Framing, check_head, check_method_prefix};
use super::{Limits, ViolationReason};

/// What may happen with the bytes after those that were cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More bytes are needed to judge the rest; present the rest again, together with them.
    Incomplete,
    /// A CONNECT or Upgrade request ended: its response decides whether the rest is HTTP.
    AwaitsResponse,
    /// The rest begins with a head that is refused.
    HeadRefused(ViolationReason),
    /// The rest breaks the framing of a body whose head is cleared.
    BodyRefused(ViolationReason),
}

/// How far one call of [`MessageFraming::advance`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Leading bytes that are in order.
    pub(super) cleared: usize,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Debug)]
enum Stage {
    Head(HeadEnd),
    Length(u64),
    Chunked(ChunkScanner),
    /// Nothing is judged until [`MessageFraming::resume`].
    AwaitsResponse,
}

/// The framing state of one connection.
#[derive(Clone, Debug)]
pub(super) struct MessageFraming {
    limits: Limits,
    stage: Stage,
    /// The message being read is a CONNECT or has an Upgrade field.
    may_leave_http: bool,
}

impl MessageFraming {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            stage: Stage::Head(HeadEnd::default()),
            may_leave_http: false,
        }
    }

    /// The response to a CONNECT or Upgrade request did not leave HTTP: what follows is the next head.
    pub(super) fn resume(&mut self) {
        if matches!(self.stage, Stage::AwaitsResponse) {
            self.stage = Stage::Head(HeadEnd::default());
        }
    }

    /// Whether `rest`, the bytes not cleared, are the beginning of a head. A stray empty line is not.
    pub(super) fn is_inside_head(&self, rest: &[u8]) -> bool {
        matches!(self.stage, Stage::Head(_)) && !b"\r\n".starts_with(rest)
    }

    /// Judges `bytes`, which begin right after those cleared before. After a refusal it must not be called again.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Progress {
        let mut cleared = 0;
        while let Some(rest) = bytes.get(cleared..) {
            let step = self.step(rest);
            cleared += step.cleared;
            if let Some(verdict) = step.verdict {
                return Progress { cleared, verdict };
            }
        }
        Progress {
            cleared,
            verdict: Verdict::Incomplete,
        }
    }

    fn step(&mut self, rest: &[u8]) -> Step {
        match &mut self.stage {
            Stage::Head(_) => self.step_head(rest),
            Stage::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= here as u64;
                if *left > 0 {
                    return Step {
                        cleared: here,
                        verdict: Some(Verdict::Incomplete),
                    };
                }
                self.end_message(here)
            }
            Stage::Chunked(scanner) => {
                let progress = scanner.advance(rest);
                match progress.state {
                    ChunkState::Open => Step {
                        cleared: progress.accepted,
                        verdict: Some(Verdict::Incomplete),
                    },
                    ChunkState::Ended => self.end_message(progress.accepted),
                    ChunkState::Violated(reason) => Step {
                        cleared: progress.accepted,
                        verdict: Some(Verdict::BodyRefused(reason)),
                    },
                }
            }
            Stage::AwaitsResponse => Step {
                cleared: 0,
                verdict: Some(Verdict::AwaitsResponse),
            },
        }
    }

    fn step_head(&mut self, rest: &[u8]) -> Step {
        match self.judge_head(rest) {
            Ok(Some(len)) if matches!(self.stage, Stage::Head(_)) => self.end_message(len),
            Ok(Some(len)) => Step {
                cleared: len,
                verdict: None,
            },
            Ok(None) => Step {
                cleared: 0,
                verdict: Some(Verdict::Incomplete),
            },
            Err(reason) => Step {
                cleared: 0,
                verdict: Some(Verdict::HeadRefused(reason)),
            },
        }
    }

    /// The length of the head that `rest` begins with, once it is complete; the stage is then that of its content.
    fn judge_head(&mut self, rest: &[u8]) -> Result<Option<usize>, ViolationReason> {
        let Stage::Head(end) = &mut self.stage else {
            return Ok(None);
        };
        check_method_prefix(rest)?;
        let window = rest.get(..self.limits.head_bytes_max).unwrap_or(rest);
        let Some(len) = end.find(window) else {
            return if rest.len() > window.len() {
                Err(ViolationReason::HeadTooLarge)
            } else {
                Ok(None)
            };
        };
        let head = check_head(window.get(..len).unwrap_or(window), &self.limits)?;
        self.may_leave_http = head.connect || head.upgrade;
        match head.framing {
            Framing::Empty => {}
            Framing::Length(length) => self.stage = Stage::Length(length),
            Framing::Chunked => self.stage = Stage::Chunked(ChunkScanner::new(&self.limits)),
        }
        Ok(Some(len))
    }

    fn end_message(&mut self, cleared: usize) -> Step {
        self.stage = if self.may_leave_http {
            Stage::AwaitsResponse
        } else {
            Stage::Head(HeadEnd::default())
        };
        Step { cleared, verdict: None }
    }
}

/// One step over one part of one message; without a verdict, the next step follows.
struct Step {
    cleared: usize,
    verdict: Option<Verdict>,
}

/// Finds the end of a head over several reads without looking at a byte twice.
///
/// The end is the first empty line other than a leading CRLF. A lone LF ends a line here, so that a head with bare LF is
/// found and can be refused instead of waited for.
#[derive(Clone, Debug, Default)]
struct HeadEnd {
    searched: usize,
    line_start: usize,
}

impl HeadEnd {
    /// `bytes` begin with the head, and with the bytes of the call before. Returns the head's length.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(lf) = memchr::memchr(b'\n', bytes.get(self.searched..)?) {
            let lf = self.searched + lf;
            let line = bytes.get(self.line_start..lf)?;
            let tolerated = self.line_start == 0 && line == b"\r";
            self.searched = lf + 1;
            self.line_start = lf + 1;
            if !tolerated && matches!(line, b"" | b"\r") {
                return Some(lf + 1);
            }
        }
        self.searched = bytes.len();
        None
    }
}
