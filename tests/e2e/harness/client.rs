//! Clients that send exactly the bytes a test gives them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::DEADLINE;

/// A response, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and fields as they came.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A connection that bytes are sent on and responses are read from.
pub struct Client<IO = TcpStream> {
    pub stream: IO,
    buffered: Vec<u8>,
}

/// TLS settings of a client that trusts the CA in `ca_pem` and offers these protocols by ALPN.
pub fn trusting(ca_pem: &Path, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A client inside an intercepted tunnel.
pub type Secured = Client<StreamOwned<ClientConnection, TcpStream>>;

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::ready(TcpStream::connect(address).unwrap())
    }

    /// Connects from one address of this machine, such as 127.0.0.2.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::ready(socket.into())
    }

    fn ready(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Sends a CONNECT and reads its answer.
    pub fn open(&mut self, authority: &str) -> Answer {
        self.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        self.answer_to("CONNECT")
    }

    /// Opens a tunnel and TLS inside it, trusting the CA in `ca_pem`, with `sni` as server name.
    pub fn secure(self, ca_pem: &Path, sni: &str) -> io::Result<Secured> {
        self.secure_with(ca_pem, sni, &[])
    }

    /// The same, offering protocols by ALPN.
    pub fn secure_with(self, ca_pem: &Path, sni: &str, alpn: &[&[u8]]) -> io::Result<Secured> {
        self.handshake(trusting(ca_pem, alpn), sni)
    }

    /// TLS whose ClientHello has no server name; the certificate must still be for `host`.
    pub fn secure_without_sni(self, ca_pem: &Path, host: &str) -> io::Result<Secured> {
        let mut config = Arc::unwrap_or_clone(trusting(ca_pem, &[]));
        config.enable_sni = false;
        self.handshake(Arc::new(config), host)
    }

    fn handshake(self, config: Arc<ClientConfig>, name: &str) -> io::Result<Secured> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(config, name).unwrap();
        let mut stream = self.stream;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Client::over(StreamOwned::new(session, stream)))
    }
}

impl<IO: Read + Write> Client<IO> {
    pub fn over(stream: IO) -> Self {
        Self { stream, buffered: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// Sends a request and reads its response.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let request = request.as_ref();
        self.send(request);
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.answer_to(&String::from_utf8_lossy(method))
    }

    /// Reads one response; the method decides whether it has a body.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        let head = self.until(b"\r\n\r\n");
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let bodiless = method == "HEAD" || (method == "CONNECT" && status == 200) || matches!(status, 101 | 204 | 304);
        if bodiless {
            return answer;
        }
        let body = if let Some(length) = answer.field("content-length") {
            self.exactly(length.parse().unwrap())
        } else if answer.field("transfer-encoding").is_some() {
            self.chunked()
        } else {
            self.rest()
        };
        answer.body = String::from_utf8(body).unwrap();
        answer
    }

    /// Reads up to and including `end`.
    pub fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffered.windows(end.len()).position(|window| window == end) {
                let rest = self.buffered.split_off(at + end.len());
                return std::mem::replace(&mut self.buffered, rest);
            }
            assert!(self.more() > 0, "closed after {:?}", String::from_utf8_lossy(&self.buffered));
        }
    }

    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffered.len() < count {
            assert!(self.more() > 0, "closed after {} of {count} bytes", self.buffered.len());
        }
        let rest = self.buffered.split_off(count);
        std::mem::replace(&mut self.buffered, rest)
    }

    /// Everything until the connection closes.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.buffered)
    }

    fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = String::from_utf8(self.until(b"\r\n")).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if size == 0 {
                while self.until(b"\r\n") != b"\r\n" {}
                return body;
            }
            body.extend(self.exactly(size));
            self.exactly(2);
        }
    }

    /// Reads once; 0 when the peer closed, with or without TLS's or TCP's ceremony.
    fn more(&mut self) -> usize {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(read) => {
                self.buffered.extend_from_slice(&chunk[..read]);
                read
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => 0,
            Err(error) => panic!("reading: {error}"),
        }
    }
}
