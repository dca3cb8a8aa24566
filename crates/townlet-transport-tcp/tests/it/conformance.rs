use std::time::Duration;

use townlet_testkit::certs::Pki;
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_testkit::{Case, conformance};
use townlet_transport::Transport;
use townlet_transport_tcp::TcpOptions;

use crate::{SOON, plaintext, tls, transport};

struct Tcp {
    peer: Peer,
    options: TcpOptions,
    _pki: Pki,
}

impl Case for Tcp {
    fn transport(&mut self) -> Box<dyn Transport> {
        Box::new(transport(self.options.clone()))
    }
    fn arrived(&mut self, count: usize) -> Vec<Vec<u8>> {
        assert!(self.peer.wait_for_lines(count, SOON), "{count} lines did not arrive");
        self.peer.lines()
    }
    fn openings(&mut self) -> Option<usize> {
        Some(self.peer.conversations().len())
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        self.peer.go_down();
        true
    }
    fn end_outage(&mut self) {
        self.peer.come_back();
    }
}

fn case(make: impl Fn(&Pki) -> (Peer, TcpOptions)) -> Tcp {
    let pki = Pki::new();
    let (peer, options) = make(&pki);
    Tcp { peer, options: TcpOptions { send_timeout: Duration::from_secs(30), ..options }, _pki: pki }
}

#[test]
fn plaintext_keeps_the_contract() {
    conformance(|| {
        case(|_| {
            let peer = Peer::plain(Behaviour::Record);
            let options = plaintext(&peer.endpoint());
            (peer, options)
        })
    });
}

#[test]
fn tls_without_acknowledgements_keeps_the_contract() {
    conformance(|| {
        case(|pki| {
            let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
            let options = tls(&peer.localhost(), pki);
            (peer, options)
        })
    });
}

#[test]
fn tls_with_acknowledgements_keeps_the_contract() {
    conformance(|| {
        case(|pki| {
            let peer = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &["townlet-ack/1"]), Behaviour::Record);
            let options = tls(&peer.localhost(), pki);
            (peer, options)
        })
    });
}
