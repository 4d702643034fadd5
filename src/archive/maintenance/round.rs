//! One round over the days of the dataset: what was begun is ended, what is too old is removed, closed days are compacted.
//!
//! One day at a time, oldest first; a day that fails is named and does not keep the next from its turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::clock::{self, Believed};
use super::day::Work;
use super::lists;
use super::pace::Pace;
use super::pack;
use super::plan::Rules;
use super::stock::{self, Present};
use super::swap::Places;
use super::{Ledger, RewriteError};
use crate::archive::dataset::{self, EventDate, FileName};
use crate::archive::entries;
use crate::archive::file::FileError;
use crate::archive::manifest;
use crate::archive::seal::Settings;
use crate::archive::signer::PublicKey;
use crate::journal::segment;

/// Days for which the chain is read at once.
const DAYS_MAX: usize = 16;
/// How often a day is worked on in one round: outputs of a first pass can be inputs of a second.
const PASSES_MAX: usize = 4;

/// What a round works with.
pub struct Round<'a> {
    pub settings: &'a Settings,
    pub journal_dir: &'a Path,
    pub rules: &'a Rules,
    /// Of the key that signs the chain now.
    pub key: &'a PublicKey,
    /// Held by whoever adds files to the dataset.
    pub lock: &'a Mutex<()>,
    /// Told of each file before it goes.
    pub expect: &'a dyn Fn(&Path),
    /// Told after each day how many were worked on, and how many have to be as far as is known.
    pub progress: &'a dyn Fn(usize, usize),
    /// Whether the wall clock is believed whatever the chain says.
    pub trust_clock: bool,
}

/// What a round did.
#[derive(Debug, Default)]
pub struct RoundReport {
    /// Rewrites that were done.
    pub rewrites: u64,
    /// Rows that were removed.
    pub rows_removed: u64,
    /// Sealed files there are fewer.
    pub files_gone: u64,
    /// Files of single entries of the chain that went into packed ones.
    pub entries_packed: u64,
    /// Files in the days that were looked at which no entry accounts for: they are left as they are.
    pub unknown: Vec<PathBuf>,
    pub problems: Vec<Problem>,
    /// How late it was taken to be; `None` if nothing is ever removed.
    pub believed: Option<Believed>,
}

/// A day that stays as it is, for now.
#[derive(Debug, thiserror::Error)]
#[error("{date}: {error}")]
pub struct Problem {
    pub date: EventDate,
    pub error: RewriteError,
}

/// Why a day is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reason {
    /// Something was begun and not ended.
    Begun,
    /// It is too old.
    Expired,
    /// It is closed and has more than one file of a start.
    Scattered,
}

/// What needs no work as long as the files of a day, and the rules, are what they were.
#[derive(Debug, Default)]
pub struct Settled {
    rules: Option<Rules>,
    days: HashMap<EventDate, (Reason, Present)>,
    /// Whether lists of rows that nothing needs are gone.
    lists: bool,
}

impl Round<'_> {
    /// Goes over the days. `wall_us` is now by the wall clock.
    pub fn run(
        &self,
        wall_us: i64,
        ledger: &mut dyn Ledger,
        pace: &mut Pace<'_>,
        settled: &mut Settled,
    ) -> RoundReport {
        let mut report = RoundReport::default();
        if settled.rules.as_ref() != Some(self.rules) {
            *settled = Settled { rules: Some(self.rules.clone()), ..Settled::default() };
        }
        if let Err(error) = self.passes(wall_us, ledger, pace, settled, &mut report) {
            report.problems.push(Problem { date: EventDate::of(wall_us), error });
        }
        match pack::pack(self, pack::ENTRIES) {
            Ok(gone) => report.entries_packed = gone,
            Err(error) => report.problems.push(Problem { date: EventDate::of(wall_us), error }),
        }
        if !settled.lists || report.rewrites > 0 || report.files_gone > 0 {
            match lists::tidy(self, pace) {
                Ok(looked) => settled.lists = looked,
                Err(error) => report.problems.push(Problem { date: EventDate::of(wall_us), error }),
            }
        }
        report
    }

    fn passes(
        &self,
        wall_us: i64,
        ledger: &mut dyn Ledger,
        pace: &mut Pace<'_>,
        settled: &mut Settled,
        report: &mut RoundReport,
    ) -> Result<(), RewriteError> {
        report.believed = self.believed(wall_us)?;
        let mut tried: HashMap<EventDate, usize> = HashMap::new();
        let mut done = 0;
        loop {
            let mut due = self.due(wall_us, report.believed)?;
            due.retain(|date, found| {
                settled.days.get(date) != Some(found) && tried.get(date).is_none_or(|times| *times < PASSES_MAX)
            });
            let all = done + due.len();
            let due: BTreeMap<EventDate, (Reason, Present)> = due.into_iter().take(DAYS_MAX).collect();
            if due.is_empty() {
                return Ok(());
            }
            // After the listing: rows of a file in it that a segment still has are seen in the segment.
            let busy = self.journal_days()?;
            let present = due.iter().map(|(date, (_, present))| (*date, present.clone())).collect();
            let mut days = stock::read(&self.settings.manifest_dir, self.key, &present)?;
            for (date, found) in due {
                *tried.entry(date).or_default() += 1;
                let day = days.remove(&date).unwrap_or_default();
                let places = Places::new(self.settings, date);
                let mut work =
                    Work { round: self, places, ledger: &mut *ledger, pace: &mut *pace, report: &mut *report };
                match work.day(found.0, &day, busy.contains(&date)) {
                    Ok(true) => drop(settled.days.remove(&date)),
                    Ok(false) => {
                        tried.insert(date, PASSES_MAX);
                        report.unknown.extend(day.unknown.iter().map(|path| self.settings.audit_dir.join(path)));
                        if !busy.contains(&date) {
                            settled.days.insert(date, found);
                        }
                    }
                    Err(RewriteError::Stopped) => return Err(RewriteError::Stopped),
                    Err(error) => {
                        tried.insert(date, PASSES_MAX);
                        report.problems.push(Problem { date, error });
                    }
                }
                done += 1;
                (self.progress)(done, all);
            }
        }
    }

    /// Does something while nothing is sealed.
    pub(super) fn locked<T>(&self, change: impl FnOnce() -> T) -> T {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        change()
    }

    /// How late it is for removing rows; not needed if none ever are.
    pub(super) fn believed(&self, wall_us: i64) -> Result<Option<Believed>, RewriteError> {
        if self.rules.keep_days.is_none() {
            return Ok(None);
        }
        if self.trust_clock {
            return Ok(Some(Believed { now_us: wall_us, wall: true }));
        }
        let mut times = Vec::new();
        let dir = &self.settings.manifest_dir;
        let walked = entries::walk_back(dir, |signed| {
            times.extend(manifest::parse_time_text(&signed.entry.time));
            // Enough for an answer: a hole, or a span long enough.
            times.last().is_none_or(|time_us| wall_us.saturating_sub(*time_us) < 2 * clock::TRUST_US)
        });
        walked.map_err(FileError::io("reading", dir))?;
        Ok(Some(clock::believed(wall_us, times.into_iter())))
    }

    /// Days for which there is something to do by the names of their files, and these.
    pub(super) fn due(
        &self,
        wall_us: i64,
        believed: Option<Believed>,
    ) -> Result<BTreeMap<EventDate, (Reason, Present)>, RewriteError> {
        let Settings { audit_dir, staging_dir, .. } = self.settings;
        let begun = Places::begun(staging_dir).map_err(FileError::io("listing", staging_dir))?;
        let partitions = dataset::partitions(audit_dir).map_err(FileError::io("listing", audit_dir))?;
        let dates: BTreeSet<EventDate> =
            partitions.iter().map(|(date, _)| *date).chain(begun.iter().copied()).collect();
        let mut due = BTreeMap::new();
        for date in dates {
            let expired = believed.is_some_and(|believed| self.rules.expires(date, believed.now_us));
            let closed = self.rules.closes(date, wall_us);
            if !expired && !closed && !begun.contains(&date) {
                continue;
            }
            let places = Places::new(self.settings, date);
            let present = present(&places).map_err(FileError::io("listing", &places.partition))?;
            let reason = match (begun.contains(&date), expired) {
                (true, _) => Reason::Begun,
                (false, true) => Reason::Expired,
                (false, false) if is_scattered(&present) => Reason::Scattered,
                (false, false) => continue,
            };
            due.insert(date, (reason, present));
        }
        Ok(due)
    }

    /// The days of rows that are in the journal. They are let alone until they are sealed.
    fn journal_days(&self) -> Result<BTreeSet<EventDate>, RewriteError> {
        let mut days = BTreeSet::new();
        let segments = match segment::list(self.journal_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(days),
            listed => listed.map_err(FileError::io("listing", self.journal_dir))?,
        };
        for path in segments {
            let contents = match segment::read(&path) {
                // Sealed meanwhile.
                Err(_) if matches!(path.try_exists(), Ok(false)) => continue,
                read => read?,
            };
            if contents.damage.as_ref().is_some_and(|damage| damage.corrupt_bytes() > 0) {
                return Err(RewriteError::JournalDamaged);
            }
            days.extend(contents.rows.iter().map(|row| EventDate::of(row.intent.event_time_us)));
        }
        Ok(days)
    }
}

/// The files of a day.
fn present(places: &Places) -> io::Result<Present> {
    let files = |dir: &Path| -> io::Result<BTreeMap<String, u64>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries?,
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let path = format!("{}/{}", places.date.directory_name(), entry.file_name().to_string_lossy());
            found.insert(path, entry.metadata()?.len());
        }
        Ok(found)
    };
    Ok(Present { partition: files(&places.partition)?, build: files(&places.build)? })
}

/// Whether a start has more than one file.
fn is_scattered(present: &Present) -> bool {
    let mut starts = BTreeSet::new();
    let names = present.partition.keys().filter_map(|path| FileName::parse(path.split_once('/')?.1));
    names.into_iter().any(|name| !starts.insert((name.instance_id().to_owned(), name.epoch())))
}
