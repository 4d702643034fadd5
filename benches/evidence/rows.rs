//! Rows as a busy installation leaves them: a few dozen connectors of some deployments, each with its URL, and numbers that
//! do not repeat. The same rows every time, for this bench and `subjects`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tollgate::record::{Decision, IdAssurance, Intent, Kind, Outcome, OutcomeKind, Row, Writer};
use uuid::Uuid;

/// 2026-11-22T08:00:00Z.
const START_US: i64 = 1_795_334_400_000_000;

const CONNECTORS: [(&str, &str, &str); 6] = [
    (".slack", "hooks.slack.com", "/services/{team}/{bot}/{secret}"),
    (".servicenow", "example.service-now.com", "/api/now/table/incident"),
    (".jira", "example.atlassian.net", "/rest/api/2/issue"),
    (".pagerduty", "events.pagerduty.com", "/v2/enqueue"),
    (".gen-ai", "api.openai.com", "/v1/chat/completions"),
    (".webhook", "hub.nybble.example", "/conn/elastic/{secret}"),
];

/// xorshift64: repeatable, and good enough to look like traffic.
struct Noise(u64);

impl Noise {
    const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn writer() -> Arc<Writer> {
    let boot_id = Uuid::from_u128(0x7b0c_6f5e_0d0c_4a58_9d0f_3f3f_5d1e_2a10);
    Arc::new(Writer { instance_id: "gate-eu-1".to_owned(), boot_id, epoch: 1 })
}

/// `count` rows, a few hundred a second.
pub(crate) fn rows(count: u64) -> Vec<Row> {
    let (writer, mut noise) = (writer(), Noise::new());
    let mut time_us = START_US;
    (1..=count)
        .map(|seq| {
            time_us += noise.below(5_000) as i64;
            let (intent, outcome) = exchange(time_us, &mut noise);
            Row { seq, writer: Arc::clone(&writer), intent, outcome }
        })
        .collect()
}

fn exchange(time_us: i64, noise: &mut Noise) -> (Intent, Outcome) {
    // UUIDv7: milliseconds, version, random, variant, random.
    let millis = (time_us / 1000) as u128;
    let random = (u128::from(noise.next()) << 64) | u128::from(noise.next());
    let event_id =
        (millis << 80) | (0x7 << 76) | ((random >> 52) & 0xfff) << 64 | (0b10 << 62) | (random & ((1 << 62) - 1));
    let deployment = noise.below(24);
    let (kind, host, path) = *CONNECTORS.get(noise.below(CONNECTORS.len() as u64) as usize).unwrap_or(&CONNECTORS[0]);
    let url = deployment * 64 + kind.len() as u64;
    let text = |value: &str| Some(value.to_owned());
    let intent = Intent {
        kind: Kind::Intercepted,
        id_assurance: IdAssurance::Verified,
        deployment_id: Some(format!("{deployment:032x}")),
        client_identity: text("kibana-production"),
        user_agent: Some(format!("axios/1.7.2 elastic (deployment:{deployment:032x})")),
        user_agent_product: text("axios/1.7.2"),
        connector_type: text(kind),
        connector_source: text("url"),
        method: text("POST"),
        scheme: text("https"),
        host: text(host),
        port: Some(443),
        host_raw: text(host),
        connect_host: Some(format!("{host}:443")),
        sni: text(host),
        host_header: text(host),
        path: text(path),
        url_fingerprint: Some(format!(
            "{:064x}",
            u128::from(url).wrapping_mul(0xdead_beef_cafe_f00d_1234_5678_9abc_def1)
        )),
        http_version: text("HTTP/1.1"),
        request_content_type: text("application/json"),
        decision: Some(Decision::Allow),
        policy_rule: text("connectors"),
        policy_hash: text("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"),
        ..Intent::new(
            Uuid::from_u128(event_id),
            time_us,
            Kind::Intercepted,
            (IpAddr::V4(Ipv4Addr::new(10, 20, 0, (deployment % 7) as u8)), 32_768 + noise.below(28_000) as u16).into(),
        )
    };
    (intent, outcome(time_us, host, noise))
}

fn outcome(time_us: i64, host: &str, noise: &mut Noise) -> Outcome {
    let reused = noise.below(4) != 0;
    let new = |value: u64| (!reused).then_some(value as i64);
    let duration_us = 20_000 + noise.below(180_000) as i64;
    let text = |value: &str| Some(value.to_owned());
    Outcome {
        duration_us,
        request_bytes: 300 + noise.below(2_000) as i64,
        upstream_ip: Some(IpAddr::V4(Ipv4Addr::new(198, 51, 100, host.len() as u8))),
        upstream_port: Some(443),
        upstream_reused: Some(reused),
        tls_version: text("TLSv1.3"),
        tls_cipher: text("TLS13_AES_128_GCM_SHA256"),
        upstream_cert_sha256: Some(format!("{:064x}", host.len())),
        status: Some(if noise.below(50) == 0 { 429 } else { 200 }),
        response_content_type: text("application/json"),
        response_bytes: noise.below(900) as i64,
        dns_us: new(200 + noise.below(2_000)),
        connect_us: new(4_000 + noise.below(4_000)),
        tls_us: new(6_000 + noise.below(6_000)),
        first_byte_us: Some(duration_us - 2_000),
        audit_wait_us: Some(300 + noise.below(900) as i64),
        ..Outcome::new(time_us + duration_us, OutcomeKind::Completed)
    }
}
