//! How a version of Kibana is told to trust the interception CA, and why in this way.
//!
//! That releases before elastic/kibana#269898 ignore every TLS setting of kibana.yml for https targets behind a proxy was
//! measured; which releases have the change is in `kibana/releases.yml`.

use super::facts::Facts;
use super::quote;
use crate::kibana::{Standing, TLS_OPTIONS};

/// What works, in sentences; one line each.
pub(super) fn lines(facts: &Facts) -> Vec<String> {
    let mut lines = vec![
        "Trust in the interception CA: NODE_EXTRA_CA_CERTS in the environment of the Kibana process, in every version. It adds"
            .to_owned(),
        "to the public roots, and connectors that keep their own TLS settings (OpenAI, MCP) follow it as well."
            .to_owned(),
        "Node reads it once: restart Kibana afterwards. It is set in the environment, not in this file.".to_owned(),
    ];
    lines.extend(host_settings(facts));
    lines
}

/// What `customHostSettings` does in this version.
fn host_settings(facts: &Facts) -> Vec<String> {
    let Some((change, standing)) = facts.change(TLS_OPTIONS) else { return Vec::new() };
    let kibana = facts.kibana();
    let ignored =
        "customHostSettings and ssl.verificationMode for https targets behind a proxy (elastic/kibana#196602)";
    match standing {
        Some(Standing::Absent) => {
            vec![format!("{kibana} ignores {ignored}:"), "nothing else than the variable works.".into()]
        }
        Some(Standing::Present) => vec![
            format!(
                "{kibana} also follows customHostSettings of a host (elastic/kibana{}). Its CA then replaces the",
                change.reference
            ),
            "public roots for that host, which can no longer be called past the proxy.".to_owned(),
        ],
        Some(Standing::From(first)) => vec![
            format!("{kibana} ignores {ignored} before {first}"),
            format!(
                "and follows them from {first} on. Name the patch (--kibana-version {first}) to have this decided."
            ),
        ],
        Some(Standing::Unknown(reference)) => vec![
            format!("Early releases of {kibana} ignore {ignored}."),
            format!(
                "Later ones follow them: the fix {reference} is in this line, from which release is not known exactly."
            ),
            format!(
                "To find out, look for {reference} or {} in the release notes. The variable works in all of them.",
                change.reference
            ),
        ],
        None => {
            vec![format!("Old releases ignore {ignored}."), format!("They are followed from {}.", change.describe())]
        }
    }
}

/// Whether settings of single hosts can work in this version.
pub(super) fn hosts_may_work(facts: &Facts) -> bool {
    facts.change(TLS_OPTIONS).is_some_and(|(_, standing)| standing != Some(Standing::Absent))
}

/// `xpack.actions.customHostSettings` with the CA for the hosts of the policy; `trust` is the setting below `ssl`.
pub(super) fn custom_host_settings(facts: &Facts, trust: &str) -> String {
    let example = ["hooks.slack.com:443".to_owned()];
    let hosts = if facts.hosts.is_empty() { &example[..] } else { &facts.hosts };
    let entries = hosts.iter().map(|host| {
        let url = quote::json(&format!("https://{host}"));
        format!("  - url: {url}\n    ssl:\n{}", quote::indented(trust, "      "))
    });
    format!("xpack.actions.customHostSettings:\n{}", entries.collect::<String>())
}
