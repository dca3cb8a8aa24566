//! The town: a seeded, deterministic simulation whose telemetry looks like a real one's.
//!
//! A [`World`] is a number of households on a grid. Their agents get hungry, tired and dirty, queue for four kinds of
//! fixtures, clash, talk, work shifts, come late, run out of money, faint and begin again as `alice#1`. Chance and a
//! scripted operator disturb them with price spikes, blackouts and meetings. Each [`World::step`] is one tick and
//! returns a [`TickOutcome`]; [`World::snapshot`] turns the state and the outcome into the wire's
//! [`Snapshot`](townlet_schema::Snapshot).
//!
//! # What it is not
//! Not a model of anything: its numbers are chosen so that every section of the telemetry is alive within a few
//! thousand ticks, in sizes that the predecessor's streams had. A world neither sends nor times anything; [`Host`]
//! joins it to a pipeline.
//!
//! # Guarantees
//! * Same [`WorldOptions`] and same commands, same bytes: no clock, no hash map, an own random stream per subsystem.
//! * Every event of a tick is in its outcome once, and in the snapshot once.
//! * Every list in a snapshot is bounded by the number of agents or by a constant; none grows with the ticks.
//! * The work of a step grows with the number of agents, not with its square.
//!
//! # Example
//! ```
//! use townlet_sim::{World, WorldOptions};
//!
//! let mut world = World::new(WorldOptions { seed: 7, agents: 6, ..WorldOptions::default() });
//! let outcome = (0..50).map(|_| world.step()).last().expect("fifty ticks ran");
//! let snapshot = world.snapshot(&outcome);
//! assert_eq!((outcome.tick, snapshot.jobs.len()), (50, 6));
//!
//! let mut body = Vec::new();
//! townlet_schema::encode_into(&snapshot, &mut body)?;
//! assert!(body.starts_with(b"{\"runtime_variant\":\"facade\""));
//! # Ok::<(), townlet_schema::EncodeError>(())
//! ```

mod affordances;
mod agents;
mod chats;
mod conflict;
mod console;
mod economy;
mod embeddings;
mod employment;
mod events;
mod exits;
mod host;
mod manifest;
mod narration;
mod needs;
mod operator;
mod options;
mod payload;
mod personality;
mod perturbations;
mod policy;
mod promotion;
mod queues;
mod relationships;
mod rewards;
mod rng;
mod stability;
mod story;
mod town;
mod utilities;
mod world;

pub use affordances::Affordance;
pub use conflict::{HISTORY_LENGTH, RIVALRY_WINDOW_TICKS};
pub use console::{COMMAND_QUEUE_LIMIT, Command, CommandQueueFull, CommandReply, ErrorCode, Refusal};
pub use economy::Price;
pub use employment::Job;
pub use events::{
    Chat, Clash, ClashReason, Condition, ExitReason, FailReason, RemovalReason, SocialEvent, Stock, TownEvent,
};
pub use exits::{DAILY_EXIT_CAP, EXIT_QUEUE_LIMIT, REVIEW_WINDOW_TICKS};
pub use host::Host;
pub use narration::{NarrationLimiter, Verdict};
pub use needs::FAINT_HUNGER;
pub use options::{NarrationOptions, WorldOptions};
pub use perturbations::{Booking, MAX_CONCURRENT, MAX_PENDING, PerturbationKind, Spec};
pub use relationships::{CHURN_WINDOW_TICKS, MAX_TIES, TieStatus, TieUpdate};
pub use rewards::TICK_CLIP;
pub use town::{AgentRef, Cell, Fixture, ObjectId, TICKS_PER_DAY};
pub use utilities::Utility;
pub use world::{Census, KPI_LENGTH, PolicyChanges, TickOutcome, World};
