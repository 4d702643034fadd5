//! Recognition by each way, the order among several matches, and every refusal of the configuration.

use super::*;

fn settings(yaml: &str) -> Vec<ClientSettings> {
    serde_saphyr::from_str(yaml).unwrap()
}

fn compile(yaml: &str) -> Clients {
    Clients::compile(settings(yaml)).unwrap()
}

fn problems(yaml: &str) -> Vec<String> {
    Clients::compile(settings(yaml)).unwrap_err().iter().map(ToString::to_string).collect()
}

/// Recognises a connection that has at most one Proxy-Authorization and one `x-tollgate-client` field.
fn identify<'a>(
    clients: &'a Clients,
    listener: &str,
    peer: &str,
    authorization: Option<&str>,
    header: Option<&str>,
) -> Result<Option<&'a str>, ClientError> {
    let lookup = |name: &HeaderName| header.filter(|_| name == "x-tollgate-client").map(str::as_bytes);
    let facts = Facts {
        listener,
        peer_ip: peer.parse().unwrap(),
        proxy_authorization: authorization.map(str::as_bytes),
        header: &lookup,
    };
    Ok(clients.identify(&facts)?.map(|identity| &**identity.name()))
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

#[test]
fn without_clients_everyone_may_connect() {
    let clients = Clients::compile(Vec::new()).unwrap();
    assert_eq!(identify(&clients, "main", "10.0.0.1", Some("Basic !"), None), Ok(None));
    assert_eq!(clients.credential_headers(), [http::header::PROXY_AUTHORIZATION]);
}

#[test]
fn basic_credentials_are_compared_whole() {
    let clients = compile("[{name: kibana, username: elastic, password: 'p:w'}]");
    let with = |value: &str| identify(&clients, "main", "10.0.0.1", Some(value), None);
    assert_eq!(with(&basic("elastic:p:w")), Ok(Some("kibana")));
    assert_eq!(with(&basic("elastic:p:w").replace("Basic ", "bAsIc  ")), Ok(Some("kibana")));
    for wrong in [basic("elastic:p:w2"), basic("elastic:p"), basic("elastic:"), basic(""), basic("Elastic:p:w")] {
        assert_eq!(with(&wrong), Err(ClientError::WrongCredentials), "{wrong}");
    }
    for malformed in ["", "Basic", "Basic ", "Bearer abc", "Basic ###", "elastic:p:w"] {
        assert_eq!(with(malformed), Err(ClientError::WrongCredentials), "{malformed:?}");
    }
    assert_eq!(identify(&clients, "main", "10.0.0.1", None, None), Err(ClientError::MissingCredentials));
}

#[test]
fn all_ways_of_one_client_must_hold() {
    let clients = compile(
        "[{name: kibana, listener: tls, sources: [10.0.0.0/8], username: u, password: p,
           header: {name: X-Tollgate-Client, value: token}}]",
    );
    let good = basic("u:p");
    let with = |listener, peer, auth: Option<&str>, header| identify(&clients, listener, peer, auth, header);
    assert_eq!(with("tls", "10.1.2.3", Some(&good), Some("token")), Ok(Some("kibana")));
    assert_eq!(with("tls", "::ffff:10.1.2.3", Some(&good), Some("token")), Ok(Some("kibana")));
    assert_eq!(with("main", "10.1.2.3", Some(&good), Some("token")), Err(ClientError::Unknown));
    assert_eq!(with("tls", "11.1.2.3", Some(&good), Some("token")), Err(ClientError::Unknown));
    assert_eq!(with("tls", "10.1.2.3", None, Some("token")), Err(ClientError::MissingCredentials));
    assert_eq!(with("tls", "10.1.2.3", Some(&good), None), Err(ClientError::MissingCredentials));
    assert_eq!(with("tls", "10.1.2.3", Some(&good), Some("Token")), Err(ClientError::WrongCredentials));
    let names: Vec<_> = clients.credential_headers().iter().map(HeaderName::as_str).collect();
    assert_eq!(names, ["proxy-authorization", "x-tollgate-client"]);
}

#[test]
fn the_most_specific_full_match_wins_whatever_the_order() {
    let entries = [
        "{name: anywhere, sources: [0.0.0.0/0, '::/0']}",
        "{name: site, sources: [10.0.0.0/8]}",
        "{name: rack, sources: [10.1.0.0/16]}",
        "{name: port, listener: main}",
        "{name: header, header: {name: x-tollgate-client, value: h}}",
        "{name: login, username: u, password: p}",
    ];
    for turn in 0..entries.len() {
        let mut order = entries;
        order.rotate_left(turn);
        let clients = compile(&format!("[{}]", order.join(", ")));
        let login = basic("u:p");
        let wrong = basic("u:no");
        assert_eq!(identify(&clients, "x", "192.0.2.1", None, None), Ok(Some("anywhere")));
        assert_eq!(identify(&clients, "x", "2001:db8::1", None, None), Ok(Some("anywhere")));
        assert_eq!(identify(&clients, "x", "10.9.0.1", Some(&wrong), None), Ok(Some("site")));
        assert_eq!(identify(&clients, "x", "10.1.0.1", None, None), Ok(Some("rack")));
        assert_eq!(identify(&clients, "main", "10.1.0.1", None, None), Ok(Some("port")));
        assert_eq!(identify(&clients, "main", "10.1.0.1", None, Some("h")), Ok(Some("header")));
        assert_eq!(identify(&clients, "main", "10.1.0.1", Some(&login), Some("h")), Ok(Some("login")));
    }
}

#[test]
fn clients_that_one_connection_could_both_be_are_refused() {
    let expected = "clients[1] \"b\": cannot be told apart from client \"a\": one connection could be both; \
                    give them different secrets";
    for yaml in [
        "[{name: a, listener: l}, {name: b, listener: l}]",
        "[{name: a, sources: [10.0.0.0/8, 10.1.0.0/16]}, {name: b, sources: [10.1.0.0/16]}]",
        "[{name: a, username: u, password: p}, {name: b, username: u, password: p}]",
        "[{name: a, header: {name: x-a, value: v}}, {name: b, header: {name: x-b, value: w}}]",
    ] {
        assert_eq!(problems(yaml), [expected], "{yaml}");
    }
    compile("[{name: a, header: {name: X-A, value: v}}, {name: b, header: {name: x-a, value: w}}]");
    compile("[{name: a, sources: ['::/0']}, {name: b, listener: l}, {name: c, listener: l, sources: ['::/0']}]");
}

#[test]
fn every_problem_of_every_client_is_reported_at_once() {
    let yaml = "
- {name: '', listener: l}
- {name: a}
- {name: a, sources: [10.0.0.1/8, example.com], username: 'u:x', password: ''}
- {name: b, username: u}
- {name: c, password: p}
- {name: d, username: u, password: p, password_file: f}
- {name: e, header: {name: Host, value: ''}}
- {name: f, header: {name: 'a b', value: v}}
- {name: g, listener: g, deployments: ['a b'], projects: ['']}
";
    assert_eq!(
        problems(yaml),
        [
            "clients[0] \"\": the name must have 1 to 128 characters, none of them control characters",
            "clients[1] \"a\": nothing says how to recognise it; add listener, sources, username and password, or header",
            "clients[2] \"a\": another client has the same name; rename one",
            "clients[2] \"a\": username must not be empty, contain a colon (RFC 7617 section 2) or control characters",
            "clients[2] \"a\": the password is empty",
            "clients[2] \"a\": sources: \"10.0.0.1/8\" has host bits set; write \"10.0.0.0/8\"",
            "clients[2] \"a\": sources: \"example.com\" is not an address or a network in CIDR notation such as 10.0.0.0/8",
            "clients[3] \"b\": username is given without password; add password or password_file",
            "clients[4] \"c\": a password is given without username; add username",
            "clients[5] \"d\": password and password_file are both given; remove one",
            "clients[6] \"e\": header.value is empty",
            "clients[6] \"e\": header.name: \"Host\" has a meaning of its own; choose another name such as X-Tollgate-Client",
            "clients[7] \"f\": header.name: \"a b\" is not a header field name",
            "clients[8] \"g\": deployments: \"a b\": the id contains whitespace, a parenthesis or a control character",
            "clients[8] \"g\": projects: \"\": the id is empty",
        ]
    );
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let entries = settings("[{name: a, username: u, password: hunter2, header: {name: x-a, value: t0ken}}]");
    let clients = Clients::compile(entries.clone()).unwrap();
    let shown = format!("{entries:?} {clients:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("t0ken"), "{shown}");
}

#[test]
fn sources_may_be_addresses_and_mapped_networks() {
    let clients = compile("[{name: one, sources: [192.0.2.7]}, {name: net, sources: ['::ffff:192.0.2.0/120']}]");
    assert_eq!(identify(&clients, "l", "192.0.2.7", None, None), Ok(Some("one")));
    assert_eq!(identify(&clients, "l", "192.0.2.8", None, None), Ok(Some("net")));
    assert_eq!(identify(&clients, "l", "::ffff:192.0.2.8", None, None), Ok(Some("net")));
    assert_eq!(identify(&clients, "l", "192.0.3.1", None, None), Err(ClientError::Unknown));
}
