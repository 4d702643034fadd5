//! Whatever happens to storage or to the process: what the origin saw, what the clients were told and the rows agree.

mod clock;
mod errors;
mod kills;
mod maintained;
mod modes;
mod points;
mod stalls;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::harness::{Gate, GateBuilder, Origin, eventually};

/// The disk is full: for the commit under way, and for every attempt to start anew.
const NO_SPACE: &str = "journal.append.before error 28\nsegment.write.before error 28\n";

/// A gate in front of `hub.test` that syncs and takes orders.
fn gate(audit: &str) -> GateBuilder {
    Gate::builder()
        .allow("hub.test")
        .resolve("hub.test")
        .flag("--durability", "fsync")
        .flag("--admin", "127.0.0.1:0")
        .config(&format!("audit: {{ {audit} }}\n"))
        .takes_orders()
}

fn request(origin: &Origin, id: &str) -> String {
    let authority = format!("hub.test:{}", origin.port());
    format!(
        "POST http://{authority}/alert HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: axios/1.7.2 elastic (deployment:{id})\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    )
}

/// Clients that call one after the other, each with an id of its own, and what they were told.
struct Load {
    origin: Origin,
    issued: Arc<AtomicU64>,
    told: Arc<Mutex<BTreeMap<String, u16>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn new(origin: Origin) -> Self {
        let (issued, told, stop) = (Arc::default(), Arc::default(), Arc::default());
        Self { origin, issued, told, stop, clients: Vec::new() }
    }

    /// Starts four clients, which call until they are stopped or the gate is gone.
    fn start(&mut self, gate: &Gate) {
        self.stop.store(false, Ordering::Relaxed);
        for _ in 0..4 {
            let (issued, told, stop) = (Arc::clone(&self.issued), Arc::clone(&self.told), Arc::clone(&self.stop));
            let (address, template) = (gate.address(), request(&self.origin, "ID"));
            self.clients.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("c{}", issued.fetch_add(1, Ordering::Relaxed));
                    let Some(status) = try_call(address, &template.replace("ID", &id)) else { return };
                    told.lock().unwrap().insert(id, status);
                }
            }));
        }
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
    }

    /// Waits until the origin has seen so many more calls.
    fn pass(&self, calls: usize) {
        let goal = self.origin.seen().len() + calls;
        eventually("calls reach the origin", || (self.origin.seen().len() >= goal).then_some(()));
    }

    /// Ids of the calls that reached the origin.
    fn seen(&self) -> Vec<String> {
        let agents = self.origin.seen().into_iter().map(|seen| seen.field("user-agent").unwrap().to_owned());
        agents.map(|agent| agent.split(&[':', ')']).nth(1).unwrap().to_owned()).collect()
    }

    /// No request reached the origin without a row, no row is invented, none is doubled, and nobody was told of a call that
    /// has no row. The gate must not run, or have nothing left to write.
    fn assert_accounted(&self, gate: &Gate) {
        let rows: Vec<_> = gate.rows().into_iter().filter(|row| row.get("kind") == "http").collect();
        let mut recorded = BTreeMap::new();
        for row in &rows {
            let [id, decision] = row.columns(["deployment_id", "decision"]);
            assert!(recorded.insert(id.clone(), decision).is_none(), "{id} has more than one row");
        }
        let issued = self.issued.load(Ordering::Relaxed);
        for id in recorded.keys() {
            assert!(id[1..].parse::<u64>().unwrap() < issued, "{id} was never sent");
        }
        for id in self.seen() {
            assert_eq!(recorded.get(&id).map(String::as_str), Some("allow"), "{id} reached the origin");
        }
        for (id, status) in self.told.lock().unwrap().iter().filter(|(_, status)| **status == 200) {
            assert!(recorded.contains_key(id), "{id} was answered {status} and has no row");
        }
        assert_verifies(gate);
        let seqs: Vec<_> = rows.iter().map(|row| row.columns(["boot_id", "seq"])).collect();
        assert_eq!(seqs.iter().collect::<BTreeSet<_>>().len(), seqs.len(), "a seq is there twice");
    }
}

/// What is sealed is what was signed, and all of it.
fn assert_verifies(gate: &Gate) {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = verify.args(["verify", "--data-dir"]).arg(gate.data_dir()).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// One call; `None` when the gate is gone.
fn try_call(address: SocketAddr, request: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        let head = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = head.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return head.split(' ').nth(1)?.parse().ok();
            }
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            read => answer.extend_from_slice(&chunk[..read]),
        }
    }
}
