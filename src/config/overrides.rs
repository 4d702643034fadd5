//! The command-line flags that override the configuration file.

use std::path::PathBuf;

use super::file::{ConfigFile, ListenerFile};
use super::setting::Setting;

/// The flags of `tollgate run` as given; values are checked together with the file's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`: replaces the file's listeners.
    pub listen: Vec<String>,
    /// `--admin`
    pub admin: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--ca-cert`
    pub ca_cert: Option<PathBuf>,
    /// `--ca-key`
    pub ca_key: Option<PathBuf>,
    /// `--upstream-ca`: added to the file's.
    pub upstream_ca: Vec<PathBuf>,
    /// `--policy`: replaces the file's policy.
    pub policy: Option<PathBuf>,
    /// `--enforce`: whatever mode the policy has.
    pub enforce: bool,
    /// `--allow-host`: enforce with these hosts; replaces the file's policy.
    pub allow_host: Vec<String>,
    /// `--tunnel-host`: added to the file's.
    pub tunnel_host: Vec<String>,
    /// `--allow-address`: added to the file's.
    pub allow_address: Vec<String>,
    /// `--resolve HOST=ADDR`: added to the file's, or replacing the address of the same name.
    pub resolve: Vec<String>,
    /// `--durability`
    pub durability: Option<String>,
    /// `--threads`
    pub threads: Option<u64>,
}

impl Overrides {
    /// Writes the flags over the file's values. `--enforce`, `--allow-host` and `--resolve` are read by `check`.
    pub(super) fn apply(&self, file: &mut ConfigFile) {
        if !self.listen.is_empty() {
            file.listeners = Some(Setting::flag("--listen", self.listeners()));
        }
        set(&mut file.admin, "--admin", self.admin.as_ref());
        set(&mut file.data_dir, "--data-dir", self.data_dir.as_ref());
        set(&mut file.interception.ca_cert_file, "--ca-cert", self.ca_cert.as_ref());
        set(&mut file.interception.ca_key_file, "--ca-key", self.ca_key.as_ref());
        set(&mut file.audit.durability, "--durability", self.durability.as_ref());
        set(&mut file.threads, "--threads", self.threads.as_ref());
        add(&mut file.upstream.ca_files, "--upstream-ca", &self.upstream_ca);
        add(&mut file.upstream.allow_addresses, "--allow-address", &self.allow_address);
        add(&mut file.tunnel_hosts, "--tunnel-host", &self.tunnel_host);
    }

    /// The first listener keeps the name `default`, so that clients bound to it are still recognised.
    fn listeners(&self) -> Vec<ListenerFile> {
        let numbered = self.listen.iter().enumerate();
        numbered
            .map(|(index, address)| ListenerFile {
                name: (index > 0).then(|| Setting::flag("--listen", format!("listen-{}", index + 1))),
                address: Some(Setting::flag("--listen", address.clone())),
                tls: None,
            })
            .collect()
    }
}

fn set<T: Clone>(key: &mut Option<Setting<T>>, flag: &'static str, value: Option<&T>) {
    if let Some(value) = value {
        *key = Some(Setting::flag(flag, value.clone()));
    }
}

fn add<T: Clone>(list: &mut Vec<Setting<T>>, flag: &'static str, values: &[T]) {
    list.extend(values.iter().map(|value| Setting::flag(flag, value.clone())));
}
