//! What the stream inside hyper and the service outside share about one client connection.
//!
//! hyper owns the stream while it serves, so the service talks to it through a [`WireHandle`]. This module holds the
//! shared values and the marker by which the synthetic request is recognised; it does not read or write the socket.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use http::Request;

use super::{Violation, ViolationReason};

/// Path of the synthetic request: 128 bits that this process drew and that never leave it. The hasher's keys come from
/// the operating system's random source.
static SYNTHETIC_PATH: LazyLock<String> = LazyLock::new(|| {
    let keys = RandomState::new();
    format!("/{:016x}{:016x}", keys.hash_one(0), keys.hash_one(1))
});

static SYNTHETIC_REQUEST: LazyLock<Bytes> = LazyLock::new(|| {
    let path = SYNTHETIC_PATH.as_str();
    Bytes::from(format!("GET {path} HTTP/1.1\r\nHost: malformed.invalid\r\nConnection: close\r\n\r\n"))
});

/// What hyper is given in place of a refused head.
pub(super) fn synthetic_request() -> &'static [u8] {
    &SYNTHETIC_REQUEST
}

/// The service's side of one inspected connection.
#[derive(Clone, Debug)]
pub struct WireHandle {
    shared: Arc<WireState>,
}

impl WireHandle {
    pub(super) fn new(shared: Arc<WireState>) -> Self {
        Self { shared }
    }

    /// The violation that this request stands for: `Some` only for the synthetic request that replaces a refused head, and
    /// only once. The service asks this before anything else; the response it then gives closes the
    /// connection.
    #[must_use]
    pub fn violation<B>(&self, request: &Request<B>) -> Option<Violation> {
        if !self.shared.refused.load(Ordering::Acquire) || request.uri().path() != SYNTHETIC_PATH.as_str() {
            return None;
        }
        self.shared.lock().violation.take()
    }

    /// Why the framing of a body was refused after its head had passed. The body then ends with an error from which
    /// [`ViolationReason::in_error`] gets the same reason.
    #[must_use]
    pub fn body_violation(&self) -> Option<ViolationReason> {
        self.shared.lock().body_violation
    }

    /// The connection leaves HTTP: everything after the CONNECT or Upgrade request passes unchanged.
    ///
    /// To be called before a 2xx response to CONNECT or a 101 response is returned to hyper. Bytes after such a request are
    /// held until then; any other response makes them the next request head. A client that pipelines the CONNECT behind
    /// an unanswered request makes that earlier response end the wait: its early bytes are then judged as HTTP.
    pub fn set_opaque(&self) {
        self.shared.opaque.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// Queues the bytes of an interim (1xx) response, head and empty line, for the client.
    ///
    /// Only to be called while the request's own response has not been handed to hyper, and not for HTTP/1.0 clients.
    /// Returns whether it was queued: it is dropped when more than `interim_bytes_max` would wait. It is dropped later if
    /// bytes of an earlier response are still being written, since it could then end up inside a message.
    pub fn interim(&self, response: &[u8]) -> bool {
        let mut slots = self.shared.lock();
        if slots.interim.len() + response.len() > self.shared.interim_bytes_max {
            return false;
        }
        slots.interim.extend_from_slice(response);
        self.shared.interim_waits.store(true, Ordering::Release);
        drop(slots);
        self.shared.wake();
        true
    }
}

/// Values that cross between service and stream. The flags spare the lock on every read and write.
#[derive(Debug)]
pub(super) struct WireState {
    interim_bytes_max: usize,
    opaque: AtomicBool,
    refused: AtomicBool,
    interim_waits: AtomicBool,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    violation: Option<Violation>,
    body_violation: Option<ViolationReason>,
    interim: BytesMut,
    /// The connection's task, when it last had nothing to do.
    task: Option<Waker>,
}

impl WireState {
    pub(super) fn new(interim_bytes_max: usize) -> Self {
        Self {
            interim_bytes_max,
            opaque: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            interim_waits: AtomicBool::new(false),
            slots: Mutex::default(),
        }
    }

    pub(super) fn refuse_head(&self, violation: Violation) {
        self.lock().violation = Some(violation);
        self.refused.store(true, Ordering::Release);
    }

    pub(super) fn refuse_body(&self, reason: ViolationReason) {
        self.lock().body_violation = Some(reason);
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.opaque.load(Ordering::Acquire)
    }

    /// The interim responses that wait, if any; they wait no longer.
    pub(super) fn take_interim(&self) -> Option<Bytes> {
        if !self.interim_waits.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(self.lock().interim.split().freeze())
    }

    /// Remembers the task to wake when the service changes something.
    pub(super) fn register(&self, waker: &Waker) {
        let mut slots = self.lock();
        if !slots.task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            slots.task = Some(waker.clone());
        }
    }

    /// There is nothing left to wake. A task that has ended stays in memory as long as somebody could wake it.
    pub(super) fn forget_task(&self) {
        self.lock().task = None;
    }

    pub(super) fn wake(&self) {
        let task = self.lock().task.take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// No code panics while it holds this lock, and every value in it is whole between two statements.
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
