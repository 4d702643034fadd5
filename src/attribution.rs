//! Who a request says it is for: the `elastic (deployment:<id>)` fragment of the User-Agent, held against what the
//! configuration knows of the client.
//!
//! The fragment is a claim; a connector author can forge it through connector headers. Only the client's bound ids
//! confirm or contradict it. This module does not decide what follows from a mismatch; policy does. Where fragments are in
//! a line is found in `fragment`.

mod fragment;

use std::sync::Arc;

use memchr::memchr;

pub use fragment::without_fragments;
use fragment::{Kind, fragments};

use crate::client::{ClientIdentity, DeploymentId, ID_CHARS_MAX, ProjectId};
use crate::record::IdAssurance;

/// An id has at most this many octets, four for each character (UTF-8).
const ID_BYTES_MAX: usize = ID_CHARS_MAX * 4;
/// Longest first product that is kept, in octets.
const PRODUCT_BYTES_MAX: usize = 128;

/// What the User-Agent lines of one request say, before anything confirms it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// No fragment, which is normal for many connectors.
    Absent,
    Deployment(DeploymentId),
    /// Also when there is a deployment besides: the project wins.
    Project(ProjectId),
    /// Fragments of one kind name different ids.
    Contradicting,
    /// A fragment whose id is empty, over-long, not closed or has forbidden characters.
    Malformed,
}

/// Who a request is attributed to: the values of the identity columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// At most one of `deployment` and `project` is set; with `Mismatch` it is the claimed id.
    pub deployment: Option<DeploymentId>,
    pub project: Option<ProjectId>,
    pub assurance: IdAssurance,
    /// Name of the recognised client.
    pub client: Option<Arc<str>>,
}

/// Attributes a request by its User-Agent field lines, in order, and the client that sent it.
pub fn attribute<'a>(user_agents: impl IntoIterator<Item = &'a [u8]>, client: Option<&ClientIdentity>) -> Subject {
    Subject::new(Claim::read(user_agents), client)
}

impl Claim {
    /// Reads the claim from all User-Agent field lines. Lines need not be UTF-8. The cost is linear in their length.
    ///
    /// A fragment is `elastic (` as a word, `deployment:` or `project:`, an id of `[^\s()]{1,128}` and `)`. Other
    /// text after `elastic (` is an ordinary comment (RFC 9110 section 5.6.5), not a malformed fragment.
    pub fn read<'a>(user_agents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut found = Found::default();
        for line in user_agents {
            found.scan(line);
        }
        found.into_claim()
    }
}

/// One kind of id over all fragments read so far.
#[derive(Default)]
enum Named<T> {
    #[default]
    Nothing,
    One(T),
    Several,
}

impl<T: PartialEq> Named<T> {
    fn add(&mut self, id: T) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One(id),
            Self::One(known) if known == id => Self::One(known),
            Self::One(_) | Self::Several => Self::Several,
        };
    }
}

#[derive(Default)]
struct Found {
    deployment: Named<DeploymentId>,
    project: Named<ProjectId>,
    malformed: bool,
}

impl Found {
    fn scan(&mut self, line: &[u8]) {
        for fragment in fragments(line) {
            let id = id_text(fragment.rest);
            match fragment.kind {
                Kind::Deployment => match id.and_then(|id| DeploymentId::parse(id).ok()) {
                    Some(id) => self.deployment.add(id),
                    None => self.malformed = true,
                },
                Kind::Project => match id.and_then(|id| ProjectId::parse(id).ok()) {
                    Some(id) => self.project.add(id),
                    None => self.malformed = true,
                },
            }
        }
    }

    fn into_claim(self) -> Claim {
        if self.malformed {
            return Claim::Malformed;
        }
        match (self.project, self.deployment) {
            (Named::Several, _) | (_, Named::Several) => Claim::Contradicting,
            (Named::One(project), _) => Claim::Project(project),
            (Named::Nothing, Named::One(deployment)) => Claim::Deployment(deployment),
            (Named::Nothing, Named::Nothing) => Claim::Absent,
        }
    }
}

/// The text up to the closing parenthesis. Looks no further than the longest id, so that a line full of unclosed
/// fragments costs no more than its length.
fn id_text(rest: &[u8]) -> Option<&str> {
    let window = rest.get(..=ID_BYTES_MAX).unwrap_or(rest);
    let (id, _) = window.split_at_checked(memchr(b')', window)?)?;
    std::str::from_utf8(id).ok()
}

impl Subject {
    /// Holds a claim against the ids the client is bound to.
    pub fn new(claim: Claim, client: Option<&ClientIdentity>) -> Self {
        let bound = client.filter(|client| client.is_bound());
        let (deployment, project, assurance) = match claim {
            Claim::Absent => sole_bound_id(bound),
            Claim::Deployment(id) => {
                let assurance = assurance(bound.map(|client| client.deployments().contains(&id)));
                (Some(id), None, assurance)
            }
            Claim::Project(id) => {
                let assurance = assurance(bound.map(|client| client.projects().contains(&id)));
                (None, Some(id), assurance)
            }
            Claim::Contradicting => (None, None, IdAssurance::Contradicting),
            Claim::Malformed => (None, None, IdAssurance::Malformed),
        };
        Self { deployment, project, assurance, client: client.map(|client| Arc::clone(client.name())) }
    }

    /// Whether an id was claimed, usable or not, by a client that the configuration binds to none.
    pub fn is_unbound_claim(&self, client: Option<&ClientIdentity>) -> bool {
        let claims = match self.assurance {
            IdAssurance::Verified
            | IdAssurance::Mismatch
            | IdAssurance::Claimed
            | IdAssurance::Contradicting
            | IdAssurance::Malformed => true,
            IdAssurance::Absent | IdAssurance::Bound => false,
        };
        claims && !client.is_some_and(ClientIdentity::is_bound)
    }
}

const fn assurance(confirmed: Option<bool>) -> IdAssurance {
    match confirmed {
        Some(true) => IdAssurance::Verified,
        Some(false) => IdAssurance::Mismatch,
        None => IdAssurance::Claimed,
    }
}

fn sole_bound_id(bound: Option<&ClientIdentity>) -> (Option<DeploymentId>, Option<ProjectId>, IdAssurance) {
    match bound.map(|client| (client.deployments(), client.projects())) {
        Some(([deployment], [])) => (Some(deployment.clone()), None, IdAssurance::Bound),
        Some(([], [project])) => (None, Some(project.clone()), IdAssurance::Bound),
        Some(_) | None => (None, None, IdAssurance::Absent),
    }
}

/// The first product of a User-Agent as it stands there (`axios/1.7.2`, `@slack:webhook/7.2.0`), at most 128 octets.
/// Not limited to RFC 9110 tokens, because products in use are not. `None` when the value starts with a comment.
pub fn product(user_agent: &str) -> Option<&str> {
    let first = user_agent.split([' ', '\t', '(']).next().unwrap_or_default();
    let mut end = first.len().min(PRODUCT_BYTES_MAX);
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    first.get(..end).filter(|product| !product.is_empty())
}

#[cfg(test)]
mod tests;
