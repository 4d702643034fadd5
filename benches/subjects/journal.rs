//! Appending to the journal: calls at once share a commit, so what counts is the time for many.

use std::hint::black_box;
use std::sync::mpsc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use tollgate::journal::{self, Durability, Settings};
use tollgate::record::Intent;
use uuid::Uuid;

use crate::rows::rows;

/// Calls at once.
const CALLS: u64 = 1024;

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rows = rows(CALLS);
    let last = rows.last().expect("rows");
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
        let (journal, thread) = journal::open(settings, last.writer.as_ref().clone(), closed).expect("a journal");
        group.bench_function(format!("intend and settle, {durability:?}"), |bencher| {
            bencher.iter(|| {
                // Every call has an id of its own.
                let intents: Vec<_> =
                    rows.iter().map(|row| Intent { event_id: Uuid::now_v7(), ..row.intent.clone() }).collect();
                runtime.block_on(async {
                    let mut waiting = tokio::task::JoinSet::new();
                    for intent in intents {
                        let journal = journal.clone();
                        waiting.spawn(async move { journal.intend(&intent).await.map(|()| intent.event_id) });
                    }
                    let mut settled = None;
                    while let Some(Ok(intended)) = waiting.join_next().await {
                        settled = Some(journal.settle(intended.expect("durable"), black_box(&last.outcome)));
                    }
                    settled.expect("calls").durable().await.expect("durable");
                });
            });
        });
        drop(journal);
        thread.close().expect("a closed journal");
    }
    group.finish();
}
