//! The embedded catalogue: one row for each connector type as it calls, near misses, and random secrets everywhere.

use std::sync::OnceLock;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::destination::Destination;
use crate::policy::HostPattern;

/// Stands in every row wherever the connector's secret does.
const CANARY: &str = "cAnArY7f3a5cf4fc78981d";

/// Read once for all cases.
fn embedded() -> &'static Catalogue {
    static EMBEDDED: OnceLock<Catalogue> = OnceLock::new();
    EMBEDDED.get_or_init(|| Catalogue::embedded().unwrap())
}

/// What is recorded of a call: connector, source, path and query.
#[derive(Debug, PartialEq, Eq)]
struct Recorded(String, &'static str, String, String);

fn recorded(catalogue: &Catalogue, call: &str) -> Recorded {
    let mut words = call.split(' ');
    let (method, url) = (words.next().unwrap().parse().unwrap(), words.next().unwrap());
    let mut headers = HeaderMap::new();
    for name in words {
        headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static(CANARY));
    }
    let (authority, target) = url.split_at(url.find('/').unwrap());
    let destination = Destination::with_default_port(authority, 443).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Some(Request { method: &method, path, headers: &headers });
    let found = catalogue.identify(&Sighting { destination: &destination, request });
    Recorded(
        found.map(|found| found.connector.id.clone()).unwrap_or_default(),
        found.map_or("", |found| found.source.as_str()),
        stored_path(found.as_ref(), path, None),
        stored_query(found.as_ref(), query),
    )
}

/// Connector, what it was told from, and a call with the header fields it sends. `~` is the secret.
const CALLS: [(&str, &str, &str); 72] = [
    (".slack", "host_path", "POST hooks.slack.com/services/T024BE7LD/B024BE7LD/~"),
    (".slack_api", "host_path", "POST slack.com/api/chat.postMessage authorization"),
    (".slack_api", "host_path", "GET slack.com/api/conversations.info?channel=~ authorization"),
    (".teams", "host_path", "POST acme.webhook.office.com/webhook/a1@b2/IncomingWebhook/~/c3"),
    (".teams", "host_path", "POST p-1.westus.logic.azure.com/workflows/~/triggers/manual/paths/invoke?sig=~"),
    (".pagerduty", "host_path", "POST events.pagerduty.com/v2/enqueue x-routing-key"),
    (".opsgenie", "host_path", "POST api.eu.opsgenie.com/v2/alerts/~/close?identifierType=alias authorization"),
    (".jira-service-management", "host_path", "POST api.atlassian.com/jsm/ops/integration/v2/alerts authorization"),
    (".jira-service-management", "path", "POST jsm.corp.test/jsm/ops/integration/v2/alerts/~/close"),
    (".jira", "host_path", "PUT acme.atlassian.net/rest/api/2/issue/~ authorization"),
    (".jira", "path", "POST jira.corp.test/rest/api/2/issue/PROJ-123/comment authorization"),
    (".servicenow", "host_path", "PATCH acme.service-now.com/api/now/v2/table/incident/~ authorization"),
    (".servicenow", "host_path", "POST acme.service-now.com/oauth_token.do"),
    (".servicenow-sir", "host_path", "POST acme.service-now.com/api/now/v2/table/sn_si_incident authorization"),
    (
        ".servicenow-sir",
        "host_path",
        "POST acme.service-now.com/api/now/import/x_elas2_sir_int_elastic_si_incident authorization",
    ),
    (".servicenow", "host_path", "GET acme.service-now.com/api/now/table/sys_choice?sysparm_query=~ authorization"),
    (".servicenow-itom", "host_path", "POST acme.service-now.com/api/global/em/jsonv2 authorization"),
    ("", "", "PUT hub.nybble.test/conn/elastic/~?x=~ authorization"),
    (".xmatters", "host_path", "POST acme.xmatters.com/api/integration/1/functions/~/triggers?apiKey=~"),
    (".torq", "host_path", "POST hooks.eu.torq.io/v1/webhooks/~ x-torq-token"),
    (".torq", "host_path", "POST hooks.torq.io/v1/other/~/x x-torq-token"),
    (".tines", "host_path", "POST acme.tines.com/webhook/winter/~"),
    (".tines", "path_header", "GET tines.corp.test/api/v1/stories x-user-email x-user-token"),
    (".swimlane", "path_header", "PATCH swim.corp.test/api/app/~/record/~ private-token"),
    (".d3security", "path_header", "POST d3.corp.test/elasticsearch/~/CreateEvents d3key"),
    (".resilient", "path", "POST soar.corp.test/rest/orgs/~/incidents authorization"),
    (".resilient", "path", "POST soar.corp.test/rest/orgs/~/incidents/~/comments authorization"),
    (".thehive", "path_header", "POST hive.corp.test/api/v1/case/~/comment authorization x-organisation"),
    (".xsoar", "path_header", "POST xsoar.corp.test/incident authorization x-xdr-auth-id"),
    (".crowdstrike", "host_path", "POST api.us-2.crowdstrike.com/devices/entities/devices-actions/v2?action_name=~"),
    (".crowdstrike", "host_path", "POST api.crowdstrike.com/oauth2/token authorization"),
    (".sentinelone", "host_path", "GET acme.sentinelone.net/web/api/v2.1/agents?APIToken=~"),
    (".sentinelone", "host_path", "POST acme.sentinelone.net/web/api/v2.1/agents/~/actions?APIToken=~"),
    (".microsoft_defender_endpoint", "host_path", "POST api.security.microsoft.com/api/machines/~/isolate"),
    (".microsoft_defender_endpoint", "shared", "POST login.microsoftonline.com/~/oauth2/v2.0/token"),
    (".gen-ai", "host_path", "POST api.openai.com/v1/chat/completions authorization"),
    (".gen-ai", "host_path", "POST a.openai.azure.com/openai/deployments/~/chat/completions?api-version=~ api-key"),
    (".gen-ai", "path", "POST llm.corp.test/v1/chat/completions"),
    (".bedrock", "host_path", "POST bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.~%3A0/converse-stream"),
    (".gemini", "host_path", GEMINI),
    (".gemini", "shared", "POST oauth2.googleapis.com/token"),
    (".mcp", "path_header", "POST mcp.corp.test/mcp mcp-session-id mcp-protocol-version"),
    (".email", "host_path", "POST graph.microsoft.com/v1.0/users/~@acme.test/sendMail authorization"),
    (".virustotal", "host_path", "GET www.virustotal.com/api/v3/files/~ x-apikey"),
    (".abuseipdb", "host_path", "GET api.abuseipdb.com/api/v2/check?ipAddress=~ key"),
    (".alienvault-otx", "host_path", "GET otx.alienvault.com/api/v1/indicators/domain/~/general x-otx-api-key"),
    (".greynoise", "host_path", "GET api.greynoise.io/v2/noise/context/~ key"),
    (".shodan", "host_path", "GET api.shodan.io/shodan/host/~?key=~ x-api-key"),
    (".shodan", "host_path", "GET api.shodan.io/shodan/host/search?key=~&query=~"),
    (".urlvoid", "host_path", "GET api.urlvoid.com/api1000/~/host/example.com x-api-key"),
    (".urlvoid", "host_path", "GET api.urlvoid.com/api1000/~/stats/remained"),
    (".brave-search", "host_path", "GET api.search.brave.com/res/v1/web/search?q=~ x-subscription-token"),
    (".jina", "host_path", "POST r.jina.ai/ authorization"),
    (".tavily_mcp", "host_path", "POST mcp.tavily.com/mcp/ authorization"),
    (".dropbox", "host_path", "POST mcp.dropbox.com/mcp authorization"),
    (".dropbox", "host_path", "POST api.dropboxapi.com/oauth2/token"),
    (".pagerduty_mcp", "host_path", "PUT api.pagerduty.com/incidents/~ authorization from"),
    (".pagerduty_mcp", "host_path", "POST mcp.pagerduty.com/mcp authorization"),
    (".notion", "host_path", "GET api.notion.com/v1/pages/~ authorization"),
    (".github", "host_path", "GET api.github.com/repos/~/~/issues/~ authorization"),
    (".github", "host_path", "POST github.com/login/oauth/access_token"),
    (".slack2", "host_path", "GET slack.com/api/search.messages?query=~ authorization"),
    (".slack2", "host_path", "POST slack.com/api/oauth.v2.access"),
    (".sharepoint-online", "host_path", "POST graph.microsoft.com/v1.0/search/query authorization"),
    (".sharepoint-online", "host_path", "GET graph.microsoft.com/v1.0/drives/~/items/~/content authorization"),
    (".amazon_s3", "host_path", "GET acme.s3.eu-west-1.amazonaws.com/~/report?X-Amz-Signature=~"),
    (".zendesk", "host_path", "GET acme.zendesk.com/api/v2/tickets/~ authorization"),
    (".snowflake", "host_path", "POST acme.snowflakecomputing.com/api/v2/statements/~/cancel authorization"),
    (".1password", "host_path", "POST api.1password.com/v1/accounts/~/users/~:suspend authorization"),
    (".1password", "host_path", "POST api.1password.com/v1/oauth/token authorization"),
    (".sublime_security", "host_path", "GET platform.sublime.security/v0/messages/~ authorization"),
    (".virustotal", "host", "GET www.virustotal.com/other/~"),
];

const GEMINI: &str = "POST us-central1-aiplatform.googleapis.com/v1/projects/~/locations/us-central1/publishers/google/models/\
                      gemini-pro:streamGenerateContent?alt=sse authorization";

#[test]
fn each_connector_is_named_and_its_secret_is_not_stored() {
    let catalogue = embedded();
    for (id, source, call) in CALLS {
        let stored = recorded(catalogue, &call.replace('~', CANARY));
        assert_eq!((stored.0.as_str(), stored.1), (id, source), "{call}");
        assert!(!format!("{stored:?}").contains(CANARY), "{call}: {stored:?}");
    }
}

/// Every entry, every endpoint and every host, as the entry itself describes them.
#[test]
fn each_endpoint_is_told_on_its_hosts_and_stores_nothing_secret() {
    let catalogue = embedded();
    for connector in catalogue.connectors() {
        for endpoint in &connector.endpoints {
            let hosts = if endpoint.hosts.is_empty() { &connector.hosts } else { &endpoint.hosts };
            for host in [hosts.first(), hosts.last()].into_iter().flatten() {
                let call = call_of(endpoint, host);
                let Recorded(id, source, path, query) = recorded(catalogue, &call);
                assert!(id == connector.id && source == "host_path" || is_shared(&id, source), "{call}: {id} {source}");
                assert!(!format!("{path}{query}").contains(CANARY), "{call}: {path}?{query}");
            }
        }
    }
}

/// Several connectors fetch their token at one endpoint, and AWS services are called at `/`.
fn is_shared(id: &str, source: &str) -> bool {
    source == "shared" && !id.is_empty()
}

fn call_of(endpoint: &Endpoint, host: &HostPattern) -> String {
    let method = endpoint.methods.first().map_or("GET", http::Method::as_str);
    let host = host.to_string().replace('*', "acme");
    let mut path = String::new();
    let mut rest = endpoint.template.to_string().replace("/**", "/more/{x}");
    while let Some((before, (_, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
        path.push_str(before);
        path.push_str(CANARY);
        rest = after.to_owned();
    }
    format!("{method} {host}{path}{rest}?{CANARY}&k={CANARY}&api-version={CANARY} authorization")
}

/// Entries that nothing can be told by say why, and every host says where it is from.
#[test]
fn entries_are_complete() {
    for connector in embedded().connectors() {
        let id = &connector.id;
        let told = !connector.hosts.is_empty() || !connector.endpoints.is_empty() || !connector.tunnel_ports.is_empty();
        assert!(told || connector.note.is_some(), "{id}");
        assert_eq!(told, connector.hosts_source != HostsSource::Operator, "{id}");
        assert!(!(connector.bypasses_proxy && told), "{id}");
    }
}

/// Work is bounded by how many entries there are for one host, or for the beginning of one path, not by their number.
#[test]
fn few_entries_are_looked_at_for_a_call() {
    let catalogue = embedded();
    assert!(catalogue.connectors().len() > 130);
    let sites = |host: &str| catalogue.index.sites(&host.parse().unwrap()).count();
    let most = catalogue
        .connectors()
        .iter()
        .flat_map(Connector::all_hosts)
        .map(|host| sites(&host.on_port(443).to_string().replace('*', "acme")));
    assert!(most.max() <= Some(32), "sites of one host");
    let shapes = |path: &str| catalogue.index.shapes(path).count();
    let endpoints = catalogue.connectors().iter().filter(|connector| connector.self_hosted.is_some());
    let longest =
        endpoints.flat_map(|connector| &connector.endpoints).map(|endpoint| shapes(&endpoint.template.to_string()));
    assert!(longest.max() <= Some(32), "shapes of one path");
    assert_eq!((sites("nothing.test:443"), shapes("/nothing/here")), (0, 0));
}

#[test]
fn a_known_path_keeps_its_shape() {
    let catalogue = embedded();
    for (call, path) in [
        ("POST hooks.slack.com/services/T0/B0/winter", "/services/{team}/{bot}/{secret}"),
        ("POST graph.microsoft.com/v1.0/users/a@b.test/sendMail", "/v1.0/users/{mail}/sendMail"),
        ("GET api.urlvoid.com/api1000/k/host/a.test", "/api1000/{api_key}/host/{domain}"),
        ("PUT acme.atlassian.net/rest/api/2/issue/PROJ-123", "/rest/api/2/issue/PROJ-123"),
        ("PUT jira.corp.test/rest/api/2/issue/PROJ-123", "/rest/api/2/issue/{issue}"),
        ("POST acme.tines.com/webhook/a/b", "/webhook/{path}/{secret}"),
        ("POST hooks.slack.com/else/T024BE7LD", "/else/{redacted}"),
    ] {
        assert_eq!(recorded(catalogue, call).2, path, "{call}");
    }
}

/// What the MCP SDK sends first has neither a session nor a protocol version.
#[test]
fn the_first_call_of_an_mcp_session_is_told_by_what_it_accepts() {
    let destination = Destination::from_connect("mcp.corp.test:443").unwrap();
    let told = |accept: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, accept.parse().unwrap());
        let request = Some(Request { method: &Method::POST, path: "/mcp", headers: &headers });
        let found = embedded().identify(&Sighting { destination: &destination, request });
        found.map(|found| (found.connector.id.as_str(), found.source))
    };
    assert_eq!(told("application/json, text/event-stream"), Some((".mcp", Source::PathHeader)));
    assert_eq!(told("application/json, Text/Event-Stream;q=0.9"), Some((".mcp", Source::PathHeader)));
    assert_eq!(told("application/json"), None);
    assert_eq!(told("text/event-streams"), None);
}

/// A template that names all segments goes before one that leaves the rest open.
#[test]
fn the_closer_template_decides_what_is_stored() {
    let Recorded(_, _, path, _) =
        recorded(embedded(), "GET platform.sublime.security/v0/message-groups/~ authorization");
    assert_eq!(path, "/v0/message-groups/{group}");
}

#[test]
fn near_misses_are_nobody() {
    let catalogue = embedded();
    for call in [
        "POST hooks.slack.com.evil.test/services/T0/B0/x",
        "POST xhooks.slack.com/services/T0/B0/x",
        "POST atlassian.net/other",
        "POST tines.com.evil.test/webhook/a/b",
        "POST evil.test/webhook/a/b",
        "POST bedrock-runtime.evil.amazonaws.com/model/m/invoke",
        "POST login.microsoftonline.com/common/other",
        "POST hive.corp.test/api/v1/case",
        "POST xsoar.corp.test/incident authorization",
        "GET llm.corp.test/v1/chat/completions",
        "POST 192.0.2.1/services/T0/B0/x",
    ] {
        let stored = recorded(catalogue, call);
        assert_eq!((stored.0.as_str(), stored.1), ("", ""), "{call}");
    }
}

#[test]
fn mail_is_a_tunnel_told_by_host_or_port() {
    let catalogue = embedded();
    for (authority, expected) in [
        ("smtp.gmail.com:465", Some((".email", "host"))),
        ("mail.corp.test:587", Some((".email", "port"))),
        ("mail.corp.test:443", None),
        ("hooks.slack.com:443", Some((".slack", "host"))),
    ] {
        let destination = Destination::from_connect(authority).unwrap();
        let found = catalogue.identify(&Sighting { destination: &destination, request: None });
        assert_eq!(found.map(|found| (found.connector.id.as_str(), found.source.as_str())), expected, "{authority}");
    }
}

#[test]
fn an_operators_entries_replace_and_precede() {
    let text = "\
connectors:
  - { id: .slack, hosts: [slack.corp.test], endpoints: ['POST /hook/{secret:secret}'] }
  - { id: .nybble, hosts: [hub.test, api.openai.com] }
";
    let catalogue = Catalogue::extended(text).unwrap();
    assert_eq!(recorded(&catalogue, "POST slack.corp.test/hook/x").0, ".slack");
    assert_eq!(recorded(&catalogue, "POST hooks.slack.com/services/T0/B0/x").0, "");
    assert_eq!(recorded(&catalogue, "POST hub.test/anything").0, ".nybble");
    let tie = recorded(&catalogue, "GET api.openai.com/v1/unknown");
    assert_eq!((tie.0.as_str(), tie.1), (".nybble", "shared"));
    assert_eq!(catalogue.connectors().iter().filter(|connector| connector.id == ".slack").count(), 1);
}

#[test]
fn each_source_is_in_the_schema_with_its_confidence() {
    let document = include_str!("../../docs/schema.md");
    for source in Source::ALL {
        let entry = format!("\n- `{}` ({}): ", source.as_str(), source.confidence().as_str());
        assert!(document.contains(&entry), "docs/schema.md has no {entry}");
    }
}

#[test]
fn hosts_for_an_allowlist_hold_the_regions_and_the_token_hosts() {
    let catalogue = embedded();
    let hosts = |id| catalogue.get(id).unwrap().all_hosts().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(hosts(".bedrock").contains(&"bedrock-runtime.eu-central-1.amazonaws.com".to_owned()));
    assert_eq!(hosts(".dropbox"), ["mcp.dropbox.com", "api.dropboxapi.com"]);
    assert_eq!(hosts(".webhook"), Vec::<String>::new());
}

proptest! {
    /// Each row's secret replaced by a random token, and the token put in front of and behind the path.
    #[test]
    fn a_random_token_never_survives(
        row in 0..CALLS.len(),
        token in "[A-Za-z0-9_-]{10}[A-Z][a-z][0-9][A-Za-z0-9_-]{10,40}",
        tail in prop::bool::ANY,
    ) {
        let catalogue = embedded();
        let (_, _, call) = CALLS[row];
        let mut call = call.replace('~', &token);
        if tail {
            let end = call.find(['?']).or_else(|| call.match_indices(' ').nth(1).map(|(at, _)| at)).unwrap_or(call.len());
            call.insert_str(end, &format!("/{token}"));
        }
        let stored = format!("{:?}", recorded(catalogue, &call));
        prop_assert!(!stored.contains(&token), "{}: {}", call, stored);
    }

    /// A `keep` placeholder is no way out either.
    #[test]
    fn a_random_token_in_any_placeholder_never_survives(token in "[A-Za-z0-9._@-]{20,64}") {
        let catalogue = embedded();
        for template in catalogue.connectors().iter().flat_map(|connector| &connector.endpoints) {
            let mut path = template.template.to_string();
            while let (Some(open), Some(close)) = (path.find('{'), path.find('}')) {
                path.replace_range(open..=close, &token);
            }
            let stored = template.template.redact(&path, true, None).unwrap_or_default();
            prop_assert!(!stored.contains(&token), "{}: {}", path, stored);
        }
    }
}
