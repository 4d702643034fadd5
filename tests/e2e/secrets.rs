//! What a client can put into any place of a request must not reach disk or log, and what stands in for it can be looked up.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Gate, Origin};

const SECRET: &str = "cAnArY7f3a5cf4fc78981d801d2b8af6a";

/// Whether any file below a directory holds the text.
pub fn is_stored(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return is_stored(&path, text);
        }
        let bytes = fs::read(&path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn rotate(gate: &Gate) -> (bool, String) {
    let rotated = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["fingerprint-key", "rotate", "--data-dir"])
        .arg(gate.data_dir())
        .output()
        .unwrap();
    (rotated.status.success(), String::from_utf8(rotated.stderr).unwrap())
}

#[test]
fn a_secret_in_any_place_of_a_request_is_not_stored() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("api.test").resolve("api.test").config("log: { level: trace }\n").start();
    let authority = format!("api.test:{}", origin.port());
    let requests = [
        format!("GET http://{authority}/hook/{SECRET} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET http://{authority}/a?{SECRET} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET http://{authority}/a?{SECRET}= HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET http://{authority}/a?{SECRET}=1&key={SECRET} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("{SECRET} http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nContent-Type: text/{SECRET}\r\n\r\n"),
        format!(
            "POST http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\n\
             Content-Type: multipart/form-data; boundary={SECRET}\r\n\r\n"
        ),
        format!("GET http://{authority}/ HTTP/1.1\r\nHost: user:{SECRET}@{authority}\r\n\r\n"),
        format!("GET http://user:{SECRET}@{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET /{SECRET} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET {SECRET}://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("CONNECT user:{SECRET}@{authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("CONNECT /{SECRET} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{SECRET}: a\r\n{SECRET} : b\r\n\r\n"),
        format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {SECRET}\r\n\r\n"),
    ];
    for (number, request) in requests.iter().enumerate() {
        gate.client().ask(request.clone());
        gate.rows_of(number + 1);
    }
    for (number, row) in gate.rows().iter().enumerate() {
        assert!(!row.0.to_string().contains(SECRET), "{}\n{row:#?}", requests[number]);
    }
    assert!(!gate.log().contains(SECRET), "{}", gate.log());
    assert!(!is_stored(&gate.data_dir(), SECRET));
}

#[test]
fn a_mail_address_in_a_path_is_stored_as_a_tag_that_groups() {
    let origin = Origin::http();
    let config = "connectors_file: own.yml\n";
    let own = "connectors: [{ id: .own, hosts: [api.test], endpoints: ['GET /users/{who:mail}/send'] }]\n";
    let mut gate = Gate::builder().file("own.yml", own).config(config).allow("api.test").resolve("api.test").start();
    let authority = format!("api.test:{}", origin.port());
    let ask = |gate: &Gate, path: &str| {
        let before = gate.rows().len();
        gate.client().ask(format!("GET http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        gate.rows_of(before + 1).remove(before).columns(["path", "url_fingerprint_key"])
    };
    let [path, key] = ask(&gate, "/users/Jane.Doe@acme.example/send");
    assert!(path.starts_with("/users/{mail:") && path.ends_with("}/send") && path.len() == 31, "{path}");
    assert_eq!(ask(&gate, "/users/jane.doe%40acme.example/send"), [path.clone(), key.clone()]);
    // On a path that is in no template, too.
    let elsewhere = ask(&gate, "/other/jane.doe@acme.example");
    assert_eq!(elsewhere[0].replace("/other", "/users") + "/send", path);
    assert!(!is_stored(&gate.data_dir(), "acme"));

    let (rotated, complaint) = rotate(&gate);
    assert!(!rotated && complaint.contains("another Tollgate is using this data directory"), "{complaint}");
    gate.stop();
    assert!(rotate(&gate).0);
    gate.spawn();
    let [other_path, other_key] = ask(&gate, "/users/jane.doe@acme.example/send");
    assert!(other_path != path && other_key != key, "{other_path} {other_key}");
    assert!(gate.data_dir().join(format!("keys/url-fingerprint-{key}.key")).is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_writes_no_memory_to_disk_unless_that_is_asked_for() {
    let gate = Gate::builder().start();
    let limits = |gate: &Gate| {
        let limits = fs::read_to_string(format!("/proc/{}/limits", gate.pid().as_raw_nonzero())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        line.split_whitespace().skip(4).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limits(&gate), ["0", "0"]);
    let gate = Gate::builder().config("danger_core_dumps: true\n").start();
    assert!(gate.log().contains("danger_core_dumps: a crash writes keys"), "{}", gate.log());
}

#[test]
fn excerpts_keep_the_shape_of_bodies_and_none_of_their_strings() {
    let origin = Origin::serving(None, |_, stream| {
        let body = format!("{{\"ok\":true,\"ts\":\"{SECRET}\",\"n\":[1,2]}}");
        let head =
            format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
    });
    let ask = |gate: &Gate, content_type: &str, body: &str| {
        let authority = format!("api.test:{}", origin.port());
        let head = format!("POST http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {content_type}");
        let before = gate.rows().len();
        gate.client().ask(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        gate.rows_of(before + 1).remove(before).columns(["request_excerpt", "response_excerpt"])
    };
    let response = "{\"ok\":true,\"ts\":\"{redacted}\",\"n\":[1,2]}";
    let on = "audit: { excerpts: { request_bytes: 64, response_bytes: 4096 } }\n";
    let gate = Gate::builder().config(on).allow("api.test").resolve("api.test").start();
    let text = format!("{{\"text\":\"{SECRET}\",\"{SECRET}\":\"and more\"}}");
    for (content_type, body, request) in [
        ("application/json", text.as_str(), "{\"text\":\"{redacted}\",{truncated}"),
        ("application/x-www-form-urlencoded", &format!("grant_type={SECRET}"), "grant_type={redacted}"),
        ("text/plain", SECRET, "{text of 33 bytes}"),
        ("application/xml", SECRET, ""),
    ] {
        assert_eq!(ask(&gate, content_type, body), [request, response], "{content_type}");
    }
    assert!(!is_stored(&gate.data_dir(), SECRET));

    let gate = Gate::builder().allow("api.test").resolve("api.test").start();
    assert_eq!(ask(&gate, "application/json", "{\"a\":1}"), ["", ""]);
}
