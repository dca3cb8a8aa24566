use std::time::Duration;

use townlet_testkit::{Case, conformance};
use townlet_transport::Transport;
use townlet_transport_websocket::WsOptions;

use crate::peer::{Manner, Peer};
use crate::{plaintext, transport};

struct Ws(Peer);

impl Case for Ws {
    fn transport(&mut self) -> Box<dyn Transport> {
        let options = WsOptions { send_timeout: Duration::from_secs(30), ..plaintext(self.0.address) };
        Box::new(transport(options))
    }
    fn arrived(&mut self, count: usize) -> Vec<Vec<u8>> {
        self.0.wait_for(|seen| seen.lines.len() >= count);
        self.0.look(|seen| seen.lines.clone())
    }
    fn openings(&mut self) -> Option<usize> {
        Some(self.0.look(|seen| seen.openings))
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        self.0.go_down();
        true
    }
    fn end_outage(&mut self) {
        self.0.come_back();
    }
}

#[test]
fn with_acknowledgements_it_keeps_the_contract() {
    conformance(|| Ws(Peer::start(Manner::Acknowledge)));
}

#[test]
fn without_the_subprotocol_it_keeps_the_contract() {
    conformance(|| Ws(Peer::start(Manner::Plain)));
}
