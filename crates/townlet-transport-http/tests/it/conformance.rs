use std::time::Duration;

use townlet_testkit::certs::Pki;
use townlet_testkit::http::{Server, status};
use townlet_testkit::{Case, conformance};
use townlet_transport::{Compression, Format, Transport};
use townlet_transport_http::HttpOptions;

use crate::python::Python;
use crate::{plaintext, tls, transport};

struct Local {
    server: Server,
    options: HttpOptions,
}

impl Case for Local {
    fn transport(&mut self) -> Box<dyn Transport> {
        Box::new(transport(self.options.clone()))
    }
    /// What was answered has arrived.
    fn arrived(&mut self, _count: usize) -> Vec<Vec<u8>> {
        self.server.lines()
    }
    fn openings(&mut self) -> Option<usize> {
        Some(self.server.connections())
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[test]
fn every_format_and_compression_keeps_the_contract() {
    for format in [Format::Ndjson, Format::Json] {
        for compression in [Compression::None, Compression::Gzip] {
            conformance(|| {
                let server = Server::start(status(200));
                let options = HttpOptions {
                    format,
                    compression,
                    send_timeout: Duration::from_secs(30),
                    ..plaintext(&server.url())
                };
                Local { server, options }
            });
        }
    }
}

struct Real {
    python: Python,
    options: HttpOptions,
    _pki: Pki,
}

impl Case for Real {
    fn transport(&mut self) -> Box<dyn Transport> {
        Box::new(transport(self.options.clone()))
    }
    fn arrived(&mut self, _count: usize) -> Vec<Vec<u8>> {
        self.python.lines()
    }
    fn openings(&mut self) -> Option<usize> {
        None
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        self.python.stop();
        true
    }
    fn end_outage(&mut self) {
        self.python.start_again();
    }
}

#[test]
fn a_server_of_somebody_else_keeps_the_contract_with_us_over_tls() {
    if !Python::is_there() {
        return;
    }
    conformance(|| {
        let pki = Pki::new();
        let python = Python::start(Some(&pki.localhost()));
        let options = HttpOptions { compression: Compression::Gzip, ..tls(&python.url(), pki.ca_file()) };
        Real { python, options, _pki: pki }
    });
}
