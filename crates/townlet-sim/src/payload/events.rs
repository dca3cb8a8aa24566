//! World events on the wire: their names and fields as in the predecessor's catalogue.

use townlet_schema::snapshot::{self, WorldEvent};
use townlet_schema::{Json, Object};

use super::{map, number};
use crate::affordances::Affordance;
use crate::employment::Job;
use crate::events::{Chat, Clash, Named, SocialEvent, TownEvent};
use crate::perturbations::{Booking, PerturbationKind};
use crate::town::{AgentRef, Cell, ObjectId};
use crate::world::{TickOutcome, World};

impl From<AgentRef> for Json {
    fn from(agent: AgentRef) -> Self {
        agent.id().into()
    }
}

impl From<ObjectId> for Json {
    fn from(object: ObjectId) -> Self {
        object.id().into()
    }
}

impl From<Cell> for Json {
    fn from(cell: Cell) -> Self {
        Self::Array(vec![u64::from(cell.x).into(), u64::from(cell.y).into()])
    }
}

fn list(agents: &[AgentRef]) -> Json {
    Json::Array(agents.iter().map(|agent| (*agent).into()).collect())
}

fn named(value: impl Named) -> Json {
    value.wire_name().into()
}

pub(super) fn social(event: &SocialEvent) -> snapshot::SocialEvent {
    match event {
        SocialEvent::ChatSuccess(Chat { speaker, listener, quality }) => snapshot::SocialEvent::ChatSuccess {
            speaker: speaker.id(),
            listener: listener.id(),
            quality: super::rounded(*quality),
        },
        SocialEvent::ChatFailure(Chat { speaker, listener, quality }) => snapshot::SocialEvent::ChatFailure {
            speaker: speaker.id(),
            listener: listener.id(),
            quality: super::rounded(*quality),
        },
        SocialEvent::RivalryAvoidance { agent, object, rival } => snapshot::SocialEvent::RivalryAvoidance {
            agent: agent.id(),
            object: object.id(),
            reason: format!("rival:{}", rival.id()),
        },
    }
}

fn about_use(agent: AgentRef, object_id: ObjectId, affordance: Affordance) -> Object {
    map([("agent_id", agent.into()), ("object_id", object_id.into()), ("affordance_id", named(affordance))])
}

fn about_object(agent: AgentRef, object_id: ObjectId) -> Object {
    map([("agent_id", agent.into()), ("object_id", object_id.into())])
}

fn about_clash(clash: &Clash) -> Object {
    map([
        ("object_id", clash.object.into()),
        ("actor", clash.actor.into()),
        ("rival", clash.rival.into()),
        ("reason", named(clash.reason)),
        ("queue_length", clash.queue_length.into()),
        ("intensity", number(clash.intensity)),
    ])
}

fn about_chat(chat: &Chat) -> Object {
    map([("speaker", chat.speaker.into()), ("listener", chat.listener.into()), ("quality", number(chat.quality))])
}

fn about_shift(agent: AgentRef, job: Job) -> Object {
    map([("agent_id", agent.into()), ("job_id", named(job))])
}

fn about_booking(booking: &Booking) -> Object {
    let spec = booking.kind.spec();
    map([
        ("event_id", booking.id().into()),
        ("spec", named(spec)),
        ("kind", named(spec)),
        ("ends_at", booking.ends_at.into()),
        ("targets", targets(booking).into()),
    ])
}

/// Whom or what a booking hits.
pub(super) fn targets(booking: &Booking) -> Vec<Json> {
    match booking.kind {
        PerturbationKind::PriceSpike { targets, .. } => targets.iter().map(|price| named(*price)).collect(),
        PerturbationKind::ArrangedMeet { agents } => agents.iter().map(|agent| (*agent).into()).collect(),
        PerturbationKind::Blackout | PerturbationKind::Outage => Vec::new(),
    }
}

/// What a booking's kind needs.
pub(super) fn details(booking: &Booking) -> Object {
    match booking.kind {
        PerturbationKind::PriceSpike { magnitude, .. } => map([("magnitude", number(magnitude))]),
        PerturbationKind::ArrangedMeet { agents } => map([("location", crate::town::plaza(agents[0].block()).into())]),
        PerturbationKind::Blackout | PerturbationKind::Outage => {
            map([("utility", booking.kind.utility().map_or(Json::Null, named))])
        }
    }
}

/// Adds entries to an object, for events that say more than others of their family.
fn with<const N: usize>(mut base: Object, entries: [(&str, Json); N]) -> Object {
    for (key, value) in entries {
        base.insert(key, value);
    }
    base
}

fn action(agent: AgentRef, kind: &str) -> Object {
    map([("agent_id", agent.into()), ("kind", kind.into())])
}

impl World {
    /// The tick's events as they stand in a snapshot.
    pub fn world_events(&self, outcome: &TickOutcome) -> Vec<WorldEvent> {
        let wire =
            |event: &TownEvent| WorldEvent { event: event.name().into(), tick: outcome.tick, fields: fields(event) };
        outcome.events.iter().map(wire).collect()
    }
}

fn fields(event: &TownEvent) -> Object {
    use TownEvent as E;
    match event {
        E::ActionRequest { agent, object, affordance, blocked } => with(
            action(*agent, "request"),
            [("object", (*object).into()), ("affordance", named(*affordance)), ("blocked", (*blocked).into())],
        ),
        E::ActionMove { agent, position } => with(action(*agent, "move"), [("position", (*position).into())]),
        E::ActionStart { agent, object, affordance, duration } => with(
            action(*agent, "start"),
            [("object", (*object).into()), ("affordance", named(*affordance)), ("duration", (*duration).into())],
        ),
        E::ActionNoop { agent, pending } => with(action(*agent, "noop"), [("pending", (*pending).into())]),
        E::ActionRelease { agent, object, success } => {
            with(action(*agent, "release"), [("object", (*object).into()), ("success", (*success).into())])
        }
        E::AffordanceStart { agent, object, affordance, duration } => {
            with(about_use(*agent, *object, *affordance), [("duration", (*duration).into())])
        }
        E::AffordanceFinish { agent, object, affordance } => about_use(*agent, *object, *affordance),
        E::AffordanceFail { agent, object, affordance, reason } => {
            with(about_use(*agent, *object, *affordance), [("reason", named(*reason))])
        }
        E::AffordancePreconditionFail { agent, object, affordance, condition } => {
            let context = map([("fixture", object.fixture().name().into())]);
            let said = [("condition", named(*condition)), ("context", context.into())];
            with(about_use(*agent, *object, *affordance), said)
        }
        E::ShowerComplete { agent, object } | E::SleepComplete { agent, object } => about_object(*agent, *object),
        E::ShowerPowerOutage { object } => map([("object_id", (*object).into())]),
        E::SharedMeal { agents, object } => map([("agents", list(agents)), ("object_id", (*object).into())]),
        E::QueueConflict(clash) => about_clash(clash),
        E::QueueHandover(clash) => with(about_clash(clash), [("variant", "handover".into())]),
        E::ChatSuccess(chat) | E::ChatFailure(chat) => about_chat(chat),
        E::GuardrailRequest { agent, object, target } | E::GuardrailBlock { agent, object, target } => with(
            about_object(*agent, *object),
            [("reason", "rivalry".into()), ("target_agent", (*target).into()), ("variant", "queue".into())],
        ),
        E::ShiftLateStart { agent, job, ticks_late } => {
            with(about_shift(*agent, *job), [("ticks_late", (*ticks_late).into())])
        }
        E::ShiftAbsent { agent, job } | E::ShiftDepartedEarly { agent, job } => about_shift(*agent, *job),
        E::HelpedWhenLate { agent, coworkers } | E::TookMyShift { agent, coworkers } => {
            map([("agent_id", (*agent).into()), ("coworkers", list(coworkers))])
        }
        E::ExitPending { agent, pending_count, reason }
        | E::ExitDeferred { agent, pending_count, reason }
        | E::ExitProcessed { agent, pending_count, reason } => {
            map([("agent_id", (*agent).into()), ("pending_count", (*pending_count).into()), ("reason", named(*reason))])
        }
        E::ExitManualRequest { agent, pending_count } => {
            map([("agent_id", (*agent).into()), ("pending_count", (*pending_count).into())])
        }
        E::ExitQueueOverflow { agent, pending_count, limit } => {
            map([("agent_id", (*agent).into()), ("pending_count", (*pending_count).into()), ("limit", (*limit).into())])
        }
        E::StockReplenish { object, what, amount } => {
            map([("object_id", (*object).into()), ("type", named(*what)), ("amount", (*amount).into())])
        }
        E::PriceUpdate { price, value } => map([("key", named(*price)), ("value", number(*value))]),
        E::PerturbationStarted(booking) | E::PerturbationEnded(booking) => about_booking(booking),
        E::PerturbationCancelled { booking, pending } => with(about_booking(booking), [("pending", (*pending).into())]),
        E::PerturbationEffect(booking) => {
            let mut fields = details(booking);
            fields.insert("event_id", booking.id());
            fields.insert("ends_at", booking.ends_at);
            fields.insert("targets", targets(booking));
            fields
        }
        E::MeetRelocated { booking, location, targets } => {
            map([("event_id", booking.id().into()), ("location", (*location).into()), ("targets", list(targets))])
        }
        E::AgentSpawned { agent, position } | E::AgentTeleported { agent, position } => {
            map([("agent_id", (*agent).into()), ("position", (*position).into())])
        }
        E::AgentRemoved { agent, reason } => map([("agent_id", (*agent).into()), ("reason", named(*reason))]),
        E::AgentKilled { agent } => map([("agent_id", (*agent).into())]),
        E::AgentRespawn { agent, original, position } => map([
            ("agent_id", (*agent).into()),
            ("original_agent_id", (*original).into()),
            ("position", (*position).into()),
        ]),
        E::AgentNightlyReset { agent, moved, home } => {
            map([("agent_id", (*agent).into()), ("moved", (*moved).into()), ("home_position", (*home).into())])
        }
    }
}
