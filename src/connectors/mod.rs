//! Kibana's connectors as data: which connector made a call, and which parts of its path are harmless.
//!
//! [`Catalogue::identify`] is pure. It names a connector for the evidence; it permits nothing, and policy does not ask it.
//! Of header values only the media types of Accept are looked at, and never bodies. The data is `catalogue.yml`, embedded, and an operator's own file
//! of the same format, whose entries replace those of the same id and come before the others.

mod avoided;
mod check;
mod connector;
pub mod document;
mod file;
mod index;
mod load;
mod preset;
mod problem;
mod template;

use http::{HeaderMap, Method};

pub use connector::{AvoidInterception, Connector, Endpoint, HostsSource, SelfHosted};
pub use load::{CatalogueError, read_text};
pub use preset::Preset;
pub use problem::{CatalogueProblem, Problem};
pub use template::{Kind as PlaceholderKind, PathTemplate, TemplateError};

use crate::archive::digest::Sha256;
use crate::destination::Destination;
use crate::observe::redact::{FingerprintKey, redact_path, redact_query};
use index::{Index, Position, Reach, Site};

/// The embedded catalogue.
const EMBEDDED: &str = include_str!("catalogue.yml");

/// A call, as far as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    pub destination: &'a Destination,
    /// `None` for a tunnel that is only relayed.
    pub request: Option<Request<'a>>,
}

/// The part of a request that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a Method,
    /// As received, without its query.
    pub path: &'a str,
    /// Only names are looked at, and the media types of Accept.
    pub headers: &'a HeaderMap,
}

/// What a connector was told from; the column `connector_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A known host, and a method and path of this connector.
    HostPath,
    /// A known host; nothing is known about the path.
    Host,
    /// An unknown host, and method, path and a header of this connector.
    PathHeader,
    /// An unknown host, and a method and path no other connector has.
    Path,
    /// The port of a tunnel.
    Port,
    /// Several connectors make this very call; the first of them in the catalogue is named.
    Shared,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 6] = [Self::HostPath, Self::Host, Self::PathHeader, Self::Path, Self::Port, Self::Shared];

    /// The column's code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostPath => "host_path",
            Self::Host => "host",
            Self::PathHeader => "path_header",
            Self::Path => "path",
            Self::Port => "port",
            Self::Shared => "shared",
        }
    }

    /// Why the name is what it is, for people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::HostPath => "host, method and path are this connector's",
            Self::Host => "the host is this connector's; the path is not one it is known for, or was not seen",
            Self::PathHeader => "the host is not known; method, path and a header field are this connector's",
            Self::Path => "the host is not known; method and path are this connector's",
            Self::Port => "the port of the tunnel is this connector's",
            Self::Shared => "several connectors make this very call; this is the likeliest of them",
        }
    }

    /// How far the name can be believed.
    pub const fn confidence(self) -> Confidence {
        match self {
            Self::HostPath => Confidence::High,
            Self::Host | Self::PathHeader => Confidence::Medium,
            Self::Path | Self::Port | Self::Shared => Confidence::Low,
        }
    }
}

/// How far an identification can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    High,
    Medium,
    Low,
}

impl Confidence {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// The connector that made a call.
#[derive(Clone, Copy, Debug)]
pub struct Identified<'c> {
    pub connector: &'c Connector,
    pub source: Source,
    /// The endpoint that was called, when it is known.
    pub endpoint: Option<&'c Endpoint>,
}

/// The path as it is stored: by the template of the endpoint, or by what paths in general may keep.
///
/// What the catalogue calls harmless is so on the hosts it names. Elsewhere the path only looks like that connector's.
pub fn stored_path(identified: Option<&Identified<'_>>, path: &str, mail_key: Option<&FingerprintKey>) -> String {
    let known = identified.and_then(|found| Some((&found.endpoint?.template, found.source == Source::HostPath)));
    known
        .and_then(|(template, keep)| template.redact(path, keep, mail_key))
        .unwrap_or_else(|| redact_path(path, mail_key))
}

/// The query as it is stored: its plain keys, and the values that the catalogue calls harmless on the hosts it names.
pub fn stored_query(identified: Option<&Identified<'_>>, query: &str) -> String {
    let known = identified.filter(|found| found.source == Source::HostPath);
    redact_query(query, known.map(|found| &*found.connector.keep_query).unwrap_or_default())
}

/// All connector types, ready to be asked.
#[derive(Debug)]
pub struct Catalogue {
    connectors: Vec<Connector>,
    index: Index,
    sha256: Sha256,
}

impl Default for Catalogue {
    /// A catalogue without connectors.
    fn default() -> Self {
        Self::new(Vec::new(), Sha256::of(b""))
    }
}

/// How well an entry matches; the greater one wins. Compared in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    path: bool,
    literals: usize,
    header: bool,
    labels: usize,
}

impl Catalogue {
    /// The embedded catalogue.
    ///
    /// # Errors
    /// Its problems; a test shows that there are none.
    pub fn embedded() -> Result<Self, Vec<CatalogueProblem>> {
        Ok(Self::new(file::read(EMBEDDED)?, Sha256::of(EMBEDDED.as_bytes())))
    }

    /// The embedded catalogue with an operator's entries over it: one of the same id is replaced, all come first.
    ///
    /// # Errors
    /// All problems of `text`.
    pub fn extended(text: &str) -> Result<Self, Vec<CatalogueProblem>> {
        let mut connectors = file::read(text)?;
        let embedded = file::read(EMBEDDED)?;
        let kept = embedded.into_iter().filter(|entry| !connectors.iter().any(|own| own.id == entry.id));
        let kept: Vec<_> = kept.collect();
        connectors.extend(kept);
        Ok(Self::new(connectors, Sha256::of_parts(&[text.as_bytes(), EMBEDDED.as_bytes()])))
    }

    fn new(connectors: Vec<Connector>, sha256: Sha256) -> Self {
        let index = Index::of(&connectors);
        Self { connectors, index, sha256 }
    }

    /// Of the operator's text, if there is one, followed by the embedded text.
    pub const fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// All connectors, in the order in which ties are decided.
    pub fn connectors(&self) -> &[Connector] {
        &self.connectors
    }

    /// The connector of this type.
    pub fn get(&self, id: &str) -> Option<&Connector> {
        self.connectors.iter().find(|connector| connector.id == id)
    }

    /// Which connector made a call.
    ///
    /// A known host is decided among the connectors that have it: a matching path before none, then more literal
    /// segments, then one of the connector's headers, then the longer host pattern. What is still equal belongs to
    /// the first in the catalogue, and is marked [`Source::Shared`] when that is another connector. A call to an
    /// unknown host is decided the same way among self-hosted services.
    pub fn identify(&self, seen: &Sighting<'_>) -> Option<Identified<'_>> {
        let by_host = self.index.sites(seen.destination).filter_map(|site| self.at_site(site, seen));
        best(by_host).or_else(|| {
            let Some(request) = &seen.request else {
                return self.by_tunnel_port(seen.destination.port);
            };
            let shapes = self.index.shapes(request.path);
            best(shapes.filter_map(|(connector, endpoint)| self.of_shape(*connector, *endpoint, request)))
        })
    }

    fn by_tunnel_port(&self, port: u16) -> Option<Identified<'_>> {
        let connector = self.connectors.get(self.index.tunnel_port(port)?)?;
        Some(Identified { connector, source: Source::Port, endpoint: None })
    }

    /// What a connector's claim to the host comes to.
    fn at_site(&self, site: &Site, seen: &Sighting<'_>) -> Option<(Rank, Position, Identified<'_>)> {
        let connector = self.connectors.get(site.connector)?;
        let called = |endpoint: &&Endpoint| seen.request.is_some_and(|request| endpoint.is_called_by(&request));
        let own = |endpoint: &&Endpoint| endpoint.hosts.is_empty();
        let endpoint = match site.reach {
            Reach::Own => connector
                .endpoints
                .iter()
                .filter(own)
                .filter(called)
                .max_by_key(|endpoint| (endpoint.template.literals(), !endpoint.template.is_open())),
            Reach::Endpoint(number) => Some(connector.endpoints.get(number).filter(called)?),
        };
        let rank = Rank {
            path: endpoint.is_some(),
            literals: endpoint.map_or(0, |endpoint| endpoint.template.literals()),
            header: seen.request.is_some_and(|request| connector.sent(request.headers)),
            labels: site.labels,
        };
        let source = if endpoint.is_some() { Source::HostPath } else { Source::Host };
        Some((rank, site.connector, Identified { connector, source, endpoint }))
    }

    /// Whether a self-hosted service's endpoint is called, whatever the host.
    fn of_shape(
        &self,
        position: Position,
        endpoint: usize,
        request: &Request<'_>,
    ) -> Option<(Rank, Position, Identified<'_>)> {
        let connector = self.connectors.get(position)?;
        let endpoint = connector.endpoints.get(endpoint).filter(|endpoint| endpoint.is_called_by(request))?;
        let (header, literals) = (connector.sent(request.headers), endpoint.template.literals());
        let source = connector.told_by_shape(literals, header)?;
        let rank = Rank { path: true, literals, header, labels: 0 };
        Some((rank, position, Identified { connector, source, endpoint: Some(endpoint) }))
    }
}

/// The one with the greatest rank; of equal ones the first in the catalogue, marked as shared.
fn best<'c>(found: impl Iterator<Item = (Rank, Position, Identified<'c>)>) -> Option<Identified<'c>> {
    let (_, _, identified) = found.reduce(|best, next| {
        let (rank, position, identified) = best;
        let (other_rank, other_position, other) = next;
        match (rank.cmp(&other_rank), position == other_position) {
            (std::cmp::Ordering::Less, _) => next,
            (std::cmp::Ordering::Greater, _) | (std::cmp::Ordering::Equal, true) => best,
            (std::cmp::Ordering::Equal, false) => {
                let first = if position < other_position { identified } else { other };
                (rank, position.min(other_position), Identified { source: Source::Shared, ..first })
            }
        }
    })?;
    Some(identified)
}

#[cfg(test)]
mod tests;
