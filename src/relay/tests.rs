//! Relays over memory and over sockets.
#![expect(clippy::disallowed_methods, reason = "the client of a test opens a connection of its own")]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use tokio::net::{TcpListener, TcpStream};

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

/// Both ends of a TCP connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(address), listener.accept());
    (far.unwrap(), near.unwrap().0)
}

/// Sends `count` bytes that tell their position, and ends.
async fn send(mut stream: impl AsyncWrite + Unpin, count: usize) {
    let bytes: Vec<u8> = (0..count).map(|at| (at / 7 % 251) as u8).collect();
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Reads to the end, in pieces of `piece` bytes so that the sender has to wait, and returns how many bytes came in order.
async fn receive(mut stream: impl AsyncRead + Unpin, piece: usize) -> usize {
    let (mut buffer, mut count) = (vec![0; piece], 0);
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            return count;
        }
        for byte in &buffer[..read] {
            assert_eq!(*byte, (count / 7 % 251) as u8, "byte {count}");
            count += 1;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn between_sockets_all_bytes_arrive_in_order_both_ways_and_are_counted() {
    const UP: usize = 3_000_001;
    const DOWN: usize = 5_000_003;
    let ((client, ours), (theirs, upstream)) = (connection().await, connection().await);
    let traffic = Traffic::default();
    let ((client_read, client_write), (upstream_read, upstream_write)) = (client.into_split(), upstream.into_split());
    let (end, (), received, (), downloaded) = tokio::join!(
        relay(ours, theirs, &traffic, Duration::from_secs(20)),
        send(client_write, UP),
        receive(upstream_read, 1000),
        send(upstream_write, DOWN),
        receive(client_read, 70_000),
    );
    assert!(matches!(end, RelayEnd::Finished), "{end:?}");
    assert_eq!((received, downloaded), (UP, DOWN));
    assert_eq!(traffic.request_bytes.load(Ordering::Relaxed), UP as u64);
    assert_eq!(traffic.response_bytes.load(Ordering::Relaxed), DOWN as u64);
}

#[tokio::test]
async fn between_sockets_one_direction_goes_on_after_the_other_has_ended_and_a_break_is_the_upstreams() {
    let ((mut client, ours), (theirs, mut upstream)) = (connection().await, connection().await);
    let traffic = Traffic::default();
    let talk = async {
        client.shutdown().await.unwrap();
        assert_eq!(upstream.read(&mut [0; 1]).await.unwrap(), 0, "the half-close passed on");
        upstream.write_all(b"still here").await.unwrap();
        let mut heard = [0; 10];
        client.read_exact(&mut heard).await.unwrap();
        // Closing with unread bytes, or so asked, resets the connection.
        socket2::SockRef::from(&upstream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(upstream);
        heard
    };
    let (end, heard) = tokio::join!(relay(ours, theirs, &traffic, Duration::from_secs(20)), talk);
    assert!(matches!(end, RelayEnd::Upstream(_)), "{end:?}");
    assert_eq!((&heard, traffic.response_bytes.load(Ordering::Relaxed)), (b"still here", 10));
}
