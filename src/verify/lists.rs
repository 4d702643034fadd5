//! The lists of rows beside the chain: whether each that an entry promised is there and is what its name says.
//!
//! A list that nothing needs is what a crash leaves, or a rewrite until the next round of maintenance: it is told, and no sign of
//! trouble. What the lists say of rows is for `rows`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::stated::Stated;
use super::{Fault, Problem, VerifyError, at};
use crate::archive::content::Fingerprint;
use crate::archive::digest::Sha256;
use crate::archive::leaves;
use crate::archive::maintenance::stock::StatedFile;

/// What looking at the lists came to.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) problems: Vec<Problem>,
    /// Lists that nothing needs.
    pub(super) unneeded: Vec<String>,
    /// Lists of the files asked for that are as they were signed.
    sound: BTreeMap<Sha256, PathBuf>,
}

impl Lists {
    /// The list of a file, if it is as it was signed.
    pub(super) fn of(&self, stated: &StatedFile) -> Option<&Path> {
        stated.file.leaves_sha256.and_then(|sha256| self.sound.get(&sha256)).map(PathBuf::as_path)
    }
}

/// Checks the lists of the files that `is_asked`, and looks at what else is in their directory.
pub(super) fn check(
    manifest_dir: &Path,
    stated: &Stated,
    is_asked: impl Fn(&StatedFile) -> bool,
) -> Result<Lists, VerifyError> {
    let dir = leaves::directory(manifest_dir);
    let found = leaves::list(&dir).map_err(at(&dir))?;
    let mut lists = Lists::default();
    for stray in &found.strays {
        let name = stray.file_name().unwrap_or_default().to_string_lossy();
        lists.complain(place(&name), Fault::Stray);
    }
    let with_list = |stated: &'_ StatedFile| stated.file.leaves_sha256.map(|sha256| (sha256, stated.file.path.clone()));
    let asked: BTreeMap<Sha256, String> =
        stated.files.values().filter(|file| is_asked(file)).filter_map(with_list).collect();
    let promised = stated.files.values().filter_map(|file| file.file.leaves_sha256);
    let promised: BTreeSet<Sha256> = promised.chain(stated.pending_lists.iter().copied()).collect();
    lists.miss(&dir, asked.iter().filter(|(sha256, _)| !found.named.contains_key(sha256)).collect());
    for (sha256, path) in found.named {
        let is_asked = asked.contains_key(&sha256);
        if is_asked || !promised.contains(&sha256) {
            lists.add(sha256, path, is_asked);
        }
    }
    Ok(lists)
}

/// A list as reports name it.
fn place(name: &str) -> String {
    format!("manifest/leaves/{name}")
}

impl Lists {
    fn complain(&mut self, place: String, fault: Fault) {
        self.problems.push(Problem { place, fault });
    }

    /// Names lists that are missing, by the files they are of.
    fn miss(&mut self, dir: &Path, missing: BTreeMap<&Sha256, &String>) {
        if !missing.is_empty() && !dir.is_dir() {
            return self.complain("manifest/leaves".to_owned(), Fault::ListsMissing(missing.len()));
        }
        for (sha256, path) in missing {
            self.complain(place(&sha256.to_string()), Fault::ListMissing(format!("audit/{path}")));
        }
    }

    fn add(&mut self, sha256: Sha256, path: PathBuf, is_asked: bool) {
        let place = place(&sha256.to_string());
        match Fingerprint::of(&path) {
            Err(error) => self.complain(place, error.into()),
            Ok(found) if found.sha256 != sha256 => self.complain(place, Fault::ListModified),
            Ok(_) if is_asked => drop(self.sound.insert(sha256, path)),
            Ok(_) => self.unneeded.push(place),
        }
    }
}
