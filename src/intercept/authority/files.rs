//! The CA's files: bounded reads, refusal of keys others can read, creation that never replaces or half-writes a file.
//!
//! Knows nothing of certificates beyond PEM armour.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// More than any CA chain needs; a larger file is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of DER to a PEM line of 64 characters (RFC 7468 section 2).
const DER_BYTES_PER_LINE: usize = 48;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Everyone: mode 0644 when created.
    Public,
    /// The owner alone: mode 0600 when created, and refused when others can read it.
    Secret,
}

/// Why a CA file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Opening or reading failed.
    #[error("{path}: cannot be read: {source}; name a readable file (`tollgate run` makes a CA where there is none)")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The directory or the file could not be written.
    #[error("{path}: cannot be created: {source}; make its directory writable or name another file")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The private key is readable by others than its owner.
    #[error("{path}: the private key's mode is {mode:04o}, so others can read it; run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Far too large to be a CA file.
    #[error("{path}: larger than {FILE_BYTES_MAX} bytes; this is not a CA certificate or key")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Whether something is at `path`, a dangling symbolic link included: creating there would not work either.
pub(super) fn exists(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::Read { path: path.to_owned(), source }),
    }
}

/// Reads the whole file. Permissions are checked on the opened file, so it cannot be swapped in between.
pub(super) fn read(path: &Path, secrecy: Secrecy) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if secrecy == Secrecy::Secret && mode & 0o077 != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// The permission bits of a file.
pub(super) fn mode(path: &Path) -> Result<u32, FileError> {
    let metadata = fs::metadata(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    Ok(metadata.mode() & 0o7777)
}

/// Creates a file with these bytes, durable when this returns. The name appears only with the complete content, and
/// an existing file is never replaced: another process that makes its CA at the same time gets an error, not a mix.
pub(super) fn create(path: &Path, bytes: &[u8], secrecy: Secrecy) -> Result<(), FileError> {
    write_then_link(path, bytes, secrecy).map_err(|source| FileError::Create { path: path.to_owned(), source })
}

fn write_then_link(path: &Path, bytes: &[u8], secrecy: Secrecy) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(directory)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mode = match secrecy {
        Secrecy::Public => 0o644,
        Secrecy::Secret => 0o600,
    };
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    // A link fails when the name exists; a rename would replace the file there.
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    linked.and(removed)?;
    File::open(directory)?.sync_all()
}

/// Wraps DER in PEM armour (RFC 7468).
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(DER_BYTES_PER_LINE) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
