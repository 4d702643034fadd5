//! (stand-ins, deleted when the real modules are merged)
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Policy;
#[derive(Clone, Debug)]
pub struct HostPattern;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Fsync,
    Write,
}
#[derive(Clone, Debug)]
pub struct JournalSettings {
    pub dir: PathBuf,
    pub durability: Durability,
    pub segment_bytes_max: u64,
    pub seal_after: Duration,
    pub commit_gap: Duration,
    pub wait_max: Duration,
    pub backlog_frames_max: usize,
    pub frame_bytes_max: u32,
    pub free_bytes_min: u64,
}
