//! What `tollgate run` prints once it listens: where, what policy does, and the commands to try it with.
//!
//! The first lines, one a listener, are a contract: tests and scripts wait for them.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::{Config, Listener, PolicySource};
use crate::policy::Mode;
use crate::server::Listening;

/// Writes the whole banner; stdout is flushed after the listening lines, so that whoever waits for them need not wait
/// for a buffer to fill.
///
/// # Errors
/// Whatever writing to `out` fails with.
pub(super) fn write(out: &mut impl Write, config: &Config, bound: &Listening) -> io::Result<()> {
    for (listener, address) in config.listeners.iter().zip(&bound.listeners) {
        writeln!(out, "tollgate: listening on {}", proxy_url(listener, *address))?;
    }
    if let Some(admin) = bound.admin {
        writeln!(out, "tollgate: admin on http://{admin}")?;
    }
    out.flush()?;
    write_policy(out, config)?;
    if let (Some(listener), Some(address)) = (config.listeners.first(), bound.listeners.first()) {
        write_help(out, config, listener, *address)?;
    }
    Ok(())
}

fn proxy_url(listener: &Listener, address: SocketAddr) -> String {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn write_policy(out: &mut impl Write, config: &Config) -> io::Result<()> {
    writeln!(out)?;
    match config.policy.mode() {
        Mode::Observe => {
            writeln!(
                out,
                "*** OBSERVE ONLY: NOTHING IS REFUSED BY POLICY. Every verdict is recorded as it would be. ***"
            )?;
            writeln!(
                out,
                "    To enforce: --enforce, or `mode: enforce` in the policy; --allow-host HOST for one host."
            )
        }
        Mode::Enforce => {
            let source = policy_source(&config.policy_source);
            let rules = rules(config.policy.rule_count());
            writeln!(out, "Policy: ENFORCED, {rules} from {source}; everything else is refused.")
        }
    }
}

/// A number of rules, for people.
pub(super) fn rules(count: usize) -> String {
    if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") }
}

/// Where a policy comes from, for people.
pub(super) fn policy_source(source: &PolicySource) -> String {
    match source {
        PolicySource::BuiltIn => "built-in defaults".to_owned(),
        PolicySource::Inline(file) => format!("{} (policy)", file.display()),
        PolicySource::File(file) => file.display().to_string(),
        PolicySource::Flags => "--allow-host".to_owned(),
    }
}

fn write_help(out: &mut impl Write, config: &Config, listener: &Listener, address: SocketAddr) -> io::Result<()> {
    let proxy = proxy_url(listener, reachable(address));
    let ca = shell_word(&absolute(&config.interception.authority.cert_file));
    let trust_proxy = listener
        .tls
        .as_ref()
        .map_or_else(String::new, |tls| format!(" --proxy-cacert {}", shell_word(&absolute(&tls.cert_file))));
    let data_dir = config.data_dir.root();
    let dataset = absolute(&config.data_dir.audit()).join("**/*.parquet");
    let dataset = dataset.display().to_string().replace('\'', "''");
    let seal_after_s = config.audit.journal.seal_after.as_secs();
    write!(
        out,
        "
Kibana, in kibana.yml:
  xpack.actions.proxyUrl: {proxy}
and in the environment of the Kibana process, so that it trusts the interception CA:
  NODE_EXTRA_CA_CERTS={ca}
(by Kibana version, for containers and systemd: tollgate kibana-config)

Try it:
  curl --proxy {proxy}{trust_proxy} --cacert {ca} https://example.com/
  curl --proxy {proxy}{trust_proxy} http://example.com/

See the record at once, or in DuckDB after {seal_after_s} s:
  tollgate records --data-dir {}
  SELECT event_time, decision, host, status, outcome FROM read_parquet('{dataset}') ORDER BY event_time DESC;
",
        shell_word(data_dir),
    )
}

/// An address that can be connected to: the unspecified address only means "all of mine".
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    address
}

/// The path from the root, without asking the file system; as given when the working directory is gone.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The path as one word of a POSIX shell.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
