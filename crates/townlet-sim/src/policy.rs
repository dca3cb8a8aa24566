//! The scripted policy: scores for what an agent could do, the best one wins and is kept for a while.
//!
//! Scores are sums and products only, so that no mathematical library decides what happens. The probabilities that
//! a snapshot shows are a softmax over them ([`Mind::distribution`]) and decide nothing.

use crate::agents::Doing;
use crate::economy::Price;
use crate::events::{FailReason, TownEvent, named};
use crate::needs::SEEK_BELOW;
use crate::town::{self, Cell, Fixture, ObjectId};
use crate::world::World;

/// Ticks for which a choice is kept.
pub(crate) const OPTION_COMMIT_TICKS: u64 = 15;
/// Hunger below which everything else has to wait.
pub(crate) const URGENT_HUNGER: f64 = 0.25;
/// Hunger below which an agent eats before it does anything that takes long.
const PECKISH: f64 = 0.55;
/// A peckish agent thinks this little of anything that would keep it from the fridge for long.
const WHILE_PECKISH: f64 = 0.3;

named! {
    /// What an agent may choose.
    pub(crate) Choice {
        /// Nothing.
        Wait = "wait",
        /// Go to the fridge.
        Eat = "eat_meal",
        /// Go to the shower.
        Wash = "use_shower",
        /// Go to bed.
        Sleep = "rest_sleep",
        /// Go to the stove.
        Cook = "cook_meal",
        /// Go to work.
        Work = "work",
        /// Go where the others are.
        Socialize = "socialize",
    }
}

impl Choice {
    /// Every choice, in the order of the scores.
    pub(crate) const ALL: [Self; 7] =
        [Self::Wait, Self::Eat, Self::Wash, Self::Sleep, Self::Cook, Self::Work, Self::Socialize];

    fn fixture(self) -> Option<Fixture> {
        match self {
            Self::Eat => Some(Fixture::Fridge),
            Self::Wash => Some(Fixture::Shower),
            Self::Sleep => Some(Fixture::Bed),
            Self::Cook => Some(Fixture::Stove),
            Self::Wait | Self::Work | Self::Socialize => None,
        }
    }
}

/// An agent's present choice and the scores that led to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mind {
    pub(crate) choice: Choice,
    pub(crate) committed_until: u64,
    pub(crate) decided_at: u64,
    pub(crate) scores: [f64; 7],
    /// Changes of mind in this tick, 0 or 1.
    pub(crate) switched: u32,
    /// Changes of mind in this life.
    pub(crate) switches: u32,
}

impl Default for Mind {
    fn default() -> Self {
        Self { choice: Choice::Wait, committed_until: 0, decided_at: 0, scores: [0.0; 7], switched: 0, switches: 0 }
    }
}

impl Mind {
    /// The next tick brings a new decision.
    pub(crate) fn reconsider(&mut self) {
        self.committed_until = 0;
    }

    /// Softmax of the scores at temperature 0.5, most likely first; equal ones in the order of [`Choice::ALL`].
    pub(crate) fn distribution(&self) -> Vec<(Choice, f64)> {
        let highest = self.scores.iter().copied().fold(f64::MIN, f64::max);
        let weights = self.scores.map(|score| ((score - highest) / 0.5).exp());
        let sum: f64 = weights.iter().sum();
        let mut all: Vec<_> = Choice::ALL.into_iter().zip(weights.map(|weight| weight / sum)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }
}

impl World {
    /// Everybody decides if due, then walks, waits, or asks for a fixture.
    pub(crate) fn step_actions(&mut self) {
        let offers: Vec<bool> = self.cooking_pays();
        for index in 0..self.agents.len() {
            let agent = &mut self.agents[index];
            agent.mind.switched = 0;
            if !agent.acts() {
                continue;
            }
            match agent.doing {
                Doing::Using { .. } => continue,
                Doing::Working => {
                    if agent.needs.hunger < URGENT_HUNGER && !agent.avoids(Fixture::Fridge, self.tick) {
                        agent.doing = Doing::Free;
                        agent.mind.reconsider();
                    } else {
                        continue;
                    }
                }
                Doing::Queued(object) => {
                    if agent.needs.hunger < URGENT_HUNGER && object.fixture() != Fixture::Fridge {
                        self.leave_fixture(index, FailReason::Interrupted);
                    } else {
                        self.log.push(TownEvent::ActionNoop { agent: agent.id, pending: true });
                        continue;
                    }
                }
                Doing::Free => {}
            }
            self.decide(index, offers[index / town::BLOCK]);
            self.act(index);
        }
    }

    /// By block: whether its fridge is nearly empty and its stove is not.
    fn cooking_pays(&self) -> Vec<bool> {
        (0..town::blocks(self.agents.len()))
            .map(|block| {
                let fridge = self.objects.get(ObjectId::of(block, Fixture::Fridge));
                let stove = self.objects.get(ObjectId::of(block, Fixture::Stove));
                fridge.meals <= 2 && stove.raw_ingredients > 0
            })
            .collect()
    }

    fn decide(&mut self, index: usize, cooking_pays: bool) {
        let tick = self.tick;
        let ingredients = self.economy.price(Price::IngredientsCost);
        let agent = &mut self.agents[index];
        let urgent = agent.needs.hunger < URGENT_HUNGER
            && agent.mind.choice != Choice::Eat
            && !agent.avoids(Fixture::Fridge, tick);
        if tick < agent.mind.committed_until && !urgent {
            return;
        }
        let (needs, traits) = (agent.needs, agent.profile.traits());
        let lack = |need: f64| (SEEK_BELOW - need).max(0.0);
        let seeks = |need: f64, base: f64, slope: f64| if need < SEEK_BELOW { base + slope * lack(need) } else { 0.2 };
        let mut scores = [
            1.0,
            if needs.hunger < PECKISH { seeks(needs.hunger, 2.0, 8.0).max(1.4) } else { 0.2 },
            seeks(needs.hygiene, 1.5, 2.5),
            seeks(needs.energy, 1.7, 5.0),
            if cooking_pays && agent.wallet >= ingredients { 1.7 } else { 0.1 },
            if agent.work.wanted(tick) { 3.2 + 0.4 * traits.ambition } else { 0.0 },
            0.9 + 0.5 * traits.extroversion,
        ];
        for (choice, score) in Choice::ALL.into_iter().zip(&mut scores) {
            if needs.hunger < PECKISH && matches!(choice, Choice::Wash | Choice::Sleep | Choice::Cook) {
                *score *= WHILE_PECKISH;
            }
            if choice.fixture().is_some_and(|fixture| agent.avoids(fixture, tick)) {
                *score = 0.0;
            }
            *score += self.rng.policy.between(0.0, 0.15);
        }
        let possessed = agent.possessed && needs.hunger >= URGENT_HUNGER;
        let best = (1..scores.len()).fold(0, |best, next| if scores[next] > scores[best] { next } else { best });
        let choice = if possessed { Choice::Wait } else { Choice::ALL[best] };
        let mind = &mut agent.mind;
        if choice != mind.choice {
            mind.switched = 1;
            mind.switches += 1;
        }
        (mind.choice, mind.scores, mind.decided_at) = (choice, scores, tick);
        mind.committed_until = tick + OPTION_COMMIT_TICKS;
    }

    fn act(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        let choice = agent.mind.choice;
        match choice.fixture() {
            Some(fixture) => {
                let object = ObjectId::of(agent.id.block(), fixture);
                if !self.walk(index, object.cell()) {
                    self.request(index, object);
                }
            }
            None if choice == Choice::Work => {
                let workplace = agent.work.job.workplace(index);
                if !agent.work.wanted(self.tick) {
                    agent.mind.reconsider();
                } else if !self.walk(index, workplace) {
                    self.agents[index].doing = Doing::Working;
                }
            }
            None => {
                let place = if choice == Choice::Socialize { town::plaza(agent.id.block()) } else { agent.position };
                if !self.walk(index, place) {
                    let agent = self.agents[index].id;
                    self.log.push(TownEvent::ActionNoop { agent, pending: false });
                }
            }
        }
    }

    /// One step towards `target`; false when the agent is there.
    fn walk(&mut self, index: usize, target: Cell) -> bool {
        let agent = &mut self.agents[index];
        if agent.position == target {
            return false;
        }
        agent.position = agent.position.step_towards(target);
        self.log.push(TownEvent::ActionMove { agent: agent.id, position: agent.position });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_one_and_sorted() {
        let mind = Mind { scores: [1.0, 3.0, 1.0, 0.0, 2.0, 0.5, 0.9], ..Mind::default() };
        let all = mind.distribution();
        assert_eq!(
            all.iter().map(|entry| entry.0).take(3).collect::<Vec<_>>(),
            [Choice::Eat, Choice::Cook, Choice::Wait]
        );
        assert!((all.iter().map(|entry| entry.1).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(all.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    }
}
