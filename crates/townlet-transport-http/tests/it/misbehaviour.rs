//! Peers that do not answer, or not as they should.

use std::time::{Duration, Instant};

use townlet_testkit::frames;
use townlet_testkit::http::{Reply, Server, status};
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_http::HttpOptions;

use crate::{plaintext, send, transport};

/// Long for an answer on a busy machine, short for who waits for the end of the test.
const LIMIT: Duration = Duration::from_secs(2);

fn hasty(server: &Server) -> HttpOptions {
    HttpOptions { send_timeout: LIMIT, connect_timeout: LIMIT, ..plaintext(&server.url()) }
}

#[test]
fn however_the_peer_fails_the_call_ends_in_time_and_the_next_one_works() {
    let raw = |text: &str| Reply::Raw(text.into());
    for (reply, kind) in [
        (Reply::Stall, ErrorKind::Timeout),
        (Reply::Reset, ErrorKind::Disconnected),
        (Reply::HalfClose, ErrorKind::Disconnected),
        (raw(""), ErrorKind::Disconnected),
        (raw("HTTP/1.1 2"), ErrorKind::Disconnected),
        (raw("SSH-2.0-OpenSSH_9.2\r\n"), ErrorKind::Disconnected),
    ] {
        let server = Server::start(status(200)).then(reply.clone());
        let mut sink = transport(hasty(&server));
        let started = Instant::now();
        let failed = send(&mut sink, &frames(1..=4)).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(60), "{reply:?} took {:?}", started.elapsed());
        assert_eq!((failed.settled, failed.error.kind()), (0, kind), "{reply:?}: {failed}");
        assert!(sink.connect().unwrap().fresh);
        sink.send(&frames(1..=4)).unwrap();
        let keys: Vec<String> = server
            .requests()
            .into_iter()
            .map(|mut request| request.headers.remove("idempotency-key").unwrap())
            .collect();
        assert_eq!((keys.len(), &keys[0]), (2, &keys[1]), "tried by whoever calls, not inside");
    }
}

#[test]
fn an_answer_that_never_ends_does_not_hold_up_what_it_answers() {
    let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nthe rest never comes".to_vec();
    let server = Server::start(status(200)).then(Reply::Raw(endless));
    let mut sink = transport(hasty(&server));
    send(&mut sink, &frames(1..=2)).unwrap();
    send(&mut sink, &frames(3..=4)).unwrap();
    assert_eq!(server.lines().len(), 4);
}

#[test]
fn an_answer_whose_rest_stays_away_costs_its_connection_and_neither_the_next_batch_nor_the_end() {
    let stuck = Reply::Hang(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_vec());
    let server = Server::start(stuck);
    // Longer than the test may take.
    let limit = Duration::from_secs(120);
    let mut sink = transport(HttpOptions { send_timeout: limit, connect_timeout: limit, ..plaintext(&server.url()) });
    let started = Instant::now();
    for first in [1, 3, 5] {
        send(&mut sink, &frames(first..=first + 1)).unwrap();
    }
    sink.close();
    drop(sink);
    assert!(started.elapsed() < limit / 2, "{:?}", started.elapsed());
    assert_eq!((server.lines().len(), server.connections()), (6, 3));
}

#[test]
fn a_host_with_an_async_runtime_may_use_it_inside() {
    let server = Server::start(status(200));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut sink = transport(plaintext(&server.url()));
        send(&mut sink, &frames(1..=3)).unwrap();
        sink.close();
        send(&mut sink, &frames(4..=4)).unwrap();
        drop(sink);
    });
    assert_eq!(server.lines().len(), 4);
}
