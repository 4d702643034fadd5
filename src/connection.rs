//! **The story**: one client connection, one exchange, top to bottom.
//!
//! `serve` takes an accepted socket. Requests to the proxy arrive in `listen`, which hands a CONNECT to
//! `tunnel`; requests inside a tunnel, and absolute-form ones, arrive in [`answer`]. `answer` begins the
//! exchange, `run` is the one straight line through all stages, and whatever comes of it is settled in `answer`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::client_stream::ClientStream;
use crate::observe::{CountedRequest, Exchange, Payload, RelayedResponse};
use crate::record::{Kind, OutcomeKind};
use crate::relay::relay;
use crate::request::ProxyRequest;
use crate::respond::{self, Addressee, Refusal};
use crate::scope::Scope;
use crate::speak::speak_http1;
use crate::tunnel;
use crate::upstream::identity::{Stripped, strip_fragment};
use crate::upstream::{UpstreamError, headers};
use crate::wire::Inspected;

/// Serves one connection to the proxy itself, until it closes or becomes a tunnel.
pub(crate) async fn serve(mut scope: Scope, stream: ClientStream) {
    let inspected = Inspected::new(stream, scope.gate.wire_limits());
    scope.wire = Some(inspected.handle());
    speak_http1(Arc::new(scope), inspected, listen).await;
}

/// A request to the proxy: CONNECT, or absolute-form.
async fn listen(scope: Arc<Scope>, request: Request<Incoming>) -> Response<Payload> {
    if *request.method() == Method::CONNECT {
        return tunnel::connect(scope, request).await;
    }
    answer(scope, request).await
}

/// One exchange: begun, run, and settled as relayed or refused.
pub async fn answer(scope: Arc<Scope>, request: Request<Incoming>) -> Response<Payload> {
    let mut exchange = scope.begin();
    match run(&scope, &mut exchange, request).await {
        Ok(relayed) => relayed.into_response(&scope, exchange),
        Err(refusal) => refuse(exchange, refusal).await,
    }
}

/// Ends an exchange that is not relayed. The caller is told when the row is as durable as configured; without storage it is
/// told at once that nothing is served, and the row waits in memory until there is some again.
pub async fn refuse(mut exchange: Box<Exchange>, refusal: Refusal) -> Response<Payload> {
    refusal.note(&mut exchange);
    let addressee = Addressee::of(&mut exchange);
    match exchange.settle_durably(refusal.outcome(), Some(refusal.to_string())).await {
        Ok(()) => respond::refused(&refusal, &addressee),
        Err(no_evidence) => respond::refused(&Refusal::NoEvidence(no_evidence), &addressee),
    }
}

/// Parse, attribute, decide, make the intent durable, forward.
async fn run(scope: &Scope, exchange: &mut Exchange, request: Request<Incoming>) -> Result<Relayed, Refusal> {
    let gate = &scope.gate;
    if let Some(violation) = scope.wire.as_ref().and_then(|wire| wire.violation(&request)) {
        if scope.tunnel.is_none() && violation.seen.method().as_deref() == Some(Method::CONNECT.as_str()) {
            exchange.is(Kind::Connect);
        }
        exchange.saw_violation(&violation.seen);
        scope.recognise_refused(exchange, &violation.seen);
        return Err(Refusal::Wire(violation.reason));
    }
    let (mut parts, body) = request.into_parts();
    exchange.saw_head(&parts);
    let proxied = match &scope.tunnel {
        Some(tunnel) => ProxyRequest::inside(&parts, &tunnel.destination, tunnel.scheme),
        None => ProxyRequest::absolute(&parts),
    };
    match &proxied {
        Ok(proxied) => exchange.saw_request(proxied, &parts),
        Err(error) => exchange.saw_request_error(error),
    }
    let (_, subject) = scope.recognise(exchange, &parts.headers)?;
    scope.turned_away()?;
    let proxied = proxied?;

    let permit = gate.policy.load().decide(&subject, &proxied.destination)?;
    exchange.permitted_by(&permit);
    let route = gate.upstream.route(permit, exchange.outcome_mut()).await?;

    let upgrade = headers::asks_for_upgrade(&parts.headers, parts.version);
    outgoing_head(&mut parts, &proxied, upgrade, scope);
    withhold_identity(&mut parts.headers, &proxied, scope, exchange);
    let counted = CountedRequest::new(body, Arc::clone(exchange.traffic()));
    let mut request = Box::new(Request::from_parts(parts, counted));
    let client_side = upgrade.then(|| hyper::upgrade::on(request.as_mut()));
    pass_on_interim_responses(&mut request, scope, proxied.version);

    let evidence = exchange.intend().await?;
    let forwarded = gate.upstream.forward(&route, &evidence, proxied.scheme, request, exchange.outcome_mut()).await;
    let response = forwarded.map_err(|error| blame(error, scope))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && client_side.is_none() {
        return Err(Refusal::Upstream(UpstreamError::SwitchedUnasked));
    }
    Ok(Relayed { response, client_side })
}

/// Turns the client's head into the one the upstream gets: same method, target, Host and end-to-end fields.
fn outgoing_head(parts: &mut http::request::Parts, proxied: &ProxyRequest, upgrade: bool, scope: &Scope) {
    parts.uri = proxied.target.clone();
    headers::strip_request(&mut parts.headers, upgrade);
    // Inside a tunnel too: what names a client to Tollgate is a secret between the two, wherever it is sent.
    headers::remove_all(&mut parts.headers, |name| scope.gate.clients.credential_headers().contains(name));
    headers::name_host(&mut parts.headers, &proxied.host_raw);
    if parts.version == Version::HTTP_2 {
        headers::from_http2(&mut parts.headers);
    }
    parts.version = Version::HTTP_11;
}

/// Takes the caller's id out of the User-Agent for destinations that need not learn it. The row keeps it.
fn withhold_identity(headers: &mut HeaderMap, proxied: &ProxyRequest, scope: &Scope, exchange: &mut Exchange) {
    if !scope.gate.identity.hides_from(&proxied.destination) {
        return;
    }
    match strip_fragment(headers, proxied.query()) {
        Stripped::Absent | Stripped::Removed => {}
        Stripped::Signed => exchange.remark("the User-Agent is signed, so its Elastic fragment was sent"),
    }
}

/// Interim responses other than 100, which hyper answers itself, reach an HTTP/1.1 client as they come (RFC 9110 section 15.2).
fn pass_on_interim_responses(request: &mut Request<CountedRequest>, scope: &Scope, version: Version) {
    if let (Some(wire), Version::HTTP_11) = (scope.wire.clone(), version) {
        hyper::ext::on_informational(request, move |interim| {
            if let Some(bytes) = respond::interim(interim.status(), interim.headers()) {
                wire.interim(&bytes);
            }
        });
    }
}

/// A client whose body framing was refused half way is at fault for what then failed upstream.
fn blame(error: UpstreamError, scope: &Scope) -> Refusal {
    match scope.wire.as_ref().and_then(crate::wire::WireHandle::body_violation) {
        Some(reason) => Refusal::Wire(reason),
        None => Refusal::Upstream(error),
    }
}

/// An upstream's response head, about to be passed on.
struct Relayed {
    response: Response<Incoming>,
    client_side: Option<hyper::upgrade::OnUpgrade>,
}

impl Relayed {
    fn into_response(self, scope: &Scope, mut exchange: Box<Exchange>) -> Response<Payload> {
        let Self { mut response, client_side } = self;
        exchange.saw_response(response.status(), response.headers());
        let idle_timeout = scope.gate.limits.idle_timeout;
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        headers::strip_response(response.headers_mut(), switched);
        respond::date(response.headers_mut(), SystemTime::now());
        match (switched, client_side) {
            (true, Some(client_side)) => {
                if let Some(wire) = &scope.wire {
                    wire.set_opaque();
                }
                let upstream_side = hyper::upgrade::on(&mut response);
                tokio::spawn(relay_upgraded(exchange, client_side, upstream_side, idle_timeout));
                response.map(|_| Payload::Own(http_body_util::Full::default()))
            }
            _ => response.map(|body| Payload::Relayed(Box::new(RelayedResponse::new(body, exchange, idle_timeout)))),
        }
    }
}

/// Relays a connection that left HTTP (WebSocket and the like) and settles its exchange.
async fn relay_upgraded(
    exchange: Box<Exchange>,
    client_side: hyper::upgrade::OnUpgrade,
    upstream_side: hyper::upgrade::OnUpgrade,
    idle_timeout: Duration,
) {
    let traffic = Arc::clone(exchange.traffic());
    let (outcome, error) = match tokio::try_join!(client_side, upstream_side) {
        Ok((client, upstream)) => {
            relay(TokioIo::new(client), TokioIo::new(upstream), &traffic, idle_timeout).await.columns()
        }
        Err(error) => (OutcomeKind::ClientAborted, Some(error.to_string())),
    };
    drop(exchange.settle(outcome, error));
}
