//! Recognising Tollgate's own listeners, so that it never calls itself.

use std::net::{SocketAddr, UdpSocket};

/// The addresses Tollgate listens on.
pub(super) struct OwnListeners(Vec<SocketAddr>);

impl OwnListeners {
    pub(super) fn new(listeners: Vec<SocketAddr>) -> Self {
        Self(listeners)
    }

    /// Whether connecting to `peer` would reach a listener. One that listens on every address is reached by each address
    /// of this machine.
    pub(super) fn contains(&self, peer: SocketAddr) -> bool {
        self.0.iter().any(|own| {
            own.port() == peer.port()
                && (own.ip().to_canonical() == peer.ip().to_canonical()
                    || peer.ip().is_unspecified()
                    || (own.ip().is_unspecified() && is_local(peer)))
        })
    }
}

/// Only an address of this machine can be bound. Asked only when the port is ours, so hardly ever.
fn is_local(peer: SocketAddr) -> bool {
    UdpSocket::bind((peer.ip(), 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listeners: &[&str]) -> OwnListeners {
        OwnListeners::new(listeners.iter().map(|address| address.parse().unwrap()).collect())
    }

    fn peer(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn the_listener_itself_is_recognised_in_every_spelling() {
        let own = own(&["127.0.0.1:3128"]);
        assert!(own.contains(peer("127.0.0.1:3128")));
        assert!(own.contains(peer("[::ffff:127.0.0.1]:3128")));
        assert!(own.contains(peer("0.0.0.0:3128")));
        assert!(!own.contains(peer("127.0.0.1:3129")));
        assert!(!own.contains(peer("127.0.0.2:3128")));
    }

    #[test]
    fn a_listener_on_every_address_is_reached_by_each_local_one() {
        let own = own(&["0.0.0.0:3128"]);
        assert!(own.contains(peer("127.0.0.9:3128")));
        assert!(!own.contains(peer("192.0.2.1:3128")));
    }
}
