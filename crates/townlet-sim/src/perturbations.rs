//! Perturbations: price spikes, blackouts, outages and arranged meetings, booked ahead, at most two at a time.
//!
//! Chance books at most two within a day, and each kind only after its cooldown. An operator may book at any time;
//! the limit of two that run at once holds for everybody, so a booking waits until there is room.

use std::collections::{BTreeMap, VecDeque};

use crate::agents::Doing;
use crate::economy::{Price, Spike};
use crate::events::{FailReason, TownEvent, named};
use crate::town::{self, AgentRef, TICKS_PER_DAY};
use crate::utilities::Utility;
use crate::world::World;

/// Perturbations that may run at once.
pub const MAX_CONCURRENT: usize = 2;
/// Bookings that may wait.
pub const MAX_PENDING: usize = 8;
/// Perturbations that chance may book within [`WINDOW_TICKS`].
pub(crate) const WINDOW_LIMIT: usize = 2;
/// Length of that window.
pub(crate) const WINDOW_TICKS: u64 = 1440;

/// Ticks after its end before chance may book the same kind again.
const SPEC_COOLDOWN: u64 = 240;
/// Ticks after a meeting before chance may pick the same agents again.
const AGENT_COOLDOWN: u64 = 360;

named! {
    /// A kind of perturbation.
    pub Spec {
        /// Prices multiply by 1.2 to 1.8 for 60 to 120 ticks.
        PriceSpike = "price_spike",
        /// No power for 20 to 60 ticks.
        Blackout = "blackout",
        /// No water for 20 to 60 ticks.
        Outage = "outage",
        /// Two agents are brought together.
        ArrangedMeet = "arranged_meet",
    }
}

impl Spec {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::PriceSpike, Self::Blackout, Self::Outage, Self::ArrangedMeet];

    /// The kind called `name` on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.name() == name)
    }

    fn per_day(self) -> f64 {
        match self {
            Self::PriceSpike => 0.3,
            Self::Blackout => 0.15,
            Self::Outage => 0.1,
            Self::ArrangedMeet => 0.25,
        }
    }

    fn duration(self) -> (u32, u32) {
        match self {
            Self::PriceSpike => (60, 120),
            Self::Blackout | Self::Outage => (20, 60),
            Self::ArrangedMeet => (20, 40),
        }
    }
}

/// What a booking does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PerturbationKind {
    /// Multiplies prices.
    PriceSpike {
        /// By how much.
        magnitude: f64,
        /// Which ones.
        targets: &'static [Price],
    },
    /// Switches the power off.
    Blackout,
    /// Switches the water off.
    Outage,
    /// Brings two agents of one district to the first one's plaza.
    ArrangedMeet {
        /// Who.
        agents: [AgentRef; 2],
    },
}

impl PerturbationKind {
    /// The kind without its details.
    pub fn spec(self) -> Spec {
        match self {
            Self::PriceSpike { .. } => Spec::PriceSpike,
            Self::Blackout => Spec::Blackout,
            Self::Outage => Spec::Outage,
            Self::ArrangedMeet { .. } => Spec::ArrangedMeet,
        }
    }

    pub(crate) fn effect_name(self) -> &'static str {
        match self {
            Self::PriceSpike { .. } => "perturbation_price_spike",
            Self::Blackout => "perturbation_blackout",
            Self::Outage => "perturbation_outage",
            Self::ArrangedMeet { .. } => "perturbation_arranged_meet",
        }
    }

    pub(crate) fn utility(self) -> Option<Utility> {
        match self {
            Self::Blackout => Some(Utility::Power),
            Self::Outage => Some(Utility::Water),
            Self::PriceSpike { .. } | Self::ArrangedMeet { .. } => None,
        }
    }
}

/// One perturbation, booked or running.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Booking {
    /// Counts the town's bookings from 1; part of the id.
    pub number: u32,
    /// What it does.
    pub kind: PerturbationKind,
    /// First tick, later when it has to wait for room.
    pub starts_at: u64,
    /// First tick after it.
    pub ends_at: u64,
}

impl Booking {
    /// The id on the wire, for example `price_spike-3`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.kind.spec().name(), self.number)
    }
}

/// What runs, what is booked, and what must rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Perturbations {
    booked: u32,
    pub(crate) active: Vec<Booking>,
    pub(crate) pending: Vec<Booking>,
    pub(crate) spec_cooldowns: BTreeMap<Spec, u64>,
    pub(crate) agent_cooldowns: BTreeMap<AgentRef, u64>,
    /// When chance booked something.
    window: VecDeque<u64>,
}

impl Perturbations {
    /// Adds a booking; none when too many wait.
    pub(crate) fn book(&mut self, kind: PerturbationKind, starts_at: u64, duration: u64) -> Option<Booking> {
        if self.pending.len() >= MAX_PENDING {
            return None;
        }
        self.booked += 1;
        let booking = Booking { number: self.booked, kind, starts_at, ends_at: starts_at + duration.max(1) };
        self.pending.push(booking);
        Some(booking)
    }

    fn runs(&self, utility: Utility) -> bool {
        self.active.iter().any(|booking| booking.kind.utility() == Some(utility))
    }
}

impl World {
    /// Ends what is over, starts what is due, and books what chance brings.
    pub(crate) fn step_perturbations(&mut self) {
        let tick = self.tick;
        while let Some(over) = self.perturbations.active.iter().position(|booking| booking.ends_at <= tick) {
            let booking = self.perturbations.active.remove(over);
            self.log.push(TownEvent::PerturbationEnded(booking));
            self.undo(booking);
        }
        while self.perturbations.active.len() < MAX_CONCURRENT
            && let Some(due) = self.perturbations.pending.iter().position(|booking| booking.starts_at <= tick)
        {
            let booking = self.perturbations.pending.remove(due);
            self.start(booking);
        }
        self.perturbations.spec_cooldowns.retain(|_, until| *until > tick);
        self.perturbations.agent_cooldowns.retain(|_, until| *until > tick);
        self.leave_to_chance();
    }

    fn leave_to_chance(&mut self) {
        let tick = self.tick;
        let window = &mut self.perturbations.window;
        while window.front().is_some_and(|booked| booked + WINDOW_TICKS <= tick) {
            window.pop_front();
        }
        for spec in Spec::ALL {
            // Drawn whether it may be used or not: what came before shifts nothing.
            let wanted = self.rng.perturbations.chance(spec.per_day() / TICKS_PER_DAY as f64);
            let state = &self.perturbations;
            let room = state.window.len() < WINDOW_LIMIT && state.active.len() + state.pending.len() < MAX_CONCURRENT;
            if !wanted || !room || state.spec_cooldowns.contains_key(&spec) {
                continue;
            }
            let magnitude = f64::from(self.rng.perturbations.within(120, 180)) / 100.0;
            let Some(kind) = self.draw(spec, magnitude) else { continue };
            let starts_at = tick + u64::from(self.rng.perturbations.within(5, 30));
            let duration = self.draw_duration(spec);
            if self.perturbations.book(kind, starts_at, duration).is_some() {
                self.perturbations.window.push_back(tick);
            }
        }
    }

    pub(crate) fn draw_duration(&mut self, spec: Spec) -> u64 {
        let (low, high) = spec.duration();
        u64::from(self.rng.perturbations.within(low, high))
    }

    /// Fills in a perturbation's details; none when the town has nobody for it.
    pub(crate) fn draw(&mut self, spec: Spec, magnitude: f64) -> Option<PerturbationKind> {
        const TARGETS: [&[Price]; 3] =
            [&[Price::MealCost], &[Price::IngredientsCost], &[Price::MealCost, Price::IngredientsCost]];
        match spec {
            Spec::PriceSpike => {
                let targets = TARGETS[self.rng.perturbations.below(TARGETS.len() as u32) as usize];
                Some(PerturbationKind::PriceSpike { magnitude, targets })
            }
            Spec::Blackout => Some(PerturbationKind::Blackout),
            Spec::Outage => Some(PerturbationKind::Outage),
            Spec::ArrangedMeet => {
                let first = self.rng.perturbations.below(self.agents.len() as u32) as usize;
                let ready = |slot: &usize| {
                    let agent = &self.agents[*slot];
                    agent.acts() && !self.perturbations.agent_cooldowns.contains_key(&agent.id)
                };
                let around = town::district_slots(first, self.agents.len());
                let mut pair = (first..around.end).chain(around.start..first).filter(ready);
                let agents = [self.agents[pair.next()?].id, self.agents[pair.next()?].id];
                Some(PerturbationKind::ArrangedMeet { agents })
            }
        }
    }

    fn start(&mut self, mut booking: Booking) {
        let tick = self.tick;
        // The time it waited for room is not taken off its duration.
        booking.ends_at = tick + (booking.ends_at - booking.starts_at);
        booking.starts_at = tick;
        self.perturbations.active.push(booking);
        self.perturbations.spec_cooldowns.insert(booking.kind.spec(), booking.ends_at + SPEC_COOLDOWN);
        self.log.push(TownEvent::PerturbationStarted(booking));
        self.log.push(TownEvent::PerturbationEffect(booking));
        match booking.kind {
            PerturbationKind::PriceSpike { magnitude, targets } => {
                self.spike(booking.number, Some(Spike { magnitude, targets }));
            }
            PerturbationKind::Blackout => self.switch_utility(Utility::Power, false),
            PerturbationKind::Outage => self.switch_utility(Utility::Water, false),
            PerturbationKind::ArrangedMeet { agents } => self.bring_together(booking, agents),
        }
    }

    fn undo(&mut self, booking: Booking) {
        match booking.kind.utility() {
            Some(utility) if !self.perturbations.runs(utility) => self.switch_utility(utility, true),
            Some(_) => {}
            None => self.spike(booking.number, None),
        }
    }

    /// Cancels a booking, running or not; none when there is no such id.
    pub(crate) fn cancel(&mut self, id: &str) -> Option<Booking> {
        let state = &mut self.perturbations;
        if let Some(waits) = state.pending.iter().position(|booking| booking.id() == id) {
            let booking = state.pending.remove(waits);
            self.log.push(TownEvent::PerturbationCancelled { booking, pending: true });
            return Some(booking);
        }
        let runs = state.active.iter().position(|booking| booking.id() == id)?;
        let booking = state.active.remove(runs);
        self.log.push(TownEvent::PerturbationCancelled { booking, pending: false });
        self.undo(booking);
        Some(booking)
    }

    /// Those of the pair who live, and neither sleep, eat nor work, are brought to the plaza; two of them talk.
    fn bring_together(&mut self, booking: Booking, agents: [AgentRef; 2]) {
        let location = town::plaza(agents[0].block());
        let mut targets = Vec::new();
        for id in agents {
            self.perturbations.agent_cooldowns.insert(id, booking.ends_at + AGENT_COOLDOWN);
            let agent = &self.agents[id.index()];
            let busy = matches!(agent.doing, Doing::Using { .. } | Doing::Working);
            if agent.id != id || !agent.acts() || busy {
                continue;
            }
            self.leave_fixture(id.index(), FailReason::Interrupted);
            self.agents[id.index()].position = location;
            self.log.push(TownEvent::AgentTeleported { agent: id, position: location });
            targets.push(id);
        }
        if let [a, b] = targets[..] {
            self.chat(a.index(), b.index(), 0.3);
        }
        self.log.push(TownEvent::MeetRelocated { booking, location, targets });
    }
}
