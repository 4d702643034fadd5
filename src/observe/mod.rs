//! Watching an exchange without changing it: the [`Exchange`] guard, byte-counting bodies and redaction.
//!
//! Nothing here decides, resolves or dials.

pub mod body;
mod excerpt;
pub mod exchange;
pub mod recorder;
pub mod redact;
pub mod traffic;

pub use body::{CountedRequest, Payload, RelayedResponse};
pub use exchange::{Evidence, Exchange};
pub use recorder::Recorder;
pub use traffic::Traffic;
