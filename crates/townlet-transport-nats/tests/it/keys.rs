//! Users that are keys: NKeys that a server lists, and users whom an operator's account signed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use townlet_testkit::nats::NatsServer;
use townlet_testkit::nats_users::{Operator, keep_secret, nkey_user};
use townlet_testkit::{certs::Pki, frames};
use townlet_transport::{Auth, ErrorKind, SecretSource, Transport};
use townlet_transport_nats::{NatsTransport, NatsTransportOptions};

use crate::{deliver, insist, options, there, transport};

fn shows(server: &NatsServer, auth: fn(SecretSource) -> Auth, file: PathBuf) -> NatsTransportOptions {
    let mut options = options(&server.url());
    options.nats.auth = Some(auth(SecretSource::File(file)));
    options
}

/// What is said where the server does not let us in; the stream stays as it is.
fn refused(sink: &mut NatsTransport, says: &str) {
    let error = deliver(sink, &frames(1..=2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("does not let us in") && error.to_string().contains(says), "{says}: {error}");
}

#[test]
fn an_nkey_that_the_server_lists_comes_in_and_another_is_named() {
    if !there() {
        return;
    }
    let folder = Pki::new();
    let ((seed, public), (other, stranger)) = (nkey_user(), nkey_user());
    let server = NatsServer::start(&format!("authorization {{ users: [ {{ nkey: {public} }} ] }}"));
    let file = keep_secret(folder.dir(), "shard.nk", &format!("{other}\n"));
    let mut sink = transport(shows(&server, Auth::NkeySeed, file));
    refused(&mut sink, &stranger);
    // The seed is read for each connection.
    keep_secret(folder.dir(), "shard.nk", &format!("{seed}\n"));
    deliver(&mut sink, &frames(1..=20)).unwrap();
    assert_eq!(server.messages(), 20);
}

#[test]
fn a_user_of_an_operators_account_comes_in_by_its_credentials() {
    if !there() {
        return;
    }
    let (folder, operator) = (Pki::new(), Operator::new());
    let server = NatsServer::start(&operator.server_config());
    let creds = |text: &str| keep_secret(folder.dir(), "shard.creds", text);
    let mut sink = transport(shows(&server, Auth::Credentials, creds(&operator.expired_credentials())));
    refused(&mut sink, " s ago: renew the file");
    creds(&operator.foreign_credentials());
    refused(&mut sink, "knows the account");
    creds("-----BEGIN NATS USER JWT-----\n");
    let damaged = deliver(&mut sink, &frames(1..=2)).unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::Misconfigured);
    assert!(damaged.to_string().contains("auth.credentials_file: the file"), "{damaged}");
    creds(&operator.credentials(None));
    deliver(&mut sink, &frames(1..=20)).unwrap();
    assert_eq!(server.messages(), 20);
}

#[test]
fn credentials_that_end_on_an_open_connection_are_renewed_from_their_file() {
    if !there() {
        return;
    }
    let (folder, operator) = (Pki::new(), Operator::new());
    let server = NatsServer::start(&operator.server_config());
    let creds = |text: &str| keep_secret(folder.dir(), "shard.creds", text);
    // As short as this machine can be quick.
    let lifetimes = [2, 4, 8, 16, 32].map(Duration::from_secs);
    let sink = lifetimes.into_iter().find_map(|lifetime| {
        let file = creds(&operator.credentials(Some(lifetime)));
        let mut sink = transport(shows(&server, Auth::Credentials, file));
        deliver(&mut sink, &frames(1..=10)).ok().map(|()| sink)
    });
    let mut sink = sink.expect("a server that lets somebody in");
    let deadline = Instant::now() + Duration::from_secs(60);
    creds(&operator.expired_credentials());
    let error = loop {
        match sink.connect() {
            Ok(_) => std::thread::park_timeout(Duration::from_millis(50)),
            Err(error) => break error,
        }
        assert!(Instant::now() < deadline, "the server keeps whose time is over");
    };
    assert!(error.to_string().contains(" s ago: renew the file"), "{error}");
    creds(&operator.credentials(None));
    insist(&mut sink, &frames(11..=20));
    assert_eq!(server.messages(), 20);
}
