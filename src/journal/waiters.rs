//! Telling those who wait that their frames are durable.
//!
//! All of one commit are told at once, in one task of the runtime they wait in: woken one by one from the writer's thread,
//! each would take a wake-up of a worker that has nothing to do until the next comes.

use std::sync::OnceLock;

use tokio::runtime::Handle;

use super::log::Pending;

/// Where those who wait are woken.
#[derive(Debug, Default)]
pub(super) struct Waiters(OnceLock<Handle>);

impl Waiters {
    /// From now on they wait in this runtime. Only the first one counts.
    pub(super) fn are_in(&self, runtime: Handle) {
        let _ = self.0.set(runtime);
    }

    /// These frames are durable. A runtime that has stopped has nobody left who waits.
    pub(super) fn tell(&self, durable: Vec<Pending>) {
        let several = durable.iter().filter(|frame| frame.is_awaited()).nth(1).is_some();
        let tell = move || durable.into_iter().for_each(|frame| frame.answer(Ok(())));
        match self.0.get() {
            Some(runtime) if several => drop(runtime.spawn(async move { tell() })),
            Some(_) | None => tell(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::{self, error::TryRecvError};
    use uuid::Uuid;

    use super::*;
    use crate::journal::Answer;

    fn frame() -> (Pending, Answer) {
        let (done, answer) = oneshot::channel();
        (Pending::Intent { event_id: Uuid::nil(), done }, answer)
    }

    #[test]
    fn those_of_one_commit_are_told_together_in_their_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let waiters = Waiters::default();
        waiters.are_in(runtime.handle().clone());
        let ((one, mut first), (two, mut second)) = (frame(), frame());
        waiters.tell(vec![one, two]);
        assert_eq!(first.try_recv(), Err(TryRecvError::Empty), "the runtime has not run yet");
        runtime.block_on(tokio::task::yield_now());
        assert_eq!([first.try_recv(), second.try_recv()], [Ok(Ok(())), Ok(Ok(()))]);
    }

    #[test]
    fn a_single_one_is_told_at_once_and_those_who_left_do_not_count() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let waiters = Waiters::default();
        waiters.are_in(runtime.handle().clone());
        let ((one, mut first), (two, second)) = (frame(), frame());
        drop(second);
        waiters.tell(vec![one, two]);
        assert_eq!(first.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn without_a_runtime_all_are_told_at_once_and_with_a_stopped_one_nobody_waits_for_ever() {
        let waiters = Waiters::default();
        let ((one, mut first), (two, mut second)) = (frame(), frame());
        waiters.tell(vec![one, two]);
        assert_eq!([first.try_recv(), second.try_recv()], [Ok(Ok(())), Ok(Ok(()))]);

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        waiters.are_in(runtime.handle().clone());
        drop(runtime);
        let ((one, mut first), (two, mut second)) = (frame(), frame());
        waiters.tell(vec![one, two]);
        assert_eq!([first.try_recv(), second.try_recv()], [Err(TryRecvError::Closed), Err(TryRecvError::Closed)]);
    }
}
