//! CONNECT: judge what can be judged, answer, and look at what comes through.
//!
//! A destination that is intercepted is answered at once and judged request by request inside, where the caller can be
//! recognised and can read the refusal. One that is only relayed is judged, recorded and dialled before the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use crate::attribution::attribute;
use crate::client_stream::ClientStream;
use crate::connection::{answer, refuse};
use crate::destination::Scheme;
use crate::intercept::{InterceptError, Intercepted};
use crate::observe::{Exchange, Payload};
use crate::policy::Permit;
use crate::record::{DenyReason, Kind, OutcomeKind};
use crate::relay::relay;
use crate::request::connect_target;
use crate::respond::{self, Refusal};
use crate::rewound::Rewound;
use crate::scope::{Scope, Tunnel};
use crate::speak::{STOP_GRACE, speak_http1, speak_http2};
use crate::wire::Inspected;
use crate::wire::sniff::{Payload as Sniffed, SNIFF_BYTES_MAX, sniff};

/// Answers a CONNECT, and carries on in a task of its own where it is granted.
pub(crate) async fn connect(scope: Arc<Scope>, request: Request<Incoming>) -> Response<Payload> {
    let mut exchange = scope.begin();
    exchange.is(Kind::Connect);
    let (parts, body) = request.into_parts();
    exchange.saw_head(&parts);
    let granted = match grant(&scope, &mut exchange, &parts).await {
        Ok(granted) => granted,
        Err(refusal) => return refuse(exchange, refusal).await,
    };
    let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
    if let Some(wire) = &scope.wire {
        wire.set_opaque();
    }
    match granted {
        Granted::Intercept(tunnel) => drop(tokio::spawn(look_inside(scope, exchange, upgrade, tunnel))),
        Granted::Relay(upstream) => drop(tokio::spawn(relay_unseen(scope, exchange, upgrade, upstream))),
    }
    respond::established()
}

/// What a CONNECT was granted.
enum Granted {
    /// To be looked into; nothing is decided yet.
    Intercept(Tunnel),
    /// Relayed to this connection, which policy permitted and the journal knows.
    Relay(TcpStream),
}

/// Everything that can be refused before the answer.
async fn grant(scope: &Scope, exchange: &mut Exchange, parts: &http::request::Parts) -> Result<Granted, Refusal> {
    let target = connect_target(parts);
    match &target {
        Ok((destination, connect_host)) => exchange.saw_connect(destination, connect_host),
        Err(error) => exchange.saw_connect_error(error),
    }
    let (identity, subject) = scope.recognise(exchange, &parts.headers)?;
    scope.turned_away()?;
    let (destination, connect_host) = target?;
    if !scope.gate.is_tunnel(&destination) {
        let scheme = Scheme::Https;
        return Ok(Granted::Intercept(Tunnel { destination, connect_host, scheme, sni: None, identity }));
    }
    exchange.saw_tunnel(&destination);
    // The subject is known by the client, and by a User-Agent in the rare case that one is sent.
    let permit = scope.gate.policy.load().decide(&subject, &destination)?;
    dial(scope, exchange, permit).await.map(Granted::Relay)
}

/// Resolves, makes the intent durable, and connects.
async fn dial(scope: &Scope, exchange: &mut Exchange, permit: Permit) -> Result<TcpStream, Refusal> {
    exchange.permitted_by(&permit);
    let route = scope.gate.upstream.route(permit, exchange.outcome_mut()).await?;
    let evidence = exchange.intend().await?;
    Ok(scope.gate.upstream.open_tunnel(&route, &evidence, exchange.outcome_mut()).await?)
}

/// The client's stream itself, with what was read of it too early put back. `None` when the client is gone already.
async fn take_over(upgrade: OnUpgrade) -> Option<Rewound<ClientStream>> {
    let upgraded = upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<Inspected<ClientStream>>>().ok()?;
    let (stream, held) = parts.io.into_inner().into_inner();
    let early = if parts.read_buf.is_empty() { held } else { [parts.read_buf, held].concat().into() };
    Some(Rewound::new(stream, early))
}

/// Relays a tunnel into which nobody looks.
async fn relay_unseen(scope: Arc<Scope>, exchange: Box<Exchange>, upgrade: OnUpgrade, upstream: TcpStream) {
    if let Some(client) = take_over(upgrade).await {
        let (_permit, idle_timeout) = (Arc::clone(&scope.permit), scope.gate.limits.idle_timeout);
        // What was known of the connection is in the exchange.
        drop(scope);
        relay_settled(idle_timeout, exchange, client, upstream).await;
    }
}

async fn relay_settled(
    idle_timeout: Duration,
    mut exchange: Box<Exchange>,
    client: Rewound<ClientStream>,
    upstream: TcpStream,
) {
    exchange.outcome_mut().status = Some(http::StatusCode::OK.as_u16());
    let end = relay(client, upstream, exchange.traffic(), idle_timeout).await;
    let (outcome, error) = end.columns();
    drop(exchange.settle(outcome, error));
}

/// Finds out what the client sends through the tunnel and serves it.
///
/// A connection may rest here for long. Every step before that is in a box of its own, so that its room is free by then.
async fn look_inside(scope: Arc<Scope>, exchange: Box<Exchange>, upgrade: OnUpgrade, tunnel: Tunnel) {
    let Some(mut stream) = take_over(upgrade).await else {
        return;
    };
    match Box::pin(sniffed(&scope, &mut stream)).await {
        Ok(Sniffed::Tls) => intercept(scope, exchange, stream, tunnel).await,
        Ok(Sniffed::Http1) => {
            let inside = scope.inside(Tunnel { scheme: Scheme::Http, ..tunnel }, exchange);
            inspect(inside, stream).await;
        }
        Ok(Sniffed::Http2Preface) => {
            let inside = scope.inside(Tunnel { scheme: Scheme::Http, ..tunnel }, exchange);
            speak_http2(Arc::new(inside), stream, answer).await;
        }
        Ok(Sniffed::Unknown) => unknown_protocol(&scope, exchange, stream, &tunnel).await,
        Err((outcome, error)) => drop(exchange.settle(outcome, Some(error))),
    }
}

/// Reads until the payload is recognised, and puts what was read back.
async fn sniffed(scope: &Scope, stream: &mut Rewound<ClientStream>) -> Result<Sniffed, (OutcomeKind, String)> {
    let wait = scope.gate.limits.connect_wait;
    let mut seen = Vec::with_capacity(SNIFF_BYTES_MAX);
    let reading = async {
        loop {
            if let Some(payload) = sniff(&seen) {
                return Ok(payload);
            }
            let mut chunk = [0; SNIFF_BYTES_MAX];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => {
                    return Err((OutcomeKind::ClientAborted, "closed before anything came through".to_owned()));
                }
                Ok(read) => seen.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            }
        }
    };
    let recognised = tokio::select! {
        recognised = tokio::time::timeout(wait, reading) => recognised.unwrap_or_else(|_| {
            let text = format!(
                "nothing came through the tunnel for {wait:?} (limits.connect_wait_s); if the server speaks first, name \
                 this destination in tunnel_hosts"
            );
            Err((OutcomeKind::TimedOut, text))
        }),
        () = scope.gate.stopping_for(STOP_GRACE) => {
            Err((OutcomeKind::Interrupted, "Tollgate stopped before anything came through the tunnel".to_owned()))
        }
    };
    stream.put_back(Bytes::from(seen));
    recognised
}

/// Terminates the client's TLS and serves what is inside.
async fn intercept(scope: Arc<Scope>, mut exchange: Box<Exchange>, stream: Rewound<ClientStream>, mut tunnel: Tunnel) {
    let accepting = scope.gate.interceptor.accept(stream, &tunnel.destination.host, &mut tunnel.sni);
    let accepted = Box::pin(accepting).await;
    exchange.intent_mut().sni.clone_from(&tunnel.sni);
    match accepted {
        Ok(Intercepted { stream, http2: false }) => inspect(scope.inside(tunnel, exchange), stream).await,
        Ok(Intercepted { stream, http2: true }) => {
            speak_http2(Arc::new(scope.inside(tunnel, exchange)), stream, answer).await;
        }
        Err(error) => not_intercepted(exchange, &error),
    }
}

fn not_intercepted(mut exchange: Box<Exchange>, error: &InterceptError) {
    let outcome = match error {
        InterceptError::SniMismatch { .. } => {
            exchange.refused_for(DenyReason::SniMismatch);
            OutcomeKind::Denied
        }
        InterceptError::ClientRejectedCa(_) => OutcomeKind::ClientRejectedCa,
        InterceptError::TimedOut(_) => OutcomeKind::TimedOut,
        InterceptError::Handshake(_) | InterceptError::Leaf(_) => OutcomeKind::ClientAborted,
    };
    drop(exchange.settle(outcome, Some(error.to_string())));
}

async fn inspect<IO>(mut inside: Scope, stream: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let inspected = Inspected::new(stream, inside.gate.wire_limits());
    inside.wire = Some(inspected.handle());
    speak_http1(Arc::new(inside), inspected, answer).await;
}

/// Neither TLS nor HTTP. Refused when the policy is enforced; otherwise relayed, and recorded as what would be refused.
async fn unknown_protocol(scope: &Scope, mut exchange: Box<Exchange>, stream: Rewound<ClientStream>, tunnel: &Tunnel) {
    exchange.saw_tunnel(&tunnel.destination);
    let subject = attribute(std::iter::empty(), tunnel.identity.as_ref());
    exchange.attributed_to(&subject);
    let tolerated =
        scope.gate.policy.load().tolerate(&tunnel.destination, DenyReason::UnknownProtocol).map_err(Refusal::from);
    let dialled = match tolerated {
        Ok(permit) => Box::pin(dial(scope, &mut exchange, permit)).await,
        Err(refusal) => Err(refusal),
    };
    match dialled {
        Ok(upstream) => relay_settled(scope.gate.limits.idle_timeout, exchange, stream, upstream).await,
        // The tunnel is open and no protocol is shared in which to explain: the row does it.
        Err(refusal) => {
            refusal.note(&mut exchange);
            exchange.outcome_mut().status = None;
            drop(exchange.settle(refusal.outcome(), Some(refusal.to_string())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the future that such a function returns.
    const fn future_bytes<A, B, C, D, F>(_: &impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Tunnels rest for hours: what a step on the way there needs has no place in these futures. Most of the second is
    /// hyper's connection.
    #[test]
    fn a_tunnel_at_rest_holds_no_room_for_its_beginning() {
        let bytes = (future_bytes(&relay_unseen), future_bytes(&look_inside));
        assert!(bytes.0 <= 1024 && bytes.1 <= 3584, "{bytes:?}");
    }
}
