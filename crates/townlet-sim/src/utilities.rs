//! Power and water: switched by perturbations; a failure throws out whoever needs them at the moment.

use crate::agents::Doing;
use crate::events::{FailReason, TownEvent, named};
use crate::town::{Fixture, ObjectId};
use crate::world::World;

/// Ticks for which an agent that was thrown out keeps away.
const AFTER_OUTAGE_TICKS: u64 = 20;

named! {
    /// A utility of the town.
    pub Utility {
        /// Showers and stoves need it.
        Power = "power",
        /// Showers need it.
        Water = "water",
    }
}

/// Which utilities are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Utilities {
    pub(crate) power: bool,
    pub(crate) water: bool,
}

impl Default for Utilities {
    fn default() -> Self {
        Self { power: true, water: true }
    }
}

impl World {
    /// Switches a utility for the whole town.
    pub(crate) fn switch_utility(&mut self, utility: Utility, on: bool) {
        let was = match utility {
            Utility::Power => std::mem::replace(&mut self.utilities.power, on),
            Utility::Water => std::mem::replace(&mut self.utilities.water, on),
        };
        if on || !was {
            return;
        }
        let (fixtures, reason): (&[Fixture], _) = match utility {
            Utility::Power => (&[Fixture::Shower, Fixture::Stove], FailReason::PowerOff),
            Utility::Water => (&[Fixture::Shower], FailReason::WaterOff),
        };
        for number in 0..self.objects.0.len() {
            let object = ObjectId(number as u32);
            if !fixtures.contains(&object.fixture()) || self.objects.get(object).users.is_empty() {
                continue;
            }
            if utility == Utility::Power && object.fixture() == Fixture::Shower {
                self.log.push(TownEvent::ShowerPowerOutage { object });
            }
            for user in self.objects.get(object).users.clone() {
                debug_assert!(matches!(self.agents[user.index()].doing, Doing::Using { .. }));
                self.leave_fixture(user.index(), reason);
                self.turn_away(user.index(), object, self.tick + AFTER_OUTAGE_TICKS);
            }
        }
    }
}
