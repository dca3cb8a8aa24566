use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use townlet_testkit::{Case, conformance};
use townlet_transport::{Factory, Settings, Transport};
use townlet_transport_stdout::{StdoutFactory, StdoutTransport};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Never all at once.
        let some = bytes.len().div_ceil(2);
        self.0.lock().unwrap().extend_from_slice(&bytes[..some]);
        Ok(some)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Case for Shared {
    fn transport(&mut self) -> Box<dyn Transport> {
        Box::new(StdoutTransport::to_writer(self.clone()))
    }
    fn arrived(&mut self, _count: usize) -> Vec<Vec<u8>> {
        let content = self.0.lock().unwrap().clone();
        assert!(content.is_empty() || content.ends_with(b"\n"), "a torn last line");
        content.strip_suffix(b"\n").map(|c| c.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()).unwrap_or_default()
    }
    fn openings(&mut self) -> Option<usize> {
        None
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[test]
fn standard_output_keeps_the_contract() {
    conformance(Shared::default);
}

#[test]
fn the_factory_answers_to_its_name() {
    assert_eq!(StdoutFactory.kind(), "stdout");
    let mut sink = StdoutFactory.build(&Settings::default()).unwrap();
    assert_eq!(sink.connect().unwrap().peer, "stdout");
}
