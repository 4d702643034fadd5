//! Reading the orders and carrying them out.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use super::Moment;
use crate::storage::Site;

/// How often a blocked call looks whether it may go on.
const LOOK_GAP: Duration = Duration::from_millis(5);

/// What is to happen at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The process ends as by SIGKILL at this visit, counted from when the order was first seen.
    Kill {
        visit: u32,
    },
    Error {
        errno: i32,
    },
    Block,
}

/// A point of the process: does what is ordered for it.
pub(crate) fn reach(site: Site, moment: Moment) -> io::Result<()> {
    let Some(file) = orders_file() else { return Ok(()) };
    let point = match moment {
        Moment::Before => format!("{}.before", site.code()),
        Moment::After => format!("{}.after", site.code()),
    };
    loop {
        match order(&read(file), &point) {
            Some(Order::Error { errno }) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Order::Kill { visit }) if visits(&point) >= visit => {
                // The signal ends the process before this returns.
                let _ = kill_process(getpid(), Signal::KILL);
            }
            Some(Order::Kill { .. }) | None => return Ok(()),
            Some(Order::Block) => thread::sleep(LOOK_GAP),
        }
    }
}

/// How far the wall clock is ahead, in microseconds.
pub(crate) fn clock_offset_us() -> i64 {
    let Some(file) = orders_file() else { return 0 };
    let text = read(file);
    let offset = text.lines().find_map(|line| line.strip_prefix("clock "));
    offset.and_then(|offset| offset.trim().parse().ok()).unwrap_or(0)
}

fn orders_file() -> Option<&'static PathBuf> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FILE.get_or_init(|| std::env::var_os("TOLLGATE_FAULTS").map(PathBuf::from)).as_ref()
}

/// A file that is not there orders nothing.
fn read(file: &PathBuf) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn order(text: &str, point: &str) -> Option<Order> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next() != Some(point) {
            return None;
        }
        match (words.next()?, words.next()) {
            ("kill", visit) => Some(Order::Kill { visit: visit.and_then(|visit| visit.parse().ok()).unwrap_or(1) }),
            ("error", errno) => Some(Order::Error { errno: errno?.parse().ok()? }),
            ("block", _) => Some(Order::Block),
            _ => None,
        }
    })
}

/// How often this point was visited while there was an order to kill at it, this visit included.
fn visits(point: &str) -> u32 {
    static VISITS: OnceLock<Mutex<HashMap<String, u32>>> = OnceLock::new();
    let mut visits = VISITS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let count = visits.entry(point.to_owned()).or_default();
    *count += 1;
    *count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_for_one_point_and_the_rest_is_no_order() {
        let text =
            "journal.sync.before error 28\njournal.append.after kill 3\nsegment.sync.before block\nx.y kill\nz\n";
        assert_eq!(order(text, "journal.sync.before"), Some(Order::Error { errno: 28 }));
        assert_eq!(order(text, "journal.append.after"), Some(Order::Kill { visit: 3 }));
        assert_eq!(order(text, "segment.sync.before"), Some(Order::Block));
        assert_eq!(order(text, "x.y"), Some(Order::Kill { visit: 1 }));
        assert_eq!((order(text, "z"), order(text, "journal.append.before")), (None, None));
    }
}
