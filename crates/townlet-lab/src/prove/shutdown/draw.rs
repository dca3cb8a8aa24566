//! What a seed decides about a race: sinks, options, producers, moments.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use townlet_pipeline::{Backpressure, Options, SinkInfo, Telemetry};
use townlet_schema::Kind;
use townlet_transform::{Chain, Dropped, Record, Transform};
use townlet_transport::Level;

use super::super::moody::{Mood, Moody, Truth};
use crate::dice::Dice;

const MS: Duration = Duration::from_millis(1);

/// A race that has not started.
pub(super) struct Draw {
    pub(super) cast: Cast,
    pub(super) producers: Vec<Producer>,
    /// From the start of the producers to the call of shutdown.
    pub(super) head_start: Duration,
    pub(super) deadline: Duration,
}

/// The pipeline of a race.
pub(super) struct Cast {
    sinks: Vec<(Options, Mood, Dice)>,
    chain: Chain,
}

/// One that emits: up to `burst` events at once, then a pause of up to `pause`.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    pub(super) dice: Dice,
    pub(super) burst: u64,
    pub(super) pause: Duration,
}

impl Draw {
    pub(super) fn new(seed: u64) -> anyhow::Result<Self> {
        let mut dice = Dice::new(seed);
        let sinks = (0..dice.one_of(&[1, 1, 2, 3, 4])).map(|n| sink(n, &mut dice)).collect();
        let mut chain = Chain::standard()?;
        if dice.per_cent(15) {
            let (slow, panics) = (dice.within(0..=2), dice.within(0..=2));
            chain.push(Box::new(Fickle { dice: dice.fork(), slow, panics }));
        }
        let producer = |dice: &mut Dice| Producer {
            burst: dice.one_of(&[1, 10, 200]),
            pause: dice.one_of(&[MS / 5, MS, 5 * MS]),
            dice: dice.fork(),
        };
        let producers = (0..dice.within(1..=4)).map(|_| producer(&mut dice)).collect();
        Ok(Self {
            cast: Cast { sinks, chain },
            producers,
            head_start: dice.up_to(20 * MS),
            deadline: dice.up_to(50 * MS),
        })
    }
}

impl Cast {
    /// Starts the pipeline; the truth of each sink comes with it.
    pub(super) fn start(self) -> anyhow::Result<(Telemetry, Vec<Arc<Truth>>)> {
        let mut builder = Telemetry::builder().transforms(self.chain);
        let mut truths = Vec::new();
        for (options, mood, dice) in self.sinks {
            let truth = Arc::<Truth>::default();
            truths.push(Arc::clone(&truth));
            let make = move || Moody::build(mood, dice.clone(), Arc::clone(&truth));
            builder = builder.sink(options, SinkInfo::new("moody"), make);
        }
        Ok((builder.start()?, truths))
    }
}

fn sink(n: usize, dice: &mut Dice) -> (Options, Mood, Dice) {
    let mood = match dice.within(0..=9) {
        0 | 1 => Mood::Healthy,
        2 => Mood::Slow(dice.up_to(20 * MS)),
        3 => Mood::Hangs(dice.up_to(500 * MS)),
        4 => Mood::Refuses,
        5 => Mood::Fails(dice.within(5..=100)),
        6 => Mood::Panics(dice.within(2..=50)),
        7 => Mood::Rejects(dice.within(5..=100)),
        8 => Mood::Acknowledges,
        _ => dice.one_of(&[Mood::Leaves(3), Mood::Unbuildable]),
    };
    // A sink that can give no acknowledgement, and must, is one more that is down.
    let demands = if mood == Mood::Acknowledges { 50 } else { 3 };
    let options = Options {
        name: format!("sink-{n}"),
        backpressure: dice.one_of(&[Backpressure::DropOldest, Backpressure::Block, Backpressure::FanOut]),
        max_queue_length: dice.within(1..=2_000) as usize,
        max_buffer_bytes: dice.within(1_000..=500_000) as usize,
        max_batch_size: dice.within(1..=128) as usize,
        flush_interval_ticks: dice.within(0..=2),
        flush_interval: dice.up_to(20 * MS),
        poll: dice.up_to(500 * MS),
        block_timeout: dice.up_to(10 * MS),
        backoff: dice.up_to(50 * MS),
        max_backoff: dice.up_to(200 * MS),
        restart_limit: dice.within(0..=3) as u32,
        restart_window: Duration::from_secs(60),
        settle_at: if dice.per_cent(demands) { Level::PeerAcked } else { Level::Sent },
        ack_timeout: dice.up_to(100 * MS),
        ..Options::default()
    };
    (options, mood, dice.fork())
}

/// A host's transform that sometimes takes its time, and sometimes panics.
struct Fickle {
    dice: Dice,
    slow: u64,
    panics: u64,
}

impl Transform for Fickle {
    fn id(&self) -> &str {
        "fickle"
    }

    fn concerns(&self, _: Kind) -> bool {
        true
    }

    fn apply(&mut self, _: &mut Record) -> Result<(), Dropped> {
        if self.dice.per_cent(self.slow) {
            super::wait_until(std::time::Instant::now() + 2 * MS);
        }
        if self.dice.per_cent(self.panics) {
            resume_unwind(Box::new("planned"));
        }
        Ok(())
    }
}
