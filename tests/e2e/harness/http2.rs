//! A client that speaks HTTP/2 inside an intercepted tunnel, one request at a time.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use super::{Client, DEADLINE, trusting};

/// An HTTP/2 connection. It makes progress only while a request is under way.
pub struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl Http2 {
    /// Over a client whose CONNECT was answered.
    pub fn over(client: Client, ca_pem: &Path, sni: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let config = trusting(ca_pem, &[b"h2"]);
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        client.stream.set_nonblocking(true).unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::from_std(client.stream).unwrap();
            let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            begin(stream).await
        });
        Self { runtime, sender }
    }

    /// Without TLS, as a client does that knows the server speaks HTTP/2 (RFC 9113 section 3.3).
    pub fn in_the_clear(client: Client) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        client.stream.set_nonblocking(true).unwrap();
        let sender = runtime.block_on(async { begin(TcpStream::from_std(client.stream).unwrap()).await });
        Self { runtime, sender }
    }

    /// Sends a GET whose `:authority` is that of `url`, with these fields besides; status and body.
    pub fn get(&mut self, url: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::get(url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (status, _, body) = self.ask(request.body(Full::default()).unwrap());
        (status, body)
    }

    /// Sends a request and reads its response whole.
    pub fn ask(&mut self, request: Request<Full<Bytes>>) -> (u16, HeaderMap, String) {
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let answering = async {
                sender.ready().await.unwrap();
                let (head, body) = sender.send_request(request).await.unwrap().into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
            };
            tokio::time::timeout(DEADLINE, answering).await.unwrap()
        })
    }
}

async fn begin<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: IO) -> SendRequest<Full<Bytes>> {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}
