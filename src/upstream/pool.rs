//! Idle upstream connections, shared by all client connections, bounded in number and age.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::destination::Destination;

use super::connection::Connection;
use super::tls::ProfileId;

/// Connections are interchangeable when these are equal: the same destination, spoken to plainly or with the same TLS options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    destination: Destination,
    tls: Option<ProfileId>,
}

impl Key {
    /// `tls` is `None` for plain HTTP.
    pub(super) fn new(destination: &Destination, tls: Option<ProfileId>) -> Self {
        Self { destination: destination.clone(), tls }
    }
}

/// Bounds of the pool.
pub(super) struct PoolSettings {
    pub(super) timeout: Duration,
    pub(super) per_destination_max: usize,
    pub(super) total_max: usize,
    /// Whether a spare connection is opened when all are in use.
    pub(super) spare: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The right to open one spare connection of a key; nobody else opens one meanwhile.
pub(super) struct Warming {
    pool: Arc<Pool>,
    key: Key,
}

impl Warming {
    /// Of the connection that is opened.
    pub(super) fn lease(&self) -> Lease {
        self.pool.lease(&self.key)
    }

    /// Shelves the spare connection.
    pub(super) fn done(self, connection: Connection) {
        self.pool.put(self.key.clone(), connection);
    }
}

impl Drop for Warming {
    fn drop(&mut self) {
        if let Some(place) = self.pool.lock().by_key.get_mut(&self.key) {
            place.warming = false;
        }
    }
}

/// The connections of one key.
#[derive(Default)]
struct Shelf {
    idle: VecDeque<Idle>,
    /// Held by each connection of the key, idle or in use.
    lease: Lease,
    /// A spare connection is being opened.
    warming: bool,
}

/// One of the connections that the pool knows of.
#[derive(Clone, Default)]
pub(super) struct Lease(Arc<()>);

#[derive(Default)]
struct IdleConnections {
    by_key: HashMap<Key, Shelf>,
    count: usize,
}

impl Shelf {
    /// Whether there is a connection of the key, idle or not.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.lease.0) > 1
    }
}

pub(super) struct Pool {
    settings: PoolSettings,
    idle: Mutex<IdleConnections>,
}

impl Pool {
    pub(super) fn new(settings: PoolSettings) -> Self {
        Self { settings, idle: Mutex::default() }
    }

    /// The most recently used live connection, if any. Dead and over-aged ones met on the way are dropped.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let idle = self.pop(key)?;
            if idle.since.elapsed() < self.settings.timeout && idle.connection.is_reusable() {
                return Some(idle.connection);
            }
        }
    }

    /// Drops what is over age or closed.
    pub(super) fn sweep(&self) {
        let mut idle = self.lock();
        let timeout = self.settings.timeout;
        for place in idle.by_key.values_mut() {
            place.idle.retain(|kept| kept.since.elapsed() < timeout && kept.connection.is_reusable());
        }
        idle.by_key.retain(|_, place| place.is_used());
        idle.count = idle.by_key.values().map(|place| place.idle.len()).sum();
    }

    /// Counts a connection about to be opened among those of its key.
    pub(super) fn lease(&self, key: &Key) -> Lease {
        self.lock().by_key.entry(key.clone()).or_default().lease.clone()
    }

    /// The right to open a spare connection, when all there are of this key are in use and nobody opens one yet.
    pub(super) fn warming(self: &Arc<Self>, key: &Key) -> Option<Warming> {
        let PoolSettings { spare, per_destination_max, total_max, .. } = self.settings;
        let mut idle = self.lock();
        if !spare || per_destination_max == 0 || idle.count >= total_max {
            return None;
        }
        let place =
            idle.by_key.get_mut(key).filter(|place| place.idle.is_empty() && place.is_used() && !place.warming)?;
        place.warming = true;
        Some(Warming { pool: Arc::clone(self), key: key.clone() })
    }

    pub(super) fn clear(&self) {
        *self.lock() = IdleConnections::default();
    }

    fn pop(&self, key: &Key) -> Option<Idle> {
        let mut idle = self.lock();
        let latest = idle.by_key.get_mut(key)?.idle.pop_back()?;
        idle.count -= 1;
        Some(latest)
    }

    /// Shelves a connection whose exchange is over, unless the pool is full.
    pub(super) fn put(&self, key: Key, connection: Connection) {
        let mut idle = self.lock();
        if idle.count >= self.settings.total_max {
            return;
        }
        let place = idle.by_key.entry(key).or_default();
        if place.idle.len() < self.settings.per_destination_max {
            place.idle.push_back(Idle { connection, since: Instant::now() });
            idle.count += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, IdleConnections> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tls::Profiles;
    use crate::upstream::{HostTls, TlsOptions, TlsSettings, TlsVersion};

    fn options(danger_skip_verify: bool) -> TlsOptions {
        TlsOptions {
            system_roots: false,
            ca_files: Vec::new(),
            version_min: TlsVersion::Tls12,
            client_certificate: None,
            danger_skip_verify,
        }
    }

    #[test]
    fn connections_of_one_destination_are_shared_only_under_the_same_options_of_the_same_load() {
        let hosts = vec!["*.a.test".parse().unwrap()];
        let settings = TlsSettings { default: options(true), hosts: vec![HostTls { hosts, options: options(true) }] };
        let destination = |text: &str| Destination::from_connect(text).unwrap();
        let (before, after) = (Profiles::new(&settings).unwrap(), Profiles::new(&settings).unwrap());
        let key = |profiles: &Profiles, text: &str| {
            let destination = destination(text);
            Key::new(&destination, Some(profiles.of(&destination).id()))
        };
        assert_eq!(key(&before, "x.a.test:443"), key(&before, "x.a.test:443"));
        assert_ne!(key(&before, "x.a.test:443"), key(&after, "x.a.test:443"), "the options were loaded again");
        assert_ne!(key(&before, "x.a.test:443"), Key::new(&destination("x.a.test:443"), None), "plain HTTP is another");
        let id = |text: &str| before.of(&destination(text)).id();
        assert_eq!(id("y.a.test:8443"), id("x.a.test:443"));
        assert_ne!(id("x.a.test:443"), id("a.test:443"), "the entry is not for a.test itself");
    }
}
