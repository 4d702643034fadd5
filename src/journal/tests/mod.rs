//! What the journal's tests share: records, a platform that does as told, and reading everything back.

mod failure;
mod frames;
mod power;
mod recovery;
mod rows;
mod segments;
mod stalled;
mod writing;
mod zeros;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::log::Log;
use super::platform::Platform;
use super::queue::{Queue, Wake};
use super::*;
use crate::record::{Kind, OutcomeKind, Row};
use crate::storage::{self, Site};

/// Longest wait for something that is about to happen; only a failing test waits this long.
const SOON: Duration = Duration::from_secs(20);

/// Noon of some day, microseconds since the Unix epoch.
const NOON_US: i64 = 1_760_011_200_000_000;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn intent(n: u128) -> Intent {
    let mut intent =
        Intent::new(id(n), 1_000 + n as i64, Kind::Connect, SocketAddr::new("192.0.2.7".parse().unwrap(), 0));
    intent.host = Some(format!("host-{n}.example"));
    intent
}

fn outcome(n: u128) -> Outcome {
    let mut outcome = Outcome::new(2_000 + n as i64, OutcomeKind::Completed);
    outcome.status = Some(200);
    outcome.response_bytes = n as i64;
    outcome
}

fn writer() -> Writer {
    Writer { instance_id: "instance-a".to_owned(), boot_id: id(0xb007), epoch: 3 }
}

fn settings(dir: &Path) -> Settings {
    Settings {
        commit_gap: Duration::ZERO,
        retry_gap: Duration::from_millis(1),
        seal_after: Duration::from_secs(3600),
        free_bytes_min: 0,
        ..Settings::new(dir.to_owned())
    }
}

/// A platform whose answers a test sets.
#[derive(Clone, Debug)]
struct Scripted(Arc<Script>);

#[derive(Debug)]
struct Script {
    sync_fails: AtomicBool,
    free_bytes: AtomicU64,
    now_us: AtomicI64,
    /// When set, each sync says that it began and waits to be let go on.
    gate: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

impl Scripted {
    fn new() -> Self {
        Self(Arc::new(Script {
            sync_fails: AtomicBool::new(false),
            free_bytes: AtomicU64::new(u64::MAX),
            now_us: AtomicI64::new(NOON_US),
            gate: Mutex::new(None),
        }))
    }

    /// From now on, syncs send on the returned receiver and wait for a message on the returned sender. Dropping the
    /// sender opens the gate for good.
    fn close_gate(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (began, began_receiver) = mpsc::channel();
        let (go_on, go_on_receiver) = mpsc::channel();
        *self.0.gate.lock().unwrap() = Some((began, go_on_receiver));
        (began_receiver, go_on)
    }
}

impl Platform for Scripted {
    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        if let Some((began, go_on)) = &*self.0.gate.lock().unwrap() {
            let _ = began.send(());
            let _ = go_on.recv();
        }
        if self.0.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        storage::sync(Site::JournalSync, file, path)
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.0.free_bytes.load(Ordering::SeqCst))
    }

    fn now_us(&self) -> i64 {
        self.0.now_us.load(Ordering::SeqCst)
    }
}

/// Runs a future that needs tokio's timer; no future here takes longer than [`SOON`].
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, future).await.expect("too slow") })
}

fn is_ready(future: impl Future) -> bool {
    matches!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}

/// The writer without its thread: each step is taken by the test.
struct Stepped {
    log: Log<Scripted>,
    queue: Arc<Queue>,
    closed: mpsc::Receiver<PathBuf>,
}

impl Stepped {
    fn new(settings: Settings, platform: &Scripted) -> Self {
        let queue = Arc::new(Queue::new(&settings));
        let (sender, closed) = mpsc::channel();
        let log = Log::start(platform.clone(), Arc::new(settings), writer(), Arc::clone(&queue), sender).unwrap();
        Self { log, queue, closed }
    }

    fn intend(&self, n: u128) -> Commit {
        let (entry, done) = entry(id(n), Payload::intent(&intent(n), 1 << 20).unwrap());
        match self.queue.push_intent(entry) {
            Ok(()) => self.commit(done),
            Err(reason) => Commit { state: CommitState::Refused(reason) },
        }
    }

    fn settle(&self, n: u128) -> Commit {
        self.push(n, Payload::outcome(id(n), &outcome(n), 1 << 20).unwrap())
    }

    fn record(&self, n: u128) -> Commit {
        self.push(n, Payload::row(&intent(n), &outcome(n), 1 << 20).unwrap())
    }

    fn push(&self, n: u128, payload: Payload) -> Commit {
        let (entry, done) = entry(id(n), payload);
        self.queue.push_settled(entry, outcome(n).end_time_us);
        self.commit(done)
    }

    fn commit(&self, done: Answer) -> Commit {
        Commit { state: CommitState::Waiting { done, queue: Arc::clone(&self.queue) } }
    }

    /// Takes one turn with what is queued, as the thread would.
    fn turn(&mut self) {
        if let Err(failure) = self.log.serve(Wake::Work) {
            self.log.fail(&failure);
        }
    }

    fn tail_path(&self) -> PathBuf {
        self.log.tail.as_ref().unwrap().segment.path().to_owned()
    }

    fn tail_length(&self) -> u64 {
        self.log.tail.as_ref().unwrap().segment.length()
    }
}

fn row(seq: u64, n: u128) -> Row {
    Row { seq, writer: Arc::new(writer()), intent: intent(n), outcome: outcome(n) }
}

/// Rows of all segments in the directory, oldest segment first.
fn rows_in(dir: &Path) -> Vec<Row> {
    let paths = segment::list(dir).unwrap();
    paths.iter().flat_map(|path| segment::read(path).unwrap().rows).collect()
}

fn seq_and_n(rows: &[Row]) -> Vec<(u64, u128)> {
    rows.iter().map(|row| (row.seq, row.intent.event_id.as_u128())).collect()
}
