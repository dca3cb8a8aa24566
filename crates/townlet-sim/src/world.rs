//! The world: all state, and the order in which a tick changes it.

use std::collections::VecDeque;

use townlet_schema::snapshot::{AffordanceManifest, Narration};

use crate::affordances::UseCounts;
use crate::agents::{Agent, Arrivals};
use crate::conflict::{Conflict, push_bounded};
use crate::console::{CommandReply, Console};
use crate::economy::Economy;
use crate::embeddings::Embeddings;
use crate::events::{SocialEvent, TownEvent};
use crate::exits::Employment;
use crate::manifest;
use crate::narration::NarrationLimiter;
use crate::options::WorldOptions;
use crate::perturbations::Perturbations;
use crate::promotion::Promotion;
use crate::queues::Objects;
use crate::relationships::{Relationships, TieUpdate};
use crate::rng::Streams;
use crate::stability::Stability;
use crate::story::Narrator;
use crate::town::AgentRef;
use crate::utilities::Utilities;

/// Entries of each series of key indicators.
pub const KPI_LENGTH: usize = 50;
/// Ticks between two steps of the anneal ratio.
const ANNEAL_EVERY: u64 = 100;
/// Steps of the anneal ratio from 0 to 1.
const ANNEAL_STEPS: u64 = 20;

/// Key indicators of one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Kpi {
    pub(crate) conflict_intensity: f64,
    pub(crate) lateness: u32,
    pub(crate) late_helps: u32,
    pub(crate) rotations: u64,
    pub(crate) ghost_steps: u64,
}

/// What of the policy changed in a tick. The tick itself is not part of the comparison (the predecessor's was, so
/// that everything "changed" every time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyChanges {
    /// `policy.metadata` is due: identity, possession, switch counts or anneal ratio changed.
    pub metadata: bool,
    /// `policy.possession` is due: another set of agents is possessed, or it is the first tick.
    pub possession: bool,
    /// `policy.anneal.update` is due: the anneal ratio changed, or it is the first tick.
    pub anneal: bool,
}

/// Everything that one tick brought. Each event is in here once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TickOutcome {
    /// The tick, from 1.
    pub tick: u64,
    /// World events, in the order in which they happened.
    pub events: Vec<TownEvent>,
    /// Chats and avoidances.
    pub social_events: Vec<SocialEvent>,
    /// Ties that changed.
    pub relationship_updates: Vec<TieUpdate>,
    /// What the limiter let through.
    pub narrations: Vec<Narration>,
    /// Replies to commands, in the order of the commands.
    pub console: Vec<CommandReply>,
    /// Which policy events are due.
    pub policy: PolicyChanges,
}

/// How many households there are and how many have somebody living in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Agents that live, those whose life ended in this very tick included.
    pub alive: usize,
    /// Households that wait for their next life.
    pub away: usize,
}

/// The town. Cheap to clone for what it holds: a clone steps to the same bytes.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) options: WorldOptions,
    pub(crate) tick: u64,
    pub(crate) rng: Streams,
    pub(crate) agents: Vec<Agent>,
    pub(crate) arrivals: Arrivals,
    /// Households whose life ended in this tick.
    pub(crate) ended: Vec<u32>,
    pub(crate) objects: Objects,
    pub(crate) relationships: Relationships,
    pub(crate) conflict: Conflict,
    pub(crate) employment: Employment,
    pub(crate) economy: Economy,
    pub(crate) utilities: Utilities,
    pub(crate) perturbations: Perturbations,
    pub(crate) stability: Stability,
    pub(crate) promotion: Promotion,
    pub(crate) narrator: Narrator,
    pub(crate) embeddings: Embeddings,
    pub(crate) console: Console,
    pub(crate) kpis: VecDeque<Kpi>,
    pub(crate) anneal_step: u64,
    pub(crate) manifest: AffordanceManifest,
    pub(crate) policy_hash: String,
    /// What the last `policy.metadata` and `policy.possession` said.
    possessed: Vec<AgentRef>,
    release: String,
    // This tick's.
    /// Whether an agent was taken away or came.
    pub(crate) moved_on: bool,
    pub(crate) log: Vec<TownEvent>,
    pub(crate) social: Vec<SocialEvent>,
    pub(crate) tie_updates: Vec<TieUpdate>,
    pub(crate) failures: u32,
}

impl World {
    /// A town before its first tick.
    pub fn new(options: WorldOptions) -> Self {
        let agents = options.agents;
        let mut world = Self {
            tick: 0,
            rng: Streams::new(options.seed),
            agents: Vec::with_capacity(agents as usize),
            arrivals: Arrivals::default(),
            ended: Vec::new(),
            objects: Objects::new(agents as usize),
            relationships: Relationships::new(agents),
            conflict: Conflict::default(),
            employment: Employment::default(),
            economy: Economy::default(),
            utilities: Utilities::default(),
            perturbations: Perturbations::default(),
            stability: Stability::default(),
            promotion: Promotion::new(&options.config_id),
            narrator: Narrator::new(options.narration.clone()),
            embeddings: Embeddings::new(agents),
            console: Console::default(),
            kpis: VecDeque::new(),
            anneal_step: 0,
            manifest: manifest::affordances(agents),
            policy_hash: manifest::policy_hash(),
            possessed: Vec::new(),
            release: options.config_id.clone(),
            moved_on: false,
            log: Vec::new(),
            social: Vec::new(),
            tie_updates: Vec::new(),
            failures: 0,
            options,
        };
        world.settle();
        world
    }

    /// One tick: respawns, console, perturbations, actions, systems (needs, affordances, queues, relationships,
    /// economy, employment), nightly reset, lifecycle, rewards, stability, and last what an observer sees.
    pub fn step(&mut self) -> TickOutcome {
        self.tick += 1;
        self.relationships.begin_tick(self.tick);
        self.conflict.begin_tick(self.tick);
        self.narrator.limiter.begin_tick(self.tick);
        self.employment.exits.overflowed = false;
        self.failures = 0;
        self.moved_on = false;

        self.step_respawns();
        let console = self.step_console();
        self.step_perturbations();
        self.step_actions();

        self.step_needs();
        self.step_affordances();
        self.step_queues();
        self.step_relationships();
        self.step_economy();
        self.step_employment();

        self.step_nightly_reset();
        self.step_lifecycle();
        self.step_rewards();
        self.step_stability();
        self.step_promotion();

        self.tie_updates = self.relationships.updates();
        self.step_narrations();
        self.record();
        let policy = self.policy_changes();
        TickOutcome {
            tick: self.tick,
            events: std::mem::take(&mut self.log),
            social_events: std::mem::take(&mut self.social),
            relationship_updates: std::mem::take(&mut self.tie_updates),
            narrations: std::mem::take(&mut self.narrator.told),
            console,
            policy,
        }
    }

    fn record(&mut self) {
        self.conflict.end_tick(self.tick);
        let kpi = Kpi {
            conflict_intensity: self.conflict.intensity,
            lateness: self.employment.late_now,
            late_helps: self.employment.late_helps,
            rotations: self.conflict.delta.rotation_events,
            ghost_steps: self.conflict.delta.ghost_step_events,
        };
        push_bounded(&mut self.kpis, kpi, KPI_LENGTH);
    }

    fn policy_changes(&mut self) -> PolicyChanges {
        let first = self.tick == 1;
        let possessed: Vec<AgentRef> = self.possessed().collect();
        let anneal_step = (self.tick / ANNEAL_EVERY).min(ANNEAL_STEPS);
        let possession = first || possessed != self.possessed;
        let anneal = first || anneal_step != self.anneal_step;
        // The switch counts lose the agents that were taken away and gain those that came.
        let counts = self.moved_on || self.agents.iter().any(|agent| agent.mind.switched > 0);
        let release = self.promotion.current != self.release;
        if release {
            self.release.clone_from(&self.promotion.current);
        }
        self.possessed = possessed;
        self.anneal_step = anneal_step;
        PolicyChanges { metadata: possession || anneal || counts || release, possession, anneal }
    }

    /// Agents under outside control, by household.
    pub(crate) fn possessed(&self) -> impl Iterator<Item = AgentRef> {
        self.agents.iter().filter(|agent| agent.alive && agent.possessed).map(|agent| agent.id)
    }

    /// Share of learned behaviour, rising from 0 to 1 over the first 2000 ticks.
    pub fn anneal_ratio(&self) -> f64 {
        self.anneal_step as f64 / ANNEAL_STEPS as f64
    }

    /// The last tick that ran, 0 before the first.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// What the world was built from.
    pub fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// Who is there. `alive + away` is the number of households at every tick.
    pub fn census(&self) -> Census {
        Census { alive: self.agents.iter().filter(|agent| agent.alive).count(), away: self.arrivals.len() }
    }

    /// The limiter with its state.
    pub fn narration_limiter(&self) -> &NarrationLimiter {
        &self.narrator.limiter
    }

    /// The living agent with this id on the wire.
    pub fn find(&self, id: &str) -> Option<AgentRef> {
        let base = id.split_once('#').map_or(id, |(base, _)| base);
        let slot = (0..self.options.agents).find(|slot| AgentRef::base_id(*slot) == base)?;
        let agent = &self.agents[slot as usize];
        (agent.acts() && agent.id.id() == id).then_some(agent.id)
    }

    pub(crate) fn use_counts(events: &[TownEvent]) -> UseCounts {
        let mut counts = UseCounts::default();
        for event in events {
            match event {
                TownEvent::AffordanceStart { .. } => counts.start += 1,
                TownEvent::AffordanceFinish { .. } => counts.finish += 1,
                TownEvent::AffordanceFail { .. } => counts.fail += 1,
                TownEvent::AffordancePreconditionFail { .. } => counts.precondition_fail += 1,
                _ => {}
            }
        }
        counts
    }
}
