//! Checks of `upstream`, `interception` and what is tunnelled.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{Checker, count};
use crate::config::file::{InterceptionFile, UpstreamFile};
use crate::config::limits;
use crate::config::setting::{Origin, Setting};
use crate::config::{Interception, Overrides, ProblemKind, TunnelRules, Upstream, defaults};
use crate::destination::Host;
use crate::intercept::authority;

const DAY_S: u64 = 24 * 60 * 60;

impl Checker<'_> {
    pub(super) fn interception(&mut self, file: &InterceptionFile) -> Interception {
        let pair = self.pair(
            ("interception.ca_cert_file", file.ca_cert_file.as_ref()),
            ("interception.ca_key_file", file.ca_key_file.as_ref()),
        );
        let (cert_file, key_file) = match pair {
            Some((cert_file, key_file)) => (self.path(cert_file), self.path(key_file)),
            None => (defaults::CA_CERT_FILE.into(), defaults::CA_KEY_FILE.into()),
        };
        let leaf_valid_days = self.number(file.leaf_valid_days.as_ref(), limits::LEAF_VALID_DAYS);
        Interception {
            authority: authority::Settings {
                cert_file,
                key_file,
                leaf_valid: Duration::from_secs(leaf_valid_days * DAY_S),
            },
            leaf_cache_entries: self.count(file.leaf_cache_entries.as_ref(), limits::LEAF_CACHE_ENTRIES),
        }
    }

    pub(super) fn upstream(&mut self, file: &UpstreamFile, overrides: &Overrides) -> Upstream {
        let pool_idle_max = self.number(file.pool_idle_max.as_ref(), limits::POOL_IDLE_MAX);
        let pool_idle_per_destination_max = self.part(
            file.pool_idle_per_destination_max.as_ref(),
            limits::POOL_IDLE_PER_DESTINATION_MAX,
            (limits::POOL_IDLE_MAX, pool_idle_max),
        );
        Upstream {
            tls: self.upstream_tls(file),
            allow_addresses: file.allow_addresses.iter().filter_map(|setting| self.network(setting)).collect(),
            resolve: self.resolve(file, overrides),
            pool_idle_per_destination_max: count(pool_idle_per_destination_max),
            pool_idle_max: count(pool_idle_max),
            pool_idle_timeout: self.seconds(file.pool_idle_timeout_s.as_ref(), limits::POOL_IDLE_TIMEOUT_S),
            pool_spare: file.pool_spare.unwrap_or(true),
            dns_cache_ttl: self.seconds(file.dns_cache_ttl_s.as_ref(), limits::DNS_CACHE_TTL_S),
            dns_in_flight_max: self.count(file.dns_in_flight_max.as_ref(), limits::DNS_IN_FLIGHT_MAX),
            dns_cache_entries: self.count(file.dns_cache_entries.as_ref(), limits::DNS_CACHE_ENTRIES),
        }
    }

    fn network(&mut self, setting: &Setting<String>) -> Option<IpNet> {
        let given = setting.value.as_str();
        let address = given.parse::<IpAddr>().map(IpNet::from);
        let network = given.parse::<IpNet>().or(address).ok();
        if network.is_none() {
            let kind = ProblemKind::Network { key: "upstream.allow_addresses", given: given.to_owned() };
            self.problem(setting.origin, kind);
        }
        network
    }

    /// Names pinned in the file, and by flags: a flag replaces what the file says of the name and adds to other flags.
    fn resolve(&mut self, file: &UpstreamFile, overrides: &Overrides) -> HashMap<Host, Vec<IpAddr>> {
        let mut pinned: HashMap<Host, Vec<IpAddr>> = HashMap::new();
        for (host, addresses) in &file.resolve {
            pinned.extend(self.pin(host, addresses));
        }
        let mut by_flag: HashMap<Host, Vec<IpAddr>> = HashMap::new();
        for given in &overrides.resolve {
            let Some((host, addresses)) = given.split_once('=') else {
                self.problem(Origin::Flag("--resolve"), ProblemKind::ResolveSyntax { given: given.clone() });
                continue;
            };
            if let Some((host, addresses)) = self.pin(host, &Setting::flag("--resolve", addresses.to_owned())) {
                by_flag.entry(host).or_default().extend(addresses);
            }
        }
        pinned.extend(by_flag);
        pinned
    }

    /// One name and its addresses, separated by commas.
    fn pin(&mut self, host: &str, addresses: &Setting<String>) -> Option<(Host, Vec<IpAddr>)> {
        let key = "upstream.resolve";
        let parsed: Result<Vec<IpAddr>, _> = addresses.value.split(',').map(|address| address.trim().parse()).collect();
        let kind = match (Host::parse(host), parsed) {
            (Ok(host), Ok(parsed)) => return Some((host, parsed)),
            (Err(source), _) => ProblemKind::ResolveHost { key, given: host.to_owned(), source },
            (Ok(_), Err(_)) => ProblemKind::ResolveAddress { key, given: addresses.value.clone() },
        };
        self.problem(addresses.origin, kind);
        None
    }

    pub(super) fn tunnel(
        &mut self,
        hosts: &[Setting<String>],
        ports: Option<&Setting<Vec<Setting<u64>>>>,
    ) -> TunnelRules {
        let hosts = hosts.iter().filter_map(|host| self.pattern(host)).collect();
        let Some(ports) = ports else {
            return TunnelRules { hosts, ports: defaults::TUNNEL_PORTS.to_vec() };
        };
        let ports = ports.value.iter().map(|port| self.number(Some(port), limits::TUNNEL_PORT) as u16).collect();
        TunnelRules { hosts, ports }
    }
}
