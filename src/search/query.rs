//! What is searched for, and whether a row is it. Pure.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::archive::dataset::EventDate;
use crate::record::{Decision, OutcomeKind, Row};

/// Conditions a row must meet, all of them; `None` asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub deployment: Option<String>,
    pub project: Option<String>,
    pub host: Option<HostFilter>,
    pub decision: Option<Decision>,
    pub outcome: Option<OutcomeKind>,
    /// Any of these as `url_fingerprint`.
    pub fingerprints: Option<BTreeSet<String>>,
    /// First `event_time`, microseconds since the Unix epoch.
    pub since_us: Option<i64>,
    /// The `event_time` to stop before, microseconds since the Unix epoch.
    pub until_us: Option<i64>,
    /// Most rows returned.
    pub limit: usize,
}

impl Default for Query {
    /// The newest 100 rows.
    fn default() -> Self {
        Self {
            deployment: None,
            project: None,
            host: None,
            decision: None,
            outcome: None,
            fingerprints: None,
            since_us: None,
            until_us: None,
            limit: 100,
        }
    }
}

impl Query {
    /// Whether a row meets every condition.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        let intent = &row.intent;
        self.covers_time(intent.event_time_us)
            && (self.deployment.is_none() || self.deployment == intent.deployment_id)
            && (self.project.is_none() || self.project == intent.project_id)
            && (self.decision.is_none() || self.decision == intent.decision)
            && self.outcome.is_none_or(|outcome| outcome == row.outcome.outcome)
            && self.fingerprints.as_ref().is_none_or(|wanted| {
                intent.url_fingerprint.as_ref().is_some_and(|fingerprint| wanted.contains(fingerprint))
            })
            && self.host.as_ref().is_none_or(|filter| intent.host.as_deref().is_some_and(|host| filter.matches(host)))
    }

    /// Whether a time is in the asked range.
    pub(super) fn covers_time(&self, time_us: i64) -> bool {
        self.covers_times((time_us, time_us))
    }

    /// Whether any time between the two (both included) can be in the asked range.
    pub(super) fn covers_times(&self, (oldest_us, newest_us): (i64, i64)) -> bool {
        self.since_us.is_none_or(|since_us| newest_us >= since_us)
            && self.until_us.is_none_or(|until_us| oldest_us < until_us)
    }

    /// Whether any time of a day can be in the asked range.
    pub(super) fn covers_day(&self, date: EventDate) -> bool {
        self.since_us.is_none_or(|since_us| date >= EventDate::of(since_us))
            && self.until_us.is_none_or(|until_us| date <= EventDate::of(until_us))
    }

    /// Columns that must be one of some texts, for pruning and filtering.
    pub(super) fn conditions(&self) -> Vec<OneOf<'_>> {
        let host = match &self.host {
            Some(HostFilter::Exact(host)) => Some(host.as_str()),
            Some(HostFilter::Subdomains(_)) | None => None,
        };
        let wanted = [
            ("deployment_id", self.deployment.as_deref()),
            ("project_id", self.project.as_deref()),
            ("host", host),
            ("decision", self.decision.map(Decision::code)),
            ("outcome", self.outcome.map(OutcomeKind::code)),
        ];
        let equal = wanted.into_iter().filter_map(|(column, value)| Some(OneOf { column, values: vec![value?] }));
        let fingerprints = self
            .fingerprints
            .iter()
            .map(|wanted| OneOf { column: "url_fingerprint", values: wanted.iter().map(String::as_str).collect() });
        equal.chain(fingerprints).collect()
    }
}

/// A column and the texts of which it must have one, sorted.
pub(super) struct OneOf<'a> {
    pub(super) column: &'static str,
    pub(super) values: Vec<&'a str>,
}

impl OneOf<'_> {
    pub(super) fn admits(&self, cell: Option<&str>) -> bool {
        cell.is_some_and(|cell| self.values.binary_search(&cell).is_ok())
    }
}

/// Which destination hosts are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFilter {
    /// This host.
    Exact(String),
    /// Every host below this one, which itself is not meant; kept with its leading dot.
    Subdomains(String),
}

/// Why a text is not a [`HostFilter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("a host is missing: write a host name such as hooks.slack.com, or *.slack.com for all below it")]
    Empty,
    #[error("`*` may only stand for the first labels: write *.slack.com")]
    Wildcard,
    #[error("a host name is recorded in ASCII: write its xn-- form")]
    NotAscii,
}

impl HostFilter {
    /// Whether a recorded host is meant.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => host == exact,
            Self::Subdomains(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

impl FromStr for HostFilter {
    type Err = HostError;

    /// Reads `host` or `*.host`; case, a final dot and the brackets of an IPv6 address do not matter.
    fn from_str(text: &str) -> Result<Self, HostError> {
        let host = text.trim().strip_suffix('.').unwrap_or(text.trim()).to_ascii_lowercase();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let (suffix, rest) = host.strip_prefix("*.").map_or((false, host), |rest| (true, rest));
        if rest.is_empty() {
            return Err(HostError::Empty);
        }
        if rest.contains('*') {
            return Err(HostError::Wildcard);
        }
        if !rest.is_ascii() {
            return Err(HostError::NotAscii);
        }
        Ok(if suffix { Self::Subdomains(format!(".{rest}")) } else { Self::Exact(rest.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_leniently() {
        let exact = |host: &str| Ok(HostFilter::Exact(host.to_owned()));
        assert_eq!("Hooks.Slack.com.".parse(), exact("hooks.slack.com"));
        assert_eq!("[2001:DB8::1]".parse(), exact("2001:db8::1"));
        assert_eq!("*.Slack.com".parse(), Ok(HostFilter::Subdomains(".slack.com".to_owned())));
    }

    #[test]
    fn unusable_hosts_say_why() {
        let error = |text: &str| text.parse::<HostFilter>().expect_err("refused");
        assert_eq!(error(""), HostError::Empty);
        assert_eq!(error("[]"), HostError::Empty);
        assert_eq!(error("*"), HostError::Wildcard);
        assert_eq!(error("hooks.*.com"), HostError::Wildcard);
        assert_eq!(error("*slack.com"), HostError::Wildcard);
        assert_eq!(error("münchen.de"), HostError::NotAscii);
    }

    #[test]
    fn a_wildcard_means_what_is_below_and_nothing_else() {
        let filter: HostFilter = "*.slack.com".parse().expect("valid");
        assert!(filter.matches("hooks.slack.com"));
        assert!(filter.matches("a.b.slack.com"));
        assert!(!filter.matches("slack.com"));
        assert!(!filter.matches("evilslack.com"));
        assert!(!filter.matches(".slack.com"));
    }

    #[test]
    fn since_is_included_and_until_is_not() {
        let query = Query { since_us: Some(10), until_us: Some(20), ..Query::default() };
        assert_eq!([9, 10, 19, 20].map(|time_us| query.covers_time(time_us)), [false, true, true, false]);
    }
}
