//! Between 0.9 and today's types.

use std::collections::BTreeMap;

use super::shapes::{
    LegacyChurn, LegacyConflict, LegacyEconomy, LegacyEvent, LegacyJob, LegacyOverlayEntry, LegacyRelationshipUpdate,
    LegacyRivalry, LegacyStability,
};
use super::{LegacySections, LegacySnapshot};
use crate::snapshot::{
    Conflict, Inventory, Job, KpiHistory, OverlayEntry, RelationshipChurn, RelationshipUpdate, RewardBreakdown,
    Stability, Tie, UpdateStatus, WorldEvent,
};
use crate::{EncodeError, Json, Number, Object, ReadError, SchemaVersion, Snapshot};

/// Values of an indicator that a snapshot keeps today.
const KPI_VALUES: usize = 50;

impl LegacySnapshot {
    /// What it says in today's types. Absent sections are defaults; what today's
    /// types have no place for is left out.
    ///
    /// # Errors
    /// A free-form section of the old snapshot whose fields have the wrong type today.
    pub fn upgrade(&self) -> Result<Snapshot, ReadError> {
        let from = self.sections.clone();
        let mut to = Snapshot {
            runtime_variant: from.runtime_variant.flatten(),
            queue_metrics: from.queue_metrics.unwrap_or_default(),
            embedding_metrics: from.embedding_metrics.unwrap_or_default(),
            employment: from.employment.unwrap_or_default(),
            conflict: from.conflict.map(conflict).unwrap_or_default(),
            relationships: from.relationships.map(churn).transpose()?.unwrap_or_default(),
            relationship_snapshot: from.relationship_snapshot.unwrap_or_default(),
            relationship_updates: from.relationship_updates.unwrap_or_default().into_iter().map(update).collect(),
            relationship_overlay: from.relationship_overlay.map(overlay).unwrap_or_default(),
            events: from.events.unwrap_or_default().into_iter().map(|e| event(e, self.tick)).collect(),
            narrations: from.narrations.unwrap_or_default(),
            jobs: from.jobs.unwrap_or_default().into_iter().map(|(agent, old)| (agent, job(old))).collect(),
            economy_settings: from.economy_settings.unwrap_or_default(),
            price_spikes: from.price_spikes.unwrap_or_default(),
            utilities: from.utilities.unwrap_or_default(),
            affordance_manifest: from.affordance_manifest.unwrap_or_default(),
            affordance_runtime: from.affordance_runtime.unwrap_or_default(),
            reward_breakdown: from.reward_breakdown.unwrap_or_default().into_iter().map(rewards).collect(),
            stability: from.stability.map(stability).transpose()?.unwrap_or_default(),
            promotion: from.promotion.flatten(),
            perturbations: from.perturbations.unwrap_or_default(),
            policy_identity: from.policy_identity,
            policy_snapshot: from.policy_snapshot.unwrap_or_default(),
            anneal_status: read_block("anneal_status", from.anneal_status.flatten())?,
            kpi_history: from.kpi_history.map(kpis).unwrap_or_default(),
            personalities: from.personalities.unwrap_or_default(),
            social_events: from.social_events.unwrap_or_default(),
            ..Snapshot::default()
        };
        match from.economy {
            Some(LegacyEconomy::Objects(objects)) => to.economy = objects,
            Some(LegacyEconomy::Context(context)) => {
                to.economy_settings.extend(context.settings);
                to.price_spikes.extend(context.active_price_spikes);
                to.utilities = context.utility_snapshot;
            }
            None => {}
        }
        Ok(to)
    }

    /// What a 0.9 reader should see of `snapshot`: the 27 keys of
    /// [`SchemaVersion::LEGACY`], with `payload_type` as where diffs follow.
    ///
    /// # Errors
    /// As [`encode_into`](crate::encode_into): a float that is not finite.
    pub fn downgrade(snapshot: &Snapshot, tick: u64) -> Result<Self, EncodeError> {
        let from = snapshot.clone();
        let rivalry = |owner: &str, others: BTreeMap<String, f64>| {
            let ties = snapshot.relationship_snapshot.get(owner);
            let tie = |other: &str, rivalry| Tie {
                rivalry,
                ..ties.and_then(|ties| ties.get(other)).copied().unwrap_or_default()
            };
            others.into_iter().map(|(other, score)| (other.clone(), LegacyRivalry::Tie(tie(&other, score)))).collect()
        };
        let sections = LegacySections {
            runtime_variant: Some(from.runtime_variant),
            queue_metrics: Some(from.queue_metrics),
            embedding_metrics: Some(from.embedding_metrics),
            employment: Some(from.employment),
            conflict: Some(LegacyConflict {
                queues: from.conflict.queues,
                queue_history: from.conflict.queue_history,
                rivalry: from.conflict.rivalry.into_iter().map(|(o, r)| (o.clone(), rivalry(&o, r))).collect(),
                rivalry_events: from.conflict.rivalry_events,
            }),
            relationships: Some(old_churn(from.relationships)?),
            relationship_snapshot: Some(from.relationship_snapshot),
            relationship_updates: Some(from.relationship_updates.into_iter().map(old_update).collect()),
            relationship_overlay: Some(old_overlay(from.relationship_overlay)),
            events: Some(from.events.into_iter().map(old_event).collect()),
            narrations: Some(from.narrations),
            jobs: Some(
                from.jobs
                    .into_iter()
                    .map(|(agent, job)| old_job(job).map(|job| (agent, job)))
                    .collect::<Result<_, _>>()?,
            ),
            economy: Some(LegacyEconomy::Objects(from.economy)),
            economy_settings: Some(from.economy_settings),
            price_spikes: Some(from.price_spikes),
            utilities: Some(from.utilities),
            affordance_manifest: Some(from.affordance_manifest),
            reward_breakdown: Some(map_of(&from.reward_breakdown)?),
            stability: Some(LegacyStability {
                metrics: object_of(&from.stability.metrics)?,
                alerts: from.stability.alerts.into_iter().map(Into::into).collect(),
                inputs: Some(object_of(&from.stability.inputs)?),
                promotion_state: None,
            }),
            promotion: Some(from.promotion),
            perturbations: Some(from.perturbations),
            policy_identity: from.policy_identity,
            policy_snapshot: Some(from.policy_snapshot),
            anneal_status: Some(from.anneal_status.as_ref().map(object_of).transpose()?),
            kpi_history: Some(map_of(&from.kpi_history)?),
            // Sections that the old stream never had.
            affordance_runtime: None,
            personalities: None,
            social_events: None,
            other: Object::new(),
        };
        Ok(Self { schema_version: SchemaVersion::LEGACY, tick, has_payload_type: true, sections })
    }
}

fn read_block<T: serde::de::DeserializeOwned>(name: &str, block: Option<Object>) -> Result<Option<T>, ReadError> {
    block.map(|block| Json::Object(block).read().map_err(|e| e.within_key(name))).transpose()
}

fn object_of<T: serde::Serialize>(value: &T) -> Result<Object, EncodeError> {
    Json::from_serialize(value).map(|json| if let Json::Object(object) = json { object } else { Object::new() })
}

/// A struct of numbers as the map that it was before.
fn map_of<T: serde::Serialize, U: serde::de::DeserializeOwned>(value: &T) -> Result<U, EncodeError> {
    let tree = Json::from_serialize(value)?;
    tree.read().map_err(serde::ser::Error::custom)
}

fn conflict(old: LegacyConflict) -> Conflict {
    let scores = |ties: BTreeMap<String, LegacyRivalry>| ties.into_iter().map(|(o, r)| (o, r.score())).collect();
    Conflict {
        queues: old.queues,
        queue_history: old.queue_history,
        rivalry: old.rivalry.into_iter().map(|(owner, ties)| (owner, scores(ties))).collect(),
        rivalry_events: old.rivalry_events,
    }
}

fn churn(old: LegacyChurn) -> Result<RelationshipChurn, ReadError> {
    let LegacyChurn { window_start, window_end, total, owners, reasons, history } = old;
    let history = Json::Array(history.unwrap_or_default());
    let history = history.read().map_err(|e: ReadError| e.within_key("history").within_key("relationships"))?;
    Ok(RelationshipChurn { window_start, window_end, total, owners, reasons, history })
}

fn old_churn(new: RelationshipChurn) -> Result<LegacyChurn, EncodeError> {
    let RelationshipChurn { window_start, window_end, total, owners, reasons, history } = new;
    let history = history.iter().map(Json::from_serialize).collect::<Result<_, _>>()?;
    Ok(LegacyChurn { window_start, window_end, total, owners, reasons, history: Some(history) })
}

fn update(old: LegacyRelationshipUpdate) -> RelationshipUpdate {
    let LegacyRelationshipUpdate { owner, other, trust, familiarity, rivalry, status, delta } = old;
    let status = match status.as_str() {
        "added" => UpdateStatus::Added,
        "removed" => UpdateStatus::Removed,
        _ => UpdateStatus::Updated,
    };
    RelationshipUpdate { owner, other, trust, familiarity, rivalry, status, delta }
}

fn old_update(new: RelationshipUpdate) -> LegacyRelationshipUpdate {
    let RelationshipUpdate { owner, other, trust, familiarity, rivalry, status, delta } = new;
    let status = match status {
        UpdateStatus::Added => "added",
        UpdateStatus::Updated => "updated",
        UpdateStatus::Removed => "removed",
    };
    LegacyRelationshipUpdate { owner, other, trust, familiarity, rivalry, status: status.to_owned(), delta }
}

fn overlay(old: BTreeMap<String, Vec<LegacyOverlayEntry>>) -> BTreeMap<String, Vec<OverlayEntry>> {
    let entry = |agent: &str, old: LegacyOverlayEntry| OverlayEntry {
        owner: old.owner.unwrap_or_else(|| agent.to_owned()),
        other: old.other,
        trust: old.trust,
        familiarity: old.familiarity,
        rivalry: old.rivalry,
        delta_trust: old.delta_trust,
        delta_familiarity: old.delta_familiarity,
        delta_rivalry: old.delta_rivalry,
    };
    let entries = |agent: &str, old: Vec<LegacyOverlayEntry>| old.into_iter().map(|e| entry(agent, e)).collect();
    old.into_iter().map(|(agent, old)| (agent.clone(), entries(&agent, old))).collect()
}

fn old_overlay(new: BTreeMap<String, Vec<OverlayEntry>>) -> BTreeMap<String, Vec<LegacyOverlayEntry>> {
    let entry = |new: OverlayEntry| LegacyOverlayEntry {
        owner: Some(new.owner),
        other: new.other,
        trust: new.trust,
        familiarity: new.familiarity,
        rivalry: new.rivalry,
        delta_trust: new.delta_trust,
        delta_familiarity: new.delta_familiarity,
        delta_rivalry: new.delta_rivalry,
    };
    new.into_iter().map(|(agent, new)| (agent, new.into_iter().map(entry).collect())).collect()
}

fn event(old: LegacyEvent, tick: u64) -> WorldEvent {
    WorldEvent { event: old.event.into(), tick: old.tick.unwrap_or(tick), fields: old.fields }
}

fn old_event(new: WorldEvent) -> LegacyEvent {
    LegacyEvent { event: new.event.into_owned(), tick: Some(new.tick), fields: new.fields }
}

fn job(old: LegacyJob) -> Job {
    let held = |name: &str| old.inventory.as_ref().and_then(|i| i.get(name)).and_then(Json::as_number).copied();
    let inventory = Inventory {
        wages_earned: old.wages_earned.or(held("wages_earned")).map_or(0.0, |n| n.as_f64()),
        meals_cooked: old.meals_cooked.or(held("meals_cooked").and_then(|n| n.as_u64())).unwrap_or_default(),
        meals_consumed: old.meals_consumed.or(held("meals_consumed").and_then(|n| n.as_u64())).unwrap_or_default(),
    };
    Job {
        job_id: old.job_id.map(Into::into),
        on_shift: old.on_shift,
        shift_state: old.shift_state.into(),
        wallet: old.wallet,
        lateness_counter: old.lateness_counter,
        attendance_ratio: old.attendance_ratio,
        late_ticks_today: old.late_ticks_today,
        absent_shifts_7d: old.absent_shifts_7d,
        wages_withheld: old.wages_withheld,
        exit_pending: old.exit_pending,
        basket_cost: old.basket_cost,
        needs: old.needs.unwrap_or_default(),
        inventory,
    }
}

fn old_job(new: Job) -> Result<LegacyJob, EncodeError> {
    Ok(LegacyJob {
        job_id: new.job_id.map(Into::into),
        on_shift: new.on_shift,
        wallet: new.wallet,
        lateness_counter: new.lateness_counter,
        wages_earned: None,
        meals_cooked: None,
        meals_consumed: None,
        basket_cost: new.basket_cost,
        shift_state: new.shift_state.into(),
        attendance_ratio: new.attendance_ratio,
        late_ticks_today: new.late_ticks_today,
        absent_shifts_7d: new.absent_shifts_7d,
        wages_withheld: new.wages_withheld,
        exit_pending: new.exit_pending,
        needs: Some(new.needs),
        inventory: Some(object_of(&new.inventory)?),
    })
}

fn rewards((agent, old): (String, BTreeMap<String, f64>)) -> (String, RewardBreakdown) {
    let of = |name: &str| old.get(name).copied();
    let part = |name: &str| of(name).unwrap_or_default();
    let new = RewardBreakdown {
        total: part("total"),
        homeostasis: of("homeostasis").unwrap_or(part("survival") + part("needs_penalty")),
        shaping: part("shaping"),
        work: of("work").unwrap_or(part("wage") + part("punctuality")),
        social: part("social"),
        survival: part("survival"),
        needs_penalty: part("needs_penalty"),
        wage: part("wage"),
        punctuality: part("punctuality"),
        social_bonus: part("social_bonus"),
        social_penalty: part("social_penalty"),
        social_avoidance: part("social_avoidance"),
        terminal_penalty: part("terminal_penalty"),
        clip_adjustment: part("clip_adjustment"),
    };
    (agent, new)
}

fn stability(old: LegacyStability) -> Result<Stability, ReadError> {
    let within = |e: ReadError, block: &str| e.within_key(block).within_key("stability");
    Ok(Stability {
        metrics: Json::Object(old.metrics).read().map_err(|e| within(e, "metrics"))?,
        alerts: old.alerts.into_iter().map(Into::into).collect(),
        inputs: Json::Object(old.inputs.unwrap_or_default()).read().map_err(|e| within(e, "inputs"))?,
    })
}

fn kpis(old: BTreeMap<String, Vec<Number>>) -> KpiHistory {
    let latest = |name: &str| {
        let values = old.get(name).map(Vec::as_slice).unwrap_or_default();
        &values[values.len().saturating_sub(KPI_VALUES)..]
    };
    let floats = |name: &str| latest(name).iter().map(Number::as_f64).collect();
    let counts = |name: &str| latest(name).iter().map(|n| n.as_u64().unwrap_or(n.as_f64() as u64)).collect();
    KpiHistory {
        queue_conflict_intensity: floats("queue_conflict_intensity"),
        employment_lateness: floats("employment_lateness"),
        late_help_events: floats("late_help_events"),
        queue_rotation_events: counts("queue_rotation_events"),
        queue_ghost_step_events: counts("queue_ghost_step_events"),
    }
}
