//! Agents: the households' present lives, what they are doing, and how a life ends and the next one begins.

use std::collections::VecDeque;

use crate::affordances::Affordance;
use crate::employment::{Employee, Job};
use crate::events::{FailReason, RemovalReason, TownEvent};
use crate::needs::{Needs, Spared};
use crate::personality::Profile;
use crate::policy::{Choice, Mind};
use crate::rewards::RewardBreakdown;
use crate::rng::Stream;
use crate::town::{self, AgentRef, Cell, Fixture, ObjectId};
use crate::world::World;

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Walking, waiting, or deciding.
    Free,
    /// Waiting for a fixture.
    Queued(ObjectId),
    /// Using a fixture until a tick.
    Using { object: ObjectId, affordance: Affordance, until: u64 },
    /// At the workplace.
    Working,
}

/// What an agent has earned and made.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Inventory {
    pub(crate) wages_earned: f64,
    pub(crate) meals_cooked: u32,
    pub(crate) meals_consumed: u32,
}

/// What this tick brought an agent, before it is turned into a reward.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Signals {
    pub(crate) wage: f64,
    pub(crate) punctuality: f64,
    pub(crate) social_bonus: f64,
    pub(crate) social_penalty: f64,
    pub(crate) social_avoidance: f64,
    pub(crate) shaping: f64,
}

/// One household and its present life.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) id: AgentRef,
    /// False between the end of a life and the next one.
    pub(crate) alive: bool,
    /// Set in the tick in which the life ends; the agent is still shown in that tick.
    pub(crate) ended: Option<RemovalReason>,
    pub(crate) profile: Profile,
    pub(crate) position: Cell,
    pub(crate) needs: Needs,
    pub(crate) wallet: f64,
    pub(crate) inventory: Inventory,
    pub(crate) doing: Doing,
    /// Until when the agent keeps away from each kind of fixture of its block.
    pub(crate) avoid_until: [u64; 4],
    pub(crate) mind: Mind,
    pub(crate) work: Employee,
    pub(crate) signals: Signals,
    pub(crate) reward: RewardBreakdown,
    pub(crate) episode_reward: f64,
    /// Ticks in a row with hunger at or below the starvation threshold.
    pub(crate) starving_ticks: u32,
    pub(crate) embedding_slot: u32,
    pub(crate) possessed: bool,
}

impl Agent {
    fn newcomer(id: AgentRef, embedding_slot: u32, stream: &mut Stream) -> Self {
        let profile = Profile::draw(stream);
        Self {
            id,
            alive: true,
            ended: None,
            profile,
            position: town::home(id.index()),
            needs: Needs {
                hunger: stream.between(0.45, 0.9),
                hygiene: stream.between(0.25, 0.9),
                energy: stream.between(0.3, 0.95),
            },
            // In cents: an amount that a person would have, and that prints short.
            wallet: f64::from(stream.within(800, 1600)) / 100.0,
            inventory: Inventory::default(),
            doing: Doing::Free,
            avoid_until: [0; 4],
            mind: Mind::default(),
            work: Employee::new(if id.slot.is_multiple_of(2) { Job::Grocer } else { Job::Barista }),
            signals: Signals::default(),
            reward: RewardBreakdown::default(),
            episode_reward: 0.0,
            starving_ticks: 0,
            embedding_slot,
            possessed: false,
        }
    }

    /// Whether the agent acts in this tick.
    pub(crate) fn acts(&self) -> bool {
        self.alive && self.ended.is_none()
    }

    pub(crate) fn avoids(&self, fixture: Fixture, tick: u64) -> bool {
        self.avoid_until[fixture as usize] > tick
    }

    pub(crate) fn avoid(&mut self, fixture: Fixture, until: u64) {
        let slot = &mut self.avoid_until[fixture as usize];
        *slot = (*slot).max(until);
    }
}

/// Households whose next life has not begun, in the order in which it will.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(VecDeque<(u64, u32)>);

impl Arrivals {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl World {
    /// The first lives of all households.
    pub(crate) fn settle(&mut self) {
        for slot in 0..self.options.agents {
            let embedding_slot = self.embeddings.allocate(0);
            let id = AgentRef { slot, life: 0 };
            self.agents.push(Agent::newcomer(id, embedding_slot, &mut self.rng.newcomers));
        }
    }

    /// Takes away the agents whose life ended in the last tick, then lets due households begin their next one.
    pub(crate) fn step_respawns(&mut self) {
        if self.tick == 1 {
            for agent in &self.agents {
                self.log.push(TownEvent::AgentSpawned { agent: agent.id, position: agent.position });
            }
        }
        for slot in std::mem::take(&mut self.ended) {
            self.take_away(slot);
        }
        while let Some(&(due, slot)) = self.arrivals.0.front()
            && due <= self.tick
        {
            self.arrivals.0.pop_front();
            let old = self.agents[slot as usize].id;
            let id = AgentRef { slot, life: old.life + 1 };
            let embedding_slot = self.embeddings.allocate(self.tick);
            let mut agent = Agent::newcomer(id, embedding_slot, &mut self.rng.newcomers);
            agent.work.join_midway(self.tick);
            let position = agent.position;
            self.agents[slot as usize] = agent;
            self.moved_on = true;
            self.log.push(TownEvent::AgentRespawn { agent: id, original: AgentRef { slot, life: 0 }, position });
        }
    }

    fn take_away(&mut self, slot: u32) {
        let agent = &mut self.agents[slot as usize];
        let id = agent.id;
        agent.alive = false;
        self.moved_on = true;
        agent.possessed = false;
        let embedding_slot = agent.embedding_slot;
        self.embeddings.release(embedding_slot, self.tick);
        self.employment.exits.forget(id);
        self.objects.forget(id);
        self.relationships.forget(id);
        self.arrivals.0.push_back((self.tick.saturating_add(self.options.respawn_delay_ticks.max(1) - 1), slot));
    }

    /// Ends the lives of the starved and of those whose exit was carried out.
    pub(crate) fn step_lifecycle(&mut self) {
        for index in 0..self.agents.len() {
            let agent = &self.agents[index];
            if agent.acts() && agent.needs.hunger <= crate::needs::FAINT_HUNGER {
                self.end_life(index, RemovalReason::Faint);
            }
        }
        for id in std::mem::take(&mut self.employment.exits.leaving) {
            if self.agents[id.index()].acts() {
                self.end_life(id.index(), RemovalReason::EmploymentExit);
            }
        }
    }

    /// Ends one life; the agent leaves its fixture now and the town at the start of the next tick.
    pub(crate) fn end_life(&mut self, index: usize, reason: RemovalReason) {
        self.leave_fixture(index, FailReason::Interrupted);
        let agent = &mut self.agents[index];
        agent.ended = Some(reason);
        self.ended.push(agent.id.slot);
        self.log.push(TownEvent::AgentRemoved { agent: agent.id, reason });
    }

    /// One tick of living for everybody.
    pub(crate) fn step_needs(&mut self) {
        for agent in &mut self.agents {
            if !agent.acts() {
                continue;
            }
            let spared = match agent.doing {
                Doing::Using { affordance: Affordance::EatMeal, .. } => Spared::Hunger,
                Doing::Using { affordance: Affordance::UseShower, .. } => Spared::Hygiene,
                Doing::Using { affordance: Affordance::RestSleep, .. } => Spared::Energy,
                _ => Spared::Nothing,
            };
            agent.needs.decay(spared, agent.profile);
        }
    }

    /// At midnight everybody who is not asleep is sent home and the day's counters start over.
    pub(crate) fn step_nightly_reset(&mut self) {
        if !self.tick.is_multiple_of(town::TICKS_PER_DAY) {
            return;
        }
        for index in 0..self.agents.len() {
            if !self.agents[index].acts() {
                continue;
            }
            let asleep = matches!(self.agents[index].doing, Doing::Using { affordance: Affordance::RestSleep, .. });
            if !asleep {
                self.leave_fixture(index, FailReason::Interrupted);
            }
            let agent = &mut self.agents[index];
            let home = town::home(index);
            let moved = !asleep && agent.position != home;
            if !asleep {
                agent.position = home;
                agent.doing = Doing::Free;
                agent.mind.choice = Choice::Wait;
            }
            agent.mind.reconsider();
            agent.work.new_day();
            self.log.push(TownEvent::AgentNightlyReset { agent: agent.id, moved, home });
        }
        self.employment.exits.new_day();
    }
}
