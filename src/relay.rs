//! Relaying bytes both ways without looking at them, counted, until both sides are done or nothing moves.
//!
//! A relay at rest holds no buffer: between two sockets bytes move inside the kernel, see `pipe`; else they are read into a
//! buffer that belongs to the thread and written on at once. Only what the other side does not take yet is kept, and nothing
//! more is read in that direction until it has.

mod pipe;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::observe::Traffic;
use crate::record::OutcomeKind;

pub use pipe::MaybeSocket;
use pipe::Pipe;

/// Most bytes moved in one step, and so the most that one direction of a relay can hold.
const STEP_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where a step's bytes are between reading and writing. Not borrowed across steps.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; STEP_BYTES].into_boxed_slice());
}

/// How a relay ended.
#[derive(Debug, thiserror::Error)]
pub enum RelayEnd {
    #[error("both sides closed")]
    Finished,
    #[error("no byte in either direction for {0:?} (limits.idle_timeout_s)")]
    Idle(Duration),
    #[error("the client's connection broke: {0}")]
    Client(io::Error),
    #[error("the upstream's connection broke: {0}")]
    Upstream(io::Error),
}

impl RelayEnd {
    /// The audit columns `outcome` and `error`.
    pub fn columns(&self) -> (OutcomeKind, Option<String>) {
        match self {
            Self::Finished => (OutcomeKind::Completed, None),
            Self::Idle(_) => (OutcomeKind::TimedOut, Some(self.to_string())),
            Self::Client(_) => (OutcomeKind::ClientAborted, Some(self.to_string())),
            Self::Upstream(_) => (OutcomeKind::UpstreamFailed, Some(self.to_string())),
        }
    }
}

/// Relays until both directions have ended, one has failed, or nothing moved for `idle_timeout`.
pub async fn relay<C, U>(mut client: C, mut upstream: U, traffic: &Traffic, idle_timeout: Duration) -> RelayEnd
where
    C: AsyncRead + AsyncWrite + MaybeSocket + Unpin,
    U: AsyncRead + AsyncWrite + MaybeSocket + Unpin,
{
    let clock = Clock::new();
    let mut sending = Direction::new(&traffic.request_bytes, &clock);
    let mut receiving = Direction::new(&traffic.response_bytes, &clock);
    let both = poll_fn(|cx| {
        let sent = sending.poll_pump(cx, &mut client, &mut upstream).map_err(|broken| match broken {
            Broken::Reading(error) => RelayEnd::Client(error),
            Broken::Writing(error) => RelayEnd::Upstream(error),
        })?;
        let received = receiving.poll_pump(cx, &mut upstream, &mut client).map_err(|broken| match broken {
            Broken::Reading(error) => RelayEnd::Upstream(error),
            Broken::Writing(error) => RelayEnd::Client(error),
        })?;
        ready!(sent);
        received.map(Ok::<(), RelayEnd>)
    });
    tokio::select! {
        ended = both => ended.err().unwrap_or(RelayEnd::Finished),
        () = clock.idle_for(idle_timeout) => RelayEnd::Idle(idle_timeout),
    }
}

enum Broken {
    Reading(io::Error),
    Writing(io::Error),
}

/// Where one direction is.
enum Stage {
    /// Bytes read and not written yet, if any, are written before more are read.
    Moving(Bytes),
    /// Bytes in a pipe are on their way to the writing side.
    Piped(Pipe),
    /// The reading side has ended; the writing side is being told.
    Closing,
    Ended,
}

struct Direction<'a> {
    stage: Stage,
    /// Bytes that were written may still be in the writing side's own buffer.
    unflushed: bool,
    count: &'a AtomicU64,
    clock: &'a Clock,
}

impl<'a> Direction<'a> {
    fn new(count: &'a AtomicU64, clock: &'a Clock) -> Self {
        Self { stage: Stage::Moving(Bytes::new()), unflushed: false, count, clock }
    }

    /// Moves bytes until neither side is ready, or one has ended or failed.
    fn poll_pump<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + MaybeSocket + Unpin,
        W: AsyncWrite + MaybeSocket + Unpin,
    {
        loop {
            match &mut self.stage {
                Stage::Moving(held) if held.is_empty() => match self.poll_next(cx, from, to) {
                    Poll::Ready(stepped) => stepped?,
                    Poll::Pending => {
                        ready!(self.poll_flush(cx, to))?;
                        return Poll::Pending;
                    }
                },
                Stage::Moving(held) => {
                    let written = ready!(Pin::new(&mut *to).poll_write(cx, held));
                    let written = accepted(written).map_err(Broken::Writing)?;
                    held.advance(written);
                    self.moved(written);
                }
                Stage::Piped(pipe) => {
                    let Some(socket) = to.socket() else {
                        return Poll::Ready(Err(Broken::Writing(io::ErrorKind::NotConnected.into())));
                    };
                    let written = ready!(pipe.poll_drain(cx, socket));
                    let written = accepted(written).map_err(Broken::Writing)?;
                    if pipe.is_empty()
                        && let Stage::Piped(pipe) = std::mem::replace(&mut self.stage, Stage::Moving(Bytes::new()))
                    {
                        pipe.give_back();
                    }
                    self.moved(written);
                }
                Stage::Closing => {
                    // A peer that is gone already does not make the end of one direction an error.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.stage = Stage::Ended;
                }
                Stage::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Takes what is there from the reading side: into a pipe if both sides are sockets and there is one.
    fn poll_next<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + MaybeSocket + Unpin,
        W: AsyncWrite + MaybeSocket + Unpin,
    {
        let (Some(source), Some(_)) = (from.socket(), to.socket()) else {
            return self.poll_step(cx, from, to);
        };
        let Ok(mut pipe) = Pipe::empty() else {
            return self.poll_step(cx, from, to);
        };
        let filled = pipe.poll_fill(cx, source);
        if !pipe.is_empty() {
            self.stage = Stage::Piped(pipe);
            return Poll::Ready(Ok(()));
        }
        pipe.give_back();
        // Nothing was moved and nothing is waited for: the stream has ended.
        ready!(filled).map_err(Broken::Reading)?;
        self.stage = Stage::Closing;
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes once; keeps what was not taken.
    fn poll_step<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut chunk = ReadBuf::new(scratch);
            match ready!(Pin::new(from).poll_read(cx, &mut chunk)) {
                Ok(()) => {}
                // TLS without its closing alert: what it carried says itself whether it is complete.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Poll::Ready(Err(Broken::Reading(error))),
            }
            let bytes = chunk.filled();
            if bytes.is_empty() {
                self.stage = Stage::Closing;
                return Poll::Ready(Ok(()));
            }
            let written = match Pin::new(to).poll_write(cx, bytes) {
                Poll::Ready(written) => accepted(written).map_err(Broken::Writing)?,
                Poll::Pending => 0,
            };
            self.stage = Stage::Moving(Bytes::copy_from_slice(bytes.get(written..).unwrap_or_default()));
            self.moved(written);
            Poll::Ready(Ok(()))
        })
    }

    fn poll_flush<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<Result<(), Broken>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx)).map_err(Broken::Writing)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn moved(&mut self, bytes: usize) {
        self.unflushed |= bytes > 0;
        self.count.fetch_add(bytes as u64, Ordering::Relaxed);
        self.clock.touch();
    }
}

/// A side that takes nothing although it is ready will never take anything.
fn accepted(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        written => written,
    }
}

/// When something last moved, in microseconds since the relay began.
struct Clock {
    began: Instant,
    moved_us: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self { began: Instant::now(), moved_us: AtomicU64::new(0) }
    }

    fn touch(&self) {
        self.moved_us.store(self.began.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    async fn idle_for(&self, timeout: Duration) {
        loop {
            let deadline = self.began + Duration::from_micros(self.moved_us.load(Ordering::Relaxed)) + timeout;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

#[cfg(test)]
mod tests;
