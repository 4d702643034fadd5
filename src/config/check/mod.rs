//! From the file as written to the checked [`Config`]: gives every value its type and collects every problem.

mod audit;
mod avoided;
mod clients;
mod connectors;
mod inline;
mod listeners;
mod maintenance;
mod policy;
mod upstream;
mod upstream_tls;

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::file::{ConfigFile, LogFile};
use super::limits::{self, Bounds};
use super::setting::{Origin, Place, Setting};
use super::{
    Config, ConfigError, DataDir, Log, LogFormat, Overrides, Problem, ProblemKind, Sources, Warning, defaults,
};
use crate::archive::digest::Sha256;
use crate::journal::{Durability, OnFailure};
use crate::policy::Mode;

/// Longer secrets are cut, and then match nothing.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn check(
    file: ConfigFile,
    path: Option<&Path>,
    text: &str,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let mut checker = Checker { file: path, problems: Vec::new(), sources: Sources::default() };
    let connectors = checker.connectors(file.connectors_file.as_ref());
    let (policy, policy_source) = checker.policy(&file, text, overrides, connectors.as_ref());
    let data_dir = DataDir::new(checker.path_or(file.data_dir.as_ref(), defaults::DATA_DIR));
    let listeners = checker.listeners(file.listeners);
    let admin = checker.admin(file.admin.as_ref(), &listeners);
    let clients = checker.clients(file.clients, &listeners);
    let upstream = checker.upstream(&file.upstream, overrides);
    let mut config = Config {
        threads: checker.threads(file.threads.as_ref()),
        danger_core_dumps: file.danger_core_dumps,
        interception: checker.interception(&file.interception),
        upstream,
        policy: Arc::new(policy),
        policy_source,
        tunnel: checker.tunnel(&file.tunnel_hosts, file.tunnel_ports.as_ref()),
        connectors: Arc::new(connectors.unwrap_or_default()),
        clients,
        identity: checker.identity(&file.identity),
        audit: checker.audit(&file.audit, &data_dir),
        limits: checker.limits(&file.limits),
        log: checker.log(&file.log),
        file_sha256: path.map(|_| Sha256::of(text.as_bytes())),
        warnings: Vec::new(),
        listeners,
        admin,
        data_dir,
    };
    if checker.problems.is_empty() {
        config.warnings = warnings(&config);
        Ok(config)
    } else {
        checker.problems.sort_by(|a, b| a.place.cmp(&b.place));
        Err(ConfigError { problems: checker.problems, sources: Box::new(checker.sources) })
    }
}

/// Collects problems; every check yields some value so that the next one can run.
struct Checker<'a> {
    file: Option<&'a Path>,
    problems: Vec<Problem>,
    /// Of the texts that were read.
    sources: Sources,
}

impl Checker<'_> {
    fn problem(&mut self, origin: Origin, kind: ProblemKind) {
        let place = self.place(origin);
        self.problems.push(Problem { place, kind });
    }

    fn place(&self, origin: Origin) -> Place {
        match (origin, self.file) {
            (Origin::File { line, column }, Some(file)) => Place::File { file: file.to_owned(), line, column },
            (Origin::Flag(flag), _) => Place::Flag(flag),
            (Origin::File { .. } | Origin::Default, _) => Place::Default,
        }
    }

    /// A path in the file is relative to the file, any other to the working directory.
    fn path(&self, setting: &Setting<PathBuf>) -> PathBuf {
        let base = match setting.origin {
            Origin::File { .. } => self.file.and_then(Path::parent),
            Origin::Default | Origin::Flag(_) => None,
        };
        base.map_or_else(|| setting.value.clone(), |base| base.join(&setting.value))
    }

    fn path_or(&self, key: Option<&Setting<PathBuf>>, default: &str) -> PathBuf {
        key.map_or_else(|| PathBuf::from(default), |setting| self.path(setting))
    }

    /// Reads a small secret; a line end after it is not part of it.
    fn secret(&mut self, key: &'static str, setting: &Setting<PathBuf>) -> Option<String> {
        let path = self.path(setting);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(source) => {
                self.problem(setting.origin, ProblemKind::FileMissing { key, path, source });
                None
            }
        }
    }

    /// A file that must exist already.
    fn readable(&mut self, key: &'static str, setting: &Setting<PathBuf>) -> PathBuf {
        let path = self.path(setting);
        if let Err(source) = File::open(&path) {
            self.problem(setting.origin, ProblemKind::FileMissing { key, path: path.clone(), source });
        }
        path
    }

    fn number(&mut self, setting: Option<&Setting<u64>>, bounds: Bounds) -> u64 {
        let Some(setting) = setting else { return bounds.default };
        let Bounds { key, min, max, why, .. } = bounds;
        let given = setting.value;
        if (min..=max).contains(&given) {
            return given;
        }
        self.problem(setting.origin, ProblemKind::OutOfRange { key, given, min, max, why });
        given.clamp(min, max)
    }

    fn count(&mut self, setting: Option<&Setting<u64>>, bounds: Bounds) -> usize {
        count(self.number(setting, bounds))
    }

    fn seconds(&mut self, setting: Option<&Setting<u64>>, bounds: Bounds) -> Duration {
        Duration::from_secs(self.number(setting, bounds))
    }

    fn address(&mut self, key: &'static str, setting: &Setting<String>) -> Option<SocketAddr> {
        let address = setting.value.parse().ok();
        if address.is_none() {
            self.problem(setting.origin, ProblemKind::Address { key, given: setting.value.clone() });
        }
        address
    }

    fn threads(&mut self, setting: Option<&Setting<u64>>) -> NonZeroUsize {
        let given = setting.map(|_| self.count(setting, limits::THREADS)).and_then(NonZeroUsize::new);
        given.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    fn log(&mut self, file: &LogFile) -> Log {
        Log { format: self.log_format(file.format.as_ref()), level: self.log_level(file.level.as_ref()) }
    }

    fn log_format(&mut self, setting: Option<&Setting<String>>) -> LogFormat {
        let Some(setting) = setting else { return LogFormat::Text };
        match setting.value.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            given => {
                let kind = ProblemKind::NotOneOf { key: "log.format", given: given.to_owned(), allowed: "text, json" };
                self.problem(setting.origin, kind);
                LogFormat::Text
            }
        }
    }

    fn log_level(&mut self, setting: Option<&Setting<String>>) -> String {
        let Some(Setting { value, origin }) = setting else {
            return defaults::LOG_LEVEL.to_owned();
        };
        if let Err(error) = value.parse::<tracing_subscriber::filter::Targets>() {
            let kind = ProblemKind::LogLevel { given: value.clone(), reason: error.to_string() };
            self.problem(*origin, kind);
        }
        value.clone()
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What the checked settings weaken or leave to fail.
fn warnings(config: &Config) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if config.policy.mode() == Mode::Observe {
        warnings.push(Warning::ObserveOnly);
    }
    let wide = config.upstream.allow_addresses.iter().filter(|network| !is_loopback(network));
    warnings.extend(wide.map(|network| Warning::AllowedAddresses(*network)));
    let unverified = config.upstream.tls.hosts.iter().filter(|entry| entry.options.danger_skip_verify);
    warnings.extend(unverified.map(|entry| Warning::Unverified(entry.hosts.clone())));
    match config.audit.journal.durability {
        Durability::Fsync => {}
        Durability::Interval { sync_interval } => warnings.push(Warning::DurabilityInterval { sync_interval }),
        Durability::Write => warnings.push(Warning::DurabilityWrite),
        #[cfg(feature = "bench-without-evidence")]
        Durability::Off => {}
    }
    if config.audit.journal.on_failure == OnFailure::Continue {
        warnings.push(Warning::OnFailureContinue);
    }
    if config.danger_core_dumps {
        warnings.push(Warning::CoreDumps);
    }
    let open = config.listeners.iter().filter(|listener| !listener.address.ip().is_loopback());
    if config.clients.is_empty() {
        warnings.extend(open.map(|listener| Warning::OpenListener(listener.address)));
    }
    let open_admin = config.admin.filter(|address| !address.ip().is_loopback());
    warnings.extend(open_admin.map(Warning::OpenAdmin));
    warnings.extend(avoided::warnings(config));
    warnings
}

/// Whether the network holds nothing but loopback addresses.
fn is_loopback(network: &IpNet) -> bool {
    network.network().is_loopback() && network.broadcast().is_loopback()
}
