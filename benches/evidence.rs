//! What evidence costs below the proxy: frames a second into the journal, rows a second into signed Parquet, bytes a row.
//!
//! Speeds are per second of CPU time, of all threads together: those of one core that has nothing else to do. What a call costs end to end is
//! the mode `evidence` of the bench `peers`.
//! `cargo bench --bench evidence [-- ROWS]`.

#![expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52, and figures are for people")]

#[path = "evidence/rows.rs"]
mod rows;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tollgate::archive::chain::Chain;
use tollgate::archive::cover::cover;
use tollgate::archive::leaves::LEAF_BYTES;
use tollgate::archive::{Sealed, Settings, Signer, canonical, rows as columns, seal};
use tollgate::journal::segment::{self, SegmentBytes};
use tollgate::journal::{self, Durability, Journal};
use tollgate::record::Row;

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Frames pushed before one is waited for: far below the journal's backlog.
const FRAMES_IN_FLIGHT: usize = 8192;
/// As many as the sealer encodes at a time.
const BATCH_ROWS: usize = 256;

fn main() -> Result<()> {
    // Cargo adds --bench.
    let count = std::env::args().skip(1).find(|arg| arg != "--bench").map_or(Ok(200_000), |count| count.parse())?;
    let rows = rows::rows(count);
    println!("{count} rows\n");
    let dir = tempfile::tempdir()?;
    append(&rows, &dir.path().join("synced"), Durability::Fsync).context("fsync")?.print("journal, fsync");
    let journal = dir.path().join("journal");
    append(&rows, &journal, Durability::Write).context("write")?.print("journal, write");
    encode(&rows)?;
    seal_all(&rows, dir.path(), &segment::list(&journal)?)
}

/// Ticks a second in /proc/self/stat: USER_HZ, the same on every Linux.
const TICKS_PER_S: f64 = 100.0;
/// Fields of /proc/self/stat.
const MINOR_FAULTS: usize = 10;
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;

/// What something took for how many rows, in seconds.
struct Measured {
    rows: usize,
    cpu_s: f64,
    wall_s: f64,
}

impl Measured {
    fn print(&self, name: &str) {
        let (rows, cpu_s) = (self.rows as f64, self.cpu_s);
        let (rate, cost) = (rows / cpu_s, cpu_s * 1e6 / rows);
        println!("{name:<34}{rate:>10.0} rows/CPU s{cost:>8.2} us/row{:>8.2} s elapsed", self.wall_s);
    }
}

fn measure<T>(rows: &[Row], work: impl FnOnce() -> Result<T>) -> Result<(Measured, T)> {
    let (started, cpu_before) = (Instant::now(), cpu_s()?);
    let made = work()?;
    let (wall_s, cpu_s) = (started.elapsed().as_secs_f64(), cpu_s()? - cpu_before);
    Ok((Measured { rows: rows.len(), cpu_s, wall_s }, made))
}

/// User and system time of this process so far, in seconds.
fn cpu_s() -> Result<f64> {
    Ok((proc_stat(USER_TIME)? + proc_stat(SYSTEM_TIME)?) as f64 / TICKS_PER_S)
}

/// A field of /proc/self/stat, by its number in proc_pid_stat(5).
fn proc_stat(field: usize) -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name may hold spaces; the third field follows it.
    let fields = stat.rsplit_once(')').context("no command name")?.1;
    Ok(fields.split_whitespace().nth(field - 3).context("too few fields")?.parse()?)
}

/// Whole rows, a frame each, through the queue to storage.
fn append(rows: &[Row], dir: &Path, durability: Durability) -> Result<Measured> {
    let settings = journal::Settings { durability, ..journal::Settings::new(dir.to_owned()) };
    let writer = rows.first().context("no rows")?.writer.as_ref().clone();
    let (journal, thread) = journal::open(settings, writer, mpsc::channel().0)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (measured, ()) = measure(rows, || runtime.block_on(append_all(&journal, rows)))?;
    thread.close()?;
    Ok(measured)
}

async fn append_all(journal: &Journal, rows: &[Row]) -> Result<()> {
    let mut waiting = None;
    for chunk in rows.chunks(FRAMES_IN_FLIGHT) {
        let mut last = None;
        for row in chunk {
            last = Some(journal.record(&row.intent, &row.outcome));
        }
        // The chunk before is waited for while this one is being written.
        if let Some(commit) = std::mem::replace(&mut waiting, last) {
            commit.durable().await?;
        }
    }
    if let Some(commit) = waiting {
        commit.durable().await?;
    }
    Ok(())
}

/// The two parts of sealing that are computing alone.
fn encode(rows: &[Row]) -> Result<()> {
    let batches = |rows: &[Row]| -> Result<Vec<_>> {
        let chunks = rows.chunks(BATCH_ROWS);
        Ok(chunks.map(|chunk| columns::encode(&chunk.iter().collect::<Vec<_>>())).collect::<Result<_, _>>()?)
    };
    let (measured, batches) = measure(rows, || batches(rows))?;
    measured.print("columns from rows");
    let (measured, leaves) = measure(rows, || {
        let leaves: Vec<_> = batches.iter().map(canonical::leaves).collect::<Result<_, _>>()?;
        Ok(leaves.concat())
    })?;
    measured.print("canonical rows and their hashes");
    let (measured, _root) = measure(rows, || Ok(canonical::merkle_root(&leaves)))?;
    measured.print("Merkle root");
    Ok(())
}

/// Closed segments, which hold `rows`, to signed files, as the sealing thread does it.
#[inline(never)]
fn seal_all(rows: &[Row], data_dir: &Path, segments: &[PathBuf]) -> Result<()> {
    let settings = Settings::new(data_dir);
    let keys = data_dir.join("keys");
    std::fs::create_dir_all(&keys)?;
    seal::prepare(&settings)?;
    let mut chain = Chain::open(settings.clone(), Signer::load_or_create(&keys)?)?;
    let sealed_us = rows.last().context("no rows")?.outcome.end_time_us;
    let (mut bytes, mut sealed, mut memory) = (0, 0, Vec::new());
    let (faults_before, ticks_before) = (proc_stat(MINOR_FAULTS)?, proc_stat(SYSTEM_TIME)?);
    let (measured, ()) = measure(rows, || {
        for path in segments {
            let segment = SegmentBytes::read(path, memory)?;
            let rows = segment.rows()?;
            let files = seal::seal(&settings, &rows)?;
            cover(&mut chain, &rows, &files, sealed_us)?;
            sealed += rows.places().len();
            bytes += files.iter().map(Sealed::bytes).sum::<u64>();
            memory = segment.into_memory();
        }
        Ok(())
    })?;
    let faults = proc_stat(MINOR_FAULTS)? - faults_before;
    let kernel_us = (proc_stat(SYSTEM_TIME)? - ticks_before) as f64 * 1e6 / TICKS_PER_S;
    ensure!(sealed == rows.len(), "{sealed} of {} rows", rows.len());
    measured.print("sealing, closed segments to signed");
    let per_row = |count: u64| count as f64 / rows.len() as f64;
    let (segments, kernel_us) = (segments.len(), kernel_us / rows.len() as f64);
    println!("\n{segments} segments; the kernel took {kernel_us:.2} us/row, with {:.3} page faults", per_row(faults));
    println!(
        "{:.1} bytes/row in Parquet, {:.1} with the list of rows",
        per_row(bytes),
        per_row(bytes) + LEAF_BYTES as f64
    );
    Ok(())
}
