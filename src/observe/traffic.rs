//! What has passed of the bodies of one exchange so far: bytes, times and beginnings. The bodies fill it in as they stream.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use http::HeaderMap;
use tokio::sync::Notify;

use super::excerpt::Excerpt;

/// Bytes seen so far, shared with the bodies that count them.
#[derive(Debug, Default)]
pub struct Traffic {
    pub request_bytes: AtomicU64,
    pub response_bytes: AtomicU64,
    /// Beginnings of the bodies; absent when nothing of them is to be kept.
    pub request_excerpt: OnceLock<Mutex<Excerpt>>,
    pub response_excerpt: OnceLock<Mutex<Excerpt>>,
    /// The client's side of the exchange broke, so a failure upstream is a consequence, not a cause.
    pub client_broke: AtomicBool,
    /// All of the request body was read from the client.
    pub request_ended: AtomicBool,
    /// When request body bytes were last passed on.
    uploaded_at: Mutex<Option<Instant>>,
    over: Notify,
}

impl Traffic {
    /// When request body bytes were last passed on; `None` before the first.
    pub fn uploaded_at(&self) -> Option<Instant> {
        *self.uploaded_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the exchange has its outcome: the response was passed on, or will never be. For one caller.
    pub async fn over(&self) {
        self.over.notified().await;
    }

    /// The exchange has its outcome.
    pub(super) fn end(&self) {
        self.over.notify_one();
    }

    /// Part of the request body has passed.
    pub fn saw_request(&self, data: &[u8]) {
        self.request_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        *self.uploaded_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        keep(&self.request_excerpt, data);
    }

    /// Part of the response body has passed.
    pub fn saw_response(&self, data: &[u8]) {
        self.response_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        keep(&self.response_excerpt, data);
    }
}

fn keep(excerpt: &OnceLock<Mutex<Excerpt>>, data: &[u8]) {
    if let Some(excerpt) = excerpt.get() {
        excerpt.lock().unwrap_or_else(PoisonError::into_inner).saw(data);
    }
}

/// What is kept of a body.
pub(super) fn kept(excerpt: &OnceLock<Mutex<Excerpt>>) -> Option<String> {
    excerpt.get()?.lock().unwrap_or_else(PoisonError::into_inner).redacted()
}

/// Begins an excerpt of the body that these fields describe, when one is to be kept.
pub(super) fn begin_excerpt(excerpt: &OnceLock<Mutex<Excerpt>>, headers: &HeaderMap, bytes_max: usize) {
    if let Some(begun) = Excerpt::of(headers, bytes_max) {
        // A head is seen once, so there is none yet.
        let _ = excerpt.set(Mutex::new(begun));
    }
}
