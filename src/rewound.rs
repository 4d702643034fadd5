//! A stream whose first bytes were read already and are read again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::relay::MaybeSocket;

/// `early`, then the rest of the stream. Writing goes straight through.
pub(crate) struct Rewound<IO> {
    early: Bytes,
    stream: IO,
}

impl<IO> Rewound<IO> {
    pub(crate) fn new(stream: IO, early: Bytes) -> Self {
        Self { early, stream }
    }

    /// Makes `bytes` the next to be read, before what was put back earlier.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.early = if self.early.is_empty() { bytes } else { [bytes, self.early.split_off(0)].concat().into() };
    }
}

impl<IO: MaybeSocket> MaybeSocket for Rewound<IO> {
    fn socket(&self) -> Option<&TcpStream> {
        self.stream.socket().filter(|_| self.early.is_empty())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewound<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        if let Some(bytes) = self.early.get(..count) {
            buf.put_slice(bytes);
        }
        self.early.advance(count);
        if self.early.is_empty() {
            // Bytes that are all read still hold their allocation.
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewound<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_put_back_comes_first_and_in_order() {
        let (mut far, near) = tokio::io::duplex(64);
        far.write_all(b"rest").await.unwrap();
        drop(far);
        let mut rewound = Rewound::new(near, Bytes::from_static(b"second "));
        rewound.put_back(Bytes::from_static(b"first "));
        let mut all = String::new();
        rewound.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "first second rest");
    }

    #[tokio::test]
    async fn what_was_put_back_is_freed_when_it_was_read() {
        let (_far, near) = tokio::io::duplex(64);
        let kept = Bytes::from(vec![b'x'; 8]);
        let mut rewound = Rewound::new(near, kept.clone());
        rewound.read_exact(&mut [0; 8]).await.unwrap();
        assert!(kept.is_unique());
    }
}
