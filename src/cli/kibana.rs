//! `tollgate kibana-config`: what to write into kibana.yml and Kibana's environment.
//!
//! Which Kibana honours which trust setting was measured: through a proxy, releases before elastic/kibana#269898
//! ignore every TLS setting of kibana.yml for https targets, and only `NODE_EXTRA_CA_CERTS` works.

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use serde_json::json;

use super::CliError;
use super::args::KibanaArgs;
use super::banner::absolute;
use crate::config::{Config, Listener, Overrides};

/// Stands where only the operator knows the name, because the listener takes any address.
const PROXY_HOST_UNKNOWN: &str = "TOLLGATE_HOST";

/// What the texts are made of.
struct Facts {
    proxy_url: String,
    /// Path of the CA certificate on the Kibana machine.
    ca: String,
    /// Whether Kibana speaks TLS to the proxy.
    tls: bool,
    /// Whether clients have to identify themselves.
    authenticated: bool,
}

pub(super) fn kibana_config(args: &KibanaArgs, out: &mut impl Write) -> Result<(), CliError> {
    let config = Config::load(args.config.as_deref(), &Overrides::default())?;
    let ca_file = args.ca_cert.as_deref();
    let facts = Facts {
        proxy_url: proxy_url(&config.listeners, args.proxy_host.as_deref()),
        ca: ca_file
            .map_or_else(|| absolute(&config.interception.authority.cert_file), Path::to_owned)
            .display()
            .to_string(),
        tls: config.listeners.first().is_some_and(|listener| listener.tls.is_some()),
        authenticated: !config.clients.is_empty(),
    };
    if args.json {
        write_json(out, &facts)?;
    } else {
        write_text(out, &facts)?;
    }
    out.flush()?;
    Ok(())
}

fn proxy_url(listeners: &[Listener], host: Option<&str>) -> String {
    let Some(listener) = listeners.first() else {
        return String::new();
    };
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let address = listener.address.ip();
    let host = match (host, address) {
        (Some(host), _) => host.to_owned(),
        (None, address) if address.is_unspecified() => PROXY_HOST_UNKNOWN.to_owned(),
        (None, IpAddr::V4(address)) => address.to_string(),
        (None, IpAddr::V6(address)) => format!("[{address}]"),
    };
    format!("{scheme}://{host}:{}", listener.address.port())
}

fn write_text(out: &mut impl Write, facts: &Facts) -> std::io::Result<()> {
    let Facts { proxy_url, ca, .. } = facts;
    writeln!(
        out,
        "\
# kibana.yml. A proxyUrl that is not a URL makes Kibana connect directly, with a warning only.
xpack.actions.proxyUrl: {proxy_url}"
    )?;
    if facts.authenticated {
        out.write_all(AUTHENTICATION.as_bytes())?;
    }
    if facts.tls {
        out.write_all(PROXY_TLS.as_bytes())?;
    }
    write!(
        out,
        "
# Trust in the interception CA, any Kibana version: in the environment of the Kibana process.
#   shell    NODE_EXTRA_CA_CERTS={ca} bin/kibana
#   docker   docker run -e NODE_EXTRA_CA_CERTS={ca} -v {ca}:{ca}:ro ..
#   systemd  systemctl edit kibana, and add:
#              [Service]
#              Environment=NODE_EXTRA_CA_CERTS={ca}
# Restart Kibana afterwards: Node reads the file once, when it starts.
#
# Kibana with elastic/kibana#269898 (May 2026; 8.19 by #272321): one host at a time is possible instead.
# Older releases ignore this for https targets behind a proxy, and verificationMode as well.
# xpack.actions.customHostSettings:
#   - url: https://hooks.slack.com:443
#     ssl:
#       certificateAuthoritiesFiles: [{ca}]
"
    )
}

const AUTHENTICATION: &str = "\
# Clients are configured, so Kibana has to say who it is. It is sent with CONNECT, that is for https targets.
# The value is `Basic ` and the base64 of user:password.
xpack.actions.proxyHeaders:
  Proxy-Authorization: Basic BASE64_OF_USER_AND_PASSWORD
";

const PROXY_TLS: &str = "\
# The listener speaks TLS: its certificate has to be trusted as well, so append its CA to the file named below.
xpack.actions.ssl.proxyVerificationMode: full
";

fn write_json(out: &mut impl Write, facts: &Facts) -> std::io::Result<()> {
    let mut kibana_yml = json!({ "xpack.actions.proxyUrl": facts.proxy_url });
    if let Some(keys) = kibana_yml.as_object_mut() {
        if facts.authenticated {
            let value = json!({ "Proxy-Authorization": "Basic BASE64_OF_USER_AND_PASSWORD" });
            keys.insert("xpack.actions.proxyHeaders".to_owned(), value);
        }
        if facts.tls {
            keys.insert("xpack.actions.ssl.proxyVerificationMode".to_owned(), json!("full"));
        }
    }
    let text = json!({ "kibana_yml": kibana_yml, "environment": { "NODE_EXTRA_CA_CERTS": facts.ca } });
    writeln!(out, "{text:#}")
}
