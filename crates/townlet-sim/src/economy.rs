//! Prices, the spikes on them, and deliveries.

use std::collections::BTreeMap;

use crate::events::{Stock, TownEvent, named};
use crate::town::{self, Fixture, ObjectId};
use crate::world::World;

/// Ticks between two deliveries to a stove.
const STOVE_EVERY: u64 = 200;
/// Ticks between two deliveries to a fridge.
const FRIDGE_EVERY: u64 = 50;
/// Ingredients that a stove can hold.
const STOVE_CAPACITY: u32 = 8;

named! {
    /// A setting of the economy.
    pub Price {
        /// Money for one meal.
        MealCost = "meal_cost",
        /// Energy that cooking takes.
        CookEnergyCost = "cook_energy_cost",
        /// Hygiene that cooking takes.
        CookHygieneCost = "cook_hygiene_cost",
        /// Money per tick of a grocer's shift; a barista gets a quarter more.
        WageIncome = "wage_income",
        /// Money for one round of cooking.
        IngredientsCost = "ingredients_cost",
        /// Ingredients per delivery to a stove.
        StoveStockReplenish = "stove_stock_replenish",
    }
}

impl Price {
    /// Every setting.
    pub const ALL: [Self; 6] = [
        Self::MealCost,
        Self::CookEnergyCost,
        Self::CookHygieneCost,
        Self::WageIncome,
        Self::IngredientsCost,
        Self::StoveStockReplenish,
    ];

    /// The setting called `name` on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|price| price.name() == name)
    }
}

/// A spike that is in force.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spike {
    pub(crate) magnitude: f64,
    pub(crate) targets: &'static [Price],
}

/// Base settings and the spikes on them. A spike never touches a base setting, so when it ends the old price is back
/// to the last bit.
#[derive(Debug, Clone)]
pub(crate) struct Economy {
    base: [f64; 6],
    pub(crate) spikes: BTreeMap<u32, Spike>,
}

impl Default for Economy {
    fn default() -> Self {
        Self { base: [0.4, 0.05, 0.02, 0.02, 0.15, 2.0], spikes: BTreeMap::new() }
    }
}

impl Economy {
    /// What `price` is now, spikes included.
    pub(crate) fn price(&self, price: Price) -> f64 {
        let spikes = self.spikes.values().filter(|spike| spike.targets.contains(&price));
        spikes.fold(self.base[price as usize], |value, spike| value * spike.magnitude)
    }

    /// Changes a base setting.
    pub(crate) fn set(&mut self, price: Price, value: f64) {
        self.base[price as usize] = value;
    }

    /// What a day's basket costs: a meal, and cooking one.
    pub(crate) fn basket_cost(&self) -> f64 {
        [Price::MealCost, Price::CookEnergyCost, Price::CookHygieneCost, Price::IngredientsCost]
            .into_iter()
            .map(|price| self.price(price))
            .sum()
    }
}

impl World {
    /// Adds or removes a spike and reports the prices that changed.
    pub(crate) fn spike(&mut self, number: u32, spike: Option<Spike>) {
        self.reprice(|economy| {
            match spike {
                Some(spike) => economy.spikes.insert(number, spike),
                None => economy.spikes.remove(&number),
            };
        });
    }

    /// Lets `change` change settings or spikes, and reports the prices that are others afterwards. What happens to
    /// a price in one tick is told once (W5): as it is in the end.
    pub(crate) fn reprice(&mut self, change: impl FnOnce(&mut Economy)) {
        let before = Price::ALL.map(|price| self.economy.price(price));
        change(&mut self.economy);
        for (price, before) in Price::ALL.into_iter().zip(before) {
            let value = self.economy.price(price);
            if value.to_bits() != before.to_bits() {
                self.log.retain(|told| !matches!(told, TownEvent::PriceUpdate { price: other, .. } if *other == price));
                self.log.push(TownEvent::PriceUpdate { price, value });
            }
        }
    }

    /// Deliveries, spread over the ticks by block.
    pub(crate) fn step_economy(&mut self) {
        let amount = self.economy.price(Price::StoveStockReplenish).clamp(0.0, f64::from(STOVE_CAPACITY)) as u32;
        for block in 0..town::blocks(self.agents.len()) {
            let turn = self.tick + block as u64;
            if turn.is_multiple_of(STOVE_EVERY) {
                let object = ObjectId::of(block, Fixture::Stove);
                let stove = self.objects.get_mut(object);
                let amount = amount.min(STOVE_CAPACITY.saturating_sub(stove.raw_ingredients));
                stove.raw_ingredients += amount;
                self.delivered(object, Stock::RawIngredients, amount);
            }
            if turn.is_multiple_of(FRIDGE_EVERY) {
                let residents = town::block_slots(block, self.agents.len()).len() as u32;
                let object = ObjectId::of(block, Fixture::Fridge);
                let fridge = self.objects.get_mut(object);
                // Seven meals for ten residents: less than they eat, so that cooking matters.
                let amount = (residents * 7).div_ceil(10).min((2 * residents).saturating_sub(fridge.meals));
                fridge.meals += amount;
                self.delivered(object, Stock::Meals, amount);
            }
        }
    }

    fn delivered(&mut self, object: ObjectId, what: Stock, amount: u32) {
        if amount > 0 {
            self.log.push(TownEvent::StockReplenish { object, what, amount });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basket_costs_what_the_predecessors_did() {
        assert!((Economy::default().basket_cost() - 0.62).abs() < 1e-12);
    }

    #[test]
    fn a_price_is_told_where_it_changed_and_once_in_a_tick() {
        let mut world = World::new(crate::WorldOptions { seed: 7, agents: 3, ..crate::WorldOptions::default() });
        let spike = |magnitude| Some(Spike { magnitude, targets: &[Price::MealCost, Price::IngredientsCost] });
        // What costs nothing costs nothing in a spike.
        world.reprice(|economy| economy.set(Price::MealCost, 0.0));
        world.spike(1, spike(1.5));
        world.spike(2, spike(0.5));
        let told = |price, value| TownEvent::PriceUpdate { price, value };
        let ingredients = 0.15 * 1.5 * 0.5;
        assert_eq!(world.log, [told(Price::MealCost, 0.0), told(Price::IngredientsCost, ingredients)]);
        // To a value that it had in this tick: it is told as it is in the end.
        world.spike(2, None);
        world.spike(2, spike(0.5));
        assert_eq!(world.log, [told(Price::MealCost, 0.0), told(Price::IngredientsCost, ingredients)]);
    }

    #[test]
    fn overlapping_spikes_leave_the_exact_old_price_behind() {
        let mut economy = Economy::default();
        let old = economy.price(Price::MealCost);
        for (number, magnitude) in [(1, 1.37), (2, 1.73)] {
            economy.spikes.insert(number, Spike { magnitude, targets: &[Price::MealCost] });
        }
        assert!(economy.price(Price::MealCost) > 2.3 * old);
        economy.spikes.remove(&1);
        economy.spikes.remove(&2);
        assert_eq!(economy.price(Price::MealCost).to_bits(), old.to_bits());
    }
}
