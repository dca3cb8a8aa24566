//! What a test tells a transport in memory to do, and what came of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use townlet_transport::{ErrorKind, Level};

use crate::frames::seqs_of;
use crate::scripted::Scripted;
use crate::sync::Watched;

/// What one `send` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Takes the whole batch.
    Take,
    /// Takes `settled` frames, says so, and fails.
    Fail {
        /// Frames at the head that the peer takes and the sender is told of.
        settled: usize,
        /// The kind of the error.
        kind: ErrorKind,
    },
    /// The peer takes `taken` frames, but the sender is told of none: what a
    /// lost acknowledgement looks like. Sending them again makes duplicates.
    TakeButFail {
        /// Frames at the head that the peer takes.
        taken: usize,
        /// The kind of the error.
        kind: ErrorKind,
    },
    /// Panics inside `send`; the peer takes nothing.
    Panic,
    /// Blocks until [`Script::release`], then takes the whole batch.
    Hold,
}

/// The test's side of [`Scripted`] transports: says what they do, and shows
/// what arrived. Clones and all its transports share one peer.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) shared: Arc<Watched<State>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) steps: VecDeque<Step>,
    pub(crate) connect_failures: VecDeque<ErrorKind>,
    pub(crate) level: Level,
    pub(crate) pending: bool,
    pub(crate) acks: usize,
    pub(crate) cut: Option<ErrorKind>,
    pub(crate) released: usize,
    pub(crate) holding: usize,
    pub(crate) received: Vec<Bytes>,
    pub(crate) batches: Vec<usize>,
    pub(crate) sends: usize,
    pub(crate) attempts: usize,
    pub(crate) connections: usize,
    pub(crate) flushes: usize,
    pub(crate) closes: usize,
    pub(crate) misuse: Vec<String>,
}

impl Script {
    /// A peer that takes everything at [`Level::Sent`].
    #[expect(clippy::new_without_default, reason = "a test starts a script, it is not a value with a default")]
    pub fn new() -> Self {
        let state = State {
            steps: VecDeque::new(),
            connect_failures: VecDeque::new(),
            level: Level::Sent,
            pending: false,
            acks: 0,
            cut: None,
            released: 0,
            holding: 0,
            received: Vec::new(),
            batches: Vec::new(),
            sends: 0,
            attempts: 0,
            connections: 0,
            flushes: 0,
            closes: 0,
            misuse: Vec::new(),
        };
        Self { shared: Arc::new(Watched::new(state)) }
    }

    /// Another transport to the same peer, as a restarted worker would build.
    pub fn transport(&self) -> Scripted {
        Scripted { script: self.clone(), open: false, unacked: 0 }
    }

    /// From now on batches settle at `level`.
    pub fn settle_at(&self, level: Level) {
        self.shared.update(|s| s.level = level);
    }

    /// From now on sends are [`Pending`](townlet_transport::Outcome::Pending) and settle by [`ack`](Self::ack).
    pub fn acknowledge_by_hand(&self) {
        self.shared.update(|s| {
            s.pending = true;
            s.level = Level::PeerAcked;
        });
    }

    /// Acknowledges the `count` oldest pending frames.
    pub fn ack(&self, count: usize) {
        self.shared.update(|s| s.acks += count);
    }

    /// Adds a step for the next send that has none yet.
    pub fn then(&self, step: Step) {
        self.shared.update(|s| s.steps.push_back(step));
    }

    /// The next `count` sends fail with `kind`; the peer takes nothing of them.
    pub fn fail_next_sends(&self, count: usize, kind: ErrorKind) {
        for _ in 0..count {
            self.then(Step::Fail { settled: 0, kind });
        }
    }

    /// The next `count` connects fail with `kind`.
    pub fn fail_next_connects(&self, count: usize, kind: ErrorKind) {
        self.shared.update(|s| s.connect_failures.extend(std::iter::repeat_n(kind, count)));
    }

    /// From now on connects succeed, however many were told to fail.
    pub fn come_back(&self) {
        self.shared.update(|s| s.connect_failures.clear());
    }

    /// The `nth` send from now (1 is the next) panics; those before it take all.
    pub fn panic_on_send(&self, nth: usize) {
        for _ in 1..nth {
            self.then(Step::Take);
        }
        self.then(Step::Panic);
    }

    /// The next send blocks until [`release`](Self::release).
    pub fn hold_next_send(&self) {
        self.then(Step::Hold);
    }

    /// Lets one held send go on, now or when it comes.
    pub fn release(&self) {
        self.shared.update(|s| s.released += 1);
    }

    /// Ends the current connection: the next `send` or `receipts` on it fails
    /// with `kind`, and what it had not acknowledged is unsettled.
    pub fn cut(&self, kind: ErrorKind) {
        self.shared.update(|s| s.cut = Some(kind));
    }

    /// Every line the peer took, in order, duplicates included.
    pub fn received(&self) -> Vec<Bytes> {
        self.shared.lock().received.clone()
    }

    /// The `seq` of every line the peer took.
    pub fn received_seqs(&self) -> Vec<u64> {
        seqs_of(self.received())
    }

    /// The size of each batch that was offered, failed ones included.
    pub fn batches(&self) -> Vec<usize> {
        self.shared.lock().batches.clone()
    }

    /// Calls of `send` so far.
    pub fn sends(&self) -> usize {
        self.shared.lock().sends
    }

    /// Calls of `connect` that had to open a connection, failed ones included.
    pub fn connect_attempts(&self) -> usize {
        self.shared.lock().attempts
    }

    /// Connections opened so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Calls of `flush` so far.
    pub fn flushes(&self) -> usize {
        self.shared.lock().flushes
    }

    /// Calls of `close` on an open connection so far.
    pub fn closes(&self) -> usize {
        self.shared.lock().closes
    }

    /// Waits until the peer has `count` lines; returns whether it has.
    #[must_use]
    pub fn wait_for_lines(&self, count: usize, limit: Duration) -> bool {
        self.shared.wait_for(limit, |s| s.received.len() >= count)
    }

    /// Waits until `send` was called `count` times; returns whether it was.
    #[must_use]
    pub fn wait_for_sends(&self, count: usize, limit: Duration) -> bool {
        self.shared.wait_for(limit, |s| s.sends >= count)
    }

    /// Waits until opening a connection was tried `count` times.
    #[must_use]
    pub fn wait_for_connect_attempts(&self, count: usize, limit: Duration) -> bool {
        self.shared.wait_for(limit, |s| s.attempts >= count)
    }

    /// Waits until a send is blocked by a [`Step::Hold`].
    #[must_use]
    pub fn wait_until_held(&self, limit: Duration) -> bool {
        self.shared.wait_for(limit, |s| s.holding > 0)
    }

    /// Fails where a caller broke the contract: a send without a connection, or
    /// on one that an error had ended.
    ///
    /// # Panics
    /// With the list of what was done wrong.
    pub fn assert_contract_kept(&self) {
        let misuse = &self.shared.lock().misuse;
        assert!(misuse.is_empty(), "the caller broke the transport contract: {misuse:?}");
    }
}
