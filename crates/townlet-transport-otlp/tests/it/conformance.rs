use std::net::SocketAddr;
use std::time::Duration;

use townlet_testkit::http::{Reply, Server};
use townlet_testkit::{Case, conformance};
use townlet_transport::{Compression, Transport};
use townlet_transport_otlp::{Encoding, OtlpOptions};

use crate::receiver::{base, lines, server, taken};
use crate::{plaintext, transport};

struct Local {
    address: SocketAddr,
    server: Option<Server>,
    before: Vec<Vec<u8>>,
    options: OtlpOptions,
}

impl Case for Local {
    fn transport(&mut self) -> Box<dyn Transport> {
        Box::new(transport(self.options.clone()))
    }
    /// What was answered has arrived.
    fn arrived(&mut self, _count: usize) -> Vec<Vec<u8>> {
        let now = self.server.as_ref().map(lines).unwrap_or_default();
        [self.before.clone(), now].concat()
    }
    fn openings(&mut self) -> Option<usize> {
        self.server.as_ref().map(Server::connections)
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        self.before = self.arrived(0);
        self.server = None;
        true
    }
    fn end_outage(&mut self) {
        self.server = Some(Server::at(self.address, Reply::Decide(taken)));
    }
}

#[test]
fn every_encoding_and_compression_keeps_the_contract() {
    for (encoding, compression) in [
        (Encoding::Protobuf, Compression::None),
        (Encoding::Protobuf, Compression::Gzip),
        (Encoding::Json, Compression::None),
        (Encoding::Json, Compression::Gzip),
    ] {
        conformance(|| {
            let server = server();
            let options = OtlpOptions {
                encoding,
                compression,
                // Spans and figures go beside the records, over the same connection.
                metrics: true,
                traces: true,
                send_timeout: Duration::from_secs(30),
                ..plaintext(&base(&server))
            };
            Local { address: server.address, server: Some(server), before: Vec::new(), options }
        });
    }
}
