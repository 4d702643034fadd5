//! Checks of `audit` and `limits`.

use std::time::Duration;

use super::{Checker, count};
use crate::archive::anchor::Sink;
use crate::config::file::{AnchorFile, AuditFile, LimitsFile};
use crate::config::limits::{self, Bounds};
use crate::config::setting::{Origin, Setting};
use crate::config::{Audit, DataDir, Excerpts, Limits, ProblemKind};
use crate::journal::{self, Durability, OnFailure};

impl Checker<'_> {
    pub(super) fn audit(&mut self, file: &AuditFile, data_dir: &DataDir) -> Audit {
        let mut journal = journal::Settings::new(data_dir.journal());
        journal.durability = self.durability(file.durability.as_ref(), file.sync_interval_ms.as_ref());
        journal.on_failure = self.on_failure(file.on_failure.as_ref());
        journal.segment_bytes_max = self.number(file.segment_bytes_max.as_ref(), limits::SEGMENT_BYTES_MAX);
        journal.seal_after = self.seconds(file.seal_after_s.as_ref(), limits::SEAL_AFTER_S);
        journal.commit_gap = Duration::from_micros(self.number(file.commit_gap_us.as_ref(), limits::COMMIT_GAP_US));
        journal.wait_max = Duration::from_millis(self.number(file.wait_max_ms.as_ref(), limits::WAIT_MAX_MS));
        journal.backlog_frames_max = self.count(file.backlog_frames_max.as_ref(), limits::BACKLOG_FRAMES_MAX);
        journal.free_bytes_min = self.number(file.free_bytes_min.as_ref(), limits::FREE_BYTES_MIN);
        journal.dataset_dir = Some(data_dir.audit());
        let watch = self.seconds(file.watch_s.as_ref(), limits::WATCH_S);
        let watch_files_max = self.count(file.watch_files_max.as_ref(), limits::WATCH_FILES_MAX);
        let url_fingerprint_key_file = match &file.url_fingerprint_key_file {
            Some(setting) => self.path(setting),
            None => data_dir.url_fingerprint_key(),
        };
        let excerpts = Excerpts {
            request_bytes_max: self.count(file.excerpts.request_bytes.as_ref(), limits::EXCERPT_REQUEST_BYTES),
            response_bytes_max: self.count(file.excerpts.response_bytes.as_ref(), limits::EXCERPT_RESPONSE_BYTES),
        };
        let heartbeat = self.seconds(file.heartbeat_s.as_ref(), limits::HEARTBEAT_S);
        let anchors = file.anchors.iter().filter_map(|anchor| self.anchor(anchor)).collect();
        let anchor_every = self.seconds(file.anchor_every_s.as_ref(), limits::ANCHOR_EVERY_S);
        let maintenance = self.maintenance(file);
        Audit {
            journal,
            watch,
            watch_files_max,
            heartbeat,
            anchors,
            anchor_every,
            maintenance,
            url_fingerprint_key_file,
            excerpts,
        }
    }

    /// Exactly one of the kinds of sinks.
    fn anchor(&mut self, setting: &Setting<AnchorFile>) -> Option<Sink> {
        let AnchorFile { file, syslog, command, timeout_s } = &setting.value;
        let timeout = self.seconds(timeout_s.as_ref(), limits::ANCHOR_TIMEOUT_S);
        match (file, syslog, command) {
            (Some(file), None, None) if timeout_s.is_none() => Some(Sink::File(self.path(file))),
            (None, Some(syslog), None) if timeout_s.is_none() => Some(Sink::Syslog(self.path(syslog))),
            (None, None, Some(command)) if !command.value.is_empty() => {
                let (program, args) = command.value.split_first()?;
                Some(Sink::Command { program: program.clone(), args: args.to_vec(), timeout })
            }
            _ => {
                self.problem(setting.origin, ProblemKind::Anchor);
                None
            }
        }
    }

    fn durability(&mut self, setting: Option<&Setting<String>>, interval_ms: Option<&Setting<u64>>) -> Durability {
        let sync_interval = Duration::from_millis(self.number(interval_ms, limits::SYNC_INTERVAL_MS));
        let values = [
            ("fsync", Durability::Fsync),
            ("interval", Durability::Interval { sync_interval }),
            ("write", Durability::Write),
        ];
        // A flag goes over a file that was written for another durability.
        let from_flag = setting.is_some_and(|setting| matches!(setting.origin, Origin::Flag(_)));
        let elsewhere = setting.is_none_or(|setting| matches!(setting.value.as_str(), "fsync" | "write"));
        if let Some(interval) = interval_ms.filter(|_| elsewhere && !from_flag) {
            self.problem(interval.origin, ProblemKind::SyncIntervalUnused);
        }
        self.one_of("audit.durability", setting, &values, "fsync, interval, write")
    }

    fn on_failure(&mut self, setting: Option<&Setting<String>>) -> OnFailure {
        let values =
            [("refuse", OnFailure::Refuse), ("shutdown", OnFailure::Shutdown), ("continue", OnFailure::Continue)];
        self.one_of("audit.on_failure", setting, &values, "refuse, shutdown, continue")
    }

    /// The value of this name; the default when none is given or the name is none of them.
    fn one_of<T: Copy + Default>(
        &mut self,
        key: &'static str,
        setting: Option<&Setting<String>>,
        values: &[(&str, T)],
        allowed: &'static str,
    ) -> T {
        let Some(setting) = setting else { return T::default() };
        let found = values.iter().find(|(name, _)| *name == setting.value);
        found.map_or_else(
            || {
                let given = setting.value.clone();
                self.problem(setting.origin, ProblemKind::NotOneOf { key, given, allowed });
                T::default()
            },
            |(_, value)| *value,
        )
    }

    pub(super) fn limits(&mut self, file: &LimitsFile) -> Limits {
        let connections_max = self.number(file.connections_max.as_ref(), limits::CONNECTIONS_MAX);
        let connections_per_client_max = self.part(
            file.connections_per_client_max.as_ref(),
            limits::CONNECTIONS_PER_CLIENT_MAX,
            (limits::CONNECTIONS_MAX, connections_max),
        );
        let dial_timeout_s = self.number(file.dial_timeout_s.as_ref(), limits::DIAL_TIMEOUT_S);
        let dns_timeout_s =
            self.part(file.dns_timeout_s.as_ref(), limits::DNS_TIMEOUT_S, (limits::DIAL_TIMEOUT_S, dial_timeout_s));
        Limits {
            header_bytes_max: self.count(file.header_bytes_max.as_ref(), limits::HEADER_BYTES_MAX),
            header_fields_max: self.count(file.header_fields_max.as_ref(), limits::HEADER_FIELDS_MAX),
            http2_streams_max: u32::try_from(self.count(file.http2_streams_max.as_ref(), limits::HTTP2_STREAMS_MAX))
                .unwrap_or(u32::MAX),
            connections_max: count(connections_max),
            connections_per_client_max: count(connections_per_client_max),
            connect_wait: self.seconds(file.connect_wait_s.as_ref(), limits::CONNECT_WAIT_S),
            handshake_timeout: self.seconds(file.handshake_timeout_s.as_ref(), limits::HANDSHAKE_TIMEOUT_S),
            dial_timeout: Duration::from_secs(dial_timeout_s),
            response_head_timeout: self.seconds(file.response_head_timeout_s.as_ref(), limits::RESPONSE_HEAD_TIMEOUT_S),
            idle_timeout: self.seconds(file.idle_timeout_s.as_ref(), limits::IDLE_TIMEOUT_S),
            keep_alive_timeout: self.seconds(file.keep_alive_timeout_s.as_ref(), limits::KEEP_ALIVE_TIMEOUT_S),
            drain_timeout: self.seconds(file.drain_timeout_s.as_ref(), limits::DRAIN_TIMEOUT_S),
            close_timeout: self.seconds(file.close_timeout_s.as_ref(), limits::CLOSE_TIMEOUT_S),
            dns_timeout: Duration::from_secs(dns_timeout_s),
        }
    }

    /// A number that is part of another. Written down larger than the whole it is a problem; a default is lowered.
    pub(super) fn part(&mut self, setting: Option<&Setting<u64>>, bounds: Bounds, whole: (Bounds, u64)) -> u64 {
        let part = self.number(setting, bounds);
        let (Bounds { key: whole_key, .. }, whole) = whole;
        if let Some(setting) = setting
            && part > whole
        {
            let part_key = bounds.key;
            self.problem(setting.origin, ProblemKind::PartLargerThanWhole { part_key, part, whole_key, whole });
        }
        part.min(whole)
    }
}
