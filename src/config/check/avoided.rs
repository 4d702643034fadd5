//! Which allowed hosts interception may break, by what the catalogue says of their connectors. Only warned of: what is tunnelled
//! is the operator's choice, for a tunnel hides what is called.

use std::collections::HashSet;

use crate::config::{Config, HostPattern, Warning};
use crate::connectors::{AvoidInterception, Connector};
use crate::policy::Mode;

/// One warning for each connector with hosts that an enforced policy allows, and that nothing provides for.
pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    match config.policy.mode() {
        // Everything is allowed, so that nothing is meant.
        Mode::Observe => Vec::new(),
        Mode::Enforce => config.connectors.connectors().iter().filter_map(|known| warning(config, known)).collect(),
    }
}

fn warning(config: &Config, connector: &Connector) -> Option<Warning> {
    let (reason, avoided) = connector.avoided()?;
    let mut seen = HashSet::new();
    let allowed = config.policy.hosts().flat_map(|allowed| avoided.iter().filter_map(|host| host.meet(allowed)));
    let unprovided = allowed.filter(|host| !provided_for(config, reason, host) && seen.insert(host.clone()));
    let hosts: Vec<HostPattern> = unprovided.collect();
    (!hosts.is_empty()).then(|| Warning::MayNotBeIntercepted { connector: connector.id.clone(), reason, hosts })
}

/// Whether calls to a host are tunnelled, or made with a certificate of Tollgate's where the connector would have shown one.
fn provided_for(config: &Config, reason: AvoidInterception, host: &HostPattern) -> bool {
    let names = |patterns: &[HostPattern]| patterns.iter().any(|pattern| pattern.covers(host));
    let tunnelled = names(&config.tunnel.hosts) || host.port().is_some_and(|port| config.tunnel.ports.contains(&port));
    let shown = || {
        let options = config.upstream.tls.hosts.iter().find(|entry| names(&entry.hosts)).map(|entry| &entry.options);
        options.is_some_and(|options| options.client_certificate.is_some())
    };
    match reason {
        AvoidInterception::ClientCertificate => tunnelled || shown(),
        // Kibana would have to trust another CA for this host, whatever Tollgate shows its destination.
        AvoidInterception::OwnCa => tunnelled,
    }
}
