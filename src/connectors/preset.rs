//! What the catalogue lets a policy allow by a connector's name: the hosts its vendor operates for everybody, each with its port.
//!
//! Hosts of single tenants (`*.zendesk.com`) are not among them, unless the operator's own file names them: they would allow
//! everybody's tenant, and so a way out for data.

use super::connector::PORT;
use super::{Catalogue, Connector, HostsSource};
use crate::policy::{HostMatch, HostPattern, PresetError, Presets};

/// Most edits between an unknown name and the one that was meant.
const EDITS_MAX: usize = 3;

/// What of a connector's hosts a preset allows, and what it leaves to `hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preset {
    pub allowed: Vec<HostPattern>,
    /// Suffixes below which each tenant has its own host.
    pub tenants: Vec<HostPattern>,
}

impl Connector {
    /// Its hosts as a policy takes them, none twice.
    pub fn preset(&self) -> Preset {
        let mut preset = Preset::default();
        for host in &self.hosts {
            self.sort_in(&mut preset, host, &self.ports);
        }
        for host in self.endpoints.iter().flat_map(|endpoint| &endpoint.hosts) {
            self.sort_in(&mut preset, host, &[PORT]);
        }
        preset
    }

    fn sort_in(&self, preset: &mut Preset, host: &HostPattern, ports: &[u16]) {
        let is_tenants = match host.host() {
            HostMatch::Exact(_) => false,
            HostMatch::Suffix(_) => self.hosts_source != HostsSource::Operator,
        };
        let list = if is_tenants { &mut preset.tenants } else { &mut preset.allowed };
        let own = host.port();
        for port in own.as_slice().iter().chain(if own.is_none() { ports } else { &[] }) {
            let pattern = host.on_port(*port);
            if !list.contains(&pattern) {
                list.push(pattern);
            }
        }
    }
}

impl Presets for Catalogue {
    fn hosts_of(&self, id: &str) -> Result<Vec<HostPattern>, PresetError> {
        let id = id.to_owned();
        let Some(connector) = self.get(&id) else {
            let suggestion = self.nearest(&id).map(str::to_owned);
            return Err(PresetError::Unknown { id, suggestion });
        };
        if connector.bypasses_proxy {
            return Err(PresetError::Bypasses { id });
        }
        let Preset { allowed, tenants } = connector.preset();
        match tenants.first() {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(tenant) => Err(PresetError::Tenants { id, pattern: tenant.to_string() }),
            None => Err(PresetError::NoHosts { id }),
        }
    }
}

impl Catalogue {
    /// The type id that was probably meant.
    fn nearest(&self, id: &str) -> Option<&str> {
        let spelled =
            |text: &str| text.bytes().filter(u8::is_ascii_alphanumeric).collect::<Vec<_>>().to_ascii_lowercase();
        let wanted = spelled(id);
        let candidates = self.connectors().iter().map(|connector| {
            let known = spelled(&connector.id);
            (edits(&wanted, &known), connector.id.as_str())
        });
        let (edits, nearest) = candidates.min_by_key(|(edits, _)| *edits)?;
        (edits <= EDITS_MAX && edits < wanted.len()).then_some(nearest)
    }
}

/// Levenshtein's distance.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (done, from) in a.iter().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        for (above, to) in row.iter_mut().skip(1).zip(b) {
            let changed = diagonal + usize::from(from != to);
            diagonal = *above;
            left = changed.min(diagonal + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = done + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(catalogue: &Catalogue, id: &str) -> Vec<String> {
        catalogue.hosts_of(id).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_preset_is_the_vendors_hosts_with_their_ports() {
        let catalogue = Catalogue::embedded().unwrap();
        assert_eq!(hosts(&catalogue, ".slack"), ["hooks.slack.com:443"]);
        assert_eq!(hosts(&catalogue, ".github"), ["api.github.com:443", "github.com:443"]);
        let bedrock = hosts(&catalogue, ".bedrock");
        assert!(bedrock.contains(&"bedrock-runtime.eu-west-1.amazonaws.com:443".to_owned()) && bedrock.len() > 25);
        let email = hosts(&catalogue, ".email");
        for host in ["smtp.gmail.com:465", "email-smtp.eu-west-1.amazonaws.com:587", "graph.microsoft.com:443"] {
            assert!(email.contains(&host.to_owned()), "{host}");
        }
        assert!(!email.contains(&"smtp.gmail.com:443".to_owned()));
    }

    #[test]
    fn no_preset_allows_a_suffix() {
        let catalogue = Catalogue::embedded().unwrap();
        for connector in catalogue.connectors() {
            for host in catalogue.hosts_of(&connector.id).unwrap_or_default() {
                assert!(matches!(host.host(), HostMatch::Exact(_)) && host.port().is_some(), "{} {host}", connector.id);
            }
        }
        assert_eq!(hosts(&catalogue, ".gen-ai"), ["api.openai.com:443"]);
    }

    #[test]
    fn what_an_operator_wrote_is_allowed_as_written() {
        let own = "connectors: [{ id: .own, hosts: ['*.corp.test', a.test:8443], ports: [80, 8080] }]\n";
        let catalogue = Catalogue::extended(own).unwrap();
        assert_eq!(hosts(&catalogue, ".own"), ["*.corp.test:80", "*.corp.test:8080", "a.test:8443"]);
    }

    #[test]
    fn a_connector_without_hosts_for_everybody_is_refused_with_the_remedy() {
        let catalogue = Catalogue::embedded().unwrap();
        for (id, expected) in [
            (".slak", "there is no connector type \".slak\"; did you mean `.slack`?"),
            ("slack", "there is no connector type \"slack\"; did you mean `.slack`?"),
            (".new-relic", "there is no connector type \".new-relic\"; did you mean `.new_relic`?"),
            (
                ".winterisnear",
                "there is no connector type \".winterisnear\"; `tollgate connectors list` shows them all",
            ),
            (
                ".zendesk",
                "connector \".zendesk\" has a host for each tenant, and `*.zendesk.com:443` would allow everybody's; list yours in `hosts`",
            ),
            (".webhook", "the hosts of connector \".webhook\" are not known; list yours in `hosts`"),
            (".jenkins", "the hosts of connector \".jenkins\" are not known; list yours in `hosts`"),
            (".mysql", "connector \".mysql\" passes the proxy by; no rule can allow or refuse it"),
        ] {
            assert_eq!(catalogue.hosts_of(id).unwrap_err().to_string(), expected, "{id}");
        }
    }

    #[test]
    fn edits_are_counted() {
        for (a, b, expected) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("slack", "slak", 1)] {
            assert_eq!(edits(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(edits(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }
}
