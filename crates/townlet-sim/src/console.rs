//! Commands: what an operator may ask of the town, and what comes back.
//!
//! Commands are carried out at the start of a tick, in the order in which they came. A reply is output only; it never
//! becomes a command (W24).

use std::collections::VecDeque;

use townlet_schema::{Json, Object};

use crate::economy::Price;
use crate::events::{RemovalReason, TownEvent, named};
use crate::narration::Verdict;
use crate::payload::{map, number};
use crate::perturbations::{MAX_PENDING, PerturbationKind, Spec};
use crate::town::AgentRef;
use crate::world::World;

/// Commands that may wait for the next tick.
pub const COMMAND_QUEUE_LIMIT: usize = 256;

/// A command to the town. [`Command::name`] is its name on the wire.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Who waits for an exit, and how many exits today has had.
    EmploymentStatus,
    /// Approves the exit of an agent, which joins the queue first if it does not wait.
    EmploymentExitApprove {
        /// Whose.
        agent: String,
    },
    /// Takes an agent out of the exit queue.
    EmploymentExitDefer {
        /// Whom.
        agent: String,
    },
    /// Tells a story, if the limiter allows it.
    AnnounceStory {
        /// The sentence.
        message: String,
        /// Whether it passes the cooldowns.
        priority: bool,
    },
    /// Changes a base price.
    Price {
        /// Its key in `economy_settings`.
        key: String,
        /// The new value, finite and not negative.
        value: f64,
    },
    /// Books a perturbation.
    PerturbationTrigger {
        /// `price_spike`, `blackout` or `outage`.
        spec: String,
        /// Ticks until it starts.
        starts_in: u64,
        /// Ticks that it lasts; drawn when absent.
        duration: Option<u64>,
        /// Factor of a price spike; drawn when absent.
        magnitude: Option<f64>,
    },
    /// Cancels a perturbation, running or booked.
    PerturbationCancel {
        /// Its id.
        event_id: String,
    },
    /// Books a meeting of two agents of one district.
    ArrangeMeet {
        /// Who.
        agents: [String; 2],
        /// Ticks until they meet.
        starts_in: u64,
    },
    /// Takes an agent out of the policy's hands, or gives it back.
    Possess {
        /// Whom.
        agent: String,
        /// Give back.
        release: bool,
    },
    /// Ends an agent's life.
    Kill {
        /// Whose.
        agent: String,
    },
    /// Makes a candidate the release, once it is ready.
    PromotePolicy {
        /// `config_id` of the new release.
        checkpoint: String,
    },
    /// Brings the initial release back.
    RollbackPolicy,
}

impl Command {
    /// The name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EmploymentStatus => "employment_status",
            Self::EmploymentExitApprove { .. } | Self::EmploymentExitDefer { .. } => "employment_exit",
            Self::AnnounceStory { .. } => "announce_story",
            Self::Price { .. } => "price",
            Self::PerturbationTrigger { .. } => "perturbation_trigger",
            Self::PerturbationCancel { .. } => "perturbation_cancel",
            Self::ArrangeMeet { .. } => "arrange_meet",
            Self::Possess { .. } => "possess",
            Self::Kill { .. } => "kill",
            Self::PromotePolicy { .. } => "promote_policy",
            Self::RollbackPolicy => "rollback_policy",
        }
    }
}

named! {
    /// Why a command failed: the error codes of the wire.
    pub ErrorCode {
        /// An argument has no sensible value.
        InvalidArgs = "invalid_args",
        /// Nobody and nothing has that name.
        NotFound = "not_found",
        /// The town's state does not allow it now.
        Conflict = "conflict",
        /// No perturbation is called that.
        UnknownSpec = "unknown_spec",
        /// The candidate has not passed enough windows.
        PromotionNotReady = "promotion_not_ready",
    }
}

/// A command that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to act on.
    pub code: ErrorCode,
    /// What to read.
    pub message: String,
}

/// A command with what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandReply {
    /// The command.
    pub command: Command,
    /// Counts the town's commands from 1.
    pub number: u64,
    /// `operator` for the script, otherwise what [`World::submit`] was given.
    pub issuer: String,
    /// Its result's fields.
    pub result: Result<Object, Refusal>,
}

/// The queue of commands was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{COMMAND_QUEUE_LIMIT} commands already wait for the next tick; step the world before submitting more")]
pub struct CommandQueueFull;

/// Commands that wait for the next tick.
#[derive(Debug, Clone, Default)]
pub(crate) struct Console {
    waiting: VecDeque<(String, Command)>,
    count: u64,
}

type Reply = Result<Object, Refusal>;

fn refuse(code: ErrorCode, message: impl Into<String>) -> Reply {
    Err(Refusal { code, message: message.into() })
}

fn reply<const N: usize>(fields: [(&str, Json); N]) -> Reply {
    Ok(map(fields))
}

impl World {
    /// Queues a command for the next tick.
    ///
    /// # Errors
    /// [`CommandQueueFull`] when [`COMMAND_QUEUE_LIMIT`] commands wait already.
    pub fn submit(&mut self, issuer: &str, command: Command) -> Result<(), CommandQueueFull> {
        if self.console.waiting.len() >= COMMAND_QUEUE_LIMIT {
            return Err(CommandQueueFull);
        }
        self.console.waiting.push_back((issuer.to_owned(), command));
        Ok(())
    }

    pub(crate) fn step_console(&mut self) -> Vec<CommandReply> {
        let mut replies = Vec::new();
        let scripted = self.script().into_iter().map(|command| ("operator".to_owned(), command));
        let waiting: Vec<_> = scripted.chain(std::mem::take(&mut self.console.waiting)).collect();
        for (issuer, command) in waiting {
            self.console.count += 1;
            let result = self.carry_out(&command);
            replies.push(CommandReply { command, number: self.console.count, issuer, result });
        }
        replies
    }

    fn carry_out(&mut self, command: &Command) -> Reply {
        match command {
            Command::EmploymentStatus => {
                let exits = &self.employment.exits;
                let pending: Vec<Json> = exits.waiting().map(|agent| agent.id().into()).collect();
                reply([
                    ("pending_agents", pending.into()),
                    ("pending_count", exits.count().into()),
                    ("exits_today", exits.today.into()),
                ])
            }
            Command::EmploymentExitApprove { agent } => self.with_agent(agent, |world, id| {
                world.approve_exit(id);
                reply([("approved", world.employment.exits.waiting().any(|waiting| waiting == id).into())])
            }),
            Command::EmploymentExitDefer { agent } => self.with_agent(agent, |world, id| {
                if world.defer_exit(id) {
                    reply([("deferred", true.into())])
                } else {
                    refuse(ErrorCode::Conflict, format!("{} does not wait for an exit", id.id()))
                }
            }),
            Command::AnnounceStory { message, priority } => match self.announce(message, *priority, message) {
                Verdict::Accepted => reply([("queued", true.into())]),
                _ => reply([("queued", false.into()), ("throttled", true.into())]),
            },
            Command::Price { key, value } => self.set_price(key, *value),
            Command::PerturbationTrigger { spec, starts_in, duration, magnitude } => {
                self.trigger(spec, *starts_in, *duration, *magnitude)
            }
            Command::PerturbationCancel { event_id } => match self.cancel(event_id) {
                Some(booking) => reply([("cancelled", booking.id().into())]),
                None => refuse(ErrorCode::NotFound, format!("no perturbation {event_id} runs or is booked")),
            },
            Command::ArrangeMeet { agents: [a, b], starts_in } => self.arrange(a, b, *starts_in),
            Command::Possess { agent, release } => self.with_agent(agent, |world, id| {
                let possessed = &mut world.agents[id.index()].possessed;
                if *possessed != *release {
                    return refuse(ErrorCode::Conflict, format!("{} is already so", id.id()));
                }
                *possessed = !*release;
                reply([("agent_id", id.id().into()), ("possessed", (!*release).into())])
            }),
            Command::Kill { agent } => self.with_agent(agent, |world, id| {
                world.log.push(TownEvent::AgentKilled { agent: id });
                world.end_life(id.index(), RemovalReason::Killed);
                reply([("agent_id", id.id().into())])
            }),
            Command::PromotePolicy { checkpoint } => {
                if self.promotion.promote(self.tick, checkpoint) {
                    reply([("state", self.promotion.state.name().into())])
                } else {
                    refuse(ErrorCode::PromotionNotReady, "the candidate has not passed enough windows")
                }
            }
            Command::RollbackPolicy => {
                self.promotion.roll_back(self.tick);
                reply([("state", self.promotion.state.name().into())])
            }
        }
    }

    fn with_agent(&mut self, id: &str, act: impl FnOnce(&mut Self, AgentRef) -> Reply) -> Reply {
        match self.find(id) {
            Some(agent) => act(self, agent),
            None => refuse(ErrorCode::NotFound, format!("no agent {id} lives in the town")),
        }
    }

    fn set_price(&mut self, key: &str, value: f64) -> Reply {
        let Some(price) = Price::from_name(key) else {
            return refuse(ErrorCode::NotFound, format!("the economy has no setting {key}"));
        };
        if !value.is_finite() || value < 0.0 {
            return refuse(ErrorCode::InvalidArgs, format!("{key} must be finite and not negative"));
        }
        self.reprice(|economy| economy.set(price, value));
        let value = self.economy.price(price);
        reply([("key", price.name().into()), ("value", number(value))])
    }

    fn trigger(&mut self, spec: &str, starts_in: u64, duration: Option<u64>, magnitude: Option<f64>) -> Reply {
        let Some(spec) = Spec::from_name(spec) else {
            return refuse(ErrorCode::UnknownSpec, format!("no perturbation is called {spec}"));
        };
        let drawn = f64::from(self.rng.perturbations.within(120, 180)) / 100.0;
        let magnitude = magnitude.unwrap_or(drawn);
        if !(magnitude.is_finite() && (0.0..=10.0).contains(&magnitude)) {
            return refuse(ErrorCode::InvalidArgs, "magnitude must lie within 0 and 10");
        }
        match self.draw(spec, magnitude) {
            Some(kind) => self.book(kind, starts_in, duration),
            None => refuse(ErrorCode::Conflict, "nobody is free to meet"),
        }
    }

    fn arrange(&mut self, a: &str, b: &str, starts_in: u64) -> Reply {
        match (self.find(a), self.find(b)) {
            (Some(a), Some(b)) if a != b && a.district() == b.district() => {
                self.book(PerturbationKind::ArrangedMeet { agents: [a, b] }, starts_in, None)
            }
            (Some(_), Some(_)) => refuse(ErrorCode::InvalidArgs, "a meeting needs two agents of one district"),
            (found, _) => {
                let missing = if found.is_none() { a } else { b };
                refuse(ErrorCode::NotFound, format!("no agent {missing} lives in the town"))
            }
        }
    }

    fn book(&mut self, kind: PerturbationKind, starts_in: u64, duration: Option<u64>) -> Reply {
        let drawn = self.draw_duration(kind.spec());
        let starts_at = self.tick.saturating_add(starts_in.min(1_000_000));
        match self.perturbations.book(kind, starts_at, duration.unwrap_or(drawn).min(1_000_000)) {
            Some(booking) => reply([("event_id", booking.id().into()), ("starts_at", booking.starts_at.into())]),
            None => refuse(ErrorCode::Conflict, format!("{MAX_PENDING} perturbations are booked already")),
        }
    }
}
