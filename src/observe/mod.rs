//! What is observed of an exchange. Redaction is in `redact`.

pub mod redact;
