use std::io::Read;
use std::time::{Duration, Instant};

use townlet_testkit::logged;
use townlet_testkit::peer::{Behaviour, Peer};
use townlet_tls::{Endpoint, Plaintext, PlaintextFlags, PlaintextRefused as Refused};

fn ask(allow_plaintext: bool, dev_allow_plaintext: bool, endpoint: &str) -> Result<Plaintext, Refused> {
    Plaintext::allow(PlaintextFlags { allow_plaintext, dev_allow_plaintext }, &Endpoint::parse(endpoint).unwrap())
}

#[test]
fn plaintext_needs_both_flags_and_a_loopback_endpoint() {
    for endpoint in ["localhost:9000", "127.0.0.1:9000", "[::1]:9000"] {
        assert_eq!(ask(true, true, endpoint).unwrap().endpoint().to_string(), endpoint);
        assert_eq!(ask(false, true, endpoint), Err(Refused::NotAllowed));
        assert_eq!(ask(true, false, endpoint), Err(Refused::NotAcknowledged));
        assert_eq!(ask(false, false, endpoint), Err(Refused::NotAllowed));
    }
    let refused = ask(true, true, "collector.example:9000").unwrap_err();
    assert!(matches!(refused, Refused::NotLoopback(_)));
    assert!(refused.to_string().contains("collector.example:9000"), "{refused}");
}

#[test]
fn a_granted_endpoint_is_dialled_and_each_time_is_logged() {
    let peer = Peer::plain(Behaviour::AcceptAndClose);
    let plaintext = ask(true, true, &peer.localhost()).unwrap();
    let log = logged(|| {
        for _ in 0..2 {
            let mut socket = plaintext.dial(Instant::now() + Duration::from_secs(60)).unwrap();
            assert_eq!(socket.read(&mut [0]).unwrap(), 0);
        }
    });
    let line = format!("telemetry_tcp_plaintext_enabled endpoint={}", peer.localhost());
    assert_eq!(log.lines().filter(|l| l.contains("WARN") && l.contains(&line)).count(), 2, "{log}");
}
