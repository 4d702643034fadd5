//! Whether the proxy runs, is ready, and answers on its listeners.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::certificates::{chain, trusting};
use super::probe::{self, Answer, ProbeError};
use super::{Finding, Setup};
use crate::config::{Config, Listener};
use crate::intercept::authority::CaCertificate;

/// Whether a process has the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    Yes,
    No,
    Unknown,
}

/// Asks whether the lock is held; never waits for it, and holds it for no longer than asking takes.
fn running(data_dir: &Path) -> Running {
    let Ok(file) = File::open(data_dir.join("lock")) else {
        return if data_dir.join("lock").exists() { Running::Unknown } else { Running::No };
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Running::No,
        Err(rustix::io::Errno::WOULDBLOCK) => Running::Yes,
        Err(_) => Running::Unknown,
    }
}

/// Whether the proxy runs.
pub(super) fn lock(setup: &Setup) -> Vec<Finding> {
    setup.with_data_dir(|data_dir| {
        let lock = data_dir.join("lock");
        let lock = lock.display();
        vec![match running(data_dir) {
            Running::Yes => Finding::ok(format!("a process holds {lock}")),
            Running::No => Finding::warn(
                format!("no process holds {lock}: Tollgate does not run on this data directory"),
                "start it, or name the data directory of the one that runs with --data-dir",
            ),
            Running::Unknown => {
                Finding::warn(format!("{lock} cannot be looked at"), "run doctor as the user Tollgate runs as")
            }
        }]
    })
}

/// Whether each listener answers, and a tunnel through it is opened with a certificate of the CA.
pub(super) fn listeners(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        config.listeners.iter().map(|listener| listener_answers(config, listener, setup)).collect()
    })
}

fn listener_answers(config: &Config, listener: &Listener, setup: &Setup) -> Finding {
    let name = format!("{} ({})", listener.name, listener.address);
    if listener.address.port() == 0 {
        return Finding::skip(format!("{name}: the operating system chooses its port; name it with --listen"));
    }
    let Ok(ca) = CaCertificate::read(&config.interception.authority.cert_file) else {
        return Finding::skip(format!("{name}: needs an interception CA"));
    };
    let certificate = listener.tls.as_ref().and_then(|tls| chain(tls).ok()?.into_iter().next());
    if listener.tls.is_some() && certificate.is_none() {
        return Finding::skip(format!("{name}: needs a certificate that can be read"));
    }
    let address = probe::reachable(listener.address);
    let answer =
        trusting(ca.der()).map_err(ProbeError::from).and_then(|inside| probe::through(address, certificate, inside));
    let runs = setup.data_dir.as_deref().map_or(Running::Unknown, running);
    judge(&name, &answer, runs, address)
}

/// What an answer means.
pub(super) fn judge(name: &str, answer: &Result<Answer, ProbeError>, runs: Running, address: SocketAddr) -> Finding {
    match answer {
        Ok(Answer::Inside(403)) => Finding::ok(format!(
            "{name}: a tunnel opens with a certificate of the CA; the probe was refused inside, without egress (its row: \
             user_agent {})",
            probe::USER_AGENT
        )),
        Ok(Answer::Outside(407)) => Finding::ok(format!(
            "{name}: it answers, and wants clients to identify themselves, so that no tunnel was tried"
        )),
        Ok(Answer::Outside(403)) => Finding::ok(format!("{name}: it answers, and refused the probe")),
        Ok(Answer::Outside(503) | Answer::Inside(503)) => Finding::fail(
            format!("{name}: it refuses all calls with 503"),
            "look at its log and the disk: evidence cannot be written, a limit is reached, or it is stopping",
        ),
        Ok(Answer::Outside(status) | Answer::Inside(status)) => Finding::fail(
            format!("{name}: it answers a tunnel to itself with {status}"),
            format!("find out what listens on {address}: this is not how Tollgate answers"),
        ),
        Err(ProbeError::Connect(error)) if runs == Running::No => {
            Finding::skip(format!("{name}: cannot be connected to ({error}); Tollgate does not run"))
        }
        Err(ProbeError::Connect(error)) => Finding::fail(
            format!("{name}: cannot be connected to: {error}"),
            "compare `listeners` with the line \"listening on\" of the running Tollgate, and look for a firewall",
        ),
        Err(error @ ProbeError::Tls(_)) => Finding::fail(
            format!("{name}: {error}"),
            "the process shows other certificates than these files hold: restart it, then give Kibana its CA again",
        ),
        Err(error @ (ProbeError::Answer(_) | ProbeError::NotHttp | ProbeError::Alpn)) => Finding::fail(
            format!("{name}: {error}"),
            format!("find out what listens on {address}; `tls` must be as the configuration says"),
        ),
    }
}

/// Whether the running proxy says that it can take traffic.
pub(super) fn readiness(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        let Some(admin) = config.admin.filter(|admin| admin.port() != 0) else {
            return vec![Finding::skip("`admin` names no address: readiness and metrics are served nowhere")];
        };
        let answer = probe::get(probe::reachable(admin), "/readyz");
        let runs = setup.data_dir.as_deref().map_or(Running::Unknown, running);
        vec![match answer {
            Ok((200, text)) => Finding::ok(format!("http://{admin}/readyz says: {text}")),
            Ok((status, text)) => Finding::fail(
                format!("http://{admin}/readyz answers {status}: {text}"),
                "service resumes when what it names is put right; see \"When storage fails\" in docs/operating.md",
            ),
            Err(error) if runs == Running::No => {
                Finding::skip(format!("http://{admin} {error}; Tollgate does not run"))
            }
            Err(error) => Finding::fail(
                format!("http://{admin} {error}"),
                "compare `admin` with the line \"admin on\" of the running Tollgate",
            ),
        }]
    })
}
