//! A worker of its own, for hosts that batch and deliver their own bytes.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use townlet_transport::{Frame, Label};

use crate::driver::{self, Bells, Make, Seat};
use crate::machine::Machine;
use crate::planted;
use crate::sink::{Admitted, Route, Sink};
use crate::sync::{Instant, JoinHandle, Mutex, MutexGuard, PoisonError};
use crate::{Account, DropReason, Options, Statement, Status};

/// A bounded queue with a thread that delivers what is offered.
///
/// Cloning shares the queue. Dropping the last handle without
/// [`shutdown`](Self::shutdown) ends the thread without waiting for it.
#[derive(Clone, Debug)]
pub struct Worker {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    main: Bells,
    lane: Bells,
    start: Instant,
    block_timeout: Duration,
}

#[derive(Debug)]
struct State {
    sink: Sink,
    streams: Streams,
    closed: bool,
}

/// The streams seen so far, by the number that the books know them under.
#[derive(Debug, Default)]
struct Streams {
    numbers: HashMap<Label, u32>,
    labels: Vec<Label>,
    /// The stream of the last event: most often also that of the next, and a
    /// label equals its own clone without a look at the text.
    last: usize,
}

impl Streams {
    fn number(&mut self, label: &Label) -> u32 {
        if self.labels.get(self.last) != Some(label) {
            self.last = self.find(label).unwrap_or_else(|| self.add(label)) as usize;
        }
        self.last as u32
    }

    fn find(&self, label: &Label) -> Option<u32> {
        self.numbers.get(label).copied()
    }

    fn add(&mut self, label: &Label) -> u32 {
        // 2³² labels do not fit into memory; were it so, they would share the books of the last.
        let number = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        self.labels.push(label.clone());
        self.numbers.insert(label.clone(), number);
        number
    }
}

/// Tells the threads to end when the last handle goes.
#[derive(Debug)]
struct Owner(Arc<Shared>);

struct WorkerSeat {
    shared: Arc<Shared>,
    route: Route,
}

/// What became of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Waiting for delivery.
    Accepted,
    /// Accepted and dropped at once; counted.
    Dropped(DropReason),
    /// The worker was shut down; the frame is not on the books.
    Closed,
}

impl Worker {
    /// Starts a worker. `make` builds the transport, on the worker's thread, at
    /// the first frame and again after a panic; with `fan_out` it is also called
    /// for the lane.
    ///
    /// # Errors
    /// What the operating system says when it refuses a thread;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where the name contains a NUL.
    pub fn spawn(
        options: Options,
        make: impl FnMut() -> Result<Box<dyn townlet_transport::Transport>, townlet_transport::TransportError>
        + Send
        + Clone
        + 'static,
    ) -> io::Result<Self> {
        let name = options.name.clone();
        let start = Instant::now();
        let block_timeout = options.block_timeout;
        let sink = Sink::new(options, seed_from(&name), false);
        let has_lane = sink.has_lane();
        let shared = Arc::new(Shared {
            state: Mutex::new(State { sink, streams: Streams::default(), closed: false }),
            main: Bells::default(),
            lane: Bells::default(),
            start,
            block_timeout,
        });
        // From here on: where a thread is refused, the owner's end is that of those already started.
        let worker = Self { owner: Arc::new(Owner(Arc::clone(&shared))) };
        let mut routes = vec![(name.clone(), Route::Main)];
        if has_lane {
            routes.push((format!("{name}.lane"), Route::Lane));
        }
        for (name, route) in routes {
            let seat = Arc::new(WorkerSeat { shared: Arc::clone(&shared), route });
            let make: Make = Box::new(make.clone());
            let _: JoinHandle<()> = driver::spawn(&name, seat, make)?;
        }
        Ok(worker)
    }

    /// Offers a frame. Never does I/O; waits only where the policy is `block`,
    /// at most its timeout.
    pub fn offer(&self, frame: Frame) -> Offer {
        let (weight, tick, seq) = (frame.len(), frame.tick(), frame.seq());
        let shared = &*self.owner.0;
        let mut state = shared.lock();
        if state.closed {
            return Offer::Closed;
        }
        let stream = state.streams.number(frame.label());
        let mut give_up = None;
        loop {
            let admitted = match give_up {
                Some(at) if shared.now() >= at => state.sink.admit_after_timeout(stream, tick, weight),
                _ => state.sink.admit(stream, tick, weight),
            };
            match admitted {
                Admitted::Upstream(route) => {
                    let machine = state.sink.machine(route);
                    machine.fill(stream, seq, weight, frame);
                    if machine.wants_wake() && !planted::is("a batch that is due wakes nobody") {
                        shared.bells(route).ring_work();
                    }
                    // A newcomer in the lane means that the main queue is full, and so due.
                    if route == Route::Lane && state.sink.machine(Route::Main).wants_wake() {
                        shared.main.ring_work();
                    }
                    return Offer::Accepted;
                }
                Admitted::Dropped(reason) => return Offer::Dropped(reason),
                // Nothing is upstream here, so all that is held is in flight: the newcomer goes.
                Admitted::EvictUpstream => {
                    let reason = if give_up.is_some() { DropReason::BlockTimeout } else { DropReason::Backpressure };
                    state.sink.machine(Route::Main).refuse(stream, reason);
                    return Offer::Dropped(reason);
                }
                Admitted::Full => {
                    let now = shared.now();
                    let at = *give_up.get_or_insert(now.saturating_add(shared.block_timeout));
                    shared.main.ring_work();
                    state = shared.main.wait_for_room(state, at.saturating_sub(now));
                    if state.closed {
                        return Offer::Closed;
                    }
                }
            }
        }
    }

    /// The books, at this instant.
    pub fn statement(&self) -> Statement {
        self.owner.0.lock().sink.statement()
    }

    /// The account of one stream.
    pub fn account(&self, label: &Label) -> Account {
        let state = self.owner.0.lock();
        state.streams.find(label).map_or_else(Account::default, |stream| state.sink.stream(stream))
    }

    /// Everything at once.
    pub fn status(&self) -> Status {
        self.owner.0.lock().sink.status()
    }

    /// Delivers what it can until `timeout`, then settles the rest by name and
    /// returns the final statement. On time even where a call of the transport
    /// is stuck. Later offers are refused.
    pub fn shutdown(&self, timeout: Duration) -> Statement {
        let shared = &*self.owner.0;
        let deadline = shared.now().saturating_add(timeout);
        let mut state = shared.lock();
        shared.close(&mut state, deadline);
        while !state.sink.is_finished() {
            let now = shared.now();
            if now >= deadline {
                state.sink.machines().for_each(Machine::abandon);
                break;
            }
            state = shared.main.wait_for_room(state, deadline - now);
        }
        let statement = state.sink.statement();
        drop(state);
        shared.ring_all();
        statement
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let now = self.0.now();
        let mut state = self.0.lock();
        self.0.close(&mut state, now);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn bells(&self, route: Route) -> &Bells {
        match route {
            Route::Main => &self.main,
            Route::Lane => &self.lane,
        }
    }

    fn close(&self, state: &mut State, deadline: Duration) {
        state.closed = true;
        let now = self.now();
        state.sink.machines().for_each(|m| m.shutdown(now, deadline));
        if !planted::is("nobody is told of the end") {
            self.ring_all();
        }
    }

    fn ring_all(&self) {
        self.main.ring_work();
        self.main.ring_room();
        self.lane.ring_work();
        self.lane.ring_room();
    }
}

impl Seat for WorkerSeat {
    type State = State;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn machine<'a>(&self, state: &'a mut State) -> &'a mut Machine {
        state.sink.machine(self.route)
    }

    fn bells(&self) -> &Bells {
        self.shared.bells(self.route)
    }

    fn room(&self) -> &Bells {
        &self.shared.main
    }

    fn now(&self) -> Duration {
        self.shared.now()
    }
}

/// A seed from a name (FNV-1a): sinks of one process do not pause in step, and
/// a rerun pauses alike.
pub fn seed_from(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
