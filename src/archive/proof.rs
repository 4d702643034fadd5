//! One row of a sealed file, and its place in the Merkle tree the chain states.

use std::path::Path;

use arrow_array::cast::AsArray;
use uuid::Uuid;

use super::canonical;
use super::digest::Sha256;
use super::rows::DecodeError;
use super::sealed::{self, SealedError, SealedFile, guarded};

/// A row that can be checked without the rest of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProof {
    /// Canonical form.
    pub row: String,
    /// The lines whose digest is the schema fingerprint.
    pub schema: String,
    /// Place among the rows, from 0.
    pub leaf: u64,
    /// RFC 6962 audit path.
    pub path: Vec<Sha256>,
}

/// The row with this event id, if the file has it.
pub fn find(path: &Path, event_id: Uuid) -> Result<Option<RowProof>, SealedError> {
    // One column tells whether the rest is worth reading.
    if !sealed::event_ids(path)?.contains(&event_id) {
        return Ok(None);
    }
    guarded(|| {
        let reader = SealedFile::open(path)?.reader(false)?;
        let schema = canonical::schema_lines(reader.schema())?;
        let (mut leaves, mut found) = (Vec::new(), None);
        let wanted = event_id.to_string();
        for batch in reader.build()? {
            let batch = batch?;
            let ids = batch.column_by_name("event_id").ok_or(DecodeError::MissingColumn("event_id"))?;
            let ids = ids.as_string_opt::<i32>().ok_or(DecodeError::WrongType("event_id"))?;
            if let Some(at) = ids.iter().position(|id| id == Some(wanted.as_str())) {
                let mut row = Vec::new();
                canonical::for_each_row(&batch, at..at + 1, |text| row = text.to_vec())?;
                found = Some((leaves.len() + at, row));
            }
            leaves.extend(canonical::leaves(&batch)?);
        }
        Ok(found.map(|(at, row)| RowProof {
            // Canonical rows are JSON texts.
            row: String::from_utf8_lossy(&row).into_owned(),
            schema,
            leaf: at as u64,
            path: canonical::audit_path(&leaves, at),
        }))
    })
}
