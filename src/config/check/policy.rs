//! Finds the policy: flags before the file, a policy file or the `policy` key but not both.

use std::path::Path;

use super::Checker;
use crate::archive::digest::Sha256;
use crate::config::file::ConfigFile;
use crate::config::setting::{Place, Setting};
use crate::config::{HostPattern, Overrides, PolicySource, Problem, ProblemKind};
use crate::connectors::Catalogue;
use crate::policy::{Mode, Policy, PresetError, Presets, read_text};

/// Room for four million rules or eight million hosts: no policy is refused for its size before it needs gigabytes of memory.
const POLICY_BYTES_MAX: u64 = 256 * 1024 * 1024;

impl Checker<'_> {
    pub(super) fn policy(
        &mut self,
        file: &ConfigFile,
        text: &str,
        overrides: &Overrides,
        catalogue: Option<&Catalogue>,
    ) -> (Policy, PolicySource) {
        let presets = catalogue.map_or(&NotKnown as &dyn Presets, |catalogue| catalogue);
        if !overrides.allow_host.is_empty() {
            return (self.policy_of_flags(overrides), PolicySource::Flags);
        }
        let (policy, source) = match (&overrides.policy, &file.policy_file, &file.policy) {
            (Some(path), _, _) => self.policy_file(&Setting::flag("--policy", path.clone()), presets),
            (None, Some(path), None) => self.policy_file(path, presets),
            (None, Some(path), Some(_)) => {
                self.problem(path.origin, ProblemKind::TwoPolicies);
                (none(), PolicySource::BuiltIn)
            }
            (None, None, Some(position)) => self.policy_inline(position, text, presets),
            (None, None, None) => (none(), PolicySource::BuiltIn),
        };
        let policy = if overrides.enforce { policy.with_mode(Mode::Enforce) } else { policy };
        (policy, source)
    }

    fn policy_of_flags(&mut self, overrides: &Overrides) -> Policy {
        let flag = "--allow-host";
        if overrides.policy.is_some() {
            self.problems.push(Problem { place: Place::Flag(flag), kind: ProblemKind::AllowHostAndPolicy });
        }
        let given = overrides.allow_host.iter();
        let hosts: Vec<_> = given.filter_map(|host| self.pattern(&Setting::flag(flag, host.clone()))).collect();
        Policy::from_flags(true, &hosts)
    }

    fn policy_file(&mut self, setting: &Setting<std::path::PathBuf>, presets: &dyn Presets) -> (Policy, PolicySource) {
        let path = self.path(setting);
        let text = match read_text(&path, POLICY_BYTES_MAX) {
            Ok(text) => text,
            Err(error) => {
                self.problem(setting.origin, ProblemKind::PolicyFile(error));
                return (none(), PolicySource::File(path));
            }
        };
        self.sources.policy = Some(Sha256::of(text.as_bytes()));
        let policy = self.parse(&text, &path, presets);
        (policy, PolicySource::File(path))
    }

    fn policy_inline(
        &mut self,
        setting: &Setting<serde_json::Value>,
        text: &str,
        presets: &dyn Presets,
    ) -> (Policy, PolicySource) {
        let path = self.file.unwrap_or(Path::new("")).to_owned();
        let own = super::inline::own_text(text, setting.origin);
        // A cut that loses lines could turn an enforcing policy into an empty one, which observes.
        if serde_saphyr::from_str::<serde_json::Value>(&own).ok().as_ref() != Some(&setting.value) {
            self.problem(setting.origin, ProblemKind::UnclearPolicy);
            return (none(), PolicySource::Inline(path));
        }
        let policy = self.parse(&own, &path, presets);
        (policy, PolicySource::Inline(path))
    }

    /// The policy of this text; with problems, which are noted, there is none.
    fn parse(&mut self, text: &str, path: &Path, presets: &dyn Presets) -> Policy {
        Policy::parse(text, &path.display().to_string(), presets).unwrap_or_else(|invalid| {
            self.problems.extend(invalid.problems.into_iter().map(|found| Problem {
                place: Place::File { file: path.to_owned(), line: found.line, column: found.column },
                kind: ProblemKind::Policy(found.problem),
            }));
            none()
        })
    }

    /// A host pattern of `--allow-host`, `--tunnel-host` or `tunnel_hosts`.
    pub(super) fn pattern(&mut self, setting: &Setting<String>) -> Option<HostPattern> {
        HostPattern::parse(&setting.value)
            .map_err(|error| self.problem(setting.origin, ProblemKind::HostPattern(error)))
            .ok()
    }
}

/// Stands for a catalogue that has problems itself: what the policy says of its connectors cannot be judged, and is not used.
struct NotKnown;

impl Presets for NotKnown {
    fn hosts_of(&self, _: &str) -> Result<Vec<HostPattern>, PresetError> {
        Ok(Vec::new())
    }
}

/// The policy when there is none: nothing is allowed by a rule, and nothing is refused.
fn none() -> Policy {
    Policy::from_flags(false, &[])
}
