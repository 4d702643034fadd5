//! A long way to the origin, a process of its own: a relay that delivers everything a fixed time later.
//!
//! The way is as long for the TCP handshake: what a client sends before a round trip has passed since it connected leaves
//! when it has. Bandwidth is not limited. Needs no rights, unlike delays made by the kernel.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::machine::{pin, pinned};
use crate::roles;

/// Argument by which the bench runs itself as the relay.
pub(crate) const ROLE: &str = "role:delay";
/// Pieces on their way in one direction; more wait with their sender.
const PIECES_MAX: usize = 1024;

/// What the relay is told.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Settings {
    pub(crate) cpus: Vec<usize>,
    /// On the loopback address.
    pub(crate) origin_port: u16,
    /// One way.
    pub(crate) delay_ms: u64,
}

/// A running relay; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Delay {
    pub(crate) port: u16,
    child: Child,
}

impl Delay {
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        let json = serde_json::to_string(settings)?;
        let mut child = pinned(&settings.cpus, || {
            let mut command = Command::new(std::env::current_exe()?);
            Ok(command.args([ROLE, &json]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
        })?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let port = line.trim().parse().context("the relay did not start")?;
        Ok(Self { port, child })
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the role until standard input is closed.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    pin(&settings.cpus)?;
    let settings = settings.clone();
    roles::until_stdin_closes(settings.cpus.len(), async move {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.origin_port));
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(relay(client, origin, Duration::from_millis(settings.delay_ms)));
        }
    })
}

async fn relay(client: TcpStream, origin: SocketAddr, delay: Duration) -> Result<()> {
    let established = Instant::now() + 2 * delay;
    let upstream = TcpStream::connect(origin).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let ((from_client, to_client), (from_origin, to_origin)) = (client.into_split(), upstream.into_split());
    tokio::spawn(carry(from_client, to_origin, delay, established));
    carry(from_origin, to_client, delay, established).await
}

/// One direction, its end included.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration, established: Instant) -> Result<()> {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    tokio::spawn(async move {
        while let Some((due, piece)) = under_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // The other side may be gone; that is its business.
        let _ = to.shutdown().await;
    });
    loop {
        let mut piece = vec![0; 64 * 1024];
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        piece.truncate(read);
        sender.send((Instant::now().max(established) + delay, piece)).await?;
    }
}
