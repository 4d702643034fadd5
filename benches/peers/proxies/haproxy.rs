//! HAProxy. It is no forward proxy for CONNECT, but the leanest there is for requests in absolute-form.

use std::process::Command;

use anyhow::Result;

use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;
use crate::wire::HOST;

pub(crate) const KIND: Kind = Kind {
    name: "haproxy",
    program: "haproxy",
    variable: "PEER_HAPROXY",
    version_flag: "-v",
    install: "apt-get install haproxy",
    handles: &[Handling::Http],
    launch,
};

fn launch(setup: &Setup) -> Result<Launch> {
    let Setup { port, origin_port, threads, .. } = setup;
    let config = setup.write(
        "haproxy.cfg",
        &format!(
            "global
  log stdout format raw local0
  nbthread {threads}
defaults
  mode http
  log global
  option httplog
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend bench
  bind 127.0.0.1:{port}
  http-request deny unless {{ req.hdr(host) -i {HOST}:{origin_port} }}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin_port}
"
        ),
    )?;
    let mut command = Command::new(setup.program);
    command.arg("-db").arg("-f").arg(config);
    Ok(Launch { command, ready: Ready::Connects, ca: None })
}
