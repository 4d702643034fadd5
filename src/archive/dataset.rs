//! Where sealed files are: partition directories, file names, and listing them.
//!
//! `audit/event_date=YYYY-MM-DD/<instance>-<epoch>-<firstseq>-<lastseq>.parquet`. Names are parsed back strictly, so
//! that nothing else is ever taken for a sealed file. This module lists directories but opens no file.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::record::Writer;

const DAY_US: i64 = 86_400_000_000;
const DAY_S: i64 = 86_400;
/// 0001-01-01 and 9999-12-30 as days since the Unix epoch: what a four-digit year and jiff can both express.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_895;
const PARTITION_PREFIX: &str = "event_date=";
const FILE_SUFFIX: &str = ".parquet";

/// A UTC day of `event_time`: the partition key.
///
/// Times beyond the years 1 to 9999, which only a broken clock produces, belong to the first or last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventDate(i64);

impl EventDate {
    /// The day `time_us` (microseconds since the Unix epoch, UTC) falls on.
    #[must_use]
    pub fn of(time_us: i64) -> Self {
        Self(time_us.div_euclid(DAY_US).clamp(*DAYS.start(), *DAYS.end()))
    }

    /// First microsecond of the day.
    #[must_use]
    pub fn start_us(self) -> i64 {
        self.0.saturating_mul(DAY_US)
    }

    /// First microsecond of the next day.
    #[must_use]
    pub fn end_us(self) -> i64 {
        self.start_us().saturating_add(DAY_US)
    }

    /// The day a directory name stands for, or `None` if it is not the name of a partition.
    #[must_use]
    pub fn from_directory_name(name: &str) -> Option<Self> {
        let date = Date::from_str(name.strip_prefix(PARTITION_PREFIX)?).ok()?;
        let second = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_second();
        let day = Self(second.div_euclid(DAY_S));
        // Only the spelling we write: jiff also reads `20261122`.
        (DAYS.contains(&day.0) && day.directory_name() == name).then_some(day)
    }

    /// `event_date=YYYY-MM-DD`.
    #[must_use]
    pub fn directory_name(self) -> String {
        format!("{PARTITION_PREFIX}{self}")
    }
}

impl fmt::Display for EventDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `DAYS` keeps this inside what a timestamp can hold.
        let midnight = Timestamp::from_second(self.0.saturating_mul(DAY_S)).map_err(|_| fmt::Error)?;
        write!(f, "{}", Offset::UTC.to_datetime(midnight).date())
    }
}

/// The name of a sealed file: which writer's rows it holds, by sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    instance_id: String,
    epoch: u64,
    first_seq: u64,
    last_seq: u64,
}

impl FileName {
    /// Names the file for rows `first_seq..=last_seq` of `writer`; `None` if the instance id cannot be part of a file
    /// name (it must be ASCII letters, digits, `_`, `.` and `-`, must not begin with `.`, and be 1 to 128 long).
    #[must_use]
    pub fn new(writer: &Writer, first_seq: u64, last_seq: u64) -> Option<Self> {
        let instance_id = writer.instance_id.clone();
        Self::checked(Self { instance_id, epoch: writer.epoch, first_seq, last_seq })
    }

    /// The parts of a file name, or `None` if it is not the name of a sealed file.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(FILE_SUFFIX)?.rsplitn(4, '-');
        let (last_seq, first_seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let epoch = parts.next()?.parse().ok()?;
        let parsed = Self::checked(Self { instance_id: parts.next()?.to_owned(), epoch, first_seq, last_seq })?;
        (parsed.to_string() == name).then_some(parsed)
    }

    fn checked(self) -> Option<Self> {
        let id = &self.instance_id;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let sound = (1..=128).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('.');
        (sound && self.first_seq <= self.last_seq).then_some(self)
    }

    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// First and last sequence number.
    #[must_use]
    pub fn seqs(&self) -> std::ops::RangeInclusive<u64> {
        self.first_seq..=self.last_seq
    }

    /// Whether both files hold rows of one writer and their sequence ranges touch: one may repeat rows of the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.instance_id == other.instance_id
            && self.epoch == other.epoch
            && self.first_seq <= other.last_seq
            && other.first_seq <= self.last_seq
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance_id, epoch, first_seq, last_seq } = self;
        write!(f, "{instance_id}-{epoch}-{first_seq}-{last_seq}{FILE_SUFFIX}")
    }
}

/// The partitions below `audit_dir`, oldest first. An absent directory is an empty dataset.
pub fn partitions(audit_dir: &Path) -> io::Result<Vec<(EventDate, PathBuf)>> {
    let mut found = named_entries(audit_dir, EventDate::from_directory_name)?;
    found.sort_unstable_by_key(|(date, _)| *date);
    Ok(found)
}

/// The sealed files of one partition, in no particular order. An absent directory has none.
pub fn files(partition_dir: &Path) -> io::Result<Vec<(FileName, PathBuf)>> {
    named_entries(partition_dir, FileName::parse)
}

fn named_entries<T>(dir: &Path, parse: fn(&str) -> Option<T>) -> io::Result<Vec<(T, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(parsed) = entry.file_name().to_str().and_then(parse) {
            found.push((parsed, entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn days_turn_at_utc_midnight() {
        let midnight = 1_795_305_600_000_000; // 2026-11-22T00:00:00Z
        assert_eq!(EventDate::of(midnight).directory_name(), "event_date=2026-11-22");
        assert_eq!(EventDate::of(midnight - 1).directory_name(), "event_date=2026-11-21");
        assert_eq!(EventDate::of(midnight).start_us(), midnight);
        assert_eq!(EventDate::of(-1).directory_name(), "event_date=1969-12-31");
    }

    #[test]
    fn times_beyond_the_calendar_fall_on_its_first_and_last_day() {
        assert_eq!(EventDate::of(i64::MIN).directory_name(), "event_date=0001-01-01");
        assert_eq!(EventDate::of(i64::MAX).directory_name(), "event_date=9999-12-30");
    }

    #[test]
    fn directory_names_round_trip_and_others_are_refused() {
        for time_us in [i64::MIN, -1, 0, 1_795_305_600_000_000, i64::MAX] {
            let date = EventDate::of(time_us);
            assert_eq!(EventDate::from_directory_name(&date.directory_name()), Some(date));
        }
        for name in ["event_date=20261122", "event_date=2026-13-01", "2026-11-22", "event_date=2026-11-22x", "staging"]
        {
            assert_eq!(EventDate::from_directory_name(name), None, "{name}");
        }
    }

    #[test]
    fn file_names_round_trip_with_dashes_in_the_instance() {
        let writer = Writer { instance_id: "eu-west-1.a".to_owned(), boot_id: Uuid::nil(), epoch: 3 };
        let name = FileName::new(&writer, 17, 40).expect("valid");
        assert_eq!(name.to_string(), "eu-west-1.a-3-17-40.parquet");
        assert_eq!(FileName::parse("eu-west-1.a-3-17-40.parquet"), Some(name));
    }

    #[test]
    fn other_names_are_not_sealed_files() {
        for name in [
            "a-3-17-40.parquet.tmp",
            "a-3-17.parquet",
            "a-3-40-17.parquet",
            "a-03-17-40.parquet",
            "a-+3-17-40.parquet",
            ".a-3-17-40.parquet",
            "-3-17-40.parquet",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn instance_ids_that_would_leave_the_directory_are_refused() {
        for id in ["", "../a", "a/b", ".hidden", "a\0"] {
            let writer = Writer { instance_id: id.to_owned(), boot_id: Uuid::nil(), epoch: 1 };
            assert_eq!(FileName::new(&writer, 1, 1), None, "{id:?}");
        }
    }
}
