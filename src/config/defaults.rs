//! The values of keys that are not given. The reasons for the limits are in [`super::limits`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Loopback only: a proxy open to the network has to be asked for.
pub(super) const LISTENER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);
pub(super) const LISTENER_NAME: &str = "default";
pub(super) const DATA_DIR: &str = "tollgate-data";
pub(super) const CA_CERT_FILE: &str = "certs/ca.pem";
pub(super) const CA_KEY_FILE: &str = "certs/ca.key";
/// SMTP (25, 587, 2525) and SMTP over TLS (465): the server speaks first, so waiting for the client would be in vain.
pub(super) const TUNNEL_PORTS: [u16; 4] = [25, 465, 587, 2525];
pub(super) const LOG_LEVEL: &str = "info";
