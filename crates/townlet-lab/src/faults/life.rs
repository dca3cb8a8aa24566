//! One run of the process: how it opens its log, turns its spooler, ends in
//! order, or dies.

use std::time::Duration;

use townlet_spill::{ErrorKind, Spill, StateFound};
use townlet_testkit::disk::{DiskFault, SimDisk, Survival};
use townlet_transport::Label;
use townlet_worker::{DropReason, Machine, Route, Sink, Spooler, SpoolerOptions};

use super::ground_truth::STREAMS;
use super::host::{Blocked, Upstream, labels};
use super::network::Driver;
use super::plan::ms;
use super::states::Towns;
use super::world::World;

/// The stream that frames of earlier runs are booked under.
pub(crate) const RECOVERED: u32 = STREAMS as u32;
const KINDS: &[&str] = &["event", "snapshot"];

/// One sink of a run, with what its threads know.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) sink: Sink,
    pub(crate) driver: Driver,
    pub(crate) intake: std::collections::VecDeque<Upstream>,
    /// On the books from the log when the run began.
    pub(crate) recovered: u64,
}

/// Where the spooler's thread is in its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Idle,
    Gathered { over: bool },
    Worked { over: bool },
    Closed,
}

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) run: u32,
    pub(crate) labels: [Label; STREAMS],
    pub(crate) seqs: [u64; STREAMS],
    pub(crate) towns: Towns,
    pub(crate) seats: Vec<Seat>,
    pub(crate) blocked: Vec<Blocked>,
    pub(crate) spooler: Option<Spooler>,
    pub(crate) turn: Turn,
    pub(crate) deadline: Option<Duration>,
    /// What the log found at its start makes its figures a guess.
    pub(crate) guessed: bool,
    /// The disk has failed in this run.
    pub(crate) disk_failed: bool,
}

impl Life {
    fn is_over(&self) -> bool {
        self.deadline.is_some() && self.seats.iter().all(|seat| seat.sink.is_finished())
    }

    fn accepted(&self) -> u64 {
        self.seats.iter().map(|seat| seat.sink.statement().account.accepted()).sum()
    }

    fn account(&self) -> Vec<u8> {
        format!("run-{} accepted={}", self.run, self.accepted()).into_bytes()
    }
}

impl World {
    /// Starts a run on the disk as it is; again where the machine crashes meanwhile.
    pub(crate) fn begin_run(&mut self) {
        loop {
            self.runs += 1;
            let run = self.runs;
            if self.plan.crashes && !self.healed && self.chance.percent(8) {
                let step = self.disk.steps() + self.chance.between(0, 12);
                self.disk.crash_at(step);
            }
            let seats = (self.plan.sinks.iter()).map(|plan| Seat {
                sink: Sink::new(plan.options.clone(), self.seed ^ u64::from(run), false),
                driver: Driver::new(plan.form),
                intake: Default::default(),
                recovered: 0,
            });
            let mut seats: Vec<Seat> = seats.collect();
            let mut guessed = false;
            let mut spooler = None;
            if self.spills() {
                let opened = Spill::open(Box::new(self.disk.handle()), self.plan.spill.clone(), self.now);
                match opened {
                    Ok((spill, recovery)) => {
                        let files = self.disk.image();
                        let files =
                            || files.iter().map(|(name, content)| (name.clone(), content.len())).collect::<Vec<_>>();
                        self.note(|| format!("run {run} opens the log: {recovery}; {:?}", files()));
                        guessed = !matches!(recovery.state, StateFound::Good | StateFound::Fresh)
                            || recovery.lost_at_most() > 0;
                        let options = SpoolerOptions { kinds: KINDS, fsync: self.plan.spill.fsync };
                        let mut opened = Spooler::new(spill, options);
                        for (seat, plan) in seats.iter_mut().zip(&self.plan.sinks) {
                            let machine = seat.sink.machine(Route::Main);
                            let name = &plan.options.name;
                            seat.recovered = opened.add(name, RECOVERED, machine).unwrap_or_else(|e| panic!("{e}"));
                        }
                        spooler = Some(opened);
                    }
                    Err(error) => {
                        assert!(self.disk.has_crashed(), "the log does not open: {error}");
                        assert_ne!(error.kind(), ErrorKind::Locked, "the lock of a dead process");
                    }
                }
            }
            if self.disk.has_crashed() {
                drop(spooler);
                self.note(|| "the machine crashes while it starts".to_owned());
                self.restart_machine();
                continue;
            }
            self.life = Some(Life {
                run,
                labels: labels(run, self.plan.states),
                seqs: [0; STREAMS],
                towns: Towns::new(run),
                seats,
                blocked: Vec::new(),
                spooler,
                turn: Turn::Idle,
                deadline: None,
                guessed,
                disk_failed: false,
            });
            return;
        }
    }

    pub(crate) fn spills(&self) -> bool {
        self.plan.sinks.iter().any(|sink| sink.options.spill.is_some())
    }

    /// The next step of the spooler's thread.
    pub(crate) fn spool(&mut self) {
        let now = self.now;
        let Some(life) = &mut self.life else { return };
        let over = life.is_over();
        let Some(spooler) = &mut life.spooler else { return };
        let mut deeds = String::new();
        match life.turn {
            Turn::Idle => {
                let mut busy = false;
                for (index, seat) in life.seats.iter_mut().enumerate() {
                    busy |= spooler.gather(index, seat.sink.machine(Route::Main));
                }
                let accepted = life.seats.iter().map(|seat| seat.sink.statement().account.accepted()).sum();
                spooler.note_accepted(accepted);
                if busy || over || spooler.due(now).is_some_and(|due| due.is_zero()) {
                    if spooler.wants_account(now) {
                        let account = format!("run-{} accepted={accepted}", life.run);
                        spooler.set_account(account.into_bytes());
                    }
                    life.turn = Turn::Gathered { over };
                }
            }
            Turn::Gathered { over } => {
                if self.has_log() {
                    self.disk.keep_log();
                }
                let Some(life) = &mut self.life else { return };
                let Some(spooler) = &mut life.spooler else { return };
                spooler.work(now);
                life.turn = Turn::Worked { over };
                deeds = format!("spooler works: {:?}, {:?}", spooler.status(), self.disk.log());
            }
            Turn::Worked { over } => {
                let all = self.tell();
                let Some(life) = &mut self.life else { return };
                let books: Vec<_> = life.seats.iter().map(|seat| seat.sink.statement()).collect();
                deeds = format!("spooler reports: {books:?}");
                life.turn = Turn::Idle;
                if over && all {
                    let account = life.account();
                    if let Some(spooler) = &mut life.spooler {
                        spooler.close(now, &account);
                    }
                    life.turn = Turn::Closed;
                    deeds = "spooler closes".to_owned();
                }
            }
            Turn::Closed => {
                self.tell();
                if let Some(life) = &mut self.life {
                    life.spooler = None;
                }
                deeds = "spooler ends".to_owned();
            }
        }
        if !deeds.is_empty() {
            self.note(|| deeds);
        }
        if self.disk.has_crashed() {
            self.note(|| "the machine crashes".to_owned());
            self.die();
        }
    }

    /// Reports to all sinks; true where no frame waits to be handed over.
    fn tell(&mut self) -> bool {
        let Some(life) = &mut self.life else { return true };
        let Some(spooler) = &mut life.spooler else { return true };
        life.disk_failed |= spooler.status().errors_total > 0;
        let mut all = true;
        for (index, seat) in life.seats.iter_mut().enumerate() {
            let machine = seat.sink.machine(Route::Main);
            spooler.report(index, machine);
            all &= !machine.wants_spooler();
            seat.driver.woken |= machine.wants_wake();
        }
        all
    }

    /// The process is gone, and what memory held with it.
    pub(crate) fn die(&mut self) {
        for sink in 0..self.plan.sinks.len() {
            // What emitters have been told stands.
            self.look(sink);
            let cut = self.life.as_mut().map(|life| life.seats[sink].driver.let_go()).unwrap_or_default();
            let there = self.chance.size(0, cut.len());
            self.arrive(sink, &cut[..there]);
            self.delay(sink, &cut[there..]);
        }
        let Some(life) = self.life.take() else { return };
        for truth in &mut self.truths {
            truth.end_run(life.run, false);
        }
        let failing = life.spooler.as_ref().is_some_and(|spooler| spooler.status().errors_total > 0);
        let disk_failed = life.disk_failed || failing;
        drop(life);
        // A killed process leaves what it wrote to the system; after a failed sync see `finish_run`.
        if self.disk.has_crashed() || disk_failed || self.chance.percent(50) {
            self.restart_machine();
        } else {
            self.disk.forget_faults();
        }
        self.begin_run();
    }

    fn restart_machine(&mut self) {
        let survival = self.chance.pick(&[Survival::Mixed, Survival::Mixed, Survival::None, Survival::All]);
        if survival != Survival::All && self.plan.spill.fsync == townlet_spill::FsyncPolicy::Never {
            self.truths.iter_mut().for_each(super::ground_truth::Truth::release_promises);
            self.power_lost = true;
        }
        let seed = self.chance.roll();
        self.disk = self.disk.reboot(seed, survival);
        self.note(|| format!("reboot, {survival:?} survives"));
    }

    /// Somebody asks for the end.
    pub(crate) fn shut_down(&mut self, timeout: Duration) {
        let now = self.now;
        let Some(life) = &mut self.life else { return };
        if life.deadline.is_some() {
            return;
        }
        life.deadline = Some(now + timeout);
        life.blocked.clear();
        for seat in &mut life.seats {
            seat.sink.machines().for_each(|m| m.shutdown(now, now + timeout));
            seat.driver.woken = true;
        }
        self.note(|| format!("shutdown within {timeout:?}"));
    }

    /// What the host's `shutdown` does once all workers have ended or its time is up.
    pub(crate) fn finish_run(&mut self) {
        let Some(life) = &self.life else { return };
        let run = life.run;
        if self.chance.percent(50) {
            // The drivers come to the deadline before the host does.
            (0..self.plan.sinks.len()).for_each(|sink| self.drive(sink));
        }
        // The rest is stored while the clock runs on a little.
        for sink in 0..self.plan.sinks.len() {
            let spools = self.plan.sinks[sink].options.spill.is_some();
            if spools {
                self.make_frames(sink, usize::MAX);
            }
            if let Some(life) = &mut self.life
                && spools
            {
                life.seats[sink].sink.machines().for_each(Machine::abandon);
            }
        }
        self.check();
        if self.plan.disk > 0 && !self.healed && self.chance.percent(20) {
            self.disk.fail_next_syncs(8).capacity(Some(0));
            self.note(|| "the disk takes nothing at the end".to_owned());
        }
        let last = self.now + ms(1000);
        while self.life.as_ref().is_some_and(|life| life.run == run && life.spooler.is_some()) && self.now < last {
            self.spool();
            if self.life.as_ref().is_some_and(|life| life.run == run) {
                self.check();
            }
            self.now += self.chance.micros(100, 20_000);
        }
        let Some(life) = self.life.as_mut().filter(|life| life.run == run) else { return };
        let in_order = life.spooler.is_none();
        let disk_failed = std::mem::take(&mut life.disk_failed);
        for seat in &mut life.seats {
            seat.sink.machines().for_each(|m| m.abandon_spool(DropReason::UndeliveredAtShutdown));
            seat.sink.machines().for_each(Machine::abandon);
        }
        (0..self.plan.sinks.len()).for_each(|sink| self.drop_upstream(sink));
        self.check();
        // Where it syncs at intervals, the last sync may be one of those that failed.
        if in_order && (disk_failed || self.chance.percent(10)) {
            self.check_what_is_left();
        }
        self.judge_the_end(run, in_order && (!disk_failed || self.plan.is_durable()));
        let Some(life) = self.life.take() else { return };
        self.note(|| format!("run {run} ends"));
        drop(life);
        // What a failed sync left in the cache of the system looks good to the next process of the same machine and is
        // not on the disk: nobody can tell. So the machine goes down as well where the disk has failed.
        if disk_failed || self.plan.crashes && self.chance.percent(25) {
            self.restart_machine();
        } else {
            self.disk.forget_faults();
        }
        self.begin_run();
    }

    /// As many events as the final statement counts as spilled are in the files that the run leaves.
    fn check_what_is_left(&self) {
        let Some(life) = self.life.as_ref().filter(|life| self.spills() && !life.guessed && !self.power_lost) else {
            return;
        };
        let copy = SimDisk::with_image(self.seed, &self.disk.image());
        let opened = Spill::open(Box::new(copy.handle()), self.plan.spill.clone(), self.now);
        let (mut spill, _) = opened.unwrap_or_else(|e| panic!("after the end: {e}"));
        for (seat, plan) in life.seats.iter().zip(&self.plan.sinks) {
            let slot = spill.sink(&plan.options.name).unwrap_or_else(|e| panic!("{e}"));
            let (found, spilled) = (spill.backlog(slot).records, seat.sink.statement().spilled);
            assert!(found >= spilled, "the last statement has {spilled} events on disk, where {found} are");
        }
    }

    /// The final statement of a run.
    fn judge_the_end(&mut self, run: u32, in_order: bool) {
        for sink in 0..self.plan.sinks.len() {
            let Some(life) = &self.life else { return };
            let books = life.seats[sink].sink.statement();
            assert_eq!(books.buffered, 0, "at the end nothing waits in memory: {books:?}");
            // What a failed sync took at the very end is counted, and nobody knows of whom.
            let account = life.seats[sink].sink.stream(RECOVERED);
            let unnamed = account.dropped_for(DropReason::UndeliveredAtShutdown);
            let truth = &mut self.truths[sink];
            if truth.knows_all() && in_order {
                let open = truth.unsettled(run) as u64;
                let known = books.spilled + unnamed;
                assert!(open <= known, "sink {sink}: {open} events have no end, {} are on disk", books.spilled);
            }
            truth.end_run(run, in_order && unnamed == 0);
        }
    }

    /// Something goes wrong with the disk, or gets well.
    pub(crate) fn trouble_the_disk(&mut self) {
        let steps = self.disk.steps();
        match self.chance.between(0, 9) {
            0 | 1 => {
                let count = self.chance.between(1, 3) as u32;
                self.disk.fail_next_syncs(count);
                self.note(|| format!("the next {count} syncs fail"));
            }
            2..=4 => {
                let at = steps + self.chance.between(0, 6);
                self.disk.fault_at(at, DiskFault::Eio);
                self.note(|| format!("step {at} fails"));
            }
            5 | 6 => {
                let used: u64 = self.disk.image().values().map(|file| file.len() as u64).sum();
                let room = used + self.chance.between(0, 6000);
                self.disk.capacity(Some(room));
                self.note(|| format!("the disk is full at {room}"));
            }
            7 => {
                let one_in = self.chance.between(2, 10) as u32;
                self.disk.short_transfers(one_in);
            }
            _ => {
                self.disk.capacity(None).short_transfers(0).fail_next_syncs(0);
                self.note(|| "the disk is well".to_owned());
            }
        }
    }
}
