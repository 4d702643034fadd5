//! `tollgate check`: every problem of a configuration, or a summary of what would run. Starts nothing, makes nothing.

use std::io::Write;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::CliError;
use super::args::CheckArgs;
use super::banner::{policy_source, rules};
use crate::config::{Config, Listener, Problem, Warning};
use crate::intercept::authority::Authority;
use crate::policy::HostPattern;

/// Hosts of a connector that are written out; the others are counted.
const PRESET_HOSTS_SHOWN: usize = 4;

/// What was found wrong: settings, or the CA they name.
struct Complaint {
    place: String,
    message: String,
}

/// Checks and prints; fails with [`CliError::Checked`] when there are problems.
pub(super) fn check(args: &CheckArgs, out: &mut impl Write) -> Result<(), CliError> {
    let checked = checked(args);
    match (&checked, args.json) {
        (Ok(config), false) => write_summary(out, config)?,
        (Err(complaints), false) => write_complaints(out, complaints)?,
        (Ok(config), true) => writeln!(out, "{:#}", summary(config))?,
        (Err(complaints), true) => writeln!(out, "{:#}", complaints_json(complaints))?,
    }
    out.flush()?;
    checked.map(drop).map_err(|_| CliError::Checked)
}

fn checked(args: &CheckArgs) -> Result<Config, Vec<Complaint>> {
    let loaded = Config::load(args.settings.config.as_deref(), &args.settings.overrides());
    let mut config = loaded.map_err(|error| error.problems.iter().map(Complaint::from).collect::<Vec<_>>())?;
    config.warnings.extend(Warning::of_client_certificates(&config.upstream.tls, SystemTime::now()));
    let authority = &config.interception.authority;
    match Authority::load_existing(authority, SystemTime::now()) {
        Ok(Some(_) | None) => Ok(config),
        Err(error) => Err(vec![Complaint { place: "interception".to_owned(), message: error.to_string() }]),
    }
}

impl From<&Problem> for Complaint {
    fn from(problem: &Problem) -> Self {
        Self { place: problem.place.to_string(), message: problem.kind.to_string() }
    }
}

fn write_complaints(out: &mut impl Write, complaints: &[Complaint]) -> std::io::Result<()> {
    for Complaint { place, message } in complaints {
        writeln!(out, "{place}: {message}")?;
    }
    match complaints.len() {
        1 => writeln!(out, "1 problem"),
        count => writeln!(out, "{count} problems"),
    }
}

fn complaints_json(complaints: &[Complaint]) -> Value {
    let problems = complaints.iter();
    let problems: Vec<Value> =
        problems.map(|Complaint { place, message }| json!({ "place": place, "message": message })).collect();
    json!({ "valid": false, "problems": problems })
}

fn write_summary(out: &mut impl Write, config: &Config) -> std::io::Result<()> {
    writeln!(out, "The configuration is valid.")?;
    for listener in &config.listeners {
        writeln!(out, "listener  {} ({})", url(listener), listener.name)?;
    }
    if let Some(admin) = config.admin {
        writeln!(out, "admin     http://{admin}")?;
    }
    let policy = &config.policy;
    let source = policy_source(&config.policy_source);
    writeln!(out, "policy    {}, {} from {source}", policy.mode().as_str(), rules(policy.rule_count()))?;
    writeln!(out, "          sha256 {}", policy.hash())?;
    for (rule, hosts) in policy.presets() {
        writeln!(out, "          rule {rule}: {}", first(hosts))?;
    }
    writeln!(out, "data      {}", config.data_dir.root().display())?;
    writeln!(out, "ca        {}", config.interception.authority.cert_file.display())?;
    writeln!(out, "threads   {}", config.threads)?;
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// The first hosts of a preset, and how many more there are.
fn first(hosts: &[HostPattern]) -> String {
    let mut shown: Vec<String> = hosts.iter().take(PRESET_HOSTS_SHOWN).map(ToString::to_string).collect();
    if let Some(more @ 1..) = hosts.len().checked_sub(PRESET_HOSTS_SHOWN) {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

fn summary(config: &Config) -> Value {
    let listeners = config.listeners.iter();
    let listeners: Vec<Value> =
        listeners.map(|listener| json!({ "name": &*listener.name, "url": url(listener) })).collect();
    let presets = config.policy.presets();
    let presets: Vec<Value> = presets
        .map(|(rule, hosts)| {
            json!({ "rule": &**rule, "hosts": hosts.iter().map(ToString::to_string).collect::<Vec<_>>() })
        })
        .collect();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    json!({
        "valid": true,
        "listeners": listeners,
        "admin": config.admin.map(|address| format!("http://{address}")),
        "policy": {
            "mode": config.policy.mode().as_str(),
            "rules": config.policy.rule_count(),
            "hash": &**config.policy.hash(),
            "source": policy_source(&config.policy_source),
            "presets": presets,
        },
        "data_dir": config.data_dir.root(),
        "ca_cert_file": config.interception.authority.cert_file,
        "threads": config.threads,
        "warnings": warnings,
    })
}

fn url(listener: &Listener) -> String {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", listener.address)
}
