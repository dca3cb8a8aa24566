//! Fixtures and their queues: who uses, who waits, who may not come back yet, and who loses patience.
//!
//! A free place goes to the waiting agent with the lowest `index - 0.1 * ticks waited`. After a successful use an
//! agent may not use the same fixture for [`COOLDOWN_TICKS`], a fridge for [`FRIDGE_COOLDOWN_TICKS`]. A waiting agent tries every [`RETRY_TICKS`]; its third
//! blocked attempt is a ghost step: it clashes with whoever is in the way and goes to the back, and after
//! [`PATIENCE`] of them it gives up.

use crate::affordances::Affordance;
use crate::agents::Doing;
use crate::conflict::{QueueCounters, clash_intensity};
use crate::events::{Clash, ClashReason, FailReason, SocialEvent, TownEvent};
use crate::policy::URGENT_HUNGER;
use crate::relationships::AVOID_RIVALRY;
use crate::town::{self, AgentRef, Fixture, ObjectId};
use crate::world::World;

/// Ticks after a successful use during which the same agent is refused.
pub(crate) const COOLDOWN_TICKS: u64 = 60;
/// The same for a fridge. With 60 ticks, as the predecessor had, a meal of 0.4 lasts 40 ticks and nobody can live.
pub(crate) const FRIDGE_COOLDOWN_TICKS: u64 = 20;
/// Blocked attempts that make a ghost step.
pub(crate) const GHOST_STEP_ATTEMPTS: u8 = 3;
/// Ticks between two attempts of a waiting agent.
const RETRY_TICKS: u64 = 2;
/// Ghost steps after which an agent gives up, unless it is starving at a fridge.
const PATIENCE: u8 = 3;
/// Ticks for which an agent that gave up looks elsewhere.
const GIVE_UP_TICKS: u64 = 20;

/// An agent in a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) agent: AgentRef,
    since: u64,
    next_try: u64,
    blocked: u8,
    ghost_steps: u8,
}

/// A fixture with its users, queue and stock.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) capacity: usize,
    pub(crate) users: Vec<AgentRef>,
    pub(crate) waiting: Vec<Waiting>,
    /// Who may not come back, and until when.
    pub(crate) cooldowns: Vec<(AgentRef, u64)>,
    pub(crate) meals: u32,
    pub(crate) raw_ingredients: u32,
    /// Whether its present users were already reported as eating together.
    pub(crate) shared: bool,
}

/// Every fixture of the town, by [`ObjectId`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects(pub(crate) Vec<Object>);

impl Objects {
    pub(crate) fn new(agents: usize) -> Self {
        let mut objects = Vec::new();
        for block in 0..town::blocks(agents) {
            let residents = town::block_slots(block, agents).len();
            for fixture in Fixture::ALL {
                objects.push(Object {
                    capacity: match fixture {
                        Fixture::Shower | Fixture::Stove => 1,
                        Fixture::Bed | Fixture::Fridge => (residents / 2).max(1),
                    },
                    users: Vec::new(),
                    waiting: Vec::new(),
                    cooldowns: Vec::new(),
                    meals: if fixture == Fixture::Fridge { 2 * residents as u32 } else { 0 },
                    raw_ingredients: if fixture == Fixture::Stove { 3 } else { 0 },
                    shared: false,
                });
            }
        }
        Self(objects)
    }

    pub(crate) fn get(&self, id: ObjectId) -> &Object {
        &self.0[id.index()]
    }

    pub(crate) fn get_mut(&mut self, id: ObjectId) -> &mut Object {
        &mut self.0[id.index()]
    }

    /// Every fixture with its id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectId, &Object)> {
        self.0.iter().enumerate().map(|(index, object)| (ObjectId(index as u32), object))
    }

    /// Removes an agent that left the town from its block's cooldowns (users and queues it has left already).
    pub(crate) fn forget(&mut self, agent: AgentRef) {
        for fixture in Fixture::ALL {
            let object = self.get_mut(ObjectId::of(agent.block(), fixture));
            object.cooldowns.retain(|(who, _)| *who != agent);
        }
    }
}

impl Object {
    fn free(&self) -> bool {
        self.users.len() < self.capacity
    }

    /// Which waiting agent is next: the lowest `index - 0.1 * wait`, in tenths so that it is exact.
    fn next_in_line(&self, tick: u64) -> Option<usize> {
        let score = |(index, waiting): (usize, &Waiting)| 10 * index as i64 - (tick - waiting.since) as i64;
        self.waiting.iter().enumerate().map(|entry| (entry.0, score(entry))).min_by_key(|entry| entry.1).map(|e| e.0)
    }

    /// Starts a cooldown for `agent`.
    pub(crate) fn cool_down(&mut self, agent: AgentRef, tick: u64, ticks: u64) {
        self.cooldowns.retain(|(who, until)| *who != agent && *until > tick);
        self.cooldowns.push((agent, tick + ticks));
    }

    fn cooling_until(&self, agent: AgentRef, tick: u64) -> Option<u64> {
        self.cooldowns.iter().find(|(who, until)| *who == agent && *until > tick).map(|(_, until)| *until)
    }
}

impl World {
    /// `agents[index]` stands at `object` and wants it.
    pub(crate) fn request(&mut self, index: usize, object: ObjectId) {
        let tick = self.tick;
        let agent = self.agents[index].id;
        let affordance = Affordance::of(object.fixture());
        if let Some(until) = self.objects.get(object).cooling_until(agent, tick) {
            self.conflict.count(QueueCounters { cooldown_events: 1, ..QueueCounters::default() });
            self.log.push(TownEvent::ActionRequest { agent, object, affordance, blocked: true });
            self.turn_away(index, object, until.min(tick + GIVE_UP_TICKS));
            return;
        }
        let hungry = self.agents[index].needs.hunger < URGENT_HUNGER;
        if !hungry && let Some(target) = self.rival_at(agent, object) {
            self.log.push(TownEvent::GuardrailRequest { agent, object, target });
            self.log.push(TownEvent::GuardrailBlock { agent, object, target });
            self.social.push(SocialEvent::RivalryAvoidance { agent, object, rival: target });
            self.agents[index].signals.social_avoidance += 0.01;
            self.turn_away(index, object, tick + GIVE_UP_TICKS);
            return;
        }
        let place = self.objects.get(object);
        let blocked = !place.free() || !place.waiting.is_empty();
        self.log.push(TownEvent::ActionRequest { agent, object, affordance, blocked });
        if !blocked {
            self.begin(index, object);
            return;
        }
        let place = self.objects.get_mut(object);
        let ahead = place.waiting.last().map(|waiting| waiting.agent);
        place.waiting.push(Waiting { agent, since: tick, next_try: tick + RETRY_TICKS, blocked: 1, ghost_steps: 0 });
        let queue_length = place.waiting.len() as u32;
        self.agents[index].doing = Doing::Queued(object);
        if let Some(rival) = ahead {
            self.clash(object, agent, rival, ClashReason::Contested, queue_length);
        }
    }

    /// The agent goes away and keeps away from this kind of fixture until `until`.
    pub(crate) fn turn_away(&mut self, index: usize, object: ObjectId, until: u64) {
        let agent = &mut self.agents[index];
        agent.doing = Doing::Free;
        agent.avoid(object.fixture(), until);
        agent.mind.reconsider();
    }

    /// A rival whom `agent` avoids and who uses or waits for `object`.
    fn rival_at(&self, agent: AgentRef, object: ObjectId) -> Option<AgentRef> {
        let place = self.objects.get(object);
        let there = place.users.iter().copied().chain(place.waiting.iter().map(|waiting| waiting.agent));
        there.into_iter().find(|other| self.relationships.of(agent.index()).rivalry(*other) >= AVOID_RIVALRY)
    }

    fn clash(&mut self, object: ObjectId, actor: AgentRef, rival: AgentRef, reason: ClashReason, queue_length: u32) {
        let intensity = clash_intensity(reason, queue_length);
        let clash = Clash { object, actor, rival, reason, queue_length, intensity };
        self.log.push(TownEvent::QueueConflict(clash));
        self.record_clash(clash);
    }

    /// Waiting agents try again, lose patience, and move up where a place is free.
    pub(crate) fn step_queues(&mut self) {
        for number in 0..self.objects.0.len() {
            let object = ObjectId(number as u32);
            if self.objects.get(object).waiting.is_empty() {
                continue;
            }
            self.promote(object, None);
            self.retry(object);
        }
    }

    /// Gives free places to waiting agents. `from` is the agent that just left, for the handover.
    pub(crate) fn promote(&mut self, object: ObjectId, from: Option<AgentRef>) {
        let mut giver = from;
        while self.objects.get(object).free() {
            let tick = self.tick;
            let place = self.objects.get_mut(object);
            let Some(next) = place.next_in_line(tick) else { return };
            let queue_length = place.waiting.len() as u32;
            let actor = place.waiting.remove(next).agent;
            if next != 0 {
                self.conflict.count(QueueCounters { rotation_events: 1, ..QueueCounters::default() });
            }
            if let Some(rival) = giver.take() {
                let intensity = clash_intensity(ClashReason::Handover, queue_length);
                let reason = ClashReason::Handover;
                self.log.push(TownEvent::QueueHandover(Clash {
                    object,
                    actor,
                    rival,
                    reason,
                    queue_length,
                    intensity,
                }));
                self.relationships.adjust(actor, rival, 0.05, 0.0, 0.0);
                self.relationships.adjust(rival, actor, 0.05, 0.0, 0.0);
            }
            self.begin(actor.index(), object);
        }
    }

    fn retry(&mut self, object: ObjectId) {
        let tick = self.tick;
        let mut position = 0;
        while position < self.objects.get(object).waiting.len() {
            let place = self.objects.get_mut(object);
            let queue_length = place.waiting.len() as u32;
            let waiting = &mut place.waiting[position];
            if waiting.next_try > tick {
                position += 1;
                continue;
            }
            waiting.next_try = tick + RETRY_TICKS;
            waiting.blocked += 1;
            let (actor, impatient) = (waiting.agent, waiting.blocked >= GHOST_STEP_ATTEMPTS);
            let affordance = Affordance::of(object.fixture());
            self.log.push(TownEvent::ActionRequest { agent: actor, object, affordance, blocked: true });
            if !impatient {
                position += 1;
                continue;
            }
            self.conflict.count(QueueCounters { ghost_step_events: 1, rotation_events: 1, cooldown_events: 0 });
            if let Some(rival) = self.objects.get(object).users.first().copied() {
                self.clash(object, actor, rival, ClashReason::GhostStep, queue_length);
            }
            let starving =
                object.fixture() == Fixture::Fridge && self.agents[actor.index()].needs.hunger < URGENT_HUNGER;
            let place = self.objects.get_mut(object);
            let mut entry = place.waiting.remove(position);
            (entry.since, entry.blocked, entry.ghost_steps) = (tick, 0, entry.ghost_steps.saturating_add(1));
            if starving || entry.ghost_steps < PATIENCE {
                // To the back. Those behind moved up into `position`, so it stays where it is; an agent that was
                // last already is looked at again, but its next attempt now lies in the future.
                place.waiting.push(entry);
            } else {
                self.log.push(TownEvent::ActionRelease { agent: actor, object, success: false });
                self.turn_away(actor.index(), object, tick + GIVE_UP_TICKS);
            }
        }
    }

    /// Takes an agent out of whatever fixture or queue it is in; a use that is broken off fails with `reason`.
    pub(crate) fn leave_fixture(&mut self, index: usize, reason: FailReason) {
        let agent = self.agents[index].id;
        match self.agents[index].doing {
            Doing::Queued(object) => {
                self.objects.get_mut(object).waiting.retain(|waiting| waiting.agent != agent);
                self.log.push(TownEvent::ActionRelease { agent, object, success: false });
            }
            Doing::Using { object, affordance, .. } => {
                let place = self.objects.get_mut(object);
                place.users.retain(|user| *user != agent);
                place.shared = false;
                self.log.push(TownEvent::AffordanceFail { agent, object, affordance, reason });
                self.failures += 1;
            }
            Doing::Free | Doing::Working => return,
        }
        self.agents[index].doing = Doing::Free;
        self.agents[index].mind.reconsider();
    }
}
