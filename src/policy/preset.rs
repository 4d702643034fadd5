//! Hosts by a connector's name: what a rule's `connectors` stand for. Who knows the connectors is not known here.

use super::HostPattern;

/// Knows the hosts that a connector type stands for in a rule.
pub trait Presets {
    /// The connector's hosts, each as narrow as possible; at least one.
    ///
    /// # Errors
    /// There is no such connector, or none of its hosts can be allowed by its name.
    fn hosts_of(&self, id: &str) -> Result<Vec<HostPattern>, PresetError>;
}

/// Why a connector's name stands for no hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    #[error("there is no connector type \"{id}\"; {}", suggested(.suggestion.as_deref()))]
    Unknown { id: String, suggestion: Option<String> },
    #[error("the hosts of connector \"{id}\" are not known; list yours in `hosts`")]
    NoHosts { id: String },
    #[error(
        "connector \"{id}\" has a host for each tenant, and `{pattern}` would allow everybody's; list yours in `hosts`"
    )]
    Tenants { id: String, pattern: String },
    #[error("connector \"{id}\" passes the proxy by; no rule can allow or refuse it")]
    Bypasses { id: String },
}

fn suggested(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || "`tollgate connectors list` shows them all".to_owned(),
        |suggestion| format!("did you mean `{suggestion}`?"),
    )
}
