//! Checks of how TLS is spoken with upstreams: `upstream.ca_files`, `system_roots`, `tls_min` and `hosts`.

use super::Checker;
use crate::config::ProblemKind;
use crate::config::file::{ClientCertFile, UpstreamFile, UpstreamHostFile};
use crate::config::limits;
use crate::config::setting::{Origin, Setting};
use crate::policy::HostPattern;
use crate::upstream::{ClientCertificate, HostTls, TlsOptions, TlsSettings, TlsVersion};

impl Checker<'_> {
    pub(super) fn upstream_tls(&mut self, file: &UpstreamFile) -> TlsSettings {
        let default = TlsOptions {
            system_roots: file.system_roots.unwrap_or(true),
            ca_files: file.ca_files.iter().map(|setting| self.readable("upstream.ca_files", setting)).collect(),
            version_min: self.tls_min("upstream.tls_min", file.tls_min.as_ref()).unwrap_or(TlsVersion::Tls12),
            client_certificate: None,
            danger_skip_verify: false,
        };
        let Some(entries) = &file.hosts else {
            return TlsSettings { default, hosts: Vec::new() };
        };
        let given = entries.value.iter().map(|entry| entry.value.hosts.len()).sum::<usize>();
        if given as u64 > limits::UPSTREAM_HOSTS_MAX {
            // What follows compares each pattern with every other.
            self.problem(entries.origin, ProblemKind::TooManyHosts { given, max: limits::UPSTREAM_HOSTS_MAX });
            return TlsSettings { default, hosts: Vec::new() };
        }
        let mut seen = Vec::new();
        let hosts = entries.value.iter().map(|entry| self.host_tls(entry, &default, &mut seen)).collect();
        TlsSettings { default, hosts }
    }

    fn host_tls(
        &mut self,
        Setting { value, origin }: &Setting<UpstreamHostFile>,
        default: &TlsOptions,
        seen: &mut Vec<HostPattern>,
    ) -> HostTls {
        if value.hosts.is_empty() {
            self.problem(*origin, ProblemKind::NoHosts);
        }
        let hosts = value.hosts.iter().filter_map(|host| self.uncovered(host, seen)).collect();
        let ca_files = value
            .ca_files
            .as_ref()
            .map(|files| files.value.iter().map(|file| self.readable("upstream.hosts.ca_files", file)).collect());
        let options = TlsOptions {
            system_roots: value.system_roots.as_ref().map_or(default.system_roots, |setting| setting.value),
            ca_files: ca_files.unwrap_or_else(|| default.ca_files.clone()),
            version_min: self.tls_min("upstream.hosts.tls_min", value.tls_min.as_ref()).unwrap_or(default.version_min),
            client_certificate: value.client_cert.as_ref().and_then(|pair| self.client_certificate(pair)),
            danger_skip_verify: value.danger_skip_verify,
        };
        self.trust(value, *origin, &options);
        HostTls { hosts, options }
    }

    /// A pattern that some destination can be the first to match.
    fn uncovered(&mut self, setting: &Setting<String>, seen: &mut Vec<HostPattern>) -> Option<HostPattern> {
        let pattern = self.pattern(setting)?;
        if let Some(by) = seen.iter().find(|earlier| earlier.covers(&pattern)).cloned() {
            self.problem(setting.origin, ProblemKind::CoveredHost { pattern: pattern.clone(), by });
        }
        seen.push(pattern.clone());
        Some(pattern)
    }

    fn trust(&mut self, file: &UpstreamHostFile, origin: Origin, options: &TlsOptions) {
        if !options.danger_skip_verify {
            if !options.system_roots && options.ca_files.is_empty() {
                self.problem(origin, ProblemKind::NoTrust);
            }
            return;
        }
        if let Some(ca_files) = &file.ca_files {
            self.problem(ca_files.origin, ProblemKind::TrustWithoutVerification { key: "ca_files" });
        }
        if let Some(system_roots) = &file.system_roots {
            self.problem(system_roots.origin, ProblemKind::TrustWithoutVerification { key: "system_roots" });
        }
    }

    fn tls_min(&mut self, key: &'static str, setting: Option<&Setting<String>>) -> Option<TlsVersion> {
        let Setting { value, origin } = setting?;
        let version = [TlsVersion::Tls12, TlsVersion::Tls13].into_iter().find(|version| version.as_str() == value);
        if version.is_none() {
            self.problem(*origin, ProblemKind::NotOneOf { key, given: value.clone(), allowed: "1.2, 1.3" });
        }
        version
    }

    fn client_certificate(&mut self, setting: &Setting<ClientCertFile>) -> Option<ClientCertificate> {
        let ClientCertFile { cert_file, key_file } = &setting.value;
        let (cert_key, key_key) = ("upstream.hosts.client_cert.cert_file", "upstream.hosts.client_cert.key_file");
        if cert_file.is_none() && key_file.is_none() {
            self.problem(setting.origin, ProblemKind::Empty { key: "upstream.hosts.client_cert" });
        }
        let (cert_file, key_file) = self.pair((cert_key, cert_file.as_ref()), (key_key, key_file.as_ref()))?;
        let origin = cert_file.origin;
        let (cert_file, key_file) = (self.path(cert_file), self.path(key_file));
        ClientCertificate::load(&cert_file, &key_file)
            .map_err(|error| self.problem(origin, ProblemKind::ClientCertificate(error)))
            .ok()
    }
}
