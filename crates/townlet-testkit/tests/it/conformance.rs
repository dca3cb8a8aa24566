use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use townlet_testkit::{Case, Script, conformance};
use townlet_transport::{Connected, ErrorKind, Frame, Level, Outcome, SendError, Transport, TransportError};

/// A scripted sink; `wrap` spoils the transport in one way.
struct Scripted {
    script: Script,
    wrap: fn(Box<dyn Transport>) -> Box<dyn Transport>,
}

impl Case for Scripted {
    fn transport(&mut self) -> Box<dyn Transport> {
        (self.wrap)(Box::new(self.script.transport()))
    }
    fn arrived(&mut self, _count: usize) -> Vec<Vec<u8>> {
        self.script.received().iter().map(|line| line[..line.len() - 1].to_vec()).collect()
    }
    fn openings(&mut self) -> Option<usize> {
        Some(self.script.connections())
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        self.script.cut(ErrorKind::Disconnected);
        self.script.fail_next_connects(5, ErrorKind::Unavailable);
        true
    }
    fn end_outage(&mut self) {}
}

fn passes(wrap: fn(Box<dyn Transport>) -> Box<dyn Transport>) -> bool {
    catch_unwind(AssertUnwindSafe(|| conformance(|| Scripted { script: Script::new(), wrap }))).is_ok()
}

#[test]
fn a_faithful_transport_passes() {
    assert!(passes(|inner| inner));
}

/// Changes one thing about a transport.
struct Spoiled<F>(Box<dyn Transport>, F);

impl<F: FnMut(&mut dyn Transport, &[Frame]) -> Result<Outcome, SendError> + Send> Transport for Spoiled<F> {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        self.0.connect()
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        (self.1)(&mut *self.0, batch)
    }
    fn close(&mut self) {
        self.0.close();
    }
}

#[test]
fn a_transport_that_reverses_a_batch_is_found_out() {
    assert!(!passes(|inner| {
        Box::new(Spoiled(inner, |inner: &mut dyn Transport, batch: &[Frame]| {
            let mut batch = batch.to_vec();
            batch.reverse();
            inner.send(&batch)
        }))
    }));
}

#[test]
fn a_transport_that_claims_a_higher_level_is_found_out() {
    assert!(!passes(|inner| {
        Box::new(Spoiled(inner, |inner: &mut dyn Transport, batch: &[Frame]| {
            inner.send(batch).map(|_| Outcome::Settled(Level::Durable))
        }))
    }));
}

#[test]
fn a_transport_that_calls_a_failed_send_settled_is_found_out() {
    assert!(!passes(|inner| {
        Box::new(Spoiled(inner, |inner: &mut dyn Transport, batch: &[Frame]| {
            Ok(inner.send(batch).unwrap_or(Outcome::Settled(Level::Sent)))
        }))
    }));
}

#[test]
fn a_transport_that_opens_its_sink_when_built_is_found_out() {
    assert!(!passes(|mut inner| {
        inner.connect().unwrap();
        inner
    }));
}
