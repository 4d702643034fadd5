//! What the texts are made of: the configuration, the flags, and what is known of the version.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Uri;

use super::super::CliError;
use super::super::args::KibanaArgs;
use super::super::banner::absolute;
use crate::client::Recognition;
use crate::config::{Config, Listener, Overrides};
use crate::intercept::authority::CaCertificate;
use crate::kibana::{Change, Releases, Standing, Version};
use crate::policy::HostMatch;

/// Stands where only the operator knows the name, because the listener takes any address.
const PROXY_HOST_UNKNOWN: &str = "TOLLGATE_HOST";
/// Stands where the operating system chooses the port at each start.
const PROXY_PORT_UNKNOWN: &str = "TOLLGATE_PORT";
/// Most hosts of the policy that settings for single hosts are printed for.
const HOSTS_MAX: usize = 8;

/// Why a URL cannot be Kibana's `xpack.actions.proxyUrl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    #[error("begin it with http:// or https://")]
    Scheme,
    #[error("it has no host")]
    NoHost,
    #[error("leave user and password out; --client prints how they are sent")]
    Userinfo,
    #[error("it ends after host and port")]
    Path,
}

/// How Kibana says who it is.
pub(super) enum Identification {
    /// No clients are configured.
    NotNeeded,
    /// Some are, and none was named; their names.
    NotChosen(Vec<String>),
    /// The client is told by where it connects from or to.
    NothingToSend(String),
    /// It sends these fields with CONNECT.
    Sends { client: String, fields: Vec<Field> },
}

/// A field of `xpack.actions.proxyHeaders`, with a placeholder for its secret.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) placeholder: &'static str,
    /// The user name, where the value is made of it and a password.
    pub(super) username: Option<String>,
}

pub(super) struct Facts {
    pub(super) proxy_url: String,
    /// Whether that URL is of no use on another machine.
    pub(super) loopback: bool,
    /// Whether Kibana speaks TLS to the proxy.
    pub(super) https: bool,
    /// The certificate the listener shows, on this machine.
    pub(super) listener_cert: Option<PathBuf>,
    /// Path of the CA certificate on the Kibana machine.
    pub(super) ca: String,
    /// The CA certificate, when there is one to be read.
    pub(super) ca_pem: Option<String>,
    pub(super) identification: Identification,
    pub(super) version: Option<Version>,
    releases: Releases,
    /// Exact hosts of the policy that https connectors call, `host:port`; not more than a few.
    pub(super) hosts: Vec<String>,
    pub(super) tunnel_ports: Vec<u16>,
    /// Within which time a CONNECT is answered, in seconds.
    pub(super) answer_s: u64,
}

impl Facts {
    /// # Errors
    /// The configuration cannot be used, or a flag does not fit to it.
    pub(super) fn collect(args: &KibanaArgs) -> Result<Self, CliError> {
        let config = Config::load(args.config.as_deref(), &Overrides::default())?;
        let recognition = args.client.as_deref().map(|name| named(&config, name)).transpose()?;
        let listener = listener_of(&config, recognition.as_ref());
        let (proxy_url, https) = match &args.proxy_url {
            Some(url) => checked(url)?,
            None => listener.map(own_url).unwrap_or_default(),
        };
        let ca_file = &config.interception.authority.cert_file;
        let answer = config.limits.dial_timeout + config.audit.journal.wait_max;
        Ok(Self {
            loopback: args.proxy_url.is_none() && listener.is_some_and(|listener| listener.address.ip().is_loopback()),
            proxy_url,
            https,
            listener_cert: listener.and_then(|listener| listener.tls.as_ref()).map(|tls| absolute(&tls.cert_file)),
            ca: args.ca_cert.as_deref().map_or_else(|| absolute(ca_file), Path::to_owned).display().to_string(),
            ca_pem: CaCertificate::read(ca_file).ok().map(|certificate| certificate.pem()),
            identification: identification(&config, args.client.as_deref(), recognition.as_ref()),
            version: args.kibana_version,
            releases: Releases::embedded()?,
            hosts: https_hosts(&config),
            tunnel_ports: config.tunnel.ports,
            answer_s: answer.as_secs(),
        })
    }

    /// A change, and whether the version has it; `None` without a version.
    pub(super) fn change(&self, id: &str) -> Option<(&Change, Option<Standing<'_>>)> {
        let change = self.releases.change(id)?;
        Some((change, self.version.map(|version| change.standing(version))))
    }

    /// The version for a sentence: `Kibana 9.4`.
    pub(super) fn kibana(&self) -> String {
        self.version.map_or_else(|| "Kibana".to_owned(), |version| format!("Kibana {version}"))
    }

    /// The fields of `xpack.actions.proxyHeaders`; none when nothing is to be sent.
    pub(super) fn fields(&self) -> &[Field] {
        match &self.identification {
            Identification::Sends { fields, .. } => fields,
            Identification::NotNeeded | Identification::NotChosen(_) | Identification::NothingToSend(_) => &[],
        }
    }
}

fn named<'a>(config: &'a Config, name: &str) -> Result<Recognition<'a>, CliError> {
    let unknown = || {
        let known = config.clients.names().map(str::to_owned).collect();
        CliError::UnknownClient { name: name.to_owned(), known }
    };
    config.clients.recognition(name).ok_or_else(unknown)
}

/// The client's own listener, or else the first.
fn listener_of<'a>(config: &'a Config, recognition: Option<&Recognition<'_>>) -> Option<&'a Listener> {
    let own = recognition.and_then(|recognition| recognition.listener);
    let own = own.and_then(|name| config.listeners.iter().find(|listener| *listener.name == *name));
    own.or_else(|| config.listeners.first())
}

/// The URL of a listener, and whether it speaks TLS.
fn own_url(listener: &Listener) -> (String, bool) {
    let https = listener.tls.is_some();
    let host = match listener.address.ip() {
        address if address.is_unspecified() => PROXY_HOST_UNKNOWN.to_owned(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let port = match listener.address.port() {
        0 => PROXY_PORT_UNKNOWN.to_owned(),
        port => port.to_string(),
    };
    (format!("{}://{host}:{port}", if https { "https" } else { "http" }), https)
}

/// The URL of `--proxy-url`, and whether it is https.
fn checked(url: &Uri) -> Result<(String, bool), ProxyUrlError> {
    let https = match url.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        Some(_) | None => return Err(ProxyUrlError::Scheme),
    };
    let authority = url.authority().ok_or(ProxyUrlError::NoHost)?.as_str();
    if authority.contains('@') {
        return Err(ProxyUrlError::Userinfo);
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(ProxyUrlError::Path);
    }
    Ok((format!("{}://{authority}", if https { "https" } else { "http" }), https))
}

fn identification(config: &Config, name: Option<&str>, recognition: Option<&Recognition<'_>>) -> Identification {
    let (Some(name), Some(recognition)) = (name, recognition) else {
        return if config.clients.is_empty() {
            Identification::NotNeeded
        } else {
            Identification::NotChosen(config.clients.names().map(str::to_owned).collect())
        };
    };
    let credentials = recognition.username.map(|username| Field {
        name: "Proxy-Authorization".to_owned(),
        placeholder: "Basic BASE64_OF_USER_AND_PASSWORD",
        username: Some(username.to_owned()),
    });
    let header = recognition.header.map(|header| Field {
        name: header.to_string(),
        placeholder: "VALUE_OF_THE_HEADER",
        username: None,
    });
    let fields: Vec<Field> = credentials.into_iter().chain(header).collect();
    let client = name.to_owned();
    if fields.is_empty() { Identification::NothingToSend(client) } else { Identification::Sends { client, fields } }
}

/// Exact hosts of the policy without those on ports that are only relayed, the first few.
fn https_hosts(config: &Config) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for pattern in config.policy.hosts() {
        let port = pattern.port().unwrap_or(443);
        let HostMatch::Exact(host) = pattern.host() else { continue };
        let host = format!("{host}:{port}");
        let relayed = config.tunnel.ports.contains(&port) || port == 80;
        if !relayed && !hosts.contains(&host) && hosts.len() < HOSTS_MAX {
            hosts.push(host);
        }
    }
    hosts
}
