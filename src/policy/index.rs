//! Finds the rules for a destination and a subject in time that depends on neither's number.
//!
//! Exact hosts are one hash lookup, suffixes one for each label of the name asked for. Each entry knows the first rule
//! for everyone and the first rule for each subject, so that many rules for one host cost nothing either.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::Subjects;
use super::pattern::{HostMatch, HostPattern};
use crate::attribution::Subject;
use crate::client::{DeploymentId, ProjectId};
use crate::destination::{Destination, Host, HostName};

/// Rules are named by their position in the file; earlier ones win. Four bytes, because each host has some.
pub(super) type Position = u32;

/// The first rule for each kind of subject, for one host pattern.
#[derive(Debug)]
struct Audience {
    /// The first rule that names the pattern, whomever it admits.
    first: Position,
    /// The last one.
    last: Position,
    everyone: Option<Position>,
    some: Option<Box<Admitted>>,
}

#[derive(Debug, Default)]
struct Admitted {
    deployments: HashMap<DeploymentId, Position>,
    projects: HashMap<ProjectId, Position>,
    clients: HashMap<Arc<str>, Position>,
}

impl Audience {
    fn of(position: Position, subjects: Option<&Subjects>) -> Self {
        let mut audience = Self { first: position, last: position, everyone: None, some: None };
        audience.admit(position, subjects);
        audience
    }

    /// Adds the subjects of a rule; `false` when the rule was the last one to be added.
    fn add(&mut self, position: Position, subjects: Option<&Subjects>) -> bool {
        let new = self.last != position;
        if new {
            self.last = position;
            self.admit(position, subjects);
        }
        new
    }

    fn admit(&mut self, position: Position, subjects: Option<&Subjects>) {
        let Some(subjects) = subjects else {
            self.everyone.get_or_insert(position);
            return;
        };
        let some = self.some.get_or_insert_default();
        for id in &subjects.deployments {
            some.deployments.entry(id.clone()).or_insert(position);
        }
        for id in &subjects.projects {
            some.projects.entry(id.clone()).or_insert(position);
        }
        for name in &subjects.clients {
            some.clients.entry(Arc::clone(name)).or_insert(position);
        }
    }

    fn admitting(&self, subject: &Subject) -> Option<Position> {
        let some = self.some.as_ref();
        let by_deployment = some.and_then(|some| look_up(&some.deployments, subject.deployment.as_ref()));
        let by_project = some.and_then(|some| look_up(&some.projects, subject.project.as_ref()));
        let by_client = some.and_then(|some| look_up(&some.clients, subject.client.as_deref()));
        [self.everyone, by_deployment, by_project, by_client].into_iter().flatten().min()
    }
}

fn look_up<K, Q>(map: &HashMap<K, Position>, key: Option<&Q>) -> Option<Position>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ?Sized,
{
    key.and_then(|key| map.get(key).copied())
}

/// Audiences of one host or suffix: for any port, and for single ports in ascending order.
#[derive(Debug, Default)]
struct Ports {
    any: Option<Audience>,
    single: Vec<(u16, Audience)>,
}

impl Ports {
    fn add(&mut self, port: Option<u16>, position: Position, subjects: Option<&Subjects>) -> bool {
        let Some(port) = port else {
            if let Some(audience) = &mut self.any {
                return audience.add(position, subjects);
            }
            self.any = Some(Audience::of(position, subjects));
            return true;
        };
        match self.single.binary_search_by_key(&port, |(port, _)| *port) {
            Ok(found) => self.single.get_mut(found).is_some_and(|(_, audience)| audience.add(position, subjects)),
            Err(gap) => {
                self.single.insert(gap, (port, Audience::of(position, subjects)));
                true
            }
        }
    }

    fn audiences(&self, port: Option<u16>) -> impl Iterator<Item = &Audience> {
        let single = port.and_then(|port| self.single.binary_search_by_key(&port, |(port, _)| *port).ok());
        let single = single.and_then(|found| self.single.get(found)).map(|(_, audience)| audience);
        self.any.iter().chain(single)
    }
}

/// What the index knows of one request: positions of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The first rule that names the host.
    pub(super) naming: Option<Position>,
    /// The first rule that names the host and admits the subject.
    pub(super) admitting: Option<Position>,
}

/// All host patterns of a policy.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<Host, Ports>,
    suffixes: HashMap<HostName, Ports>,
}

impl Index {
    /// Makes room for so many exact hosts more, so that adding them does not move those that are there again and again.
    pub(super) fn reserve(&mut self, exact: usize) {
        self.exact.reserve(exact);
    }

    /// Adds one host of the rule at `position`; `false` when that rule has it already. Positions must not decrease from
    /// call to call.
    pub(super) fn insert(&mut self, pattern: &HostPattern, position: Position, subjects: Option<&Subjects>) -> bool {
        let ports = match pattern.host() {
            HostMatch::Exact(host) => self.exact.entry(host.clone()).or_default(),
            HostMatch::Suffix(suffix) => self.suffixes.entry(suffix.clone()).or_default(),
        };
        ports.add(pattern.port(), position, subjects)
    }

    pub(super) fn find(&self, subject: &Subject, destination: &Destination) -> Found {
        let mut found = Found::default();
        let exact = self.exact.get(&destination.host);
        let suffixes = self.suffixes_above(destination.host.name().unwrap_or_default());
        for audience in exact.into_iter().chain(suffixes).flat_map(|ports| ports.audiences(Some(destination.port))) {
            found.naming = earliest(found.naming, Some(audience.first));
            found.admitting = earliest(found.admitting, audience.admitting(subject));
        }
        found
    }

    /// The first rule for everyone that matches whatever `pattern` matches.
    pub(super) fn open_to_everyone(&self, pattern: &HostPattern) -> Option<Position> {
        let (same, name) = match pattern.host() {
            HostMatch::Exact(host) => (self.exact.get(host), host.name().unwrap_or_default()),
            HostMatch::Suffix(suffix) => (self.suffixes.get(suffix), suffix.as_str()),
        };
        let all = same.into_iter().chain(self.suffixes_above(name));
        all.flat_map(|ports| ports.audiences(pattern.port())).filter_map(|audience| audience.everyone).min()
    }

    /// Suffix entries with fewer labels than `name`: a suffix never matches its own apex.
    fn suffixes_above<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Ports> {
        // A policy without suffixes need not look at the labels.
        let name = if self.suffixes.is_empty() { "" } else { name };
        let parents = name.match_indices('.').filter_map(|(dot, _)| name.get(dot + 1..));
        parents.filter_map(|parent| self.suffixes.get(parent))
    }
}

fn earliest(a: Option<Position>, b: Option<Position>) -> Option<Position> {
    a.into_iter().chain(b).min()
}
