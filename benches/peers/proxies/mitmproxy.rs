//! mitmproxy: forwards, tunnels and intercepts. Bodies of more than 1 MiB are streamed.

use std::process::Command;

use anyhow::Result;

use super::authority::Authority;
use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;
use crate::wire::HOST;

pub(crate) const KIND: Kind = Kind {
    name: "mitmproxy",
    program: "mitmdump",
    variable: "PEER_MITMPROXY",
    version_flag: "--version",
    install: "pip install mitmproxy",
    handles: &[Handling::Http, Handling::Intercept, Handling::Tunnel],
    launch,
};

fn launch(setup: &Setup) -> Result<Launch> {
    let authority = Authority::make(setup)?;
    std::fs::copy(&authority.both, setup.path("mitmproxy-ca.pem"))?;
    let mut command = Command::new(setup.program);
    command.args(["--listen-host", "127.0.0.1", "--listen-port", &setup.port.to_string()]);
    let sets = [
        format!("confdir={}", setup.dir.display()),
        format!("ssl_verify_upstream_trusted_ca={}", setup.origin_ca.display()),
        format!("block_list=:!~d ^{HOST}$:403"),
        "stream_large_bodies=1m".to_owned(),
        "flow_detail=1".to_owned(),
    ];
    for set in &sets {
        command.args(["--set", set]);
    }
    if setup.handling == Handling::Tunnel {
        command.args(["--ignore-hosts", ".*"]);
    }
    Ok(Launch { command, ready: Ready::Connects, ca: Some(authority.certificate) })
}
