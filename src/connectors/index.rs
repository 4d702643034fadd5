//! Finds the entries that can match a call, in time that does not depend on how many entries there are.
//!
//! A known host is one hash lookup, and one for each of its suffixes. On an unknown host the first segment of the path
//! and the second are looked up among those of self-hosted services.

use std::collections::HashMap;

use super::Connector;
use crate::destination::{Destination, Host, HostName};
use crate::policy::{HostMatch, HostPattern};

/// A connector by its position in the catalogue.
pub(super) type Position = usize;

/// A connector and one of its endpoints, by their positions.
type Shape = (Position, usize);

/// What a host stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The connector's own host: its endpoints without a host, and the host alone.
    Own,
    /// The host of one endpoint, by its position in the connector.
    Endpoint(usize),
}

/// One connector's claim to a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) connector: Position,
    pub(super) reach: Reach,
    /// Labels of the pattern; exact hosts count more than any suffix.
    pub(super) labels: usize,
    port: Option<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<Host, Vec<Site>>,
    suffix: HashMap<HostName, Vec<Site>>,
    /// By the first segment of the path.
    shapes: HashMap<Box<str>, Shapes>,
    tunnel_ports: HashMap<u16, Position>,
}

/// Endpoints whose path begins with the same segment.
#[derive(Debug, Default)]
struct Shapes {
    /// Those whose second segment is a placeholder, or that have none.
    open: Vec<Shape>,
    /// By their second segment.
    literal: HashMap<Box<str>, Vec<Shape>>,
}

impl Index {
    pub(super) fn of(connectors: &[Connector]) -> Self {
        let mut index = Self::default();
        for (position, connector) in connectors.iter().enumerate() {
            for host in &connector.hosts {
                index.insert_host(host, position, Reach::Own);
            }
            for (number, endpoint) in connector.endpoints.iter().enumerate() {
                for host in &endpoint.hosts {
                    index.insert_host(host, position, Reach::Endpoint(number));
                }
                if let (Some(first), true, Some(_)) =
                    (endpoint.template.first_literal(), endpoint.hosts.is_empty(), connector.self_hosted)
                {
                    let shapes = index.shapes.entry(first.into()).or_default();
                    let alike = match endpoint.template.second_literal().filter(|second| !second.is_empty()) {
                        Some(second) => shapes.literal.entry(second.into()).or_default(),
                        None => &mut shapes.open,
                    };
                    alike.push((position, number));
                }
            }
            for port in &connector.tunnel_ports {
                index.tunnel_ports.entry(*port).or_insert(position);
            }
        }
        index
    }

    fn insert_host(&mut self, pattern: &HostPattern, connector: Position, reach: Reach) {
        let port = pattern.port();
        match pattern.host() {
            HostMatch::Exact(host) => {
                let site = Site { connector, reach, labels: usize::MAX, port };
                self.exact.entry(host.clone()).or_default().push(site);
            }
            HostMatch::Suffix(name) => {
                let site = Site { connector, reach, labels: name.as_str().split('.').count(), port };
                self.suffix.entry(name.clone()).or_default().push(site);
            }
        }
    }

    /// All claims to a destination.
    pub(super) fn sites<'i>(&'i self, destination: &'i Destination) -> impl Iterator<Item = &'i Site> {
        let name = destination.host.name().unwrap_or_default();
        let suffixes = name.match_indices('.').filter_map(move |(dot, _)| self.suffix.get(name.get(dot + 1..)?));
        self.exact
            .get(&destination.host)
            .into_iter()
            .chain(suffixes)
            .flatten()
            .filter(|site| site.port.is_none_or(|port| port == destination.port))
    }

    /// Endpoints of self-hosted services whose path begins as this one.
    pub(super) fn shapes(&self, path: &str) -> impl Iterator<Item = &Shape> {
        let mut segments = path.split('/').skip(1);
        let (first, second) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
        let known = self.shapes.get(first);
        let literal = known.and_then(|shapes| shapes.literal.get(second));
        known.into_iter().flat_map(|shapes| &shapes.open).chain(literal.into_iter().flatten())
    }

    pub(super) fn tunnel_port(&self, port: u16) -> Option<Position> {
        self.tunnel_ports.get(&port).copied()
    }
}
