//! Jobs and shifts: who is due, who comes late or not at all, who helps out, and what is paid.

use crate::agents::{Agent, Doing};
use crate::economy::Price;
use crate::events::{ExitReason, TownEvent, named};
use crate::town::{self, AgentRef, Cell, TICKS_PER_DAY};
use crate::world::World;

/// Ticks before a shift in which an agent may already arrive.
const ARRIVAL_BUFFER: u64 = 20;
/// Ticks after the start of a shift that still count as on time.
const GRACE: u64 = 5;
/// Ticks after the start of a shift from which a missing agent is absent.
const ABSENT_CUTOFF: u64 = 30;
/// Ticks after a shift in which it still shows as just over.
const SLACK: u64 = 20;
/// Money withheld per tick of lateness.
const LATE_PENALTY: f64 = 0.005;
/// Money withheld for an absence.
const ABSENCE_PENALTY: f64 = 0.2;
/// Absences in seven days from which an agent has to go.
const MAX_ABSENCES: u32 = 3;
/// Chance that a late or absent agent, whose wages are withheld, gives notice.
const RESIGNATION_CHANCE: f64 = 0.35;
/// Chance that coworkers help a late agent, and that they take an absent one's shift.
const HELP_CHANCE: f64 = 0.5;

named! {
    /// A job. Households alternate between the two.
    pub Job {
        /// Ticks 180 to 360 of the day.
        Grocer = "grocer",
        /// Ticks 400 to 560 of the day.
        Barista = "barista",
    }
}

impl Job {
    /// First tick of the shift within the day, and the first after it.
    pub fn shift(self) -> (u64, u64) {
        match self {
            Self::Grocer => (180, 360),
            Self::Barista => (400, 560),
        }
    }

    /// Pay in units of `wage_income`.
    fn pay(self) -> f64 {
        match self {
            Self::Grocer => 1.0,
            Self::Barista => 1.25,
        }
    }

    pub(crate) fn workplace(self, slot: usize) -> Cell {
        town::in_block(slot / town::BLOCK, if self == Self::Grocer { (6, 6) } else { (6, 4) })
    }

    /// Whether agents should be at work or on their way, at `tick`.
    pub(crate) fn calls(self, tick: u64) -> bool {
        let (start, end) = self.shift();
        (start.saturating_sub(ARRIVAL_BUFFER)..end).contains(&(tick % TICKS_PER_DAY))
    }
}

named! {
    /// Where an agent stands with today's shift.
    pub(crate) ShiftState {
        /// Not near a shift.
        Idle = "idle",
        /// The shift is about to start.
        AwaitStart = "await_start",
        /// At work, arrived in time.
        OnTime = "on_time",
        /// Late, or at work after having been late.
        Late = "late",
        /// Missed.
        Absent = "absent",
        /// Over, or left early.
        PostShift = "post_shift",
    }
}

/// An agent's job and its record in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Employee {
    pub(crate) job: Job,
    pub(crate) state: ShiftState,
    /// Came to work during the present shift.
    arrived: bool,
    /// Began its life too late for the present shift; it is not held against it.
    excused: bool,
    /// Shifts to which the agent came late.
    pub(crate) lateness_counter: u32,
    pub(crate) late_ticks_today: u32,
    pub(crate) wages_withheld: f64,
    pub(crate) exit_pending: bool,
    attended: u32,
    missed: u32,
    /// One bit a day, the lowest is today's.
    absences: u8,
}

impl Employee {
    pub(crate) fn new(job: Job) -> Self {
        Self {
            job,
            state: ShiftState::Idle,
            arrived: false,
            excused: false,
            lateness_counter: 0,
            late_ticks_today: 0,
            wages_withheld: 0.0,
            exit_pending: false,
            attended: 0,
            missed: 0,
            absences: 0,
        }
    }

    /// A life that begins when its shift is already near or running starts with the next one.
    pub(crate) fn join_midway(&mut self, tick: u64) {
        self.excused = self.job.calls(tick);
    }

    /// Whether the agent should go to work or stay there.
    pub(crate) fn wanted(&self, tick: u64) -> bool {
        !self.excused && self.job.calls(tick) && !matches!(self.state, ShiftState::Absent | ShiftState::PostShift)
    }

    pub(crate) fn new_day(&mut self) {
        self.late_ticks_today = 0;
        // Seven days are kept.
        self.absences = (self.absences << 1) & 0x7f;
    }

    /// Shifts attended of those due, 0 when none was due.
    pub(crate) fn attendance_ratio(&self) -> f64 {
        f64::from(self.attended) / f64::from((self.attended + self.missed).max(1))
    }

    pub(crate) fn absences_7d(&self) -> u32 {
        self.absences.count_ones()
    }
}

impl World {
    /// Everybody's shift, then the exits.
    pub(crate) fn step_employment(&mut self) {
        self.employment.late_now = 0;
        self.employment.late_helps = 0;
        let day_tick = self.tick % TICKS_PER_DAY;
        for job in [Job::Grocer, Job::Barista] {
            let (start, end) = job.shift();
            if !(start - ARRIVAL_BUFFER..=end + SLACK).contains(&day_tick) {
                continue;
            }
            for index in 0..self.agents.len() {
                let agent = &self.agents[index];
                if agent.acts() && agent.work.job == job && !agent.work.excused {
                    self.shift(index, day_tick, start, end);
                }
                if day_tick == end + SLACK {
                    let work = &mut self.agents[index].work;
                    if work.job == job {
                        (work.state, work.arrived, work.excused) = (ShiftState::Idle, false, false);
                    }
                }
            }
        }
        self.step_exits();
    }

    fn shift(&mut self, index: usize, now: u64, start: u64, end: u64) {
        let Agent { id, doing, work, .. } = &mut self.agents[index];
        let (agent, here) = (*id, *doing == Doing::Working);
        if now < start {
            work.state = ShiftState::AwaitStart;
            return;
        }
        if now >= end {
            if work.arrived && work.state != ShiftState::PostShift {
                work.attended += 1;
            }
            work.state = ShiftState::PostShift;
            if here {
                *doing = Doing::Free;
                self.agents[index].mind.reconsider();
            }
            return;
        }
        match work.state {
            ShiftState::Absent | ShiftState::PostShift => {}
            ShiftState::OnTime | ShiftState::Late if work.arrived => {
                if here {
                    self.pay(index);
                } else {
                    work.state = ShiftState::PostShift;
                    work.attended += 1;
                    let job = work.job;
                    self.log.push(TownEvent::ShiftDepartedEarly { agent, job });
                }
            }
            _ if here => self.arrive(index, now - start),
            _ if now >= start + ABSENT_CUTOFF => self.miss(index),
            _ if now > start + GRACE => {
                work.state = ShiftState::Late;
                work.late_ticks_today += 1;
                work.wages_withheld += LATE_PENALTY;
                self.employment.late_now += 1;
                self.agents[index].signals.punctuality -= LATE_PENALTY;
            }
            _ => {}
        }
    }

    fn arrive(&mut self, index: usize, ticks_late: u64) {
        let agent = &mut self.agents[index];
        agent.work.arrived = true;
        if ticks_late <= GRACE {
            agent.work.state = ShiftState::OnTime;
            agent.signals.punctuality += 0.05;
            return;
        }
        agent.work.state = ShiftState::Late;
        agent.work.lateness_counter += 1;
        let (agent, job) = (agent.id, agent.work.job);
        self.log.push(TownEvent::ShiftLateStart { agent, job, ticks_late });
        let coworkers = self.coworkers(index);
        if !coworkers.is_empty() && self.rng.employment.chance(HELP_CHANCE) {
            for coworker in &coworkers {
                self.relationships.adjust(agent, *coworker, 0.2, 0.1, -0.1);
            }
            self.employment.late_helps += 1;
            self.log.push(TownEvent::HelpedWhenLate { agent, coworkers });
        }
        if self.rng.employment.chance(RESIGNATION_CHANCE) {
            self.request_exit(agent, ExitReason::Resignation);
        }
    }

    fn miss(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        agent.work.state = ShiftState::Absent;
        agent.work.missed += 1;
        agent.work.absences |= 1;
        let penalty = ABSENCE_PENALTY.min(agent.wallet);
        agent.wallet -= penalty;
        agent.work.wages_withheld += penalty;
        agent.signals.punctuality -= ABSENCE_PENALTY;
        let (agent, job, absences) = (agent.id, agent.work.job, agent.work.absences_7d());
        self.log.push(TownEvent::ShiftAbsent { agent, job });
        let coworkers = self.coworkers(index);
        if !coworkers.is_empty() && self.rng.employment.chance(HELP_CHANCE) {
            for coworker in &coworkers {
                self.relationships.adjust(agent, *coworker, -0.1, 0.0, 0.3);
            }
            self.log.push(TownEvent::TookMyShift { agent, coworkers });
        }
        if absences >= MAX_ABSENCES {
            self.request_exit(agent, ExitReason::Absences);
        } else if self.rng.employment.chance(RESIGNATION_CHANCE) {
            self.request_exit(agent, ExitReason::Resignation);
        }
    }

    /// Those of the same job and district who are at work.
    fn coworkers(&self, index: usize) -> Vec<AgentRef> {
        let job = self.agents[index].work.job;
        town::district_slots(index, self.agents.len())
            .filter(|slot| *slot != index)
            .map(|slot| &self.agents[slot])
            .filter(|other| other.acts() && other.work.job == job && other.doing == Doing::Working)
            .map(|other| other.id)
            .collect()
    }

    fn pay(&mut self, index: usize) {
        let wage = self.economy.price(Price::WageIncome) * self.agents[index].work.job.pay();
        let agent = &mut self.agents[index];
        // What was withheld for being late comes off the pay of the shift, never out of the wallet.
        let kept = if agent.work.state == ShiftState::Late { (wage / 4.0).min(LATE_PENALTY) } else { 0.0 };
        agent.wallet += wage - kept;
        agent.work.wages_withheld += kept;
        agent.inventory.wages_earned += wage - kept;
        agent.signals.wage += wage - kept;
    }
}
