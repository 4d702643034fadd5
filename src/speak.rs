//! Speaking HTTP with a client: hyper with our limits, until the connection ends or the process stops. What the requests are
//! about is for the service to know.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::Limits;
use crate::observe::Payload;
use crate::scope::{HttpEnd, Scope};
use crate::wire::{HYPER_FIELDS_MAX, Inspected};

/// How long a connection on which nothing was asked yet is waited for when the process stops, so that it can be told.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(1);

/// Speaks HTTP/1 on a connection, giving each request to `service`.
pub async fn speak_http1<IO, S, F>(scope: Arc<Scope>, inspected: Inspected<IO>, service: S)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Arc<Scope>, Request<Incoming>) -> F,
    F: Future<Output = Response<Payload>> + Send,
{
    let serving = service_fn(|request| {
        // hyper keeps room for this future from one request to the next, so what takes much of it is in a box.
        let answered = Box::pin(service(Arc::clone(&scope), request));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1_within(&scope.gate.limits).serve_connection(TokioIo::new(inspected), serving);
    let mut connection = std::pin::pin!(connection.with_upgrades());
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = stopped(&scope) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    scope.ended(&HttpEnd::from(end));
}

fn http1_within(limits: &Limits) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive_timeout)
        .preserve_header_case(true)
        .auto_date_header(false)
        .max_header_size(limits.header_bytes_max)
        .max_buf_size(limits.header_bytes_max + 64 * 1024);
    if limits.header_fields_max != HYPER_FIELDS_MAX {
        builder.max_headers(limits.header_fields_max);
    }
    builder
}

/// Speaks HTTP/2 on a connection, giving each request to `service`.
pub async fn speak_http2<IO, S, F>(scope: Arc<Scope>, stream: IO, service: S)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Arc<Scope>, Request<Incoming>) -> F,
    F: Future<Output = Response<Payload>> + Send + 'static,
{
    let limits = &scope.gate.limits;
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive_timeout)
        .keep_alive_timeout(limits.keep_alive_timeout)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.http2_streams_max);
    let serving = service_fn(|request| {
        let answered = service(Arc::clone(&scope), request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), serving));
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = stopped(&scope) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    scope.ended(&HttpEnd::from(end));
}

/// Resolves when the process stops and this connection has had its chance to be answered.
async fn stopped(scope: &Scope) {
    // Unconstrained, so that the first time leaves a waker even when the task has used up its turn.
    let mut stopping = std::pin::pin!(tokio::task::unconstrained(scope.gate.stopping_for(Duration::ZERO)));
    let mut waits = false;
    poll_fn(|cx| {
        // A connection's task is polled some times for each call. It stays the same task, so that the waker which the first time
        // left is enough, and the later ones find out more cheaply.
        if waits && !scope.gate.is_stopping() {
            return Poll::Pending;
        }
        waits = true;
        stopping.as_mut().poll(cx)
    })
    .await;
    if scope.is_unused() {
        tokio::time::sleep(STOP_GRACE).await;
    }
}
