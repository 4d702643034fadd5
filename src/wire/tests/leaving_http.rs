//! CONNECT and Upgrade: what happens to the bytes after the request, whether it is granted or refused.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWrite as _, AsyncWriteExt};

use super::{Inspected, Limits, R, Saw, answer, count, in_time};

/// Serves one request that asks to leave HTTP. If `accept`, the service answers `status` and then echoes 5 raw bytes.
async fn leave_http(first: &'static str, status: StatusCode, accept: bool) -> (String, Vec<Saw>) {
    let (mut client, server) = tokio::io::duplex(4096);
    let io = Inspected::new(server, Limits::default());
    let (handle, saw) = (io.handle(), Arc::new(Mutex::new(Vec::new())));
    let echo = Arc::new(Mutex::new(None));
    let service = service_fn(|mut request: Request<Incoming>| {
        let (handle, saw, echo) = (handle.clone(), Arc::clone(&saw), Arc::clone(&echo));
        async move {
            if !matches!(request.uri().to_string().as_str(), "/up" | "a.test:443") {
                return answer(request, handle, saw).await;
            }
            if accept {
                *echo.lock().unwrap() = Some(hyper::upgrade::on(&mut request));
                handle.set_opaque();
            }
            let mut response = Response::new(Full::default());
            *response.status_mut() = status;
            Ok(response)
        }
    });
    let serve = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades();
    let serve = async {
        let _ = serve.await;
        let upgrade = echo.lock().unwrap().take();
        if let Some(upgrade) = upgrade {
            let mut raw = TokioIo::new(upgrade.await.unwrap());
            let mut bytes = [0; 5];
            raw.read_exact(&mut bytes).await.unwrap();
            raw.write_all(&bytes).await.unwrap();
            raw.shutdown().await.unwrap();
        }
    };
    let talk = async {
        client.write_all(first.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        String::from_utf8_lossy(&got).into_owned()
    };
    let (got, ()) = in_time(async { tokio::join!(talk, serve) }).await;
    let saw = saw.lock().unwrap().clone();
    (got, saw)
}

#[tokio::test]
async fn after_connect_and_upgrade_bytes_pass_unchanged_even_those_sent_early() {
    let (got, _) =
        leave_http("CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01\n\n", StatusCode::OK, true).await;
    assert!(got.starts_with("HTTP/1.1 200 OK") && got.ends_with("\r\n\r\n\x16\x03\x01\n\n"), "{got:?}");
    let upgrade = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x01\r\n\r\n";
    let (got, _) = leave_http(upgrade, StatusCode::SWITCHING_PROTOCOLS, true).await;
    assert!(got.starts_with("HTTP/1.1 101") && got.ends_with("\r\n\r\n\x01\r\n\r\n"), "{got:?}");
}

#[tokio::test]
async fn after_a_refused_connect_or_upgrade_the_next_bytes_are_a_request_head_again() {
    for first in [
        "CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /up HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        let (got, saw) = leave_http(first, StatusCode::FORBIDDEN, false).await;
        let refused =
            Saw::Violation { reason: R::RepeatedHost, target: Some("/next".to_owned()), user_agents: Vec::new() };
        assert_eq!(saw, [refused]);
        assert_eq!((count(&got, "HTTP/1.1 403"), count(&got, "HTTP/1.1 400")), (1, 1), "{got}");
    }
}

/// A task of the runtime whose waker is kept stays in memory after it has ended.
#[tokio::test]
async fn a_stream_that_was_taken_out_keeps_no_task_in_memory() {
    struct Task;
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let task = Arc::new(Task);
    let (_client, server) = tokio::io::duplex(64);
    let mut io = Inspected::new(server, Limits::default());
    let handle = io.handle();
    let flush = |io: &mut Inspected<_>| {
        Pin::new(io).poll_flush(&mut Context::from_waker(&Arc::clone(&task).into())).map(Result::unwrap)
    };
    assert_eq!(flush(&mut io), Poll::Ready(()));
    assert_eq!(Arc::strong_count(&task), 2, "an interim response would wake it");
    handle.set_opaque();
    assert_eq!(flush(&mut io), Poll::Ready(()), "the CONNECT's own response is written");
    drop(io.into_inner());
    assert_eq!(Arc::strong_count(&task), 1);
    drop(handle);
}
