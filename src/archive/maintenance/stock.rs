//! What the chain says of the files that are in some days of the dataset: read backwards from its end, only as far as the
//! files that are there require.
//!
//! Only what can be believed counts: each entry must be the one the next names, and what is used must be signed with the
//! key of this installation, or be from before it took over. A file is known by path and size here; its bytes are looked
//! at by whoever rewrites or removes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::RewriteError;
use crate::archive::dataset::EventDate;
use crate::archive::digest::Sha256;
use crate::archive::entries;
use crate::archive::file::FileError;
use crate::archive::manifest::{self, SignedEntry, Start};
use crate::archive::signer::PublicKey;
use crate::archive::statement::{FileStatement, RewriteStatement, Statement};

/// A file that an entry states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedFile {
    /// Of the entry.
    pub index: u64,
    /// The start that wrote its rows.
    pub start: Start,
    pub file: FileStatement,
}

/// Files of one day that are there: path as entries spell it, and size in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Present {
    /// In the dataset.
    pub(super) partition: BTreeMap<String, u64>,
    /// In the directory in staging that takes its place, or was in its place.
    pub(super) build: BTreeMap<String, u64>,
}

/// A rewrite that is stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatedRewrite {
    pub(super) index: u64,
    pub(super) start: Start,
    pub(super) rewrite: RewriteStatement,
}

/// What is known of one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// Files whose rows count.
    pub(super) live: Vec<StatedFile>,
    /// Files of which the rows are in a file that is there, or were removed, as the chain states.
    pub(super) superseded: Vec<StatedFile>,
    /// Files that no entry states, or not with this size.
    pub(super) unknown: Vec<String>,
    /// Rewrites that are not done although their inputs are there.
    pub(super) undone: Vec<StatedRewrite>,
    /// Bytes that may be deleted, by path: they were inputs of rewrites that are done.
    pub(super) accounted: HashMap<String, BTreeSet<Sha256>>,
}

/// Reads the chain for the files in `present`, by day. Only days with files in there are in the answer.
pub(super) fn read(
    manifest_dir: &Path,
    key: &PublicKey,
    present: &BTreeMap<EventDate, Present>,
) -> Result<BTreeMap<EventDate, Day>, RewriteError> {
    let mut walk = Walk::new(key, present);
    let walked = entries::walk_back(manifest_dir, |signed| walk.visit(signed));
    walked.map_err(FileError::io("reading", manifest_dir))?;
    if let Some(index) = walk.broken {
        tracing::error!(index, "the chain cannot be believed from here back: run `tollgate verify`");
    }
    Ok(present.iter().map(|(date, present)| (*date, walk.day(*date, present))).collect())
}

/// The day a path in the dataset belongs to.
fn day_of(path: &str) -> Option<EventDate> {
    EventDate::from_directory_name(path.split_once('/')?.0)
}

struct Walk<'a> {
    key: &'a PublicKey,
    key_id: Sha256,
    present: &'a BTreeMap<EventDate, Present>,
    /// Path and size of files for which no entry was seen yet.
    sought: HashMap<&'a str, BTreeSet<u64>>,
    /// By path and entry.
    found: BTreeMap<(String, u64), StatedFile>,
    /// Newest first, without those that a later one replaced.
    rewrites: Vec<StatedRewrite>,
    /// Files that were rewritten, by path and entry.
    rewritten: HashMap<(String, u64), u64>,
    /// SHA-256 of the entry that comes next, and its index.
    expected: Option<(u64, Sha256)>,
    broken: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(key: &'a PublicKey, present: &'a BTreeMap<EventDate, Present>) -> Self {
        let mut sought: HashMap<&str, BTreeSet<u64>> = HashMap::new();
        for (path, bytes) in present.values().flat_map(|present| present.partition.iter().chain(&present.build)) {
            sought.entry(path).or_default().insert(*bytes);
        }
        Self {
            key,
            key_id: key.id(),
            present,
            sought,
            found: BTreeMap::new(),
            rewrites: Vec::new(),
            rewritten: HashMap::new(),
            expected: None,
            broken: None,
        }
    }

    /// Takes in one entry, from the last one back; whether more are needed.
    fn visit(&mut self, signed: &SignedEntry) -> bool {
        let SignedEntry { entry, signed: line, signature } = signed;
        let sha256 = Sha256::of(&manifest::entry_bytes(line, signature));
        let linked = self.expected.is_none_or(|expected| expected == (entry.index, sha256));
        let first = self.expected.is_none();
        let relevant = first || self.is_relevant(&entry.statement);
        let signed = !relevant || (entry.key_id != self.key_id && !first) || self.key.verifies(line, signature);
        if !linked || !signed {
            self.broken = Some(entry.index);
            return false;
        }
        let start = entry.start();
        match &entry.statement {
            Statement::File(file) => self.add_file(entry.index, &start, file),
            Statement::Rewrite(rewrite) => self.add_rewrite(entry.index, &start, rewrite),
            Statement::Start(_)
            | Statement::Stop(_)
            | Statement::Heartbeat(_)
            | Statement::Policy(_)
            | Statement::RefusedReload(_)
            | Statement::KeyRotation(_) => {}
        }
        self.expected = entry.previous.map(|previous| (entry.index.saturating_sub(1), previous));
        !self.sought.is_empty() && self.expected.is_some()
    }

    fn is_relevant(&self, statement: &Statement) -> bool {
        let asked = |path: &str| day_of(path).is_some_and(|date| self.present.contains_key(&date));
        match statement {
            Statement::File(file) => asked(&file.path),
            Statement::Rewrite(rewrite) => rewrite.inputs.iter().any(|input| asked(&input.path)),
            Statement::Start(_)
            | Statement::Stop(_)
            | Statement::Heartbeat(_)
            | Statement::Policy(_)
            | Statement::RefusedReload(_)
            | Statement::KeyRotation(_) => false,
        }
    }

    fn add_file(&mut self, index: u64, start: &Start, file: &FileStatement) {
        let Some(sizes) = self.sought.get_mut(file.path.as_str()) else { return };
        if sizes.remove(&file.bytes) {
            if sizes.is_empty() {
                self.sought.remove(file.path.as_str());
            }
            let stated = StatedFile { index, start: start.clone(), file: file.clone() };
            self.found.insert((file.path.clone(), index), stated);
        }
    }

    fn add_rewrite(&mut self, index: u64, start: &Start, rewrite: &RewriteStatement) {
        let asked = rewrite.inputs.first().and_then(|input| day_of(&input.path));
        if asked.is_none_or(|date| !self.present.contains_key(&date)) {
            return;
        }
        // Stated again, with other files: the first was never done.
        if rewrite.inputs.iter().any(|input| self.rewritten.contains_key(&(input.path.clone(), input.index))) {
            return;
        }
        for input in &rewrite.inputs {
            self.rewritten.insert((input.path.clone(), input.index), index);
        }
        self.rewrites.push(StatedRewrite { index, start: start.clone(), rewrite: rewrite.clone() });
        if let Some(output) = &rewrite.output {
            self.add_file(index, start, output);
        }
    }

    fn day(&self, date: EventDate, present: &Present) -> Day {
        let mut day = Day::default();
        let mut done: BTreeSet<u64> = BTreeSet::new();
        let of_day = |stated: &&StatedRewrite| {
            stated.rewrite.inputs.first().is_some_and(|input| day_of(&input.path) == Some(date))
        };
        for stated in self.rewrites.iter().filter(of_day) {
            match self.progress(stated, present) {
                Progress::Undone => day.undone.push(stated.clone()),
                Progress::Lost => {}
                Progress::Done => {
                    done.insert(stated.index);
                    for input in &stated.rewrite.inputs {
                        day.accounted.entry(input.path.clone()).or_default().insert(input.sha256);
                    }
                }
            }
        }
        let mut known: BTreeSet<&String> = BTreeSet::new();
        let there = |stated: &StatedFile| present.partition.get(&stated.file.path) == Some(&stated.file.bytes);
        for (key @ (path, _), stated) in self.found.iter().filter(|(_, stated)| there(stated)) {
            known.insert(path);
            match self.rewritten.get(key) {
                Some(by) if done.contains(by) => day.superseded.push(stated.clone()),
                Some(_) | None => day.live.push(stated.clone()),
            }
        }
        day.unknown = present.partition.keys().filter(|path| !known.contains(path)).cloned().collect();
        day
    }

    /// How far a rewrite is, by what is in the dataset. What is in staging is not done.
    fn progress(&self, stated: &StatedRewrite, present: &Present) -> Progress {
        let there = |path: &str, index: u64| {
            let found = self.found.get(&(path.to_owned(), index));
            found.is_some_and(|found| present.partition.get(path) == Some(&found.file.bytes))
        };
        let came = stated.rewrite.output.as_ref().map(|output| {
            there(&output.path, stated.index) || self.rewritten.contains_key(&(output.path.clone(), stated.index))
        });
        let begins = stated.rewrite.inputs.iter().any(|input| there(&input.path, input.index));
        match (came, begins) {
            (Some(true), _) | (None, false) => Progress::Done,
            (Some(false) | None, true) => Progress::Undone,
            (Some(false), false) => Progress::Lost,
        }
    }
}

/// How far a rewrite is.
enum Progress {
    Undone,
    Done,
    /// Neither its inputs nor its output are there.
    Lost,
}
