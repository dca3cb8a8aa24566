//! What is worth telling: sentences from this tick's events, ties and avoidances, offered to the limiter in order.

use townlet_schema::Object;
use townlet_schema::snapshot::Narration;

use crate::agents::Agent;
use crate::events::{Chat, ClashReason, SocialEvent, TownEvent};
use crate::narration::{NarrationLimiter, Verdict};
use crate::options::NarrationOptions;
use crate::payload::{map, number};
use crate::relationships::{Relationships, TieStatus, TieUpdate};
use crate::town::AgentRef;
use crate::world::World;

/// Rivals per agent that are told at most.
const TOP_RIVALS: usize = 3;

/// A sentence that has passed no limiter yet.
struct Draft {
    category: &'static str,
    key: String,
    priority: bool,
    message: String,
    data: Object,
}

/// What a tick's sentences are made of.
struct Scene<'a> {
    options: NarrationOptions,
    relationships: &'a Relationships,
    agents: &'a [Agent],
}

/// The limiter, and what it has let through in this tick.
#[derive(Debug, Clone)]
pub(crate) struct Narrator {
    pub(crate) limiter: NarrationLimiter,
    pub(crate) told: Vec<Narration>,
}

impl Narrator {
    pub(crate) fn new(options: NarrationOptions) -> Self {
        Self { limiter: NarrationLimiter::new(options), told: Vec::new() }
    }

    fn offer(&mut self, tick: u64, draft: Draft) -> Verdict {
        let Draft { category, key, priority, message, data } = draft;
        let listed = &self.limiter.options().priority_categories;
        let priority = priority || listed.iter().any(|listed| listed == category);
        let verdict = self.limiter.offer(tick, category, &key, priority);
        if verdict == Verdict::Accepted {
            let (category, dedupe_key) = (category.into(), Some(key));
            self.told.push(Narration { tick, category, message, priority, data, dedupe_key });
        }
        verdict
    }
}

impl World {
    /// Tells what this tick brought, as far as the limiter allows.
    pub(crate) fn step_narrations(&mut self) {
        // Most ticks of a full window tell nothing: no sentence is made then.
        if self.narrator.limiter.is_full() {
            return;
        }
        let options = self.narrator.limiter.options().clone();
        let scene = Scene { options, relationships: &self.relationships, agents: &self.agents };
        let drafts = (self.log.iter().filter_map(|event| scene.of_event(event)))
            .chain(self.tie_updates.iter().filter_map(|update| scene.of_friendship(update)))
            .chain(self.tie_updates.iter().filter_map(|update| scene.of_rivalry(update)))
            .chain(self.social.iter().filter_map(|event| scene.of_alert(*event)))
            .chain(self.social.iter().filter_map(|event| scene.of_personality(*event)));
        for draft in drafts {
            if self.narrator.offer(self.tick, draft) == Verdict::WindowFull {
                break;
            }
        }
    }

    /// Tells an operator's sentence now, if the limiter lets it through.
    pub(crate) fn announce(&mut self, message: &str, priority: bool, key: &str) -> Verdict {
        let (message, key) = (message.to_owned(), key.to_owned());
        let draft = Draft { category: "operator_story", key, priority, message, data: Object::new() };
        self.narrator.offer(self.tick, draft)
    }
}

impl Scene<'_> {
    fn of_event(&self, event: &TownEvent) -> Option<Draft> {
        match event {
            TownEvent::QueueConflict(clash) => {
                let (actor, rival, object) = (clash.actor.id(), clash.rival.id(), clash.object.id());
                let (low, high) = if clash.actor < clash.rival { (&actor, &rival) } else { (&rival, &actor) };
                Some(Draft {
                    category: "queue_conflict",
                    key: format!("queue_conflict:{object}:{low}::{high}"),
                    priority: clash.reason == ClashReason::GhostStep,
                    message: format!(
                        "{actor} clashed with {rival} at {object} (intensity {:.2}, queue {}).",
                        clash.intensity, clash.queue_length
                    ),
                    data: map([
                        ("actor", actor.into()),
                        ("rival", rival.into()),
                        ("object_id", object.into()),
                        ("reason", clash.reason.name().into()),
                        ("intensity", number(clash.intensity)),
                        ("queue_length", clash.queue_length.into()),
                    ]),
                })
            }
            TownEvent::ShowerPowerOutage { object } => {
                let object = object.id();
                Some(Draft {
                    category: "utility_outage",
                    key: format!("utility_outage:{object}"),
                    priority: true,
                    message: format!("The power failed while {object} was in use."),
                    data: map([("object_id", object.into())]),
                })
            }
            TownEvent::ShowerComplete { agent, object } => {
                Some(finished("shower_complete", "finished a shower at", *agent, object.id()))
            }
            TownEvent::SleepComplete { agent, object } => {
                Some(finished("sleep_complete", "woke up rested at", *agent, object.id()))
            }
            _ => None,
        }
    }

    fn of_friendship(&self, update: &TieUpdate) -> Option<Draft> {
        let ([trust, familiarity, _], [delta_trust, delta_familiarity, _]) = (update.now, update.delta);
        let options = &self.options;
        // A tie that begins with a clash is new too, but it is no bond.
        let new = update.status == TieStatus::Added && trust > 0.0;
        let rose = update.status != TieStatus::Removed && delta_trust > 0.0;
        let told = new
            || rose
                && (trust >= options.friendship_trust_threshold || delta_trust >= options.friendship_delta_threshold);
        if !told {
            return None;
        }
        let (owner, other) = (update.owner.id(), update.other.id());
        Some(Draft {
            category: "relationship_friendship",
            key: format!("relationship_friendship:{owner}:{other}"),
            priority: new || trust >= options.friendship_priority_threshold,
            message: format!("{owner} bonded with {other}: trust {trust:.2}, familiarity {familiarity:.2}."),
            data: map([
                ("owner", owner.into()),
                ("other", other.into()),
                ("status", update.status.name().into()),
                ("trust", number(trust)),
                ("familiarity", number(familiarity)),
                ("delta_trust", number(delta_trust)),
                ("delta_familiarity", number(delta_familiarity)),
            ]),
        })
    }

    fn of_rivalry(&self, update: &TieUpdate) -> Option<Draft> {
        let rivalry = update.now[2];
        let options = &self.options;
        if rivalry < options.rivalry_avoid_threshold || update.delta[2] <= 0.0 {
            return None;
        }
        let ahead = self.relationships.of(update.owner.index()).iter().filter(|tie| tie.rivalry > rivalry).count();
        if ahead >= TOP_RIVALS {
            return None;
        }
        let (owner, rival) = (update.owner.id(), update.other.id());
        Some(Draft {
            category: "relationship_rivalry",
            key: format!("relationship_rivalry:{owner}:{rival}"),
            priority: rivalry >= options.rivalry_escalation_threshold,
            message: format!("{owner} is at odds with {rival}: rivalry {rivalry:.2}."),
            data: map([("owner", owner.into()), ("rival", rival.into()), ("rivalry", number(rivalry))]),
        })
    }

    fn of_alert(&self, event: SocialEvent) -> Option<Draft> {
        match event {
            SocialEvent::ChatSuccess(_) => None,
            SocialEvent::ChatFailure(Chat { speaker, listener, quality }) => {
                let (speaker, listener) = (speaker.id(), listener.id());
                Some(Draft {
                    category: "relationship_social_alert",
                    key: format!("chat_failure:{speaker}:{listener}"),
                    priority: false,
                    message: format!("{speaker} and {listener} talked past each other."),
                    data: map([
                        ("speaker", speaker.into()),
                        ("listener", listener.into()),
                        ("quality", number(quality)),
                    ]),
                })
            }
            SocialEvent::RivalryAvoidance { agent, object, rival } => {
                let (agent, object, rival) = (agent.id(), object.id(), rival.id());
                Some(Draft {
                    category: "relationship_social_alert",
                    key: format!("rivalry_avoidance:{agent}:{object}"),
                    priority: true,
                    message: format!("{agent} keeps away from {object} because of {rival}."),
                    data: map([("agent", agent.into()), ("object", object.into()), ("rival", rival.into())]),
                })
            }
        }
    }

    fn of_personality(&self, event: SocialEvent) -> Option<Draft> {
        let options = &self.options;
        if !options.personality_enabled {
            return None;
        }
        match event {
            SocialEvent::ChatSuccess(Chat { speaker, listener, quality }) => {
                let extroversion = self.agents[speaker.index()].profile.traits().extroversion;
                if extroversion < options.chat_extroversion_threshold || quality < options.chat_quality_threshold {
                    return None;
                }
                let (speaker, listener) = (speaker.id(), listener.id());
                Some(Draft {
                    category: "personality_event",
                    key: format!("personality_event:chat:{speaker}"),
                    priority: extroversion >= options.chat_priority_threshold,
                    message: format!("Outgoing {speaker} drew {listener} into a chat."),
                    data: map([
                        ("agent", speaker.into()),
                        ("listener", listener.into()),
                        ("trait", "extroversion".into()),
                        ("quality", number(quality)),
                    ]),
                })
            }
            SocialEvent::RivalryAvoidance { agent, object, rival } => {
                let tolerance = self.agents[agent.index()].profile.conflict_tolerance();
                if tolerance > options.conflict_tolerance_threshold {
                    return None;
                }
                let (agent, object, rival) = (agent.id(), object.id(), rival.id());
                Some(Draft {
                    category: "personality_event",
                    key: format!("personality_event:calm:{agent}"),
                    priority: false,
                    message: format!("Even-tempered {agent} leaves {object} to {rival}."),
                    data: map([
                        ("agent", agent.into()),
                        ("rival", rival.into()),
                        ("trait", "conflict_tolerance".into()),
                        ("object", object.into()),
                    ]),
                })
            }
            SocialEvent::ChatFailure(_) => None,
        }
    }
}

fn finished(category: &'static str, verb: &str, agent: AgentRef, object: String) -> Draft {
    let agent = agent.id();
    Draft {
        category,
        key: format!("{category}:{agent}:{object}"),
        priority: false,
        message: format!("{agent} {verb} {object}."),
        data: map([("agent_id", agent.into()), ("object_id", object.into())]),
    }
}
