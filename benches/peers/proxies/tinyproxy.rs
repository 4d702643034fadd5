//! Tinyproxy: forwards and tunnels, a thread for each connection, HTTP/1.0 towards the origin.

use std::process::Command;

use anyhow::Result;

use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;
use crate::wire::HOST;

pub(crate) const KIND: Kind = Kind {
    name: "tinyproxy",
    program: "tinyproxy",
    variable: "PEER_TINYPROXY",
    version_flag: "-v",
    install: "apt-get install tinyproxy",
    handles: &[Handling::Http, Handling::Tunnel],
    launch,
};

fn launch(setup: &Setup) -> Result<Launch> {
    let filter = setup.write("allowed", &format!("^{HOST}$\n"))?;
    let config = setup.write(
        "tinyproxy.conf",
        &format!(
            "Port {}
Listen 127.0.0.1
Timeout 600
LogFile \"{}\"
LogLevel Info
MaxClients 1000
Allow 127.0.0.1
Filter \"{}\"
FilterDefaultDeny Yes
",
            setup.port,
            setup.path("access.log").display(),
            filter.display()
        ),
    )?;
    let mut command = Command::new(setup.program);
    command.arg("-d").arg("-c").arg(config);
    Ok(Launch { command, ready: Ready::Connects, ca: None })
}
