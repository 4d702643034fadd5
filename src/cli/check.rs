//! `tollgate check`: every problem of a configuration, or a summary of what would run. Starts nothing, makes nothing.

use std::io::Write;

use serde_json::{Value, json};

use super::CliError;
use super::args::CheckArgs;
use super::banner::{policy_source, rules};
use crate::config::{Config, ConfigError, Listener};

/// Checks and prints; fails with [`CliError::Checked`] when there are problems.
pub(super) fn check(args: &CheckArgs, out: &mut impl Write) -> Result<(), CliError> {
    let loaded = Config::load(args.settings.config.as_deref(), &args.settings.overrides());
    match (&loaded, args.json) {
        (Ok(config), false) => write_summary(out, config)?,
        (Err(error), false) => write_problems(out, error)?,
        (Ok(config), true) => writeln!(out, "{:#}", summary(config))?,
        (Err(error), true) => writeln!(out, "{:#}", problems(error))?,
    }
    out.flush()?;
    loaded.map(drop).map_err(|_| CliError::Checked)
}

fn write_problems(out: &mut impl Write, error: &ConfigError) -> std::io::Result<()> {
    for problem in &error.problems {
        writeln!(out, "{problem}")?;
    }
    match error.problems.len() {
        1 => writeln!(out, "1 problem"),
        count => writeln!(out, "{count} problems"),
    }
}

fn problems(error: &ConfigError) -> Value {
    let problems = error.problems.iter();
    let problems: Vec<Value> = problems
        .map(|problem| json!({ "place": problem.place.to_string(), "message": problem.kind.to_string() }))
        .collect();
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
    writeln!(
        out,
        "policy    {}, {} from {source}",
        policy.mode().as_str(),
        rules(policy.rule_count())
    )?;
    writeln!(out, "          sha256 {}", policy.hash())?;
    writeln!(out, "data      {}", config.data_dir.root().display())?;
    writeln!(out, "ca        {}", config.interception.authority.cert_file.display())?;
    writeln!(out, "threads   {}", config.threads)?;
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn summary(config: &Config) -> Value {
    let listeners = config.listeners.iter();
    let listeners: Vec<Value> = listeners
        .map(|listener| json!({ "name": &*listener.name, "url": url(listener) }))
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
