//! Terminating the client's TLS: who signs the certificates it is shown.

pub mod authority;
