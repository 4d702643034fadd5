//! `tollgate connectors list|match|hosts`: the catalogue as it is configured, and what it says about a URL. Calls nothing.

use std::io::Write;

use http::{HeaderMap, HeaderValue, Uri};
use serde_json::{Value, json};

use super::CliError;
use super::args::{ConnectorsCommand, ConnectorsHostsArgs, ConnectorsListArgs, ConnectorsMatchArgs};
use crate::config::{Config, Overrides};
use crate::connectors::{
    AvoidInterception, Catalogue, Connector, Identified, Preset, Request, Sighting, document, stored_path, stored_query,
};
use crate::destination::Destination;
use crate::policy::{HostPattern, Presets as _};

pub(super) fn connectors(command: &ConnectorsCommand, out: &mut impl Write) -> Result<(), CliError> {
    let config = match command {
        ConnectorsCommand::List(args) => &args.config,
        ConnectorsCommand::Match(args) => &args.config,
        ConnectorsCommand::Hosts(args) => &args.config,
    };
    let catalogue = Config::load(config.as_deref(), &Overrides::default())?.connectors;
    match command {
        ConnectorsCommand::List(args) => list(args, &catalogue, out)?,
        ConnectorsCommand::Match(args) => write_match(args, &catalogue, out)?,
        ConnectorsCommand::Hosts(args) => write_hosts(args, &catalogue, out)?,
    }
    out.flush()?;
    Ok(())
}

/// What a rule's `connectors` allow by this connector's name. What they leave to `hosts` is a comment in a list of hosts.
fn write_hosts(args: &ConnectorsHostsArgs, catalogue: &Catalogue, out: &mut impl Write) -> Result<(), CliError> {
    let hosts = catalogue.hosts_of(&args.connector);
    let Some(connector) = catalogue.get(&args.connector) else { return Ok(hosts.map(drop)?) };
    let Preset { allowed, tenants } = connector.preset();
    if tenants.is_empty() {
        hosts?;
    }
    if args.json {
        let texts = |hosts: &[HostPattern]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let source = connector.hosts_source.as_str();
        let value = json!({ "allowed": texts(&allowed), "tenants": texts(&tenants), "hosts_source": source });
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    for host in allowed {
        writeln!(out, "{host}")?;
    }
    for tenant in tenants {
        writeln!(out, "# {tenant}: each tenant has a host of its own; list yours in `hosts`")?;
    }
    Ok(())
}

fn list(args: &ConnectorsListArgs, catalogue: &Catalogue, out: &mut impl Write) -> std::io::Result<()> {
    if args.json {
        let all: Vec<Value> = catalogue.connectors().iter().map(connector_json).collect();
        return writeln!(out, "{:#}", Value::from(all));
    }
    if args.markdown {
        return write!(out, "{}", document::markdown(catalogue));
    }
    for connector in catalogue.connectors() {
        let hosts = document::hosts(connector).replace('`', "");
        let text = if hosts.is_empty() { connector.remarks().join("; ") } else { hosts };
        writeln!(out, "{:<30} {text}", connector.id)?;
    }
    Ok(())
}

fn connector_json(connector: &Connector) -> Value {
    json!({
        "type": connector.id,
        "hosts": connector.all_hosts().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "endpoints": connector.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "secrets": connector.secrets(),
        "streaming": connector.streaming,
        "avoid_interception": connector.avoid_interception.map(AvoidInterception::as_str),
        "bypasses_proxy": connector.bypasses_proxy,
        "hosts_source": connector.hosts_source.as_str(),
        "docs": connector.docs,
        "remarks": connector.remarks(),
    })
}

fn write_match(args: &ConnectorsMatchArgs, catalogue: &Catalogue, out: &mut impl Write) -> Result<(), CliError> {
    let destination = destination(&args.url)?;
    let mut headers = HeaderMap::new();
    for name in &args.header {
        headers.insert(name, HeaderValue::from_static(""));
    }
    let seen = Request { method: &args.method, path: args.url.path(), headers: &headers };
    let request = (!args.tunnel).then_some(seen);
    let found = catalogue.identify(&Sighting { destination: &destination, request });
    let path = request.map(|request| stored_path(found.as_ref(), request.path, None));
    let query = request.and(args.url.query()).map(|query| stored_query(found.as_ref(), query));
    if args.json {
        writeln!(out, "{:#}", match_json(found.as_ref(), path.as_deref(), query.as_deref()))?;
        return Ok(());
    }
    match &found {
        Some(Identified { connector, source, .. }) => {
            writeln!(out, "connector_type    {}", connector.id)?;
            writeln!(out, "connector_source  {} (confidence {})", source.as_str(), source.confidence().as_str())?;
            writeln!(out, "reason            {}", source.reason())?;
        }
        None => writeln!(out, "connector_type    not known")?,
    }
    for (column, value) in [("path", path), ("query", query)] {
        if let Some(value) = value {
            writeln!(out, "{column:<17} {value}")?;
        }
    }
    Ok(())
}

fn match_json(found: Option<&Identified<'_>>, path: Option<&str>, query: Option<&str>) -> Value {
    json!({
        "connector_type": found.map(|found| &found.connector.id),
        "connector_source": found.map(|found| found.source.as_str()),
        "confidence": found.map(|found| found.source.confidence().as_str()),
        "reason": found.map(|found| found.source.reason()),
        "path": path,
        "query": query,
    })
}

fn destination(url: &Uri) -> Result<Destination, CliError> {
    let default_port = if url.scheme_str() == Some("http") { 80 } else { 443 };
    let authority = url.authority().ok_or(CliError::UrlWithoutHost)?;
    Destination::with_default_port(authority.as_str(), default_port).map_err(CliError::UrlHost)
}
