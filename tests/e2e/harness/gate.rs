//! The binary under test, started with flags as an operator would.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Answer, Client, Origin, Secured, TestCa, eventually};

/// One audit row, as `tollgate records --json` prints it.
#[derive(Clone, Debug)]
pub struct Row(pub serde_json::Value);

impl Row {
    /// A column as text; numbers and booleans in their JSON form, null as the empty string.
    pub fn get(&self, column: &str) -> String {
        match self.0.get(column) {
            None => panic!("no column {column} in {}", self.0),
            Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// Several columns at once, for one assertion.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        names.map(|name| self.get(name))
    }
}

/// How a gate is to be started. Origins are reached by the names given to [`GateBuilder::resolve`].
pub struct GateBuilder {
    dir: TempDir,
    flags: Vec<String>,
    config: Option<String>,
    takes_orders: bool,
}

impl GateBuilder {
    /// Loopback is allowed, because that is where the origins are.
    pub fn new() -> Self {
        Self::without_loopback().flag("--allow-address", "127.0.0.0/8")
    }

    pub fn without_loopback() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), flags: Vec::new(), config: None, takes_orders: false }
    }

    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    pub fn enforce(mut self) -> Self {
        self.flags.push("--enforce".to_owned());
        self
    }

    pub fn allow(self, host: &str) -> Self {
        self.flag("--allow-host", host)
    }

    pub fn resolve(self, host: &str) -> Self {
        self.flag("--resolve", &format!("{host}=127.0.0.1"))
    }

    pub fn upstream_ca(self, ca: &TestCa) -> Self {
        let path = self.dir.path().join("origin-ca.pem");
        ca.write_pem(&path);
        let path = path.to_str().unwrap().to_owned();
        self.flag("--upstream-ca", &path)
    }

    /// Configuration file text; flags go over it.
    pub fn config(mut self, yaml: &str) -> Self {
        self.config = Some(yaml.to_owned());
        self
    }

    /// Lets storage fail as [`Gate::order`] says.
    pub fn takes_orders(mut self) -> Self {
        self.takes_orders = true;
        self
    }

    /// A file beside the configuration, for keys that name one.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    /// Begins with a copy of the data of a gate that does not run.
    pub fn data_of(self, other: &Gate) -> Self {
        assert!(other.child.is_none(), "the other gate runs");
        let copied = Command::new("cp").arg("-a").arg(other.data_dir()).arg(self.dir.path().join("data")).status();
        assert!(copied.unwrap().success());
        self
    }

    /// The same for a secret: its owner alone may read it.
    pub fn secret(self, name: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.path().join(name);
        let gate = self.file(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        gate
    }

    pub fn start(self) -> Gate {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let mut args = vec!["run".to_owned()];
        if let Some(yaml) = &self.config {
            std::fs::write(path("tollgate.yml"), yaml).unwrap();
            args.extend(["--config".to_owned(), path("tollgate.yml")]);
        }
        if !self.config.as_ref().is_some_and(|yaml| yaml.contains("listeners:")) {
            args.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
        }
        args.extend(["--data-dir".to_owned(), path("data"), "--ca-cert".to_owned(), path("ca.pem")]);
        args.extend(["--ca-key".to_owned(), path("ca.key")]);
        if !self.flags.iter().any(|flag| flag == "--durability") {
            // Tests are not to wait for the disk, but those that are about it ask for fsync.
            args.extend(["--durability".to_owned(), "write".to_owned()]);
        }
        args.extend(self.flags);
        let orders = self.takes_orders.then(|| self.dir.path().join("orders"));
        let (listeners, log) = (Vec::new(), Arc::default());
        let mut gate = Gate { dir: self.dir, args, orders, child: None, listeners, admin: None, log, logging: None };
        gate.spawn();
        gate
    }
}

/// A running gate. It is killed when dropped; what it logged is printed if the test is failing.
pub struct Gate {
    pub dir: TempDir,
    args: Vec<String>,
    orders: Option<PathBuf>,
    child: Option<Child>,
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
    /// Reads the log until the process is gone.
    logging: Option<JoinHandle<()>>,
}

impl Gate {
    pub fn builder() -> GateBuilder {
        GateBuilder::new()
    }

    /// Starts the process again over the same data directory.
    pub fn spawn(&mut self) {
        self.launch();
        assert!(!self.listeners.is_empty(), "the gate did not start:\n{}", self.log());
    }

    /// The same, but it need not come to listening.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the gate runs already");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(&self.args)
            .envs(self.orders.iter().map(|orders| ("TOLLGATE_FAULTS", orders)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = Arc::clone(&self.log);
        self.logging = Some(thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk) {
                log.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        }));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.listeners.clear();
        for line in lines.by_ref() {
            let line = line.unwrap();
            let Some(url) = line.strip_prefix("tollgate: listening on ") else {
                self.admin = line.strip_prefix("tollgate: admin on http://").map(|address| address.parse().unwrap());
                break;
            };
            self.listeners.push(url.split_once("://").unwrap().1.parse().unwrap());
        }
        thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    /// From now on, what these lines of `src/faults.rs` say is done; nothing, when they are empty.
    pub fn order(&self, lines: &str) {
        let orders = self.orders.as_ref().expect("the gate takes no orders");
        let beside = orders.with_extension("new");
        std::fs::write(&beside, lines).unwrap();
        // Whoever reads sees the old orders or the new ones, whole.
        std::fs::rename(beside, orders).unwrap();
    }

    /// Asks the admin listener.
    pub fn admin(&self, path: &str) -> Answer {
        Client::connect(self.admin.unwrap()).ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    /// The first listener.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0]
    }

    pub fn listener(&self, index: usize) -> SocketAddr {
        self.listeners[index]
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn ca_pem(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.read_to_the_end();
    }

    /// What the process logged last may still be in the pipe when it is gone.
    fn read_to_the_end(&mut self) {
        let logging = self.logging.take().unwrap();
        eventually("the log ends", || logging.is_finished().then_some(()));
    }

    /// SIGTERM; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub fn wait(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let status = eventually("the gate exits", || child.try_wait().unwrap());
        self.read_to_the_end();
        status.code()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// A client inside an intercepted tunnel to this host.
    pub fn secured(&self, host: &str, port: u16) -> Secured {
        let mut client = self.client();
        assert_eq!(client.open(&format!("{host}:{port}")).status, 200);
        client.secure(&self.ca_pem(), host).unwrap()
    }

    /// All rows so far, oldest first.
    pub fn rows(&self) -> Vec<Row> {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["records", "--json", "--limit", "1000000", "--data-dir"])
            .arg(self.data_dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "records: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut rows: Vec<Row> = text.lines().map(|line| Row(serde_json::from_str(line).unwrap())).collect();
        rows.sort_by_key(|row| (row.get("event_time"), row.get("event_id")));
        rows
    }

    /// The rows, once there are `count` of them; more is a failure.
    pub fn rows_of(&self, count: usize) -> Vec<Row> {
        let rows = eventually(&format!("{count} rows"), || Some(self.rows()).filter(|rows| rows.len() >= count));
        assert_eq!(rows.len(), count, "{rows:#?}");
        rows
    }

    /// The only row.
    pub fn row(&self) -> Row {
        self.rows_of(1).remove(0)
    }

    /// Whether nothing at all reached this origin.
    #[expect(clippy::unused_self, reason = "it reads as what this gate did not do")]
    pub fn assert_untouched(&self, origin: &Origin) {
        assert_eq!((origin.connections(), origin.seen().len()), (0, 0), "something reached the origin");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("--- the gate's log:\n{}", self.log());
        }
    }
}
