//! Chats: who talks to whom, how well it goes, and what it leaves behind.

use crate::affordances::Affordance;
use crate::agents::Doing;
use crate::events::{Chat, SocialEvent, TownEvent};
use crate::policy::Choice;
use crate::town;
use crate::world::World;

/// Chance per tick that a free agent starts a chat, before its personality.
const CHAT_CHANCE: f64 = 0.025;
/// A chat below this quality has failed.
const CHAT_SUCCEEDS: f64 = 0.35;

impl World {
    /// Agents talk, and rivalry fades.
    pub(crate) fn step_relationships(&mut self) {
        for index in 0..self.agents.len() {
            let agent = &self.agents[index];
            let eager = match agent.doing {
                Doing::Free if agent.mind.choice == Choice::Socialize => 4.0,
                Doing::Free | Doing::Queued(_) | Doing::Working => 1.0,
                Doing::Using { .. } => continue,
            };
            if !agent.acts() || !self.rng.chats.chance(CHAT_CHANCE * eager * agent.profile.chat_preference()) {
                continue;
            }
            if let Some(listener) = self.company(index) {
                self.chat(index, listener, 0.0);
            }
        }
        self.relationships.decay();
    }

    /// Somebody awake to talk to: a coworker at work, otherwise a neighbour.
    fn company(&mut self, index: usize) -> Option<usize> {
        let working = self.agents[index].doing == Doing::Working;
        let around = if working {
            town::district_slots(index, self.agents.len())
        } else {
            town::block_slots(index / town::BLOCK, self.agents.len())
        };
        let awake = |slot: &usize| {
            let other = &self.agents[*slot];
            let asleep = matches!(other.doing, Doing::Using { affordance: Affordance::RestSleep, .. });
            *slot != index && other.acts() && !asleep && (!working || other.doing == Doing::Working)
        };
        let count = around.clone().filter(awake).count();
        let chosen = self.rng.chats.below(count as u32) as usize;
        around.filter(awake).nth(chosen)
    }

    /// One conversation; `favour` is added to its quality.
    pub(crate) fn chat(&mut self, speaker: usize, listener: usize, favour: f64) {
        let (a, b) = (&self.agents[speaker], &self.agents[listener]);
        let (from, to) = (a.id, b.id);
        let ties = self.relationships.of(speaker);
        let mood = 0.5 + 0.2 * a.profile.traits().extroversion + 0.1 * b.profile.traits().forgiveness + favour;
        let history = 0.3 * ties.trust(to) - 0.5 * ties.rivalry(to);
        let worth = (a.profile.social_reward(), b.profile.social_reward());
        let quality = (mood + history + self.rng.chats.between(-0.35, 0.35)).clamp(0.0, 1.0);
        let chat = Chat { speaker: from, listener: to, quality };
        if quality >= CHAT_SUCCEEDS {
            for (owner, other) in [(from, to), (to, from)] {
                self.relationships.adjust(owner, other, 0.05 * quality, 0.1 * quality, 0.0);
            }
            self.agents[speaker].signals.social_bonus += 0.02 * quality * worth.0;
            self.agents[listener].signals.social_bonus += 0.02 * quality * worth.1;
            self.log.push(TownEvent::ChatSuccess(chat));
            self.social.push(SocialEvent::ChatSuccess(chat));
        } else {
            for (owner, other) in [(from, to), (to, from)] {
                self.relationships.adjust(owner, other, 0.0, -0.05, 0.05);
            }
            self.agents[speaker].signals.social_penalty += 0.01;
            self.log.push(TownEvent::ChatFailure(chat));
            self.social.push(SocialEvent::ChatFailure(chat));
        }
    }
}
