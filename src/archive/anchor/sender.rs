//! The thread that sends anchors. It is beside the sealing thread, because a command may take long and sealing must not
//! wait. Only the newest anchor counts: one that was not sent yet is replaced by the next.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::sinks::{Offer, Sink};

#[derive(Default)]
struct Slot {
    offer: Option<Offer>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    slot: Mutex<Slot>,
    wake: Condvar,
    failures: AtomicU64,
    sent: AtomicU64,
}

/// Takes anchors to be sent; cheap to clone.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

/// Handle of the sending thread.
pub struct Sender {
    outbox: Outbox,
    done: Receiver<()>,
}

impl Sender {
    /// Starts the thread. Receipts of commands go to `receipts_dir`.
    pub fn start(sinks: Vec<Sink>, receipts_dir: PathBuf) -> std::io::Result<Self> {
        let outbox = Outbox(Arc::default());
        let (finished, done) = mpsc::sync_channel(1);
        let work = outbox.clone();
        thread::Builder::new().name("anchors".to_owned()).spawn(move || {
            while let Some(offer) = work.0.next() {
                for (number, sink) in sinks.iter().enumerate() {
                    work.send(sink, &offer, number + 1, &receipts_dir);
                }
            }
            // Nobody listens unless `finish` was called.
            let _ = finished.send(());
        })?;
        Ok(Self { outbox, done })
    }

    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Sends what is left and ends the thread; `false` if that was not done by the deadline.
    #[must_use]
    pub fn finish(self, deadline: Instant) -> bool {
        self.outbox.0.update(|slot| slot.closed = true);
        let waited = self.done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        waited != Err(RecvTimeoutError::Timeout)
    }
}

impl Outbox {
    /// Hands over the anchor of a newer head: its index, its two lines, and when it was signed.
    pub fn put(&self, index: u64, bytes: Vec<u8>, time: String) {
        self.0.update(|slot| slot.offer = Some(Offer { index, bytes, time }));
    }

    /// Deliveries that failed, since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Deliveries that succeeded, since the start.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    fn send(&self, sink: &Sink, offer: &Offer, number: usize, receipts_dir: &std::path::Path) {
        match sink.send(offer, number, receipts_dir) {
            Ok(()) => {
                self.0.sent.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(index = offer.index, to = sink.name(), "anchored");
            }
            Err(error) => {
                self.0.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(index = offer.index, %error, "not anchored; tried again with the next head");
            }
        }
    }
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Slot)) {
        change(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    /// Waits for the next anchor; `None` once there is none and none will come.
    fn next(&self) -> Option<Offer> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(offer) = slot.offer.take() {
                return Some(offer);
            }
            if slot.closed {
                return None;
            }
            slot = self.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn the_newest_anchor_is_sent_everywhere_and_failures_are_counted() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("anchors");
        let sinks = vec![Sink::File(dir.path().join("no/anchors")), Sink::File(path.clone())];
        let sender = Sender::start(sinks, dir.path().to_owned()).expect("starts");
        let outbox = sender.outbox();
        outbox.put(7, b"a\nb\n".to_vec(), String::new());
        assert!(sender.finish(soon()));
        assert_eq!(fs::read(&path).expect("reads"), b"a\nb\n");
        assert_eq!((outbox.failures(), outbox.sent()), (1, 1));
    }

    #[test]
    fn finishing_does_not_wait_for_ever() {
        let dir = tempfile::tempdir().expect("temp dir");
        let args = vec!["-f".to_owned(), "/dev/null".to_owned()];
        let slow = Sink::Command { program: "tail".to_owned(), args, timeout: Duration::from_secs(2) };
        let sender = Sender::start(vec![slow], dir.path().to_owned()).expect("starts");
        sender.outbox().put(7, Vec::new(), String::new());
        assert!(!sender.finish(Instant::now() + Duration::from_millis(50)));
    }
}
