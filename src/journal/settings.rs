//! What can be set about the journal. Reading a configuration file is `config`'s part.

use std::path::PathBuf;
use std::time::Duration;

use super::frame::PAYLOAD_BYTES_CEILING;
use super::segment::SEGMENT_BYTES_CEILING;

/// How durable evidence is when a wait for it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Synced to storage: survives the loss of power.
    #[default]
    Fsync,
    /// Written to the page cache, and synced at least this often: the loss of power costs what was written since.
    Interval { sync_interval: Duration },
    /// Written to the page cache: survives the end of the process, not the loss of power.
    Write,
    /// Nothing is kept of anything. Only `tollgate-without-evidence` sets it; no configuration can.
    #[cfg(feature = "bench-without-evidence")]
    Off,
}

impl Durability {
    /// As in the configuration.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Interval { .. } => "interval",
            Self::Write => "write",
            #[cfg(feature = "bench-without-evidence")]
            Self::Off => "off",
        }
    }
}

/// What becomes of calls while evidence cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// They are refused, and served again when storage is back.
    #[default]
    Refuse,
    /// They are refused, and the process stops.
    Shutdown,
    /// They are served without durable evidence.
    Continue,
}

impl OnFailure {
    /// As in the configuration.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Shutdown => "shutdown",
            Self::Continue => "continue",
        }
    }
}

/// Limits and timing of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the segments. Created at start; never while running, because one that vanished is probably a file
    /// system that was unmounted, and evidence written under its mount point would be hidden when it returns.
    pub dir: PathBuf,
    pub durability: Durability,
    pub on_failure: OnFailure,
    /// A segment is closed once it is this large.
    pub segment_bytes_max: u64,
    /// Zeros are written ahead of the frames in steps of this many bytes. No configuration key: what a step costs depends
    /// little on its size, and tests want small ones.
    pub fill_bytes: u64,
    /// A segment is closed once its oldest row is this old.
    pub seal_after: Duration,
    /// Under load, commits start at least this far apart, and up to four times as far when many calls wait for slow storage;
    /// an idle writer commits at once.
    pub commit_gap: Duration,
    /// How long an outcome that nobody waits for may wait for an intent whose commit it can share.
    pub settle_linger: Duration,
    /// Longest wait for an intent to be durable; then it has failed. Storage that has not answered for as long is stalled.
    pub wait_max: Duration,
    /// Time between attempts to write again after a storage failure.
    pub retry_gap: Duration,
    /// Most frames waiting to be written. Intents may use half of it, so that outcomes find room.
    pub backlog_frames_max: usize,
    /// Most payload bytes waiting to be written, shared the same way.
    pub backlog_bytes_max: usize,
    /// Largest payload of one frame. A larger outcome or row is journaled without its optional texts.
    pub frame_bytes_max: u32,
    /// Journaling stops while the file system has less free space than this.
    pub free_bytes_min: u64,
    /// Where rows go from here: journaling stops for its file system, too, as long as it can be looked at.
    pub dataset_dir: Option<PathBuf>,
}

/// Which setting has a value the journal cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("frame_bytes_max is {0}, it must be from {FRAME_BYTES_FLOOR} to {FRAME_BYTES_CEILING}")]
    FrameBytes(u32),
    #[error("segment_bytes_max is {0}, it must be from 1 to {max}", max = SEGMENT_BYTES_CEILING / 4)]
    SegmentBytes(u64),
    #[error("fill_bytes is {0}, it must be from 1 to {max}", max = SEGMENT_BYTES_CEILING / 16)]
    FillBytes(u64),
    #[error("backlog_bytes_max is {0}, it must be from 1 to {max}", max = SEGMENT_BYTES_CEILING / 4)]
    BacklogBytes(usize),
    #[error("backlog_frames_max is {0}, it must be at least 2")]
    BacklogFrames(usize),
    #[error("retry_gap is {0:?}, it must be from 1 ms to 60 s")]
    RetryGap(Duration),
    #[error("commit_gap is {0:?}, it must be at most 1 s")]
    CommitGap(Duration),
}

/// A frame of this many bytes has room for a row without its optional texts.
const FRAME_BYTES_FLOOR: u32 = 1024;

/// Recovery joins an intent and an outcome in one frame, which must still be readable.
const FRAME_BYTES_CEILING: u32 = PAYLOAD_BYTES_CEILING / 4;

impl Settings {
    /// The defaults, for the journal in `dir`.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            durability: Durability::Fsync,
            on_failure: OnFailure::Refuse,
            segment_bytes_max: 64 << 20,
            fill_bytes: 256 << 10,
            seal_after: Duration::from_secs(10),
            commit_gap: Duration::from_millis(1),
            settle_linger: Duration::from_millis(1),
            wait_max: Duration::from_secs(5),
            retry_gap: Duration::from_millis(200),
            backlog_frames_max: 65_536,
            backlog_bytes_max: 128 << 20,
            frame_bytes_max: 1 << 20,
            free_bytes_min: 64 << 20,
            dataset_dir: None,
        }
    }

    /// Checks what [`open`](super::open) relies on.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(FRAME_BYTES_FLOOR..=FRAME_BYTES_CEILING).contains(&self.frame_bytes_max) {
            return Err(SettingsError::FrameBytes(self.frame_bytes_max));
        }
        // What is being read back is a full segment, one backlog on top of it, and the open intents.
        if !(1..=SEGMENT_BYTES_CEILING / 4).contains(&self.segment_bytes_max) {
            return Err(SettingsError::SegmentBytes(self.segment_bytes_max));
        }
        if !(1..=SEGMENT_BYTES_CEILING / 16).contains(&self.fill_bytes) {
            return Err(SettingsError::FillBytes(self.fill_bytes));
        }
        if !(1..=SEGMENT_BYTES_CEILING / 4).contains(&(self.backlog_bytes_max as u64)) {
            return Err(SettingsError::BacklogBytes(self.backlog_bytes_max));
        }
        if self.backlog_frames_max < 2 {
            return Err(SettingsError::BacklogFrames(self.backlog_frames_max));
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&self.retry_gap) {
            return Err(SettingsError::RetryGap(self.retry_gap));
        }
        if self.commit_gap > Duration::from_secs(1) {
            return Err(SettingsError::CommitGap(self.commit_gap));
        }
        Ok(())
    }
}
