//! How a version of Kibana is told to trust the interception CA, and why in this way.
//!
//! That releases before elastic/kibana#269898 ignore every TLS setting of kibana.yml for https targets behind a proxy was
//! measured; which releases have the change is in `kibana/releases.yml`.

use super::facts::Facts;
use super::quote;
use crate::kibana::{Standing, TLS_OPTIONS};

/// What works, in sentences.
pub(super) fn sentences(facts: &Facts) -> String {
    format!(
        "Trust in the interception CA: NODE_EXTRA_CA_CERTS in the environment of the Kibana process, in every version. It \
         adds to the public roots, and connectors that keep their own TLS settings (OpenAI, MCP) follow it as well. Node \
         reads it once: restart Kibana afterwards. It is set in the environment, not in kibana.yml. {}",
        host_settings(facts)
    )
}

/// What `customHostSettings` does in this version.
fn host_settings(facts: &Facts) -> String {
    let Some((change, standing)) = facts.change(TLS_OPTIONS) else { return String::new() };
    let (kibana, reference) = (facts.kibana(), &change.reference);
    let ignored =
        "customHostSettings and ssl.verificationMode for https targets behind a proxy (elastic/kibana#196602)";
    match standing {
        Some(Standing::Absent) => format!("{kibana} ignores {ignored}: nothing but the variable works."),
        Some(Standing::Present) => format!(
            "{kibana} also follows customHostSettings of a host (elastic/kibana{reference}). Its CA then replaces the public \
             roots for that host, which can no longer be called past the proxy."
        ),
        Some(Standing::From(first)) => format!(
            "{kibana} before {first} ignores {ignored}, and follows them from {first} on. Name the patch (--kibana-version \
             {first}) to have this decided."
        ),
        Some(Standing::Unknown(backport)) => format!(
            "Early releases of {kibana} ignore {ignored}. Later ones follow them: the fix {backport} is in this line, from \
             which release on is not known exactly. To find out, look for {backport} or {reference} in its release notes."
        ),
        None => format!(
            "Old releases ignore {ignored}. They are followed from {}. --kibana-version X says what holds for one version.",
            change.describe()
        ),
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
