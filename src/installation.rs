//! One data directory: who owns it now, which installation it is, and how often it was started.

mod fingerprint_keys;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use crate::config::DataDir;
use crate::observe::redact::FingerprintKey;
use crate::record::Writer;
use crate::storage::{self, Site};

pub use fingerprint_keys::{Rotated, read_fingerprint_keys, rotate_fingerprint_key};

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    #[error("{}: another Tollgate is using this data directory; stop it, or give another --data-dir", .0.display())]
    Locked(PathBuf),
    #[error("{}: {error}; the data directory must be writable by this user", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: {reason}; restore it from a backup, or remove it to begin a new installation", path.display())]
    Damaged { path: PathBuf, reason: &'static str },
    #[error("{}: others than its owner can read it (mode {mode:03o}); chmod 600 it", path.display())]
    ReadableKey { path: PathBuf, mode: u32 },
    #[error("{}: there is no fingerprint key; the proxy makes one when it first starts", .0.display())]
    NoKey(PathBuf),
}

/// A data directory that is ours until this is dropped.
pub struct Installation {
    pub writer: Writer,
    pub fingerprint_key: FingerprintKey,
    _lock: File,
}

impl Installation {
    /// Creates what is missing, locks the directory against a second process and counts this start.
    pub fn open(data_dir: &DataDir, fingerprint_key_file: &Path) -> Result<Self, InstallationError> {
        for dir in [data_dir.root().to_owned(), data_dir.journal(), data_dir.keys()] {
            private_dir(&dir)?;
        }
        let lock = lock(&data_dir.root().join("lock"))?;
        let instance_id = instance_id(&data_dir.root().join("instance"))?;
        let epoch = next_epoch(&data_dir.root().join("epoch"))?;
        let fingerprint_key = fingerprint_keys::load_or_create(fingerprint_key_file)?;
        Ok(Self { writer: Writer { instance_id, boot_id: Uuid::now_v7(), epoch }, fingerprint_key, _lock: lock })
    }
}

/// A data directory that nobody else uses until this is dropped, without a start of its own.
pub struct Claim {
    /// The last start; `None` before the first.
    pub last: Option<(String, u64)>,
    _lock: File,
}

impl Claim {
    /// Locks a directory that exists; creates and counts nothing else.
    pub fn take(data_dir: &DataDir) -> Result<Self, InstallationError> {
        let root = data_dir.root();
        let lock = lock(&root.join("lock"))?;
        let (instance, epoch) = (root.join("instance"), last_epoch(&root.join("epoch"))?);
        let started = epoch > 0 && instance.try_exists().map_err(at(&instance))?;
        let last = if started { Some((instance_id(&instance)?, epoch)) } else { None };
        Ok(Self { last, _lock: lock })
    }
}

/// Makes a directory that only we and our group can enter, and what is missing above it, durably.
fn private_dir(dir: &Path) -> Result<(), InstallationError> {
    let missing = dir.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists());
    for dir in missing.collect::<Vec<_>>().into_iter().rev() {
        storage::ensure_dir(Site::EvidenceDir, dir, 0o750).map_err(at(dir))?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, InstallationError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(at(path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(InstallationError::Locked(path.to_owned())),
        Err(error) => Err(at(path)(error.into())),
    }
}

/// Eight hex digits, made once: enough to tell installations apart, short enough for a file name.
fn instance_id(path: &Path) -> Result<String, InstallationError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let id = text.trim();
            let valid = !id.is_empty() && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if valid {
                Ok(id.to_owned())
            } else {
                Err(InstallationError::Damaged { path: path.to_owned(), reason: "not an instance id" })
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let random = Uuid::new_v4().simple().to_string();
            let id = random.get(..8).unwrap_or(&random).to_owned();
            replace(path, format!("{id}\n").as_bytes(), 0o640)?;
            Ok(id)
        }
        Err(error) => Err(at(path)(error)),
    }
}

/// 0 before the first start.
fn last_epoch(path: &Path) -> Result<u64, InstallationError> {
    match fs::read_to_string(path) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| InstallationError::Damaged { path: path.to_owned(), reason: "not a number of starts" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(at(path)(error)),
    }
}

fn next_epoch(path: &Path) -> Result<u64, InstallationError> {
    let next = last_epoch(path)?.saturating_add(1);
    replace(path, format!("{next}\n").as_bytes(), 0o640)?;
    Ok(next)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), InstallationError> {
    storage::replace(path, bytes, mode).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> InstallationError + '_ {
    |error| InstallationError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_counted_and_the_identity_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        let key_file = data_dir.keys().join("url-fingerprint.key");
        let first = Installation::open(&data_dir, &key_file).unwrap();
        let (writer, key) = (first.writer.clone(), first.fingerprint_key.clone());
        drop(first);
        let second = Installation::open(&data_dir, &key_file).unwrap();
        assert_eq!((writer.epoch, second.writer.epoch), (1, 2));
        assert_eq!(second.writer.instance_id, writer.instance_id);
        assert_ne!(second.writer.boot_id, writer.boot_id);
        assert_eq!(second.fingerprint_key.id(), key.id());
    }

    #[test]
    fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        let key_file = data_dir.keys().join("url-fingerprint.key");
        let _first = Installation::open(&data_dir, &key_file).unwrap();
        let second = Installation::open(&data_dir, &key_file).err().unwrap();
        assert!(matches!(second, InstallationError::Locked(_)), "{second}");
    }

    #[test]
    fn damage_is_named_and_not_repaired_silently() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("epoch"), "soon").unwrap();
        let data_dir = DataDir::new(dir.path());
        let error = Installation::open(&data_dir, &data_dir.keys().join("k")).err().unwrap();
        let expected = format!(
            "{}: not a number of starts; restore it from a backup, or remove it to begin a new installation",
            dir.path().join("epoch").display()
        );
        assert_eq!(error.to_string(), expected);
    }
}
