//! Checks of `identity`, and of `clients` what needs more than the client's own settings: password files and listener names.

use super::Checker;
use crate::client::{ClientSettings, Clients, Secret};
use crate::config::file::IdentityFile;
use crate::config::setting::{Origin, Setting};
use crate::config::{Identity, Listener, ProblemKind};

impl Checker<'_> {
    pub(super) fn clients(&mut self, settings: Vec<Setting<ClientSettings>>, listeners: &[Listener]) -> Clients {
        let origins: Vec<Origin> = settings.iter().map(|setting| setting.origin).collect();
        let mut clients = Vec::with_capacity(settings.len());
        for mut setting in settings {
            self.client_listener(&setting, listeners);
            self.client_password(&mut setting);
            clients.push(setting.value);
        }
        Clients::compile(clients).unwrap_or_else(|errors| {
            for error in errors {
                let origin = origins.get(error.index).copied().unwrap_or(Origin::Default);
                self.problem(origin, ProblemKind::Client(error));
            }
            Clients::default()
        })
    }

    pub(super) fn identity(&mut self, file: &IdentityFile) -> Identity {
        Identity {
            strip_elastic_fragment: file.strip_elastic_fragment.iter().filter_map(|host| self.pattern(host)).collect(),
            refuse_unbound_claims: file.refuse_unbound_claims,
        }
    }

    fn client_listener(&mut self, Setting { value, origin }: &Setting<ClientSettings>, listeners: &[Listener]) {
        if let Some(listener) = &value.listener
            && !listeners.iter().any(|known| *known.name == **listener)
        {
            let known = listeners.iter().map(|listener| listener.name.to_string()).collect();
            let kind = ProblemKind::UnknownListener { client: value.name.clone(), listener: listener.clone(), known };
            self.problem(*origin, kind);
        }
    }

    /// Puts the content of `password_file` where the compilation expects it, unless both are given: that is an error
    /// which the compilation reports.
    fn client_password(&mut self, setting: &mut Setting<ClientSettings>) {
        if setting.value.password.is_some() {
            return;
        }
        let Some(value) = setting.value.password_file.clone() else {
            return;
        };
        let path = Setting { value, origin: setting.origin };
        // Without the file the configuration is refused anyway, so that what stands in for its content never counts; it
        // keeps the compilation from reporting a missing password as well.
        let password = self.secret("clients.password_file", &path).unwrap_or_else(|| path.value.display().to_string());
        setting.value.password = Some(Secret::new(password));
        setting.value.password_file = None;
    }
}
