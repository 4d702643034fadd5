//! Rows to Arrow record batches and back.
//!
//! Encoding and decoding go by column name, so the order of their statements carries no meaning. Both directions are
//! pure. A decoded row equals the encoded one exactly, except that the writer's epoch is not a column: it comes from
//! the file's metadata.

mod decode;
mod encode;

pub use decode::{DecodeError, Decoder};
pub use encode::encode;

#[cfg(test)]
mod tests;
