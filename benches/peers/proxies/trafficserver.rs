//! Apache Traffic Server as a forward proxy without cache, allowed to reach this machine only.

use std::process::Command;

use anyhow::Result;

use super::unprivileged::run_as_nobody;
use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;

pub(crate) const KIND: Kind = Kind {
    name: "trafficserver",
    program: "traffic_server",
    variable: "PEER_TRAFFICSERVER",
    version_flag: "--version",
    install: "apt-get install trafficserver",
    handles: &[Handling::Http, Handling::Tunnel],
    launch,
};

fn launch(setup: &Setup) -> Result<Launch> {
    let dir = setup.dir.display();
    let names = ["etc", "log", "run", "cache"];
    names.iter().try_for_each(|name| std::fs::create_dir(setup.path(name)))?;
    setup.write("runroot.yaml", &runroot(&dir.to_string()))?;
    setup.write("etc/records.config", &records(setup))?;
    setup.write(
        "etc/ip_allow.yaml",
        "ip_allow:
  - { apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL }
  - { apply: out, ip_addrs: 127.0.0.1, action: allow, methods: ALL }
  - { apply: out, ip_addrs: 0/0, action: deny, methods: ALL }
",
    )?;
    setup.write(
        "etc/logging.yaml",
        "logging:
  formats: [{ name: squid, format: '%<cqtq> %<ttms> %<chi> %<crc>/%<pssc> %<psql> %<cqhm> %<cquc> %<phr>/%<shn>' }]
  logs: [{ filename: access, format: squid }]
",
    )?;
    for (name, text) in [
        ("storage.config", "cache 256M\n"),
        ("remap.config", ""),
        ("plugin.config", ""),
        ("hosting.config", ""),
        ("volume.config", ""),
    ] {
        setup.write(&format!("etc/{name}"), text)?;
    }
    let mut command = Command::new(setup.program);
    run_as_nobody(command.arg(format!("--run-root={dir}/runroot.yaml")), setup.dir)?;
    Ok(Launch { command, ready: Ready::Connects, ca: None })
}

fn runroot(dir: &str) -> String {
    let own = [("sysconfdir", "etc"), ("logdir", "log"), ("runtimedir", "run"), ("localstatedir", "run")];
    let own = own.map(|(key, name)| format!("{key}: {dir}/{name}\n")).concat();
    format!("prefix: {dir}\n{own}cachedir: {dir}/cache\nbindir: /usr/bin\nsbindir: /usr/sbin\n")
}

fn records(setup: &Setup) -> String {
    let Setup { port, threads, .. } = setup;
    format!(
        "CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT {threads}
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.url_remap.remap_required INT 0
CONFIG proxy.config.reverse_proxy.enabled INT 0
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.http.connect_ports STRING *
CONFIG proxy.config.hostdb.host_file.path STRING /etc/hosts
CONFIG proxy.config.log.logging_enabled INT 3
CONFIG proxy.config.log.max_secs_per_buffer INT 1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.diags.output.status STRING E
"
    )
}
