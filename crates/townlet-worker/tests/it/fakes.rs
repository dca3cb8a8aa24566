//! What several modules need: small options, a host in one line, a transport made of closures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use townlet_testkit::{Script, frame_of_len};
use townlet_transport::{Connected, ErrorKind, Frame, Level, Outcome, SendError, Transport, TransportError};
use townlet_worker::{Action, Admission, Machine, Options, Worker};

/// How long a thread may take on a loaded machine before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a loaded machine may add to a deadline: what misses it comes never.
pub(crate) const SLACK: Duration = Duration::from_secs(20);

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Options under which nothing is due by itself: large ticks, 500 ms of age, batches of 8.
pub(crate) fn options() -> Options {
    Options {
        max_queue_length: 100,
        max_buffer_bytes: 100_000,
        max_batch_size: 8,
        flush_interval_ticks: 1_000_000,
        flush_interval: ms(500),
        poll: ms(500),
        backoff: ms(100),
        max_backoff: ms(1000),
        ..Options::default()
    }
}

/// Options under which everything is due at once, and retried soon.
pub(crate) fn eager() -> Options {
    Options { flush_interval_ticks: 0, backoff: ms(1), max_backoff: ms(5), ..options() }
}

pub(crate) fn error(kind: ErrorKind) -> TransportError {
    TransportError::new(kind, "made up by a test")
}

/// Admits frame `seq` of `len` bytes and fills it at once, as [`Worker`] does.
pub(crate) fn offer(machine: &mut Machine, seq: u64, len: usize) -> Admission {
    let frame = frame_of_len(seq, len);
    let admission = machine.admit(0, frame.tick(), frame.len());
    if admission == Admission::Upstream {
        machine.fill(0, 0, frame.len(), frame);
    }
    admission
}

pub(crate) fn take(machine: &mut Machine) -> Vec<Frame> {
    let mut batch = Vec::new();
    machine.take(&mut batch);
    batch
}

pub(crate) fn seqs(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(Frame::seq).collect()
}

/// Polls, insists on a batch being due, and takes it.
pub(crate) fn expect_batch(machine: &mut Machine, now: Duration) -> Vec<Frame> {
    assert_eq!(machine.poll(now), Action::Send, "a batch is due at {now:?}");
    machine.connected(&Connected::fresh("peer", Level::PeerAcked, false)).unwrap();
    take(machine)
}

/// The books of all that `machine` ever accepted.
pub(crate) fn balanced(machine: &Machine) {
    let statement = machine.statement();
    assert_eq!(statement.residual(), 0, "{statement:?}");
}

type SendFn = dyn FnMut(&[Frame]) -> Result<Outcome, SendError> + Send;
type ReceiptsFn = dyn FnMut(Duration) -> Result<usize, TransportError> + Send;
type ConnectFn = dyn FnMut() -> Result<Connected, TransportError> + Send;

/// A transport made of closures.
pub(crate) struct Fake {
    connect: Box<ConnectFn>,
    send: Box<SendFn>,
    receipts: Box<ReceiptsFn>,
}

impl Fake {
    pub(crate) fn sending(send: impl FnMut(&[Frame]) -> Result<Outcome, SendError> + Send + 'static) -> Self {
        Self {
            connect: Box::new(|| Ok(Connected::reused("fake", Level::Sent, false))),
            send: Box::new(send),
            receipts: Box::new(|_| Ok(0)),
        }
    }

    pub(crate) fn connecting(
        mut self,
        connect: impl FnMut() -> Result<Connected, TransportError> + Send + 'static,
    ) -> Self {
        self.connect = Box::new(connect);
        self
    }

    pub(crate) fn receiving(
        mut self,
        receipts: impl FnMut(Duration) -> Result<usize, TransportError> + Send + 'static,
    ) -> Self {
        self.receipts = Box::new(receipts);
        self
    }
}

impl Transport for Fake {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        (self.connect)()
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        (self.send)(batch)
    }
    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        (self.receipts)(wait)
    }
    fn close(&mut self) {}
}

/// A worker whose transports come from `make`.
pub(crate) fn spawn<T: Transport + 'static>(options: Options, make: impl Fn() -> T + Send + Sync + 'static) -> Worker {
    let make = Arc::new(make);
    Worker::spawn(options, move || Ok(Box::new(make()) as Box<dyn Transport>)).unwrap()
}

/// A worker whose transports follow `script`.
pub(crate) fn scripted(options: Options, script: &Script) -> Worker {
    let peer = script.clone();
    spawn(options, move || peer.transport())
}

/// Waits until `ready` holds. The pause between looks is a courtesy to other threads, not a bet on time.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(ms(1));
    }
}
