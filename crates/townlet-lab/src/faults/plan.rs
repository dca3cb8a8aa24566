//! What one seed decides before anything happens.

use std::time::Duration;

use townlet_pipeline::{Cadence, StateForm};
use townlet_spill::{FsyncPolicy, SpillOptions};
use townlet_testkit::disk::Dice;
use townlet_transport::Level;
use townlet_worker::{Backpressure, Options, SpillMode};

/// Chance, with the words that schedules need.
#[derive(Clone, Debug)]
pub(crate) struct Chance(Dice);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Dice::new(seed ^ 0x0fa1_7500_d15c))
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0.roll()
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    pub(crate) fn size(&mut self, low: usize, high: usize) -> usize {
        self.between(low as u64, high as u64) as usize
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    pub(crate) fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low, high))
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.below(from.len() as u64) as usize]
    }
}

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// One sink and its peer.
#[derive(Clone, Debug)]
pub(crate) struct SinkPlan {
    pub(crate) options: Options,
    /// Sends are acknowledged later.
    pub(crate) acked: bool,
    /// What an honest connection settles frames at.
    pub(crate) level: Level,
    /// How it gets states.
    pub(crate) form: StateForm,
}

impl SinkPlan {
    /// Nothing goes for want of room: there is a spill to go to.
    pub(crate) fn sheds_nothing(&self) -> bool {
        match self.options.backpressure {
            Backpressure::Spill => true,
            Backpressure::Coalesce => self.options.spill.is_some(),
            _ => false,
        }
    }
}

/// Everything about a schedule that stays the same.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) sinks: Vec<SinkPlan>,
    pub(crate) spill: SpillOptions,
    /// Percent of events whose emitters wait for a receipt.
    pub(crate) watched: u64,
    /// Frames are made by a thread of its own, not by the host at once.
    pub(crate) apart: bool,
    /// Weights are estimates, a fifth too low or too high.
    pub(crate) estimates: bool,
    /// Percent of calls of the network that go wrong.
    pub(crate) network: u64,
    /// Percent of schedule steps, of those for trouble, that hit the disk.
    pub(crate) disk: u64,
    /// The process may be killed, and the power may go.
    pub(crate) crashes: bool,
    /// There are streams of states beside those of events.
    pub(crate) states: bool,
    /// Percent of lost connections that bring something late.
    pub(crate) late: u64,
    /// Peers refuse some frames.
    pub(crate) rejections: bool,
    /// The log is so small, or forgets so soon, that it sheds.
    pub(crate) sheds: bool,
    pub(crate) steps: u64,
}

impl Plan {
    pub(crate) fn new(chance: &mut Chance, states: bool) -> Self {
        let sheds = chance.percent(20);
        let crashes = chance.percent(75);
        let spills = !chance.percent(8);
        let count = chance.pick(&[1, 1, 2]);
        let sinks = (0..count).map(|n| sink(chance, n, spills, states)).collect();
        let apart = chance.percent(40);
        let fsync = match chance.between(0, 9) {
            0 => FsyncPolicy::Never,
            1 | 2 => FsyncPolicy::Every(ms(chance.between(1, 400))),
            _ => FsyncPolicy::EachCommit,
        };
        let spill = SpillOptions {
            segment_bytes: chance.between(4096, 12_000),
            max_bytes: if sheds { chance.between(9_000, 30_000) } else { 1 << 22 },
            max_age: (sheds && chance.percent(30)).then(|| ms(chance.between(50, 4000))),
            max_record_bytes: if chance.percent(10) { 400 } else { 1 << 20 },
            fsync,
            checkpoint_bytes: chance.between(1000, 20_000),
            read_buffer: chance.size(512, 4096),
            keep_quarantined: 4,
        };
        let plan = Self {
            sinks,
            spill,
            watched: chance.pick(&[100, 100, 100, 50, 0]),
            apart,
            estimates: apart && chance.percent(30),
            network: if chance.percent(15) { 0 } else { chance.between(1, 60) },
            disk: if chance.percent(30) { 0 } else { chance.between(1, 70) },
            crashes,
            states,
            late: 0,
            rejections: chance.percent(15),
            sheds,
            steps: chance.between(60, 700),
        };
        Self { late: if states && chance.percent(30) { chance.between(10, 100) } else { 0 }, ..plan }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.spill.fsync == FsyncPolicy::EachCommit
    }
}

fn sink(chance: &mut Chance, n: usize, spills: bool, states: bool) -> SinkPlan {
    let backpressure = match chance.between(0, 9) {
        0 => Backpressure::DropOldest,
        1 => Backpressure::Block,
        2..=4 if states => Backpressure::Coalesce,
        _ if spills => Backpressure::Spill,
        _ => Backpressure::DropOldest,
    };
    let spill = spills.then(|| chance.pick(&[SpillMode::Overflow, SpillMode::WriteAhead]));
    // With states that merge there is a log of what does not fit, or none.
    let spill = match backpressure {
        Backpressure::Coalesce => spill.filter(|_| chance.percent(60)).map(|_| SpillMode::Overflow),
        _ => spill,
    };
    let form = match if states { chance.between(0, 9) } else { 9 } {
        0 => StateForm::Whole,
        1 | 2 => StateForm::Diffs(Cadence { keyframe_every: chance.between(1, 8) as u32, keyframe_bytes: 0 }),
        _ => StateForm::Diffs(Cadence::default()),
    };
    let acked = chance.percent(60);
    let level = if acked { chance.pick(&[Level::PeerAcked, Level::PeerAcked, Level::Durable]) } else { Level::Sent };
    let (least, most) = if states { (700, 3500) } else { (300, 3000) };
    let roomy = chance.percent(30);
    let options = Options {
        name: format!("sink-{n}"),
        max_queue_length: if roomy { 64 } else { chance.size(1, 16) },
        max_buffer_bytes: if roomy { 20_000 } else { chance.size(least, most) },
        max_batch_size: chance.size(1, 8),
        flush_interval_ticks: chance.between(0, 10),
        flush_interval: ms(chance.between(0, 200)),
        poll: ms(chance.between(10, 300)),
        backpressure,
        spill,
        block_timeout: ms(chance.between(0, 200)),
        max_attempts: chance.between(0, 3) as u32,
        backoff: ms(chance.between(0, 100)),
        max_backoff: ms(chance.between(0, 1000)),
        restart_limit: chance.between(0, 3) as u32,
        restart_window: ms(chance.between(100, 3000)),
        settle_at: if chance.percent(50) { level } else { Level::Sent },
        ack_timeout: ms(chance.between(20, 500)),
    };
    SinkPlan { options, acked, level, form }
}
