//! The world of one seed: what happens in it, and what must hold after every step.

use std::time::Duration;

use townlet_spill::{Spill, StateFound};
use townlet_testkit::disk::{SimDisk, Survival};
use townlet_transport::Frame;
use townlet_worker::DropReason;

use super::ground_truth::{Id, STREAMS, Truth};
use super::life::{Life, RECOVERED};
use super::peer::Peer;
use super::plan::{Chance, Plan, ms};

/// A schedule of faults against the whole way from a host to its peers.
#[derive(Debug)]
pub(crate) struct World {
    /// Its number among those of its kind.
    pub(crate) seed: u64,
    pub(crate) chance: Chance,
    pub(crate) plan: Plan,
    pub(crate) now: Duration,
    pub(crate) tick: u64,
    pub(crate) disk: SimDisk,
    pub(crate) truths: Vec<Truth>,
    pub(crate) peers: Vec<Peer>,
    /// What lost connections may still bring, by sink.
    pub(crate) late: Vec<(usize, Vec<Frame>)>,
    pub(crate) life: Option<Life>,
    pub(crate) runs: u32,
    /// Faults have stopped.
    pub(crate) healed: bool,
    /// Unsynced data may have gone where nothing was to be synced.
    pub(crate) power_lost: bool,
    /// What happened, where somebody wants to read it.
    log: Option<Vec<String>>,
}

/// What a schedule did, to see that schedules are worth their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Schedules.
    pub seeds: u64,
    /// Runs of the process, over all schedules.
    pub runs: u64,
    /// Events that arrived at a peer for the first time.
    pub received: u64,
    /// Events that arrived again.
    pub repeated: u64,
    /// States that merged into later ones, as far as somebody waited for them.
    pub coalesced: u64,
    /// States that came as diffs.
    pub diffs: u64,
    /// Steps of the simulated disks.
    pub disk_steps: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.runs += other.runs;
        self.received += other.received;
        self.repeated += other.repeated;
        self.coalesced += other.coalesced;
        self.diffs += other.diffs;
        self.disk_steps += other.disk_steps;
    }
}

impl World {
    pub(crate) fn new(seed: u64, keep_log: bool) -> Self {
        // Every other schedule has states.
        let (number, states) = (seed.div_ceil(2), seed.is_multiple_of(2));
        let mut chance = Chance::new(if states { !number } else { number });
        let plan = Plan::new(&mut chance, states);
        let disk = SimDisk::new(chance.roll());
        disk.sync_time(chance.micros(50, 8000));
        Self {
            seed: number,
            now: Duration::from_secs(1_000_000),
            tick: 1,
            truths: plan.sinks.iter().map(|_| Truth::default()).collect(),
            peers: plan.sinks.iter().map(|_| Peer::default()).collect(),
            late: Vec::new(),
            life: None,
            runs: 0,
            healed: false,
            power_lost: false,
            log: keep_log.then(|| vec![format!("{plan:#?}")]),
            chance,
            plan,
            disk,
        }
    }

    /// Percent of calls of the network that go wrong now.
    pub(crate) fn network(&self) -> u64 {
        if self.healed { 0 } else { self.plan.network }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>9} us  {}", (self.now - Duration::from_secs(1_000_000)).as_micros(), line()));
        }
    }

    pub(crate) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// The steps so far.
    pub(crate) fn take_log(&mut self) -> Vec<String> {
        self.log.take().unwrap_or_default()
    }

    /// Lives through the schedule; panics where something does not hold.
    pub(crate) fn run(&mut self) -> Tally {
        self.begin_run();
        for _ in 0..self.plan.steps {
            self.step();
            self.check();
            let over = self.life.as_ref().and_then(|life| life.deadline).is_some_and(|deadline| {
                let all = |life: &Life| life.seats.iter().all(|seat| seat.sink.is_finished());
                self.now >= deadline || self.life.as_ref().is_some_and(all)
            });
            if over {
                self.finish_run();
            }
        }
        self.heal();
        self.judge();
        Tally {
            seeds: 1,
            runs: u64::from(self.runs),
            received: self.truths.iter().map(|truth| truth.received).sum(),
            repeated: self.truths.iter().map(|truth| truth.repeated).sum(),
            coalesced: self.truths.iter().map(Truth::coalesced).sum(),
            diffs: self.peers.iter().map(|peer| peer.diffs).sum(),
            disk_steps: self.disk.steps(),
        }
    }

    fn step(&mut self) {
        let sink = self.chance.size(0, self.plan.sinks.len() - 1);
        match self.chance.between(0, 199) {
            0..=69 => self.emit(),
            70..=109 => self.drive(sink),
            110..=149 => self.spool(),
            150..=173 => {
                let most = if self.chance.percent(8) { 600_000 } else { 20_000 };
                self.now += self.chance.micros(0, most);
            }
            174..=177 => self.tick += self.chance.between(1, 4),
            178..=183 => self.retry_blocked(),
            184 if !self.late.is_empty() => self.come_late(1),
            184..=190 => {
                let most = self.chance.size(1, 6);
                self.make_frames(sink, most);
            }
            191..=195 if self.chance.percent(self.plan.disk) => self.trouble_the_disk(),
            196 | 197 if self.plan.crashes => {
                if self.spills() && self.chance.percent(70) {
                    let at = self.disk.steps() + self.chance.between(0, 8);
                    self.disk.crash_at(at);
                    self.note(|| format!("the machine will crash at step {at} of its disk"));
                } else {
                    self.note(|| "kill -9".to_owned());
                    self.die();
                }
            }
            198 if self.chance.percent(60) => {
                let timeout = ms(self.chance.between(0, 600));
                self.shut_down(timeout);
            }
            _ => {}
        }
    }

    /// Faults stop for good: then everything that is owed has to arrive, by the
    /// machines' own wake-ups, in bounded time.
    fn heal(&mut self) {
        self.note(|| "faults stop".to_owned());
        self.healed = true;
        self.disk.capacity(None).short_transfers(0).fail_next_syncs(0).fail_reads(None);
        // A crash that was planned and has not come is one of the faults.
        self.disk.forget_faults();
        if let Some(life) = &mut self.life {
            life.seats.iter_mut().for_each(|seat| seat.driver.heal(self.now));
        }
        self.come_late(usize::MAX);
        if self.life.as_ref().is_some_and(|life| life.deadline.is_some()) {
            self.finish_run();
        }
        let longest = self
            .plan
            .sinks
            .iter()
            .map(|sink| 4 * (sink.options.restart_window + sink.options.ack_timeout + sink.options.max_backoff));
        let patience = self.now + longest.max().unwrap_or_default() + ms(60_000);
        while self.owes() {
            assert!(self.now < patience, "faults have stopped, and still: {}", self.books());
            for sink in 0..self.plan.sinks.len() {
                self.make_frames(sink, usize::MAX);
                self.drive(sink);
            }
            self.spool();
            self.retry_blocked();
            self.now += self.chance.micros(1, 15_000);
            self.check();
        }
    }

    fn owes(&self) -> bool {
        let Some(life) = &self.life else { return false };
        let owes = |statement: townlet_worker::Statement| statement.buffered + statement.spilled > 0;
        !life.blocked.is_empty() || life.seats.iter().any(|seat| owes(seat.sink.statement()))
    }

    fn books(&self) -> String {
        let Some(life) = &self.life else { return String::new() };
        life.seats.iter().map(|seat| format!("{:?}\n", seat.sink.status())).collect()
    }

    /// Takes up what emitters have been told. True where something became durable.
    pub(crate) fn look(&mut self, sink: usize) -> bool {
        let Some(life) = &self.life else { return false };
        let flying = life.seats[sink].driver.flying();
        self.truths[sink].look(&flying)
    }

    /// What holds after every step.
    pub(crate) fn check(&mut self) {
        let mut news = false;
        for sink in 0..self.plan.sinks.len() {
            news |= self.look(sink);
            self.check_books(sink);
        }
        if news && self.plan.is_durable() && self.chance.percent(6) {
            self.check_what_a_power_cut_would_leave();
        }
    }

    fn check_books(&mut self, sink: usize) {
        let Some(life) = &self.life else { return };
        let (plan, seat, truth) = (&self.plan.sinks[sink], &life.seats[sink], &self.truths[sink]);
        let status = seat.sink.status();
        let books = status.statement;
        assert_eq!(books.residual(), 0, "sink {sink}: {books:?}");
        assert_eq!(books.buffered, status.queue_length as u64, "sink {sink}: {books:?}");
        assert_eq!(books.account.delivered(), seat.driver.settled, "sink {sink}: {books:?}");
        let mut sum = seat.sink.stream(RECOVERED);
        for stream in 0..STREAMS {
            let account = seat.sink.stream(stream as u32);
            let [accepted, delivered, dropped, coalesced] = truth.counts(stream);
            assert_eq!(account.accepted(), accepted, "sink {sink}, stream {stream}: {account:?}");
            if truth.knows_all() {
                assert_eq!(account.dropped(), dropped, "stream {stream}: {account:?}");
                assert_eq!(account.coalesced(), coalesced, "stream {stream}: {account:?}");
                let possible = delivered..=delivered + truth.may_be_delivered(stream);
                assert!(possible.contains(&account.delivered()), "stream {stream}: {possible:?}, {account:?}");
            }
            sum += &account;
        }
        assert_eq!(sum, books.account, "the streams add up to the total");
        let one = usize::from(plan.options.spill.is_some());
        assert!(
            status.queue_length <= plan.options.max_queue_length + one,
            "sink {sink}: {} events",
            status.queue_length
        );
        assert!(
            status.queue_length > 0 || status.queue_bytes == 0,
            "nothing waits and takes {} bytes",
            status.queue_bytes
        );
        // What comes back from disk comes a record at a time, whatever its size, and one even where memory is full.
        let slack = if plan.options.spill.is_some() { 2000 } else { 0 };
        let slack = slack + if self.plan.estimates { plan.options.max_buffer_bytes / 2 } else { 0 };
        assert!(
            status.queue_bytes <= plan.options.max_buffer_bytes + slack,
            "sink {sink}: {} bytes",
            status.queue_bytes
        );
        let recovered = seat.sink.stream(RECOVERED).accepted();
        assert!(
            recovered == seat.recovered || life.guessed,
            "{recovered} of earlier runs, {} at the start",
            seat.recovered
        );
        // The disk forgets only what nobody asked it to keep.
        let damaged = books.account.dropped_for(DropReason::SpillDamaged);
        assert!(damaged == 0 || self.power_lost, "sink {sink}: {damaged} lost on a disk that keeps what was synced");
        if plan.sheds_nothing() {
            let shed = books.account.dropped_for(DropReason::Backpressure);
            assert_eq!(shed, 0, "what has a spill to go to is not evicted");
        }
        let shed = books.account.dropped_for(DropReason::SpillShed);
        assert!(shed == 0 || self.plan.sheds, "{shed} shed from a log with room");
    }

    /// What would be found if the power went now.
    fn check_what_a_power_cut_would_leave(&mut self) {
        let Some(life) = &self.life else { return };
        let survival = self.chance.pick(&[Survival::None, Survival::Any]);
        let copy = self.disk.reboot(self.chance.roll(), survival);
        let opened = Spill::open(Box::new(copy.handle()), self.plan.spill.clone(), self.now);
        let (mut spill, recovery) = opened.unwrap_or_else(|e| panic!("after a power cut: {e}"));
        for (sink, plan) in self.plan.sinks.iter().enumerate() {
            let slot = spill.sink(&plan.options.name).unwrap_or_else(|e| panic!("{e}"));
            let mut entries = Vec::new();
            spill.read(slot, usize::MAX, usize::MAX, &mut entries).unwrap_or_else(|e| panic!("{e}"));
            let found: std::collections::HashSet<Id> =
                entries.iter().filter_map(|entry| Id::of_line(&entry.body)).collect();
            let lost = self.truths[sink]
                .missing()
                .map(|(id, _)| *id)
                .filter(|id| !found.contains(id))
                .min_by_key(|id| (id.run, id.stream, id.seq));
            // A later run sheds without naming anybody.
            let shed = life.seats[sink].sink.stream(RECOVERED).dropped();
            if let Some(lost) = lost
                && shed == 0
                && !self.plan.sheds
                && !self.plan.rejections
                && plan.sheds_nothing()
            {
                panic!("a power cut now would lose {lost:?}, for which a receipt was given; {recovery:?}");
            }
            let spilled = life.seats[sink].sink.statement().spilled;
            assert!(
                entries.len() as u64 >= spilled || recovery.state == StateFound::Rebuilt || self.plan.sheds,
                "{spilled} events count as on disk, a power cut now would leave {}",
                entries.len()
            );
        }
    }

    /// Nothing moves any more: was every promise kept?
    fn judge(&mut self) {
        for sink in 0..self.plan.sinks.len() {
            let truth = &self.truths[sink];
            let mut missing: Vec<Id> = truth.missing().map(|(id, _)| *id).collect();
            missing.sort_by_key(|id| (id.run, id.stream, id.seq));
            // A later run may drop what an earlier one had promised, by policy, without naming it.
            let may_drop = self.plan.sheds || self.plan.rejections || !self.plan.sinks[sink].sheds_nothing();
            if !may_drop {
                assert!(missing.is_empty(), "sink {sink}: promised and missing: {missing:?}");
            }
            if let Some(life) = &self.life {
                self.peers[sink].judge(life.run);
            }
        }
    }
}
