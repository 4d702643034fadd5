//! The guard that makes sure every exchange yields exactly one row.
//!
//! An [`Exchange`] is begun when something arrives, is filled in as the stages learn more, and is settled once with its
//! outcome. One that is dropped unsettled (hyper drops the service future when the client goes away) settles itself.
//! Only [`Exchange::intend`] makes an [`Evidence`], and nothing can be sent upstream without one: from a durable intent, or
//! from the journal's [`Waiver`], which there is only with `audit.on_failure: continue`.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, StatusCode};
use uuid::Uuid;

use crate::attribution::Subject;
use crate::clock::now_us;
use crate::connectors::{Identified, Request, Sighting, stored_path, stored_query};
use crate::destination::Destination;
use crate::journal::{Commit, NoEvidence, Waiver};
use crate::policy::{Deny, Permit};
use crate::record::{DenyReason, Intent, Kind, Outcome, OutcomeKind};
use crate::request::{ProxyRequest, RequestError, lossy, user_agent, version_code};
use crate::wire::SeenHead;

use super::recorder::Recorder;
use super::redact;
use super::traffic::{Traffic, begin_excerpt, kept};

/// Proof that the intent of an exchange is as durable as configured, or that it was waived. Made only by
/// [`Exchange::intend`].
#[derive(Debug)]
pub struct Evidence(());

impl From<Waiver> for Evidence {
    fn from(_: Waiver) -> Self {
        Self(())
    }
}

/// One exchange, from its first byte to its row.
pub struct Exchange {
    recorder: Arc<Recorder>,
    started: Instant,
    intent: Intent,
    outcome: Outcome,
    traffic: Arc<Traffic>,
    intended: bool,
    /// It goes on without durable evidence, and was counted.
    waived: bool,
    settled: bool,
}

impl Exchange {
    /// Begins an exchange now. It is large and goes from stage to stage, so it is in a box.
    pub fn begin(recorder: &Arc<Recorder>, kind: Kind, client: SocketAddr) -> Box<Self> {
        Box::new(Self {
            recorder: Arc::clone(recorder),
            started: Instant::now(),
            intent: Intent::new(
                Uuid::now_v7(),
                now_us(),
                kind,
                SocketAddr::new(client.ip().to_canonical(), client.port()),
            ),
            outcome: Outcome::new(0, OutcomeKind::ClientAborted),
            traffic: Arc::default(),
            intended: false,
            waived: false,
            settled: false,
        })
    }

    pub fn event_id(&self) -> Uuid {
        self.intent.event_id
    }

    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The intent's columns, for stages that fill in more than one. Changes after [`Exchange::intend`] do not reach the row.
    pub fn intent_mut(&mut self) -> &mut Intent {
        &mut self.intent
    }

    /// The outcome's columns.
    pub fn outcome_mut(&mut self) -> &mut Outcome {
        &mut self.outcome
    }

    /// What kind of row this will be.
    pub fn is(&mut self, kind: Kind) {
        self.intent.kind = kind;
    }

    pub fn saw_client(&mut self, identity: Option<&Arc<str>>) {
        self.intent.client_identity = identity.map(ToString::to_string);
    }

    /// A CONNECT named its target.
    pub fn saw_connect(&mut self, destination: &Destination, spelled: &str) {
        self.intent.host = Some(destination.host.to_string());
        self.intent.port = Some(destination.port);
        self.intent.host_raw = Some(spelled.to_owned());
        self.intent.connect_host = Some(spelled.to_owned());
    }

    /// A CONNECT named something that is not a valid target.
    pub fn saw_connect_error(&mut self, error: &RequestError) {
        self.saw_request_error(error);
        self.intent.connect_host.clone_from(&self.intent.host_raw);
    }

    /// A request head arrived; whether it can be served is not known yet.
    pub fn saw_head(&mut self, parts: &http::request::Parts) {
        begin_excerpt(&self.traffic.request_excerpt, &parts.headers, self.recorder.excerpts.request_bytes_max);
        let intent = &mut self.intent;
        intent.method = Some(redact::stored_method(parts.method.as_str()).to_owned());
        intent.http_version = Some(version_code(parts.version).to_owned());
        intent.user_agent = user_agent(&parts.headers).map(|value| redact::printable_user_agent(&value));
        intent.host_header = named_host(parts).map(|name| redact::stored_authority(&name));
        intent.request_content_type =
            parts.headers.get(CONTENT_TYPE).map(|value| redact::stored_media_type(value.as_bytes()));
    }

    /// A head was refused before hyper saw it; what could be read of it goes into the row.
    pub fn saw_violation(&mut self, seen: &SeenHead) {
        self.intent.method = seen.method().map(|method| redact::stored_method(&method).to_owned());
        self.intent.host_header = seen.host().map(|host| redact::stored_authority(&host));
        if self.intent.method.as_deref() == Some("CONNECT") {
            let spelled = seen.target().map(|target| redact::stored_authority(&target));
            self.intent.host_raw.clone_from(&spelled);
            self.intent.connect_host = spelled;
        }
        let user_agents = seen.user_agents().join(" ");
        if !user_agents.is_empty() {
            self.intent.user_agent = Some(redact::printable_user_agent(user_agents.as_bytes()));
        }
    }

    /// A request names a destination that is not valid, or not the one its connection is for.
    pub fn saw_request_error(&mut self, error: &RequestError) {
        match error {
            RequestError::Authority { raw, .. } | RequestError::HostHeader { raw, .. } => {
                self.intent.host_raw = Some(redact::stored_authority(raw));
            }
            RequestError::NotTheTunnels { named, .. } => {
                self.intent.host = Some(named.host.to_string());
                self.intent.port = Some(named.port);
            }
            RequestError::HostDisagrees { authority, .. } => {
                self.intent.host_raw = Some(redact::stored_authority(authority));
            }
            RequestError::NotAbsolute
            | RequestError::HttpsWithoutConnect
            | RequestError::UnknownScheme(_)
            | RequestError::SchemeDisagrees { .. }
            | RequestError::UserInfo
            | RequestError::NestedConnect
            | RequestError::NoHost => {}
        }
    }

    /// The request is well formed: its connector and its columns are known, redacted here.
    pub fn saw_request(&mut self, request: &ProxyRequest, parts: &http::request::Parts) {
        let (method, headers) = (&parts.method, &parts.headers);
        let seen = Request { method, path: request.path(), headers };
        let sighting = Sighting { destination: &request.destination, request: Some(seen) };
        let connectors = self.recorder.connectors.load();
        let identified = connectors.identify(&sighting);
        self.intent.path = Some(stored_path(identified.as_ref(), request.path(), Some(&self.recorder.fingerprint)));
        self.intent.query = request.query().map(|query| stored_query(identified.as_ref(), query));
        identified_as(&mut self.intent, identified.as_ref());
        let intent = &mut self.intent;
        intent.scheme = Some(request.scheme.as_str().to_owned());
        intent.host = Some(request.destination.host.to_string());
        intent.port = Some(request.destination.port);
        intent.host_raw = Some(request.host_raw.clone());
        intent.url_fingerprint =
            Some(self.recorder.fingerprint.fingerprint(request.scheme, &request.destination, request.path_and_query()));
        intent.url_fingerprint_key = Some(self.recorder.fingerprint.id().to_string());
    }

    /// A tunnel will be relayed unseen; its destination may still say which connector it is.
    pub fn saw_tunnel(&mut self, destination: &Destination) {
        self.is(Kind::Tunnel);
        let connectors = self.recorder.connectors.load();
        let identified = connectors.identify(&Sighting { destination, request: None });
        identified_as(&mut self.intent, identified.as_ref());
    }

    /// A response head is passed on.
    pub fn saw_response(&mut self, status: StatusCode, headers: &HeaderMap) {
        begin_excerpt(&self.traffic.response_excerpt, headers, self.recorder.excerpts.response_bytes_max);
        self.outcome.status = Some(status.as_u16());
        let content_type = headers.get(CONTENT_TYPE).map(|value| redact::stored_media_type(value.as_bytes()));
        self.outcome.response_content_type = content_type;
    }

    pub fn attributed_to(&mut self, subject: &Subject) {
        let intent = &mut self.intent;
        intent.deployment_id = subject.deployment.as_ref().map(|id| id.as_str().to_owned());
        intent.project_id = subject.project.as_ref().map(|id| id.as_str().to_owned());
        intent.id_assurance = subject.assurance;
        intent.client_identity = subject.client.as_deref().map(str::to_owned);
        intent.user_agent_product =
            intent.user_agent.as_deref().and_then(crate::attribution::product).map(str::to_owned);
    }

    pub fn permitted_by(&mut self, permit: &Permit) {
        self.intent.decision = Some(permit.decision());
        self.intent.policy_rule = permit.rule().map(ToString::to_string);
        self.intent.policy_hash = Some(permit.policy_hash().to_string());
        self.intent.deny_reason = permit.would_deny();
    }

    pub fn denied_by(&mut self, deny: &Deny) {
        self.refused_for(deny.reason);
        self.intent.policy_rule = deny.rule.as_deref().map(str::to_owned);
        self.intent.policy_hash = Some(deny.policy_hash.to_string());
    }

    /// Refused for a reason of Tollgate's own, before or beside the policy.
    pub fn refused_for(&mut self, reason: DenyReason) {
        self.intent.decision = Some(crate::record::Decision::Deny);
        self.intent.deny_reason = Some(reason);
    }

    /// Something the row must say even if nothing goes wrong from here on.
    pub fn remark(&mut self, text: &'static str) {
        self.outcome.error = Some(text.to_owned());
    }

    /// Writes the intent and waits until it is durable. While storage fails it is an error, or waived.
    pub async fn intend(&mut self) -> Result<Evidence, NoEvidence> {
        let asked = Instant::now();
        let written = self.recorder.journal.intend(&self.intent).await;
        self.outcome.audit_wait_us = Some(micros(asked));
        match written {
            Ok(()) => {
                self.intended = true;
                Ok(Evidence(()))
            }
            Err(reason) => {
                let waiver = self.recorder.journal.waive(reason)?;
                self.waived = true;
                Ok(waiver.into())
            }
        }
    }

    /// Ends the exchange. The row is on its way; wait for the [`Commit`] where it must be durable first.
    pub fn settle(mut self: Box<Self>, outcome: OutcomeKind, error: Option<String>) -> Commit {
        self.write(outcome, error)
    }

    /// Ends the exchange and waits until its row is as durable as configured. At once while storage fails, with an error
    /// unless that is waived.
    pub async fn settle_durably(
        mut self: Box<Self>,
        outcome: OutcomeKind,
        error: Option<String>,
    ) -> Result<(), NoEvidence> {
        let commit = self.write(outcome, error);
        match self.recorder.until_durable(commit).await {
            Ok(()) => Ok(()),
            Err(_) if self.waived => Ok(()),
            Err(reason) => self.recorder.journal.waive(reason).map(drop),
        }
    }

    /// Ends the exchange without a row of its own, because what followed on its connection has rows.
    pub fn superseded(mut self: Box<Self>) {
        self.settled = true;
    }

    fn write(&mut self, outcome: OutcomeKind, error: Option<String>) -> Commit {
        self.settled = true;
        self.traffic.is_over();
        self.outcome.outcome = outcome;
        if let Some(text) = error {
            self.outcome.error = Some(redact::redact_text(&text));
        }
        self.outcome.end_time_us = now_us();
        self.outcome.duration_us = micros(self.started);
        self.outcome.request_bytes = self.traffic.request_bytes.load(Ordering::Relaxed) as i64;
        self.outcome.response_bytes = self.traffic.response_bytes.load(Ordering::Relaxed) as i64;
        self.outcome.request_excerpt = kept(&self.traffic.request_excerpt);
        self.outcome.response_excerpt = kept(&self.traffic.response_excerpt);
        self.recorder.metrics.settled(&self.intent, &self.outcome);
        if self.intended {
            self.recorder.journal.settle(self.intent.event_id, &self.outcome)
        } else {
            self.recorder.journal.record(&self.intent, &self.outcome)
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let (outcome, error) = if self.recorder.is_cut_off() {
            (OutcomeKind::Interrupted, "Tollgate stopped before the exchange ended")
        } else {
            (OutcomeKind::ClientAborted, "the client closed the connection before the exchange ended")
        };
        drop(self.write(outcome, Some(error.to_owned())));
    }
}

/// The Host field or, where HTTP/2 has `:authority` in its place (RFC 9113 section 8.3.1), that.
fn named_host(parts: &http::request::Parts) -> Option<Cow<'_, str>> {
    let field = parts.headers.get(HOST).map(|value| lossy(value.as_bytes()));
    let authority = parts.uri.authority().filter(|_| parts.version == http::Version::HTTP_2);
    field.or_else(|| authority.map(|name| name.as_str().into()))
}

fn identified_as(intent: &mut Intent, identified: Option<&Identified<'_>>) {
    intent.connector_type = identified.map(|found| found.connector.id.clone());
    intent.connector_source = identified.map(|found| found.source.as_str().to_owned());
}

/// Microseconds since `start`.
pub fn micros(start: Instant) -> i64 {
    i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX)
}
