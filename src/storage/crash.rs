//! A process that ends at a chosen call: from there on no call of this thread does anything.
//!
//! The test then goes on as the next start. What a loss of power would leave is the `recorder`'s matter.

use std::cell::Cell;
use std::io;

thread_local! {
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    static WITHOUT_EXCHANGE: Cell<bool> = const { Cell::new(false) };
}

/// Lets `calls` more calls of this thread do their work.
pub(crate) fn after(calls: usize) {
    LEFT.set(Some(calls));
}

/// The next start: every call works again. Whether the end was reached before.
pub(crate) fn over() -> bool {
    LEFT.take() == Some(0)
}

/// From now on this thread's file system cannot exchange directories.
pub(crate) fn forbid_exchange() {
    WITHOUT_EXCHANGE.set(true);
}

pub(crate) fn can_exchange() -> bool {
    !WITHOUT_EXCHANGE.get()
}

pub(super) fn count() -> io::Result<()> {
    match LEFT.get() {
        None => Ok(()),
        Some(0) => Err(io::Error::other("the process has ended")),
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(())
        }
    }
}
