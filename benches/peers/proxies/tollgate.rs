//! Tollgate as it is meant to run: an enforced policy of 10,000 hosts, `durability: fsync`, sealing in the same process. And
//! variants of it, that tell what a part costs.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Kind, Launch, Ready, Setup};
use crate::scenario::Handling;
use crate::wire::HOST;

const HANDLES: &[Handling] = &[Handling::Http, Handling::Intercept, Handling::Tunnel];
const LISTENING: &str = "tollgate: listening on ";
const INSTALL: &str = "built by this bench";
/// Hosts of the policy, the origin's included.
const POLICY_HOSTS: usize = 10_000;

pub(crate) const KIND: Kind = Kind {
    name: "tollgate",
    program: env!("CARGO_BIN_EXE_tollgate"),
    variable: "PEER_TOLLGATE",
    version_flag: "--version",
    install: INSTALL,
    handles: HANDLES,
    launch: |setup| launch(setup, &Rules::default()),
};

/// A new upstream connection for each call.
pub(crate) const WITHOUT_REUSE: Kind = Kind {
    name: "tollgate-no-reuse",
    program: env!("CARGO_BIN_EXE_tollgate"),
    variable: "PEER_TOLLGATE",
    version_flag: "--version",
    install: INSTALL,
    handles: &[Handling::Intercept],
    launch: |setup| launch(setup, &Rules { reuse: false, ..Rules::default() }),
};

/// Rows are written, not synced: a loss of power costs some.
pub(crate) const WITHOUT_SYNC: Kind = Kind {
    name: "tollgate-write",
    launch: |setup| launch(setup, &Rules { durability: "write", ..Rules::default() }),
    ..KIND
};

/// Leaves no rows. Another program, because `tollgate` cannot do this; built only with the feature.
pub(crate) const WITHOUT_EVIDENCE: Kind = Kind {
    name: "tollgate-without-evidence",
    program: WITHOUT_EVIDENCE_PROGRAM,
    variable: "PEER_TOLLGATE_WITHOUT_EVIDENCE",
    install: "run `make bench-evidence`, which builds it",
    launch: launch_without_evidence,
    ..KIND
};

#[cfg(feature = "bench-without-evidence")]
const WITHOUT_EVIDENCE_PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate-without-evidence");
#[cfg(not(feature = "bench-without-evidence"))]
const WITHOUT_EVIDENCE_PROGRAM: &str = "tollgate-without-evidence";

/// What differs between runs of Tollgate.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) policy_hosts: usize,
    /// Upstream connections are kept.
    pub(crate) reuse: bool,
    /// Destinations that are relayed, as patterns, beside what the setup asks for.
    pub(crate) tunnels: Vec<String>,
    /// `audit.durability`
    pub(crate) durability: &'static str,
}

impl Default for Rules {
    fn default() -> Self {
        Self { policy_hosts: POLICY_HOSTS, reuse: true, tunnels: Vec::new(), durability: "fsync" }
    }
}

pub(super) fn launch(setup: &Setup, rules: &Rules) -> Result<Launch> {
    let config = config_of(setup, rules)?;
    let mut command = Command::new(setup.program);
    command.arg("run").arg("--config").arg(config);
    Ok(Launch { command, ready: Ready::Says(LISTENING), ca: Some(setup.path("ca.pem")) })
}

fn launch_without_evidence(setup: &Setup) -> Result<Launch> {
    let config = config_of(setup, &Rules::default())?;
    let mut command = Command::new(setup.program);
    command.arg(config);
    Ok(Launch { command, ready: Ready::Says(LISTENING), ca: Some(setup.path("ca.pem")) })
}

/// Writes configuration and policy; the path of the former.
fn config_of(setup: &Setup, rules: &Rules) -> Result<std::path::PathBuf> {
    setup.write("policy.yml", &policy(rules.policy_hosts))?;
    let mut tunnels = rules.tunnels.clone();
    if setup.handling == Handling::Tunnel {
        tunnels.push(format!("{HOST}:{}", setup.origin_port));
    }
    let pool = if rules.reuse { "" } else { "\n  pool_idle_per_destination_max: 0\n  pool_idle_max: 0" };
    let Setup { port, threads, origin_ca, .. } = setup;
    let text = format!(
        "listeners: [{{ name: bench, address: '127.0.0.1:{port}' }}]
data_dir: data
threads: {threads}
interception: {{ ca_cert_file: ca.pem, ca_key_file: ca.key }}
upstream:
  system_roots: false
  ca_files: ['{}']
  allow_addresses: [127.0.0.0/8]
  resolve: {{ {HOST}: 127.0.0.1 }}{pool}
policy_file: policy.yml
tunnel_hosts: {}
audit: {{ durability: {} }}
limits: {{ connections_max: 100000, connections_per_client_max: 100000 }}
log: {{ format: json, level: warn }}
",
        origin_ca.display(),
        serde_json::to_string(&tunnels)?,
        rules.durability,
    );
    setup.write("tollgate.yml", &text)
}

/// An enforced policy of this many hosts; the last is the origin.
fn policy(hosts: usize) -> String {
    let mut text = "mode: enforce\ndefault: deny\nrules:\n  - name: bench\n    hosts:\n".to_owned();
    for number in 1..hosts {
        // Writing to a string does not fail.
        let _ = writeln!(text, "      - h{number}.example.com");
    }
    let _ = writeln!(text, "      - {HOST}");
    text
}

/// The rows of a stopped gate, all of which must be of completed exchanges that were allowed.
pub(crate) fn count_rows(program: &Path, dir: &Path) -> Result<u64> {
    let mut records = Command::new(program);
    records.args(["records", "--json", "--limit", "1000000000", "--data-dir"]).arg(dir.join("data"));
    let mut child = records.stdout(Stdio::piped()).spawn()?;
    let mut rows = 0;
    for line in BufReader::new(child.stdout.take().context("no stdout")?).lines() {
        let line = line?;
        ensure!(line.contains(r#""outcome":"completed""#), "a call was not completed: {line}");
        ensure!(line.contains(r#""decision":"allow""#), "a call was not allowed: {line}");
        rows += 1;
    }
    let status = child.wait()?;
    ensure!(status.success(), "`records` ended with {status}");
    Ok(rows)
}

/// Whether the evidence of a stopped gate is complete and as it was signed.
pub(crate) fn verify(program: &Path, dir: &Path) -> Result<()> {
    let verified = Command::new(program).arg("verify").arg("--data-dir").arg(dir.join("data")).output()?;
    ensure!(verified.status.success(), "`verify`: {}", String::from_utf8_lossy(&verified.stdout));
    Ok(())
}
