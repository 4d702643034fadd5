//! What a real run says in the signed chain, beside its files, and where it anchors the head.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use tollgate::archive::digest::Sha256;

use crate::harness::{Gate, eventually};

fn tollgate(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate")).args(args).current_dir(dir).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What each entry of the chain says, in order.
pub fn entries(data_dir: &Path) -> Vec<Value> {
    let listed = fs::read_dir(data_dir.join("manifest")).unwrap();
    let paths = listed.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    paths.sort();
    let entry = |path| serde_json::from_str(fs::read_to_string(path).unwrap().lines().next().unwrap()).unwrap();
    paths.into_iter().map(entry).collect()
}

pub fn kinds(data_dir: &Path) -> Vec<String> {
    entries(data_dir).iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
}

fn refused_call(gate: &Gate) -> String {
    let mut client = gate.client();
    client.send("GET http://refused.test/ HTTP/1.1\r\nHost: refused.test\r\n\r\n");
    assert_eq!(client.answer_to("GET").status, 403);
    gate.row().get("event_id")
}

#[test]
fn reloads_are_stated_and_a_refused_one_names_the_policy_that_stays() {
    let policy = |host: &str| format!("mode: enforce\nrules: [{{ name: a, hosts: [{host}] }}]\n");
    let mut gate = Gate::builder().file("policy.yml", &policy("a.test")).config("policy_file: policy.yml\n").start();
    let path = gate.dir.path().join("policy.yml");
    fs::write(&path, policy("b.test")).unwrap();
    gate.signal(Signal::HUP);
    eventually("the reload is stated", || (kinds(&gate.data_dir()) == ["start", "policy"]).then_some(()));
    fs::write(&path, "mode: perhaps\n").unwrap();
    gate.signal(Signal::HUP);
    eventually("the refusal is stated", || (kinds(&gate.data_dir()).len() == 3).then_some(()));
    let event_id = refused_call(&gate);
    assert_eq!(gate.stop(), Some(0));

    let said = entries(&gate.data_dir());
    assert_eq!(kinds(&gate.data_dir()), ["start", "policy", "refused_reload", "file", "stop"]);
    assert_eq!(said[0]["policy_hash"], said[1]["before"]);
    assert_ne!(said[1]["before"], said[1]["after"]);
    assert_eq!((&said[1]["after"], &said[2]["problems"]), (&said[2]["policy_hash"], &1.into()));
    // What was refused is named by what was in the files then.
    let digest = |text: &[u8]| Value::from(Sha256::of(text).to_string());
    let config = fs::read(gate.dir.path().join("tollgate.yml")).unwrap();
    assert_eq!((&said[2]["config_sha256"], &said[0]["config_sha256"]), (&digest(&config), &digest(&config)));
    assert_eq!(said[2]["policy_sha256"], digest(b"mode: perhaps\n"));
    assert_eq!(said[2]["connectors_sha256"], Value::Null);
    assert_eq!(said[3]["policy_hashes"][0], said[1]["after"]);
    assert_eq!((&said[4]["reason"], &said[4]["last_seq"]), (&"terminated".into(), &1.into()));

    // The row, alone.
    let dir = gate.dir.path();
    let proven = tollgate(&["prove", "--data-dir", "data", "--event-id", &event_id, "--out", "row.json"], dir);
    assert_eq!(proven.status.code(), Some(0), "{proven:?}");
    let check = ["verify", "--bundle", "row.json", "--public-key", "data/keys/manifest.pub", "--json"];
    let checked = tollgate(&check, dir);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert_eq!(json(&checked)["row"]["event_id"], event_id.as_str());
    let changed = fs::read_to_string(dir.join("row.json")).unwrap().replace("refused.test", "allowed.test");
    fs::write(dir.join("row.json"), changed).unwrap();
    let refused = tollgate(&check, dir);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn an_idle_gate_says_so_and_anchors_its_head() {
    let audit = "audit: { heartbeat_s: 1, anchor_every_s: 1, anchors: [{ file: anchors.jsonl }] }\n";
    let mut gate = Gate::builder().config(audit).start();
    eventually("two heartbeats", || (kinds(&gate.data_dir()).len() >= 3).then_some(()));
    assert_eq!(gate.stop(), Some(0));
    let said = entries(&gate.data_dir());
    assert_eq!((&said[1]["kind"], &said[2]["kind"]), (&"heartbeat".into(), &"heartbeat".into()));
    assert_eq!((&said[1]["to"], &said[1]["last_seq"]), (&said[2]["from"], &0.into()));

    let verify = ["verify", "--data-dir", "data", "--anchor", "anchors.jsonl", "--json"];
    let report = json(&tollgate(&verify, gate.dir.path()));
    assert_eq!(report["verdict"], "intact", "{report}");
    assert_eq!(report["anchored"]["index"], report["head"]["index"], "the stop is anchored: {report}");

    let last = said.len();
    fs::remove_file(gate.data_dir().join(format!("manifest/{last:08}.json"))).unwrap();
    let cut = tollgate(&verify, gate.dir.path());
    assert_eq!((cut.status.code(), &json(&cut)["problems"][0]["code"]), (Some(1), &"not_anchored".into()));
}

#[test]
fn the_key_changes_only_while_the_gate_is_stopped_and_both_keys_verify() {
    let mut gate = Gate::builder().start();
    let (data_dir, dir) = (gate.data_dir(), gate.dir.path().to_owned());
    let rotate = ["manifest-key", "rotate", "--data-dir", "data"];
    let refused = tollgate(&rotate, &dir);
    assert_eq!(refused.status.code(), Some(74), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another Tollgate is using this data directory"));
    assert_eq!(gate.stop(), Some(0));
    fs::copy(data_dir.join("keys/manifest.pub"), dir.join("first.pub")).unwrap();
    assert_eq!(tollgate(&rotate, &dir).status.code(), Some(0));
    let both_verify = || {
        for key in ["first.pub", "data/keys/manifest.pub"] {
            let verified = tollgate(&["verify", "--copy", "data", "--public-key", key, "--json"], &dir);
            let report = json(&verified);
            assert_eq!((&report["verdict"], &report["entries_unchecked"]), (&"intact".into(), &0.into()), "{report}");
            assert_eq!(verified.status.code(), Some(0));
        }
    };
    both_verify();
    let said = entries(&data_dir);
    assert_eq!((&said[3]["key_id"], &said[3]["new_key_id"]), (&said[2]["new_key_id"], &said[2]["new_key_id"]));
    gate.spawn();
    both_verify();
    assert_eq!(gate.stop(), Some(0));
    assert_eq!(kinds(&data_dir), ["start", "stop", "key_rotation", "key_rotation", "start", "stop"]);
    both_verify();
}

/// A time-stamping authority: one key, one certificate for time stamping, each request answered by OpenSSL.
struct Authority {
    dir: tempfile::TempDir,
}

const AUTHORITY_CONFIG: &str = "\
[req]
distinguished_name = name
x509_extensions = stamping
prompt = no
[name]
CN = tsa.test
[stamping]
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = tsa_config
[tsa_config]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ordering = no
tsa_name = no
";

impl Authority {
    fn new() -> Self {
        let authority = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(authority.dir.path().join("tsa.cnf"), AUTHORITY_CONFIG).unwrap();
        fs::write(authority.dir.path().join("serial"), "01\n").unwrap();
        authority.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem -days 2 -config tsa.cnf -extensions stamping",
        );
        authority
    }

    fn openssl(&self, args: &str) {
        let run = Command::new("openssl").args(args.split(' ')).current_dir(self.dir.path()).output().unwrap();
        assert!(run.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&run.stderr));
    }

    fn answer(&self, query: &[u8]) -> Vec<u8> {
        fs::write(self.dir.path().join("query"), query).unwrap();
        self.openssl(
            "ts -reply -queryfile query -signer tsa.pem -inkey tsa.key -config tsa.cnf -section tsa_config -out reply",
        );
        fs::read(self.dir.path().join("reply")).unwrap()
    }

    /// Serves over HTTP until the test ends.
    fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
                let body = loop {
                    let read = stream.read(&mut chunk).unwrap();
                    request.extend_from_slice(&chunk[..read]);
                    let head = request.windows(4).position(|end| end == b"\r\n\r\n");
                    let Some(head) = head else { continue };
                    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
                    let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    let length: usize = length.unwrap().parse().unwrap();
                    if request.len() >= head + 4 + length {
                        break request[head + 4..].to_vec();
                    }
                };
                let reply = self.answer(&body);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", reply.len());
                stream.write_all(&[head.as_bytes(), &reply].concat()).unwrap();
            }
        });
        address
    }
}

fn script(name: &str) -> String {
    format!("{}/deploy/anchors/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_time_stamping_authority_signs_for_the_head() {
    let authority = Authority::new();
    let certificate = fs::read_to_string(authority.dir.path().join("tsa.pem")).unwrap();
    let address = authority.serve();
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(ca_file.path(), &certificate).unwrap();
    let command =
        |ca: &Path| format!("[{:?}, \"http://{address}/\", {:?}]", script("rfc3161.sh"), ca.to_str().unwrap());
    let audit = format!("audit: {{ anchors: [{{ command: {}, timeout_s: 60 }}] }}\n", command(ca_file.path()));
    let mut gate = Gate::builder().config(&audit).start();
    assert_eq!(gate.stop(), Some(0));
    let receipt = gate.data_dir().join("anchors/00000002.1-rfc3161.sh.receipt");
    let text = fs::read_to_string(&receipt).unwrap();
    let anchor: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&anchor["anchor"], &anchor["index"]), (&"head".into(), &2.into()));

    // As the script says how to look at a receipt later.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let dir = gate.dir.path();
    fs::write(dir.join("anchor"), lines[..2].concat()).unwrap();
    fs::write(dir.join("encoded"), lines[2..].concat()).unwrap();
    let openssl = |args: &str| Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
    assert!(openssl("base64 -d -in encoded -out response").status.success());
    let check = format!("ts -verify -data anchor -in response -CAfile {}", ca_file.path().display());
    assert!(openssl(&check).status.success(), "{:?}", openssl(&check));
    fs::write(dir.join("anchor"), lines[..2].concat().replace("\"index\":2", "\"index\":3")).unwrap();
    assert!(!openssl(&check).status.success());
}

#[test]
fn an_object_with_a_lock_is_put_and_a_failing_command_stops_nothing() {
    let fake = tempfile::tempdir().unwrap();
    let aws = fake.path().join("aws");
    fs::write(&aws, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&aws, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:{}", fake.path().display(), std::env::var("PATH").unwrap());
    let put = format!("[/usr/bin/env, {path:?}, {:?}, evidence, anchors, \"30\"]", script("s3-object-lock.sh"));
    let audit = format!("audit: {{ anchors: [{{ command: [/bin/false] }}, {{ command: {put} }}] }}\n");
    let mut gate = Gate::builder().config(&audit).start();
    assert_eq!(gate.stop(), Some(0));
    assert!(gate.log().contains("/bin/false ended with exit status: 1"), "{}", gate.log());
    let receipt = fs::read_to_string(gate.data_dir().join("anchors/00000002.2-env.receipt")).unwrap();
    let words: Vec<&str> = receipt.lines().collect();
    assert_eq!(words[..4], ["s3api", "put-object", "--bucket", "evidence"]);
    assert!(words[5].starts_with("anchors/") && words[5].ends_with("/00000002"), "{receipt}");
    assert_eq!(words[8..10], ["--object-lock-mode", "COMPLIANCE"]);
}
