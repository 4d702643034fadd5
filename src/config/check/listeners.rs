//! Checks of `listeners` and `admin`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::Checker;
use crate::config::file::{ListenerFile, ListenerTlsFile};
use crate::config::setting::{Origin, Setting};
use crate::config::{Listener, ListenerTls, ProblemKind, defaults};

impl Checker<'_> {
    pub(super) fn listeners(&mut self, setting: Option<Setting<Vec<ListenerFile>>>) -> Vec<Listener> {
        let Some(setting) = setting else {
            let name = Arc::from(defaults::LISTENER_NAME);
            return vec![Listener { name, address: defaults::LISTENER_ADDRESS, tls: None }];
        };
        if setting.value.is_empty() {
            self.problem(setting.origin, ProblemKind::NoListeners { default: defaults::LISTENER_ADDRESS });
        }
        let mut listeners: Vec<Listener> = Vec::with_capacity(setting.value.len());
        for file in &setting.value {
            let Some((listener, origin)) = self.listener(file, setting.origin) else {
                continue;
            };
            if listeners.iter().any(|other| other.name == listener.name) {
                self.problem(origin, ProblemKind::DuplicateListenerName { name: listener.name.to_string() });
            }
            self.unused_address("listeners", listener.address, origin, &listeners);
            listeners.push(listener);
        }
        listeners
    }

    fn listener(&mut self, file: &ListenerFile, list: Origin) -> Option<(Listener, Origin)> {
        let name = file.name.as_ref().map_or(defaults::LISTENER_NAME, |name| name.value.as_str());
        if let Some(Setting { value, origin }) = &file.name
            && value.is_empty()
        {
            self.problem(*origin, ProblemKind::Empty { key: "listeners.name" });
        }
        let tls = file.tls.as_ref().and_then(|tls| self.listener_tls(tls));
        let Some(setting) = &file.address else {
            let origin = file.name.as_ref().map_or(list, |name| name.origin);
            self.problem(origin, ProblemKind::ListenerWithoutAddress);
            return None;
        };
        let address = self.address("listeners.address", setting)?;
        Some((Listener { name: Arc::from(name), address, tls }, setting.origin))
    }

    fn listener_tls(&mut self, tls: &Setting<ListenerTlsFile>) -> Option<ListenerTls> {
        let (cert_file, key_file) = self.pair(
            ("listeners.tls.cert_file", tls.value.cert_file.as_ref()),
            ("listeners.tls.key_file", tls.value.key_file.as_ref()),
        )?;
        Some(ListenerTls {
            cert_file: self.readable("listeners.tls.cert_file", cert_file),
            key_file: self.readable("listeners.tls.key_file", key_file),
        })
    }

    /// Both files, or `None`: one without the other is a problem.
    pub(super) fn pair<'s>(
        &mut self,
        (first_key, first): (&'static str, Option<&'s Setting<PathBuf>>),
        (second_key, second): (&'static str, Option<&'s Setting<PathBuf>>),
    ) -> Option<(&'s Setting<PathBuf>, &'s Setting<PathBuf>)> {
        match (first, second) {
            (Some(first), Some(second)) => Some((first, second)),
            (None, None) => None,
            (Some(given), None) => {
                self.problem(given.origin, ProblemKind::HalfOfPair { given: first_key, missing: second_key });
                None
            }
            (None, Some(given)) => {
                self.problem(given.origin, ProblemKind::HalfOfPair { given: second_key, missing: first_key });
                None
            }
        }
    }

    pub(super) fn admin(&mut self, setting: Option<&Setting<String>>, listeners: &[Listener]) -> Option<SocketAddr> {
        let setting = setting?;
        let address = self.address("admin", setting)?;
        self.unused_address("admin", address, setting.origin, listeners);
        Some(address)
    }

    fn unused_address(&mut self, key: &'static str, address: SocketAddr, origin: Origin, others: &[Listener]) {
        // Port 0 is a different port every time.
        if address.port() != 0 && others.iter().any(|other| other.address == address) {
            self.problem(origin, ProblemKind::DuplicateAddress { key, address });
        }
    }
}
