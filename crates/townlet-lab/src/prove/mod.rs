//! Figures that the pipeline promises, each a measurement that anybody can run again.
//!
//! **What it is.** [`FIGURES`] is a table of names, promises and functions. Each
//! function sets the scene (real threads, sockets and processes), measures, and
//! returns a [`Finding`]: what was measured, and every way in which the promise
//! was missed. A new figure is one module and one row.
//!
//! **What it is not.** No benchmark: what is measured here is mostly counted, not
//! timed. Where time is promised it is on the scale of a person or of the run itself.
//!
//! What cannot be measured on this machine is an error, never a pass. Times are judged where
//! enough is measured for that: at [`Effort::Standard`] and above. A shorter run judges what
//! was lost, came twice, does not balance, or took too much room, which no busy machine
//! moves, and says of the times what it would have said.

mod burst;
mod child;
mod diff_size;
mod durable;
mod gate;
mod isolation;
pub mod memory;
mod moody;
pub mod outage;
mod pace;
mod receiver;
pub mod report;
mod rollout;
mod shutdown;
mod spool;
pub mod start;

use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use self::report::Outcome;

/// All figures, in the order in which they are measured.
pub const FIGURES: &[Figure] = &[
    Figure {
        name: "diff-size",
        promise: "of 120 recorded states diffs need at most 16 %, with their envelopes 17.5 %, and compressed, flushed \
                  each tick, 2.2 %",
        measure: diff_size::measure,
    },
    Figure {
        name: "outage",
        promise: "a collector killed at 10,000 events/s, for 2 s and for 60 s: with a spill none lost, none twice, \
                  drained within 15 s of its return",
        measure: outage::measure,
    },
    Figure {
        name: "burst",
        promise: "200,000 unpaced events: block loses none; drop_oldest keeps exactly the newest that fit and counts \
                  every other one",
        measure: burst::measure,
    },
    Figure {
        name: "shutdown",
        promise: "in every race the statement balances; the deadline is overrun by at most 50 ms at p99 and never by \
                  250 ms",
        measure: shutdown::measure,
    },
    Figure {
        name: "durable",
        promise: "at least 20,000 durable events/s of 256 bytes and 20 times as many as with one sync each; at \
                  20,000/s the receipt's p99 is at most 6 times the fdatasync p50, or 1.5 times that of a bare group commit \
                  where the disk allows that one no more",
        measure: durable::measure,
    },
    Figure {
        name: "spool",
        promise: "a damaged spool opens within 1 s, gives back nothing that was not stored, takes new events, and is \
                  whole from then on; without a panic",
        measure: spool::measure,
    },
    Figure {
        name: "start",
        promise: "with a backlog of 1 GiB the first emit returns within 50 ms of the start, and draining takes at most \
                  64 MiB of memory",
        measure: start::measure,
    },
    Figure {
        name: "memory",
        promise: "a dead sink at 50,000 events/s costs at most the configured bound and 16 MiB",
        measure: memory::measure,
    },
    Figure {
        name: "isolation",
        promise: "one dead sink of four: the others' p99 from emit to delivery moves at most 25 %, and they lose \
                  nothing",
        measure: isolation::measure,
    },
    Figure {
        name: "rollout",
        promise: "a rollout of 48 hours in virtual time (2,880 windows, 10 metrics, 20 rules) takes at most 100 ms at the \
                  median, 1,000 of them at most 60 s on two threads",
        measure: rollout::measure,
    },
];

/// One promise and the way to check it.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// As `--only` takes it.
    pub name: &'static str,
    /// What is claimed, in words.
    pub promise: &'static str,
    measure: fn(&Run) -> anyhow::Result<Finding>,
}

/// What a measurement is given.
#[derive(Clone, Debug)]
pub struct Run {
    /// How much is measured.
    pub effort: Effort,
    /// This program, for measurements that need a process of their own.
    pub program: PathBuf,
    /// Where random choices begin. Equal seeds make equal choices; threads still race.
    pub seed: u64,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// To see that everything works; no time of it means anything, and none is judged.
    Smallest,
    /// About a minute in all, without optimisation too. Times are reported, not judged.
    Quick,
    /// Scale 1: minutes.
    Standard,
    /// What the promise says, however long it takes.
    Full,
}

impl Effort {
    /// The amount of this effort.
    pub fn pick<T>(self, smallest: T, quick: T, standard: T, full: T) -> T {
        match self {
            Self::Smallest => smallest,
            Self::Quick => quick,
            Self::Standard => standard,
            Self::Full => full,
        }
    }

    /// Whether times are judged: a short run on a busy machine tells of the machine.
    pub fn judges_times(self) -> bool {
        self.pick(false, false, true, true)
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        self.pick("smallest", "quick", "standard", "full")
    }
}

/// What a measurement has found.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// Names and values, in the order in which they were noted.
    pub measured: Vec<(String, Value)>,
    /// In which ways the promise was missed, in words; none where it was kept.
    pub misses: Vec<String>,
    /// Times that would be misses, of a run that is too short to judge them.
    pub unjudged: Vec<String>,
}

impl Finding {
    /// Notes a value. A float is rounded to what can be meant seriously.
    pub fn note(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Array(values) => values.into_iter().map(rounded).collect(),
            other => rounded(other),
        };
        self.measured.push((name.into(), value));
    }

    /// The promise is missed unless `holds`; `miss` says what was found instead.
    pub fn require(&mut self, holds: bool, miss: impl FnOnce() -> String) {
        if !holds {
            self.misses.push(miss());
        }
    }

    /// As [`require`](Self::require), of a time or a rate: judged where the effort allows it.
    pub fn require_time(&mut self, effort: Effort, holds: bool, miss: impl FnOnce() -> String) {
        match effort.judges_times() {
            true => self.require(holds, miss),
            false if !holds => self.unjudged.push(miss()),
            false => {}
        }
    }
}

fn rounded(value: Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => n.as_f64().map(|n| (n * 1e3).round() / 1e3).into(),
        other => other,
    }
}

impl Figure {
    /// The names of all figures.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FIGURES.iter().map(|figure| figure.name)
    }

    /// Measures it and takes the time.
    pub fn prove(&self, run: &Run) -> Outcome {
        let began = Instant::now();
        let found = (self.measure)(run);
        Outcome { figure: *self, effort: run.effort, seconds: began.elapsed().as_secs_f64(), found }
    }
}
