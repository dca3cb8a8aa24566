//! The machine against a small model of what it should hold.

use std::collections::VecDeque;

use townlet_transport::{ErrorKind, Level};
use townlet_worker::{Action, Admission, Backpressure, DropReason, Machine, Options};

use crate::fakes::{error, ms, offer, options, seqs, take};
use crate::simulation::Rng;

/// What a queue under `drop_oldest` holds, said in the plainest way.
#[derive(Default)]
struct Model {
    max_count: usize,
    max_bytes: usize,
    held: VecDeque<(u64, usize)>,
    accepted: u64,
    delivered: u64,
    evicted: u64,
    oversize: u64,
}

impl Model {
    fn offer(&mut self, seq: u64, len: usize) {
        self.accepted += 1;
        if len > self.max_bytes {
            self.oversize += 1;
            return;
        }
        self.held.push_back((seq, len));
        while self.held.len() > self.max_count || self.bytes() > self.max_bytes {
            self.held.pop_front();
            self.evicted += 1;
        }
    }

    fn bytes(&self) -> usize {
        self.held.iter().map(|(_, len)| len).sum()
    }

    /// A batch: at least one, then as many as fit.
    fn batch(&self, max_count: usize, max_bytes: usize) -> Vec<u64> {
        let mut bytes = 0;
        let fits = |(n, (_, len)): &(usize, &(u64, usize))| {
            bytes += len;
            *n == 0 || (*n < max_count && bytes <= max_bytes)
        };
        self.held.iter().enumerate().take_while(fits).map(|(_, (seq, _))| *seq).collect()
    }

    fn settle(&mut self, n: usize) {
        self.held.drain(..n);
        self.delivered += n as u64;
    }

    fn check(&self, machine: &Machine) {
        let statement = machine.statement();
        assert_eq!(statement.account.accepted(), self.accepted);
        assert_eq!(statement.account.delivered(), self.delivered);
        assert_eq!(statement.account.dropped_for(DropReason::Backpressure), self.evicted);
        assert_eq!(statement.account.dropped_for(DropReason::Oversize), self.oversize);
        assert_eq!(statement.buffered, self.held.len() as u64);
        assert_eq!(statement.residual(), 0);
        assert_eq!(machine.status().queue_bytes, self.bytes());
    }
}

#[test]
fn drop_oldest_keeps_exactly_the_newest_that_fit() {
    for seed in 1..=500 {
        let mut rng = Rng::new(seed);
        let (max_count, max_bytes) = (rng.between(1, 20) as usize, rng.between(100, 2000) as usize);
        let max_batch = rng.between(1, 10) as usize;
        let limits = Options {
            max_queue_length: max_count,
            max_buffer_bytes: max_bytes,
            max_batch_size: max_batch,
            backpressure: Backpressure::DropOldest,
            ..options()
        };
        let mut machine = Machine::new(limits, seed);
        let mut model = Model { max_count, max_bytes, ..Model::default() };
        for seq in 1..=200 {
            let len = rng.between(1, max_bytes as u64 * 11 / 10) as usize / if rng.chance(70) { 10 } else { 1 } + 1;
            let admission = offer(&mut machine, seq, len);
            model.offer(seq, len);
            assert_eq!(admission == Admission::Upstream, len <= max_bytes, "seed {seed}, seq {seq}");
            if rng.chance(20) && !model.held.is_empty() {
                let batch = take(&mut machine);
                assert_eq!(seqs(&batch), model.batch(max_batch, max_bytes / 2), "seed {seed}, seq {seq}");
                if rng.chance(50) {
                    machine.delivered(ms(seq), batch.len(), Level::Sent, seq, ms(0));
                    model.settle(batch.len());
                } else {
                    machine.failed(ms(seq), batch, &error(ErrorKind::Timeout));
                }
            }
            model.check(&machine);
        }
        let left: Vec<u64> = std::iter::from_fn(|| Some(take(&mut machine)).filter(|b| !b.is_empty()))
            .flat_map(|batch| seqs(&batch))
            .collect();
        assert_eq!(left, model.held.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn the_status_counts_held_events_exactly_while_a_batch_is_out() {
    let mut machine = Machine::new(Options { max_queue_length: 10, ..options() }, 1);
    for seq in 1..=25 {
        offer(&mut machine, seq, 20);
    }
    assert_eq!(machine.poll(ms(0)), Action::Send);
    let batch = take(&mut machine);
    assert_eq!(seqs(&batch), (16..=23).collect::<Vec<_>>());
    // In flight counts: eight are out, so only two more can wait, the newest two.
    for seq in 26..=40 {
        offer(&mut machine, seq, 20);
    }
    let status = machine.status();
    assert_eq!((status.queue_length, status.queue_bytes, status.queue_length_peak), (10, 200, 10));
    machine.delivered(ms(1), 8, Level::Sent, 23, ms(1));
    assert_eq!(seqs(&take(&mut machine)), [39, 40]);
}
