//! Privoxy: forwards and tunnels, a thread for each connection. Its filters are off.

use std::process::Command;

use anyhow::Result;

use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;
use crate::wire::HOST;

pub(crate) const KIND: Kind = Kind {
    name: "privoxy",
    program: "privoxy",
    variable: "PEER_PRIVOXY",
    version_flag: "--version",
    install: "apt-get install privoxy",
    handles: &[Handling::Http, Handling::Tunnel],
    launch,
};

fn launch(setup: &Setup) -> Result<Launch> {
    setup.write("bench.action", &format!("{{ +block{{not allowed}} }}\n/\n{{ -block }}\n{HOST}\n"))?;
    let dir = setup.dir.display();
    let config = setup.write(
        "privoxy.conf",
        &format!(
            "confdir {dir}
logdir {dir}
templdir /etc/privoxy/templates
logfile access.log
debug 512
actionsfile bench.action
listen-address 127.0.0.1:{}
max-client-connections 1000
keep-alive-timeout 60
connection-sharing 1
socket-timeout 60
",
            setup.port
        ),
    )?;
    let mut command = Command::new(setup.program);
    command.arg("--no-daemon").arg(config);
    Ok(Launch { command, ready: Ready::Connects, ca: None })
}
