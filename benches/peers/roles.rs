//! What the processes this bench starts from its own binary have in common: a runtime, and an end.

use std::future::Future;
use std::io::Read as _;
use std::thread;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

/// One thread is enough on one CPU, and saves the wake-ups of a work-stealing pool.
pub(crate) fn runtime(cpus: usize) -> Result<Runtime> {
    let mut builder = if cpus > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if cpus > 1 {
        builder.worker_threads(cpus);
    }
    Ok(builder.enable_all().build()?)
}

/// Runs `work` until it fails or standard input is closed, so that no role outlives the bench.
pub(crate) fn until_stdin_closes(cpus: usize, work: impl Future<Output = Result<()>>) -> Result<()> {
    let (closed, mut closing) = tokio::sync::oneshot::channel::<()>();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(closed);
    });
    runtime(cpus)?.block_on(async {
        tokio::select! {
            done = work => done,
            _ = &mut closing => Ok(()),
        }
    })
}
