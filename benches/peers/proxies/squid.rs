//! Squid: forwards, tunnels, and intercepts with `ssl_bump` after a look at the SNI.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::authority::Authority;
use super::unprivileged::run_as_nobody;
use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;
use crate::wire::HOST;

pub(crate) const KIND: Kind = Kind {
    name: "squid",
    program: "squid",
    variable: "PEER_SQUID",
    version_flag: "-v",
    install: "apt-get install squid-openssl",
    handles: &[Handling::Http, Handling::Intercept, Handling::Tunnel],
    launch,
};

/// Where distributions put the program that makes certificates.
const CERTGEN: [&str; 2] = ["/usr/lib/squid/security_file_certgen", "/usr/lib64/squid/security_file_certgen"];

fn launch(setup: &Setup) -> Result<Launch> {
    let intercepts = setup.handling == Handling::Intercept;
    let authority = if intercepts { Some(Authority::make(setup)?) } else { None };
    let bump = authority.as_ref().map(|authority| bump(setup, authority)).transpose()?;
    let Bump { listener, directives } = bump.unwrap_or_default();
    let Setup { dir, port, origin_ca, threads, .. } = setup;
    let dir = dir.display();
    let config = format!(
        "http_port 127.0.0.1:{port}{listener}
{directives}workers {threads}
acl allowed dstdomain {HOST}
http_access allow allowed
http_access deny all
cache deny all
cache_mem 8 MB
max_filedescriptors 16384
tls_outgoing_options cafile={}
access_log stdio:{dir}/access.log
cache_log {dir}/cache.log
pid_filename {dir}/squid.pid
coredump_dir {dir}
shutdown_lifetime 1 seconds
",
        origin_ca.display()
    );
    let config = setup.write("squid.conf", &config)?;
    let mut command = Command::new(setup.program);
    run_as_nobody(command.arg("-N").arg("-f").arg(config), setup.dir)?;
    Ok(Launch { command, ready: Ready::Connects, ca: authority.map(|authority| authority.certificate) })
}

/// What interception adds to the configuration.
#[derive(Debug, Default)]
struct Bump {
    listener: String,
    directives: String,
}

fn bump(setup: &Setup, authority: &Authority) -> Result<Bump> {
    let certgen = CERTGEN.iter().find(|path| Path::new(path).is_file());
    let certgen = certgen.context("Squid's security_file_certgen is not installed: it comes with squid-openssl")?;
    let database = setup.path("certificates");
    let made = Command::new(certgen).arg("-c").arg("-s").arg(&database).args(["-M", "4MB"]).output()?;
    ensure!(made.status.success(), "{certgen}: {}", String::from_utf8_lossy(&made.stderr));
    let both = authority.both.display();
    Ok(Bump {
        listener: format!(" ssl-bump tls-cert={both} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB"),
        directives: format!(
            "sslcrtd_program {certgen} -s {} -M 4MB\nsslcrtd_children 2\nacl first at_step SslBump1\n\
             ssl_bump peek first\nssl_bump bump all\n",
            database.display()
        ),
    })
}
