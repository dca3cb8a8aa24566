//! Personalities: four profiles with traits in `-1..=1` and the multipliers that they imply.

use crate::rng::Stream;

/// A personality profile. Drawn once per life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// No leaning.
    Balanced,
    /// Talks more, and needs to wash sooner.
    Socialite,
    /// Drawn to work.
    Industrious,
    /// Hard to upset.
    Stoic,
}

/// Traits of a profile, each in `-1..=1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Traits {
    /// Draws an agent into chats.
    pub(crate) extroversion: f64,
    /// Softens a bad chat.
    pub(crate) forgiveness: f64,
    /// Draws an agent to work.
    pub(crate) ambition: f64,
}

impl Profile {
    /// Every profile.
    pub(crate) const ALL: [Self; 4] = [Self::Balanced, Self::Socialite, Self::Industrious, Self::Stoic];

    pub(crate) fn draw(stream: &mut Stream) -> Self {
        Self::ALL[stream.below(Self::ALL.len() as u32) as usize]
    }

    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Socialite => "socialite",
            Self::Industrious => "industrious",
            Self::Stoic => "stoic",
        }
    }

    /// The traits of this profile.
    pub(crate) fn traits(self) -> Traits {
        let (extroversion, forgiveness, ambition) = match self {
            Self::Balanced => (0.0, 0.0, 0.0),
            Self::Socialite => (0.6, 0.1, -0.1),
            Self::Industrious => (-0.2, -0.1, 0.5),
            Self::Stoic => (-0.3, 0.5, -0.2),
        };
        Traits { extroversion, forgiveness, ambition }
    }

    /// How much faster than normal hygiene falls.
    pub(crate) fn hygiene_decay(self) -> f64 {
        if self == Self::Socialite { 1.1 } else { 1.0 }
    }

    /// How much more than normal a chat is worth as a reward.
    pub(crate) fn social_reward(self) -> f64 {
        if self == Self::Socialite { 1.2 } else { 1.0 }
    }

    /// How much more often than normal an agent starts a chat.
    pub(crate) fn chat_preference(self) -> f64 {
        if self == Self::Socialite { 1.3 } else { 1.0 }
    }

    /// How much of the normal rivalry a conflict leaves behind; below 1 the agent tolerates conflicts.
    pub(crate) fn conflict_tolerance(self) -> f64 {
        if self == Self::Stoic { 0.6 } else { 1.0 }
    }
}
