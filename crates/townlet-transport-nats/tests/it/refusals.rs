//! Each way in which a server says no, and what the operator reads of it.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use townlet_testkit::nats::NatsServer;
use townlet_testkit::{frame, frame_of_len, frames};
use townlet_transport::{Auth, ErrorKind, SecretSource, Transport, TransportError};

use crate::{STREAM, deliver, insist, options, stored, there, transport};

fn fails(options: townlet_transport_nats::NatsTransportOptions) -> TransportError {
    deliver(&mut transport(options), &frames(1..=2)).unwrap_err()
}

fn assert_says(error: &TransportError, kind: ErrorKind, says: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in says {
        assert!(error.to_string().contains(part), "{part:?} in: {error}");
    }
}

#[test]
fn a_server_that_is_absent_is_waited_for() {
    if !there() {
        return;
    }
    let mut server = NatsServer::absent("");
    let mut sink = transport(options(&server.url()));
    let error = deliver(&mut sink, &frames(1..=2)).unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, &[&server.url()]);
    server.start_again();
    insist(&mut sink, &frames(1..=2));
    assert_eq!(stored::all(&server.url(), STREAM).len(), 2);
}

#[test]
fn a_stream_that_is_not_there_is_named_with_what_to_do() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let mut absent = options(&server.url());
    absent.create = None;
    assert_says(&fails(absent.clone()), ErrorKind::Misconfigured, &[STREAM, "nats stream add", "nats.create"]);
    // It is there, and takes other subjects: nobody responds to ours.
    stored::make(&server.url(), Config { name: STREAM.into(), subjects: vec!["other.>".into()], ..Config::default() });
    let subject = absent.subject.of(frame(1).label());
    assert_says(&fails(absent.clone()), ErrorKind::Misconfigured, &[&subject, "nats.subject"]);
    // Another stream takes them.
    stored::make(
        &server.url(),
        Config { name: "LOGS".into(), subjects: vec!["townlet.>".into()], ..Config::default() },
    );
    assert_says(&fails(absent), ErrorKind::Misconfigured, &["another stream takes this subject"]);
}

#[test]
fn a_server_without_jetstream_is_told_so() {
    if !there() {
        return;
    }
    let server = NatsServer::start("accounts { A { users: [ {user: ann, password: pw} ] } }\nno_auth_user: ann");
    assert_says(&fails(options(&server.url())), ErrorKind::Misconfigured, &["enable JetStream"]);
}

#[test]
fn whoever_may_not_come_in_or_may_not_publish_is_told_where_to_look() {
    if !there() {
        return;
    }
    let folder = townlet_testkit::certs::Pki::new();
    let secret = folder.dir().join("secret");
    std::fs::write(&secret, "wrong\n").unwrap();
    let server = NatsServer::start("authorization { token: right }");
    let mut asked = options(&server.url());
    assert_says(&fails(asked.clone()), ErrorKind::Misconfigured, &["check auth"]);
    asked.nats.auth = Some(Auth::Bearer(SecretSource::File(secret.clone())));
    let mut sink = transport(asked);
    assert_says(&deliver(&mut sink, &frames(1..=2)).unwrap_err(), ErrorKind::Misconfigured, &["check auth"]);
    // The secret is read for each connection.
    std::fs::write(&secret, "right\n").unwrap();
    insist(&mut sink, &frames(1..=2));

    let server = NatsServer::start(
        "authorization { users: [ {user: ann, password: pw, permissions: {publish: {deny: \"townlet.>\"}}} ] }",
    );
    std::fs::write(&secret, "pw").unwrap();
    let mut asked = options(&server.url());
    asked.nats.request_timeout = Duration::from_millis(500);
    asked.nats.auth = Some(Auth::Basic("ann".into(), SecretSource::File(secret)));
    assert_says(&fails(asked), ErrorKind::Misconfigured, &["Permissions Violation", "let this user publish"]);
}

#[test]
fn a_message_above_a_limit_is_dropped_alone() {
    if !there() {
        return;
    }
    let server = NatsServer::start("max_payload: 2000");
    let config =
        Config { name: STREAM.into(), subjects: vec!["townlet.>".into()], max_message_size: 1000, ..Config::default() };
    stored::make(&server.url(), config);
    let mut sink = transport(options(&server.url()));
    for (length, says) in [(2000, "raise max_payload"), (1500, "max_msg_size")] {
        let batch = [frame(1), frame_of_len(2, length), frame(3)];
        sink.connect().unwrap();
        sink.send(&batch).unwrap();
        let mut settled = 0;
        let error = loop {
            match sink.receipts(Duration::from_secs(5)) {
                Ok(more) => settled += more,
                Err(error) => break error,
            }
        };
        assert_eq!(settled, 1, "those before it are settled");
        assert_says(&error, ErrorKind::TooLarge, &[says]);
        deliver(&mut sink, &batch[2..]).unwrap();
    }
    assert_eq!(stored::all(&server.url(), STREAM).len(), 2);
}

#[test]
fn a_full_stream_that_discards_what_is_new_is_an_error_to_retry() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let config = Config {
        name: STREAM.into(),
        subjects: vec!["townlet.>".into()],
        max_messages: 2,
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    stored::make(&server.url(), config);
    let mut sink = transport(options(&server.url()));
    deliver(&mut sink, &frames(1..=2)).unwrap();
    let error = deliver(&mut sink, &frames(3..=3)).unwrap_err();
    assert_says(&error, ErrorKind::StorageFull, &["raise its limits"]);
}
