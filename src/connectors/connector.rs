//! One connector type of the catalogue: where it calls, how, and what of it is secret. Data, and questions to it; no matching.

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, Method};

use super::template::PathTemplate;
use super::{Request, Source};
use crate::policy::HostPattern;

/// On a host that is not in the catalogue a path names a connector only if it has this many literal segments.
pub(super) const SHAPE_LITERALS_MIN: usize = 3;
/// Where a connector calls when the catalogue names no port.
pub(super) const PORT: u16 = 443;

/// One connector type.
#[derive(Clone, Debug)]
pub struct Connector {
    /// As Kibana names it, e.g. `.slack`.
    pub id: String,
    pub hosts: Vec<HostPattern>,
    /// Ports of those of `hosts` that have none, for what a policy allows; at least one.
    pub ports: Vec<u16>,
    pub endpoints: Vec<Endpoint>,
    /// Query keys whose values are secrets. Only values of `keep_query` are stored, whether others are named here or not.
    pub secret_query: Vec<String>,
    /// Query keys whose values are harmless: stored when short, on this connector's own hosts.
    pub keep_query: Vec<String>,
    pub secret_headers: Vec<HeaderName>,
    pub hint_headers: Vec<HeaderName>,
    /// A media type that its Accept field lists.
    pub hint_accept: Option<String>,
    /// How it is recognised on hosts that are not listed.
    pub self_hosted: Option<SelfHosted>,
    pub tunnel_ports: Vec<u16>,
    pub streaming: bool,
    /// Why its host may have to be tunnelled.
    pub avoid_interception: Option<AvoidInterception>,
    /// Its traffic is not HTTP, and passes the proxy by.
    pub bypasses_proxy: bool,
    pub hosts_source: HostsSource,
    pub docs: Option<String>,
    pub note: Option<String>,
}

/// One kind of call a connector makes.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Empty for any.
    pub methods: Vec<Method>,
    /// Empty for the connector's own hosts.
    pub hosts: Vec<HostPattern>,
    pub template: PathTemplate,
    /// Whether an OAuth token is fetched here.
    pub token: bool,
}

/// What recognises a service on a host that is not in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfHosted {
    /// A path with at least `literals_min` literal segments.
    Path {
        literals_min: usize,
    },
    PathAndHeader,
}

/// Why interception may not work for a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvoidInterception {
    /// It may present a client certificate.
    ClientCertificate,
    /// It may trust only a CA of the service's own.
    OwnCa,
}

impl AvoidInterception {
    /// As it is written in a catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCertificate => "client-certificate",
            Self::OwnCa => "own-ca",
        }
    }

    /// What breaks, for people.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::ClientCertificate => "it may show a client certificate, which interception cannot pass on",
            Self::OwnCa => "it may trust only the service's own CA, and not Tollgate's",
        }
    }

    /// What to do about it, for people.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::ClientCertificate => {
                "let Tollgate show one (`client_cert` of an entry of upstream.hosts), or name the host in tunnel_hosts"
            }
            Self::OwnCa => "name the host in tunnel_hosts",
        }
    }
}

/// Where hosts and paths of an entry are from, so that nobody takes a guess for a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostsSource {
    /// Read in Kibana's source or documentation.
    KibanaSource,
    /// Read in the vendor's public documentation; what Kibana calls was not.
    VendorDocs,
    /// The vendor's public API as it is commonly known; read neither in its documentation nor in Kibana's source.
    Vendor,
    /// The operator's own file.
    Operator,
}

impl HostsSource {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::KibanaSource, Self::VendorDocs, Self::Vendor, Self::Operator];

    /// As it is written in a catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KibanaSource => "kibana-source",
            Self::VendorDocs => "vendor-docs",
            Self::Vendor => "vendor",
            Self::Operator => "operator",
        }
    }
}

impl Connector {
    /// Header fields that hint at this connector.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.secret_headers.iter().chain(&self.hint_headers)
    }

    /// Every host it calls: its own, then those of single endpoints. None twice.
    pub fn all_hosts(&self) -> Vec<&HostPattern> {
        let mut all: Vec<&HostPattern> = Vec::new();
        for host in self.hosts.iter().chain(self.endpoints.iter().flat_map(|endpoint| &endpoint.hosts)) {
            if !all.contains(&host) {
                all.push(host);
            }
        }
        all
    }

    /// `Authorization` is everybody's, so it hints at nobody.
    pub(super) fn sent(&self, headers: &HeaderMap) -> bool {
        self.headers().any(|name| *name != AUTHORIZATION && headers.contains_key(name))
            || self.hint_accept.as_deref().is_some_and(|media_type| accepts(headers, media_type))
    }

    /// What a call of this shape to an unknown host tells, when it tells anything.
    pub(super) fn told_by_shape(&self, literals: usize, header: bool) -> Option<Source> {
        match self.self_hosted? {
            SelfHosted::PathAndHeader => header.then_some(Source::PathHeader),
            SelfHosted::Path { literals_min } if literals < literals_min => None,
            SelfHosted::Path { .. } if header => Some(Source::PathHeader),
            SelfHosted::Path { .. } => Some(Source::Path),
        }
    }
}

impl Endpoint {
    pub(super) fn is_called_by(&self, request: &Request<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(request.method)) && self.template.matches(request.path)
    }
}

/// Whether the Accept field lists a media type (RFC 9110 section 12.5.1), with whatever parameters.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case(media_type))
}
