//! Bodies that stream through while their bytes are counted, and that settle the exchange when they end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::record::OutcomeKind;

use super::exchange::Exchange;
use super::traffic::Traffic;

/// The client's request body on its way upstream.
pub struct CountedRequest {
    /// `None` for a body that is empty and was never the client's.
    inner: Option<Incoming>,
    traffic: Arc<Traffic>,
}

impl CountedRequest {
    pub fn new(inner: Incoming, traffic: Arc<Traffic>) -> Self {
        note_end(&inner, &traffic);
        Self { inner: Some(inner), traffic }
    }

    /// No body, for a request that is sent again.
    pub fn empty(traffic: Arc<Traffic>) -> Self {
        Self { inner: None, traffic }
    }

    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}

impl Body for CountedRequest {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { inner, traffic } = &mut *self;
        let Some(inner) = inner else { return Poll::Ready(None) };
        let polled = ready!(Pin::new(&mut *inner).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    traffic.saw_request(data);
                }
                // hyper does not ask again after trailers, or after as many bytes as were announced.
                if frame.is_trailers() {
                    traffic.request_ended.store(true, Ordering::Release);
                }
                note_end(inner, traffic);
            }
            Some(Err(_)) => traffic.client_broke.store(true, Ordering::Release),
            None => traffic.request_ended.store(true, Ordering::Release),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Notes the end of a body that says itself that nothing more comes.
fn note_end(body: &Incoming, traffic: &Traffic) {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        traffic.request_ended.store(true, Ordering::Release);
    }
}

/// What the row says of a response that was complete while its request was not.
const BEFORE_THE_REQUEST: &str =
    "the response ended before the request body did; request_bytes counts what was read until then";

/// Why relaying a response body stopped early.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("the upstream's response broke off: {0}")]
    Upstream(#[from] hyper::Error),
    #[error("nothing arrived from the upstream for {0:?} (limits.idle_timeout_s)")]
    Idle(Duration),
}

/// The upstream's response body on its way to the client. Holds the exchange and settles it at the body's end.
pub struct RelayedResponse {
    inner: Incoming,
    exchange: Option<Box<Exchange>>,
    idle_timeout: Duration,
    idle: Option<Pin<Box<Sleep>>>,
}

impl RelayedResponse {
    pub fn new(inner: Incoming, exchange: Box<Exchange>, idle_timeout: Duration) -> Self {
        Self { inner, exchange: Some(exchange), idle_timeout, idle: None }
    }

    fn settle(&mut self, outcome: OutcomeKind, error: Option<String>) {
        if let Some(exchange) = self.exchange.take() {
            drop(exchange.settle(outcome, error));
        }
    }

    /// The response was passed on to its end.
    fn complete(&mut self) {
        let ended = |exchange: &Exchange| exchange.traffic().request_ended.load(Ordering::Acquire);
        let early = self.exchange.as_mut().filter(|exchange| !ended(exchange));
        let error = early.map(|exchange| match exchange.outcome_mut().error.take() {
            Some(remark) => format!("{remark}; {BEFORE_THE_REQUEST}"),
            None => BEFORE_THE_REQUEST.to_owned(),
        });
        self.settle(OutcomeKind::Completed, error);
    }

    /// Starts the idle clock when nothing is there to relay, and reports when it has run out.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.idle_timeout;
        self.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout))).as_mut().poll(cx)
    }

    fn saw(&mut self, frame: &Frame<Bytes>) {
        if let (Some(data), Some(exchange)) = (frame.data_ref(), &self.exchange) {
            exchange.traffic().saw_response(data);
        }
        if let Some(idle) = &mut self.idle {
            idle.as_mut().reset(Instant::now() + self.idle_timeout);
        }
    }
}

impl Body for RelayedResponse {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.inner).poll_frame(cx) else {
            ready!(self.poll_idle(cx));
            let error = RelayError::Idle(self.idle_timeout);
            self.settle(OutcomeKind::TimedOut, Some(error.to_string()));
            return Poll::Ready(Some(Err(error)));
        };
        Poll::Ready(match polled {
            Some(Ok(frame)) => {
                self.saw(&frame);
                if frame.is_trailers() {
                    // The last frame of a body: hyper does not poll again.
                    self.complete();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = RelayError::from(error);
                self.settle(OutcomeKind::UpstreamFailed, Some(error.to_string()));
                Some(Err(error))
            }
            None => {
                self.complete();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RelayedResponse {
    /// hyper does not poll a body that says it is at its end, so a drop there is a completed response. Any other drop
    /// leaves the exchange to say that its client went away.
    fn drop(&mut self) {
        if self.inner.is_end_stream() {
            self.complete();
        }
    }
}

/// The body of any response Tollgate sends: its own words, or an upstream's.
pub enum Payload {
    Own(Full<Bytes>),
    Relayed(Box<RelayedResponse>),
}

impl Body for Payload {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        match self.get_mut() {
            Payload::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Payload::Relayed(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Own(body) => body.is_end_stream(),
            Payload::Relayed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Own(body) => body.size_hint(),
            Payload::Relayed(body) => body.size_hint(),
        }
    }
}
