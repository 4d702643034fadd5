//! What a test is made of: a [`Gate`] (the binary under test), [`Origin`]s (upstreams that log what reached them) and
//! [`Client`]s that speak raw bytes, so that a test can say exactly what was on the wire.

mod client;
mod gate;
mod http2;
mod origin;

pub use client::{Answer, Client, Secured, trusting};
pub use gate::{Gate, GateBuilder, Row};
pub use http2::Http2;
pub use origin::{Origin, Seen, TestCa, respond};

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// How long anything that should happen may take. Generous, because the machine may be busy; nothing waits that long
/// unless it fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks until the answer is there.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Something an origin waits at, once for each time it is let through.
pub fn turnstile() -> (mpsc::Sender<()>, impl Fn() + Send + Sync + 'static) {
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    (sender, move || receiver.lock().unwrap().recv_timeout(DEADLINE).unwrap())
}
