//! The world of one schedule, and what must hold in it after every step.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use townlet_transport::{Frame, Label, Level};
use townlet_worker::{Backpressure, Machine, Options, Route, Sink, Statement};

use super::Rng;
use super::drive::Driver;
use super::host::{Blocked, Upstream};
use crate::fakes::ms;

pub(super) const STREAMS: usize = 4;

/// Who turns what was admitted into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The host, at once, as `Worker` does.
    Host,
    /// The worker's own thread, when the machine asks for it.
    Inline,
    /// A thread of its own, at any time.
    Apart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Held,
    Delivered,
    Dropped,
}

/// The fates of one stream's frames by `seq`; absent: never accepted.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) label: Option<Label>,
    pub(super) next_seq: u64,
    fates: BTreeMap<u64, Fate>,
    counts: [u64; 3],
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: Duration,
    pub(super) tick: u64,
    pub(super) options: Options,
    pub(super) stage: Stage,
    pub(super) sink: Sink,
    pub(super) streams: [Stream; STREAMS],
    pub(super) intake: VecDeque<Upstream>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) drivers: Vec<Driver>,
    /// Percent of calls that go wrong; 0 after healing.
    pub(super) faults: u64,
    /// Sends are acknowledged later.
    pub(super) acked: bool,
    /// Weights are estimates.
    pub(super) estimates: bool,
    pub(super) deadline: Option<Duration>,
    pub(super) met: BTreeMap<&'static str, u64>,
    log: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let backpressure =
            [Backpressure::DropOldest, Backpressure::Block, Backpressure::FanOut][rng.between(0, 2) as usize];
        let stage = [Stage::Host, Stage::Inline, Stage::Apart][rng.between(0, 2) as usize];
        // The lane of `fan_out` has no inline stage: the pipeline gives such a sink a stage apart.
        let stage = if backpressure == Backpressure::FanOut && stage == Stage::Inline { Stage::Apart } else { stage };
        let acked = rng.chance(40);
        let options = Options {
            spill: None,
            name: "sim".into(),
            max_queue_length: rng.between(1, 24) as usize,
            max_buffer_bytes: rng.between(50, 3000) as usize,
            max_batch_size: rng.between(1, 10) as usize,
            flush_interval_ticks: rng.between(0, 30),
            flush_interval: ms(rng.between(0, 400)),
            poll: ms(rng.between(10, 500)),
            backpressure,
            block_timeout: ms(rng.between(0, 300)),
            max_attempts: rng.between(0, 3) as u32,
            backoff: ms(rng.between(0, 200)),
            max_backoff: ms(rng.between(0, 2000)),
            restart_limit: rng.between(0, 3) as u32,
            restart_window: ms(rng.between(100, 5000)),
            settle_at: if acked && rng.chance(50) { Level::PeerAcked } else { Level::Sent },
            ack_timeout: ms(rng.between(50, 1000)),
        };
        let sink = Sink::new(options.clone(), seed, stage == Stage::Inline);
        let mut drivers = vec![Driver::new(Route::Main)];
        if sink.has_lane() {
            drivers.push(Driver::new(Route::Lane));
        }
        let mut streams: [Stream; STREAMS] = Default::default();
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.label = Some(Label::new("run", &n.to_string()));
        }
        Self {
            faults: if rng.chance(10) { 0 } else { rng.between(1, 70) },
            estimates: stage != Stage::Host && rng.chance(30),
            rng,
            now: Duration::ZERO,
            tick: 1,
            options,
            stage,
            sink,
            streams,
            intake: VecDeque::new(),
            blocked: Vec::new(),
            drivers,
            acked,
            deadline: None,
            met: BTreeMap::new(),
            log: None,
        }
    }

    pub(super) fn run(mut self) -> BTreeMap<&'static str, u64> {
        self.live();
        std::mem::take(&mut self.met)
    }

    pub(super) fn run_to_log(mut self) -> Vec<String> {
        self.live();
        self.log.take().unwrap_or_default()
    }

    /// Keeps a log of what happens, and prints it where an assertion fails.
    pub(super) fn logging(mut self) -> Self {
        self.log = Some(vec![format!("{:?} {:?}", self.stage, self.options)]);
        self
    }

    fn live(&mut self) {
        let steps = self.rng.between(20, 400);
        for _ in 0..steps {
            self.step();
            self.check();
            if self.deadline.is_some_and(|d| self.now >= d + ms(200)) {
                break;
            }
        }
        if self.deadline.is_none() {
            self.heal();
            self.shutdown(ms(5000));
        }
        self.end();
    }

    fn step(&mut self) {
        match self.rng.between(0, 99) {
            0..=39 => self.offer(),
            40..=64 => self.drive(),
            65..=74 if self.stage == Stage::Apart => self.run_stage(None),
            65..=84 => {
                let by = if self.rng.chance(10) { 700 } else { 30 };
                self.now += Duration::from_micros(self.rng.between(0, by * 1000));
            }
            85..=89 => self.tick += self.rng.between(1, 5),
            90..=98 => self.retry_blocked(),
            _ => {
                if self.deadline.is_none() && self.rng.chance(25) {
                    let timeout = ms(self.rng.between(0, 800));
                    self.shutdown(timeout);
                }
            }
        }
    }

    fn drive(&mut self) {
        for index in 0..self.drivers.len() {
            self.drive_one(index);
            self.check();
        }
    }

    /// The peer recovers for good: then everything that is held must go out,
    /// within the time that the limits give, by the machine's own wake-ups.
    fn heal(&mut self) {
        self.faults = 0;
        for driver in &mut self.drivers {
            driver.heal(self.now);
        }
        let patience = self.now
            + 4 * (self.options.restart_window + self.options.ack_timeout + self.options.max_backoff)
            + ms(60_000);
        while self.sink.statement().buffered > 0 || !self.blocked.is_empty() {
            assert!(self.now < patience, "still held after the peer recovered: {:?}", self.sink.statement());
            if self.stage == Stage::Apart {
                self.run_stage(None);
            }
            self.drive();
            self.retry_blocked();
            self.now += Duration::from_micros(self.rng.between(1, 20_000));
            self.check();
        }
    }

    /// Runs to the end of the shutdown, and past it where a call is stuck.
    fn end(&mut self) {
        let deadline = self.deadline.expect("shutdown was called");
        while !self.sink.is_finished() && self.now < deadline {
            if self.stage == Stage::Apart {
                self.run_stage(None);
            }
            self.drive();
            self.now += Duration::from_micros(self.rng.between(1, 10_000));
        }
        // What `Worker::shutdown` and the pipeline do when the time is up.
        if !self.sink.is_finished() {
            self.meet("abandoned by the host");
            self.sink.machines().for_each(Machine::abandon);
        }
        self.drop_everything_upstream();
        self.check();
        let books = self.sink.statement();
        assert_eq!((books.buffered, books.residual()), (0, 0), "nothing is left on the books");
        for driver in &mut self.drivers {
            driver.release(self.now);
        }
        for _ in 0..10 {
            self.now += ms(5000);
            self.drive();
        }
        assert!(self.drivers.iter().all(|d| d.exited), "a thread would live for ever");
        assert_eq!(self.sink.statement(), books, "a late result changed the books");
        for (index, stream) in self.streams.iter().enumerate() {
            let account = self.sink.stream(index as u32);
            let [held, delivered, dropped] = stream.counts;
            assert_eq!((held, account.delivered(), account.dropped()), (0, delivered, dropped), "stream {index}");
        }
    }

    pub(super) fn accepted(&mut self, stream: u32, seq: u64) {
        let stream = &mut self.streams[stream as usize];
        assert!(stream.fates.insert(seq, Fate::Held).is_none(), "accepted twice");
        stream.counts[Fate::Held as usize] += 1;
    }

    /// Every frame ends once, and only once.
    pub(super) fn ended(&mut self, stream: u32, seq: u64, fate: Fate) {
        self.note(|| format!("{stream}/{seq} {fate:?}"));
        let stream = &mut self.streams[stream as usize];
        let before = stream.fates.insert(seq, fate);
        assert_eq!(before, Some(Fate::Held), "seq {seq} becomes {fate:?}");
        stream.counts[Fate::Held as usize] -= 1;
        stream.counts[fate as usize] += 1;
    }

    pub(super) fn frame_ended(&mut self, frame: &Frame, fate: Fate) {
        self.ended(stream_of(frame), frame.seq(), fate);
    }

    pub(super) fn meet(&mut self, situation: &'static str) {
        *self.met.entry(situation).or_insert(0) += 1;
        self.note(|| situation.to_owned());
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:?} {}", self.now, line()));
        }
    }

    /// What holds after every step.
    pub(super) fn check(&mut self) {
        self.collect_the_dropped();
        let total = self.sink.statement();
        assert_eq!(total.residual(), 0, "{total:?}");
        let mut sum = Statement::default();
        for (index, stream) in self.streams.iter().enumerate() {
            let account = self.sink.stream(index as u32);
            let [held, delivered, dropped] = stream.counts;
            assert_eq!(account.accepted(), held + delivered + dropped, "stream {index}");
            assert_eq!((account.delivered(), account.dropped()), (delivered, dropped), "stream {index}");
            sum += &Statement { account, buffered: held, spilled: 0 };
        }
        assert_eq!(sum, total, "the streams add up to the total, the held ones to the queue");
        // An estimate may be a fifth too low; the true size shows when it is encoded.
        let slack = if self.estimates { self.options.max_buffer_bytes / 2 } else { 0 };
        for machine in self.sink.machines() {
            let status = machine.status();
            assert!(status.queue_length <= self.options.max_queue_length);
            assert!(status.queue_bytes <= self.options.max_buffer_bytes + slack, "{} bytes", status.queue_bytes);
            assert!(status.queue_length <= status.queue_length_peak && status.queue_bytes <= status.queue_bytes_peak);
        }
    }

    /// Dropped frames turn up in the graveyard, or were in a driver's hands when its machine ended.
    fn collect_the_dropped(&mut self) {
        let mut gone: Vec<Frame> = self.sink.machines().flat_map(Machine::take_graveyard).collect();
        if !gone.is_empty() {
            self.meet("evicted");
        }
        for index in 0..self.drivers.len() {
            let route = self.drivers[index].route;
            if self.sink.machine(route).is_finished() {
                gone.extend(self.drivers[index].let_go());
            }
        }
        for frame in gone {
            self.frame_ended(&frame, Fate::Dropped);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.log.iter().flatten().for_each(|line| eprintln!("{line}"));
        }
    }
}

pub(super) fn stream_of(frame: &Frame) -> u32 {
    frame.label().stream().parse().expect("streams of a simulation are named by number")
}
