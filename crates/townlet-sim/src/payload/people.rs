//! Sections about agents: jobs, rewards, personalities, and what they feel for each other.

use std::collections::BTreeMap;

use townlet_schema::snapshot::{
    ChurnSample, Inventory, Job, Multipliers, Needs, OverlayEntry, Personality, RelationshipChurn, RelationshipUpdate,
    RewardBreakdown, Tie, Traits, UpdateStatus,
};

use super::rounded;
use crate::agents::{Agent, Doing};
use crate::personality::Profile;
use crate::relationships::{CHURN_WINDOW_TICKS, Churn, TieStatus, TieUpdate};
use crate::world::World;

/// Ties per agent in the overlay.
const OVERLAY: usize = 3;

impl World {
    /// The agents that a snapshot shows: those whose life ended in this tick are among them for the last time.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().filter(|agent| agent.alive)
    }

    /// One entry for each agent shown.
    pub(super) fn by_agent<T>(&self, entry: impl Fn(&Agent) -> T) -> BTreeMap<String, T> {
        self.shown().map(|agent| (agent.id.id(), entry(agent))).collect()
    }

    pub(super) fn wire_jobs(&self) -> BTreeMap<String, Job> {
        let basket_cost = rounded(self.economy.basket_cost());
        self.by_agent(|agent| Job {
            job_id: Some(agent.work.job.name().into()),
            on_shift: agent.doing == Doing::Working,
            shift_state: agent.work.state.name().into(),
            wallet: rounded(agent.wallet),
            lateness_counter: agent.work.lateness_counter.into(),
            attendance_ratio: rounded(agent.work.attendance_ratio()),
            late_ticks_today: agent.work.late_ticks_today.into(),
            absent_shifts_7d: agent.work.absences_7d().into(),
            wages_withheld: rounded(agent.work.wages_withheld),
            exit_pending: agent.work.exit_pending,
            basket_cost,
            needs: Needs {
                hunger: rounded(agent.needs.hunger),
                hygiene: rounded(agent.needs.hygiene),
                energy: rounded(agent.needs.energy),
            },
            inventory: Inventory {
                wages_earned: rounded(agent.inventory.wages_earned),
                meals_cooked: agent.inventory.meals_cooked.into(),
                meals_consumed: agent.inventory.meals_consumed.into(),
            },
        })
    }

    pub(super) fn wire_rewards(&self) -> BTreeMap<String, RewardBreakdown> {
        self.by_agent(|agent| {
            let reward = &agent.reward;
            RewardBreakdown {
                total: rounded(reward.total),
                homeostasis: rounded(reward.homeostasis),
                shaping: rounded(reward.shaping),
                work: rounded(reward.work),
                social: rounded(reward.social),
                survival: rounded(reward.survival),
                needs_penalty: rounded(reward.needs_penalty),
                wage: rounded(reward.wage),
                punctuality: rounded(reward.punctuality),
                social_bonus: rounded(reward.social_bonus),
                social_penalty: rounded(reward.social_penalty),
                social_avoidance: rounded(reward.social_avoidance),
                terminal_penalty: rounded(reward.terminal_penalty),
                clip_adjustment: rounded(reward.clip_adjustment),
            }
        })
    }

    pub(super) fn wire_personalities(&self) -> BTreeMap<String, Personality> {
        self.by_agent(|agent| {
            let traits = agent.profile.traits();
            Personality {
                profile: agent.profile.name().into(),
                traits: Traits {
                    extroversion: traits.extroversion,
                    forgiveness: traits.forgiveness,
                    ambition: traits.ambition,
                },
                multipliers: multipliers(agent.profile),
            }
        })
    }

    pub(super) fn wire_ties(&self) -> BTreeMap<String, BTreeMap<String, Tie>> {
        let mut owners = self.by_agent(|agent| {
            let ties = self.relationships.of(agent.id.index()).iter();
            ties.map(|tie| (tie.other.id(), wire_tie([tie.trust, tie.familiarity, tie.rivalry]))).collect()
        });
        owners.retain(|_, ties: &mut BTreeMap<String, Tie>| !ties.is_empty());
        owners
    }

    pub(super) fn wire_overlay(&self) -> BTreeMap<String, Vec<OverlayEntry>> {
        let mut owners = self.by_agent(|agent| {
            let slot = agent.id.index();
            let mut ties: Vec<_> = self.relationships.of(slot).iter().collect();
            ties.sort_by(|a, b| b.trust.total_cmp(&a.trust).then(a.other.cmp(&b.other)));
            let entry = |tie: &crate::relationships::Tie| {
                let [delta_trust, delta_familiarity, delta_rivalry] = self.relationships.delta(slot, tie).map(rounded);
                OverlayEntry {
                    owner: agent.id.id(),
                    other: tie.other.id(),
                    trust: rounded(tie.trust),
                    familiarity: rounded(tie.familiarity),
                    rivalry: rounded(tie.rivalry),
                    delta_trust,
                    delta_familiarity,
                    delta_rivalry,
                }
            };
            ties.into_iter().take(OVERLAY).map(entry).collect::<Vec<_>>()
        });
        owners.retain(|_, ties| !ties.is_empty());
        owners
    }

    pub(super) fn wire_churn(&self) -> RelationshipChurn {
        let ChurnSample { window_start, window_end, total, owners, reasons } = churn_sample(&self.relationships.churn);
        let history = self.relationships.churn_history.iter().map(churn_sample).collect();
        RelationshipChurn { window_start, window_end, total, owners, reasons, history }
    }
}

fn churn_sample(churn: &Churn) -> ChurnSample {
    ChurnSample {
        window_start: churn.window_start,
        window_end: churn.window_start + CHURN_WINDOW_TICKS,
        total: churn.total.into(),
        owners: churn.owners.iter().map(|(owner, count)| (owner.id(), u64::from(*count))).collect(),
        reasons: churn.reasons.iter().map(|(reason, count)| (reason.name().to_owned(), u64::from(*count))).collect(),
    }
}

fn wire_tie(values: [f64; 3]) -> Tie {
    let [trust, familiarity, rivalry] = values.map(rounded);
    Tie { trust, familiarity, rivalry }
}

pub(super) fn tie_update(update: &TieUpdate) -> RelationshipUpdate {
    let [trust, familiarity, rivalry] = update.now.map(rounded);
    RelationshipUpdate {
        owner: update.owner.id(),
        other: update.other.id(),
        trust,
        familiarity,
        rivalry,
        status: match update.status {
            TieStatus::Added => UpdateStatus::Added,
            TieStatus::Updated => UpdateStatus::Updated,
            TieStatus::Removed => UpdateStatus::Removed,
        },
        delta: wire_tie(update.delta),
    }
}

/// The factors of a profile that differ from 1.
fn multipliers(profile: Profile) -> Option<Multipliers> {
    let differing = |factors: &[(&str, f64)]| -> BTreeMap<String, f64> {
        factors
            .iter()
            .filter(|(_, factor)| *factor != 1.0)
            .map(|(name, factor)| ((*name).to_owned(), *factor))
            .collect()
    };
    let found = Multipliers {
        needs: differing(&[("hygiene", profile.hygiene_decay())]),
        rewards: differing(&[("social", profile.social_reward())]),
        behaviour: differing(&[
            ("chat_preference", profile.chat_preference()),
            ("conflict_tolerance", profile.conflict_tolerance()),
        ]),
    };
    (found != Multipliers::default()).then_some(found)
}
