//! Closed journal segments to the Parquet dataset that query engines read.
//!
//! In data-flow order: [`sealer`] takes closed segments, [`seal`] splits their rows into files, `file` writes one file
//! durably, `batches` decodes its rows a few at a time, [`rows`] and [`schema`] say what is in it, [`dataset`] where it goes, [`sealed`] reads it back. Then
//! [`cover`] signs for the file: [`content`] reads what it holds, [`canonical`] hashes its rows. It deletes a segment
//! once its rows are durable here; it never changes one.
//!
//! Everything signed is an entry of one [`chain`]: [`statement`] is what an entry says, [`manifest`] its bytes,
//! [`entries`] the files it is in, [`signer`] the key and [`rotation`] its successor; other threads say things through
//! [`notes`]. Beside it, [`leaves`] keeps a short list of the rows of each sealed file.

pub mod anchor;
mod batches;
pub mod canonical;
pub mod chain;
pub mod content;
pub mod cover;
pub mod dataset;
pub mod digest;
pub mod entries;
mod file;
pub mod leaves;
pub mod maintenance;
pub mod manifest;
pub mod notes;
pub mod proof;
mod properties;
pub mod rotation;
pub mod rows;
pub mod schema;
pub mod seal;
pub mod sealed;
pub mod sealer;
pub mod signer;
pub mod statement;
mod watch;

#[cfg(test)]
pub(crate) mod samples;

pub use file::FileError;
pub use manifest::Start;
pub use notes::{Notes, NotesError};
pub use seal::{SealError, Sealed, Settings};
pub use sealer::{Opening, Sealer, SealingStatus, StartError, Status, Unsealed};
pub use signer::{KeyError, Signer};
pub use watch::{Disturbance, Watch, Watched};
