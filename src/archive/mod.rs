//! Closed journal segments to the Parquet dataset that query engines read.
//!
//! In data-flow order: [`sealer`] takes closed segments, [`seal`] splits their rows into files, `file` writes one file
//! durably, [`rows`] and [`schema`] say what is in it, [`dataset`] where it goes, [`sealed`] reads it back. Then
//! [`chain`] signs for the file: [`content`] reads what it holds, [`canonical`] hashes its rows, [`manifest`] is the
//! statement and [`signer`] the key. It deletes a segment once its rows are durable here; it never changes one.

pub mod canonical;
pub mod chain;
pub mod content;
pub mod dataset;
pub mod digest;
mod file;
pub mod manifest;
mod properties;
pub mod rows;
pub mod schema;
pub mod seal;
pub mod sealed;
pub mod sealer;
pub mod signer;

#[cfg(test)]
pub(crate) mod samples;

pub use file::FileError;
pub use seal::{SealError, Sealed, Settings};
pub use sealer::{Sealer, Status, Unsealed};
pub use signer::{KeyError, Signer};
