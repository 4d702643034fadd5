//! The writer thread: takes what is queued, gives rows their `seq`, commits in groups and closes segments in time.
//!
//! What happens after a storage failure is in `failover`. Nobody else writes to the journal while it runs.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::event_ids::ByEventId;
use super::frame::{FrameType, Payload, Seed};
use super::gap;
use super::pace::Pace;
use super::platform::Platform;
use super::queue::{Entry, Lost, Queue, Wake};
use super::roll::Tail;
use super::segment::{self, SegmentError, SegmentId};
use super::{CloseError, Durability, NoEvidence, OpenError, Settings};
use crate::record::Writer;

/// Least time between two looks at the free space.
pub(super) const SPACE_CHECK_GAP: Duration = Duration::from_secs(1);

/// Memory of the commit buffer kept from one commit to the next.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Why storage cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("cannot sync {}: {source}", path.display())]
    Sync { path: PathBuf, source: io::Error },
    #[error("cannot tell the free space of {}: {source}", dir.display())]
    Space { dir: PathBuf, source: io::Error },
    #[error("{} has {free} bytes free, less than free_bytes_min = {min}; free some space", dir.display())]
    Full { dir: PathBuf, free: u64, min: u64 },
}

/// A frame that was given to the segment and is not known to be durable.
#[derive(Debug)]
pub(super) enum Pending {
    Intent { event_id: Uuid, done: oneshot::Sender<Result<(), NoEvidence>> },
    Settled { seq: u64, event_id: Uuid, payload: Payload, done: oneshot::Sender<Result<(), NoEvidence>> },
}

impl Pending {
    /// Whether somebody waits to be told of it.
    pub(super) fn is_awaited(&self) -> bool {
        match self {
            Self::Intent { done, .. } | Self::Settled { done, .. } => !done.is_closed(),
        }
    }

    pub(super) fn answer(self, result: Result<(), NoEvidence>) {
        match self {
            // Whoever asked may have stopped waiting, which is fine.
            Self::Intent { done, .. } | Self::Settled { done, .. } => {
                let _ = done.send(result);
            }
        }
    }
}

/// The writer thread's state.
pub(super) struct Log<P> {
    pub(super) platform: P,
    pub(super) settings: Arc<Settings>,
    pub(super) queue: Arc<Queue>,
    pub(super) writer: Writer,
    pub(super) closed: mpsc::Sender<PathBuf>,
    /// The segment being written; `None` while storage fails.
    pub(super) tail: Option<Tail>,
    /// Segments given up after a failure, with durable rows that must not be lost.
    pub(super) retired: Vec<Tail>,
    /// Intents in the tail that nothing settles yet. Bounded by the exchanges in progress.
    pub(super) open: ByEventId<Payload>,
    /// Intents that `pending` settles: open again if the commit fails.
    pub(super) settling: Vec<(Uuid, Payload)>,
    pub(super) pending: Vec<Pending>,
    pub(super) next_number: u64,
    pub(super) next_seq: u64,
    pace: Pace,
    pub(super) space_checked: Option<Instant>,
    pub(super) buffer: Vec<u8>,
}

/// Tells waiters that the writer thread is gone, however it ended.
struct EndGuard(Arc<Queue>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<P: Platform> Log<P> {
    /// Creates the directory if need be and the first segment of the epoch.
    pub(super) fn start(
        platform: P,
        settings: Arc<Settings>,
        writer: Writer,
        queue: Arc<Queue>,
        closed: mpsc::Sender<PathBuf>,
    ) -> Result<Self, OpenError> {
        let dir = settings.dir.clone();
        let segments = std::fs::create_dir_all(&dir)
            .and_then(|()| segment::list(&dir))
            .map_err(|source| OpenError::Directory { dir: dir.clone(), source })?;
        let epoch = writer.epoch;
        if segments.iter().filter_map(|path| SegmentId::from_path(path)).any(|id| id.epoch == epoch) {
            return Err(OpenError::EpochUsed { dir, epoch });
        }
        let pace = Pace::new(settings.commit_gap);
        let mut log = Self {
            platform,
            settings,
            queue,
            writer,
            closed,
            tail: None,
            retired: Vec::new(),
            open: ByEventId::default(),
            settling: Vec::new(),
            pending: Vec::new(),
            next_number: 1,
            next_seq: 1,
            pace,
            space_checked: None,
            buffer: Vec::new(),
        };
        let first = log.check_space(Instant::now()).and_then(|()| log.start_segment());
        log.tail = Some(first?);
        Ok(log)
    }

    /// Writes until the journal is closed.
    pub(super) fn run(mut self) -> Result<(), CloseError> {
        let _end = EndGuard(Arc::clone(&self.queue));
        loop {
            let wake = if self.tail.is_some() {
                let wake = self.queue.wait_for_work(self.due_at());
                if let Err(failure) = self.serve(wake) {
                    self.fail(&failure);
                }
                wake
            } else {
                self.retry()
            };
            if wake == Wake::Stop {
                return self.finish();
            }
        }
    }

    /// One turn: closes the tail if it is due, and commits what is queued.
    pub(super) fn serve(&mut self, wake: Wake) -> Result<(), Failure> {
        if wake == Wake::Work {
            std::thread::sleep(self.pace.left(Instant::now()));
        }
        let queue = Arc::clone(&self.queue);
        let _at_storage = queue.at_storage();
        if self.roll_due() {
            self.roll()?;
        }
        match wake {
            Wake::Work => {
                self.check_space(Instant::now())?;
                let (entries, lost) = self.queue.drain();
                self.commit(entries, lost)
            }
            Wake::Due => self.check_space(Instant::now()).and_then(|()| self.sync_if_due()),
            Wake::Stop => Ok(()),
        }
    }

    pub(super) fn check_space(&mut self, now: Instant) -> Result<(), Failure> {
        if self.space_checked.is_some_and(|checked| now.duration_since(checked) < SPACE_CHECK_GAP) {
            return Ok(());
        }
        let (dir, min) = (&self.settings.dir, self.settings.free_bytes_min);
        let free = self.platform.free_bytes(dir).map_err(|source| Failure::Space { dir: dir.clone(), source })?;
        if free < min {
            return Err(Failure::Full { dir: dir.clone(), free, min });
        }
        // What is journaled must fit there later. That it cannot be reached now is no reason not to journal.
        let dataset = self.settings.dataset_dir.as_ref();
        let room = dataset.and_then(|dir| Some((dir, self.platform.free_bytes(dir).ok()?)));
        if let Some((dir, free)) = room.filter(|(_, free)| *free < min) {
            return Err(Failure::Full { dir: dir.clone(), free, min });
        }
        // Only a good answer is good for a while: a full disk is looked at again at every retry.
        self.space_checked = Some(now);
        Ok(())
    }

    fn commit(&mut self, entries: Vec<Entry>, lost: Option<Lost>) -> Result<(), Failure> {
        let Some(seed) = self.tail.as_ref().map(|tail| tail.segment.seed()) else {
            return Ok(());
        };
        self.buffer.clear();
        self.buffer.reserve(entries.iter().map(|entry| entry.payload.frame_len()).sum());
        self.pending.reserve(entries.len());
        for entry in entries {
            self.admit(entry, seed);
        }
        if let Some(entry) = lost.and_then(|lost| self.gap_entry(lost)) {
            self.admit(entry, seed);
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        self.write_buffer()?;
        self.pace.committed(began, Instant::now(), self.intents_pending());
        self.acknowledge();
        Ok(())
    }

    /// Gives a frame its place: in the buffer, among the open intents, and among what waits for the sync.
    fn admit(&mut self, entry: Entry, seed: Seed) {
        let Entry { event_id, payload, done } = entry;
        if payload.frame_type() == FrameType::Intent {
            payload.write_frame(seed, 0, &mut self.buffer);
            self.open.insert(event_id, payload);
            self.pending.push(Pending::Intent { event_id, done });
            return;
        }
        match self.open.remove(&event_id) {
            Some(intent) => self.settling.push((event_id, intent)),
            None if payload.frame_type() == FrameType::Outcome => {
                self.queue.count_unmatched();
                let _ = done.send(Err(NoEvidence::NoIntent));
                return;
            }
            None => {}
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        payload.write_frame(seed, seq, &mut self.buffer);
        self.pending.push(Pending::Settled { seq, event_id, payload, done });
    }

    fn write_buffer(&mut self) -> Result<(), Failure> {
        let Some(tail) = self.tail.as_mut() else { return Ok(()) };
        tail.segment.append(&self.buffer, self.settings.fill_bytes)?;
        tail.unsynced_since.get_or_insert_with(Instant::now);
        match self.settings.durability {
            Durability::Fsync => self.sync_tail()?,
            Durability::Interval { .. } => self.sync_if_due()?,
            Durability::Write => {}
            #[cfg(feature = "bench-without-evidence")]
            Durability::Off => {}
        }
        self.tail.as_ref().map_or(Ok(()), |tail| Ok(tail.segment.check_identity()?))
    }

    fn intents_pending(&self) -> usize {
        self.pending.iter().filter(|pending| matches!(pending, Pending::Intent { .. })).count()
    }

    /// Everything pending is durable.
    fn acknowledge(&mut self) {
        self.settling.clear();
        let rows = (self.pending.len() - self.intents_pending()) as u64;
        let now_us = self.platform.now_us();
        if let Some(tail) = self.tail.as_mut() {
            tail.add_durable(rows, now_us);
        }
        self.queue.count_commit(self.pending.len() as u64, self.buffer.len() as u64, self.next_seq - 1);
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.queue.waiters().tell(std::mem::take(&mut self.pending));
    }

    /// The row that says so when records were lost. It is far smaller than the smallest frame limit.
    fn gap_entry(&self, lost: Lost) -> Option<Entry> {
        let event_id = Uuid::now_v7();
        let (intent, outcome) = gap::lost_records(event_id, lost);
        let payload = Payload::row(&intent, &outcome, self.settings.frame_bytes_max).ok()?;
        Some(Entry { event_id, payload, done: oneshot::channel().0 })
    }

    /// The journal is to be closed: writes what is left, closes the tail.
    fn finish(mut self) -> Result<(), CloseError> {
        let queue = Arc::clone(&self.queue);
        let at_storage = queue.at_storage();
        let result = if self.tail.is_some() { Ok(()) } else { self.reopen() };
        drop(at_storage);
        let written = result.and_then(|()| self.serve(Wake::Work));
        let _at_storage = queue.at_storage();
        written.and_then(|()| self.close_tail()).map_err(|failure| {
            self.fail(&failure);
            let frames_lost = self.pending.len() + self.queue.counters().backlog_frames as usize;
            CloseError::Storage { failure, frames_lost }
        })
    }
}
