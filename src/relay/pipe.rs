//! Moving bytes from socket to socket inside the kernel, through a pipe: `splice(2)`.
//!
//! A pipe is taken when there is something to move and given back when it is empty, so a relay at rest has none.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Capacity asked for, in bytes. The system may grant less.
const CAPACITY: usize = 256 * 1024;
/// Empty pipes that a thread keeps.
const SPARE_MAX: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// A stream that may be nothing but a TCP socket now.
pub trait MaybeSocket {
    /// The socket, if every byte to be read of this stream and every one written to it passes it unchanged.
    fn socket(&self) -> Option<&TcpStream>;
}

impl MaybeSocket for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// What is left of HTTP may still be in the upgraded connection's buffer.
impl MaybeSocket for TokioIo<Upgraded> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

#[cfg(test)]
impl MaybeSocket for tokio::io::DuplexStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

struct Ends {
    input: OwnedFd,
    output: OwnedFd,
}

/// A pipe, and how many bytes are in it.
pub(super) struct Pipe {
    ends: Ends,
    bytes: usize,
}

impl Pipe {
    /// An empty pipe: a spare one of this thread, or a new one.
    pub(super) fn empty() -> io::Result<Self> {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let ends = spare.map_or_else(Ends::new, Ok)?;
        Ok(Self { ends, bytes: 0 })
    }

    /// Moves what is there from a socket into this pipe, which is empty. Nothing at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, from: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            // An empty pipe has room, so that only the socket can have made it wait.
            match from.try_io(Interest::READABLE, || self.ends.fill_from(from)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => {
                    self.bytes = *moved.as_ref().unwrap_or(&0);
                    return Poll::Ready(moved);
                }
            }
        }
    }

    /// Moves bytes of this pipe, which is not empty, to a socket.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || self.ends.drain_to(to, self.bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => {
                    self.bytes -= *moved.as_ref().unwrap_or(&0);
                    return Poll::Ready(moved);
                }
            }
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Keeps the pipe for others if it is empty; else it is closed, with what is in it.
    pub(super) fn give_back(self) {
        if self.is_empty() {
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < SPARE_MAX {
                    spare.push(self.ends);
                }
            });
        }
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Beyond the user's share of pipe memory it stays at its default.
        let _ = fcntl_setpipe_size(&input, CAPACITY);
        Ok(Self { input, output })
    }

    fn fill_from(&self, from: &TcpStream) -> io::Result<usize> {
        Ok(splice(from, None, &self.input, None, CAPACITY, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
    }

    fn drain_to(&self, to: &TcpStream, bytes: usize) -> io::Result<usize> {
        Ok(splice(&self.output, None, to, None, bytes, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
    }
}
