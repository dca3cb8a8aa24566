//! The state behind one lock: intake, sinks and stream numbering.
//!
//! The lock is held for bounded work only: never for I/O, never for a transform.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use townlet_transform::Validator;
use townlet_transport::FrameEncoder;
use townlet_worker::driver::{Bells, PAUSES_A_LOOK, Seat};
use townlet_worker::{Backpressure, DeadLetters, DropReason, Machine, Route, Sink, SpoolStatus, Statement};

use crate::dead_letters::SinkLetters;
use crate::dynamic::NamedEvent;
use crate::intake::Intake;
use crate::lane::Lane;
use crate::peer::Rendering;
use crate::sinks::Sinks;
use crate::slots::Slot;
use crate::stage::Stage;
use crate::streams::Streams;
use crate::tap::TapPoint;
use crate::tuning::Tuning;

/// How often an emitting host looks for the lock before it sleeps: for some 10 µs
/// on the machines of today.
const LOOKS: usize = 64;

/// At shutdown, how long the ledger may take for its last word beyond the deadline.
const LEDGER_GRACE: Duration = Duration::from_secs(1);

/// Events that hosts encode for a stage that is behind, until it says again that
/// it is: one that is held up by its sink needs no help.
const HELP: usize = 1024;

pub(crate) struct State {
    pub(crate) intake: Intake,
    pub(crate) sinks: Sinks,
    pub(crate) streams: Streams,
    pub(crate) closed: bool,
    pub(crate) stage_dozes: bool,
    pub(crate) newest_tick: u64,
    /// By spill.
    pub(crate) spools: Vec<SpoolStatus>,
    pub(crate) spoolers_running: usize,
    /// The thread of the ledger has not ended.
    pub(crate) ledger_runs: bool,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) stage: Mutex<Stage>,
    /// Per sink: its transport.
    pub(crate) slots: Vec<Slot>,
    /// Per sink: where what its peer refuses is kept.
    pub(crate) dead_letters: Vec<Option<Arc<SinkLetters>>>,
    /// Where the stage shows its frames.
    pub(crate) tap: Arc<TapPoint>,
    /// Per sink: main worker, extra lane.
    pub(crate) bells: Vec<[Bells; 2]>,
    pub(crate) stage_bell: Bells,
    /// By spill.
    pub(crate) spoolers: Vec<Bells>,
    /// Where the ledger waits.
    pub(crate) ledger: Bells,
    /// By sink, the place of its spill's bell.
    spooler_of: Vec<Option<usize>>,
    /// At shutdown, how long storing what was not delivered may take beyond the deadline.
    grace: Duration,
    /// Where hosts wait for room, and `shutdown` for the end.
    pub(crate) room: Bells,
    /// True where the only sink's driver runs the stage.
    pub(crate) inline_stage: bool,
    start: Instant,
    /// True where hosts wait for room in some sink, or for its spill.
    pub(crate) may_block: bool,
    /// What the limits of the sinks mean for the way in and the stage.
    pub(crate) tuning: Tuning,
    /// The chain's validator of mode `raise`.
    raising: Option<Arc<Validator>>,
    /// Events that hosts may encode themselves before the stage asks again.
    help: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sinks", &self.bells.len()).finish_non_exhaustive()
    }
}

/// What belongs to the sinks beside their machines.
pub(crate) struct Fittings {
    /// For each sink the number of its spill, of `spills`.
    pub(crate) spooler_of: Vec<Option<usize>>,
    pub(crate) spills: usize,
    /// How long they may take at shutdown, beyond the deadline.
    pub(crate) grace: Duration,
    /// For each sink its transport.
    pub(crate) slots: Vec<Slot>,
    /// For each sink where what its peer refuses is kept.
    pub(crate) dead_letters: Vec<Option<Arc<SinkLetters>>>,
    /// The sinks that get states alone, as bits.
    pub(crate) states_only: u32,
}

impl Shared {
    pub(crate) fn new(
        sinks: Vec<Sink>,
        fittings: Fittings,
        streams: Streams,
        stage: Stage,
        inline_stage: bool,
    ) -> Self {
        let Fittings { spooler_of, spills, grace, slots, dead_letters, states_only } = fittings;
        let may_block = sinks
            .iter()
            .map(|s| s.main().options())
            .any(|o| matches!(o.backpressure, Backpressure::Block | Backpressure::Spill) || o.spill.is_some());
        let mut intake = Intake::default();
        // Streams that are open already are those of recovered events, which nobody emits to.
        for _ in streams.infos() {
            intake.add_lane(Box::new(Lane::<NamedEvent>::default()), Box::new(Lane::<NamedEvent>::default()));
        }
        Self {
            bells: sinks.iter().map(|_| <[Bells; 2]>::default()).collect(),
            stage_bell: Bells::default(),
            spoolers: (0..spills).map(|_| Bells::default()).collect(),
            ledger: Bells::default(),
            spooler_of,
            grace,
            slots,
            dead_letters,
            room: Bells::default(),
            inline_stage,
            start: Instant::now(),
            may_block,
            tuning: Tuning::of(&sinks),
            raising: stage.raising(),
            tap: stage.tap(),
            help: AtomicUsize::new(0),
            stage: Mutex::new(stage),
            state: Mutex::new(State {
                intake,
                sinks: Sinks::new(sinks, states_only),
                streams,
                closed: false,
                stage_dozes: false,
                newest_tick: 0,
                spools: vec![SpoolStatus::default(); spills],
                spoolers_running: spills,
                ledger_runs: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug of ours; the counters stay usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The validator that runs in `emit`.
    pub(crate) fn raising(&self) -> Option<Arc<Validator>> {
        self.raising.clone()
    }

    /// The lock, for a host that emits. The others hold it for some microseconds
    /// at a time, which is shorter than it takes to sleep and be woken: so it looks
    /// again for about as long before it sleeps.
    pub(crate) fn lock_to_emit(&self) -> MutexGuard<'_, State> {
        for _ in 0..LOOKS {
            match self.state.try_lock() {
                Ok(state) => return state,
                Err(TryLockError::Poisoned(state)) => return state.into_inner(),
                Err(TryLockError::WouldBlock) => (0..PAUSES_A_LOOK).for_each(|_| std::hint::spin_loop()),
            }
        }
        self.lock()
    }

    /// The stage has fallen behind, or it has not: then nobody needs to help it.
    pub(crate) fn ask_for_help(&self, strained: bool) {
        let help = if strained { HELP } else { 0 };
        if self.help.load(Ordering::Relaxed) != help {
            self.help.store(help, Ordering::Relaxed);
        }
    }

    /// True where a host should encode its event itself, so that it does not wait
    /// for room, or lose an event, so soon.
    pub(crate) fn lends_a_hand(&self) -> bool {
        // Hosts that count at the same time count once: it is a hint.
        let left = self.help.load(Ordering::Relaxed);
        if left > 0 {
            self.help.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Makes everything due, and waits until nothing is buffered or `timeout` is
    /// over; true where nothing is.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let deadline = self.now().saturating_add(timeout);
        let mut state = self.lock();
        loop {
            let owed = |s: &Sink| s.statement().buffered + s.statement().spilled;
            if state.sinks.all().iter().all(|s| owed(s) == 0) {
                return true;
            }
            let now = self.now();
            if now >= deadline {
                return false;
            }
            state.sinks.all().iter_mut().flat_map(Sink::machines).for_each(|m| m.press());
            self.ring_all();
            // A batch that was just taken has used up the press: look again soon.
            state = self.room.wait_for_room(state, (deadline - now).min(Duration::from_millis(20)));
        }
    }

    /// Refuses further events and lets the workers drain until `deadline`.
    pub(crate) fn close(&self, state: &mut State, deadline: Duration) {
        state.closed = true;
        let now = self.now();
        state.sinks.all().iter_mut().flat_map(Sink::machines).for_each(|m| m.shutdown(now, deadline));
        self.ring_all();
    }

    /// Settles whatever is left, by name, without waiting for anybody.
    pub(crate) fn abandon(&self, state: &mut State) {
        state.sinks.all().iter_mut().flat_map(Sink::machines).for_each(Machine::abandon);
        for token in state.intake.drain() {
            for (index, sink) in state.sinks.all().iter_mut().enumerate() {
                if let Some(route) = token.routes.get(index) {
                    sink.machine(route).drop_upstream(
                        token.stream,
                        token.seq,
                        token.weight,
                        DropReason::UndeliveredAtShutdown,
                    );
                }
            }
        }
    }

    /// Closes, waits until every worker has ended or `timeout` is over, settles
    /// the rest and returns the books by sink.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Vec<Statement> {
        let deadline = self.now().saturating_add(timeout);
        let mut state = self.lock();
        self.close(&mut state, deadline);
        while !state.sinks.all().iter().all(Sink::is_finished) {
            let now = self.now();
            if now >= deadline {
                break;
            }
            state = self.room.wait_for_room(state, deadline - now);
        }
        if state.spoolers_running > 0 {
            state = self.store_the_rest(state, deadline.saturating_add(self.grace));
        }
        self.abandon(&mut state);
        let statements = state.sinks.all().iter().map(Sink::statement).collect();
        self.ledger.ring_work();
        // What the sinks have left of the timeout is the disk's: one sync may take tenths of seconds, and a program
        // that ends before it leaves books that look killed.
        let last = deadline.saturating_add(LEDGER_GRACE);
        while state.ledger_runs && self.now() < last {
            state = self.room.wait_for_room(state, last.saturating_sub(self.now()));
        }
        drop(state);
        self.retire_slots();
        self.ring_all();
        statements
    }

    /// At the end, with spills: what has not been delivered is rendered and stored, until `last`.
    fn store_the_rest<'a>(&'a self, mut state: MutexGuard<'a, State>, last: Duration) -> MutexGuard<'a, State> {
        // The stage's own thread goes on too; whoever comes first renders.
        while !state.intake.is_idle() && self.now() < last {
            drop(state);
            let rendered = self.refill_if_free();
            state = self.lock();
            if !rendered {
                // It may hang in a transform.
                let left = last.saturating_sub(self.now());
                state = self.room.wait_for_room(state, left.min(Duration::from_millis(5)));
            }
        }
        self.abandon(&mut state);
        while state.spoolers_running > 0 {
            let now = self.now();
            if now >= last {
                tracing::error!("telemetry_spill_unfinished");
                break;
            }
            self.spoolers.iter().for_each(Bells::ring_work);
            state = self.room.wait_for_room(state, (last - now).min(Duration::from_millis(5)));
        }
        let machines = state.sinks.all().iter_mut().flat_map(Sink::machines);
        machines.for_each(|m| m.abandon_spool(DropReason::UndeliveredAtShutdown));
        state
    }

    /// The spill of a sink.
    pub(crate) fn spill_of(&self, sink: usize) -> Option<usize> {
        self.spooler_of[sink]
    }

    /// The sinks of a spill.
    pub(crate) fn sinks_of(&self, spill: usize) -> impl Iterator<Item = usize> {
        self.spooler_of.iter().enumerate().filter(move |(_, of)| **of == Some(spill)).map(|(sink, _)| sink)
    }

    /// Rings the spoolers of sinks that have something for them.
    pub(crate) fn ring_spoolers(&self, sinks: &[Sink]) {
        if self.spoolers.is_empty() {
            return;
        }
        for (sink, spooler) in sinks.iter().zip(&self.spooler_of) {
            if let Some(spooler) = spooler
                && sink.main().wants_spooler()
            {
                self.spoolers[*spooler].ring_work();
            }
        }
    }

    pub(crate) fn ring_all(&self) {
        for bell in self.bells.iter().flatten().chain(&self.spoolers) {
            bell.ring_work();
        }
        self.stage_bell.ring_work();
        self.ledger.ring_work();
        self.room.ring_room();
    }
}

/// One worker's place.
pub(crate) struct SinkSeat {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sink: usize,
    pub(crate) route: Route,
    pub(crate) rendering: Rendering,
}

impl Seat for SinkSeat {
    type State = State;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn machine<'a>(&self, state: &'a mut State) -> &'a mut Machine {
        state.sinks.all()[self.sink].machine(self.route)
    }

    fn bells(&self) -> &Bells {
        &self.shared.bells[self.sink][usize::from(self.route == Route::Lane)]
    }

    fn room(&self) -> &Bells {
        &self.shared.room
    }

    fn spooler(&self) -> Option<&Bells> {
        self.shared.spooler_of[self.sink].map(|n| &self.shared.spoolers[n])
    }

    fn now(&self) -> Duration {
        self.shared.now()
    }

    fn revert(&self) -> Option<String> {
        self.shared.revert(self.sink, self.route)
    }

    fn refill(&self) -> Option<String> {
        self.shared.refill()
    }

    fn dead_letters(&self) -> Option<Arc<dyn DeadLetters>> {
        self.shared.dead_letters[self.sink].clone().map(|letters| letters as Arc<dyn DeadLetters>)
    }

    fn encoder(&self) -> Option<Box<dyn FrameEncoder>> {
        self.rendering.encoder()
    }
}
