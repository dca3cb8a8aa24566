//! What answers mean for records, on the wire.

use std::time::Duration;

use prost::Message;
use townlet_testkit::http::{Reply, Request, Server, status};
use townlet_testkit::{frame_of_len, frames, seqs_of};
use townlet_transport::{Auth, ErrorKind, Frame, SecretSource, Transport};
use townlet_transport_otlp::{Encoding, OtlpOptions};

use crate::receiver::{base, lines, records, said, server, taken};
use crate::{plaintext, send, transport};

fn three_rejected(request: &Request) -> Reply {
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
    let partial = ExportLogsPartialSuccess { rejected_log_records: 3, error_message: "too old".into() };
    let body = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    said(request, &body, r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#)
}

#[test]
fn what_a_peer_rejects_of_a_batch_is_dropped_with_its_reason_and_the_rest_is_settled() {
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let server = server().then(Reply::Decide(three_rejected));
        let mut sink = transport(OtlpOptions { encoding, ..plaintext(&base(&server)) });
        let failed = send(&mut sink, &frames(1..=10)).unwrap_err();
        assert_eq!((failed.settled, failed.refused, failed.error.kind()), (7, 3, ErrorKind::Rejected));
        let text = failed.to_string();
        assert!(text.contains("rejected 3 of 10 records") && text.contains("too old"), "{text}");
        // They must not be sent again, and the connection stands.
        send(&mut sink, &frames(11..=12)).unwrap();
        assert_eq!((server.requests().len(), server.connections()), (2, 1));
    }
}

fn more_rejected_than_sent(request: &Request) -> Reply {
    said(request, b"", r#"{"partialSuccess":{"rejectedLogRecords":"999"}}"#)
}

fn a_warning(request: &Request) -> Reply {
    said(request, b"", r#"{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"use attribute x"}}"#)
}

fn less_than_nothing(request: &Request) -> Reply {
    said(request, b"", r#"{"partialSuccess":{"rejectedLogRecords":-4}}"#)
}

#[test]
fn a_partial_success_that_cannot_be_is_bounded_and_a_warning_is_none() {
    let sent = |decide: fn(&Request) -> Reply| {
        let server = Server::start(Reply::Decide(decide));
        let options = OtlpOptions { encoding: Encoding::Json, ..plaintext(&base(&server)) };
        send(&mut transport(options), &frames(1..=4))
    };
    let failed = sent(more_rejected_than_sent).unwrap_err();
    assert_eq!((failed.settled, failed.refused), (0, 4));
    assert!(sent(a_warning).is_ok());
    assert!(sent(less_than_nothing).is_ok());
}

#[test]
fn only_what_the_specification_names_is_retried() {
    for code in [400, 401, 404, 408, 409, 415, 500, 501, 505] {
        let server = Server::start(status(code));
        let failed = send(&mut transport(plaintext(&base(&server))), &frames(1..=4)).unwrap_err();
        assert_eq!((failed.settled, failed.refused, failed.error.kind()), (0, 4, ErrorKind::Rejected), "{code}");
        assert_eq!(server.requests().len(), 1, "nothing of it goes out again");
    }
    for code in [429, 502, 503, 504] {
        let busy = Reply::Status(code, "Retry-After: 7\r\n".into());
        let server = server().then(busy);
        let mut sink = transport(plaintext(&base(&server)));
        let failed = send(&mut sink, &frames(1..=4)).unwrap_err();
        assert_eq!((failed.settled, failed.error.kind()), (0, ErrorKind::Unavailable));
        assert_eq!(failed.error.retry_after(), Some(Duration::from_secs(7)));
        assert!(sink.connect().unwrap().fresh, "what the peer has is uncertain");
        sink.send(&frames(1..=4)).unwrap();
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn the_peers_own_words_say_why() {
    let body = br#"{"code":3,"message":"field x is\nunknown"}"#.to_vec();
    let bad = Reply::Body(400, "Content-Type: application/json\r\n".into(), body);
    let server = Server::start(bad);
    let failed = send(&mut transport(plaintext(&base(&server))), &frames(1..=1)).unwrap_err();
    assert!(failed.to_string().contains("/v1/logs answered 400 Bad Request: field x is unknown"), "{failed}");
}

#[test]
fn a_page_is_not_taken_for_an_answer_and_a_redirect_is_never_followed() {
    let page = Reply::Body(200, "Content-Type: text/html\r\n".into(), b"<h1>Welcome</h1>".to_vec());
    let endless = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{".to_vec();
    let moved = Reply::Status(308, "Location: https://new.example/v1/logs\r\n".into());
    let nothing = Reply::Body(204, String::new(), Vec::new());
    let silent = Reply::Body(200, String::new(), Vec::new());
    for (reply, kind, says) in [
        (nothing, ErrorKind::Misconfigured, "not as OTLP does"),
        (silent, ErrorKind::Misconfigured, "not as OTLP does"),
        (page, ErrorKind::Misconfigured, "not as OTLP does"),
        (Reply::Raw(endless), ErrorKind::Misconfigured, "not as OTLP does"),
        (moved, ErrorKind::Misconfigured, "https://new.example/v1/logs"),
    ] {
        let server = Server::start(reply);
        let short = Duration::from_secs(2);
        let options = plaintext(&base(&server));
        let options = OtlpOptions { send_timeout: short, connect_timeout: short, ..options };
        let failed = send(&mut transport(options), &frames(1..=2)).unwrap_err();
        assert_eq!((failed.settled, failed.error.kind()), (0, kind), "{failed}");
        assert!(failed.to_string().contains(says) && failed.error.kind().is_retryable(), "{failed}");
    }
}

fn at_most_2000(request: &Request) -> Reply {
    if request.body.len() > 2000 { status(413) } else { taken(request) }
}

/// As the worker does it: drops what is refused, sends the rest again.
fn work_off(options: OtlpOptions, mut batch: Vec<Frame>) -> Vec<(u64, ErrorKind)> {
    let mut sink = transport(options);
    let mut dropped = Vec::new();
    while let Err(failed) = send(&mut sink, &batch) {
        batch.drain(..failed.settled);
        assert!(failed.error.kind().is_about_frame(), "{failed}");
        dropped.extend(batch.drain(..failed.refused).map(|frame| (frame.seq(), failed.error.kind())));
    }
    dropped
}

#[test]
fn what_is_too_much_at_once_goes_out_in_parts_and_what_is_too_much_alone_is_dropped() {
    let batch = || (1..=12).map(|seq| frame_of_len(seq, if seq == 5 { 3000 } else { 300 })).collect();
    let there = Server::start(Reply::Decide(at_most_2000));
    assert_eq!(work_off(plaintext(&base(&there)), batch()), [(5, ErrorKind::TooLarge)]);
    let took: Vec<_> = there.requests().into_iter().filter(|request| request.body.len() <= 2000).collect();
    assert_eq!(took.iter().map(|request| records(request).len()).sum::<usize>(), 11);

    // By our own limit nothing that is too large even leaves.
    let here = server();
    let options = OtlpOptions { max_request_bytes: 2000, ..plaintext(&base(&here)) };
    assert_eq!(work_off(options, batch()), [(5, ErrorKind::TooLarge)]);
    assert!(here.requests().iter().all(|request| request.body.len() <= 2000));
    assert_eq!(seqs_of(lines(&here)), [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12], "each once and in order");
}

fn only_the_new_token(request: &Request) -> Reply {
    if request.headers["authorization"] == "Bearer hunter3" { taken(request) } else { status(401) }
}

#[test]
fn a_token_that_was_renewed_is_taken_up_when_the_old_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hunter2\n").unwrap();
    let server = Server::start(Reply::Decide(only_the_new_token));
    let auth = Some(Auth::Bearer(SecretSource::File(path.clone())));
    let mut sink = transport(OtlpOptions { auth, ..plaintext(&base(&server)) });
    sink.connect().unwrap();
    std::fs::write(&path, "hunter3\n").unwrap();
    let failed = sink.send(&frames(1..=1)).unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unavailable, "the frame waits: {failed}");
    assert!(!failed.to_string().contains("hunter"), "{failed}");
    send(&mut sink, &frames(1..=1)).unwrap();
}

#[test]
fn however_the_peer_fails_the_call_ends_in_time_and_the_next_one_works() {
    let limit = Duration::from_secs(2);
    for (reply, kind) in [
        (Reply::Stall, ErrorKind::Timeout),
        (Reply::Reset, ErrorKind::Disconnected),
        (Reply::HalfClose, ErrorKind::Disconnected),
    ] {
        let server = server().then(reply);
        let options = plaintext(&base(&server));
        let mut sink = transport(OtlpOptions { send_timeout: limit, connect_timeout: limit, ..options });
        let started = std::time::Instant::now();
        let failed = send(&mut sink, &frames(1..=4)).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        assert_eq!((failed.settled, failed.error.kind()), (0, kind), "{failed}");
        send(&mut sink, &frames(1..=4)).unwrap();
    }
}
