//! How far a long command is, on the terminal that runs it: on stderr, and nothing where nobody looks.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a command runs before its progress is shown.
const QUIET: Duration = Duration::from_secs(1);

/// One line, written over again and again, and ended when this is dropped.
pub(super) struct Progress<W: Write> {
    /// `None` where nobody looks.
    out: Option<Mutex<W>>,
    /// What is counted, in the plural.
    unit: &'static str,
    began: Instant,
    quiet: Duration,
    shown: AtomicBool,
}

impl Progress<io::Stderr> {
    /// Begins now.
    pub(super) fn on_stderr(unit: &'static str) -> Self {
        let out = io::stderr().is_terminal().then(io::stderr);
        Self::new(out, unit, QUIET)
    }
}

impl<W: Write> Progress<W> {
    pub(super) fn new(out: Option<W>, unit: &'static str, quiet: Duration) -> Self {
        Self { out: out.map(Mutex::new), unit, began: Instant::now(), quiet, shown: AtomicBool::new(false) }
    }

    /// So many of so many are done.
    pub(super) fn show(&self, done: usize, all: usize) {
        if self.began.elapsed() < self.quiet {
            return;
        }
        self.write(format_args!("\r{done} of {all} {}", self.unit));
        self.shown.store(true, Ordering::Relaxed);
    }

    fn write(&self, text: std::fmt::Arguments<'_>) {
        if let Some(out) = &self.out {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            // Progress that cannot be shown is no reason to stop.
            let _ = out.write_fmt(text).and_then(|()| out.flush());
        }
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        if self.shown.load(Ordering::Relaxed) {
            self.write(format_args!("\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(quiet: Duration) -> String {
        let mut out = Vec::new();
        let progress = Progress::new(Some(&mut out), "days", quiet);
        progress.show(1, 2);
        progress.show(2, 2);
        drop(progress);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn progress_is_one_line_and_only_of_what_takes_long() {
        assert_eq!(shown(Duration::ZERO), "\r1 of 2 days\r2 of 2 days\n");
        assert_eq!(shown(Duration::from_secs(3600)), "");
    }
}
