//! A sink with a spill: one state, a driver and a spooler, and hosts, as `townlet-pipeline` puts them together.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use townlet_spill::{FsyncPolicy, Spill};
use townlet_transport::{Connected, ErrorKind, Frame, Label, Level, Outcome, SendError, Transport, TransportError};

use crate::disk::{self, Memory};
use crate::driver::{self, Bells, Depot, Seat};
use crate::machine::Machine;
use crate::sink::{Admitted, Route, Sink};
use crate::spooler::{SpoolStatus, Spooler, SpoolerOptions};
use crate::sync::{Builder, Condvar, JoinHandle, Mutex, MutexGuard, Ordering};
use crate::{Backpressure, DropReason, Options, Receipt, SpillMode, Statement};

pub(crate) const LONG: Duration = Duration::from_secs(1000);

/// The account of all frames.
const STREAM: u32 = 0;

/// Frame `seq`, as it is sent and stored.
pub(crate) fn line(seq: u64) -> String {
    format!("frame {seq}\n")
}

/// Between two looks of the spooler at its clock more time passes than a commit waits for company.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// How the peer takes what is sent to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// At once.
    Takes,
    /// It cannot be reached.
    IsDown,
    /// It refuses the first frame for good, some time after it was sent, and takes the others.
    RefusesFirst,
}

/// What has come to the peer, by number.
#[derive(Default)]
pub(crate) struct There {
    frames: Mutex<Vec<u64>>,
    changed: Condvar,
}

impl There {
    pub(crate) fn frames(&self) -> Vec<u64> {
        self.frames.lock().unwrap().clone()
    }

    pub(crate) fn wait_for(&self, frames: usize) {
        let mut there = self.frames.lock().unwrap();
        while there.len() < frames {
            there = self.changed.wait(there).unwrap();
        }
    }
}

struct Line {
    peer: Peer,
    there: Arc<There>,
    /// Sent and without a receipt.
    pending: Vec<u64>,
}

impl Transport for Line {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        match self.peer {
            Peer::IsDown => Err(TransportError::new(ErrorKind::Unavailable, "nobody is there")),
            _ => Ok(Connected::local()),
        }
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        self.pending.extend(batch.iter().map(Frame::seq));
        if self.peer == Peer::RefusesFirst {
            return Ok(Outcome::Pending);
        }
        self.there.frames.lock().unwrap().append(&mut self.pending);
        self.there.changed.notify_all();
        Ok(Outcome::Settled(Level::Sent))
    }

    fn receipts(&mut self, _: Duration) -> Result<usize, TransportError> {
        if self.pending.first() == Some(&1) {
            self.pending.clear();
            return Err(TransportError::new(ErrorKind::Rejected, "not this one"));
        }
        let frames = self.pending.len();
        self.there.frames.lock().unwrap().append(&mut self.pending);
        self.there.changed.notify_all();
        Ok(frames)
    }

    fn close(&mut self) {}
}

/// What the lock guards.
pub(crate) struct State {
    sink: Sink,
    closed: bool,
    spooler_runs: bool,
}

/// A sink with its threads.
pub(crate) struct House {
    state: Mutex<State>,
    work: Bells,
    room: Bells,
    spooler: Bells,
    /// Of the spooler at its clock. Not loom's: its thread alone looks at it.
    looks: AtomicU32,
}

impl House {
    /// A sink whose queue has room for two frames, for one of them in memory once the disk has had some.
    pub(crate) fn open(mode: SpillMode, peer: Peer, disk: &Memory) -> (Arc<Self>, Arc<There>) {
        let few = Options { max_queue_length: 2, ..Options::default() };
        Self::open_with(few, mode, peer, disk)
    }

    /// The same with room for two frames by their size alone, each larger than a third of the bound.
    pub(crate) fn open_for_large(mode: SpillMode, peer: Peer, disk: &Memory) -> (Arc<Self>, Arc<There>) {
        let large = Options { max_buffer_bytes: line(1).len() * 5 / 2, ..Options::default() };
        Self::open_with(large, mode, peer, disk)
    }

    fn open_with(bounds: Options, mode: SpillMode, peer: Peer, disk: &Memory) -> (Arc<Self>, Arc<There>) {
        let options = Options {
            max_batch_size: 1,
            flush_interval: Duration::ZERO,
            backpressure: Backpressure::Spill,
            block_timeout: LONG,
            spill: Some(mode),
            ..bounds
        };
        let mut sink = Sink::new(options, 1, false);
        let (spill, _) = Spill::open(Box::new(disk.clone()), disk::options(), Duration::ZERO).unwrap();
        let spooler_options = SpoolerOptions { kinds: &["event"], fsync: FsyncPolicy::EachCommit };
        let mut spooler = Spooler::new(spill, spooler_options);
        spooler.add("main", STREAM, sink.machine(Route::Main)).unwrap();
        let house = Arc::new(Self {
            state: Mutex::new(State { sink, closed: false, spooler_runs: true }),
            work: Bells::default(),
            room: Bells::default(),
            spooler: Bells::default(),
            looks: AtomicU32::new(0),
        });
        let there = Arc::<There>::default();
        let at = Arc::clone(&there);
        let make =
            move || Ok(Box::new(Line { peer, there: Arc::clone(&at), pending: Vec::new() }) as Box<dyn Transport>);
        driver::spawn_spooler("spool", Arc::clone(&house), spooler).unwrap();
        driver::spawn("main", Arc::clone(&house), Box::new(make)).unwrap();
        (house, there)
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn ring_spooler(&self, state: &State) {
        if state.sink.main().wants_spooler() {
            self.spooler.ring_work();
        }
    }

    /// Emits frame `seq`, waiting for room. None where the end has come.
    pub(crate) fn emit(&self, seq: u64) -> Option<Receipt> {
        let frame = Frame::new(Label::new("run", "town.events"), "event", seq, seq, line(seq));
        let weight = frame.len();
        let mut state = self.lock_state();
        while !state.closed && state.sink.must_wait(weight) {
            self.work.ring_work();
            self.ring_spooler(&state);
            state = self.room.wait_for_room(state, LONG);
        }
        if state.closed {
            return None;
        }
        assert_eq!(state.sink.admit(STREAM, seq, weight), Admitted::Upstream(Route::Main));
        let machine = state.sink.machine(Route::Main);
        let receipt = machine.watch(STREAM, seq);
        machine.fill(STREAM, seq, weight, frame);
        if machine.wants_wake() {
            self.work.ring_work();
        }
        self.ring_spooler(&state);
        Some(receipt)
    }

    /// The same by a thread of its own.
    pub(crate) fn host(self: &Arc<Self>, seq: u64) -> JoinHandle<Option<Receipt>> {
        let house = Arc::clone(self);
        Builder::new().spawn(move || house.emit(seq)).unwrap()
    }

    pub(crate) fn statement(&self) -> Statement {
        self.lock_state().sink.statement()
    }

    /// Ends as `townlet-pipeline` does: delivers until `timeout`, then stores the rest.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Statement {
        let mut state = self.lock_state();
        state.closed = true;
        state.sink.machines().for_each(|machine| machine.shutdown(Duration::ZERO, timeout));
        self.work.ring_work();
        self.spooler.ring_work();
        self.room.ring_room();
        while !state.sink.is_finished() && !timeout.is_zero() {
            state = self.room.wait_for_room(state, timeout);
        }
        state.sink.machine(Route::Main).abandon();
        self.spooler.ring_work();
        while state.spooler_runs {
            state = self.room.wait_for_room(state, LONG);
        }
        state.sink.machine(Route::Main).abandon_spool(DropReason::UndeliveredAtShutdown);
        self.work.ring_work();
        state.sink.statement()
    }
}

impl Seat for House {
    type State = State;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.lock_state()
    }

    fn machine<'a>(&self, state: &'a mut State) -> &'a mut Machine {
        state.sink.machine(Route::Main)
    }

    fn bells(&self) -> &Bells {
        &self.work
    }

    fn room(&self) -> &Bells {
        &self.room
    }

    fn spooler(&self) -> Option<&Bells> {
        Some(&self.spooler)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl Depot for House {
    type State = State;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.lock_state()
    }

    fn machine<'a>(&self, state: &'a mut State, _: usize) -> &'a mut Machine {
        state.sink.machine(Route::Main)
    }

    fn bell(&self) -> &Bells {
        &self.spooler
    }

    fn wake(&self, _: usize) {
        self.work.ring_work();
    }

    fn room(&self) -> &Bells {
        &self.room
    }

    fn now(&self) -> Duration {
        BETWEEN_LOOKS * self.looks.fetch_add(1, Ordering::Relaxed)
    }

    fn accepted(&self, state: &mut State) -> u64 {
        state.sink.statement().account.accepted()
    }

    fn account(&self, state: &mut State) -> Vec<u8> {
        self.accepted(state).to_le_bytes().to_vec()
    }

    fn publish(&self, _: &mut State, _: &SpoolStatus) {}

    fn is_over(&self, state: &mut State) -> bool {
        state.closed && state.sink.is_finished()
    }

    fn ended(&self, state: &mut State) {
        state.spooler_runs = false;
    }
}
