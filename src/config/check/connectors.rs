//! Finds the catalogue of connectors: the embedded one, and the operator's file over it.

use std::path::{Path, PathBuf};

use super::Checker;
use crate::archive::digest::Sha256;
use crate::config::setting::{Place, Setting};
use crate::config::{Problem, ProblemKind};
use crate::connectors::{Catalogue, CatalogueProblem, read_text};

/// Room for thousands of connectors.
const CATALOGUE_BYTES_MAX: u64 = 4 * 1024 * 1024;

impl Checker<'_> {
    /// `None` when it has problems, which are noted.
    pub(super) fn connectors(&mut self, setting: Option<&Setting<PathBuf>>) -> Option<Catalogue> {
        let Some(setting) = setting else {
            return Catalogue::embedded()
                .map_err(|problems| self.invalid_catalogue(Path::new("embedded catalogue"), problems))
                .ok();
        };
        let path = self.path(setting);
        let text = match read_text(&path, CATALOGUE_BYTES_MAX) {
            Ok(text) => text,
            Err(source) => {
                self.problem(setting.origin, ProblemKind::ConnectorsFile { path, source });
                return None;
            }
        };
        self.sources.connectors = Some(Sha256::of(text.as_bytes()));
        Catalogue::extended(&text).map_err(|problems| self.invalid_catalogue(&path, problems)).ok()
    }

    fn invalid_catalogue(&mut self, path: &Path, problems: Vec<CatalogueProblem>) {
        self.problems.extend(problems.into_iter().map(|found| Problem {
            place: Place::File { file: path.to_owned(), line: found.line, column: found.column },
            kind: ProblemKind::Connectors(found.problem),
        }));
    }
}
