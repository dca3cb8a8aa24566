//! What answers mean for frames, on the wire.

use std::time::Duration;

use townlet_testkit::http::{Reply, Server, status};
use townlet_testkit::{frame, frame_of_len, frames, seqs_of};
use townlet_transport::{ErrorKind, Frame, Transport, TransportError};
use townlet_transport_http::HttpOptions;

use crate::{plaintext, send, transport};

fn answered(reply: Reply) -> (usize, usize, TransportError, Server) {
    let server = Server::start(reply);
    let failed = send(&mut transport(plaintext(&server.url())), &frames(1..=4)).unwrap_err();
    (failed.settled, failed.refused, failed.error, server)
}

#[test]
fn a_request_says_what_it_is() {
    let server = Server::start(status(204));
    send(&mut transport(plaintext(&server.url())), &frames(1..=3)).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/ingest"));
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    assert_eq!(header("content-type"), Some("application/x-ndjson"));
    assert!(header("user-agent").unwrap().starts_with("townlet-telemetry/"));
    assert_eq!(header("idempotency-key").unwrap().len(), 34);
    assert!(header("authorization").is_none() && header("content-encoding").is_none());
}

#[test]
fn one_connection_serves_many_batches() {
    let server = Server::start(status(200));
    let mut sink = transport(plaintext(&server.url()));
    for seq in 1..=20 {
        send(&mut sink, &[frame(seq)]).unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 20));
}

#[test]
fn a_peer_that_is_busy_is_tried_again_with_the_same_key_and_after_the_time_it_asks_for() {
    let later = "Retry-After: 7\r\n".to_owned();
    let server = Server::start(status(200)).then(Reply::Status(503, later)).then(status(429)).then(status(500));
    let mut sink = transport(plaintext(&server.url()));
    let failed = send(&mut sink, &frames(1..=4)).unwrap_err();
    assert_eq!((failed.settled, failed.error.kind()), (0, ErrorKind::Unavailable));
    assert_eq!(failed.error.retry_after(), Some(Duration::from_secs(7)));
    for _ in 0..2 {
        assert!(sink.connect().unwrap().fresh, "what the peer has is uncertain");
        // More has come in between; what the peer may know goes out as it was.
        assert!(sink.send(&frames(1..=9)).unwrap_err().error.kind().is_retryable());
    }
    send(&mut sink, &frames(1..=9)).unwrap();
    let requests = server.requests();
    let keys: Vec<&String> = requests.iter().map(|request| &request.headers["idempotency-key"]).collect();
    assert!(keys[..4].iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_ne!(keys[4], keys[0]);
    assert_eq!(seqs_of(requests[3].lines()), [1, 2, 3, 4]);
    assert_eq!(seqs_of(requests[4].lines()), [5, 6, 7, 8, 9]);
    assert_eq!(server.connections(), 1, "an answer is no reason to end the connection");
}

#[test]
fn a_redirect_is_an_error_and_is_never_followed() {
    for code in [301, 302, 303, 307, 308] {
        let elsewhere = Server::start(status(200));
        let (settled, _, error, server) = answered(Reply::Status(code, format!("Location: {}\r\n", elsewhere.url())));
        assert_eq!((settled, error.kind()), (0, ErrorKind::Misconfigured));
        assert!(error.to_string().contains(&elsewhere.url()), "{error}");
        assert_eq!((server.requests().len(), elsewhere.connections()), (1, 0));
    }
}

#[test]
fn what_no_content_would_change_is_refused_together() {
    for code in [401, 403, 404, 415] {
        let (settled, refused, error, server) = answered(status(code));
        assert_eq!((settled, refused, error.kind()), (0, 4, ErrorKind::Rejected));
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

/// As the worker does it: drops what is refused, sends the rest again.
fn work_off(server: &Server, mut batch: Vec<Frame>) -> Vec<(u64, ErrorKind)> {
    let mut sink = transport(plaintext(&server.url()));
    let mut dropped = Vec::new();
    while let Err(failed) = send(&mut sink, &batch) {
        batch.drain(..failed.settled);
        assert!(failed.error.kind().is_about_frame(), "{failed}");
        dropped.extend(batch.drain(..failed.refused).map(|frame| (frame.seq(), failed.error.kind())));
    }
    dropped
}

#[test]
fn a_line_that_the_peer_refuses_is_found_and_dropped_alone() {
    let server = Server::start(Reply::Check(400, |body| !body.windows(8).any(|w| w == b"\"seq\":7,")));
    assert_eq!(work_off(&server, frames(1..=16)), [(7, ErrorKind::Rejected)]);
}

#[test]
fn what_is_too_much_at_once_goes_out_in_parts_and_what_is_too_much_alone_is_dropped() {
    let server = Server::start(Reply::Check(413, |body| body.len() <= 1000));
    let batch = (1..=12).map(|seq| frame_of_len(seq, if seq == 5 { 1001 } else { 300 })).collect();
    assert_eq!(work_off(&server, batch), [(5, ErrorKind::TooLarge)]);
    let taken = server.requests().into_iter().filter(|request| request.body.len() <= 1000);
    let seqs: Vec<u64> = taken.flat_map(|request| seqs_of(request.lines())).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12], "each once and in order");
}

#[test]
fn a_batch_that_is_still_being_stored_is_not_taken_for_a_refused_one() {
    let server = Server::start(status(200)).then(Reply::Stall).then(status(409));
    let options = plaintext(&server.url());
    let short = Duration::from_secs(2);
    let mut sink = transport(HttpOptions { send_timeout: short, connect_timeout: short, ..options });
    assert_eq!(send(&mut sink, &frames(1..=3)).unwrap_err().error.kind(), ErrorKind::Timeout);
    assert_eq!(send(&mut sink, &frames(1..=3)).unwrap_err().error.kind(), ErrorKind::Unavailable);
    send(&mut sink, &frames(1..=3)).unwrap();
}
