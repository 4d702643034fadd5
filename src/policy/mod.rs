//! Whether a call may leave: an allowlist of named rules, asked once per request.
//!
//! [`Policy::decide`] is pure and its cost does not grow with the number of rules. Only this module makes a
//! [`Permit`], and only a permit opens an upstream connection. Reading files is in `load`; what addresses a name may
//! resolve to is judged in `upstream::address`, after resolution.

mod file;
mod index;
mod load;
mod pattern;
mod preset;
mod problem;
mod structure;
mod verdict;
mod written;

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use crate::attribution::Subject;
use crate::client::{DeploymentId, ProjectId};
use crate::destination::Destination;
use crate::record::{DenyReason, IdAssurance};

pub use load::{PolicyLoadError, read_text};
pub use pattern::{HostMatch, HostPattern, HostPatternError};
pub use preset::{PresetError, Presets};
pub use problem::{InvalidPolicy, PolicyProblem, Problem};
pub use verdict::{Deny, Permit};

use index::{Index, Position};

/// Name of the rule that `--allow-host` stands for. Names in files cannot start with `flag:`.
pub const ALLOW_HOST_RULE: &str = "flag:--allow-host";

/// What happens to a call that no rule allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is let through and recorded as `would_deny`.
    #[default]
    Observe,
    /// It is refused.
    Enforce,
}

impl Mode {
    /// The spelling in the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// Whom a rule admits: any subject that is named in one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Subjects {
    deployments: Vec<DeploymentId>,
    projects: Vec<ProjectId>,
    clients: Vec<Arc<str>>,
}

/// One rule: these hosts, for these subjects. `subjects` is `None` for everyone.
///
/// Each connector a rule of the file names is a rule of its own behind it, so that a verdict can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// As the file names it; with the connector in brackets behind it when the hosts are a connector's.
    name: Arc<str>,
    connector: Option<Arc<str>>,
    hosts: Vec<HostPattern>,
    subjects: Option<Arc<Subjects>>,
}

/// Rules in the order of the file, and where their hosts are.
#[derive(Debug, Default)]
struct Rules {
    list: Vec<Rule>,
    /// Holds the hosts of each rule of the list.
    index: Index,
}

/// A compiled policy. Share it behind an `Arc`; a reload makes a new one.
#[derive(Debug)]
pub struct Policy {
    mode: Mode,
    rules: Rules,
    hash: Arc<str>,
}

impl Policy {
    /// Parses a policy file. `file` is its name in messages; all problems are reported at once.
    ///
    /// A rule's `connectors` become the hosts that `presets` has for them. A file without `mode` observes. A call is allowed by the first rule, in file order, that names its host and
    /// admits its subject.
    pub fn parse(text: &str, file: &str, presets: &dyn Presets) -> Result<Self, InvalidPolicy> {
        let (mode, rules) = file::read(text, file, presets)?;
        Ok(Self::new(mode, rules))
    }

    /// The policy of the command line: enforcing when asked to or when hosts are given, with one rule for everyone
    /// named [`ALLOW_HOST_RULE`].
    pub fn from_flags(enforce: bool, allow_hosts: &[HostPattern]) -> Self {
        let mode = if enforce || !allow_hosts.is_empty() { Mode::Enforce } else { Mode::Observe };
        let mut rules = Rules::default();
        let hosts = allow_hosts.iter().filter(|host| rules.index.insert(host, 0, None)).cloned().collect();
        if !allow_hosts.is_empty() {
            rules.list.push(Rule { name: Arc::from(ALLOW_HOST_RULE), connector: None, hosts, subjects: None });
        }
        Self::new(mode, rules)
    }

    /// The same rules in another mode; the hash changes with it.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self::new(mode, self.rules)
    }

    fn new(mode: Mode, rules: Rules) -> Self {
        Self { mode, hash: hash(mode, &rules.list), rules }
    }

    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Number of rules.
    pub fn rule_count(&self) -> usize {
        self.rules.list.iter().filter(|rule| rule.connector.is_none()).count()
    }

    /// The connectors that rules name: how a verdict names rule and connector, and the hosts that are allowed by it.
    pub fn presets(&self) -> impl Iterator<Item = (&Arc<str>, &[HostPattern])> {
        self.rules.list.iter().filter(|rule| rule.connector.is_some()).map(|rule| (&rule.name, &*rule.hosts))
    }

    /// The hosts its rules name, in their order; one that several rules name comes several times.
    pub fn hosts(&self) -> impl Iterator<Item = &HostPattern> {
        self.rules.list.iter().flat_map(|rule| &rule.hosts)
    }

    /// SHA-256 of the canonical form, 64 hexadecimal digits. Comments, spelling of the YAML and the order inside the
    /// lists of a rule do not change it; mode, rule order, names, hosts, connectors with the hosts they stand for, and subjects do.
    pub const fn hash(&self) -> &Arc<str> {
        &self.hash
    }

    /// Judges one request. Nothing is resolved or dialled before this returned a permit.
    ///
    /// When observing, every request gets a permit; [`Permit::would_deny`] says what enforcing would have refused.
    pub fn decide(&self, subject: &Subject, destination: &Destination) -> Result<Permit, Deny> {
        let found = self.rules.index.find(subject, destination);
        if subject.assurance == IdAssurance::Mismatch {
            return self.refuse(destination, DenyReason::IdentityMismatch, found.naming);
        }
        match (found.admitting, found.naming) {
            (Some(rule), _) => Ok(Permit::allow(destination.clone(), self.rule_name(rule), Arc::clone(&self.hash))),
            (None, Some(rule)) => self.refuse(destination, DenyReason::SubjectNotAllowed, Some(rule)),
            (None, None) => self.refuse(destination, DenyReason::HostNotAllowed, None),
        }
    }

    /// Judges something no rule can allow, such as a protocol Tollgate does not know: let through and recorded when
    /// observing, refused with `reason` when enforcing.
    pub fn tolerate(&self, destination: &Destination, reason: DenyReason) -> Result<Permit, Deny> {
        self.refuse(destination, reason, None)
    }

    fn refuse(&self, destination: &Destination, reason: DenyReason, rule: Option<Position>) -> Result<Permit, Deny> {
        let (destination, rule) = (destination.clone(), rule.and_then(|rule| self.rule_name(rule)));
        let policy_hash = Arc::clone(&self.hash);
        match self.mode {
            Mode::Observe => Ok(Permit::would_deny_for(destination, reason, rule, policy_hash)),
            Mode::Enforce => Err(Deny { destination, reason, rule, policy_hash }),
        }
    }

    fn rule_name(&self, position: Position) -> Option<Arc<str>> {
        self.rules.list.get(position as usize).map(|rule| Arc::clone(&rule.name))
    }
}

/// Hashes the canonical form: one line for each fact, texts quoted and escaped as Rust string literals so that no text can
/// look like another line, lists sorted.
///
/// ```text
/// tollgate-policy-1
/// mode enforce
/// rule "slack"
/// host "hooks.slack.com"
/// deployment "0763c7f3a5cf4fc78981d801d2b8af6a"
/// connector ".pagerduty"
/// host "events.pagerduty.com:443"
/// deployment "0763c7f3a5cf4fc78981d801d2b8af6a"
/// ```
fn hash(mode: Mode, rules: &[Rule]) -> Arc<str> {
    let mut form = Form::new(mode);
    for rule in rules {
        match &rule.connector {
            None => form.line("rule", &rule.name),
            Some(connector) => form.line("connector", connector),
        }
        form.sorted("host", rule.hosts.iter().map(HostPattern::canonical));
        if let Some(subjects) = &rule.subjects {
            form.sorted("deployment", subjects.deployments.iter().map(|id| Cow::Borrowed(id.as_str())));
            form.sorted("project", subjects.projects.iter().map(|id| Cow::Borrowed(id.as_str())));
            form.sorted("client", subjects.clients.iter().map(|name| Cow::Borrowed(&**name)));
        }
    }
    form.finish()
}

/// The canonical form on its way into its digest; it is never whole in memory.
struct Form {
    digest: Context,
    /// What the digest has not seen yet.
    pending: String,
}

impl Form {
    const PENDING_BYTES_MAX: usize = 16 * 1024;

    fn new(mode: Mode) -> Self {
        let pending = format!("tollgate-policy-1\nmode {}\n", mode.as_str());
        Self { digest: Context::new(&SHA256), pending }
    }

    fn sorted<'a>(&mut self, kind: &str, texts: impl Iterator<Item = Cow<'a, str>>) {
        let mut texts: Vec<_> = texts.collect();
        texts.sort_unstable();
        for text in texts {
            self.line(kind, &text);
        }
    }

    fn line(&mut self, kind: &str, text: &str) {
        self.pending.push_str(kind);
        self.pending.push_str(" \"");
        // What escaping would leave as it is, which host names are.
        if text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'*')) {
            self.pending.push_str(text);
        } else {
            self.pending.extend(text.escape_default());
        }
        self.pending.push_str("\"\n");
        if self.pending.len() > Self::PENDING_BYTES_MAX {
            self.digest.update(self.pending.as_bytes());
            self.pending.clear();
        }
    }

    fn finish(mut self) -> Arc<str> {
        self.digest.update(self.pending.as_bytes());
        let digest = self.digest.finish();
        let digits = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        Arc::from(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect::<String>())
    }
}

#[cfg(test)]
mod tests;
