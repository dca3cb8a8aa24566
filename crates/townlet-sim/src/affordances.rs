//! Affordances: what the fixtures let an agent do, under which conditions, and with what effect.

use crate::agents::Doing;
use crate::economy::Price;
use crate::events::{Condition, FailReason, TownEvent, named};
use crate::queues::{COOLDOWN_TICKS, FRIDGE_COOLDOWN_TICKS};
use crate::town::{Fixture, ObjectId};
use crate::world::World;

/// Price of a shower; no setting of the economy covers it.
const SHOWER_COST: f64 = 0.2;
/// Meals that one round of cooking puts into the fridge.
const MEALS_PER_COOKING: u32 = 3;
/// Ticks for which an agent keeps away from a fixture that could not serve it.
const AFTER_FAILURE_TICKS: u64 = 15;

named! {
    /// Something that a fixture lets an agent do.
    pub Affordance {
        /// 30 ticks: hygiene +0.45, energy -0.03, money -0.2.
        UseShower = "use_shower",
        /// 15 ticks: hunger +0.4, energy +0.05, money by `meal_cost`.
        EatMeal = "eat_meal",
        /// 40 ticks: meals into the fridge, money by `ingredients_cost`.
        CookMeal = "cook_meal",
        /// 60 ticks: energy +0.8.
        RestSleep = "rest_sleep",
    }
}

impl Affordance {
    /// Every affordance.
    pub const ALL: [Self; 4] = [Self::UseShower, Self::EatMeal, Self::CookMeal, Self::RestSleep];

    /// What `fixture` offers.
    pub fn of(fixture: Fixture) -> Self {
        match fixture {
            Fixture::Shower => Self::UseShower,
            Fixture::Bed => Self::RestSleep,
            Fixture::Fridge => Self::EatMeal,
            Fixture::Stove => Self::CookMeal,
        }
    }

    /// How long it takes, in ticks.
    pub fn duration(self) -> u64 {
        match self {
            Self::UseShower => 30,
            Self::EatMeal => 15,
            Self::CookMeal => 40,
            Self::RestSleep => 60,
        }
    }

    /// What it does when it ends, as (need or purse, amount); the prices of the moment are not in it.
    pub(crate) fn effects(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::UseShower => &[("hygiene", 0.45), ("energy", -0.03), ("money", -SHOWER_COST)],
            Self::EatMeal => &[("hunger", 0.4), ("energy", 0.05)],
            Self::CookMeal => &[("meals", MEALS_PER_COOKING as f64)],
            Self::RestSleep => &[("energy", 0.8)],
        }
    }
}

/// How many uses began, ended, failed or were refused in the present tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UseCounts {
    pub(crate) start: u32,
    pub(crate) finish: u32,
    pub(crate) fail: u32,
    pub(crate) precondition_fail: u32,
}

impl World {
    /// `agents[index]` has a place at `object`: begins the use, or fails on a condition.
    pub(crate) fn begin(&mut self, index: usize, object: ObjectId) {
        let affordance = Affordance::of(object.fixture());
        let agent = self.agents[index].id;
        if let Err((condition, reason)) = self.conditions(index, object, affordance) {
            if let Some(condition) = condition {
                self.log.push(TownEvent::AffordancePreconditionFail { agent, object, affordance, condition });
            }
            self.log.push(TownEvent::AffordanceFail { agent, object, affordance, reason });
            self.failures += 1;
            self.turn_away(index, object, self.tick + AFTER_FAILURE_TICKS);
            return;
        }
        let price = self.price_of(affordance);
        let place = self.objects.get_mut(object);
        match affordance {
            Affordance::EatMeal => place.meals -= 1,
            Affordance::CookMeal => place.raw_ingredients -= 1,
            Affordance::UseShower | Affordance::RestSleep => {}
        }
        place.users.push(agent);
        place.shared = false;
        let duration = affordance.duration();
        let who = &mut self.agents[index];
        who.wallet -= price;
        who.doing = Doing::Using { object, affordance, until: self.tick + duration };
        who.signals.shaping += 0.005;
        self.log.push(TownEvent::ActionStart { agent, object, affordance, duration });
        self.log.push(TownEvent::AffordanceStart { agent, object, affordance, duration });
    }

    fn price_of(&self, affordance: Affordance) -> f64 {
        match affordance {
            Affordance::UseShower => SHOWER_COST,
            Affordance::EatMeal => self.economy.price(Price::MealCost),
            Affordance::CookMeal => self.economy.price(Price::IngredientsCost),
            Affordance::RestSleep => 0.0,
        }
    }

    fn conditions(
        &self,
        index: usize,
        object: ObjectId,
        affordance: Affordance,
    ) -> Result<(), (Option<Condition>, FailReason)> {
        let place = self.objects.get(object);
        let power = (self.utilities.power, Condition::PowerOn, FailReason::PowerOff);
        let needed: &[(bool, Condition, FailReason)] = match affordance {
            Affordance::UseShower => &[power, (self.utilities.water, Condition::WaterOn, FailReason::WaterOff)],
            Affordance::EatMeal => &[(place.meals > 0, Condition::Meals, FailReason::NoMeals)],
            Affordance::CookMeal => {
                &[power, (place.raw_ingredients > 0, Condition::RawIngredients, FailReason::NoIngredients)]
            }
            Affordance::RestSleep => &[],
        };
        if let Some((_, condition, reason)) = needed.iter().find(|(holds, ..)| !holds) {
            return Err((Some(*condition), *reason));
        }
        if self.agents[index].wallet < self.price_of(affordance) {
            return Err((None, FailReason::InsufficientFunds));
        }
        Ok(())
    }

    /// Uses that are due end and take effect; the place goes to the next in line.
    pub(crate) fn step_affordances(&mut self) {
        for index in 0..self.agents.len() {
            let agent = &self.agents[index];
            if !agent.acts() {
                continue;
            }
            if let Doing::Using { object, affordance, until } = agent.doing
                && until <= self.tick
            {
                self.finish(index, object, affordance);
            }
        }
        self.report_shared_meals();
    }

    fn finish(&mut self, index: usize, object: ObjectId, affordance: Affordance) {
        let tick = self.tick;
        let cook = (self.economy.price(Price::CookEnergyCost), self.economy.price(Price::CookHygieneCost));
        let who = &mut self.agents[index];
        let agent = who.id;
        who.doing = Doing::Free;
        who.mind.reconsider();
        self.log.push(TownEvent::AffordanceFinish { agent, object, affordance });
        match affordance {
            Affordance::UseShower => {
                who.needs.add(0.0, 0.45, -0.03);
                self.log.push(TownEvent::ShowerComplete { agent, object });
            }
            Affordance::EatMeal => {
                who.needs.add(0.4, 0.0, 0.05);
                who.inventory.meals_consumed += 1;
            }
            Affordance::CookMeal => {
                who.needs.add(0.0, -cook.1, -cook.0);
                who.inventory.meals_cooked += 1;
                let fridge = ObjectId::of(object.block(), Fixture::Fridge);
                self.objects.get_mut(fridge).meals += MEALS_PER_COOKING;
            }
            Affordance::RestSleep => {
                who.needs.add(0.0, 0.0, 0.8);
                self.log.push(TownEvent::SleepComplete { agent, object });
            }
        }
        let place = self.objects.get_mut(object);
        place.users.retain(|user| *user != agent);
        place.shared = false;
        let ticks = if affordance == Affordance::EatMeal { FRIDGE_COOLDOWN_TICKS } else { COOLDOWN_TICKS };
        place.cool_down(agent, tick, ticks);
        self.promote(object, Some(agent));
    }

    fn report_shared_meals(&mut self) {
        for block in 0..self.objects.0.len() / Fixture::ALL.len() {
            let object = ObjectId::of(block, Fixture::Fridge);
            let fridge = self.objects.get_mut(object);
            if fridge.shared || fridge.users.len() < 2 {
                continue;
            }
            fridge.shared = true;
            let agents = fridge.users.clone();
            for a in &agents {
                for b in agents.iter().filter(|b| *b != a) {
                    self.relationships.adjust(*a, *b, 0.02, 0.02, 0.0);
                }
                self.agents[a.index()].signals.social_bonus += 0.01;
            }
            self.log.push(TownEvent::SharedMeal { agents, object });
        }
    }
}
