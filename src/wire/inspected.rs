//! The client stream as hyper sees it: bytes pass once `MessageFraming` has cleared them.
//!
//! Reads go straight into hyper's buffer and are judged there; only what cannot be judged yet is copied aside. Writes pass
//! through, except that interim responses are put before hyper's next bytes. There are no timers here: a head that never
//! ends is limited in size here and in time by the connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{MessageFraming, Verdict};
use super::state::{WireState, synthetic_request};
use super::{Limits, SeenHead, Violation, ViolationReason, WireHandle};

/// What the next read does.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Bytes are judged.
    Inspecting,
    /// Bytes are held: the response to a CONNECT or Upgrade request decides what they are.
    AwaitingResponse,
    /// Bytes pass unseen.
    Opaque,
    /// A head was refused. hyper gets the synthetic request, then silence: an end of stream would make it drop the
    /// service before the response. Up to this many bytes are still read and dropped, because closing a socket with
    /// unread bytes resets it and the client might lose the response.
    Refused { drain_bytes_left: usize },
    /// A body was refused: every read fails.
    Broken(ViolationReason),
}

/// A client stream whose requests have been checked before they can be read.
pub struct Inspected<IO> {
    io: IO,
    limits: Limits,
    shared: Arc<WireState>,
    framing: MessageFraming,
    mode: Mode,
    /// Bytes read and not yet given to hyper.
    held: BytesMut,
    /// Leading bytes of `held` that hyper may have.
    cleared: usize,
    output: Output,
}

/// The state of the writing side.
#[derive(Debug)]
struct Output {
    /// What is left of the interim responses being written.
    interim: Bytes,
    /// hyper had nothing left to write when it last flushed, and has written nothing since.
    at_rest: bool,
}

/// Prints no bytes: they may be credentials.
impl<IO> fmt::Debug for Inspected<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspected").field("mode", &self.mode).field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl<IO> Inspected<IO> {
    pub fn new(io: IO, limits: Limits) -> Self {
        Self {
            io,
            limits,
            shared: Arc::new(WireState::new(limits.interim_bytes_max)),
            framing: MessageFraming::new(limits),
            mode: Mode::Inspecting,
            held: BytesMut::new(),
            cleared: 0,
            output: Output { interim: Bytes::new(), at_rest: true },
        }
    }

    /// A handle for the service that answers this connection's requests.
    #[must_use]
    pub fn handle(&self) -> WireHandle {
        WireHandle::new(Arc::clone(&self.shared))
    }

    /// The stream, and the bytes read from it that nobody has been given. After an upgrade they come after those in
    /// hyper's own read buffer.
    pub fn into_inner(self) -> (IO, Bytes) {
        self.shared.forget_task();
        (self.io, self.held.freeze())
    }

    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Judges the bytes in `held` that are not cleared.
    fn judge_held(&mut self) {
        let progress = self.framing.advance(self.held.get(self.cleared..).unwrap_or_default());
        self.cleared += progress.cleared;
        self.follow(progress.verdict);
    }

    /// Judges bytes that were read into hyper's buffer from `start` on, and takes back what hyper may not have yet.
    fn judge_in_place(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let progress = self.framing.advance(buf.filled().get(start..).unwrap_or_default());
        let end = start + progress.cleared;
        self.held.extend_from_slice(buf.filled().get(end..).unwrap_or_default());
        buf.set_filled(end);
        self.follow(progress.verdict);
    }

    fn follow(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Incomplete => {}
            Verdict::AwaitsResponse => self.mode = Mode::AwaitingResponse,
            Verdict::HeadRefused(reason) => self.refuse_head(reason),
            Verdict::BodyRefused(reason) => {
                self.shared.refuse_body(reason);
                self.mode = Mode::Broken(reason);
            }
        }
    }

    /// Puts the synthetic request in the place of what is held and not cleared.
    fn refuse_head(&mut self, reason: ViolationReason) {
        let rest = self.held.get(self.cleared..).unwrap_or_default();
        let seen = SeenHead::capture(rest, self.limits.head_bytes_max);
        self.shared.refuse_head(Violation { reason, seen });
        self.held.truncate(self.cleared);
        self.held.extend_from_slice(synthetic_request());
        self.cleared = self.held.len();
        self.mode = Mode::Refused { drain_bytes_left: self.limits.head_bytes_max };
    }

    /// Gives hyper what is cleared, as far as it fits. Returns whether there was any.
    fn release(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let len = self.cleared.min(buf.remaining());
        if len == 0 {
            return false;
        }
        buf.put_slice(self.held.get(..len).unwrap_or_default());
        self.held.advance(len);
        self.cleared -= len;
        self.let_go();
        true
    }

    /// Everything held and everything to come passes.
    fn open(&mut self) {
        self.mode = Mode::Opaque;
        self.cleared = self.held.len();
        self.let_go();
    }

    /// Frees what `held` has room for when there is nothing in it.
    fn let_go(&mut self) {
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// hyper answers: a held CONNECT or Upgrade that the service did not declare opaque stays HTTP.
    fn note_output(&mut self) {
        if matches!(self.mode, Mode::AwaitingResponse) && !self.shared.is_opaque() {
            self.framing.resume();
            self.mode = Mode::Inspecting;
            self.judge_held();
            self.shared.wake();
        }
    }
}

impl<IO: AsyncRead + Unpin> Inspected<IO> {
    /// Reads once and judges. `Ready(true)` means that `buf` is as hyper shall have it: new bytes, or none at the end of
    /// the stream.
    fn poll_inspect(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() == start {
            if !self.framing.is_inside_head(&self.held) {
                return Poll::Ready(Ok(true));
            }
            self.refuse_head(ViolationReason::TruncatedHead);
            return Poll::Ready(Ok(false));
        }
        if self.held.is_empty() {
            self.judge_in_place(buf, start);
        } else {
            self.held.extend_from_slice(buf.filled().get(start..).unwrap_or_default());
            buf.set_filled(start);
            self.judge_held();
        }
        Poll::Ready(Ok(buf.filled().len() > start))
    }

    /// Waits for the response that decides what follows. One read's worth of early bytes is taken so that the end of the
    /// stream is still noticed while there are none.
    fn poll_hold(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.shared.register(cx.waker());
        if self.held.is_empty() {
            let start = buf.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            if buf.filled().len() == start {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(buf.filled().get(start..).unwrap_or_default());
            buf.set_filled(start);
        }
        Poll::Pending
    }

    /// Reads and drops, never ready. An error or the end of the stream is left for the writing side to meet.
    fn drain(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, mut bytes_left: usize) {
        let start = buf.filled().len();
        while bytes_left > 0 {
            let read = match Pin::new(&mut self.io).poll_read(cx, buf) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => buf.filled().len() - start,
                Poll::Ready(Err(_)) => 0,
            };
            buf.set_filled(start);
            bytes_left = if read == 0 { 0 } else { bytes_left.saturating_sub(read) };
        }
        self.mode = Mode::Refused { drain_bytes_left: bytes_left };
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Inspected<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.release(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.mode {
                Mode::Opaque => return Pin::new(&mut this.io).poll_read(cx, buf),
                Mode::Inspecting | Mode::AwaitingResponse if this.shared.is_opaque() => this.open(),
                Mode::AwaitingResponse => return this.poll_hold(cx, buf),
                Mode::Broken(reason) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reason))),
                Mode::Refused { drain_bytes_left } => {
                    this.drain(cx, buf, drain_bytes_left);
                    return Poll::Pending;
                }
                Mode::Inspecting => {
                    if ready!(this.poll_inspect(cx, buf))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> Inspected<IO> {
    /// Writes the interim responses that are due. Those queued while hyper is in the middle of writing are dropped.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(interim) = self.shared.take_interim()
            && self.output.at_rest
        {
            // Whatever is left of earlier ones comes first: both are whole interim responses.
            let earlier = std::mem::take(&mut self.output.interim);
            self.output.interim = if earlier.is_empty() { interim } else { [earlier, interim].concat().into() };
        }
        while !self.output.interim.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.output.interim))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.interim.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// What has to happen before bytes of hyper are written.
    fn poll_before_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note_output();
        ready!(self.poll_interim(cx))?;
        self.output.at_rest = false;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Inspected<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_before_write(cx))?;
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_before_write(cx))?;
        Pin::new(&mut this.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes the stream only when its own buffer is empty. The task is registered before the queue is looked
        // at, so that what is queued in between wakes it.
        this.output.at_rest = true;
        this.shared.register(cx.waker());
        ready!(this.poll_interim(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
