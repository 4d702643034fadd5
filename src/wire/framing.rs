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
        Self { limits, stage: Stage::Head(HeadEnd::default()), may_leave_http: false }
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
        Progress { cleared, verdict: Verdict::Incomplete }
    }

    fn step(&mut self, rest: &[u8]) -> Step {
        match &mut self.stage {
            Stage::Head(_) => self.step_head(rest),
            Stage::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= here as u64;
                if *left > 0 {
                    return Step { cleared: here, verdict: Some(Verdict::Incomplete) };
                }
                self.end_message(here)
            }
            Stage::Chunked(scanner) => {
                let progress = scanner.advance(rest);
                match progress.state {
                    ChunkState::Open => Step { cleared: progress.accepted, verdict: Some(Verdict::Incomplete) },
                    ChunkState::Ended => self.end_message(progress.accepted),
                    ChunkState::Violated(reason) => {
                        Step { cleared: progress.accepted, verdict: Some(Verdict::BodyRefused(reason)) }
                    }
                }
            }
            Stage::AwaitsResponse => Step { cleared: 0, verdict: Some(Verdict::AwaitsResponse) },
        }
    }

    fn step_head(&mut self, rest: &[u8]) -> Step {
        match self.judge_head(rest) {
            Ok(Some(len)) if matches!(self.stage, Stage::Head(_)) => self.end_message(len),
            Ok(Some(len)) => Step { cleared: len, verdict: None },
            Ok(None) => Step { cleared: 0, verdict: Some(Verdict::Incomplete) },
            Err(reason) => Step { cleared: 0, verdict: Some(Verdict::HeadRefused(reason)) },
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
            return if rest.len() > window.len() { Err(ViolationReason::HeadTooLarge) } else { Ok(None) };
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
        self.stage = if self.may_leave_http { Stage::AwaitsResponse } else { Stage::Head(HeadEnd::default()) };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

    fn limits() -> Limits {
        Limits { head_bytes_max: 128, head_fields_max: 4, ..Limits::default() }
    }

    /// Presents `bytes` in pieces of the given lengths, the way the stream does. The lengths are used in a circle.
    fn advance_in_pieces(bytes: &[u8], lengths: &[usize]) -> Progress {
        let mut framing = MessageFraming::new(limits());
        let (mut cleared, mut read) = (0, 0);
        for length in lengths.iter().cycle() {
            read = (read + length).min(bytes.len());
            let progress = framing.advance(&bytes[cleared..read]);
            cleared += progress.cleared;
            if progress.verdict != Verdict::Incomplete || read == bytes.len() {
                return Progress { cleared, verdict: progress.verdict };
            }
        }
        unreachable!("the lengths are a circle")
    }

    fn advance(bytes: &[u8]) -> Progress {
        MessageFraming::new(limits()).advance(bytes)
    }

    #[test]
    fn every_message_in_one_read_is_cleared_up_to_the_one_that_is_refused() {
        let fixed = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\r\n\r";
        let chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n";
        let good = [&fixed[..], chunked, GET].concat();
        let refused = b"GET /d HTTP/1.1\r\n\r\n";
        let expected = Progress { cleared: good.len(), verdict: Verdict::HeadRefused(ViolationReason::MissingHost) };
        assert_eq!(advance(&[&good[..], refused, GET].concat()), expected);
    }

    #[test]
    fn a_refused_body_is_cleared_up_to_the_offending_byte() {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let expected = Progress {
            cleared: head.len() + "2\r\nxy".len(),
            verdict: Verdict::BodyRefused(ViolationReason::InvalidChunkEnd),
        };
        assert_eq!(advance(&[&head[..], b"2\r\nxyz"].concat()), expected);
    }

    #[test]
    fn judging_stops_after_a_request_that_may_leave_http() {
        for request in [
            &b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx",
        ] {
            let mut framing = MessageFraming::new(limits());
            let waiting = Progress { cleared: request.len(), verdict: Verdict::AwaitsResponse };
            assert_eq!(framing.advance(&[request, b"\x16\x03\x01"].concat()), waiting);
            framing.resume();
            let again = Progress { cleared: GET.len(), verdict: Verdict::Incomplete };
            assert_eq!(framing.advance(GET), again, "HTTP goes on after a refusal");
        }
    }

    #[test]
    fn the_head_limit_is_exact() {
        let head = |len: usize| {
            let padding = len - "GET / HTTP/1.1\r\nHost: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(padding))
        };
        let max = limits().head_bytes_max;
        assert_eq!(advance(head(max).as_bytes()), Progress { cleared: max, verdict: Verdict::Incomplete });
        let too_large = Progress { cleared: 0, verdict: Verdict::HeadRefused(ViolationReason::HeadTooLarge) };
        assert_eq!(advance(head(max + 1).as_bytes()), too_large);
        assert_eq!(advance(&head(max + 9).as_bytes()[..=max]), too_large, "without waiting for its end");
    }

    #[test]
    fn a_stray_empty_line_is_not_the_beginning_of_a_head() {
        let framing = MessageFraming::new(limits());
        assert!(!framing.is_inside_head(b"\r\n"));
        assert!(framing.is_inside_head(b"\r\nG"));
    }

    /// Whole messages, good and bad, and loose pieces.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = proptest::sample::select(vec![
            GET,
            b"\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nGET / H",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"\r\n\r\n",
            b"\r\n",
            b"\r",
            b"X: y\r\n",
            b"GET / HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        ]);
        proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn cutting_the_stream_changes_neither_verdict_nor_cleared_bytes(
            stream in stream(),
            lengths in proptest::collection::vec(1usize..60, 1..5),
        ) {
            let whole = advance(&stream);
            prop_assert_eq!(advance_in_pieces(&stream, &lengths), whole);
            prop_assert_eq!(advance_in_pieces(&stream, &[1]), whole);
        }
    }
}
