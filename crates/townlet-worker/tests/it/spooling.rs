//! Turns between a machine and its log, step by step on a simulated disk.

use std::time::Duration;

use townlet_spill::{FsyncPolicy, Spill, SpillOptions};
use townlet_testkit::disk::SimDisk;
use townlet_testkit::frame_of_len;
use townlet_transport::{ErrorKind, Level};
use townlet_worker::{
    Action, Admission, Backpressure, DropReason, Machine, Options, SpillMode, Spooler, SpoolerOptions,
};

use crate::fakes::{balanced, error, expect_batch, ms, options, seqs, take};

struct Bench {
    disk: SimDisk,
    spill: SpillOptions,
    machine: Machine,
    spooler: Spooler,
    now: Duration,
}

impl Bench {
    fn new(spill: SpillOptions) -> Self {
        Self::with(SpillMode::Overflow, spill)
    }

    fn with(mode: SpillMode, spill: SpillOptions) -> Self {
        Self::within(16, mode, spill)
    }

    fn within(max_queue_length: usize, mode: SpillMode, spill: SpillOptions) -> Self {
        let disk = SimDisk::new(1);
        let limits = Options {
            backpressure: Backpressure::Spill,
            spill: Some(mode),
            max_queue_length,
            max_buffer_bytes: 1 << 20,
            max_batch_size: 16,
            flush_interval: Duration::ZERO,
            ..options()
        };
        let mut machine = Machine::new(limits, 1);
        let opened = Spill::open(Box::new(disk.handle()), spill.clone(), ms(0)).unwrap().0;
        let mut spooler = Spooler::new(opened, SpoolerOptions { kinds: &["event"], fsync: FsyncPolicy::EachCommit });
        spooler.add("main", 1, &mut machine).unwrap();
        spooler.begin(ms(0), b"begun");
        Self { disk, spill, machine, spooler, now: ms(0) }
    }

    fn gather_and_work(&mut self) {
        self.now += ms(5000);
        self.spooler.gather(0, &mut self.machine);
        if self.spooler.wants_account(self.now) {
            self.spooler.set_account(b"account".to_vec());
        }
        self.spooler.work(self.now);
    }

    fn turn(&mut self) {
        self.gather_and_work();
        self.spooler.report(0, &mut self.machine);
        balanced(&self.machine);
    }

    fn admit(&mut self, seq: u64, len: usize) {
        assert_eq!(self.machine.admit(0, seq, len), Admission::Upstream);
    }

    fn fill(&mut self, seq: u64, len: usize) {
        self.machine.fill(0, seq, len, frame_of_len(seq, len));
    }

    /// What the next run would find.
    fn found(&self) -> u64 {
        let copy = SimDisk::with_image(2, &self.disk.image());
        let mut spill = Spill::open(Box::new(copy.handle()), self.spill.clone(), self.now).unwrap().0;
        let main = spill.sink("main").unwrap();
        spill.backlog(main).records
    }
}

#[test]
fn what_is_read_back_while_the_run_ends_and_then_shed_is_not_counted_as_kept() {
    let spill = SpillOptions { segment_bytes: 4096, max_bytes: 20_000, ..SpillOptions::default() };
    let mut bench = Bench::new(spill);
    for seq in 1..=36 {
        bench.admit(seq, 400);
        bench.fill(seq, 400);
        bench.turn();
    }
    let statement = bench.machine.statement();
    assert!(statement.spilled > 20 && statement.account.dropped() == 0, "{statement:?}");
    // The sink takes what memory has; what comes next is read back.
    let now = bench.now;
    let batch = expect_batch(&mut bench.machine, now);
    bench.machine.delivered(now, batch.len(), Level::Sent, 1, ms(1));
    for seq in 37..=44 {
        bench.admit(seq, 1500);
    }
    bench.gather_and_work();
    // Between reading and telling of it the run ends, and what the stage still has must be stored.
    bench.machine.abandon();
    bench.spooler.report(0, &mut bench.machine);
    balanced(&bench.machine);
    for seq in 37..=44 {
        bench.fill(seq, 1500);
    }
    for _ in 0..4 {
        bench.turn();
    }
    bench.spooler.close(bench.now, b"ended");
    bench.spooler.report(0, &mut bench.machine);
    bench.machine.abandon_spool(DropReason::UndeliveredAtShutdown);
    balanced(&bench.machine);
    let statement = bench.machine.statement();
    assert!(statement.account.dropped_for(DropReason::SpillShed) > 0, "the cap was met: {statement:?}");
    assert_eq!(statement.spilled, bench.found(), "{statement:?}");
}

#[test]
fn what_grows_too_old_in_the_turn_that_reads_it_back_while_the_run_ends_is_counted_as_shed() {
    let spill = SpillOptions { segment_bytes: 4096, max_age: Some(Duration::from_hours(1)), ..SpillOptions::default() };
    let mut bench = Bench::new(spill);
    for seq in 1..=36 {
        bench.admit(seq, 400);
        bench.fill(seq, 400);
        bench.turn();
    }
    let now = bench.now;
    let batch = expect_batch(&mut bench.machine, now);
    bench.machine.delivered(now, batch.len(), Level::Sent, 1, ms(1));
    bench.now += Duration::from_hours(2);
    bench.gather_and_work();
    bench.machine.abandon();
    bench.spooler.report(0, &mut bench.machine);
    balanced(&bench.machine);
    bench.spooler.close(bench.now, b"ended");
    bench.spooler.report(0, &mut bench.machine);
    bench.machine.abandon_spool(DropReason::UndeliveredAtShutdown);
    let statement = bench.machine.statement();
    assert_eq!((statement.spilled, bench.found()), (0, 0), "{statement:?}");
    assert_eq!(statement.account.dropped_for(DropReason::SpillShed), 28, "{statement:?}");
    balanced(&bench.machine);
}

#[test]
fn a_disk_that_takes_nothing_for_long_costs_a_healthy_sink_neither_events_nor_memory() {
    let mut bench = Bench::with(SpillMode::WriteAhead, SpillOptions::default());
    bench.disk.capacity(Some(0));
    let rounds = 4000;
    for round in 0..rounds {
        for seq in 8 * round + 1..=8 * round + 8 {
            bench.admit(seq, 1000);
            bench.fill(seq, 1000);
        }
        bench.now += ms(1);
        bench.spooler.gather(0, &mut bench.machine);
        bench.spooler.work(bench.now);
        bench.spooler.report(0, &mut bench.machine);
        if bench.machine.ready() > 0 {
            let now = bench.now;
            let batch = expect_batch(&mut bench.machine, now);
            bench.machine.delivered(now, batch.len(), Level::Sent, 1, ms(1));
        }
        balanced(&bench.machine);
        let waiting = bench.spooler.pending_bytes();
        assert!(waiting <= 9 << 20, "round {round}: {waiting} bytes of what was sent long ago");
    }
    let statement = bench.machine.statement();
    assert_eq!((statement.account.dropped(), statement.account.accepted()), (0, 8 * rounds));
    assert!(statement.buffered <= 16, "{statement:?}");
    // The disk is back: what comes is stored again.
    bench.disk.capacity(None);
    bench.turn();
    bench.admit(1 << 30, 1000);
    bench.fill(1 << 30, 1000);
    for _ in 0..3 {
        bench.turn();
    }
    assert!(bench.spooler.pending_bytes() < 1 << 20 && bench.spooler.status().error.is_none());
    bench.machine.abandon();
    bench.turn();
    bench.spooler.close(bench.now, b"ended");
    bench.spooler.report(0, &mut bench.machine);
    bench.machine.abandon_spool(DropReason::UndeliveredAtShutdown);
    let statement = bench.machine.statement();
    assert_eq!((statement.residual(), statement.account.dropped()), (0, 0), "{statement:?}");
    assert!(statement.spilled >= 1);
}

#[test]
fn what_a_full_log_passed_by_while_the_run_ended_is_stored_in_its_place() {
    let mut bench = Bench::with(SpillMode::WriteAhead, SpillOptions::default());
    bench.disk.capacity(Some(0));
    let mut seq = 0;
    while bench.spooler.pending_bytes() <= 8 << 20 {
        seq += 1;
        bench.admit(seq, 60_000);
        bench.fill(seq, 60_000);
        bench.turn();
        let now = bench.now;
        let batch = expect_batch(&mut bench.machine, now);
        bench.machine.delivered(now, batch.len(), Level::Sent, 1, ms(1));
    }
    let first = seq + 1;
    for more in [2, 3] {
        // The first two are ready when the end comes, the others are with the spooler.
        for _ in 0..more {
            seq += 1;
            bench.admit(seq, 100);
            bench.fill(seq, 100);
        }
        bench.now += ms(1);
        bench.spooler.gather(0, &mut bench.machine);
        bench.spooler.work(bench.now);
        if more == 2 {
            bench.spooler.report(0, &mut bench.machine);
            assert_eq!(bench.machine.ready(), 2);
        }
    }
    bench.machine.abandon();
    bench.spooler.report(0, &mut bench.machine);
    balanced(&bench.machine);
    bench.disk.capacity(None);
    for _ in 0..4 {
        bench.turn();
    }
    bench.spooler.close(bench.now, b"ended");
    bench.spooler.report(0, &mut bench.machine);
    bench.machine.abandon_spool(DropReason::UndeliveredAtShutdown);
    let statement = bench.machine.statement();
    assert_eq!((statement.residual(), statement.account.dropped(), statement.spilled), (0, 0, 5), "{statement:?}");
    let copy = SimDisk::with_image(2, &bench.disk.image());
    let mut spill = Spill::open(Box::new(copy.handle()), bench.spill.clone(), bench.now).unwrap().0;
    let main = spill.sink("main").unwrap();
    let mut entries = Vec::new();
    spill.read(main, 99, 1 << 20, &mut entries).unwrap();
    let seqs: Vec<u64> = entries.iter().map(|it| u64::from_le_bytes(it.head[1..9].try_into().unwrap())).collect();
    assert_eq!(seqs, (first..first + 5).collect::<Vec<u64>>());
}

#[test]
fn events_of_more_than_half_of_memory_go_to_disk_one_by_one_while_the_sink_is_down() {
    for (most, len) in [(16, 600_000), (1, 100), (16, 1 << 20)] {
        let mut bench = Bench::within(most, SpillMode::Overflow, SpillOptions::default());
        for seq in 1..=8 {
            bench.admit(seq, len);
            bench.fill(seq, len);
            // The peer takes nothing; what is to be sent next is in memory, the others are on disk.
            for _ in 0..3 {
                if bench.machine.poll(bench.now) == Action::Send {
                    let batch = take(&mut bench.machine);
                    bench.machine.failed(bench.now, batch, &error(ErrorKind::Unavailable));
                }
                bench.turn();
            }
            let held = bench.machine.status();
            assert!(held.queue_length <= 2 && held.queue_bytes <= 2 * len, "{held:?}");
        }
        let mut came = Vec::new();
        for _ in 0..40 {
            bench.turn();
            if bench.machine.poll(bench.now) == Action::Send {
                let batch = take(&mut bench.machine);
                came.extend(seqs(&batch));
                bench.machine.delivered(bench.now, batch.len(), Level::Sent, batch[0].tick(), ms(1));
            }
        }
        assert_eq!(came, [1, 2, 3, 4, 5, 6, 7, 8], "{most} events of {len} bytes");
        assert_eq!(bench.machine.statement().account.dropped(), 0);
        assert!(bench.machine.status().queue_bytes_peak <= (1 << 20) + len);
    }
}
