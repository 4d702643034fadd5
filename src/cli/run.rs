//! `tollgate run`: settings, logging and the CA first, then the proxy, then the banner once it listens.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::args::SettingsArgs;
use super::{CliError, banner, log};
use crate::config::{Config, ConfigError};
use crate::intercept::authority::Authority;
use crate::policy::Policy;

/// What the proxy is started with.
pub struct Start {
    pub config: Config,
    pub authority: Authority,
    /// Reads the configuration and the policy again, as SIGHUP asks; an error leaves the policy in force as it is.
    pub reload: Box<dyn Fn() -> Result<Arc<Policy>, ConfigError> + Send + Sync>,
    /// To be called once, as soon as every listener accepts connections.
    pub announce: Box<dyn FnOnce(&Bound) + Send>,
}

/// The addresses really listened on, in the order of `config.listeners`: a configured port 0 has become a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub listeners: Vec<SocketAddr>,
    pub admin: Option<SocketAddr>,
}

/// Runs the proxy until it is told to stop and everything is drained and sealed.
pub type Serve = fn(Start) -> anyhow::Result<()>;

/// Prepares everything that can fail on account of the configuration, then serves.
pub(super) fn run(args: &SettingsArgs, serve: Serve) -> Result<(), CliError> {
    let file = args.config.clone();
    let overrides = args.overrides();
    let config = Config::load(file.as_deref(), &overrides)?;
    log::init(&config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let authority = Authority::load_or_create(&config.interception.authority, SystemTime::now())?;
    if authority.created() {
        let path = authority.certificate().path().display();
        tracing::info!(%path, "made a new interception CA; Kibana has to be told to trust it");
    }
    let reload = Box::new(move || Ok(Config::load(file.as_deref(), &overrides)?.policy));
    let announced = config.clone();
    let announce = Box::new(move |bound: &Bound| announce(&announced, bound));
    serve(Start {
        config,
        authority,
        reload,
        announce,
    })
    .map_err(CliError::Run)
}

/// Writes the banner. A stdout that is closed or full is no reason to stop serving.
fn announce(config: &Config, bound: &Bound) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = banner::write(&mut stdout, config, bound).and_then(|()| stdout.flush()) {
        tracing::debug!(%error, "the banner could not be written");
    }
}
