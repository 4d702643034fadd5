//! The origin, a process of its own: answers POSTs and bulk downloads, plain and over TLS, and checks what arrives.
//!
//! It prints its ports as one line of JSON and runs until its standard input is closed. How connections end is the
//! proxy's business; what is wrong with a request is answered with 500, which the client counts as a failure.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::machine::{pin, pinned};
use crate::roles;
use crate::wire::{BULK_BYTES, BULK_PATH, HOST, Head, answer_body, bulk_block, number_of};

/// Argument by which the bench runs itself as the origin.
pub(crate) const ROLE: &str = "role:origin";

/// What the origin is told.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Settings {
    pub(crate) cpus: Vec<usize>,
    /// Where the certificate of the CA that signed the origin's goes, PEM.
    pub(crate) ca_file: PathBuf,
    /// Session tickets for those who connect: with them a proxy without warm connections can resume.
    pub(crate) tickets: bool,
}

/// Where it listens.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) tls: u16,
}

/// A running origin; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) ports: Ports,
    child: Child,
}

impl Origin {
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        let json = serde_json::to_string(settings)?;
        let mut child = pinned(&settings.cpus, || {
            let mut command = Command::new(std::env::current_exe()?);
            Ok(command.args([ROLE, &json]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
        })?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let ports = serde_json::from_str(&line).context("the origin did not start")?;
        Ok(Self { ports, child })
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the role until standard input is closed.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    pin(&settings.cpus)?;
    let tls = TlsAcceptor::from(Arc::new(server_config(settings)?));
    let (plain, secure) = (listen()?, listen()?);
    let ports = Ports { plain: plain.local_addr()?.port(), tls: secure.local_addr()?.port() };
    println!("{}", serde_json::to_string(&ports)?);
    std::io::stdout().flush()?;
    roles::until_stdin_closes(settings.cpus.len(), async move {
        let block: Arc<[u8]> = bulk_block().into();
        tokio::try_join!(accept(plain, None, Arc::clone(&block)), accept(secure, Some(tls), block))?;
        Ok(())
    })
}

fn listen() -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&address.into())?;
    // A thousand connections may arrive before this process gets the CPU.
    socket.listen(8192)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn server_config(settings: &Settings) -> Result<ServerConfig> {
    let (ca_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Bench origin CA");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    write_certificate(&settings.ca_file, &params.self_signed(&ca_key)?.pem())?;
    let issuer = Issuer::new(params, ca_key);
    let mut params = CertificateParams::new(vec![HOST.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, HOST);
    // As public CAs write it; proxies that copy the certificate expect it.
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key)?;
    if settings.tickets {
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    } else {
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn write_certificate(path: &Path, pem: &str) -> Result<()> {
    fs::write(path, pem).with_context(|| format!("cannot write {}", path.display()))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, block: Arc<[u8]>) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, block) = (tls.clone(), Arc::clone(&block));
        tokio::spawn(async move {
            // How a connection ends is the client's business.
            let _ = match tls {
                None => answer_all(stream, &block).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => answer_all(stream, &block).await,
                    Err(error) => Err(error.into()),
                },
            };
        });
    }
}

async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, block: &[u8]) -> Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let head = loop {
            if let Some(head) = Head::parse(&buffer)? {
                break head;
            }
            ensure!(stream.read_buf(&mut buffer).await? > 0, "closed between requests");
        };
        let end = head.bytes + head.content_length.unwrap_or(0);
        while buffer.len() < end {
            ensure!(stream.read_buf(&mut buffer).await? > 0, "closed inside a request");
        }
        if head.first_line.starts_with("GET ") && head.first_line.contains(BULK_PATH) {
            bulk(&mut stream, block).await?;
        } else {
            let body = buffer.get(head.bytes..end).unwrap_or_default();
            stream.write_all(answer(&head, body).as_bytes()).await?;
        }
        stream.flush().await?;
        buffer.drain(..end);
        if !head.persistent {
            return Ok(stream.shutdown().await?);
        }
    }
}

fn answer(head: &Head, body: &[u8]) -> String {
    let (status, body) = match checked(head, body) {
        Ok(body) => ("200 OK", body),
        Err(error) => ("500 Not What Was Sent", error.to_string()),
    };
    let connection = if head.persistent { "" } else { "Connection: close\r\n" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{connection}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn checked(head: &Head, body: &[u8]) -> Result<String> {
    if !head.first_line.starts_with("POST ") {
        bail!("not a request of this bench: {}", head.first_line);
    }
    number_of(body).map(answer_body)
}

async fn bulk<S: AsyncWrite + Unpin>(stream: &mut S, block: &[u8]) -> Result<()> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {BULK_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut left = BULK_BYTES;
    while left > 0 {
        let piece = block.get(..left.min(block.len())).unwrap_or_default();
        stream.write_all(piece).await?;
        left -= piece.len();
    }
    Ok(())
}
