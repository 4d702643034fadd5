//! Smokescreen: forwards and tunnels; an access list for everyone, in enforcing mode.

use std::process::Command;

use anyhow::Result;

use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;
use crate::wire::HOST;

pub(crate) const KIND: Kind = Kind {
    name: "smokescreen",
    program: "smokescreen",
    variable: "PEER_SMOKESCREEN",
    version_flag: "--version",
    install: "go install github.com/stripe/smokescreen@latest",
    handles: &[Handling::Http, Handling::Tunnel],
    launch,
};

fn launch(setup: &Setup) -> Result<Launch> {
    let rules = setup.write(
        "acl.yaml",
        &format!(
            "version: v1\nservices: []\ndefault:\n  project: bench\n  action: enforce\n  allowed_domains: [{HOST}]\n"
        ),
    )?;
    // Clients that show no certificate have no role of their own.
    let config = setup.write("config.yaml", "allow_missing_role: true\n")?;
    let mut command = Command::new(setup.program);
    command.arg("--config-file").arg(config);
    command.env("GOMAXPROCS", setup.threads.to_string());
    command.args(["--listen-ip", "127.0.0.1", "--listen-port", &setup.port.to_string()]);
    command.args(["--allow-range", "127.0.0.0/8", "--egress-acl-file"]).arg(rules);
    Ok(Launch { command, ready: Ready::Connects, ca: None })
}
