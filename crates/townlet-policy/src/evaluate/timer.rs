//! `for` and `keep`: from what is true now to what the rule says.

use std::time::Duration;

use super::GapMode;
use super::verdict::Reason;
use crate::rule::Timing;
use crate::time::Time;
use crate::truth::Truth;

/// What a rule says at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Where the rule stands.
    pub state: State,
    /// Whether its bad condition holds now.
    pub truth: Truth,
    /// Why that is unknown; empty otherwise, and in [`GapMode::Prometheus`].
    pub why: Vec<Reason>,
}

impl Status {
    /// Whether the rule has passed: it is known not to be bad, and nothing is left of a time when it was.
    /// Pending, unknown and excused are no pass.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.state == State::Inactive
    }
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is known not to be bad.
    Inactive,
    /// It is bad, and not for as long as `for` asks.
    Pending {
        /// The evaluation that saw it first.
        since: Time,
    },
    /// It has been bad for long enough, or was until less than `keep` ago. A gap in the data does not end it.
    Firing {
        /// The evaluation that fired.
        since: Time,
    },
    /// Nobody can tell. It holds whatever waits for the rule.
    Unknown {
        /// It was pending since then when the data ended, and its timer waits.
        pending: Option<Time>,
    },
    /// Nobody can tell for want of data, which `unless no-data` permits.
    Excused {
        /// As for unknown.
        pending: Option<Time>,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timer {
    bad: Option<Stretch>,
    good: Option<Stretch>,
    fired: Option<Time>,
    last: Option<(Time, Truth)>,
}

/// A time that saw the same, gaps left out.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    since: Time,
    seen: Duration,
}

impl Timer {
    pub(super) fn step(
        &mut self,
        at: Time,
        truth: Truth,
        why: &[Reason],
        timing: &Timing,
        mode: GapMode,
        max_gap: Duration,
    ) -> Status {
        let grown = match (mode, self.last) {
            (GapMode::Prometheus, Some((last, _))) => at.since(last),
            (GapMode::Hold, Some((last, before))) if before == truth => at.since(last).min(max_gap),
            _ => Duration::ZERO,
        };
        self.last = Some((at, truth));
        match truth {
            Truth::True => {
                self.good = None;
                let bad = extend(&mut self.bad, at, grown);
                if bad.seen >= timing.lasting {
                    self.fired.get_or_insert(at);
                }
            }
            Truth::False => {
                self.bad = None;
                let good = extend(&mut self.good, at, grown);
                if good.seen >= timing.keep {
                    self.fired = None;
                }
            }
            Truth::Unknown => {}
        }
        let no_data = !why.is_empty() && why.iter().all(|reason| matches!(reason, Reason::NoData(_)));
        let pending = self.bad.map(|bad| bad.since);
        let state = match (self.fired, truth) {
            (Some(since), _) => State::Firing { since },
            (None, Truth::Unknown) if timing.unless_no_data && no_data => State::Excused { pending },
            (None, Truth::Unknown) => State::Unknown { pending },
            (None, _) => pending.map_or(State::Inactive, |since| State::Pending { since }),
        };
        let why = if truth == Truth::Unknown { why.to_vec() } else { Vec::new() };
        Status { state, truth, why }
    }
}

/// Lets a stretch grow, or begins one.
fn extend(stretch: &mut Option<Stretch>, at: Time, grown: Duration) -> Stretch {
    let seen = stretch.map_or(Duration::ZERO, |stretch| stretch.seen + grown);
    let since = stretch.map_or(at, |stretch| stretch.since);
    *stretch.insert(Stretch { since, seen })
}
