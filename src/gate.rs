//! What all connections share: the stages, ready to be used, and the limits.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::client::{ClientError, ClientIdentity, Clients, Facts};
use crate::config::{Identity, Limits, TunnelRules};
use crate::destination::Destination;
use crate::intercept::Interceptor;
use crate::observe::Recorder;
use crate::policy::Policy;
use crate::upstream::Upstream;

/// The stages and limits every connection uses.
pub struct Gate {
    /// Replaced as a whole on reload; an exchange keeps the one it was judged by.
    pub policy: ArcSwap<Policy>,
    pub tunnel_rules: TunnelRules,
    pub clients: Clients,
    pub identity: Identity,
    pub interceptor: Interceptor,
    pub upstream: Upstream,
    pub recorder: Arc<Recorder>,
    pub limits: Limits,
    /// Becomes true when the process is told to stop.
    pub stopping: watch::Receiver<bool>,
}

impl Gate {
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Resolves when the process has been stopping for as long as `grace`.
    pub async fn stopping_for(&self, grace: Duration) {
        let mut stopping = self.stopping.clone();
        // The sender lives as long as the server: an error means that it is gone, which is a stop, too.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(grace).await;
    }

    /// Whether a CONNECT is relayed without interception: by configured host, or because on its port the server speaks
    /// first and a proxy that waits for the client would wait for ever.
    pub fn is_tunnel(&self, destination: &Destination) -> bool {
        self.tunnel_rules.ports.contains(&destination.port)
            || self.tunnel_rules.hosts.iter().any(|pattern| pattern.matches(destination))
    }

    /// Recognises the client by its connection and the fields it sent to the proxy.
    pub fn identify(
        &self,
        listener: &str,
        peer_ip: std::net::IpAddr,
        headers: &http::HeaderMap,
    ) -> Result<Option<ClientIdentity>, ClientError> {
        let header = |name: &http::HeaderName| only(headers, name);
        let facts = Facts {
            listener,
            peer_ip: peer_ip.to_canonical(),
            proxy_authorization: only(headers, &http::header::PROXY_AUTHORIZATION),
            header: &header,
        };
        self.clients.identify(&facts).map(Option::<&ClientIdentity>::cloned)
    }

    pub fn wire_limits(&self) -> crate::wire::Limits {
        crate::wire::Limits {
            head_bytes_max: self.limits.header_bytes_max,
            head_fields_max: self.limits.header_fields_max,
            ..crate::wire::Limits::default()
        }
    }
}

/// The value of a field that is there exactly once.
fn only<'a>(headers: &'a http::HeaderMap, name: &http::HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}
