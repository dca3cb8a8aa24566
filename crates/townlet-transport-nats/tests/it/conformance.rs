use std::time::{Duration, Instant};

use townlet_testkit::nats::NatsServer;
use townlet_testkit::{Case, conformance, frame, frames};
use townlet_transport::{Connected, Frame, Label, Level, Outcome, SendError, Transport, TransportError};

use crate::{STREAM, deliver, options, stored, there, transport};
use townlet_transport_nats::NatsTransport;

struct Local(NatsServer);

impl Local {
    fn start() -> Self {
        Self(NatsServer::start("max_payload: 4MB"))
    }
}

/// The suite sends the same frames several times and wants to see each of them, but the
/// server knows what comes again by its id: so each batch is of another run.
struct Renamed {
    inner: NatsTransport,
    sends: u64,
}

impl Transport for Renamed {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        self.inner.connect()
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        self.sends += 1;
        let rename = |frame: &Frame| {
            let label = Label::new(&format!("run-{}", self.sends), frame.label().stream());
            Frame::new(label, frame.kind(), frame.seq(), frame.tick(), frame.bytes())
        };
        self.inner.send(&batch.iter().map(rename).collect::<Vec<_>>())
    }
    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        self.inner.receipts(wait)
    }
    fn flush(&mut self) -> Result<(), TransportError> {
        self.inner.flush()
    }
    fn close(&mut self) {
        self.inner.close();
    }
}

impl Case for Local {
    fn transport(&mut self) -> Box<dyn Transport> {
        let mut options = options(&self.0.url());
        options.nats.connect_timeout = Duration::from_secs(3);
        options.nats.request_timeout = Duration::from_secs(20);
        Box::new(Renamed { inner: transport(options), sends: 0 })
    }
    fn arrived(&mut self, count: usize) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let all = stored::all_if_there(&self.0.url(), STREAM);
            if all.len() >= count || Instant::now() >= deadline {
                return all.into_iter().map(|one| one.content).collect();
            }
        }
    }
    /// Ours and those of the tests are not told apart.
    fn openings(&mut self) -> Option<usize> {
        None
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        self.0.kill();
        true
    }
    fn end_outage(&mut self) {
        self.0.start_again();
    }
}

#[test]
fn it_keeps_the_contract_of_transports() {
    if there() {
        conformance(Local::start);
    }
}

#[test]
fn building_and_connecting_open_one_connection_and_closing_ends_it() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let mut sink = transport(options(&server.url()));
    assert_eq!(server.connections(), 0, "building touches no network");
    let first = sink.connect().unwrap();
    assert!(first.fresh && first.level == Level::PeerAcked && !first.tls);
    assert!(!sink.connect().unwrap().fresh);
    deliver(&mut sink, &frames(1..=3)).unwrap();
    assert_eq!(server.connections(), 1);
    sink.close();
    sink.close();
    assert!(sink.connect().unwrap().fresh);
    assert_eq!(server.connections(), 2);
    drop(sink);
}

#[test]
fn a_message_that_comes_again_is_known_by_its_id() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let mut sink = transport(options(&server.url()));
    deliver(&mut sink, &frames(1..=50)).unwrap();
    sink.close();
    // As after a connection that broke before its acknowledgements came.
    deliver(&mut sink, &frames(30..=60)).unwrap();
    let all = stored::all(&server.url(), STREAM);
    assert_eq!(all.len(), 60, "the stream has each of them once");
    let (label, last) = (frame(1).label().clone(), all.last().unwrap());
    assert_eq!(last.id, format!("{}/{}/60", label.run_id(), label.stream()));
    let subject = options(&server.url()).subject.of(&label);
    assert!(all.iter().all(|one| one.subject == subject), "one subject for a stream: {subject}");
}

#[test]
fn many_are_in_flight_at_a_time_and_the_window_is_kept() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let mut narrow = options(&server.url());
    narrow.in_flight = 1;
    let mut sink = transport(narrow);
    deliver(&mut sink, &frames(1..=20)).unwrap();
    let mut sink = transport(options(&server.url()));
    deliver(&mut sink, &frames(21..=5020)).unwrap();
    let all = stored::all(&server.url(), STREAM);
    assert_eq!(townlet_testkit::seqs_of(all.iter().map(|one| &one.content)), (1..=5020).collect::<Vec<u64>>());
}

#[test]
fn it_may_be_used_and_dropped_inside_an_async_context() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sink = transport(options(&server.url()));
        deliver(&mut sink, &frames(1..=3)).unwrap();
    });
    assert_eq!(stored::all(&server.url(), STREAM).len(), 3);
}
