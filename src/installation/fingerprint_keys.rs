//! The files of the fingerprint key: made once, rotated when asked, older ones kept beside it for looking URLs up.
//!
//! `url-fingerprint.key` is the current key, `url-fingerprint-<id>.key` an older one. A key is 32 random octets, readable by
//! its owner only.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{InstallationError, at, lock, replace};
use crate::config::DataDir;
use crate::observe::redact::{FINGERPRINT_KEY_BYTES, FingerprintKey, FingerprintKeys, KeyId};

type KeyBytes = [u8; FINGERPRINT_KEY_BYTES];

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key from now on.
    pub current: KeyId,
    /// The key until now, and where it is kept.
    pub older: KeyId,
    pub older_file: PathBuf,
}

/// The key at `path`; made when there is none.
pub(super) fn load_or_create(path: &Path) -> Result<FingerprintKey, InstallationError> {
    let bytes = match read(path)? {
        Some(bytes) => bytes,
        None => create(path)?,
    };
    Ok(FingerprintKey::new(&bytes))
}

/// The current key and all older ones, on a live data directory or a copy.
///
/// # Errors
/// There is no current key, or a key cannot be read, is damaged or readable by others.
pub fn read_fingerprint_keys(key_file: &Path) -> Result<FingerprintKeys, InstallationError> {
    let current = read(key_file)?.ok_or_else(|| InstallationError::NoKey(key_file.to_owned()))?;
    let mut older = Vec::new();
    for path in older_files(key_file)? {
        // One that is gone since it was listed was removed on purpose.
        older.extend(read(&path)?.map(|bytes| FingerprintKey::new(&bytes)));
    }
    Ok(FingerprintKeys::new(FingerprintKey::new(&current), older))
}

/// Replaces the key by a new one and keeps the old one for looking URLs up.
///
/// A crash leaves the old key, possibly with its copy, or the new key with the copy of the old.
///
/// # Errors
/// A proxy uses the data directory (it has the key in memory), or as [`read_fingerprint_keys`].
pub fn rotate_fingerprint_key(data_dir: &DataDir, key_file: &Path) -> Result<Rotated, InstallationError> {
    let _lock = lock(&data_dir.root().join("lock"))?;
    let old_bytes = read(key_file)?.ok_or_else(|| InstallationError::NoKey(key_file.to_owned()))?;
    let older = FingerprintKey::new(&old_bytes).id().clone();
    let older_file = older_file(key_file, &older);
    replace(&older_file, &old_bytes, 0o600)?;
    let current = FingerprintKey::new(&create(key_file)?).id().clone();
    Ok(Rotated { current, older, older_file })
}

/// `None` when there is no such file.
fn read(path: &Path) -> Result<Option<KeyBytes>, InstallationError> {
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    if mode & 0o077 != 0 {
        return Err(InstallationError::ReadableKey { path: path.to_owned(), mode });
    }
    let bytes = fs::read(path).map_err(at(path))?;
    let damaged = |_| InstallationError::Damaged { path: path.to_owned(), reason: "not a key of 32 bytes" };
    bytes.try_into().map(Some).map_err(damaged)
}

fn create(path: &Path) -> Result<KeyBytes, InstallationError> {
    let mut key = [0; FINGERPRINT_KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| at(path)(io::Error::other("no random numbers")))?;
    replace(path, &key, 0o600)?;
    Ok(key)
}

/// `url-fingerprint.key` becomes `url-fingerprint-<id>.key`.
fn older_file(key_file: &Path, id: &KeyId) -> PathBuf {
    let mut name = older_prefix(key_file);
    name.push(id.as_str());
    name.push(older_suffix(key_file));
    key_file.with_file_name(name)
}

fn older_prefix(key_file: &Path) -> OsString {
    let mut prefix = key_file.file_stem().unwrap_or_default().to_owned();
    prefix.push("-");
    prefix
}

fn older_suffix(key_file: &Path) -> OsString {
    let mut suffix = OsString::new();
    if let Some(extension) = key_file.extension() {
        suffix.push(".");
        suffix.push(extension);
    }
    suffix
}

/// Older keys beside the current one, by their names; sorted.
fn older_files(key_file: &Path) -> Result<Vec<PathBuf>, InstallationError> {
    let dir = key_file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (prefix, suffix) = (older_prefix(key_file), older_suffix(key_file));
    let is_older = |name: &OsString| {
        let id = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        let id = id.and_then(|rest| rest.strip_suffix(suffix.as_encoded_bytes()));
        id.is_some_and(|id| id.len() == 8 && id.iter().all(u8::is_ascii_hexdigit))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let name = entry.map_err(at(dir))?.file_name();
        if is_older(&name) {
            found.push(key_file.with_file_name(name));
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{Destination, Scheme};
    use crate::installation::Installation;

    fn opened(dir: &Path) -> (DataDir, PathBuf, Installation) {
        let data_dir = DataDir::new(dir);
        let key_file = data_dir.keys().join("url-fingerprint.key");
        let installation = Installation::open(&data_dir, &key_file).unwrap();
        (data_dir, key_file, installation)
    }

    #[test]
    fn a_url_is_found_by_the_key_it_was_recorded_with() {
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, key_file, installation) = opened(dir.path());
        let destination: Destination = "hooks.slack.com:443".parse().unwrap();
        let path = b"/services/T0/B0/x";
        let recorded = installation.fingerprint_key.fingerprint(Scheme::Https, &destination, path);
        drop(installation);

        let rotated = rotate_fingerprint_key(&data_dir, &key_file).unwrap();
        assert_ne!(rotated.current, rotated.older);
        assert_eq!(rotated.older_file, key_file.with_file_name(format!("url-fingerprint-{}.key", rotated.older)));
        rotate_fingerprint_key(&data_dir, &key_file).unwrap();

        let keys = read_fingerprint_keys(&key_file).unwrap();
        let candidates = keys.fingerprints_of(Scheme::Https, &destination, path);
        assert_eq!(candidates.len(), 3);
        assert!(candidates.contains(&recorded));
        assert_ne!(candidates[0], recorded, "the current key comes first");
        let reopened = Installation::open(&data_dir, &key_file).unwrap();
        assert_eq!(Some(reopened.fingerprint_key.id()), keys.ids().next());
    }

    #[test]
    fn a_key_in_use_is_not_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, key_file, running) = opened(dir.path());
        let before = fs::read(&key_file).unwrap();
        let error = rotate_fingerprint_key(&data_dir, &key_file).err().unwrap();
        assert!(matches!(error, InstallationError::Locked(_)), "{error}");
        assert_eq!(fs::read(&key_file).unwrap(), before);
        drop(running);
        rotate_fingerprint_key(&data_dir, &key_file).unwrap();
    }

    #[test]
    fn a_rotation_that_was_cut_off_counts_the_key_once() {
        let dir = tempfile::tempdir().unwrap();
        let (_, key_file, installation) = opened(dir.path());
        let copy = older_file(&key_file, installation.fingerprint_key.id());
        fs::copy(&key_file, copy).unwrap();
        fs::write(key_file.with_file_name("url-fingerprint-notanid.key"), "").unwrap();
        assert_eq!(read_fingerprint_keys(&key_file).unwrap().ids().count(), 1);
    }

    #[test]
    fn a_key_that_is_missing_damaged_or_open_to_others_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, key_file, installation) = opened(dir.path());
        drop(installation);
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_fingerprint_keys(&key_file).err().unwrap();
        let expected = format!("{}: others than its owner can read it (mode 640); chmod 600 it", key_file.display());
        assert_eq!(error.to_string(), expected);
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key_file, "short").unwrap();
        let error = rotate_fingerprint_key(&data_dir, &key_file).err().unwrap();
        assert!(matches!(error, InstallationError::Damaged { .. }), "{error}");
        fs::remove_file(&key_file).unwrap();
        let error = rotate_fingerprint_key(&data_dir, &key_file).err().unwrap();
        assert!(matches!(error, InstallationError::NoKey(_)), "{error}");
    }
}
