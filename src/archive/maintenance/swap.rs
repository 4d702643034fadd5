//! A partition with some files less and others more, in one step that readers cannot see half of.
//!
//! The partition is made anew beside the dataset, from links to the files that stay and to those that come; then the two
//! directories exchange their names. Files go only after that, when the caller says so, and only those whose bytes a rewrite
//! accounts for: anything else is put back, and named. Where the file system cannot exchange directories, files come and
//! go one by one.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::RewriteError;
use crate::archive::content::Fingerprint;
use crate::archive::dataset::EventDate;
use crate::archive::digest::Sha256;
use crate::archive::file::{FileError, ensure_dir, sync_dir};
use crate::archive::seal::Settings;
use crate::storage::{self, Site};

/// Where one day is worked on.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) date: EventDate,
    pub(super) audit_dir: PathBuf,
    pub(super) staging_dir: PathBuf,
    /// What readers see.
    pub(super) partition: PathBuf,
    /// The partition made anew, and after the exchange the one there was. Holds links and nothing of its own.
    pub(super) build: PathBuf,
    /// Files that come. Nothing but our own work is ever in here.
    pub(super) out: PathBuf,
}

/// Suffix of the directory of files that come.
const OUT_SUFFIX: &str = ".out";

impl Places {
    pub(super) fn new(settings: &Settings, date: EventDate) -> Self {
        let name = date.directory_name();
        Self {
            date,
            audit_dir: settings.audit_dir.clone(),
            staging_dir: settings.staging_dir.clone(),
            partition: settings.audit_dir.join(&name),
            build: settings.staging_dir.join(&name),
            out: settings.staging_dir.join(format!("{name}{OUT_SUFFIX}")),
        }
    }

    /// Days on which work was begun and not ended.
    pub(super) fn begun(staging_dir: &Path) -> io::Result<BTreeSet<EventDate>> {
        let mut dates = BTreeSet::new();
        for entry in fs::read_dir(staging_dir)? {
            let name = entry?.file_name();
            let name = name.to_str().unwrap_or_default();
            dates.extend(EventDate::from_directory_name(name.strip_suffix(OUT_SUFFIX).unwrap_or(name)));
        }
        Ok(dates)
    }

    /// Makes an empty directory for the files that come, durably.
    pub(super) fn create_out(&self) -> Result<(), RewriteError> {
        create_dir(&self.out)?;
        Ok(sync_dir(&self.staging_dir)?)
    }

    /// Removes what was made ready and is not needed, or is in the partition by now.
    pub(super) fn remove_out(&self) -> Result<(), RewriteError> {
        for (_, path) in list(&self.out)? {
            storage::remove(Site::RewriteRemove, &path).map_err(FileError::io("removing", &path))?;
        }
        remove_dir(&self.out)?;
        Ok(sync_dir(&self.staging_dir)?)
    }
}

impl Places {
    /// A partition without files is of no use to readers.
    pub(super) fn remove_partition_if_empty(&self) -> Result<(), RewriteError> {
        if self.partition.is_dir() && list(&self.partition)?.is_empty() {
            remove_dir(&self.partition)?;
            sync_dir(&self.audit_dir)?;
        }
        Ok(())
    }
}

/// Bytes that may be deleted, by path relative to the dataset.
pub(super) type Accounted = HashMap<String, BTreeSet<Sha256>>;

/// What changes in a partition.
pub(super) struct Change<'a> {
    /// Names of files that go; only with bytes that are `accounted` for.
    pub(super) going: BTreeSet<String>,
    /// Names of files that come from [`Places::out`].
    pub(super) coming: BTreeSet<String>,
    pub(super) accounted: &'a Accounted,
}

/// Changes the partition. Nothing else may write to it meanwhile. `expect` is told of each file before it goes. What was
/// replaced at once is in [`Places::build`] until [`discard`] is called, for readers that are still at it. The files that
/// were not accounted for, and so are still there, are in the answer.
pub(super) fn swap(places: &Places, change: &Change<'_>, expect: &dyn Fn(&Path)) -> Result<Vec<PathBuf>, RewriteError> {
    create_dir(&places.build)?;
    for (name, path) in list(&places.partition)? {
        if !path.symlink_metadata().map_err(FileError::io("inspecting", &path))?.is_file() {
            return Err(RewriteError::NotAFile(path));
        }
        if !change.going.contains(&name) && !change.coming.contains(&name) {
            link(&path, &places.build.join(&name))?;
        }
    }
    for name in &change.coming {
        link(&places.out.join(name), &places.build.join(name))?;
    }
    keep_permissions(&places.partition, &places.build)?;
    sync_dir(&places.build)?;
    sync_dir(&places.staging_dir)?;
    change.going.iter().for_each(|name| expect(&places.partition.join(name)));
    let exchanged = storage::exchange(Site::RewriteExchange, &places.build, &places.partition);
    if exchanged.map_err(FileError::io("exchanging with staging", &places.partition))? {
        sync_dir(&places.audit_dir)?;
        sync_dir(&places.staging_dir)?;
        places.remove_partition_if_empty()?;
        return Ok(Vec::new());
    }
    let kept = discard(places, change.accounted)?;
    one_by_one(places, change).map(|more| [kept, more].concat())
}

/// Files come first: for a moment rows are there twice, never not at all.
fn one_by_one(places: &Places, change: &Change<'_>) -> Result<Vec<PathBuf>, RewriteError> {
    for name in &change.coming {
        let (from, to) = (places.out.join(name), places.partition.join(name));
        if to.symlink_metadata().is_ok() && !is_accounted(places, &to, name, change.accounted)? {
            return Err(RewriteError::Modified(to));
        }
        storage::rename(Site::RewriteLink, &from, &to).map_err(FileError::io("renaming into the dataset", &to))?;
    }
    sync_dir(&places.partition)?;
    let mut kept = Vec::new();
    for name in change.going.difference(&change.coming) {
        let path = places.partition.join(name);
        if !remove_accounted(places, &path, name, change.accounted)? {
            kept.push(path);
        }
    }
    sync_dir(&places.partition)?;
    places.remove_partition_if_empty()?;
    Ok(kept)
}

/// Empties and removes the build directory, before an exchange or after it. A file goes if it is another name of one that
/// is in the partition or is to come, or if its bytes are accounted for; any other is put back into the partition.
pub(super) fn discard(places: &Places, accounted: &Accounted) -> Result<Vec<PathBuf>, RewriteError> {
    let mut kept = Vec::new();
    for (name, path) in list(&places.build)? {
        if same_file(&path, &places.partition.join(&name)) || same_file(&path, &places.out.join(&name)) {
            storage::remove(Site::RewriteRemove, &path).map_err(FileError::io("removing", &path))?;
        } else if !remove_accounted(places, &path, &name, accounted)? {
            kept.push(put_back(places, &path, &name)?);
        }
    }
    remove_dir(&places.build)?;
    sync_dir(&places.staging_dir)?;
    Ok(kept)
}

/// Removes a file if its bytes are accounted for; whether it did. One that is not there needs no removing.
pub(super) fn remove_accounted(
    places: &Places,
    path: &Path,
    name: &str,
    accounted: &Accounted,
) -> Result<bool, RewriteError> {
    if !is_accounted(places, path, name, accounted)? {
        return Ok(false);
    }
    match storage::remove(Site::RewriteRemove, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        removed => Ok(removed.map(|()| true).map_err(FileError::io("removing", path))?),
    }
}

/// Whether a file has bytes whose rows are accounted for, or is not there.
fn is_accounted(places: &Places, path: &Path, name: &str, accounted: &Accounted) -> Result<bool, RewriteError> {
    let relative = format!("{}/{name}", places.date.directory_name());
    let Some(digests) = accounted.get(&relative) else { return Ok(false) };
    match Fingerprint::of(path) {
        Ok(found) => Ok(digests.contains(&found.sha256)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(FileError::io("reading", path)(error).into()),
    }
}

/// Puts a file that nobody accounted for where it was found.
fn put_back(places: &Places, path: &Path, name: &str) -> Result<PathBuf, RewriteError> {
    ensure_dir(&places.partition)?;
    let back = places.partition.join(name);
    // Another file may have the name by now, and must not be overwritten.
    let back = if back.symlink_metadata().is_ok() { places.partition.join(format!("{name}.put-back")) } else { back };
    link(path, &back)?;
    sync_dir(&places.partition)?;
    storage::remove(Site::RewriteRemove, path).map_err(FileError::io("removing", path))?;
    Ok(back)
}

fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.symlink_metadata().ok().map(|found| (found.dev(), found.ino()));
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// The entries of a directory; none if it is not there. Names that are not UTF-8 are refused.
fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>, RewriteError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(FileError::io("listing", dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::io("listing", dir))?;
        let name = entry.file_name().into_string().map_err(|_| RewriteError::NotAFile(entry.path()))?;
        found.push((name, entry.path()));
    }
    found.sort();
    Ok(found)
}

fn link(from: &Path, to: &Path) -> Result<(), RewriteError> {
    Ok(storage::link(Site::RewriteLink, from, to).map_err(FileError::io("linking into", to))?)
}

fn create_dir(dir: &Path) -> Result<(), RewriteError> {
    Ok(storage::create_dir(Site::RewriteDir, dir).map_err(FileError::io("creating directory", dir))?)
}

/// Removes an empty directory, if it is there.
fn remove_dir(dir: &Path) -> Result<(), RewriteError> {
    match storage::remove_dir(Site::RewriteDir, dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed.map_err(FileError::io("removing directory", dir))?),
    }
}

/// Who may read the partition may read the new one.
fn keep_permissions(partition: &Path, build: &Path) -> Result<(), RewriteError> {
    let permissions = fs::metadata(partition).map_err(FileError::io("inspecting", partition))?.permissions();
    Ok(fs::set_permissions(build, permissions).map_err(FileError::io("setting permissions of", build))?)
}
