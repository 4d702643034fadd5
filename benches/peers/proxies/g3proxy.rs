//! g3proxy: forwards, tunnels and intercepts; certificates come from g3fcgen, which is looked for beside it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::authority::Authority;
use super::{Kind, Launch, Ready, Setup, free_port};
use crate::scenario::Handling;
use crate::wire::HOST;

pub(crate) const KIND: Kind = Kind {
    name: "g3proxy",
    program: "g3proxy",
    variable: "PEER_G3PROXY",
    version_flag: "--version",
    install: "build g3proxy and g3fcgen of github.com/bytedance/g3",
    handles: &[Handling::Http, Handling::Intercept, Handling::Tunnel],
    launch,
};

/// Starts the certificate generator as a child of the proxy, so that its cost counts.
const WITH_GENERATOR: &str = r#""$1" -G "port$2" -c "$3" & exec "$4" -c "$5""#;

fn launch(setup: &Setup) -> Result<Launch> {
    if setup.handling != Handling::Intercept {
        let config = setup.write("g3proxy.yaml", &config(setup, ""))?;
        let mut command = Command::new(setup.program);
        command.arg("-c").arg(config);
        return Ok(Launch { command, ready: Ready::Connects, ca: None });
    }
    let generator = setup.program.with_file_name("g3fcgen");
    ensure!(generator.is_file(), "{} is missing: g3proxy cannot intercept without it", generator.display());
    let (authority, generator_port) = (Authority::make(setup)?, free_port().context("for g3fcgen")?);
    let Setup { threads, origin_ca, .. } = setup;
    let (certificate, key) = (authority.certificate.display(), authority.key.display());
    let generator_config = setup.write(
        "g3fcgen.yaml",
        &format!(
            "runtime: {{ thread_number: {threads} }}\n\
             backend: {{ ca_certificate: '{certificate}', ca_private_key: '{key}' }}\n"
        ),
    )?;
    let auditor = format!(
        "auditor:
  - name: bench
    protocol_inspection: {{}}
    tls_cert_agent: {{ query_peer_addr: '127.0.0.1:{generator_port}' }}
    tls_ticketer: {{}}
    tls_interception_client: {{ ca_certificate: '{}' }}
",
        origin_ca.display()
    );
    let config = setup.write("g3proxy.yaml", &config(setup, &auditor))?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", WITH_GENERATOR, "sh"]).arg(generator).arg(generator_port.to_string());
    command.arg(generator_config).arg(setup.program).arg(config);
    Ok(Launch { command, ready: Ready::Connects, ca: Some(authority.certificate) })
}

fn config(setup: &Setup, auditor: &str) -> String {
    let Setup { port, threads, .. } = setup;
    let audited = if auditor.is_empty() { "" } else { "    auditor: bench\n" };
    format!(
        "runtime: {{ thread_number: {threads} }}
log: stdout
resolver:
  - {{ name: none, type: deny_all }}
escaper:
  - name: direct
    type: direct_fixed
    resolver: none
    no_ipv6: true
    resolve_redirection: {{ {HOST}: [127.0.0.1] }}
    egress_network_filter: {{ default: allow, allow: 127.0.0.1 }}
{auditor}server:
  - name: bench
    type: http_proxy
    escaper: direct
{audited}    listen: {{ address: '127.0.0.1:{port}' }}
    dst_host_filter_set: {{ exact: [{HOST}] }}
"
    )
}
