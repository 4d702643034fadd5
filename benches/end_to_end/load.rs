//! The load of the end-to-end bench: an origin that answers everything, and clients that call it. Blocking, a thread for
//! each connection; nothing here knows what lies between the two.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Result, anyhow, ensure};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// The origin's name.
pub(crate) const HOST: &str = "origin.test";
/// Clients that call at once.
pub(crate) const CLIENTS: usize = 8;
const BODY_BYTES: usize = 1024;
/// The last bytes of every request, by which the origin knows that it is complete.
const BODY_END: &[u8] = b"end.";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A certificate of the origin, written to `pem` for those who are to trust it.
pub(crate) fn origin_tls(pem: &Path) -> Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    fs::write(pem, made.cert.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    Ok(Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key)?))
}

/// Trusts these certificates, and never resumes a session.
pub(crate) fn client_tls(cas: &[PathBuf]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for ca in cas {
        roots.add(CertificateDer::from_pem_file(ca)?)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Answers every request on every connection, a thread each.
pub(crate) fn serve(tls: Option<Arc<ServerConfig>>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tls = tls.clone();
            // How a connection ends is the client's business.
            thread::spawn(move || answer_all(stream, tls).ok());
        }
    });
    Ok(address)
}

fn answer_all(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream: Box<dyn Stream> = match tls {
        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config)?, stream)),
        None => Box::new(stream),
    };
    loop {
        read_through(&mut stream, BODY_END)?;
        stream.write_all(RESPONSE)?;
    }
}

trait Stream: Read + Write {}
impl<IO: Read + Write> Stream for IO {}

/// Reads until what arrived ends with `end`.
fn read_through(stream: &mut impl Read, end: &[u8]) -> Result<Vec<u8>> {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    while !all.ends_with(end) {
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "closed after {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    Ok(all)
}

/// How one scenario's clients call.
pub(crate) struct Caller {
    pub(crate) proxy: Option<SocketAddr>,
    pub(crate) origin: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) keep_alive: bool,
}

impl Caller {
    fn open(&self) -> Result<Box<dyn Stream>> {
        let mut stream = TcpStream::connect(self.proxy.unwrap_or(self.origin))?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        if self.proxy.is_some() {
            let authority = format!("{HOST}:{}", self.origin.port());
            stream.write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes())?;
            expect_200(&mut stream, b"\r\n\r\n")?;
        }
        let session = ClientConnection::new(Arc::clone(tls), ServerName::try_from(HOST)?)?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }

    fn request(&self) -> Vec<u8> {
        let authority = format!("{HOST}:{}", self.origin.port());
        let absolute = self.tls.is_none() && self.proxy.is_some();
        let scheme_and_host = if absolute { format!("http://{authority}") } else { String::new() };
        let head = format!(
            "POST {scheme_and_host}/api/events HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             User-Agent: bench/1.0 elastic (deployment:bench)\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
        );
        [head.into_bytes(), vec![b'x'; BODY_BYTES - BODY_END.len()], BODY_END.to_vec()].concat()
    }

    /// Makes `count` calls one after the other; how long each took, connecting included.
    fn call(&self, count: usize) -> Result<Vec<Duration>> {
        let request = self.request();
        let mut kept = None;
        let mut latencies = Vec::with_capacity(count);
        for _ in 0..count {
            let started = Instant::now();
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => self.open()?,
            };
            stream.write_all(&request)?;
            expect_200(&mut stream, b"\r\n\r\nok")?;
            latencies.push(started.elapsed());
            kept = self.keep_alive.then_some(stream);
        }
        Ok(latencies)
    }
}

fn expect_200(stream: &mut impl Read, end: &[u8]) -> Result<()> {
    let answer = read_through(stream, end)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// All clients at once, `count` calls each.
pub(crate) fn run(caller: &Caller, count: usize) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| caller.call(count))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        Ok(all)
    })
}
