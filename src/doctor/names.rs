//! Whether the names of the policy resolve, to addresses that may be dialled.

use std::net::IpAddr;
use std::time::Duration;

use super::{Finding, Setup};
use crate::config::Config;
use crate::destination::{Host, HostName};
use crate::policy::HostMatch;
use crate::upstream::address;

/// Most names that are asked for.
const NAMES_MAX: usize = 32;

/// What the resolver said about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    Addresses(Vec<IpAddr>),
    /// It does not resolve, for this reason.
    Not(String),
}

pub(super) fn resolve(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        let (names, left_out) = names(config);
        if names.is_empty() {
            return vec![Finding::skip("the policy has no exact host name that is asked of DNS")];
        }
        let answers = match ask(&names, config.limits.dns_timeout) {
            Ok(answers) => answers,
            Err(error) => return vec![Finding::skip(format!("names cannot be asked for: {error}"))],
        };
        let all = answers.len();
        let allowed = &config.upstream.allow_addresses;
        let mut findings: Vec<Finding> =
            answers.iter().filter_map(|(name, answer)| judge(name.as_str(), answer, allowed)).collect();
        let good = all - findings.len();
        if good > 0 {
            let rest = if left_out > 0 { format!("; {left_out} more were not asked for") } else { String::new() };
            let seen = format!("{good} of {all} names of the policy resolve to addresses that may be dialled{rest}");
            findings.insert(0, Finding::ok(seen));
        }
        findings
    })
}

/// Exact names of the policy that are looked up, the first ones, and how many are left out.
fn names(config: &Config) -> (Vec<HostName>, usize) {
    let mut names: Vec<HostName> = Vec::new();
    for pattern in config.policy.hosts() {
        if let HostMatch::Exact(host @ Host::Name(name)) = pattern.host()
            && !config.upstream.resolve.contains_key(host)
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    let left_out = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    (names, left_out)
}

/// Asks for all names at once.
fn ask(names: &[HostName], patience: Duration) -> std::io::Result<Vec<(HostName, Resolved)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = runtime.block_on(async {
        let asked: Vec<_> = names.iter().map(|name| tokio::spawn(look_up(name.clone(), patience))).collect();
        let mut answers = Vec::with_capacity(asked.len());
        for task in asked {
            answers.extend(task.await);
        }
        answers
    });
    // A name server that does not answer must not keep the program from ending.
    runtime.shutdown_background();
    Ok(answers)
}

#[expect(clippy::disallowed_methods, reason = "names are asked for as the proxy would, and nothing is dialled")]
async fn look_up(name: HostName, patience: Duration) -> (HostName, Resolved) {
    let asked = tokio::time::timeout(patience, tokio::net::lookup_host((name.as_str().to_owned(), 0))).await;
    let resolved = match asked {
        Err(_) => Resolved::Not(format!("no answer in {} s", patience.as_secs())),
        Ok(Err(error)) => Resolved::Not(error.to_string()),
        Ok(Ok(addresses)) => Resolved::Addresses(addresses.map(|address| address.ip()).collect()),
    };
    (name, resolved)
}

/// What is wrong with an answer; `None` when nothing is.
pub(super) fn judge(name: &str, answer: &Resolved, allowed: &[ipnet::IpNet]) -> Option<Finding> {
    let addresses = match answer {
        Resolved::Addresses(addresses) => addresses,
        Resolved::Not(reason) => {
            let fix = "correct the name in the policy, the resolver of this machine, or pin it in upstream.resolve";
            return Some(Finding::warn(format!("{name} does not resolve: {reason}"), fix));
        }
    };
    let refusal = address::judge(addresses, allowed).err()?;
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    Some(Finding::fail(
        format!("{name} resolves to {}: {refusal}", shown.join(", ")),
        "calls to it are refused; if the addresses are meant, add their network to upstream.allow_addresses",
    ))
}
