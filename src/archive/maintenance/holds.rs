//! Legal holds: rows that are kept however old they are. Pure.

use crate::destination::Host;
use crate::policy::HostPattern;
use crate::record::Intent;

/// Rows that must not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegalHold {
    /// As the operator named it; the chain repeats it.
    pub name: String,
    pub subject: HoldSubject,
    /// First `event_time` held, microseconds since the Unix epoch.
    pub since_us: Option<i64>,
    /// The `event_time` before which rows are held.
    pub until_us: Option<i64>,
}

/// Whose rows are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldSubject {
    Deployment(String),
    Project(String),
    /// Rows of calls to such a host.
    Host(HostPattern),
}

impl LegalHold {
    /// Whether a row with this intent is held.
    #[must_use]
    pub fn holds(&self, intent: &Intent) -> bool {
        let time_us = intent.event_time_us;
        let in_time = self.since_us.is_none_or(|since_us| time_us >= since_us)
            && self.until_us.is_none_or(|until_us| time_us < until_us);
        in_time
            && match &self.subject {
                HoldSubject::Deployment(id) => intent.deployment_id.as_ref() == Some(id),
                HoldSubject::Project(id) => intent.project_id.as_ref() == Some(id),
                HoldSubject::Host(pattern) => {
                    let port = intent.port.is_none_or(|port| pattern.port().is_none_or(|wanted| wanted == port));
                    let host = intent.host.as_deref().and_then(|host| Host::parse(host).ok());
                    port && host.is_some_and(|host| pattern.matches_host(&host))
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::samples;

    fn hold(subject: HoldSubject) -> LegalHold {
        LegalHold { name: "case 7".to_owned(), subject, since_us: None, until_us: None }
    }

    #[test]
    fn a_hold_is_on_one_subject_and_time() {
        let mut intent = samples::row(1, 10).intent;
        intent.deployment_id = Some("d".to_owned());
        intent.host = Some("a.bank.example".to_owned());
        intent.port = Some(443);
        let host = |pattern: &str| hold(HoldSubject::Host(pattern.parse().expect("a pattern")));
        let deployment = || hold(HoldSubject::Deployment("d".to_owned()));
        assert!(deployment().holds(&intent));
        assert!(!hold(HoldSubject::Project("d".to_owned())).holds(&intent));
        assert!(host("*.bank.example").holds(&intent) && host("a.bank.example:443").holds(&intent));
        assert!(!host("bank.example").holds(&intent) && !host("a.bank.example:8443").holds(&intent));
        let between = |since_us, until_us| LegalHold { since_us, until_us, ..deployment() }.holds(&intent);
        assert!(between(Some(10), Some(11)));
        assert!(!between(Some(11), None) && !between(None, Some(10)));
    }

    #[test]
    fn without_a_port_in_the_row_any_port_of_the_host_is_held() {
        let mut intent = samples::row(1, 10).intent;
        intent.host = Some("a.bank.example".to_owned());
        assert!(hold(HoldSubject::Host("a.bank.example:443".parse().expect("a pattern"))).holds(&intent));
    }
}
