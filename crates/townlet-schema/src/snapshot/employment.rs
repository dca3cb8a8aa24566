//! Work.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::heap::{heap_of, no_heap};

/// Section `employment`: the queue of agents that leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Employment {
    /// Agents that wait for their exit.
    pub pending: Vec<String>,
    /// How many wait.
    pub pending_count: u64,
    /// Exits of this day.
    pub exits_today: u64,
    /// Exits that a day may have.
    pub daily_exit_cap: u64,
    /// Agents that may wait.
    pub queue_limit: u64,
    /// Ticks after which a waiting exit is decided.
    pub review_window: u64,
}

/// How well an agent is; each from 0 (in need) to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Needs {
    /// At 0.03 and below the agent faints.
    pub hunger: f64,
    /// Cleanliness.
    pub hygiene: f64,
    /// Rest.
    pub energy: f64,
}

/// What an agent has gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Inventory {
    /// In the town's currency.
    pub wages_earned: f64,
    /// Meals made.
    pub meals_cooked: u64,
    /// Meals eaten.
    pub meals_consumed: u64,
}

/// Entry of section `jobs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Job {
    /// `grocer`, `barista`, …; none for an agent without work.
    pub job_id: Option<Name>,
    /// True while a shift runs.
    pub on_shift: bool,
    /// `idle`, `pre_shift`, `await_start`, `on_time`, `late`, `absent`, `post_shift`.
    pub shift_state: Name,
    /// In the town's currency.
    pub wallet: f64,
    /// Late shifts so far.
    pub lateness_counter: u64,
    /// Share of shifts attended, 0 to 1.
    pub attendance_ratio: f64,
    /// Ticks late on this day.
    pub late_ticks_today: u64,
    /// Shifts missed in seven days.
    pub absent_shifts_7d: u64,
    /// Wages held back, in the town's currency.
    pub wages_withheld: f64,
    /// True while an exit waits for a decision.
    pub exit_pending: bool,
    /// Price of a meal with all its parts, in the town's currency.
    pub basket_cost: f64,
    /// How the agent is.
    pub needs: Needs,
    /// What it has gathered.
    pub inventory: Inventory,
}

no_heap!(Needs, Inventory);
heap_of!(Employment { pending } Job { job_id, shift_state });
