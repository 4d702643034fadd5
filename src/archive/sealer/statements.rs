//! The sealing thread's side of the chain: writes what other threads hand over, in order, and the stop.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::archive::anchor::Outbox;
use crate::archive::chain::{Chain, ChainError, Head};
use crate::archive::manifest::{Start, time_text};
use crate::archive::notes::{Loss, Note, NotesError};
use crate::archive::statement::{HeartbeatStatement, Statement, StopStatement};
use crate::clock::now_us;

/// Wait before a note that could not be written is tried again.
const RETRY_GAP: Duration = Duration::from_secs(1);

/// The chain and what is to be written to it.
pub(super) struct Statements {
    pub(super) chain: Chain,
    start: Start,
    arriving: Receiver<Note>,
    /// Could not be written, and when it is tried again; no other note is written before it.
    stuck: Option<(Note, Instant)>,
    loss: Loss,
    connected: bool,
}

impl Statements {
    pub(super) fn new(chain: Chain, start: Start, arriving: Receiver<Note>, loss: Loss) -> Self {
        Self { chain, start, arriving, stuck: None, loss, connected: true }
    }

    /// Hands the head to be anchored to `outbox`, if it is another one than `last`; the index of the head now.
    pub(super) fn anchor(&self, outbox: &Outbox, last: Option<u64>) -> Option<u64> {
        let time_us = now_us();
        let index = self.chain.head().map(|head| head.index);
        if index == last {
            return last;
        }
        match self.chain.anchor(&self.start, time_us) {
            Ok(Some((index, bytes))) => outbox.put(index, bytes, time_text(time_us)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the head of the chain could not be signed to be anchored");
                return last;
            }
        }
        index
    }

    /// The index of the head, the entries added since the chain was opened, and when the last of them was written, in
    /// microseconds since the Unix epoch.
    pub(super) fn written(&self) -> (u64, u64, i64) {
        (self.chain.head().map_or(0, |head| head.index), self.chain.added(), self.chain.last_time_us())
    }

    /// Whether somebody can still hand over a note, or one waits.
    pub(super) fn expected(&self) -> bool {
        self.connected || self.stuck.is_some()
    }

    /// Writes what has arrived, without waiting; stops at a note that cannot be written yet.
    pub(super) fn write_arrived(&mut self) -> Result<(), ChainError> {
        if self.stuck.as_ref().is_some_and(|(_, due)| *due > Instant::now()) {
            return Ok(());
        }
        while let Some(note) = self.next() {
            match self.append(note.start.as_ref(), note.statement.clone()) {
                Ok(head) => note.answer(head),
                Err(error) => {
                    tracing::error!(kind = note.statement.kind(), %error, "the chain cannot be written; tried again");
                    self.stuck = Some((note, Instant::now() + RETRY_GAP));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes what is left and then the stop; what cannot be written now never is.
    pub(super) fn write_stop(&mut self, stop: Option<StopStatement>) {
        self.stuck = self.stuck.take().map(|(note, _)| (note, Instant::now()));
        if self.write_arrived().is_err() {
            while let Some(note) = self.next() {
                self.loss.count(note.statement.kind(), &NotesError::Closed);
            }
        }
        let Some(stop) = stop.map(Statement::Stop) else { return };
        if let Err(error) = self.append(None, stop) {
            self.loss.count("stop", &error);
        }
    }

    pub(super) fn write_heartbeat(&mut self, heartbeat: HeartbeatStatement) -> Result<(), ChainError> {
        self.append(None, Statement::Heartbeat(heartbeat)).map(|_| ())
    }

    fn append(&mut self, start: Option<&Start>, statement: Statement) -> Result<Head, ChainError> {
        self.chain.append(start.unwrap_or(&self.start), now_us(), statement)
    }

    fn next(&mut self) -> Option<Note> {
        if let Some((note, _)) = self.stuck.take() {
            return Some(note);
        }
        match self.arriving.try_recv() {
            Ok(note) => Some(note),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.connected = false;
                None
            }
        }
    }
}
