//! A sink: one machine, and a second one where the policy is `fan_out`.

use crate::machine::{Admission, Machine};
use crate::{Account, Backpressure, DropReason, Options, Statement, Status};

/// Which of a sink's machines carries an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The sink's own worker.
    Main,
    /// The extra lane of `fan_out`. Order across the two is recoverable by `seq`.
    Lane,
}

/// How a sink admitted an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is upstream of this machine now.
    Upstream(Route),
    /// Accepted and dropped at once.
    Dropped(DropReason),
    /// Evict the oldest upstream event of the main machine and ask again.
    EvictUpstream,
    /// `block`: wait for room.
    Full,
}

/// The machines of one sink, and its books as a whole.
#[derive(Debug)]
pub struct Sink {
    main: Machine,
    lane: Option<Machine>,
}

impl Sink {
    /// A sink with these options; `fan_out` gets its lane. `seed` feeds the
    /// jitter of retry pauses. `inline_stage` as in [`Machine::with_inline_stage`].
    pub fn new(options: Options, seed: u64, inline_stage: bool) -> Self {
        let lane = (options.backpressure == Backpressure::FanOut).then(|| {
            let lane = Options { name: format!("{}.lane", options.name), ..options.clone() };
            Machine::new(lane, seed.rotate_left(17))
        });
        let main = Machine::new(options, seed);
        Self { main: if inline_stage { main.with_inline_stage() } else { main }, lane }
    }

    /// Asks to admit an event of `weight` bytes. Bounded work.
    pub fn admit(&mut self, stream: u32, tick: u64, weight: usize) -> Admitted {
        match self.main.admit(stream, tick, weight) {
            Admission::Upstream => Admitted::Upstream(Route::Main),
            Admission::Dropped(reason) => Admitted::Dropped(reason),
            Admission::EvictUpstream => Admitted::EvictUpstream,
            Admission::Full => match &mut self.lane {
                None => Admitted::Full,
                Some(lane) if lane.has_room(weight) => {
                    let _ = lane.admit(stream, tick, weight);
                    Admitted::Upstream(Route::Lane)
                }
                Some(_) => {
                    self.main.refuse(stream, DropReason::FanOutFull);
                    Admitted::Dropped(DropReason::FanOutFull)
                }
            },
        }
    }

    /// True where the policy is `block` or there is a spill to wait for, and an event of
    /// `weight` bytes would have to wait now. What waits is due then: ring the driver before waiting.
    pub fn must_wait(&mut self, weight: usize) -> bool {
        let waits = self.main.options().backpressure == Backpressure::Block || self.main.waits_for_spill();
        if !waits {
            return false;
        }
        self.main.merge_for(weight);
        let full = self.main.is_full(weight);
        if full {
            self.main.make_way();
        }
        full
    }

    /// Ends a wait for room: sheds the oldest for the newcomer, or with `spill`
    /// the newcomer.
    pub fn admit_after_timeout(&mut self, stream: u32, tick: u64, weight: usize) -> Admitted {
        if self.main.waits_for_spill() {
            return match self.main.admit(stream, tick, weight) {
                Admission::Upstream => Admitted::Upstream(Route::Main),
                Admission::Dropped(reason) => Admitted::Dropped(reason),
                Admission::EvictUpstream | Admission::Full => {
                    // The disk is behind: what it has in hand is older, and nearer to being safe.
                    self.main.refuse(stream, DropReason::SpillFull);
                    Admitted::Dropped(DropReason::SpillFull)
                }
            };
        }
        match self.main.admit_evicting(stream, tick, weight, DropReason::BlockTimeout) {
            Admission::Upstream => Admitted::Upstream(Route::Main),
            Admission::Dropped(reason) => Admitted::Dropped(reason),
            Admission::EvictUpstream | Admission::Full => Admitted::EvictUpstream,
        }
    }

    /// The machine of a route; the main one where there is no lane.
    pub fn machine(&mut self, route: Route) -> &mut Machine {
        self.share_trial();
        match (route, &mut self.lane) {
            (Route::Lane, Some(lane)) => lane,
            _ => &mut self.main,
        }
    }

    /// The main machine, for reading.
    pub fn main(&self) -> &Machine {
        &self.main
    }

    /// Other limits for all its machines: see [`Machine::retune`].
    pub fn retune(&mut self, options: &Options) {
        self.machines().for_each(|machine| machine.retune(options));
    }

    /// True where the policy gave this sink a second lane.
    pub fn has_lane(&self) -> bool {
        self.lane.is_some()
    }

    /// Both machines have the same transport on trial: when it has delivered for one, or failed, that is over.
    fn share_trial(&mut self) {
        if let Some(lane) = &mut self.lane
            && lane.is_on_trial() != self.main.is_on_trial()
        {
            lane.trial_passed();
            self.main.trial_passed();
        }
    }

    /// Its machines.
    pub fn machines(&mut self) -> impl Iterator<Item = &mut Machine> {
        self.share_trial();
        std::iter::once(&mut self.main).chain(self.lane.as_mut())
    }

    /// True where every worker of this sink has ended.
    pub fn is_finished(&self) -> bool {
        self.main.is_finished() && self.lane.as_ref().is_none_or(Machine::is_finished)
    }

    /// The books of the sink as a whole.
    pub fn statement(&self) -> Statement {
        let mut statement = self.main.statement();
        if let Some(lane) = &self.lane {
            statement += &lane.statement();
        }
        statement
    }

    /// The account of one stream.
    pub fn stream(&self, stream: u32) -> Account {
        let of = |m: &Machine| m.streams().get(stream as usize).copied().unwrap_or_default();
        let mut account = of(&self.main);
        if let Some(lane) = &self.lane {
            account += &of(lane);
        }
        account
    }

    /// The status of the main worker, with the books and queue figures of both.
    pub fn status(&self) -> Status {
        let mut status = self.main.status();
        if let Some(lane) = &self.lane {
            let lane = lane.status();
            status.statement += &lane.statement;
            status.queue_length += lane.queue_length;
            status.queue_length_peak += lane.queue_length_peak;
            status.queue_bytes += lane.queue_bytes;
            status.queue_bytes_peak += lane.queue_bytes_peak;
            status.connects_total += lane.connects_total;
            status.payloads_flushed_total += lane.payloads_flushed_total;
            status.bytes_flushed_total += lane.bytes_flushed_total;
            status.send_failures_total += lane.send_failures_total;
            status.worker_restart_count += lane.worker_restart_count;
            status.keyframes_sent += lane.keyframes_sent;
            status.flush_durations += &lane.flush_durations;
            status.worker_alive &= lane.worker_alive;
            status.worker_error = status.worker_error.or(lane.worker_error);
        }
        status
    }
}
