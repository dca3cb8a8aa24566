//! Answers to the opening handshake, and none at all.

use std::time::{Duration, Instant};

use townlet_testkit::certs::Pki;
use townlet_transport::{ErrorKind, Transport, TransportError};
use townlet_transport_websocket::{Secret, Token, WsOptions};

use crate::peer::{Manner, Peer};
use crate::{plaintext, transport};

fn answered(answer: &'static str, token: Option<&str>) -> TransportError {
    let peer = Peer::start(Manner::Answer(answer));
    let token = token.map(|text| Token::Given(Secret::new(text).unwrap()));
    let error = transport(WsOptions { token, ..plaintext(peer.address) }).connect().unwrap_err();
    assert_eq!(peer.look(|seen| seen.openings), 1, "it asks once: {error}");
    error
}

#[test]
fn each_answer_has_its_kind_and_says_what_to_do() {
    use ErrorKind::{Misconfigured, Unavailable};
    for (status, kind, hint) in [
        ("301 Moved Permanently", Misconfigured, "write the final URL"),
        ("307 Temporary Redirect", Misconfigured, "write the final URL"),
        ("401 Unauthorized", Misconfigured, "set auth.bearer_file"),
        ("404 Not Found", Misconfigured, "no WebSocket at this path"),
        ("200 OK", Misconfigured, "does not take a WebSocket here"),
        ("429 Too Many Requests", Unavailable, "cannot take a connection now"),
        ("500 Internal Server Error", Unavailable, "cannot take a connection now"),
        ("503 Service Unavailable", Unavailable, "cannot take a connection now"),
    ] {
        let head = format!("HTTP/1.1 {status}\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
        let error = answered(head.leak(), None);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(hint) && error.to_string().contains(&status[..3]), "{error}");
    }
}

#[test]
fn a_refusal_that_asks_to_come_later_is_told_to_the_worker_within_bounds() {
    let pause = |status: &str, after: &str| {
        let head = format!("HTTP/1.1 {status}\r\n{after}Content-Length: 0\r\n\r\n");
        answered(head.leak(), None).retry_after()
    };
    let seconds = |n| Some(Duration::from_secs(n));
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        assert_eq!(pause(status, "Retry-After: 7\r\n"), seconds(7));
        assert_eq!(pause(status, "retry-after:  120 \r\n"), seconds(120));
        assert_eq!(pause(status, "Retry-After: 99999999999999999999999\r\n"), Some(TransportError::LONGEST_PAUSE));
        for none in ["", "Retry-After: -5\r\n", "Retry-After: soon\r\n", "Retry-After: \r\n"] {
            assert_eq!(pause(status, none), None, "{none:?}");
        }
    }
}

#[test]
fn a_token_that_is_refused_is_blamed_and_not_shown() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let head = format!("HTTP/1.1 {status}\r\n\r\n");
        let error = answered(head.leak(), Some("s3cret"));
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("does not accept our token"), "{error}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn what_is_no_websocket_is_told_apart() {
    for (answer, hint) in [
        ("SSH-2.0-OpenSSH_9.9\r\n", "no HTTP"),
        ("HTTP/1.0 101 Fine\r\n\r\n", "another HTTP version"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "something else"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
             s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "another handshake",
        ),
    ] {
        let error = answered(answer, None);
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{answer}: {error}");
        assert!(error.to_string().contains(hint), "{answer}: {error}");
    }
    let endless = format!("HTTP/1.1 101 Fine\r\nX: {}", "x".repeat(64 * 1024));
    let error = answered(endless.leak(), None);
    assert!(error.to_string().contains("does not end"), "{error}");
}

#[test]
fn a_peer_that_never_answers_ends_the_connect_within_its_time() {
    let peer = Peer::start(Manner::Silent);
    let options = WsOptions { connect_timeout: Duration::from_millis(200), ..plaintext(peer.address) };
    let begun = Instant::now();
    let error = transport(options).connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("did not answer the WebSocket handshake in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn the_token_is_shown_and_read_anew_for_each_connection() {
    let (peer, folder) = (Peer::start(Manner::Acknowledge), Pki::new());
    let file = folder.dir().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let token = Some(Token::File(file.clone()));
    let mut sink = transport(WsOptions { token, ..plaintext(peer.address) });
    sink.connect().unwrap();
    sink.close();
    std::fs::write(&file, "second").unwrap();
    sink.connect().unwrap();
    let shown = peer.look(|seen| seen.asked.iter().map(|asked| asked.authorization.clone()).collect::<Vec<_>>());
    assert_eq!(shown, [Some("Bearer first".to_owned()), Some("Bearer second".to_owned())]);
    sink.close();
    std::fs::write(&file, "two words").unwrap();
    let error = sink.connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("auth.bearer_file") && !error.to_string().contains("words"), "{error}");
}
