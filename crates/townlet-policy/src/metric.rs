//! What a rule is about.

use crate::unit::Unit;

/// A metric that rules may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name: letters, digits, `_`, `:` and inner dots, and no word of the grammar.
    pub name: String,
    /// The unit that its samples are in.
    pub unit: Unit,
    /// Which way is bad.
    pub worse: Worse,
}

/// The direction in which a metric gets worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Worse {
    /// More is bad: latency, errors.
    Up,
    /// Less is bad: success, throughput.
    Down,
    /// Both are bad: it belongs in a band.
    Both,
}

impl Worse {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Up, Self::Down, Self::Both];

    /// The word in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Both => "both",
        }
    }
}
