//! Each sealed file against what the chain says of it, several at a time.
//!
//! A file whose bytes are not those that were signed is not decoded here: nothing in it can be believed, and whoever wrote
//! it may have aimed at the decoder. Which of its rows are others is for `rows`, when everything else is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::journal::Tail;
use super::lists::Lists;
use super::rows::Modified;
use super::seqs::{Runs, Seqs};
use super::stated::Stated;
use super::{Fault, Problem, Progress, Settings, VerifyError, at};
use crate::archive::canonical;
use crate::archive::content::{Content, Fingerprint};
use crate::archive::dataset::FileName;
use crate::archive::digest::Sha256;
use crate::archive::leaves;
use crate::archive::maintenance::stock::StatedFile;
use crate::archive::manifest::{self, Start};
use crate::archive::statement::FileStatement;

/// What comparing the files came to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) problems: Vec<Problem>,
    pub(super) seqs: Seqs,
    pub(super) files: u64,
    pub(super) rows: u64,
    pub(super) skipped: u64,
    pub(super) unsigned: Vec<String>,
    /// Files that were modified and whose rows can be told apart.
    pub(super) modified: Vec<Modified>,
}

/// Everything below the dataset that is not a directory: the path as entries spell it, and the real one. Symbolic
/// links are not followed.
pub(super) fn list(audit_dir: &Path) -> Result<BTreeMap<String, PathBuf>, VerifyError> {
    let mut found = BTreeMap::new();
    let mut open = vec![(audit_dir.to_owned(), String::new())];
    while let Some((dir, prefix)) = open.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(at(&dir))?,
        };
        for entry in entries {
            let entry = entry.map_err(at(&dir))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(at(&dir))?.is_dir() {
                open.push((entry.path(), format!("{name}/")));
            } else {
                found.insert(name, entry.path());
            }
        }
    }
    Ok(found)
}

/// Compares what is present with what was stated.
pub(super) fn check(
    settings: &Settings,
    stated: &Stated,
    present: BTreeMap<String, PathBuf>,
    lists: &Lists,
    journal: &Tail,
    progress: Progress<'_>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut asked: Vec<&StatedFile> = Vec::new();
    for file in stated.files.values() {
        if in_range(settings, &file.file) {
            asked.push(file);
        } else {
            outcome.skipped += 1;
            outcome.assume(file);
        }
    }
    for (start, range) in stated.removed() {
        outcome.seqs.assume(start.clone(), range);
    }
    asked.sort_by_key(|file| file.index);
    let findings = in_parallel(settings, &asked, progress);
    let mut missing: Vec<&StatedFile> = Vec::new();
    for (file, found) in asked.iter().zip(findings) {
        outcome.files += 1;
        match found {
            Ok(content) => outcome.add_intact(file, &content),
            Err(faults) if faults.is_empty() => missing.push(file),
            Err(faults) => {
                outcome.modified.extend(modified(settings, file, &faults, lists));
                outcome.add_faulty(file, faults);
            }
        }
    }
    let extra: BTreeMap<_, _> = present.into_iter().filter(|(path, _)| !stated.files.contains_key(path)).collect();
    outcome.add_missing_and_extra(&missing, stated, extra, journal);
    outcome
}

/// The file, if its bytes are others and its list of rows is as it was.
fn modified(settings: &Settings, stated: &StatedFile, faults: &[Fault], lists: &Lists) -> Option<Modified> {
    let [Fault::Size { .. } | Fault::Bytes] = faults else { return None };
    let path = &stated.file.path;
    Some(Modified {
        place: format!("audit/{path}"),
        path: settings.root.join("audit").join(path),
        rows: stated.file.rows,
        list: lists.of(stated)?.to_owned(),
    })
}

/// Whether any time of the file can be in the asked range.
pub(super) fn in_range(settings: &Settings, file: &FileStatement) -> bool {
    let first = manifest::parse_time_text(&file.first_event_time);
    let last = manifest::parse_time_text(&file.last_event_time);
    let too_old = settings.since_us.zip(last).is_some_and(|(since_us, last_us)| last_us < since_us);
    let too_new = settings.until_us.zip(first).is_some_and(|(until_us, first_us)| first_us >= until_us);
    !too_old && !too_new
}

/// The content of an intact file, or what is wrong with it; nothing in the list means that it is missing.
type Finding = Result<Content, Vec<Fault>>;

/// Checks every file, in order, on as many threads as the settings say.
fn in_parallel(settings: &Settings, asked: &[&StatedFile], progress: Progress<'_>) -> Vec<Finding> {
    let audit_dir = settings.root.join("audit");
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut findings = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = asked.get(at) else { return findings };
            findings.push((at, check_file(&audit_dir, file)));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, asked.len());
        }
    };
    let threads = settings.threads.get().min(asked.len());
    let mut findings: Vec<(usize, Finding)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut findings = work();
        for other in others {
            // Decoding is guarded, so a thread that panicked is a defect here; passing it on beats a partial report.
            findings.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        findings
    });
    findings.sort_by_key(|(at, _)| *at);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn check_file(audit_dir: &Path, stated: &StatedFile) -> Finding {
    let path = audit_dir.join(&stated.file.path);
    let found = match Fingerprint::of(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Vec::new()),
        Err(error) => return Err(vec![error.into()]),
    };
    if found.bytes != stated.file.bytes {
        return Err(vec![Fault::Size { found: found.bytes, signed: stated.file.bytes }]);
    }
    if found.sha256 != stated.file.sha256 {
        return Err(vec![Fault::Bytes]);
    }
    let content = Content::read(&path).map_err(|error| vec![error.into()])?;
    let faults = wrong_statements(stated, &content);
    if faults.is_empty() { Ok(content) } else { Err(faults) }
}

fn wrong_statements(stated: &StatedFile, content: &Content) -> Vec<Fault> {
    let StatedFile { start, file, .. } = stated;
    let times = content.event_times.map(|(first, last)| (manifest::time_text(first), manifest::time_text(last)));
    let stated_times = (file.first_event_time.clone(), file.last_event_time.clone());
    let comparisons = [
        ("number of rows", content.leaves.len() as u64 == file.rows),
        ("Merkle root over its rows", canonical::merkle_root(&content.leaves) == file.merkle_root),
        ("schema", content.schema == file.schema_sha256),
        ("epoch", content.epoch == start.epoch),
        ("range of seq", content.seq_range() == Some(file.first_seq..=file.last_seq)),
        ("range of event_time", times == Some(stated_times)),
        ("list of its rows", file.leaves_sha256.is_none_or(|sha256| sha256 == leaves::digest(&content.leaves))),
        ("list of policy hashes", content.policy_hashes.iter().eq(&file.policy_hashes)),
    ];
    let wrong = comparisons.into_iter().filter(|(_, same)| !same);
    wrong.map(|(what, _)| Fault::Statement(what)).collect()
}

impl Outcome {
    fn complain(&mut self, path: &str, fault: Fault) {
        self.problems.push(Problem { place: format!("audit/{path}"), fault });
    }

    fn assume(&mut self, stated: &StatedFile) {
        self.seqs.assume(stated.start.clone(), stated.file.first_seq..=stated.file.last_seq);
    }

    fn add_intact(&mut self, stated: &StatedFile, content: &Content) {
        self.rows += stated.file.rows;
        self.seqs.add_sealed(stated.start.clone(), Runs::of_sorted(&content.seqs));
        if content.gaps > 0 {
            self.complain(&stated.file.path, Fault::GapRows(content.gaps));
        }
    }

    fn add_faulty(&mut self, stated: &StatedFile, faults: Vec<Fault>) {
        self.assume(stated);
        for fault in faults {
            self.complain(&stated.file.path, fault);
        }
    }

    /// Tells renamed, copied and rewritten files from ones that were removed or added, by their bytes.
    fn add_missing_and_extra(
        &mut self,
        missing: &[&StatedFile],
        stated: &Stated,
        extra: BTreeMap<String, PathBuf>,
        journal: &Tail,
    ) {
        let by_bytes: HashMap<Sha256, &str> =
            stated.files.values().map(|stated| (stated.file.sha256, stated.file.path.as_str())).collect();
        let gone: BTreeSet<&str> = missing.iter().map(|stated| stated.file.path.as_str()).collect();
        let mut renamed = BTreeSet::new();
        for (path, real) in extra {
            let found = match Fingerprint::of(&real) {
                Ok(found) => found.sha256,
                Err(error) => {
                    self.complain(&path, error.into());
                    continue;
                }
            };
            match by_bytes.get(&found).copied() {
                Some(original) if gone.contains(original) && renamed.insert(original) => {
                    self.complain(original, Fault::Renamed(format!("audit/{path}")));
                }
                Some(original) => self.complain(&path, Fault::Copy(format!("audit/{original}"))),
                None if stated.superseded.get(&path).is_some_and(|before| before.file.sha256 == found) => {
                    self.complain(&path, Fault::Superseded);
                }
                None => self.add_unsigned(&path, journal),
            }
        }
        for file in missing {
            self.assume(file);
            if !renamed.contains(file.file.path.as_str()) {
                self.complain(&file.file.path, Fault::FileMissing);
            }
        }
    }

    fn add_unsigned(&mut self, path: &str, journal: &Tail) {
        let name = path.rsplit('/').next().and_then(FileName::parse);
        let Some(name) = name else {
            return self.complain(path, Fault::Stray);
        };
        let start = Start { instance_id: name.instance_id().to_owned(), epoch: name.epoch() };
        if journal.seqs.get(&start).is_some_and(|runs| runs.contain(&name.seqs())) {
            self.unsigned.push(format!("audit/{path}"));
        } else {
            self.complain(path, Fault::NotSigned);
        }
        self.seqs.assume(start, name.seqs());
    }
}
