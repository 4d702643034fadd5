//! The unsealed tail: rows that are in the journal and not, or not only, in sealed files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::seqs::Runs;
use super::{Fault, Problem, VerifyError, at};
use crate::archive::manifest::Start;
use crate::journal::segment::{self, Damage};

/// What the journal holds.
pub(super) struct Tail {
    pub(super) seqs: BTreeMap<Start, Runs>,
    pub(super) rows: u64,
    pub(super) problems: Vec<Problem>,
}

/// Reads all segments. A copy may come without a journal.
pub(super) fn read(dir: &Path) -> Result<Tail, VerifyError> {
    let mut tail = Tail { seqs: BTreeMap::new(), rows: 0, problems: Vec::new() };
    let segments = match segment::list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(tail),
        listed => listed.map_err(at(dir))?,
    };
    let mut seqs: BTreeMap<Start, Vec<u64>> = BTreeMap::new();
    for path in segments {
        let place = format!("journal/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let contents = match segment::read(&path) {
            Ok(contents) => contents,
            // Sealed since it was listed.
            Err(_) if matches!(path.try_exists(), Ok(false)) => continue,
            Err(error) => {
                tail.problems.push(Problem { place, fault: Fault::Segment(error) });
                continue;
            }
        };
        // A torn end is what a segment being written looks like.
        let damaged = contents.damage.as_ref().map_or(0, Damage::corrupt_bytes);
        if damaged > 0 {
            tail.problems.push(Problem { place, fault: Fault::SegmentDamage(damaged) });
        }
        let writer = &contents.writer;
        let start = Start { instance_id: writer.instance_id.clone(), epoch: writer.epoch };
        seqs.entry(start).or_default().extend(contents.rows.iter().map(|row| row.seq));
    }
    for (start, mut seqs) in seqs {
        seqs.sort_unstable();
        seqs.dedup();
        tail.rows += seqs.len() as u64;
        tail.seqs.insert(start, Runs::of_sorted(&seqs));
    }
    Ok(tail)
}
