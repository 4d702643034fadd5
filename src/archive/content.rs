//! What a sealed file holds, read back from disk: its bytes' digest and size, and what its rows say.
//!
//! The sealer states it in a manifest; the verifier compares it with one. This module compares nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_schema::Schema;
use aws_lc_rs::digest::{Context, SHA256};

use super::canonical::{self, ForeignColumn};
use super::digest::Sha256;
use super::rows::DecodeError;
use super::sealed::{SealedError, SealedFile, guarded};
use crate::record::OutcomeKind;

const READ_BYTES: usize = 1 << 16;

/// The bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size in bytes.
    pub bytes: u64,
    pub sha256: Sha256,
}

impl Fingerprint {
    /// Reads the whole file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; READ_BYTES];
        let mut bytes = 0;
        loop {
            let read = file.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
                return Ok(Self { bytes, sha256: Sha256::finish(context) });
            };
            context.update(chunk);
            bytes += chunk.len() as u64;
        }
    }
}

/// A writer whose bytes are counted and hashed on their way.
pub(super) struct Hashed<W> {
    inner: W,
    context: Context,
    bytes: u64,
}

impl<W> Hashed<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    pub(super) fn finish(self) -> (W, Fingerprint) {
        (self.inner, Fingerprint { bytes: self.bytes, sha256: Sha256::finish(self.context) })
    }
}

impl<W: io::Write> io::Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.context.update(bytes.get(..written).unwrap_or(bytes));
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The rows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub epoch: u64,
    /// Leaf hash of every row, in file order.
    pub leaves: Vec<Sha256>,
    /// Every `seq`, ascending.
    pub seqs: Vec<u64>,
    /// Smallest and largest `event_time`; `None` without rows.
    pub event_times: Option<(i64, i64)>,
    pub schema: Sha256,
    /// Distinct values of `policy_hash`, sorted.
    pub policy_hashes: BTreeSet<String>,
    /// Rows that stand for lost records.
    pub gaps: u64,
}

impl Content {
    /// Decodes every row. Callers that do not trust the file check its [`Fingerprint`] first.
    pub fn read(path: &Path) -> Result<Self, SealedError> {
        guarded(|| {
            let file = SealedFile::open(path)?;
            let reader = file.reader(false)?;
            let mut content = Self::empty(file.epoch(), reader.schema())?;
            for batch in reader.build()? {
                content.add(&batch?)?;
            }
            Ok(content.complete())
        })
    }

    /// What a file of this epoch and schema holds before its first row.
    pub(super) fn empty(epoch: u64, schema: &Schema) -> Result<Self, ForeignColumn> {
        Ok(Self {
            epoch,
            leaves: Vec::new(),
            seqs: Vec::new(),
            event_times: None,
            schema: canonical::schema_fingerprint(schema)?,
            policy_hashes: BTreeSet::new(),
            gaps: 0,
        })
    }

    /// Every row was added.
    #[must_use]
    pub(super) fn complete(mut self) -> Self {
        self.seqs.sort_unstable();
        self
    }

    /// Smallest and largest `seq`; `None` without rows.
    #[must_use]
    pub fn seq_range(&self) -> Option<RangeInclusive<u64>> {
        Some(*self.seqs.first()?..=*self.seqs.last()?)
    }

    /// Adds the rows of a batch, in file order.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), SealedError> {
        self.leaves.extend(canonical::leaves(batch)?);
        let column = |name| batch.column_by_name(name).ok_or(DecodeError::MissingColumn(name));
        let seqs = column("seq")?.as_primitive_opt::<Int64Type>().ok_or(DecodeError::WrongType("seq"))?;
        self.seqs.extend(seqs.values().iter().map(|seq| *seq as u64));
        let times = column("event_time")?.as_primitive_opt::<TimestampMicrosecondType>();
        for time_us in times.ok_or(DecodeError::WrongType("event_time"))?.values() {
            let (first, last) = self.event_times.unwrap_or((*time_us, *time_us));
            self.event_times = Some((first.min(*time_us), last.max(*time_us)));
        }
        let policies = column("policy_hash")?.as_string_opt::<i32>().ok_or(DecodeError::WrongType("policy_hash"))?;
        for policy in policies.iter().flatten() {
            if !self.policy_hashes.contains(policy) {
                self.policy_hashes.insert(policy.to_owned());
            }
        }
        let outcomes = column("outcome")?.as_string_opt::<i32>().ok_or(DecodeError::WrongType("outcome"))?;
        self.gaps += outcomes.iter().flatten().filter(|outcome| *outcome == OutcomeKind::Gap.code()).count() as u64;
        Ok(())
    }
}
