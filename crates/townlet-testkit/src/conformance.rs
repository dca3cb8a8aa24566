//! What every transport has to keep, as one function.

use std::time::{Duration, Instant};

use townlet_transport::{Connected, Frame, Outcome, SendError, Transport};

use crate::frames::{frame_of_len, frames};

/// One transport with the place it sends to, as the suite needs them.
///
/// Each check makes a new one.
pub trait Case {
    /// Builds the transport under test. Called once.
    fn transport(&mut self) -> Box<dyn Transport>;

    /// Waits until `count` whole lines have arrived, as long as the test is
    /// ready to wait; returns all that have, without `\n`. Run markers and other
    /// lines that the transport adds itself are left out.
    fn arrived(&mut self, count: usize) -> Vec<Vec<u8>>;

    /// For a sink that counts lines and keeps none: how many have arrived, and
    /// their bytes with each `\n`. Checked in the place of [`arrived`](Self::arrived).
    fn sums(&mut self) -> Option<(u64, u64)> {
        None
    }

    /// How often the sink was opened: connections accepted, files that exist.
    /// `None` where nothing can be counted.
    fn openings(&mut self) -> Option<usize>;

    /// The longest that any one call may take.
    fn call_limit(&self) -> Duration;

    /// Takes the sink away, connections included; returns false where that
    /// cannot happen to it. A `connect` or `send` has to fail after it.
    fn begin_outage(&mut self) -> bool {
        false
    }

    /// Brings the sink back.
    fn end_outage(&mut self) {}
}

/// Checks that a transport keeps the contract of [`Transport`].
///
/// # Panics
/// Where it does not; the message names the promise that was broken.
pub fn conformance<C: Case>(mut make: impl FnMut() -> C) {
    construction_touches_nothing(make());
    connecting_twice_opens_once(make());
    an_empty_batch_is_settled_and_sends_nothing(make());
    lines_of_all_sizes_arrive_whole_in_order_and_byte_for_byte(make());
    flush_and_close_can_be_repeated_and_a_closed_sink_opens_again(make());
    sending_without_a_connection_does_not_lie(make());
    a_sink_that_is_down_from_the_start_is_an_error_to_retry(make());
    nothing_settled_is_lost_in_an_outage(make());
}

/// A transport whose calls are timed.
struct Timed {
    inner: Box<dyn Transport>,
    limit: Duration,
}

impl Timed {
    fn of(case: &mut impl Case) -> Self {
        Self { limit: case.call_limit(), inner: case.transport() }
    }

    fn time<R>(&mut self, what: &str, call: impl FnOnce(&mut dyn Transport) -> R) -> R {
        let started = Instant::now();
        let result = call(&mut *self.inner);
        let took = started.elapsed();
        assert!(took <= self.limit, "{what} took {took:?}, its limit is {:?}", self.limit);
        result
    }

    fn connect(&mut self) -> Result<Connected, townlet_transport::TransportError> {
        self.time("connect", |t| t.connect())
    }

    /// Sends and waits for receipts; says how many frames settled, and why no more.
    fn deliver(&mut self, batch: &[Frame]) -> (usize, Option<SendError>) {
        let level = match self.connect() {
            Ok(connected) => connected.level,
            Err(error) => return (0, Some(error.into())),
        };
        match self.time("send", |t| t.send(batch)) {
            Ok(Outcome::Settled(reached)) => {
                assert_eq!(reached, level, "a batch settles at the level that connect promised");
                (batch.len(), None)
            }
            Ok(_) => self.receive(batch.len()),
            Err(error) => {
                assert!(error.settled <= batch.len(), "{} of {} settled", error.settled, batch.len());
                (error.settled, Some(error))
            }
        }
    }

    fn receive(&mut self, pending: usize) -> (usize, Option<SendError>) {
        let deadline = Instant::now() + self.limit;
        let mut settled = 0;
        while settled < pending && Instant::now() < deadline {
            match self.time("receipts", |t| t.receipts(Duration::from_millis(200))) {
                Ok(more) => settled += more,
                Err(error) => return (settled, Some(error.into())),
            }
            assert!(settled <= pending, "{settled} receipts for {pending} frames");
        }
        (settled, None)
    }

    fn deliver_all(&mut self, batch: &[Frame]) {
        let (settled, error) = self.deliver(batch);
        assert!(error.is_none(), "a healthy sink refused frames: {error:?}");
        assert_eq!(settled, batch.len(), "a healthy sink settles every frame");
    }
}

fn content(frames: &[Frame]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.line()[..frame.len() - 1].to_vec()).collect()
}

fn assert_same(got: &[Vec<u8>], expected: &[Vec<u8>]) {
    assert_eq!(got.len(), expected.len(), "as many lines as were sent");
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        // Not assert_eq!: a megabyte of mismatch helps nobody.
        assert!(got == expected, "line {at} differs: {} bytes arrived, {} were sent", got.len(), expected.len());
    }
}

/// Exactly these lines have arrived.
fn assert_arrived(case: &mut impl Case, expected: &[Vec<u8>]) {
    match case.sums() {
        Some(sums) => {
            let bytes: usize = expected.iter().map(|line| line.len() + 1).sum();
            assert_eq!(sums, (expected.len() as u64, bytes as u64), "as many lines and bytes as were sent");
        }
        None => assert_same(&case.arrived(expected.len()), expected),
    }
}

fn construction_touches_nothing(mut case: impl Case) {
    let before = case.openings();
    let mut transport = Timed::of(&mut case);
    assert_eq!(case.openings(), before, "building a transport must not open its sink");
    transport.time("close before connect", |t| t.close());
}

fn connecting_twice_opens_once(mut case: impl Case) {
    let before = case.openings();
    let mut transport = Timed::of(&mut case);
    let first = transport.connect().expect("a healthy sink can be opened");
    let second = transport.connect().expect("an open sink stays open");
    assert!(!second.fresh, "the second connect reuses the connection");
    assert_eq!((first.level, first.tls), (second.level, second.tls));
    transport.deliver_all(&frames(1..=1));
    assert_arrived(&mut case, &content(&frames(1..=1)));
    if let (Some(before), Some(after)) = (before, case.openings()) {
        assert_eq!(after - before, 1, "one connection for two connects");
    }
}

fn an_empty_batch_is_settled_and_sends_nothing(mut case: impl Case) {
    let mut transport = Timed::of(&mut case);
    transport.deliver_all(&[]);
    transport.deliver_all(&frames(1..=2));
    transport.deliver_all(&[]);
    assert_arrived(&mut case, &content(&frames(1..=2)));
}

fn lines_of_all_sizes_arrive_whole_in_order_and_byte_for_byte(mut case: impl Case) {
    let mut transport = Timed::of(&mut case);
    let sizes = [1, 2, 3, 200, 1, 65_535, 65_536, 65_537, 1, 1 << 20, 40];
    let all: Vec<Frame> = (1..).zip(sizes).map(|(seq, len)| frame_of_len(seq, len)).collect();
    let many: Vec<Frame> = (100..1100).map(|seq| frame_of_len(seq, 300)).collect();
    transport.deliver_all(&all);
    for one in &all {
        transport.deliver_all(std::slice::from_ref(one));
    }
    transport.deliver_all(&many);
    let expected = [content(&all), content(&all), content(&many)].concat();
    assert_arrived(&mut case, &expected);
}

fn flush_and_close_can_be_repeated_and_a_closed_sink_opens_again(mut case: impl Case) {
    let mut transport = Timed::of(&mut case);
    transport.deliver_all(&frames(1..=2));
    for _ in 0..2 {
        transport.time("flush", |t| t.flush()).expect("a healthy sink flushes");
    }
    for _ in 0..2 {
        transport.time("close", |t| t.close());
    }
    transport.deliver_all(&frames(3..=4));
    assert_arrived(&mut case, &content(&frames(1..=4)));
}

fn sending_without_a_connection_does_not_lie(mut case: impl Case) {
    let mut transport = Timed::of(&mut case);
    let settled = match transport.time("send", |t| t.send(&frames(1..=1))) {
        Ok(Outcome::Settled(_)) => 1,
        Ok(_) => 0,
        Err(error) => error.settled,
    };
    assert_arrived(&mut case, &content(&frames(1..=settled as u64)));
}

fn a_sink_that_is_down_from_the_start_is_an_error_to_retry(mut case: impl Case) {
    if !case.begin_outage() {
        return;
    }
    let mut transport = Timed::of(&mut case);
    for _ in 0..3 {
        let (settled, error) = transport.deliver(&frames(1..=2));
        let error = error.expect("a sink that is down is an error").error;
        assert_eq!(settled, 0, "nothing settles while the sink is down");
        assert!(error.kind().is_retryable(), "a sink that is down may come back, not: {error}");
    }
    case.end_outage();
    let unsettled = retry(&mut transport, frames(1..=2));
    assert!(unsettled.is_empty(), "the sink is back, but {} frames do not settle", unsettled.len());
    assert_arrived(&mut case, &content(&frames(1..=2)));
}

/// As a worker does it: what did not settle is sent again, in order.
fn retry(transport: &mut Timed, mut queue: Vec<Frame>) -> Vec<Frame> {
    for _ in 0..50 {
        if queue.is_empty() {
            break;
        }
        let (settled, _) = transport.deliver(&queue);
        queue.drain(..settled);
    }
    queue
}

fn nothing_settled_is_lost_in_an_outage(mut case: impl Case) {
    let mut transport = Timed::of(&mut case);
    transport.deliver_all(&frames(1..=3));
    assert_arrived(&mut case, &content(&frames(1..=3)));
    if !case.begin_outage() {
        return;
    }
    let mut queue = frames(4..=20);
    let mut failures = 0;
    for _ in 0..5 {
        let (settled, error) = transport.deliver(&queue[..queue.len().min(4)]);
        queue.drain(..settled);
        failures += usize::from(error.is_some());
    }
    assert_eq!(failures, 5, "every send during an outage fails");
    assert_eq!(queue.len(), 17, "nothing settles while the sink is away");
    case.end_outage();
    let unsettled = retry(&mut transport, queue);
    assert!(unsettled.is_empty(), "the sink is back, but {} frames do not settle", unsettled.len());
    // What was in doubt may have come twice; what settled may not be missing.
    let expected = content(&frames(1..=20));
    if case.sums().is_some() {
        return assert_arrived(&mut case, &expected);
    }
    let mut got = case.arrived(20);
    got.dedup();
    assert_same(&got, &expected);
}
