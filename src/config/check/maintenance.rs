//! Checks of what is kept, for how long, and how: `audit.keep_days`, `audit.legal_holds`, `audit.compact_*`.

use std::collections::HashSet;

use super::Checker;
use crate::archive::maintenance::{HoldSubject, LegalHold, Rules};
use crate::config::ProblemKind;
use crate::config::file::{AuditFile, LegalHoldFile};
use crate::config::limits;
use crate::config::setting::Setting;
use crate::search::time;

impl Checker<'_> {
    pub(super) fn maintenance(&mut self, file: &AuditFile) -> Rules {
        let keep_days = file.keep_days.as_ref().map(|days| self.number(Some(days), limits::KEEP_DAYS));
        let mut names = HashSet::new();
        let mut holds = Vec::new();
        for setting in &file.legal_holds {
            let Some(hold) = self.legal_hold(setting) else { continue };
            if names.insert(hold.name.clone()) {
                holds.push(hold);
            } else {
                self.problem(setting.origin, ProblemKind::LegalHoldTwice { name: hold.name });
            }
        }
        Rules {
            keep_days: keep_days.and_then(|days| u32::try_from(days).ok()),
            holds,
            compact_after: self.seconds(file.compact_after_s.as_ref(), limits::COMPACT_AFTER_S),
            compact_rows_max: self.number(file.compact_rows_max.as_ref(), limits::COMPACT_ROWS_MAX),
            compact_bytes_max: self.number(file.compact_bytes_max.as_ref(), limits::COMPACT_BYTES_MAX),
            grace: self.seconds(file.compact_grace_s.as_ref(), limits::COMPACT_GRACE_S),
            every: self.seconds(file.maintenance_every_s.as_ref(), limits::MAINTENANCE_EVERY_S),
        }
    }

    /// A hold that is not understood is never left out silently: it is a problem, and nothing starts.
    fn legal_hold(&mut self, setting: &Setting<LegalHoldFile>) -> Option<LegalHold> {
        let LegalHoldFile { name, deployment, project, host, since, until } = &setting.value;
        let subject = match (deployment, project, host) {
            (Some(id), None, None) => self.filled("audit.legal_holds deployment", id).map(HoldSubject::Deployment),
            (None, Some(id), None) => self.filled("audit.legal_holds project", id).map(HoldSubject::Project),
            (None, None, Some(host)) => self.pattern(host).map(HoldSubject::Host),
            _ => {
                self.problem(setting.origin, ProblemKind::LegalHoldSubject);
                None
            }
        };
        let since_us = self.hold_time("since", since.as_ref());
        let until_us = self.hold_time("until", until.as_ref());
        if since_us.zip(until_us).is_some_and(|(since_us, until_us)| until_us <= since_us) {
            self.problem(setting.origin, ProblemKind::LegalHoldEmpty);
        }
        let Some(name) = name.as_ref().and_then(|name| self.filled("audit.legal_holds name", name)) else {
            if name.is_none() {
                self.problem(setting.origin, ProblemKind::LegalHoldWithoutName);
            }
            return None;
        };
        Some(LegalHold { name, subject: subject?, since_us, until_us })
    }

    fn filled(&mut self, key: &'static str, setting: &Setting<String>) -> Option<String> {
        if setting.value.is_empty() {
            self.problem(setting.origin, ProblemKind::Empty { key });
            return None;
        }
        Some(setting.value.clone())
    }

    /// A fixed time: one that is counted from now would be another at each start.
    fn hold_time(&mut self, key: &'static str, setting: Option<&Setting<String>>) -> Option<i64> {
        let setting = setting?;
        // No time is before this one by anything, so only fixed times are read.
        let time_us = time::parse(&setting.value, i64::MIN).ok();
        if time_us.is_none() {
            self.problem(setting.origin, ProblemKind::LegalHoldTime { key, given: setting.value.clone() });
        }
        time_us
    }
}
