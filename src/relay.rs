//! Relaying bytes both ways without looking at them, counted, until both sides are done or nothing moves.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::observe::exchange::Traffic;
use crate::record::OutcomeKind;

const BUFFER_BYTES: usize = 16 * 1024;

/// How a relay ended.
#[derive(Debug, thiserror::Error)]
pub enum RelayEnd {
    #[error("both sides closed")]
    Finished,
    #[error("no byte in either direction for {0:?} (limits.idle_timeout_s)")]
    Idle(Duration),
    #[error("the client's connection broke: {0}")]
    Client(io::Error),
    #[error("the upstream's connection broke: {0}")]
    Upstream(io::Error),
}

impl RelayEnd {
    /// The audit columns `outcome` and `error`.
    pub fn columns(&self) -> (OutcomeKind, Option<String>) {
        match self {
            Self::Finished => (OutcomeKind::Completed, None),
            Self::Idle(_) => (OutcomeKind::TimedOut, Some(self.to_string())),
            Self::Client(_) => (OutcomeKind::ClientAborted, Some(self.to_string())),
            Self::Upstream(_) => (OutcomeKind::UpstreamFailed, Some(self.to_string())),
        }
    }
}

/// Relays until both directions have ended, one has failed, or nothing moved for `idle_timeout`.
pub async fn relay<C, U>(client: C, upstream: U, traffic: &Traffic, idle_timeout: Duration) -> RelayEnd
where
    C: AsyncRead + AsyncWrite,
    U: AsyncRead + AsyncWrite,
{
    let clock = Clock::new();
    let (client_reads, client_writes) = tokio::io::split(client);
    let (upstream_reads, upstream_writes) = tokio::io::split(upstream);
    let sending = async {
        pump(client_reads, upstream_writes, &traffic.request_bytes, &clock).await.map_err(|broken| match broken {
            Broken::Reading(error) => RelayEnd::Client(error),
            Broken::Writing(error) => RelayEnd::Upstream(error),
        })
    };
    let receiving = async {
        pump(upstream_reads, client_writes, &traffic.response_bytes, &clock).await.map_err(|broken| match broken {
            Broken::Reading(error) => RelayEnd::Upstream(error),
            Broken::Writing(error) => RelayEnd::Client(error),
        })
    };
    let both = async { tokio::try_join!(sending, receiving) };
    tokio::select! {
        ended = both => match ended {
            Ok(((), ())) => RelayEnd::Finished,
            Err(end) => end,
        },
        () = clock.idle_for(idle_timeout) => RelayEnd::Idle(idle_timeout),
    }
}

enum Broken {
    Reading(io::Error),
    Writing(io::Error),
}

async fn pump<R, W>(mut from: R, mut to: W, count: &AtomicU64, clock: &Clock) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(read) => read,
            // TLS without its closing alert: what it carried says itself whether it is complete.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(Broken::Reading(error)),
        };
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            // The end of one direction is passed on; a peer that is gone already does not make that an error.
            let _ = to.shutdown().await;
            return Ok(());
        };
        to.write_all(bytes).await.map_err(Broken::Writing)?;
        to.flush().await.map_err(Broken::Writing)?;
        count.fetch_add(read as u64, Ordering::Relaxed);
        clock.touch();
    }
}

/// When something last moved, in microseconds since the relay began.
struct Clock {
    began: Instant,
    moved_us: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self { began: Instant::now(), moved_us: AtomicU64::new(0) }
    }

    fn touch(&self) {
        self.moved_us.store(self.began.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    async fn idle_for(&self, timeout: Duration) {
        loop {
            let deadline = self.began + Duration::from_micros(self.moved_us.load(Ordering::Relaxed)) + timeout;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_directions_are_counted_and_half_closes_pass_on() {
        let (client, ours) = tokio::io::duplex(64);
        let (upstream, theirs) = tokio::io::duplex(64);
        let traffic = Traffic::default();
        let talk = async {
            let (mut read, mut write) = tokio::io::split(client);
            write.write_all(b"question").await.unwrap();
            write.shutdown().await.unwrap();
            let mut answer = Vec::new();
            read.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let serve = async {
            let (mut read, mut write) = tokio::io::split(upstream);
            let mut question = Vec::new();
            read.read_to_end(&mut question).await.unwrap();
            write.write_all(b"a longer answer").await.unwrap();
            write.shutdown().await.unwrap();
            question
        };
        let (end, answer, question) = tokio::join!(relay(ours, theirs, &traffic, Duration::from_secs(5)), talk, serve);
        assert!(matches!(end, RelayEnd::Finished), "{end:?}");
        assert_eq!((question.as_slice(), answer.as_slice()), (&b"question"[..], &b"a longer answer"[..]));
        assert_eq!(traffic.request_bytes.load(Ordering::Relaxed), 8);
        assert_eq!(traffic.response_bytes.load(Ordering::Relaxed), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_relay_but_movement_does_not() {
        let (mut client, ours) = tokio::io::duplex(64);
        let (mut upstream, theirs) = tokio::io::duplex(64);
        let traffic = Traffic::default();
        let began = Instant::now();
        let talk = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            client.write_all(b"x").await.unwrap();
            let mut byte = [0];
            upstream.read_exact(&mut byte).await.unwrap();
            std::future::pending::<()>().await;
        };
        let end = tokio::select! {
            end = relay(ours, theirs, &traffic, Duration::from_secs(60)) => end,
            () = talk => unreachable!(),
        };
        assert!(matches!(end, RelayEnd::Idle(_)), "{end:?}");
        assert_eq!(began.elapsed().as_secs(), 110);
    }
}
