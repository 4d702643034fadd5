//! The writer thread while storage fails: give up the segment, tell who waits, and start anew when it works again.
//!
//! A segment is never synced again after an error: the kernel may have dropped the pages it could not write and report
//! success the next time. What was durable in it is copied to a new file of the same name; what was not is still in
//! memory and goes to the next segment.

use std::sync::Arc;
use std::time::Instant;

use super::log::{Failure, Log, Pending};
use super::platform::Platform;
use super::queue::Wake;
use super::roll::Tail;
use super::segment::{self, Ending, SegmentError};
use super::{Counters, NoEvidence, OnFailure};

impl<P: Platform> Log<P> {
    /// Gives up the tail. Intents that wait are refused; rows that wait keep their `seq` and stay.
    pub(super) fn fail(&mut self, failure: &Failure) {
        let meanwhile = match self.settings.on_failure {
            OnFailure::Refuse => "calls are refused until it can",
            OnFailure::Shutdown => "calls are refused and the process stops (audit.on_failure: shutdown)",
            OnFailure::Continue => "calls go on WITHOUT evidence until it can (audit.on_failure: continue)",
        };
        tracing::error!(error = %failure, "the audit journal cannot be written; {meanwhile}");
        let (intents, rows): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|pending| matches!(pending, Pending::Intent { .. }));
        self.pending = rows;
        for intent in &intents {
            if let Pending::Intent { event_id, .. } = intent {
                self.open.remove(event_id);
            }
        }
        self.open.extend(self.settling.drain(..));
        self.retired.extend(self.tail.take());
        // First the door, then those already inside: nobody told of the failure can find the journal still open.
        self.queue.fail(failure.to_string());
        for intent in intents {
            intent.answer(Err(NoEvidence::Failed));
        }
    }

    /// Waits a while and tries to write again.
    pub(super) fn retry(&mut self) -> Wake {
        let wake = self.queue.wait_for_retry(Instant::now() + self.settings.retry_gap);
        if wake == Wake::Stop {
            return wake;
        }
        let queue = Arc::clone(&self.queue);
        let _at_storage = queue.at_storage();
        match self.reopen() {
            Ok(()) => {
                let Counters { waived, lost, .. } = queue.counters();
                tracing::info!(waived, lost, "the audit journal is writable again; counted since start");
            }
            Err(failure) => {
                tracing::debug!(error = %failure, "the audit journal still cannot be written");
                self.queue.fail(failure.to_string());
            }
        }
        wake
    }

    /// Saves what was durable in the segments given up, then starts a segment with everything that is in memory.
    pub(super) fn reopen(&mut self) -> Result<(), Failure> {
        self.check_space(Instant::now())?;
        // An attempt that fails later on repeats this, with the same result.
        let rescues = self.retired.iter().map(rescue).collect::<Result<Vec<_>, _>>()?;
        let tail = self.start_segment()?;
        self.resume(tail, rescues);
        Ok(())
    }

    /// Everything that was in memory is durable in `tail`.
    fn resume(&mut self, mut tail: Tail, rescues: Vec<Rescue>) {
        let now_us = self.platform.now_us();
        tail.add_durable(self.pending.len() as u64, now_us);
        self.queue.count_commit(self.pending.len() as u64, tail.segment.length(), self.next_seq - 1);
        self.tail = Some(tail);

        for (retired, rescue) in std::mem::take(&mut self.retired).iter().zip(rescues) {
            match rescue {
                Rescue::NoRows => retired.remove(),
                Rescue::Saved { rows_lost } => {
                    self.queue.count_lost(rows_lost, now_us);
                    self.hand_over(retired.segment.path().to_owned());
                }
                Rescue::Unreadable => self.queue.count_lost(retired.durable_rows, now_us),
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for row in &pending {
            match row {
                Pending::Settled { event_id, .. } | Pending::Intent { event_id, .. } => self.open.remove(event_id),
            };
        }
        self.queue.recovered();
        self.queue.waiters().tell(pending);
    }
}

/// What became of the durable rows of a segment given up.
enum Rescue {
    /// It had none.
    NoRows,
    /// They are in a new file under the old name, except `rows_lost` of them.
    Saved { rows_lost: u64 },
    /// They cannot be read now. The file stays where it is; recovery tries again at the next start.
    Unreadable,
}

/// Copies the durable rows to a new file under the old name.
fn rescue(retired: &Tail) -> Result<Rescue, SegmentError> {
    if retired.durable_rows == 0 {
        return Ok(Rescue::NoRows);
    }
    let path = retired.segment.path();
    let bytes = match retired.segment.read_back(retired.durable_bytes) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "rows of the audit journal cannot be read back");
            return Ok(Rescue::Unreadable);
        }
    };
    let contents = match segment::parse(&bytes) {
        Ok(contents) => contents,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "rows of the audit journal cannot be read back");
            return Ok(Rescue::Unreadable);
        }
    };
    // Not closed: that would say that the open intents are in a later segment, and there is none yet.
    segment::replace(path, &contents, &contents.rows, Ending::Open)?;
    Ok(Rescue::Saved { rows_lost: retired.durable_rows.saturating_sub(contents.rows.len() as u64) })
}
