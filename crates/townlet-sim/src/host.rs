//! The host loop: a world whose every tick goes into a pipeline.
//!
//! This is how a simulation embeds the telemetry: own the loop, emit, and never
//! wait for a sink.

use std::time::Instant;

use townlet_pipeline::{EmitError, Stream, StreamError, Telemetry, TickHealth};
use townlet_schema::{Event, PolicyAnnealUpdate, PolicyMetadata, PolicyPossession, StabilityUpdate};

use crate::{TickOutcome, World};

/// A town that reports every tick.
///
/// | stream | what | when |
/// |---|---|---|
/// | `town` | the whole state, with the tick's events and narrations | each tick |
/// | `town.policy.metadata`, `.possession`, `.anneal` | policy events | when they change |
/// | `town.stability` | stability metrics | each tick |
/// | `town.console` | results of commands | as they run |
/// | `town.health` | health with the transport's state | each tick, unless left out |
#[derive(Debug)]
pub struct Host {
    world: World,
    telemetry: Telemetry,
    health: bool,
    metadata: Stream<Event<PolicyMetadata>>,
    possession: Stream<Event<PolicyPossession>>,
    anneal: Stream<Event<PolicyAnnealUpdate>>,
    stability: Stream<Event<StabilityUpdate>>,
}

impl Host {
    /// Joins a world and a pipeline.
    ///
    /// # Errors
    /// Where the pipeline carries other payloads under these stream names.
    pub fn new(world: World, telemetry: Telemetry) -> Result<Self, StreamError> {
        Ok(Self {
            metadata: telemetry.stream("policy.metadata")?,
            possession: telemetry.stream("policy.possession")?,
            anneal: telemetry.stream("policy.anneal")?,
            stability: telemetry.stream("stability")?,
            health: true,
            world,
            telemetry,
        })
    }

    /// Leaves the health lines out. They depend on wall time and on the state of
    /// the sinks; without them the same seed gives the same bytes.
    #[must_use]
    pub fn without_health(mut self) -> Self {
        self.health = false;
        self
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// One tick of the world, reported.
    ///
    /// # Errors
    /// [`EmitError::Closed`] after shutdown; [`EmitError::Invalid`] where a
    /// validator in mode `raise` refuses a payload.
    pub fn tick(&mut self) -> Result<TickOutcome, EmitError> {
        let started = Instant::now();
        let outcome = self.world.step();
        let tick = outcome.tick;
        for result in outcome.console_results() {
            self.telemetry.emit_console(tick, result)?;
        }
        if let Some(event) = self.world.policy_metadata(&outcome) {
            self.metadata.emit(tick, event)?;
        }
        if let Some(event) = self.world.policy_possession(&outcome) {
            self.possession.emit(tick, event)?;
        }
        if let Some(event) = self.world.policy_anneal_update(&outcome) {
            self.anneal.emit(tick, event)?;
        }
        self.telemetry.emit_snapshot(tick, self.world.snapshot(&outcome))?;
        self.stability.emit(tick, self.world.stability_update())?;
        if self.health {
            let town = self.world.health(0.0, 0).summary;
            let report = TickHealth {
                duration: started.elapsed(),
                failure_count: 0,
                perturbations_pending: town.perturbations_pending,
                perturbations_active: town.perturbations_active,
                employment_exit_queue: town.employment_exit_queue,
            };
            self.telemetry.tick_health(tick, &report)?;
        }
        Ok(outcome)
    }
}
