//! On which of a connector's hosts interception may break, for warnings. Nothing is tunnelled because of it: that is for the
//! operator to say.

use super::{AvoidInterception, Connector, HostsSource};
use crate::destination::Host;
use crate::policy::HostPattern;

impl Connector {
    /// Why and on which hosts, each with its port, interception may break this connector's calls; `None` when on none.
    ///
    /// An embedded entry means hosts of single tenants. What its vendor runs for everybody asks for no certificate of Kibana
    /// and has one of a public CA; and of a self-hosted service the hosts are not in the entry. An operator's own entry means
    /// every host it lists.
    pub fn avoided(&self) -> Option<(AvoidInterception, Vec<HostPattern>)> {
        let reason = self.avoid_interception?;
        let preset = self.preset();
        let hosts = match self.hosts_source {
            HostsSource::Operator => preset.allowed,
            HostsSource::KibanaSource | HostsSource::VendorDocs | HostsSource::Vendor if self.self_hosted.is_some() => {
                Vec::new()
            }
            HostsSource::KibanaSource | HostsSource::VendorDocs | HostsSource::Vendor => preset.tenants,
        };
        (!hosts.is_empty()).then_some((reason, hosts))
    }

    /// Why interception may have broken a call of this connector to a host, on whatever port. A host that no entry lists is a
    /// self-hosted service's.
    pub fn avoids(&self, host: &Host) -> Option<AvoidInterception> {
        let reason = self.avoid_interception?;
        let listed = self.all_hosts().iter().any(|pattern| pattern.matches_host(host));
        let meant = || self.avoided().is_some_and(|(_, hosts)| hosts.iter().any(|pattern| pattern.matches_host(host)));
        (!listed || meant()).then_some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use super::*;

    fn avoided(catalogue: &Catalogue, id: &str) -> Option<(AvoidInterception, Vec<String>)> {
        let (reason, hosts) = catalogue.get(id).unwrap().avoided()?;
        Some((reason, hosts.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn only_hosts_of_single_tenants_are_meant_by_the_embedded_entries() {
        let catalogue = Catalogue::embedded().unwrap();
        let (reason, hosts) = avoided(&catalogue, ".azure_aks").unwrap();
        assert_eq!(reason, AvoidInterception::ClientCertificate);
        assert!(hosts.contains(&"*.westeurope.azmk8s.io:443".to_owned()), "{hosts:?}");
        assert!(hosts.iter().all(|host| host.ends_with(".azmk8s.io:443")), "{hosts:?}");
        let clusters = vec!["*.eks.amazonaws.com:443".to_owned()];
        assert_eq!(avoided(&catalogue, ".aws_eks"), Some((AvoidInterception::OwnCa, clusters)));
        for id in [".gen-ai", ".google_gke", ".kubernetes", ".webhook", ".slack", ".zendesk"] {
            assert_eq!(avoided(&catalogue, id), None, "{id}");
        }
    }

    #[test]
    fn a_call_to_a_host_that_is_not_listed_is_to_a_self_hosted_service() {
        let catalogue = Catalogue::embedded().unwrap();
        for (id, host, expected) in [
            (".gen-ai", "llm.corp.test", Some(AvoidInterception::ClientCertificate)),
            (".gen-ai", "api.openai.com", None),
            (".azure_aks", "x.westeurope.azmk8s.io", Some(AvoidInterception::ClientCertificate)),
            (".azure_aks", "management.azure.com", None),
            (".slack", "llm.corp.test", None),
        ] {
            assert_eq!(catalogue.get(id).unwrap().avoids(&Host::parse(host).unwrap()), expected, "{id} {host}");
        }
    }

    #[test]
    fn all_hosts_of_an_operators_entry_are_meant() {
        let own = "connectors: [{ id: .webhook, hosts: [hooks.corp.test, '*.b.test'], ports: [8443], avoid_interception: client-certificate }]";
        let catalogue = Catalogue::extended(own).unwrap();
        let hosts = vec!["hooks.corp.test:8443".to_owned(), "*.b.test:8443".to_owned()];
        assert_eq!(avoided(&catalogue, ".webhook"), Some((AvoidInterception::ClientCertificate, hosts)));
    }
}
