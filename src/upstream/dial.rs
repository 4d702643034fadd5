//! Opening a TCP connection to one of the addresses that were checked, and to no other.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tokio::net::{TcpSocket, TcpStream};

use crate::destination::Destination;

use super::UpstreamError;

/// Tries the addresses in order, giving each an equal share of the time left, and returns the connection and its peer.
pub(super) async fn dial(
    addresses: &[IpAddr],
    destination: &Destination,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), UpstreamError> {
    let mut last = UpstreamError::DialTimedOut(destination.clone());
    for (position, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - position).unwrap_or(u32::MAX);
        let peer = SocketAddr::new(*address, destination.port);
        match tokio::time::timeout(share, connect(peer)).await {
            Ok(Ok(stream)) => return Ok((stream, peer)),
            Ok(Err(error)) => {
                last = UpstreamError::Unreachable { destination: destination.clone(), reason: error.to_string() };
            }
            Err(_) => last = UpstreamError::DialTimedOut(destination.clone()),
        }
    }
    Err(last)
}

#[expect(clippy::disallowed_methods, reason = "this is the one door outward")]
async fn connect(peer: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let stream = socket.connect(peer).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
