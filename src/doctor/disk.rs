//! The file system of the journal: room, inodes, and how long making something durable takes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{StatVfsMountFlags, fdatasync, statvfs};

use super::{Finding, Setup};

/// Writes of the probe; the slowest counts.
const WRITES: usize = 3;
/// About what a journal's group commit writes.
const WRITE_BYTES: usize = 4096;
/// Free inodes below this leave no room for a day of small files.
const FREE_INODES_MIN: u64 = 10_000;

/// What was seen of a file system.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) dir: PathBuf,
    pub(super) free_bytes: u64,
    /// `None` where the file system counts none.
    pub(super) free_inodes: Option<u64>,
    pub(super) read_only: bool,
}

/// Below what is the room too little, and a write too slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) free_bytes_min: u64,
    pub(super) wait_max: Duration,
}

pub(super) fn disk(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        let dir = existing(&config.data_dir.journal());
        let settings = &config.audit.journal;
        let limits = Limits { free_bytes_min: settings.free_bytes_min, wait_max: settings.wait_max };
        let facts = match look(&dir) {
            Ok(facts) => facts,
            Err(error) => {
                let fix = "run doctor as the user Tollgate runs as, or put the directory right";
                return vec![Finding::fail(format!("{}: {error}", dir.display()), fix)];
            }
        };
        let mut findings = vec![judge_room(&facts, limits)];
        if !facts.read_only {
            findings.push(judge_write(&facts.dir, write_durably(&probe_dir(&dir, &config.data_dir.journal())), limits));
        }
        findings
    })
}

/// The directory, or the nearest one above it that exists.
fn existing(dir: &Path) -> PathBuf {
    let found = dir.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned);
    found.filter(|found| !found.as_os_str().is_empty()).unwrap_or_else(|| PathBuf::from("."))
}

/// Beside the journal, never in it: what lies there is evidence.
fn probe_dir(dir: &Path, journal: &Path) -> PathBuf {
    if dir == journal { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() }
}

fn look(dir: &Path) -> io::Result<Facts> {
    let seen = statvfs(dir)?;
    Ok(Facts {
        dir: dir.to_owned(),
        free_bytes: seen.f_bavail.saturating_mul(seen.f_frsize),
        free_inodes: (seen.f_files > 0).then_some(seen.f_favail),
        read_only: seen.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

pub(super) fn judge_room(facts: &Facts, limits: Limits) -> Finding {
    let Facts { dir, free_bytes, free_inodes, read_only } = facts;
    let (dir, needed) = (dir.display(), limits.free_bytes_min);
    if *read_only {
        return Finding::fail(format!("{dir}: the file system is read-only"), "mount it writable, after its own check");
    }
    if *free_bytes < needed {
        return Finding::fail(
            format!(
                "{dir}: {} free, below audit.free_bytes_min ({}): every call is refused",
                mib(*free_bytes),
                mib(needed)
            ),
            "free space, or move data_dir to a larger file system",
        );
    }
    if free_inodes.is_some_and(|inodes| inodes < FREE_INODES_MIN) {
        let inodes = free_inodes.unwrap_or(0);
        return Finding::warn(
            format!("{dir}: {inodes} inodes free"),
            "delete small files there, or raise audit.seal_after_s, which makes fewer",
        );
    }
    if *free_bytes / 4 < needed {
        return Finding::warn(
            format!("{dir}: {} free; below {} every call is refused", mib(*free_bytes), mib(needed)),
            "free space soon, or move old files of audit/ away after `tollgate verify`",
        );
    }
    Finding::ok(format!("{dir}: {} free", mib(*free_bytes)))
}

pub(super) fn judge_write(dir: &Path, slowest: io::Result<Duration>, limits: Limits) -> Finding {
    let dir = dir.display();
    match slowest {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::skip(format!(
            "{dir}: this user may not write there ({error}); run doctor as the user Tollgate runs as"
        )),
        Err(error) => {
            Finding::fail(format!("{dir}: cannot be written: {error}"), "put the disk right: no call passes without")
        }
        Ok(slowest) if slowest >= limits.wait_max => Finding::fail(
            format!("{dir}: a durable write took {} ms, and audit.wait_max_ms is {}", ms(slowest), ms(limits.wait_max)),
            "use a faster disk for data_dir; calls are refused with 503 meanwhile",
        ),
        Ok(slowest) if slowest >= limits.wait_max / 10 => Finding::warn(
            format!("{dir}: the slowest of {WRITES} durable writes took {} ms: each call waits that long", ms(slowest)),
            "use a faster disk for data_dir",
        ),
        Ok(slowest) => Finding::ok(format!("{dir}: the slowest of {WRITES} durable writes took {} ms", ms(slowest))),
    }
}

/// The slowest of a few writes that were made durable; the file is removed.
fn write_durably(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let mut slowest = Duration::ZERO;
    let mut written = Ok(());
    for _ in 0..WRITES {
        let began = Instant::now();
        written = written.and_then(|()| file.write_all(&[0; WRITE_BYTES])).and_then(|()| Ok(fdatasync(&file)?));
        slowest = slowest.max(began.elapsed());
    }
    fs::remove_file(&path)?;
    written.map(|()| slowest)
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

fn ms(duration: Duration) -> u128 {
    duration.as_millis()
}
