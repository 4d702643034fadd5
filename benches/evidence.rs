//! What evidence costs below the proxy: frames a second into the journal, rows a second into signed Parquet, bytes a row.
//!
//! Speeds are per second of CPU time, of all threads together: those of one core that has nothing else to do. What a call costs end to end is
//! the mode `evidence` of the bench `peers`.
//! `cargo bench --bench evidence [-- ROWS]`.

#![expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52, and figures are for people")]

#[path = "evidence/rows.rs"]
mod rows;

use std::path::Path;
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

/// Frames pushed before one is waited for: far below the journal's backlog.
const FRAMES_IN_FLIGHT: usize = 8192;
/// As many as the sealer encodes at a time.
const BATCH_ROWS: usize = 1024;

fn main() -> Result<()> {
    // Cargo adds --bench.
    let count = std::env::args().skip(1).find(|arg| arg != "--bench").map_or(Ok(200_000), |count| count.parse())?;
    let rows = rows::rows(count);
    println!("{count} rows\n");
    for (name, durability) in [("fsync", Durability::Fsync), ("write", Durability::Write)] {
        let dir = tempfile::tempdir()?;
        let journal = dir.path().join("journal");
        append(&rows, &journal, durability).with_context(|| name)?.print(&format!("journal, {name}"));
        if durability == Durability::Write {
            read_back(&rows, &journal)?.print("journal, read by the sealer");
        }
    }
    encode(&rows)?;
    seal_all(&rows)
}

/// Ticks a second in /proc/self/stat: USER_HZ, the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

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
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("no command name")?.1;
    // Fields 14 and 15, counted from the third behind the command name (proc_pid_stat(5)).
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / TICKS_PER_S)
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

/// The segments in `dir`, which hold `rows`, in memory and decoded.
fn read_back(rows: &[Row], dir: &Path) -> Result<Measured> {
    let (measured, found) = measure(rows, || {
        let mut found = 0;
        for path in segment::list(dir)? {
            found += SegmentBytes::read(&path)?.contents::<&str>()?.rows.len();
        }
        Ok(found)
    })?;
    ensure!(found == rows.len(), "{found} of {} rows", rows.len());
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

/// One segment's rows to one signed file.
fn seal_all(rows: &[Row]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let settings = Settings::new(dir.path());
    let keys = dir.path().join("keys");
    std::fs::create_dir_all(&keys)?;
    seal::prepare(&settings)?;
    let mut chain = Chain::open(settings.clone(), Signer::load_or_create(&keys)?)?;
    let sealed_us = rows.last().context("no rows")?.outcome.end_time_us;
    let (written, files) = measure(rows, || Ok(seal::seal(&settings, rows)?))?;
    written.print("Parquet, written and checked");
    let (signed, ()) = measure(rows, || Ok(cover(&mut chain, rows, &files, sealed_us)?))?;
    signed.print("manifest, signed");
    let (cpu_s, wall_s) = (written.cpu_s + signed.cpu_s, written.wall_s + signed.wall_s);
    Measured { rows: rows.len(), cpu_s, wall_s }.print("sealing, both");
    let bytes: u64 = files.iter().map(Sealed::bytes).sum();
    let per_row = bytes as f64 / rows.len() as f64;
    println!("\n{per_row:.1} bytes/row in Parquet, {:.1} with the list of rows", per_row + LEAF_BYTES as f64);
    Ok(())
}
