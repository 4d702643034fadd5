//! Upstreams: blocking servers on loopback that log every request they got, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A request as it reached an origin.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Field lines as they came, without their ends.
    pub fields: Vec<String>,
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of the first field with this name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A complete response with a length.
pub fn respond(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// A CA for origins and the certificates it signs.
pub struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl TestCa {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("Test origin CA {}", uuid::Uuid::new_v4());
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn write_pem(&self, path: &PathBuf) {
        std::fs::write(path, &self.pem).unwrap();
    }

    /// A server configuration with a certificate for these names.
    pub fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.server_with(&named(names))
    }

    /// A server configuration with a certificate made from `params`.
    pub fn server_with(&self, params: &CertificateParams) -> Arc<ServerConfig> {
        self.server_for(params, rustls::ALL_VERSIONS, None)
    }

    /// A server that speaks no TLS newer than 1.2.
    pub fn server_of_tls12(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.server_for(&named(names), &[&rustls::version::TLS12], None)
    }

    /// A server that serves nobody without a certificate of `clients`.
    pub fn server_for_clients_of(&self, names: &[&str], clients: &Self) -> Arc<ServerConfig> {
        self.server_for(&named(names), rustls::ALL_VERSIONS, Some(clients))
    }

    fn server_for(
        &self,
        params: &CertificateParams,
        versions: &[&'static rustls::SupportedProtocolVersion],
        clients: Option<&Self>,
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }

    /// A certificate and its key, PEM, for a client of this name, valid for so many days from now on.
    pub fn client(&self, name: &str, days: u32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = named(&[name]);
        let end = std::time::SystemTime::now() + Duration::from_secs(24 * 60 * 60) * days;
        params.not_after = end.into();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn named(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

type Handler = dyn Fn(&Seen, &mut dyn Write) -> bool + Send + Sync;

/// A running upstream. It stops answering when it is dropped, but its port stays taken until the process ends.
pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepted: Arc<Mutex<usize>>,
}

impl Origin {
    /// Answers every request with 200 `hello`.
    pub fn http() -> Self {
        Self::serving(None, |_, stream| stream.write_all(&respond(200, "hello")).is_ok())
    }

    /// The same over TLS, for these names.
    pub fn https(ca: &TestCa, names: &[&str]) -> Self {
        Self::serving(Some(ca.server(names)), |_, stream| stream.write_all(&respond(200, "hello")).is_ok())
    }

    /// Gives each request to `handler`, which writes the response and says whether the connection is kept.
    pub fn serving(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Seen, &mut dyn Write) -> bool + Send + Sync + 'static,
    ) -> Self {
        let handler: Arc<Handler> = Arc::new(handler);
        Self::accepting(move |stream, seen| {
            let handler = Arc::clone(&handler);
            match &tls {
                Some(config) => {
                    let session = ServerConnection::new(Arc::clone(config)).unwrap();
                    converse(StreamOwned::new(session, stream), seen, &*handler);
                }
                None => converse(stream, seen, &*handler),
            }
        })
    }

    /// Gives each connection to `talk`, for protocols that are not HTTP.
    pub fn raw(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::accepting(move |stream, _| talk(stream))
    }

    /// The same inside TLS, which is ended as it should be.
    pub fn raw_tls(
        config: Arc<ServerConfig>,
        talk: impl Fn(&mut StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
    ) -> Self {
        Self::raw(move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            talk(&mut stream);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        })
    }

    fn accepting(talk: impl Fn(TcpStream, &Mutex<Vec<Seen>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let accepted = Arc::new(Mutex::new(0));
        let (log, count, talk) = (Arc::clone(&seen), Arc::clone(&accepted), Arc::new(talk));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *count.lock().unwrap() += 1;
                stream.set_nodelay(true).unwrap();
                let (log, talk) = (Arc::clone(&log), Arc::clone(&talk));
                thread::spawn(move || talk(stream, &log));
            }
        });
        Self { address, seen, accepted }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests that arrived whole, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were made, whatever came through them.
    pub fn connections(&self) -> usize {
        *self.accepted.lock().unwrap()
    }
}

fn converse<IO: Read + Write>(stream: IO, log: &Mutex<Vec<Seen>>, handler: &Handler) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read_request(&mut reader) {
        log.lock().unwrap().push(seen.clone());
        if !handler(&seen, reader.get_mut()) || reader.get_mut().flush().is_err() {
            return;
        }
    }
}

fn read_request<R: BufRead>(reader: &mut R) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut seen = Seen { method, target, fields: lines.split_off(1), body: Vec::new() };
    seen.body = if seen.field("transfer-encoding").is_some() {
        read_chunked(reader)?
    } else {
        let mut body = vec![0; seen.field("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        body
    };
    Some(seen)
}

/// A chunked body; trailer lines are kept at its end, each after a newline.
fn read_chunked<R: BufRead>(reader: &mut R) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..size]);
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            return Some(body);
        }
        body.push(b'\n');
        body.extend_from_slice(line.trim().as_bytes());
    }
}
