//! Names to addresses: pinned names, a bounded cache, and the system's resolver (which honours `/etc/hosts`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::destination::{Host, HostName};

use super::UpstreamError;

/// Limits of name resolution.
pub struct ResolverSettings {
    /// Names that are not looked up but taken from here (`--resolve`).
    pub pinned: HashMap<Host, Vec<IpAddr>>,
    pub timeout: Duration,
    pub cache_ttl: Duration,
    pub cache_entries: usize,
    /// Lookups under way at once; each occupies a thread.
    pub in_flight_max: usize,
}

struct Cached {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

pub(super) struct Resolver {
    settings: ResolverSettings,
    cache: Mutex<HashMap<HostName, Cached>>,
    in_flight: Semaphore,
}

impl Resolver {
    pub(super) fn new(settings: ResolverSettings) -> Self {
        let in_flight = Semaphore::new(settings.in_flight_max);
        Self { settings, cache: Mutex::default(), in_flight }
    }

    /// All addresses of a host, as the resolver ordered them. Never empty.
    pub(super) async fn resolve(&self, host: &Host) -> Result<Arc<[IpAddr]>, UpstreamError> {
        let name = match host {
            Host::Ip(address) => return Ok(Arc::from([*address])),
            Host::Name(name) => name,
        };
        if let Some(pinned) = self.settings.pinned.get(host) {
            return Ok(pinned.as_slice().into());
        }
        if let Some(cached) = self.cached(name) {
            return Ok(cached);
        }
        let addresses = tokio::time::timeout(self.settings.timeout, self.look_up(name)).await.map_err(|_| {
            UpstreamError::ResolveTimedOut { host: name.as_str().to_owned(), timeout: self.settings.timeout }
        })??;
        self.remember(name, &addresses);
        Ok(addresses)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks for names")]
    async fn look_up(&self, name: &HostName) -> Result<Arc<[IpAddr]>, UpstreamError> {
        let _slot = self.in_flight.acquire().await.map_err(|_| UpstreamError::ResolverBusy)?;
        let unresolved = |reason: String| UpstreamError::Unresolved { host: name.as_str().to_owned(), reason };
        let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|error| unresolved(error.to_string()))?;
        let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        addresses.dedup();
        if addresses.is_empty() { Err(unresolved("no addresses".to_owned())) } else { Ok(addresses.into()) }
    }

    fn cached(&self, name: &HostName) -> Option<Arc<[IpAddr]>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(name).filter(|entry| entry.until > Instant::now()).map(|entry| Arc::clone(&entry.addresses))
    }

    fn remember(&self, name: &HostName, addresses: &Arc<[IpAddr]>) {
        let now = Instant::now();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= self.settings.cache_entries {
            cache.retain(|_, entry| entry.until > now);
        }
        if cache.len() < self.settings.cache_entries {
            let until = now + self.settings.cache_ttl;
            cache.insert(name.clone(), Cached { addresses: Arc::clone(addresses), until });
        }
    }
}
