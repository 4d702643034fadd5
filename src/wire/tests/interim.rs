//! Interim responses: they go out at once, before the response, and never inside another message.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Inspected, Limits, in_time};

const EARLY_HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

#[tokio::test]
async fn interim_responses_go_out_before_the_response_without_waiting_for_it() {
    let (mut client, server) = tokio::io::duplex(16);
    let io = Inspected::new(server, Limits::default());
    let handle = io.handle();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let released = Arc::new(Mutex::new(Some(released)));
    let service = service_fn(|_: Request<Incoming>| {
        let (handle, released) = (handle.clone(), released.lock().unwrap().take().unwrap());
        async move {
            // From another task, as an upstream connection would do it, while the connection has nothing to do.
            tokio::spawn(async move { assert!(handle.interim(EARLY_HINTS) && handle.interim(EARLY_HINTS)) });
            let _ = released.await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    });
    let serve = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service);
    let talk = async {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut hints = vec![0; EARLY_HINTS.len() * 2];
        client.read_exact(&mut hints).await.unwrap();
        assert_eq!(hints, EARLY_HINTS.repeat(2), "sent while the response is still awaited");
        release.send(()).unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("HTTP/1.1 200 OK") && rest.ends_with("\r\n\r\ndone"), "{rest}");
    };
    in_time(async { tokio::join!(talk, async { serve.await.unwrap() }) }).await;
}

#[tokio::test]
async fn an_interim_response_never_lands_inside_a_message_or_beyond_its_limit() {
    let (mut client, server) = tokio::io::duplex(1024);
    let mut io = Inspected::new(server, Limits { interim_bytes_max: EARLY_HINTS.len(), ..Limits::default() });
    let handle = io.handle();
    assert!(handle.interim(EARLY_HINTS));
    assert!(!handle.interim(b"x"), "over the limit");
    io.write_all(b"[one ").await.unwrap();
    assert!(handle.interim(EARLY_HINTS));
    io.write_all(b"message]").await.unwrap();
    io.flush().await.unwrap();
    assert!(handle.interim(EARLY_HINTS));
    io.flush().await.unwrap();
    drop(io);
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [EARLY_HINTS, b"[one message]", EARLY_HINTS].concat());
}
