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
        Self {
            scheme,
            destination: destination.clone(),
        }
    }
}

/// Bounds of the pool.
pub(super) struct PoolSettings {
    pub(super) idle_timeout: Duration,
    pub(super) idle_per_destination_max: usize,
    pub(super) idle_max: usize,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

#[derive(Default)]
struct Shelf {
    by_key: HashMap<Key, VecDeque<Idle>>,
    count: usize,
}

pub(super) struct Pool {
    settings: PoolSettings,
    shelf: Mutex<Shelf>,
}

impl Pool {
    pub(super) fn new(settings: PoolSettings) -> Self {
        Self {
            settings,
            shelf: Mutex::default(),
        }
    }

    /// The most recently used live connection, if any. Dead and over-aged ones met on the way are dropped.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let idle = self.pop(key)?;
            if idle.since.elapsed() < self.settings.idle_timeout && idle.connection.is_reusable() {
                return Some(idle.connection);
            }
        }
    }

    /// Shelves a connection as soon as its exchange is over, unless that ends it or the pool is full.
    pub(super) fn put_when_ready(self: Arc<Self>, key: Key, mut connection: Connection) {
        if connection.is_reusable() {
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
        let mut shelf = self.lock();
        let idle_timeout = self.settings.idle_timeout;
        for queue in shelf.by_key.values_mut() {
            queue.retain(|idle| idle.since.elapsed() < idle_timeout && idle.connection.is_reusable());
        }
        shelf.by_key.retain(|_, queue| !queue.is_empty());
        shelf.count = shelf.by_key.values().map(VecDeque::len).sum();
    }

    pub(super) fn clear(&self) {
        *self.lock() = Shelf::default();
    }

    fn pop(&self, key: &Key) -> Option<Idle> {
        let mut shelf = self.lock();
        let idle = shelf.by_key.get_mut(key)?.pop_back()?;
        shelf.count -= 1;
        Some(idle)
    }

    fn put(&self, key: Key, connection: Connection) {
        let mut shelf = self.lock();
        if shelf.count >= self.settings.idle_max {
            return;
        }
        let queue = shelf.by_key.entry(key).or_default();
        if queue.len() < self.settings.idle_per_destination_max {
            queue.push_back(Idle {
                connection,
                since: Instant::now(),
            });
            shelf.count += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
