//! Everything outbound: resolve, check every address, dial, verify TLS, reuse connections, send.
//!
//! This is the only module that opens outbound sockets. A [`Route`] needs a `Permit`, and sending on it needs the
//! `Evidence` of a durable intent, so neither an unjudged nor an unrecorded request can leave.

pub mod address;
mod connection;
mod dial;
mod error;
pub mod identity;
pub mod headers;
mod opening;
mod own;
mod pool;
mod received;
mod replay;
mod resolve;
mod socket;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpStream;

pub use error::UpstreamError;
pub use resolve::ResolverSettings;
pub use tls::{
    ClientCertificate, ClientCertificateError, HostTls, TlsConfigError, TlsOptions, TlsSettings, TlsVersion,
};

use crate::destination::{Destination, Scheme};
use crate::observe::exchange::micros;
use crate::observe::{CountedRequest, Evidence, Traffic};
use crate::policy::Permit;
use crate::record::Outcome;

use connection::{Connection, HeadLimits, SendError};
use opening::Opening;
use own::OwnListeners;
use pool::{Key, Pool, PoolSettings};
use resolve::Resolver;

/// Limits and places of the outbound side.
pub struct Settings {
    pub resolver: ResolverSettings,
    pub tls: TlsSettings,
    /// Addresses allowed although their class is not public.
    pub allow_addresses: Vec<ipnet::IpNet>,
    /// Tollgate's own listeners, never dialled.
    pub own_listeners: Vec<SocketAddr>,
    /// For resolving, connecting and the TLS handshake together.
    pub dial_timeout: Duration,
    /// How long the upstream may be silent before its response head.
    pub response_head_timeout: Duration,
    /// How long a request body may go on after its response has ended.
    pub upload_after_response: Duration,
    pub header_fields_max: usize,
    pub header_bytes_max: usize,
    pub pool_idle_timeout: Duration,
    pub pool_idle_per_destination_max: usize,
    pub pool_idle_max: usize,
    /// Whether a spare connection is opened when a call finds all of its destination in use.
    pub pool_spare: bool,
}

/// The outbound side, shared by all connections.
pub struct Upstream {
    resolver: Resolver,
    allow_addresses: Vec<ipnet::IpNet>,
    own: OwnListeners,
    tls: tls::Profiles,
    pool: Arc<Pool>,
    settings: Timeouts,
}

struct Timeouts {
    dial: Duration,
    response_head: Duration,
    upload_after_response: Duration,
    head: HeadLimits,
}

/// A permitted destination whose addresses are known and allowed. Dialling uses these addresses and no others.
#[derive(Clone)]
pub struct Route {
    permit: Permit,
    addresses: Vec<IpAddr>,
    dial_deadline: Instant,
}

impl Route {
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    fn destination(&self) -> &Destination {
        self.permit.destination()
    }
}

impl Upstream {
    pub fn new(settings: Settings) -> Result<Self, TlsConfigError> {
        Ok(Self {
            resolver: Resolver::new(settings.resolver),
            allow_addresses: settings.allow_addresses,
            own: OwnListeners::new(settings.own_listeners),
            tls: tls::Profiles::new(&settings.tls)?,
            pool: Arc::new(Pool::new(PoolSettings {
                timeout: settings.pool_idle_timeout,
                per_destination_max: settings.pool_idle_per_destination_max,
                total_max: settings.pool_idle_max,
                spare: settings.pool_spare,
            })),
            settings: Timeouts {
                dial: settings.dial_timeout,
                response_head: settings.response_head_timeout,
                upload_after_response: settings.upload_after_response,
                head: HeadLimits { fields_max: settings.header_fields_max, bytes_max: settings.header_bytes_max },
            },
        })
    }

    /// Resolves what was permitted and checks every address. Nothing is sent to the destination.
    pub async fn route(&self, permit: Permit, learned: &mut Outcome) -> Result<Route, UpstreamError> {
        let started = Instant::now();
        let destination = permit.destination();
        let answers = self.resolver.resolve(&destination.host).await;
        learned.dns_us = Some(micros(started));
        let addresses = address::judge(&answers?, &self.allow_addresses)?;
        if addresses.iter().any(|address| self.own.contains(SocketAddr::new(*address, destination.port))) {
            return Err(UpstreamError::OwnListener(destination.clone()));
        }
        Ok(Route { permit, addresses, dial_deadline: started + self.settings.dial })
    }

    /// Sends a request whose intent is durable, on a pooled connection if one is alive, and returns the response head.
    ///
    /// A request is sent again on a new connection when hyper gave it back unsent, and once when it only reads and a reused
    /// connection ended without an answer; see `replay`. Nothing else that may have been processed is sent twice.
    ///
    /// A call that finds all connections of its destination in use opens its own, and a spare one for the next.
    pub async fn forward(
        &self,
        route: &Route,
        _evidence: &Evidence,
        scheme: Scheme,
        request: Box<Request<CountedRequest>>,
        learned: &mut Outcome,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let channel = self.channel(scheme, route.destination());
        let key = Key::new(route.destination(), channel.as_ref().map(|profile| profile.id()));
        let mut shelved = self.pool.take(&key);
        let spare = if shelved.is_none() { self.pool.warming(&key) } else { None };
        let mut request = request;
        while let Some(pooled) = shelved {
            pooled.facts().note(true, learned);
            let copy = replay::copy_of(&request);
            match (self.send(pooled, &key, request, learned).await, copy) {
                (Ok(response), _) => return Ok(response),
                (Err(SendError { unsent: Some(returned), .. }), _) => request = returned,
                (Err(SendError { unanswered: true, .. }), Some(copy)) => {
                    learned.error = Some(replay::SENT_TWICE.to_owned());
                    request = copy;
                    break;
                }
                (Err(SendError { error, .. }), _) => return Err(error),
            }
            shelved = self.pool.take(&key);
        }
        let opening = Opening { channel, limits: self.settings.head };
        // In a box, as most calls do without: what it takes to connect would make the future of each of them larger.
        let fresh = Box::pin(opening.open(route, self.pool.lease(&key), learned)).await?;
        if let Some(spare) = spare {
            tokio::spawn(opening.warm(route.clone(), spare));
        }
        self.send(fresh, &key, request, learned).await.map_err(|failed| failed.error)
    }

    /// Opens a plain connection for a tunnel whose intent is durable.
    pub async fn open_tunnel(
        &self,
        route: &Route,
        _evidence: &Evidence,
        learned: &mut Outcome,
    ) -> Result<TcpStream, UpstreamError> {
        let stream = opening::tcp(route, learned).await?;
        learned.upstream_reused = Some(false);
        Ok(stream)
    }

    /// Drops pooled connections that have been idle too long. Called now and then.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Drops every pooled connection, so that what is dialled next follows a new configuration.
    pub fn forget_connections(&self) {
        self.pool.clear();
    }

    async fn send(
        &self,
        mut connection: Connection,
        key: &Key,
        request: Box<Request<CountedRequest>>,
        learned: &mut Outcome,
    ) -> Result<Response<Incoming>, SendError> {
        let asked = Instant::now();
        let traffic = Arc::clone(request.body().traffic());
        let bound = headers::authenticates_connection(request.headers());
        let response = connection.send(request, &traffic, self.settings.response_head).await?;
        learned.first_byte_us = Some(micros(asked));
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            let reusable = !(bound || headers::authenticates_connection(response.headers()));
            self.keep(connection, reusable.then(|| key.clone()), traffic);
        }
        Ok(response)
    }

    /// Holds a connection until its exchange is over, and then shelves it if it may be used again, as `key`.
    fn keep(&self, connection: Connection, key: Option<Key>, traffic: Arc<Traffic>) {
        let (pool, upload_max) = (Arc::clone(&self.pool), self.settings.upload_after_response);
        match key {
            Some(key) if connection.is_ready() => pool.put(key, connection),
            key => drop(tokio::spawn(async move {
                if let (Some(connection), Some(key)) = (connection.finished(&traffic, upload_max).await, key) {
                    pool.put(key, connection);
                }
            })),
        }
    }

    /// The TLS options for a destination; `None` for plain HTTP.
    fn channel(&self, scheme: Scheme, destination: &Destination) -> Option<Arc<tls::Profile>> {
        match scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Arc::clone(self.tls.of(destination))),
        }
    }
}
