//! One client: connects as its flow says, calls, and checks every answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::job::{Call, Flow, Way};
use crate::wire::{BULK_BYTES, BulkCheck, HOST, Head, Target, bulk_request, expected_answer, post};

/// A call that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Read at once of a bulk answer.
const BULK_READ_BYTES: usize = 256 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Stream for IO {}

/// A client and the connection it keeps.
pub(crate) struct Caller {
    flow: Arc<Flow>,
    tls: TlsConnector,
    block: Arc<[u8]>,
    target: Target,
    kept: Option<Box<dyn Stream>>,
    request: Vec<u8>,
    received: Vec<u8>,
    /// Connections made so far.
    pub(crate) connections: u64,
}

impl Caller {
    pub(crate) fn new(flow: Arc<Flow>, tls: TlsConnector, block: Arc<[u8]>) -> Self {
        let target = Target::new(flow.origin_port, flow.way == Way::Http && flow.proxy.is_some());
        let (request, received) = (Vec::new(), Vec::new());
        Self { flow, tls, block, target, kept: None, request, received, connections: 0 }
    }

    /// Makes the call with this number. After a failure the next call connects again.
    pub(crate) async fn call(&mut self, number: u64) -> Result<()> {
        let called = tokio::time::timeout(CALL_TIMEOUT, self.exchange(number)).await;
        called.with_context(|| format!("no answer within {CALL_TIMEOUT:?}"))?
    }

    async fn exchange(&mut self, number: u64) -> Result<()> {
        match self.flow.call {
            Call::Post => post(&self.target, number, &mut self.request),
            Call::Bulk => bulk_request(&self.target, &mut self.request),
        }
        let (mut stream, head) = self.answered().await?;
        match self.flow.call {
            Call::Post => self.expect_answer(&mut stream, &head, number).await?,
            Call::Bulk => self.expect_bulk(&mut stream, &head).await?,
        }
        if self.flow.keep_alive && head.persistent {
            self.kept = Some(stream);
        }
        Ok(())
    }

    /// Sends the request and reads the answer's head. On a kept connection that turns out to be closed the request is sent
    /// again on a new one, as every HTTP client does (RFC 9112 section 9.3.1): some proxies close without saying so.
    async fn answered(&mut self) -> Result<(Box<dyn Stream>, Head)> {
        if let Some(mut stream) = self.kept.take() {
            match self.send(&mut stream).await {
                Ok(head) => return Ok((stream, head)),
                Err(error) if !self.received.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        let mut stream = self.connect().await?;
        let head = self.send(&mut stream).await?;
        Ok((stream, head))
    }

    async fn send(&mut self, stream: &mut Box<dyn Stream>) -> Result<Head> {
        self.received.clear();
        stream.write_all(&self.request).await?;
        stream.flush().await?;
        self.answer_head(stream).await
    }

    async fn connect(&mut self) -> Result<Box<dyn Stream>> {
        self.connections += 1;
        let Flow { way, proxy, origin_port, .. } = *self.flow;
        let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, origin_port));
        let mut stream = TcpStream::connect(proxy.unwrap_or(origin)).await.context("connecting")?;
        stream.set_nodelay(true)?;
        if proxy.is_some() && way != Way::Http {
            let authority = &self.target.authority;
            let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
            stream.write_all(connect.as_bytes()).await?;
            self.received.clear();
            let head = self.answer_head(&mut stream).await.context("after CONNECT")?;
            ensure!(self.received.len() == head.bytes, "bytes came before any were sent through the tunnel");
        }
        if way != Way::Tls {
            return Ok(Box::new(stream));
        }
        let secured = self.tls.connect(ServerName::try_from(HOST)?, stream).await.context("TLS handshake")?;
        Ok(Box::new(secured))
    }

    /// Reads until the head of a 200 answer is complete; what follows it stays in `received`.
    async fn answer_head<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<Head> {
        let head = loop {
            if let Some(head) = Head::parse(&self.received)? {
                break head;
            }
            ensure!(stream.read_buf(&mut self.received).await? > 0, "closed instead of an answer");
        };
        let status = head.first_line.split(' ').nth(1);
        ensure!(status == Some("200"), "the answer is {}", head.first_line);
        Ok(head)
    }

    async fn expect_answer(&mut self, stream: &mut dyn Stream, head: &Head, number: u64) -> Result<()> {
        let expected = expected_answer(number);
        let length = head.content_length.context("an answer without length")?;
        ensure!(length == expected.len(), "an answer of {length} bytes, {} expected", expected.len());
        while self.received.len() < head.bytes + length {
            ensure!(stream.read_buf(&mut self.received).await? > 0, "closed inside an answer");
        }
        ensure!(self.received.get(head.bytes..) == Some(expected.as_bytes()), "another answer than to this call");
        Ok(())
    }

    async fn expect_bulk(&mut self, stream: &mut dyn Stream, head: &Head) -> Result<()> {
        let length = head.content_length.context("an answer without length")?;
        ensure!(length == BULK_BYTES, "an answer of {length} bytes, {BULK_BYTES} expected");
        let mut check = BulkCheck::new(&self.block);
        check.receive(self.received.get(head.bytes..).unwrap_or_default())?;
        let mut left = (head.bytes + BULK_BYTES).saturating_sub(self.received.len());
        self.received.resize(BULK_READ_BYTES, 0);
        while left > 0 {
            let read = stream.read(&mut self.received).await?;
            ensure!(read > 0, "closed inside an answer");
            check.receive(self.received.get(..read).unwrap_or_default())?;
            left = left.checked_sub(read).context("more bytes than announced")?;
        }
        Ok(())
    }
}
