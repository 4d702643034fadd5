//! Changing the key that signs: an entry of the old key hands over to the new one, which confirms it, then the files change.
//!
//! The new key is made first, in a file of its own. Whether the handover is in the chain decides after a crash: if it
//! is, [`finish`] lets the new key confirm it and puts it in place; if not, it removes it. Nothing else is appended to the
//! chain before that. The confirmation is a rotation to the key that signs it: so the chain has an entry of the new key before
//! anybody can have its public half to verify with. The caller keeps other processes from using the data directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chain::{Chain, ChainError};
use super::digest::Sha256;
use super::entries;
use super::file::{self, FileError};
use super::manifest::Start;
use super::seal::{self, Settings};
use super::signer::{KeyError, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, PublicKey, Signer};
use super::statement::{KeyRotationStatement, Statement};

/// The key to be, while it is not in place.
const NEXT_KEY_FILE: &str = "manifest.key.next";

/// Why the key was not changed, or it is not known whether it was; the next start or rotation settles that.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("{0} does not exist: there is no key to change before the first start")]
    NoKey(PathBuf),
}

/// A change of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub old: Sha256,
    pub new: Sha256,
}

/// Makes a new key, hands over to it in the chain, where it confirms that, and puts it in place. The old public key stays beside it as
/// `manifest-<first 8 digits of its id>.pub`. `start` is the last start of the installation, `time_us` is now.
pub fn rotate(settings: &Settings, keys_dir: &Path, start: &Start, time_us: i64) -> Result<Rotated, RotationError> {
    let path = keys_dir.join(PRIVATE_KEY_FILE);
    if !path.try_exists().map_err(FileError::io("inspecting", &path))? {
        return Err(RotationError::NoKey(path));
    }
    finish(settings, keys_dir, time_us)?;
    seal::prepare(settings)?;
    let new = Signer::create(&keys_dir.join(NEXT_KEY_FILE))?;
    let signer = Signer::load(&path)?;
    let rotated = Rotated { old: signer.public().id(), new: new.public().id() };
    let handover = rotation_to(new.public());
    Chain::open(settings.clone(), signer)?.append(start, time_us, Statement::KeyRotation(handover))?;
    finish(settings, keys_dir, time_us)?;
    Ok(rotated)
}

fn rotation_to(key: &PublicKey) -> KeyRotationStatement {
    KeyRotationStatement { new_key: STANDARD.encode(key.spki()), new_key_id: key.id() }
}

/// Completes a rotation that a crash cut short, or undoes it if the chain does not have it yet. Without one, does
/// nothing. To be called before the key is used. `time_us` is now.
pub fn finish(settings: &Settings, keys_dir: &Path, time_us: i64) -> Result<(), RotationError> {
    let path = keys_dir.join(NEXT_KEY_FILE);
    if !path.try_exists().map_err(FileError::io("inspecting", &path))? {
        return Ok(());
    }
    // The handover and its confirmation are the last things done to the chain while there is such a file.
    let mut last = None;
    let walked = entries::walk_back(&settings.manifest_dir, |head| {
        if let Statement::KeyRotation(rotation) = &head.entry.statement {
            last = Some((rotation.new_key_id, head.entry.clone()));
        }
        false
    });
    walked.map_err(FileError::io("reading", &settings.manifest_dir))?;
    // A key that cannot be read was not synced, so that there is no handover to it.
    match (Signer::load(&path), last) {
        (Ok(next), Some((handed_over_to, entry))) if handed_over_to == next.public().id() => {
            if entry.key_id != handed_over_to {
                seal::prepare(settings)?;
                let confirmation = Statement::KeyRotation(rotation_to(next.public()));
                Chain::open(settings.clone(), next)?.append(&entry.start(), time_us, confirmation)?;
            }
            put_in_place(keys_dir)
        }
        (Ok(_) | Err(KeyError::NotAPrivateKey(_)), _) => {
            fs::remove_file(&path).map_err(FileError::io("removing", &path))?;
            Ok(file::sync_dir(keys_dir)?)
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Each step can be repeated; the one that counts is the last.
fn put_in_place(keys_dir: &Path) -> Result<(), RotationError> {
    let public_path = keys_dir.join(PUBLIC_KEY_FILE);
    let old = Signer::load(&keys_dir.join(PRIVATE_KEY_FILE))?;
    old.public().save(&keys_dir.join(old_public_key_name(old.public())))?;
    let (next, path) = (keys_dir.join(NEXT_KEY_FILE), keys_dir.join(PRIVATE_KEY_FILE));
    let new = Signer::load(&next)?;
    // Before the private key: a start that finds the pair apart writes the public key anew.
    new.public().save(&public_path)?;
    fs::rename(&next, &path).map_err(FileError::io("renaming into place", &path))?;
    Ok(file::sync_dir(keys_dir)?)
}

fn old_public_key_name(key: &PublicKey) -> String {
    format!("manifest-{:.8}.pub", key.id().to_string())
}

/// Whether a file in the directory of keys is a public key of the chain, of now or from before a rotation.
#[must_use]
pub fn is_public_key_name(name: &str) -> bool {
    let id = name.strip_prefix("manifest-").and_then(|rest| rest.strip_suffix(".pub"));
    name == PUBLIC_KEY_FILE || id.is_some_and(|id| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The public keys in a directory, at most `count_max`; what cannot be read is left out.
pub fn public_keys(keys_dir: &Path, count_max: usize) -> io::Result<Vec<PublicKey>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(keys_dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_public_key_name) && found.len() < count_max {
            found.extend(PublicKey::load(&entry.path()).ok());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::archive::samples;
    use crate::storage::crash;
    use crate::verify;

    struct Bench {
        dir: tempfile::TempDir,
        settings: Settings,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("temp dir");
            let settings = Settings::new(dir.path());
            fs::create_dir(dir.path().join("keys")).expect("keys");
            let bench = Self { dir, settings };
            Signer::load_or_create(&bench.keys()).expect("makes");
            bench
        }

        fn keys(&self) -> PathBuf {
            self.dir.path().join("keys")
        }

        fn rotate(&self) -> Rotated {
            rotate(&self.settings, &self.keys(), &samples::start(), samples::MIDNIGHT_US).expect("rotates")
        }

        /// Index and key of each entry, from the last one back.
        fn signers(&self) -> Vec<(u64, Sha256)> {
            let mut signers = Vec::new();
            let walked = entries::walk_back(&self.settings.manifest_dir, |signed| {
                signers.push((signed.entry.index, signed.entry.key_id));
                true
            });
            walked.expect("reads");
            signers
        }

        /// What `verify` has to say with this key.
        fn problems(&self, public_key: PathBuf) -> Vec<String> {
            let (root, threads) = (self.dir.path().to_owned(), std::num::NonZeroUsize::MIN);
            let (public_key, anchor, since_us, until_us) = (Some(public_key), None, None, None);
            let settings = verify::Settings { root, public_key, anchor, since_us, until_us, threads };
            let report = verify::run(&settings, &|_, _| {}).expect("verifies");
            report.problems.iter().map(ToString::to_string).collect()
        }

        /// Private and public key in place, by id, and whether another waits.
        fn now(&self) -> (Sha256, Sha256, bool) {
            let private = Signer::load(&self.keys().join(PRIVATE_KEY_FILE)).expect("loads");
            let public = PublicKey::load(&self.keys().join(PUBLIC_KEY_FILE)).expect("loads");
            (private.public().id(), public.id(), self.keys().join(NEXT_KEY_FILE).exists())
        }
    }

    #[test]
    fn the_old_key_hands_over_and_its_public_half_stays() {
        let bench = Bench::new();
        let first = bench.now().0;
        let rotated = bench.rotate();
        assert_eq!((rotated.old, bench.now()), (first, (rotated.new, rotated.new, false)));
        let kept = PublicKey::load(&bench.keys().join(format!("manifest-{:.8}.pub", first.to_string())));
        let kept = kept.expect("kept");
        assert_eq!(kept.id(), first);
        let second = bench.rotate();
        assert_eq!(second.old, rotated.new);
        assert_eq!(bench.signers(), [(4, second.new), (3, rotated.new), (2, rotated.new), (1, first)]);
        assert_eq!(public_keys(&bench.keys(), 10).expect("lists").len(), 3);
    }

    #[test]
    fn a_crash_before_the_handover_is_undone() {
        let bench = Bench::new();
        let before = bench.now();
        for content in [None, Some("-----BEGIN PRI")] {
            let next = bench.keys().join(NEXT_KEY_FILE);
            Signer::create(&next).expect("makes");
            if let Some(content) = content {
                fs::write(&next, content).expect("tears");
            }
            finish(&bench.settings, &bench.keys(), samples::MIDNIGHT_US).expect("undoes");
            assert_eq!(bench.now(), before);
        }
    }

    #[test]
    fn a_crash_while_files_change_is_completed_at_every_step() {
        let bench = Bench::new();
        let old = fs::read(bench.keys().join(PRIVATE_KEY_FILE)).expect("reads");
        let rotated = bench.rotate();
        let new = fs::read(bench.keys().join(PRIVATE_KEY_FILE)).expect("reads");
        for step in 0..3 {
            // What was there before the last rename, with fewer and fewer steps done.
            for (name, bytes) in [(NEXT_KEY_FILE, &new), (PRIVATE_KEY_FILE, &old)] {
                fs::write(bench.keys().join(name), bytes).expect("writes");
                fs::set_permissions(bench.keys().join(name), fs::Permissions::from_mode(0o600)).expect("chmod");
            }
            if step >= 1 {
                let old = Signer::load(&bench.keys().join(PRIVATE_KEY_FILE)).expect("loads");
                old.public().save(&bench.keys().join(PUBLIC_KEY_FILE)).expect("saves");
            }
            if step >= 2 {
                fs::remove_file(bench.keys().join(format!("manifest-{:.8}.pub", rotated.old.to_string())))
                    .expect("removes");
            }
            finish(&bench.settings, &bench.keys(), samples::MIDNIGHT_US).expect("completes");
            assert_eq!(bench.now(), (rotated.new, rotated.new, false), "step {step}");
            assert_eq!(public_keys(&bench.keys(), 10).expect("lists").len(), 2);
            assert_eq!(bench.signers().len(), 2, "nothing is said twice");
        }
    }

    #[test]
    fn wherever_it_ends_the_public_key_in_place_verifies_the_chain_and_so_does_the_old_one() {
        for calls in 0.. {
            let bench = Bench::new();
            let first = Signer::load(&bench.keys().join(PRIVATE_KEY_FILE)).expect("loads");
            first.public().save(&bench.dir.path().join("first.pub")).expect("saves");
            seal::prepare(&bench.settings).expect("prepares");
            let mut chain = Chain::open(bench.settings.clone(), first).expect("opens");
            chain.append(&samples::start(), samples::MIDNIGHT_US, Statement::Stop(samples::STOP)).expect("appends");
            crash::after(calls);
            let rotated = rotate(&bench.settings, &bench.keys(), &samples::start(), samples::MIDNIGHT_US);
            let ended = crash::over();
            assert!(ended || rotated.is_ok(), "{calls}");
            for _ in 0..2 {
                for key in [bench.keys().join(PUBLIC_KEY_FILE), bench.dir.path().join("first.pub")] {
                    assert_eq!(bench.problems(key), Vec::<String>::new(), "{calls}");
                }
                finish(&bench.settings, &bench.keys(), samples::MIDNIGHT_US).expect("settles");
            }
            let (private, public, waits) = bench.now();
            assert_eq!((private, waits), (public, false), "{calls}");
            let entries = bench.signers().len();
            assert!(entries == 1 || entries == 3, "{calls}: {entries}");
            if !ended {
                assert_eq!(entries, 3);
                return;
            }
        }
    }
}
