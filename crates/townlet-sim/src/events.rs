//! World events: what happened in one tick, by index, without a string.
//!
//! The names and fields on the wire are made in `payload`; here an event costs a few words, because a town of ten
//! thousand agents makes thousands of them in a tick and most hosts look at none.

use crate::affordances::Affordance;
use crate::economy::Price;
use crate::employment::Job;
use crate::perturbations::Booking;
use crate::town::{AgentRef, Cell, ObjectId};

/// Something that happened in the town. [`TownEvent::name`] is its name on the wire.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields carry the names that they have on the wire")]
pub enum TownEvent {
    /// An agent asked for a fixture.
    ActionRequest { agent: AgentRef, object: ObjectId, affordance: Affordance, blocked: bool },
    /// An agent walked one cell.
    ActionMove { agent: AgentRef, position: Cell },
    /// An agent began what it asked for.
    ActionStart { agent: AgentRef, object: ObjectId, affordance: Affordance, duration: u64 },
    /// An agent did nothing; `pending` when it waits in a queue. Users of a fixture and workers say nothing.
    ActionNoop { agent: AgentRef, pending: bool },
    /// An agent left a fixture or its queue.
    ActionRelease { agent: AgentRef, object: ObjectId, success: bool },
    /// A use of a fixture began.
    AffordanceStart { agent: AgentRef, object: ObjectId, affordance: Affordance, duration: u64 },
    /// A use of a fixture ended and took effect.
    AffordanceFinish { agent: AgentRef, object: ObjectId, affordance: Affordance },
    /// A use of a fixture was refused or broken off.
    AffordanceFail { agent: AgentRef, object: ObjectId, affordance: Affordance, reason: FailReason },
    /// A condition of an affordance did not hold; an `AffordanceFail` follows.
    AffordancePreconditionFail { agent: AgentRef, object: ObjectId, affordance: Affordance, condition: Condition },
    /// An agent is clean again.
    ShowerComplete { agent: AgentRef, object: ObjectId },
    /// An agent is rested again.
    SleepComplete { agent: AgentRef, object: ObjectId },
    /// A shower in use lost its power.
    ShowerPowerOutage { object: ObjectId },
    /// Agents ate at the same fridge at the same time.
    SharedMeal { agents: Vec<AgentRef>, object: ObjectId },
    /// Two agents clashed over a fixture.
    QueueConflict(Clash),
    /// A fixture passed from one agent to the next.
    QueueHandover(Clash),
    /// A chat went well.
    ChatSuccess(Chat),
    /// A chat went badly.
    ChatFailure(Chat),
    /// An agent reconsidered a request because of a rival.
    GuardrailRequest { agent: AgentRef, object: ObjectId, target: AgentRef },
    /// An agent gave up a request because of a rival.
    GuardrailBlock { agent: AgentRef, object: ObjectId, target: AgentRef },
    /// An agent came to work after the grace period.
    ShiftLateStart { agent: AgentRef, job: Job, ticks_late: u64 },
    /// An agent missed a shift.
    ShiftAbsent { agent: AgentRef, job: Job },
    /// An agent left a shift before its end.
    ShiftDepartedEarly { agent: AgentRef, job: Job },
    /// Coworkers covered for a late agent.
    HelpedWhenLate { agent: AgentRef, coworkers: Vec<AgentRef> },
    /// Coworkers took the shift of an absent agent.
    TookMyShift { agent: AgentRef, coworkers: Vec<AgentRef> },
    /// An agent waits for its exit to be reviewed.
    ExitPending { agent: AgentRef, pending_count: u32, reason: ExitReason },
    /// An exit was put off.
    ExitDeferred { agent: AgentRef, pending_count: u32, reason: ExitReason },
    /// An operator asked for an exit.
    ExitManualRequest { agent: AgentRef, pending_count: u32 },
    /// An exit was carried out.
    ExitProcessed { agent: AgentRef, pending_count: u32, reason: ExitReason },
    /// The exit queue was full.
    ExitQueueOverflow { agent: AgentRef, pending_count: u32, limit: u32 },
    /// A fixture got new stock.
    StockReplenish { object: ObjectId, what: Stock, amount: u32 },
    /// A price changed.
    PriceUpdate { price: Price, value: f64 },
    /// A perturbation began.
    PerturbationStarted(Booking),
    /// A perturbation ran out.
    PerturbationEnded(Booking),
    /// A perturbation was called off; `pending` when it had not begun.
    PerturbationCancelled { booking: Booking, pending: bool },
    /// What a perturbation did when it began; the name follows its kind.
    PerturbationEffect(Booking),
    /// The agents of an arranged meeting were brought to its place.
    MeetRelocated { booking: Booking, location: Cell, targets: Vec<AgentRef> },
    /// An agent exists from the start.
    AgentSpawned { agent: AgentRef, position: Cell },
    /// An agent was moved without walking.
    AgentTeleported { agent: AgentRef, position: Cell },
    /// An agent's life ended.
    AgentRemoved { agent: AgentRef, reason: RemovalReason },
    /// An operator ended an agent's life; an `AgentRemoved` goes with it.
    AgentKilled { agent: AgentRef },
    /// A household's next life began.
    AgentRespawn { agent: AgentRef, original: AgentRef, position: Cell },
    /// An agent was sent home for the night.
    AgentNightlyReset { agent: AgentRef, moved: bool, home: Cell },
}

/// A clash or handover between two agents at a fixture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clash {
    /// Where.
    pub object: ObjectId,
    /// Who asked or received.
    pub actor: AgentRef,
    /// Who was in the way or gave.
    pub rival: AgentRef,
    /// Why.
    pub reason: ClashReason,
    /// Agents that waited, `actor` included.
    pub queue_length: u32,
    /// How hard, `0.1..=5`.
    pub intensity: f64,
}

/// One conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chat {
    /// Who began.
    pub speaker: AgentRef,
    /// Who was spoken to.
    pub listener: AgentRef,
    /// How well it went, `0..=1`.
    pub quality: f64,
}

/// Has one name on the wire.
pub(crate) trait Named: Copy {
    fn wire_name(self) -> &'static str;
}

/// Defines an enum whose variants have one name each on the wire.
macro_rules! named {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        $vis enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The name on the wire.
            $vis fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl $crate::events::Named for $name {
            fn wire_name(self) -> &'static str {
                self.name()
            }
        }
    };
}
pub(crate) use named;

named! {
    /// Why two agents clashed.
    pub ClashReason {
        /// Three blocked attempts: the agent was passed over.
        GhostStep = "ghost_step",
        /// The agent joined a queue that others were in.
        Contested = "contested",
        /// The fixture passed from one to the next.
        Handover = "handover",
    }
}

named! {
    /// Why a use of a fixture failed.
    pub FailReason {
        /// The wallet does not cover the price.
        InsufficientFunds = "insufficient_funds",
        /// The power is off.
        PowerOff = "power_off",
        /// The water is off.
        WaterOff = "water_off",
        /// The fridge is empty.
        NoMeals = "no_meals",
        /// Nothing is left to cook.
        NoIngredients = "no_ingredients",
        /// The agent was taken away.
        Interrupted = "interrupted",
    }
}

named! {
    /// A condition that an affordance needs.
    pub Condition {
        /// `power_on` is 1.
        PowerOn = "power_on",
        /// `water_on` is 1.
        WaterOn = "water_on",
        /// The fridge holds a meal.
        Meals = "meals",
        /// The stove holds ingredients.
        RawIngredients = "raw_ingredients",
    }
}

named! {
    /// Why an exit came, was put off or was carried out.
    pub ExitReason {
        /// Three missed shifts in seven days.
        Absences = "absences",
        /// The agent gave notice after wages were withheld.
        Resignation = "resignation",
        /// An operator asked for it.
        ManualRequest = "manual_request",
        /// An operator approved it.
        ManualApprove = "manual_approve",
        /// An operator put it off.
        ManualDefer = "manual_defer",
        /// It had waited for the whole review window.
        AutoReview = "auto_review",
        /// Today's exits are used up.
        DailyCap = "daily_cap",
    }
}

named! {
    /// What ended a life.
    pub RemovalReason {
        /// Hunger at or below [`FAINT_HUNGER`](crate::FAINT_HUNGER).
        Faint = "faint",
        /// Its employment exit was carried out.
        EmploymentExit = "employment_exit",
        /// An operator.
        Killed = "killed",
    }
}

named! {
    /// Stock that is refilled.
    pub Stock {
        /// What the fridge feeds with.
        Meals = "meals",
        /// What the stove cooks.
        RawIngredients = "raw_ingredients",
    }
}

impl TownEvent {
    /// The name on the wire (`event`).
    pub fn name(&self) -> &'static str {
        match self {
            Self::ActionRequest { .. } => "action.request",
            Self::ActionMove { .. } => "action.move",
            Self::ActionStart { .. } => "action.start",
            Self::ActionNoop { .. } => "action.noop",
            Self::ActionRelease { .. } => "action.release",
            Self::AffordanceStart { .. } => "affordance_start",
            Self::AffordanceFinish { .. } => "affordance_finish",
            Self::AffordanceFail { .. } => "affordance_fail",
            Self::AffordancePreconditionFail { .. } => "affordance_precondition_fail",
            Self::ShowerComplete { .. } => "shower_complete",
            Self::SleepComplete { .. } => "sleep_complete",
            Self::ShowerPowerOutage { .. } => "shower_power_outage",
            Self::SharedMeal { .. } => "shared_meal",
            Self::QueueConflict(_) => "queue_conflict",
            Self::QueueHandover(_) => "queue_interaction",
            Self::ChatSuccess(_) => "chat_success",
            Self::ChatFailure(_) => "chat_failure",
            Self::GuardrailRequest { .. } => "policy.guardrail.request",
            Self::GuardrailBlock { .. } => "policy.guardrail.block",
            Self::ShiftLateStart { .. } => "shift_late_start",
            Self::ShiftAbsent { .. } => "shift_absent",
            Self::ShiftDepartedEarly { .. } => "shift_departed_early",
            Self::HelpedWhenLate { .. } => "employment_helped_when_late",
            Self::TookMyShift { .. } => "employment_took_my_shift",
            Self::ExitPending { .. } => "employment_exit_pending",
            Self::ExitDeferred { .. } => "employment_exit_deferred",
            Self::ExitManualRequest { .. } => "employment_exit_manual_request",
            Self::ExitProcessed { .. } => "employment_exit_processed",
            Self::ExitQueueOverflow { .. } => "employment_exit_queue_overflow",
            Self::StockReplenish { .. } => "stock_replenish",
            Self::PriceUpdate { .. } => "economy_price_update",
            Self::PerturbationStarted(_) => "perturbation_started",
            Self::PerturbationEnded(_) => "perturbation_ended",
            Self::PerturbationCancelled { .. } => "perturbation_cancelled",
            Self::PerturbationEffect(booking) => booking.kind.effect_name(),
            Self::MeetRelocated { .. } => "arranged_meet_relocated",
            Self::AgentSpawned { .. } => "agent_spawned",
            Self::AgentTeleported { .. } => "agent_teleported",
            Self::AgentRemoved { .. } => "agent_removed",
            Self::AgentKilled { .. } => "agent_killed",
            Self::AgentRespawn { .. } => "agent_respawn",
            Self::AgentNightlyReset { .. } => "agent_nightly_reset",
        }
    }
}

/// Something between two agents, for the social feed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SocialEvent {
    /// A chat that went well.
    ChatSuccess(Chat),
    /// A chat that went badly.
    ChatFailure(Chat),
    /// An agent kept away from a fixture because of a rival.
    RivalryAvoidance {
        /// Who kept away.
        agent: AgentRef,
        /// From what.
        object: ObjectId,
        /// From whom.
        rival: AgentRef,
    },
}
