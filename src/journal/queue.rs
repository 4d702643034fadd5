//! What waits for the writer thread, and what it reports back: health and counters.
//!
//! Callers push and never wait here; the writer takes everything at once. It does not touch storage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::frame::{FrameType, Payload};
use super::health::{Counters, Health};
use super::waiters::Waiters;
use super::watchdog::{Beat, Pulse};
use super::{NoEvidence, Settings};

/// One frame to be written and whom to tell.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event_id: Uuid,
    pub(super) payload: Payload,
    pub(super) done: oneshot::Sender<Result<(), NoEvidence>>,
}

impl Entry {
    fn answer(self, result: Result<(), NoEvidence>) {
        // Whoever asked may have stopped waiting, which is fine.
        let _ = self.done.send(result);
    }
}

/// Records that were dropped since the last gap row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) records: u64,
    /// End of the first and the last of them, microseconds since the Unix epoch.
    pub(super) first_us: i64,
    pub(super) last_us: i64,
}

/// Why the writer thread was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// Something is queued.
    Work,
    /// The time asked for has come.
    Due,
    /// The journal is to be closed, and nothing is queued that could be written.
    Stop,
}

/// The writer's backlog.
#[derive(Debug)]
pub(super) struct Queue {
    frames_max: usize,
    bytes_max: usize,
    settle_linger: Duration,
    /// `health`, for those who ask on every call.
    writable: AtomicBool,
    pulse: Pulse,
    /// Becomes true, and stays so, when storage fails or stalls for the first time.
    troubled: watch::Sender<bool>,
    waiters: Waiters,
    state: Mutex<State>,
    wake: Condvar,
}

/// How far the journal is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// Nothing more is queued; what is queued is written.
    Stopping,
    /// The writer thread is gone.
    Ended,
}

#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    /// Payload bytes of `entries`.
    bytes: usize,
    lost: Option<Lost>,
    health: Health,
    stage: Stage,
    /// Somebody waits for an entry to be durable: an intent always, a row when its commit is waited for.
    urgent: bool,
    /// When entries that nobody waits for are written at the latest.
    linger_until: Option<Instant>,
    /// Spares the system call of a notification when the writer is busy.
    writer_waits: bool,
    counters: Counters,
}

impl State {
    /// Whether the backlog is filled to `1 / share` of its limits.
    fn is_full(&self, queue: &Queue, share: usize) -> bool {
        self.entries.len() >= queue.frames_max / share || self.bytes >= queue.bytes_max / share
    }

    fn count_lost(&mut self, records: u64, time_us: i64) {
        self.counters.lost += records;
        let lost = self.lost.get_or_insert(Lost { records: 0, first_us: time_us, last_us: time_us });
        lost.records += records;
        lost.first_us = lost.first_us.min(time_us);
        lost.last_us = lost.last_us.max(time_us);
    }

    fn is_stopping(&self) -> bool {
        match self.stage {
            Stage::Open => false,
            Stage::Stopping | Stage::Ended => true,
        }
    }

    fn has_work(&self) -> bool {
        !self.entries.is_empty() || self.lost.is_some()
    }

    /// Whether what is queued is to be written now. Outcomes that nobody waits for linger a little, so that they share the
    /// commit of the next intent instead of starting one that the intent would have to wait out.
    fn is_due(&self, now: Instant) -> bool {
        let lingered = self.linger_until.is_some_and(|until| now >= until);
        self.has_work() && (self.urgent || self.is_stopping() || self.lost.is_some() || lingered)
    }
}

impl Queue {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            frames_max: settings.backlog_frames_max,
            bytes_max: settings.backlog_bytes_max,
            settle_linger: settings.settle_linger,
            writable: AtomicBool::new(true),
            pulse: Pulse::new(settings.wait_max),
            troubled: watch::Sender::new(false),
            waiters: Waiters::default(),
            state: Mutex::new(State {
                entries: Vec::new(),
                bytes: 0,
                lost: None,
                health: Health::Writable,
                stage: Stage::Open,
                urgent: false,
                linger_until: None,
                writer_waits: false,
                counters: Counters::default(),
            }),
            wake: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change, so a poisoned lock still guards a consistent state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push_intent(&self, entry: Entry) -> Result<(), NoEvidence> {
        let state = self.state();
        if state.is_stopping() {
            return Err(NoEvidence::Closed);
        }
        if state.health != Health::Writable || self.is_stalled() {
            return Err(NoEvidence::Failed);
        }
        if state.is_full(self, 2) {
            return Err(NoEvidence::BacklogFull);
        }
        self.push(state, entry);
        Ok(())
    }

    /// Queues an outcome or a row. One that finds no room is counted as lost at `time_us`, and its waiter told.
    pub(super) fn push_settled(&self, entry: Entry, time_us: i64) {
        let mut state = self.state();
        let refusal = if state.is_stopping() {
            NoEvidence::Closed
        } else if state.is_full(self, 1) {
            NoEvidence::BacklogFull
        } else {
            self.push(state, entry);
            return;
        };
        state.count_lost(1, time_us);
        drop(state);
        entry.answer(Err(refusal));
    }

    fn push(&self, mut state: MutexGuard<'_, State>, entry: Entry) {
        let is_intent = entry.payload.frame_type() == FrameType::Intent;
        state.urgent |= is_intent;
        state.bytes += entry.payload.len();
        state.entries.push(entry);
        let starts_lingering = state.linger_until.is_none();
        if starts_lingering {
            state.linger_until = Some(Instant::now() + self.settle_linger);
        }
        if is_intent || starts_lingering {
            self.wake_writer(state);
        }
    }

    /// Somebody waits for what was queued: it does not linger. Nothing happens when it was written already.
    pub(super) fn hurry(&self) {
        let mut state = self.state();
        if state.has_work() {
            state.urgent = true;
            self.wake_writer(state);
        }
    }

    fn wake_writer(&self, mut state: MutexGuard<'_, State>) {
        let writer_waits = std::mem::take(&mut state.writer_waits);
        drop(state);
        if writer_waits {
            self.wake.notify_one();
        }
    }

    pub(super) fn count_lost(&self, records: u64, time_us: i64) {
        if records > 0 {
            self.state().count_lost(records, time_us);
        }
    }

    /// Asks the writer to finish; nothing can be queued from here on.
    pub(super) fn stop(&self) {
        self.state().stage = Stage::Stopping;
        self.wake.notify_one();
    }

    /// Waits until something queued is due, `until` has come or the journal is to be closed, whichever is found first in
    /// this order.
    pub(super) fn wait_for_work(&self, until: Option<Instant>) -> Wake {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            if state.is_due(now) {
                return Wake::Work;
            }
            if state.is_stopping() {
                return Wake::Stop;
            }
            if until.is_some_and(|until| now >= until) {
                return Wake::Due;
            }
            let next = [until, state.linger_until].into_iter().flatten().min();
            state = self.sleep(state, next);
        }
    }

    /// Waits until `until` has come or the journal is to be closed; what is queued stays queued.
    pub(super) fn wait_for_retry(&self, until: Instant) -> Wake {
        let mut state = self.state();
        loop {
            if state.is_stopping() {
                return Wake::Stop;
            }
            if Instant::now() >= until {
                return Wake::Due;
            }
            state = self.sleep(state, Some(until));
        }
    }

    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>, until: Option<Instant>) -> MutexGuard<'a, State> {
        state.writer_waits = true;
        let mut state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.writer_waits = false;
        state
    }

    /// Takes everything queued.
    pub(super) fn drain(&self) -> (Vec<Entry>, Option<Lost>) {
        let mut state = self.state();
        state.bytes = 0;
        state.urgent = false;
        state.linger_until = None;
        (std::mem::take(&mut state.entries), state.lost.take())
    }

    /// Storage failed: intents are told so, those queued and those to come. Outcomes and rows stay queued.
    pub(super) fn fail(&self, reason: String) {
        let mut state = self.state();
        if state.health == Health::Writable {
            state.counters.failures += 1;
        }
        state.health = Health::Failed { reason };
        self.writable.store(false, Ordering::Release);
        self.troubled.send_replace(true);
        let (intents, settled): (Vec<_>, Vec<_>) = std::mem::take(&mut state.entries)
            .into_iter()
            .partition(|entry| entry.payload.frame_type() == FrameType::Intent);
        state.bytes = settled.iter().map(|entry| entry.payload.len()).sum();
        state.entries = settled;
        drop(state);
        for intent in intents {
            intent.answer(Err(NoEvidence::Failed));
        }
    }

    /// Storage is back.
    pub(super) fn recovered(&self) {
        self.state().health = Health::Writable;
        self.writable.store(true, Ordering::Release);
    }

    /// The writer thread is gone: whoever waits or comes later is told.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.stage = Stage::Ended;
        self.writable.store(false, Ordering::Release);
        if state.health == Health::Writable {
            state.health = Health::Failed { reason: NoEvidence::Closed.to_string() };
        }
        let entries = std::mem::take(&mut state.entries);
        drop(state);
        for entry in entries {
            entry.answer(Err(NoEvidence::Closed));
        }
    }

    /// Who is told when frames are durable.
    pub(super) const fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// A commit is durable, and with it every row up to `last_seq`.
    pub(super) fn count_commit(&self, frames: u64, bytes: u64, last_seq: u64) {
        let mut state = self.state();
        state.counters.commits += 1;
        state.counters.frames += frames;
        state.counters.bytes += bytes;
        state.counters.last_seq = last_seq;
    }

    pub(super) fn count_unmatched(&self) {
        self.state().counters.unmatched += 1;
    }

    pub(super) fn count_waived(&self) {
        self.state().counters.waived += 1;
    }

    /// The writer turns to storage, for as long as the answer lives.
    pub(super) fn at_storage(&self) -> Beat<'_> {
        self.pulse.begin()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.pulse.is_stalled()
    }

    /// Whether a stop is not to wait for storage any longer.
    pub(super) fn is_given_up(&self) -> bool {
        self.pulse.is_given_up()
    }

    /// Storage has been found stalled.
    pub(super) fn stalled(&self) {
        self.state().counters.failures += 1;
        self.troubled.send_replace(true);
        tracing::error!(
            silence_ms = self.pulse.silence().as_millis() as u64,
            "the audit journal's storage does not answer"
        );
    }

    /// Resolves once storage has failed or stalled.
    pub(super) async fn trouble(&self) {
        // The sender is in `self`, so that waiting cannot fail.
        let _ = self.troubled.subscribe().wait_for(|troubled| *troubled).await;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().stage == Stage::Ended
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire) && !self.is_stalled()
    }

    pub(super) fn health(&self) -> Health {
        let health = self.state().health.clone();
        match health {
            Health::Writable if self.is_stalled() => Health::Stalled { silence: self.pulse.silence() },
            Health::Writable | Health::Failed { .. } | Health::Stalled { .. } => health,
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let state = self.state();
        Counters { backlog_frames: state.entries.len() as u64, ..state.counters }
    }
}
