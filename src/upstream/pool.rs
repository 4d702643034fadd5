//! Idle upstream connections, shared by all client connections, bounded in number and age.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::destination::{Destination, Scheme};

use super::connection::Connection;

/// Connections are interchangeable when these are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    scheme: Scheme,
    destination: Destination,
}

impl Key {
    pub(super) fn new(scheme: Scheme, destination: &Destination) -> Self {
        Self { scheme, destination: destination.clone() }
    }
}

/// Bounds of the pool.
pub(super) struct PoolSettings {
    pub(super) timeout: Duration,
    pub(super) per_destination_max: usize,
    pub(super) total_max: usize,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

#[derive(Default)]
struct IdleConnections {
    by_key: HashMap<Key, VecDeque<Idle>>,
    count: usize,
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

    /// Shelves a connection as soon as its exchange is over, unless that ends it or the pool is full.
    pub(super) fn put_when_ready(self: Arc<Self>, key: Key, mut connection: Connection) {
        if connection.is_ready() {
            self.put(key, connection);
            return;
        }
        tokio::spawn(async move {
            if connection.becomes_ready().await {
                self.put(key, connection);
            }
        });
    }

    /// Drops what is over age or closed.
    pub(super) fn sweep(&self) {
        let mut idle = self.lock();
        let timeout = self.settings.timeout;
        for queue in idle.by_key.values_mut() {
            queue.retain(|kept| kept.since.elapsed() < timeout && kept.connection.is_reusable());
        }
        idle.by_key.retain(|_, queue| !queue.is_empty());
        idle.count = idle.by_key.values().map(VecDeque::len).sum();
    }

    pub(super) fn clear(&self) {
        *self.lock() = IdleConnections::default();
    }

    fn pop(&self, key: &Key) -> Option<Idle> {
        let mut idle = self.lock();
        let latest = idle.by_key.get_mut(key)?.pop_back()?;
        idle.count -= 1;
        Some(latest)
    }

    fn put(&self, key: Key, connection: Connection) {
        let mut idle = self.lock();
        if idle.count >= self.settings.total_max {
            return;
        }
        let queue = idle.by_key.entry(key).or_default();
        if queue.len() < self.settings.per_destination_max {
            queue.push_back(Idle { connection, since: Instant::now() });
            idle.count += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, IdleConnections> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
