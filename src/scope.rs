//! What is known about a connection before any request on it, and the rows it leaves if there never is one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};

use crate::attribution::{Subject, attribute};
use crate::client::ClientIdentity;
use crate::destination::{Destination, Scheme};
use crate::gate::Gate;
use crate::observe::Exchange;
use crate::record::{DenyReason, Kind, OutcomeKind};
use crate::request::user_agents;
use crate::respond::Refusal;
use crate::wire::{SeenHead, WireHandle};

/// The tunnel a request came through.
#[derive(Clone)]
pub struct Tunnel {
    pub destination: Destination,
    /// The CONNECT authority as it was spelled.
    pub connect_host: String,
    /// What the payload turned out to be: TLS that was intercepted, or plain HTTP.
    pub scheme: Scheme,
    pub sni: Option<String>,
    /// The client, recognised when it sent the CONNECT.
    pub identity: Option<ClientIdentity>,
}

/// One HTTP connection, on a listener or inside a tunnel.
pub struct Scope {
    pub gate: Arc<Gate>,
    pub client: SocketAddr,
    /// Name of the listener that accepted the connection.
    pub listener: Arc<str>,
    /// Why nothing on this connection is served, when a limit was reached as it was accepted.
    pub turned_away: Option<&'static str>,
    pub tunnel: Option<Tunnel>,
    /// The inspector's side of an HTTP/1 connection.
    pub wire: Option<WireHandle>,
    /// The row this connection leaves if no request arrives on it.
    opening: Mutex<Option<Box<Exchange>>>,
    /// Held for the connection's life.
    pub permit: Arc<dyn std::any::Any + Send + Sync>,
}

impl Scope {
    /// A connection accepted on a listener.
    pub fn accepted(
        gate: Arc<Gate>,
        client: SocketAddr,
        listener: Arc<str>,
        turned_away: Option<&'static str>,
        permit: Arc<dyn std::any::Any + Send + Sync>,
    ) -> Self {
        let opening = Exchange::begin(&gate.recorder, Kind::Connect, client);
        Self {
            gate,
            client,
            listener,
            turned_away,
            tunnel: None,
            wire: None,
            opening: Mutex::new(Some(opening)),
            permit,
        }
    }

    /// The connection inside a tunnel of this one, which is done with. `opening` is the exchange of its CONNECT.
    #[must_use]
    pub fn inside(self: Arc<Self>, tunnel: Tunnel, opening: Box<Exchange>) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            client: self.client,
            listener: Arc::clone(&self.listener),
            turned_away: self.turned_away,
            tunnel: Some(tunnel),
            wire: None,
            opening: Mutex::new(Some(opening)),
            permit: Arc::clone(&self.permit),
        }
    }

    /// Begins the exchange of a request. The connection has left its row from now on.
    pub fn begin(&self) -> Box<Exchange> {
        if let Some(opening) = self.take_opening() {
            opening.superseded();
        }
        let kind = match &self.tunnel {
            Some(Tunnel { scheme: Scheme::Https, .. }) => Kind::Intercepted,
            Some(Tunnel { scheme: Scheme::Http, .. }) | None => Kind::Http,
        };
        let mut exchange = Exchange::begin(&self.gate.recorder, kind, self.client);
        if let Some(tunnel) = &self.tunnel {
            exchange.saw_client(tunnel.identity.as_ref().map(ClientIdentity::name));
            let intent = exchange.intent_mut();
            intent.connect_host = Some(tunnel.connect_host.clone());
            intent.sni.clone_from(&tunnel.sni);
            intent.scheme = Some(tunnel.scheme.as_str().to_owned());
            intent.host = Some(tunnel.destination.host.to_string());
            intent.port = Some(tunnel.destination.port);
        }
        exchange
    }

    /// Whether no request has arrived yet.
    pub fn is_unused(&self) -> bool {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why nothing can be served on this connection now, whatever is asked.
    pub fn turned_away(&self) -> Result<(), Refusal> {
        if let Some(limit) = self.turned_away {
            return Err(Refusal::Overloaded(limit));
        }
        if self.gate.is_stopping() {
            return Err(Refusal::Stopping);
        }
        Ok(self.gate.recorder.journal().admits()?)
    }

    /// The connection is over. If no request ever arrived, its row says how it ended.
    pub fn ended(&self, end: &HttpEnd) {
        let broken = |exchange: Box<Exchange>, outcome, text: String| drop(exchange.settle(outcome, Some(text)));
        match (self.take_opening(), end) {
            (None, HttpEnd::Malformed(text)) => malformed(self.begin(), text),
            (None, _) => {}
            (Some(opening), HttpEnd::Malformed(text)) => malformed(opening, text),
            (Some(opening), HttpEnd::TimedOut) => {
                broken(opening, OutcomeKind::TimedOut, "no request arrived (limits.keep_alive_timeout_s)".to_owned());
            }
            (Some(opening), HttpEnd::Closed(_)) if self.is_intercepted() => {
                let text = "the client closed right after its TLS handshake, without a request: clients on Node.js do so \
                            when they do not trust the interception CA; set NODE_EXTRA_CA_CERTS, as `tollgate kibana-config` prints";
                broken(opening, OutcomeKind::ClientRejectedCa, text.to_owned());
            }
            (Some(opening), HttpEnd::Closed(None)) => {
                broken(opening, OutcomeKind::ClientAborted, "closed before a request".to_owned());
            }
            (Some(opening), HttpEnd::Closed(Some(text))) => {
                broken(opening, OutcomeKind::ClientAborted, format!("closed before a request: {text}"));
            }
        }
    }

    /// Who a request is from, and for whom. The exchange has its claim also when the client is refused.
    pub fn recognise(
        &self,
        exchange: &mut Exchange,
        headers: &HeaderMap,
    ) -> Result<(Option<ClientIdentity>, Subject), Refusal> {
        let identity = match &self.tunnel {
            Some(tunnel) => Ok(tunnel.identity.clone()),
            None => self.gate.identify(&self.listener, self.client.ip(), headers),
        };
        let known = identity.as_ref().ok().and_then(Option::as_ref);
        let subject = attribute(user_agents(headers), known);
        exchange.attributed_to(&subject);
        let identity = identity?;
        if self.gate.identity.refuse_unbound_claims && subject.is_unbound_claim(identity.as_ref()) {
            return Err(Refusal::UnboundClaim);
        }
        Ok((identity, subject))
    }

    /// Who sent a head that was refused before it became a request, as far as it can be read.
    pub fn recognise_refused(&self, exchange: &mut Exchange, seen: &SeenHead) {
        let mut credentials = HeaderMap::new();
        for name in self.gate.clients.credential_headers() {
            for value in seen.values(name.as_str()).filter_map(|value| HeaderValue::from_bytes(value).ok()) {
                credentials.append(name, value);
            }
        }
        let identity = match &self.tunnel {
            Some(tunnel) => tunnel.identity.clone(),
            None => self.gate.identify(&self.listener, self.client.ip(), &credentials).ok().flatten(),
        };
        exchange.attributed_to(&attribute(seen.values("user-agent"), identity.as_ref()));
    }

    /// Takes the exchange that stands for the connection itself.
    pub fn take_opening(&self) -> Option<Box<Exchange>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_intercepted(&self) -> bool {
        matches!(&self.tunnel, Some(tunnel) if tunnel.scheme == Scheme::Https)
    }
}

/// hyper has answered already; the row says with what.
fn malformed(mut exchange: Box<Exchange>, text: &str) {
    exchange.refused_for(DenyReason::MalformedRequest);
    exchange.outcome_mut().status = Some(http::StatusCode::BAD_REQUEST.as_u16());
    drop(exchange.settle(OutcomeKind::Denied, Some(text.to_owned())));
}

/// How an HTTP connection with a client ended.
#[derive(Debug)]
pub enum HttpEnd {
    /// Closed, with hyper's words if it was not at a message's end.
    Closed(Option<String>),
    /// hyper answered 400 by itself: the head passed the inspector but not hyper.
    Malformed(String),
    /// No further request head in time.
    TimedOut,
}

impl From<hyper::Result<()>> for HttpEnd {
    fn from(end: hyper::Result<()>) -> Self {
        match end {
            Ok(()) => Self::Closed(None),
            Err(error) if error.is_timeout() => Self::TimedOut,
            Err(error) if error.is_parse() => Self::Malformed(error.to_string()),
            Err(error) => Self::Closed(Some(error.to_string())),
        }
    }
}
