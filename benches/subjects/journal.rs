//! Appending to the journal: calls at once share a commit, so what counts is the time for many.

use std::hint::black_box;
use std::sync::mpsc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use tollgate::journal::{self, Durability, Settings};

use crate::rows::{intent, outcome, writer};

/// Calls at once.
const CALLS: u64 = 1024;

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(CALLS));
    for durability in [Durability::Fsync, Durability::Write] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let settings = Settings {
            durability,
            commit_gap: Duration::ZERO,
            free_bytes_min: 1 << 20,
            ..Settings::new(dir.path().join("journal"))
        };
        std::fs::create_dir(&settings.dir).expect("a directory");
        let (closed, _sealing) = mpsc::channel();
        let (journal, thread) = journal::open(settings, writer(), closed).expect("a journal");
        let mut next = 0;
        group.bench_function(format!("intend and settle, {durability:?}"), |bencher| {
            bencher.iter(|| {
                let intents: Vec<_> = (next..next + CALLS).map(intent).collect();
                next += CALLS;
                runtime.block_on(async {
                    let mut waiting = tokio::task::JoinSet::new();
                    for intent in intents {
                        let journal = journal.clone();
                        waiting.spawn(async move { journal.intend(&intent).await.map(|()| intent.event_id) });
                    }
                    let mut last = None;
                    while let Some(Ok(intended)) = waiting.join_next().await {
                        last = Some(journal.settle(intended.expect("durable"), black_box(&outcome(next))));
                    }
                    last.expect("calls").durable().await.expect("durable");
                });
            });
        });
        drop(journal);
        thread.close().expect("a closed journal");
    }
    group.finish();
}
