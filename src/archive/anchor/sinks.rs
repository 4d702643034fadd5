//! The places an anchor is sent to: a file, syslog, a command. What happens there is up to whoever runs them.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::storage::{self, Site};

/// Largest output of a command that is kept as its receipt, in bytes; an RFC 3161 token has some 5 KiB.
const RECEIPT_BYTES_MAX: u64 = 64 << 10;
/// How often a running command is looked at.
const POLL_GAP: Duration = Duration::from_millis(20);
/// RFC 5424 priority: facility 10 (security), severity 5 (notice).
const SYSLOG_PRIORITY: u8 = 85;

/// Where anchors go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Appended to a file, which belongs on a file system of another machine.
    File(PathBuf),
    /// Sent to a syslog socket, RFC 5424.
    Syslog(PathBuf),
    /// Given to a program on stdin; its stdout is kept as a receipt.
    Command { program: String, args: Vec<String>, timeout: Duration },
}

/// Why an anchor did not get to a place. It is tried again with the next one.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{program} could not be run: {source}")]
    Run { program: String, source: io::Error },
    #[error("{program} ended with {status}")]
    Failed { program: String, status: ExitStatus },
    #[error("{program} was stopped after audit.anchors timeout_s ({timeout:?})")]
    TimedOut { program: String, timeout: Duration },
    #[error("{program} printed more than {RECEIPT_BYTES_MAX} bytes")]
    Receipt { program: String },
}

/// One anchor on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Of the head.
    pub(super) index: u64,
    /// The two lines.
    pub(super) bytes: Vec<u8>,
    /// See [`crate::archive::manifest::time_text`].
    pub(super) time: String,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SinkError + '_ {
    |source| SinkError::Io { path: path.to_owned(), source }
}

impl Sink {
    /// Delivers an anchor. `number` tells the sinks of a configuration apart; receipts go to `receipts_dir`.
    pub(super) fn send(&self, offer: &Offer, number: usize, receipts_dir: &Path) -> Result<(), SinkError> {
        match self {
            Self::File(path) => append(path, &offer.bytes).map_err(at(path)),
            Self::Syslog(path) => {
                let socket = UnixDatagram::unbound().map_err(at(path))?;
                socket.send_to(&syslog_message(offer), path).map_err(at(path)).map(|_| ())
            }
            Self::Command { program, args, timeout } => {
                let receipt = run(program, args, *timeout, &offer.bytes)?;
                let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
                keep(receipts_dir, &format!("{:08}.{number}-{name}.receipt", offer.index), &receipt)
            }
        }
    }

    /// For logs.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Syslog(path) => path.display().to_string(),
            Self::Command { program, .. } => program.clone(),
        }
    }
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// RFC 5424 section 6: no host name, as syslog knows it; both lines in one.
fn syslog_message(offer: &Offer) -> Vec<u8> {
    let text = String::from_utf8_lossy(&offer.bytes);
    let lines: Vec<&str> = text.lines().collect();
    let (time, process) = (&offer.time, std::process::id());
    format!("<{SYSLOG_PRIORITY}>1 {time} - tollgate {process} anchor - {}", lines.join(" ")).into_bytes()
}

/// Runs a program with `input` on stdin; its stdout.
fn run(program: &str, args: &[String], timeout: Duration, input: &[u8]) -> Result<Vec<u8>, SinkError> {
    let failed = |source| SinkError::Run { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(failed)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    // Both ends have a thread, so that a program that neither reads nor prints is stopped in time, and one that leaves
    // another behind with its output does not hold up anything.
    let input = input.to_vec();
    // A program may do without its input.
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let (printed, output) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(RECEIPT_BYTES_MAX + 1).read_to_end(&mut bytes));
        let _ = printed.send(read.map(|_| bytes));
    });
    let deadline = Instant::now() + timeout;
    let timed_out = || SinkError::TimedOut { program: program.to_owned(), timeout };
    let status = wait(&mut child, deadline).map_err(failed)?.ok_or_else(timed_out)?;
    let left = deadline.saturating_duration_since(Instant::now()).max(POLL_GAP);
    let receipt = output.recv_timeout(left).map_err(|_| timed_out())?.map_err(failed)?;
    // First: a program whose output is not read to its end fails for that reason.
    if receipt.len() as u64 > RECEIPT_BYTES_MAX {
        return Err(SinkError::Receipt { program: program.to_owned() });
    }
    if status.success() { Ok(receipt) } else { Err(SinkError::Failed { program: program.to_owned(), status }) }
}

/// Waits until the process ended; `None` if it had to be killed.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL_GAP);
    }
}

/// A receipt is whole or not there, also after a loss of power.
fn keep(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), SinkError> {
    let path = dir.join(name);
    let made = storage::ensure_dir(Site::EvidenceDir, dir, 0o750);
    made.and_then(|()| storage::replace(&path, bytes, 0o640)).map_err(at(&path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::recorder::{self, Disk, Loss};

    fn offer() -> Offer {
        let (bytes, time) = (b"{\"index\":7}\ned25519:AA==\n".to_vec(), "2026-11-22T10:00:00.000000Z".to_owned());
        Offer { index: 7, bytes, time }
    }

    fn shell(script: &str, timeout: Duration) -> Sink {
        Sink::Command { program: "/bin/sh".to_owned(), args: vec!["-c".to_owned(), script.to_owned()], timeout }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_file_is_appended_to() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("anchors");
        for _ in 0..2 {
            Sink::File(path.clone()).send(&offer(), 1, dir.path()).expect("sends");
        }
        assert_eq!(fs::read(&path).expect("reads"), [offer().bytes, offer().bytes].concat());
        let nowhere = Sink::File(dir.path().join("no/anchors")).send(&offer(), 1, dir.path());
        assert!(matches!(nowhere, Err(SinkError::Io { .. })), "{nowhere:?}");
    }

    #[test]
    fn syslog_gets_one_message_of_rfc_5424() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("log");
        let socket = UnixDatagram::bind(&path).expect("binds");
        Sink::Syslog(path).send(&offer(), 1, dir.path()).expect("sends");
        let mut message = vec![0; 1000];
        let length = socket.recv(&mut message).expect("receives");
        let process = std::process::id();
        let expected =
            format!("<85>1 2026-11-22T10:00:00.000000Z - tollgate {process} anchor - {{\"index\":7}} ed25519:AA==");
        assert_eq!(std::str::from_utf8(&message[..length]).expect("text"), expected);
    }

    #[test]
    fn what_a_command_prints_is_its_receipt() {
        let dir = tempfile::tempdir().expect("temp dir");
        shell("echo got; cat", LONG).send(&offer(), 3, dir.path()).expect("runs");
        let receipt = fs::read(dir.path().join("00000007.3-sh.receipt")).expect("kept");
        assert_eq!(receipt, [b"got\n", &offer().bytes[..]].concat());
    }

    #[test]
    fn a_receipt_is_whole_or_not_there_wherever_power_is_lost() {
        let dir = tempfile::tempdir().expect("temp dir");
        recorder::begin(dir.path());
        shell("cat", LONG).send(&offer(), 1, &dir.path().join("anchors")).expect("runs");
        let disks = recorder::end();
        let receipt = |disk: &Disk, loss: &Loss| {
            let left = tempfile::tempdir().expect("temp dir");
            disk.left(loss).write(left.path());
            fs::read(left.path().join("anchors/00000007.1-sh.receipt")).ok()
        };
        for disk in &disks {
            for loss in disk.losses() {
                let found = receipt(disk, &loss);
                assert!(found.as_ref().is_none_or(|bytes| *bytes == offer().bytes), "{loss:?}: {found:?}");
            }
        }
        let last = disks.last().expect("recorded");
        assert_eq!(receipt(last, &Loss::ALL), Some(offer().bytes), "it was delivered");
    }

    #[test]
    fn a_command_that_fails_hangs_or_prints_too_much_leaves_no_receipt() {
        let dir = tempfile::tempdir().expect("temp dir");
        let send = |script, timeout| shell(script, timeout).send(&offer(), 1, dir.path()).expect_err("fails");
        assert!(matches!(send("exit 3", LONG), SinkError::Failed { .. }));
        assert!(matches!(send("exec tail -f /dev/null", Duration::from_millis(50)), SinkError::TimedOut { .. }));
        assert!(matches!(send("head -c 70000 /dev/zero", LONG), SinkError::Receipt { .. }));
        let missing = Sink::Command { program: "/no/such/program".to_owned(), args: Vec::new(), timeout: LONG };
        assert!(matches!(missing.send(&offer(), 1, dir.path()), Err(SinkError::Run { .. })));
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 0);
    }
}
