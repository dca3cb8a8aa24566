//! The worker's decisions, without threads, clocks or I/O.
//!
//! A driver asks [`Machine::poll`] what to do, does it, and reports the result.
//! The same machine runs under real threads and under simulated time.

mod admission;
mod credit;
mod ending;
mod renewal;
mod report;
mod spill;

use std::cell::Cell;
use std::time::Duration;

use townlet_transport::{Frame, Level};

pub use self::credit::{Credit, OnCredit};
use self::renewal::Renewal;
pub(crate) use self::spill::Errand;
use crate::age::Age;
use crate::backoff::{Backoff, RestartWindow};
use crate::queue::Queue;
use crate::{Account, DropReason, Options, Statement, Status, planted};

/// A driver with nothing to do sleeps at least so long, whatever the options say.
const LEAST_SLEEP: Duration = Duration::from_millis(1);

/// The longest that receipts are waited for at a stretch, and the longest that
/// they are not looked for while one batch after the other is due.
const RECEIPTS_EVERY: Duration = Duration::from_millis(20);

/// Frames that are moved under the lock at a time: some microseconds, for which a host spins and does not sleep.
pub const PART: usize = 64;

/// What the driver should do next. Times are on the clock passed to `poll`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until this time, unless woken.
    Wait(Duration),
    /// Turn upstream events into frames ([`Machine::fill`]), then ask again.
    Refill,
    /// Connect, [`take`](Machine::take) a batch and send it.
    Send,
    /// Frames are unacknowledged: wait for receipts at most this long.
    AwaitReceipts(Duration),
    /// Everything is out: flush the transport, close it, report [`Machine::finished`].
    Finish,
    /// Close the connection: an acknowledgement is overdue.
    Disconnect,
    /// Build the transport anew: the parked time is over, or there is another one.
    Rebuild,
    /// The transport on trial has failed: go back to the one before, then as with [`Rebuild`](Self::Rebuild).
    Revert,
    /// The worker has ended; nothing is on its books any more.
    Exit,
}

/// How an event was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is upstream now; the driver will ask for it.
    Upstream,
    /// Counted as accepted and dropped at once, for this reason.
    Dropped(DropReason),
    /// No room. For `drop_oldest`: evict the oldest upstream event and ask
    /// again, or [`refuse`](Machine::refuse) where there is none.
    EvictUpstream,
    /// No room. For `block`: wait and ask again, or give up with
    /// [`admit_evicting`](Machine::admit_evicting). For `fan_out`: use the lane.
    Full,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Too many panics: nothing is tried before this time.
    Parked {
        until: Duration,
    },
    /// Shutting down: everything goes out at once, until this time.
    Draining {
        deadline: Duration,
    },
    /// The sink's reader went away: what comes is dropped as `sink_closed`.
    SinkClosed,
    Finished,
}

/// One sink's worker as a state machine.
#[derive(Debug)]
pub struct Machine {
    options: Options,
    queue: Queue,
    phase: Phase,
    backoff: Backoff,
    restarts: RestartWindow,
    /// No attempt before this time.
    retry_at: Duration,
    age: Age,
    /// Since when the peer owes a receipt: the oldest unacknowledged batch was
    /// sent, or its last receipt came.
    unacked_since: Option<Duration>,
    /// When receipts were last looked for.
    receipts_at: Duration,
    newest_tick: u64,
    oldest_upstream_tick: Option<u64>,
    level: Level,
    /// The driver itself turns upstream events into frames.
    inline_stage: bool,
    /// The driver sleeps with nothing due: the event that makes a batch due wakes it.
    dozing: bool,
    renewal: Renewal,
    /// Failures that a new transport may have before its first delivery.
    trial: Option<u32>,
    trial_failed: Option<String>,
    /// An event found no room since the last batch: what waits is due, or a host
    /// would wait or lose while the sink is idle. A question alone may set it.
    pressed: Cell<bool>,
    status: Status,
}

impl Machine {
    /// A machine that has not connected yet. `seed` feeds the jitter of the
    /// retry pauses.
    pub fn new(options: Options, seed: u64) -> Self {
        let options = Options { max_batch_size: options.max_batch_size.max(1), ..options };
        Self {
            queue: Queue::new(&options),
            backoff: Backoff::new(options.backoff, options.max_backoff, seed),
            restarts: RestartWindow::new(options.restart_limit, options.restart_window),
            phase: Phase::Running,
            retry_at: Duration::ZERO,
            age: Age::default(),
            unacked_since: None,
            receipts_at: Duration::ZERO,
            newest_tick: 0,
            oldest_upstream_tick: None,
            level: Level::Sent,
            inline_stage: false,
            dozing: false,
            renewal: Renewal::None,
            trial: None,
            trial_failed: None,
            pressed: Cell::new(false),
            status: Status { worker_alive: true, ..Status::default() },
            options,
        }
    }

    /// Makes [`poll`](Self::poll) ask for [`Action::Refill`]: the driver's own
    /// thread turns upstream events into frames.
    #[must_use]
    pub fn with_inline_stage(mut self) -> Self {
        self.inline_stage = true;
        self
    }

    /// The options it was built with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Events and bytes that this machine's driver can work on.
    fn workable(&self) -> (usize, usize) {
        if self.inline_stage { self.queue.waiting() } else { self.queue.ready_amount() }
    }

    /// The tick of the oldest event that counts for the next batch, where there is one.
    fn oldest_workable_tick(&self) -> Option<u64> {
        let upstream_tick = self.oldest_upstream_tick.filter(|_| self.inline_stage);
        match (self.queue.oldest_ready_tick(), upstream_tick) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn due_by_amount(&self) -> bool {
        let (count, bytes) = self.workable();
        if count == 0 {
            return false;
        }
        let oldest = self.oldest_workable_tick().unwrap_or(self.newest_tick);
        count >= self.options.batch_events()
            || self.pressed.get()
            || self.options.flush_interval.is_zero()
            || bytes >= self.options.batch_bytes()
            || self.newest_tick.saturating_sub(oldest) >= self.options.flush_interval_ticks
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Duration) -> Action {
        self.dozing = false;
        if self.phase != Phase::Finished {
            let renewal = std::mem::take(&mut self.renewal);
            if renewal != Renewal::None {
                // What was wrong with the last one says nothing about this one.
                self.backoff.reset();
                self.retry_at = now;
                let rebuild = self.resume();
                return if renewal == Renewal::Revert { Action::Revert } else { rebuild };
            }
        }
        let draining = match self.phase {
            Phase::Finished => return Action::Exit,
            // What is still upstream ends as it is filled, not only at shutdown.
            Phase::SinkClosed if self.inline_stage && self.queue.upstream() > 0 => return Action::Refill,
            Phase::SinkClosed => return Action::Wait(self.look_again(now)),
            Phase::Parked { until }
                if now < until || planted::is("a parked worker stays parked") && now < until * 2 =>
            {
                return Action::Wait(until);
            }
            Phase::Parked { .. } => return self.resume(),
            Phase::Draining { deadline } if now >= deadline => {
                self.abandon();
                return Action::Exit;
            }
            Phase::Draining { deadline } => Some(deadline),
            Phase::Running => None,
        };
        let (waiting, _) = self.workable();
        self.age.look(now, waiting);
        if self.queue.waiting().0 == 0 {
            // A host may count from 0 again: the ticks of what is gone say nothing of what comes.
            self.newest_tick = 0;
        }
        let overdue = self.unacked_since.map(|t| t.saturating_add(self.options.ack_timeout));
        let overdue = overdue.filter(|_| !planted::is("a lost acknowledgement is waited for for ever"));
        if let Some(overdue) = overdue
            && now >= overdue
        {
            // They may have come while a send took its time: the last word is a look after the deadline.
            return if self.receipts_at >= overdue { Action::Disconnect } else { self.look_for_receipts(now) };
        }
        let by_age = self.age.reaches(self.options.flush_interval);
        let due = waiting > 0 && (draining.is_some() || self.due_by_amount() || now >= by_age);
        // No further batch while half of the buffer is unacknowledged, so that hosts have the rest.
        let window_open = self.queue.taken() < self.options.max_queue_length.div_ceil(2)
            && self.queue.taken_bytes() <= self.options.max_buffer_bytes / 2;
        if due && now >= self.retry_at && window_open {
            // Receipts must not wait for the last of many batches: they are what makes room.
            if self.queue.taken() > 0 && now >= self.receipts_at.saturating_add(RECEIPTS_EVERY) {
                return self.look_for_receipts(now);
            }
            let (ready, bytes) = self.queue.ready_amount();
            let could_be_fuller = self.inline_stage
                && self.queue.upstream() > 0
                && ready < self.options.max_batch_size
                && bytes < self.options.batch_bytes();
            return if could_be_fuller { Action::Refill } else { Action::Send };
        }
        if self.queue.taken() > 0 {
            let next_batch = (waiting > 0 && window_open).then(|| by_age.max(self.retry_at));
            let until = [overdue, next_batch, draining].into_iter().flatten().min().unwrap_or(Duration::MAX);
            let wait = until.saturating_sub(now).clamp(LEAST_SLEEP, RECEIPTS_EVERY);
            self.receipts_at = now;
            return Action::AwaitReceipts(wait);
        }
        if draining.is_some() && self.queue.len() == 0 {
            return Action::Finish;
        }
        let until = if waiting > 0 && now < self.retry_at {
            self.retry_at
        } else {
            self.dozing = true;
            by_age.min(self.look_again(now)).max(now.saturating_add(LEAST_SLEEP))
        };
        Action::Wait(draining.map_or(until, |deadline| until.min(deadline)))
    }

    /// A parked worker begins again.
    fn resume(&mut self) -> Action {
        if self.is_parked() {
            self.restarts.resumed();
            self.queue.divert(false);
            self.phase = Phase::Running;
            self.note_alive();
        }
        Action::Rebuild
    }

    fn look_for_receipts(&mut self, now: Duration) -> Action {
        self.receipts_at = now;
        Action::AwaitReceipts(LEAST_SLEEP)
    }

    /// When an idle driver looks around again.
    fn look_again(&self, now: Duration) -> Duration {
        now.saturating_add(self.options.poll.max(LEAST_SLEEP))
    }

    /// Takes the next batch, oldest first, into `batch`, which is empty.
    pub fn take(&mut self, batch: &mut Vec<Frame>) {
        while self.take_part(batch) {}
    }

    /// Takes the first [`PART`] frames of the next batch, or so many more of the one that `batch` holds so far. True
    /// where there may be more of it; meanwhile the lock can be given up, and anything be done to the machine.
    pub fn take_part(&mut self, batch: &mut Vec<Frame>) -> bool {
        let before = batch.len();
        if before == 0 {
            // What is pressed from here on is for the batch after this one.
            self.pressed.set(false);
        }
        let count = self.options.max_batch_size.saturating_sub(before).min(PART);
        let bytes = batch.iter().map(Frame::len).sum();
        self.queue.take(count, self.options.batch_bytes().saturating_sub(bytes), batch);
        let taken = batch.len() - before;
        self.age.took(taken);
        taken == PART
    }

    /// Evicted frames, to be freed outside the lock.
    pub fn take_graveyard(&mut self) -> Vec<Frame> {
        self.queue.take_graveyard()
    }

    /// The books, at this instant.
    pub fn statement(&self) -> Statement {
        self.queue.statement()
    }

    /// The accounts by stream index.
    pub fn streams(&self) -> &[Account] {
        self.queue.streams()
    }

    /// Events upstream: admitted, not yet frames.
    pub fn upstream(&self) -> usize {
        self.queue.upstream()
    }

    /// Frames ready to be taken.
    pub fn ready(&self) -> usize {
        self.queue.ready()
    }

    /// Everything at once.
    pub fn status(&self) -> Status {
        Status {
            statement: self.statement(),
            queue_length: self.queue.len(),
            queue_length_peak: self.queue.peak(),
            queue_bytes: self.queue.bytes(),
            queue_bytes_peak: self.queue.bytes_peak(),
            ..self.status.clone()
        }
    }
}
