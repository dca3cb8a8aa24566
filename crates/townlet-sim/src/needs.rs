//! Needs: hunger, hygiene and energy, 1 is satisfied and 0 is desperate.

use crate::personality::Profile;

/// Hunger at or below this ends a life ("faint").
pub const FAINT_HUNGER: f64 = 0.03;
/// A need below this makes an agent act on it.
pub(crate) const SEEK_BELOW: f64 = 0.4;

const HUNGER_DECAY: f64 = 0.01;
const HYGIENE_DECAY: f64 = 0.005;
const ENERGY_DECAY: f64 = 0.008;
/// A sleeper's body works slower. Not a rule of the predecessor, where a night's sleep from full needs already ended
/// in a faint.
const ASLEEP: f64 = 0.4;

/// The three needs of an agent, each within `0..=1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Needs {
    /// 1 is full, 0 is starving.
    pub(crate) hunger: f64,
    /// 1 is clean.
    pub(crate) hygiene: f64,
    /// 1 is rested.
    pub(crate) energy: f64,
}

/// Which need the body does not spend this tick, because it is being met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spared {
    Nothing,
    Hunger,
    Hygiene,
    /// Asleep: energy is kept, the rest falls slowly.
    Energy,
}

impl Needs {
    /// One tick of living.
    pub(crate) fn decay(&mut self, spared: Spared, profile: Profile) {
        let pace = if spared == Spared::Energy { ASLEEP } else { 1.0 };
        if spared != Spared::Hunger {
            self.hunger -= HUNGER_DECAY * pace;
        }
        if spared != Spared::Hygiene {
            self.hygiene -= HYGIENE_DECAY * profile.hygiene_decay() * pace;
        }
        if spared != Spared::Energy {
            self.energy -= ENERGY_DECAY;
        }
        self.clamp();
    }

    /// Adds to each need; the result is clamped to `0..=1`.
    pub(crate) fn add(&mut self, hunger: f64, hygiene: f64, energy: f64) {
        self.hunger += hunger;
        self.hygiene += hygiene;
        self.energy += energy;
        self.clamp();
    }

    fn clamp(&mut self) {
        self.hunger = self.hunger.clamp(0.0, 1.0);
        self.hygiene = self.hygiene.clamp(0.0, 1.0);
        self.energy = self.energy.clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_agent_lives_about_a_hundred_ticks_on_a_full_stomach() {
        let mut needs = Needs { hunger: 1.0, hygiene: 1.0, energy: 1.0 };
        let mut ticks = 0;
        while needs.hunger > FAINT_HUNGER {
            needs.decay(Spared::Nothing, Profile::Balanced);
            ticks += 1;
        }
        assert_eq!(ticks, 97);
        assert!(needs.hygiene > 0.5 && needs.energy > 0.2);
    }

    #[test]
    fn what_is_being_met_does_not_fall() {
        let full = Needs { hunger: 0.5, hygiene: 0.5, energy: 0.5 };
        for (spared, read) in [
            (Spared::Hunger, (|n: &Needs| n.hunger) as fn(&Needs) -> f64),
            (Spared::Hygiene, |n| n.hygiene),
            (Spared::Energy, |n| n.energy),
        ] {
            let mut needs = full;
            needs.decay(spared, Profile::Stoic);
            assert_eq!(read(&needs), 0.5, "{spared:?}");
        }
    }
}
