//! `tollgate run`: settings, logging and the CA first, then the proxy, with the banner once it listens.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use super::args::SettingsArgs;
use super::{CliError, banner, log};
use crate::config::{Config, Warning};
use crate::core_dumps;
use crate::intercept::authority::Authority;
use crate::server::{self, Listening, Reloaded};

/// Runs the proxy until it is told to stop and everything is drained and sealed.
pub(super) fn run(args: &SettingsArgs) -> Result<(), CliError> {
    let file = args.config.clone();
    let overrides = args.overrides();
    let config = Config::load(file.as_deref(), &overrides)?;
    log::init(&config.log);
    let expiring = Warning::of_client_certificates(&config.upstream.tls, SystemTime::now());
    for warning in config.warnings.iter().chain(&expiring) {
        tracing::warn!("{warning}");
    }
    if !config.danger_core_dumps {
        core_dumps::forbid().map_err(CliError::CoreDumps)?;
    }
    let authority = Authority::load_or_create(&config.interception.authority, SystemTime::now())?;
    if authority.created() {
        let path = authority.certificate().path().display();
        tracing::info!(%path, "made a new interception CA; Kibana has to be told to trust it");
    }
    let reload = move || {
        let Config { policy, connectors, audit, .. } = Config::load(file.as_deref(), &overrides)?;
        Ok(Reloaded { policy, connectors, maintenance: audit.maintenance })
    };
    let announced = config.clone();
    // The settings for the banner go with it: a policy in them would outlive its reload.
    server::run(config, authority, Arc::new(reload), move |listening| {
        announce(&announced, listening);
    })?;
    Ok(())
}

/// Writes the banner. A stdout that is closed or full is no reason to stop serving.
fn announce(config: &Config, listening: &Listening) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = banner::write(&mut stdout, config, listening).and_then(|()| stdout.flush()) {
        tracing::debug!(%error, "the banner could not be written");
    }
}
