//! A machine that lets events in on credit is, once they are on its books, the one that was asked about each.

use townlet_testkit::frame_of_len;
use townlet_transport::{Connected, ErrorKind, Level};
use townlet_worker::{Action, Admission, Backpressure, Credit, DropReason, Machine, OnCredit, Options, SpillMode};

use crate::fakes::{error, ms, options};
use crate::simulation::Rng;

/// Emits to two equal machines: one is asked each time, the other one as seldom as may be.
struct Pair {
    inline_stage: bool,
    asked: Machine,
    trusting: Machine,
    credit: Credit,
    tabs: [OnCredit; 3],
    first_tick: Option<u64>,
    /// Admitted and not yet filled: stream, number, weight, tick.
    upstream: Vec<(u32, u64, usize, u64)>,
    taken: Vec<townlet_transport::Frame>,
    on_credit: u64,
    seq: u64,
}

impl Pair {
    fn new(options: &Options, inline_stage: bool) -> Self {
        let machine = || {
            let machine = Machine::new(options.clone(), 7);
            if inline_stage { machine.with_inline_stage() } else { machine }
        };
        Self {
            inline_stage,
            asked: machine(),
            trusting: machine(),
            credit: Credit::NONE,
            tabs: [OnCredit::NONE; 3],
            first_tick: None,
            upstream: Vec::new(),
            taken: Vec::new(),
            on_credit: 0,
            seq: 0,
        }
    }

    fn emit(&mut self, stream: u32, tick: u64, weight: usize) {
        self.seq += 1;
        let answer = if self.credit.spend(tick, weight) {
            let answer = self.asked.admit(stream, tick, weight);
            assert_eq!(answer, Admission::Upstream, "the credit was for that");
            assert!(!self.inline_stage || !self.asked.wants_wake(), "the host would have had to wake the driver");
            self.first_tick.get_or_insert(tick);
            self.tabs[stream as usize].add(tick, weight);
            self.on_credit += 1;
            answer
        } else {
            let inline_stage = self.inline_stage;
            let (asked, trusting) = self.both();
            let answer = asked.admit(stream, tick, weight);
            assert_eq!(trusting.admit(stream, tick, weight), answer);
            // Else the stage asks, after it has filled.
            if inline_stage {
                assert_eq!(trusting.wants_wake(), asked.wants_wake());
            }
            self.credit = trusting.credit();
            answer
        };
        match answer {
            Admission::Upstream => self.upstream.push((stream, self.seq, weight, tick)),
            Admission::EvictUpstream => {
                let (asked, trusting) = self.both();
                asked.refuse(stream, DropReason::Backpressure);
                trusting.refuse(stream, DropReason::Backpressure);
            }
            Admission::Full => {
                let (asked, trusting) = self.both();
                asked.refuse(stream, DropReason::BlockTimeout);
                trusting.refuse(stream, DropReason::BlockTimeout);
            }
            Admission::Dropped(_) => {}
        }
    }

    /// Both machines, their books complete and equal.
    fn both(&mut self) -> (&mut Machine, &mut Machine) {
        self.credit = Credit::NONE;
        if let Some(first_tick) = self.first_tick.take() {
            for (stream, tab) in self.tabs.iter_mut().enumerate() {
                self.trusting.admit_on_credit(stream as u32, first_tick, &std::mem::take(tab));
            }
            assert_eq!(format!("{:?}", self.trusting.statement()), format!("{:?}", self.asked.statement()));
        }
        (&mut self.asked, &mut self.trusting)
    }

    /// Anything that is done to a machine.
    fn anything_else(&mut self, rng: &mut Rng, now: u64) {
        match rng.between(0, 9) {
            0..=2 if !self.upstream.is_empty() => {
                let n = rng.between(1, self.upstream.len() as u64) as usize;
                for (stream, seq, weight, tick) in self.upstream.drain(..n).collect::<Vec<_>>() {
                    let len = rng.between(1, weight as u64 + 20) as usize;
                    let dropped = rng.between(0, 9) == 0;
                    let frame = frame_of_len(tick, len);
                    let (asked, trusting) = self.both();
                    for machine in [asked, trusting] {
                        match dropped {
                            true => machine.drop_upstream(stream, seq, weight, DropReason::Transform),
                            false => machine.fill(stream, seq, weight, frame.clone()),
                        }
                    }
                }
            }
            3..=5 => {
                let (asked, trusting) = self.both();
                let action = asked.poll(ms(now));
                assert_eq!(trusting.poll(ms(now)), action);
                if action == Action::Send && self.taken.is_empty() {
                    let (mut one, mut two) = (Vec::new(), Vec::new());
                    let (asked, trusting) = self.both();
                    asked.take(&mut one);
                    trusting.take(&mut two);
                    assert_eq!(one.len(), two.len());
                    let peer = Connected::fresh("peer", Level::Sent, false);
                    asked.connected(&peer).unwrap();
                    trusting.connected(&peer).unwrap();
                    self.taken = one;
                }
            }
            6 if !self.taken.is_empty() => {
                let taken = std::mem::take(&mut self.taken);
                let (asked, trusting) = self.both();
                for machine in [asked, trusting] {
                    machine.delivered(ms(now), taken.len(), Level::Sent, taken[0].tick(), ms(1));
                }
            }
            7 if !self.taken.is_empty() => {
                let taken = std::mem::take(&mut self.taken);
                let (asked, trusting) = self.both();
                for machine in [asked, trusting] {
                    machine.failed(ms(now), taken.clone(), &error(ErrorKind::Disconnected));
                }
            }
            8 => {
                let (asked, trusting) = self.both();
                asked.press();
                trusting.press();
            }
            _ => {
                let (asked, trusting) = self.both();
                let fits = asked.is_full(50);
                assert_eq!(trusting.is_full(50), fits);
            }
        }
        let (asked, trusting) = self.both();
        assert_eq!(format!("{trusting:?}"), format!("{asked:?}"));
        if rng.between(0, 1) == 0 {
            self.credit = self.trusting.credit();
        }
    }
}

#[test]
fn what_was_let_in_on_credit_leaves_the_machine_as_if_it_had_been_asked_about_each() {
    let mut on_credit = 0;
    for seed in 1..=400 {
        let mut rng = Rng::new(seed);
        let all = [Backpressure::DropOldest, Backpressure::Block, Backpressure::FanOut, Backpressure::Coalesce];
        let limits = Options {
            max_queue_length: rng.between(1, 60) as usize,
            max_buffer_bytes: 40 * rng.between(3, 150) as usize,
            max_batch_size: rng.between(1, 20) as usize,
            flush_interval_ticks: rng.between(0, 6),
            flush_interval: ms(rng.between(0, 4) * 50),
            backpressure: all[rng.between(0, 3) as usize],
            ..options()
        };
        let mut pair = Pair::new(&limits, seed % 2 == 0);
        let (mut tick, mut now) = (1, 0);
        for _ in 0..150 {
            if rng.between(0, 3) > 0 {
                // Hosts need not agree on the tick.
                let this = (tick + rng.between(0, 2)).saturating_sub(1);
                pair.emit(rng.between(0, 2) as u32, this, 10 * rng.between(1, 15) as usize);
            } else {
                now += rng.between(0, 80);
                pair.anything_else(&mut rng, now);
            }
            tick += u64::from(rng.between(0, 7) == 0);
        }
        let (asked, trusting) = pair.both();
        assert_eq!(format!("{trusting:?}"), format!("{asked:?}"), "seed {seed}");
        assert_eq!(trusting.statement().residual(), 0, "seed {seed}");
        on_credit += pair.on_credit;
    }
    assert!(on_credit > 5_000, "credit was used: {on_credit}");
}

#[test]
fn the_event_that_makes_a_batch_due_by_bytes_is_asked_about() {
    let limits = Options { max_buffer_bytes: 1000, max_batch_size: 100, ..options() };
    let mut machine = Machine::new(limits, 1).with_inline_stage();
    assert_eq!(machine.admit(0, 1, 100), Admission::Upstream);
    assert!(matches!(machine.poll(ms(0)), Action::Wait(_)), "the driver dozes");
    let mut credit = machine.credit();
    assert!((0..3).all(|_| credit.spend(1, 100)), "a batch is half of the buffer");
    assert!(!credit.spend(1, 100), "with this one it is due");
    assert!(credit.spend(1, 99));
}

#[test]
fn there_is_no_credit_where_every_event_has_to_be_asked_about() {
    let fresh = Machine::new(options(), 1).credit();
    assert_ne!(fresh, Credit::NONE);
    let spills = Options { spill: Some(SpillMode::Overflow), backpressure: Backpressure::Spill, ..options() };
    assert_eq!(Machine::new(spills, 1).credit(), Credit::NONE, "room is reserved for what comes back");
    let mut closing = Machine::new(options(), 1);
    closing.shutdown(ms(0), ms(100));
    assert_eq!(closing.credit(), Credit::NONE, "each event of a drain wakes the driver");
}
