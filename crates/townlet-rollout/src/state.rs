//! The state of a rollout.

use std::collections::{BTreeMap, VecDeque};

use crate::intent::{Check, Finding, Intent, IntentId};
use crate::judge::Judge;
use crate::moment::Moment;
use crate::note::Note;
use crate::phase::{Cause, HoldReason, PauseReason, Phase};
use crate::plan::Plan;
use crate::reference::{Baselines, References};
use crate::snapshot::Row;
use crate::verdict::Verdict;

/// Everything that a rollout is. It is made by [`State::new`] and by
/// [`step`](crate::step) only; a log of events makes it again.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) rollout: String,
    pub(crate) phase: Phase,
    pub(crate) stage: Stage,
    pub(crate) hold: Option<(HoldReason, Moment)>,
    pub(crate) pause: Option<(PauseReason, Moment)>,
    pub(crate) now: Moment,
    /// When the last phase began.
    pub(crate) entered: Moment,
    pub(crate) started: Option<Moment>,
    pub(crate) exposed: Option<Moment>,
    /// The end of the window that is expected next.
    pub(crate) next_due: Option<Moment>,
    pub(crate) overdue_noted: bool,
    /// The end of the last window that was judged.
    pub(crate) judged: Option<Moment>,
    pub(crate) judge: Judge,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) references: References,
    pub(crate) baselines: Baselines,
    pub(crate) findings: BTreeMap<Check, Result<Finding, String>>,
    pub(crate) open: BTreeMap<IntentId, Open>,
    pub(crate) next_intent: u64,
    pub(crate) last_seen: Vec<Option<Moment>>,
    pub(crate) recent: VecDeque<Seen>,
    pub(crate) rows: Vec<Row>,
    pub(crate) signatures: BTreeMap<String, String>,
    pub(crate) undoing: Option<Undoing>,
    /// When silence would change something.
    pub(crate) deadline: Option<Moment>,
}

/// One window: what was measured and what was expected, signal by signal.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) due: Moment,
    pub(crate) values: Vec<Option<f64>>,
    pub(crate) expected: Vec<Option<f64>>,
}

/// How far the current phase has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its intent has not been asked for.
    Todo,
    /// It waits for that intent.
    Asked(IntentId),
    /// The intent is in effect since then.
    Done(Moment),
    /// The rules must hold until then.
    Soaking(Moment),
}

/// An intent without a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Open {
    pub(crate) intent: Intent,
    /// How many looks have been asked for that shall settle it; the result itself still counts while one is out.
    pub(crate) looks: u32,
}

/// A rollback under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Undoing {
    pub(crate) cause: Cause,
    pub(crate) since: Moment,
    /// Steps that failed.
    pub(crate) failed: Vec<String>,
    /// The steps were over then.
    pub(crate) acted: Option<Moment>,
    /// Good windows in a row.
    pub(crate) good: u32,
}

/// What follows from one event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// To be done, in this order.
    pub intents: Vec<Intent>,
    /// To be kept.
    pub notes: Vec<Note>,
}

impl State {
    /// A rollout that has not begun. `rollout` names this run of the plan, and never another one.
    #[must_use]
    pub fn new(plan: &Plan, rollout: impl Into<String>) -> Self {
        Self {
            rollout: rollout.into(),
            phase: Phase::Draft,
            stage: Stage::Todo,
            hold: None,
            pause: None,
            now: Moment::default(),
            entered: Moment::default(),
            started: None,
            exposed: None,
            next_due: None,
            overdue_noted: false,
            judged: None,
            judge: Judge::default(),
            verdicts: vec![Verdict::Unknown; plan.rules.len()],
            references: References::default(),
            baselines: Baselines::default(),
            findings: BTreeMap::new(),
            open: BTreeMap::new(),
            next_intent: 1,
            last_seen: vec![None; plan.signals.len()],
            recent: VecDeque::new(),
            rows: Vec::new(),
            signatures: BTreeMap::new(),
            undoing: None,
            deadline: None,
        }
    }

    /// The name of this run.
    #[must_use]
    pub fn rollout(&self) -> &str {
        &self.rollout
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let mut phase = self.phase.clone();
        if let Some((reason, since)) = self.hold {
            phase = Phase::Holding { reason, since, within: Box::new(phase) };
        }
        if let Some((reason, since)) = self.pause {
            phase = Phase::Paused { reason, since, within: Box::new(phase) };
        }
        phase
    }

    /// The latest moment that it was told of.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.now
    }

    /// When somebody said go.
    #[must_use]
    pub fn started(&self) -> Option<Moment> {
        self.started
    }

    /// When the last step was in effect; checkpoints are counted from here.
    #[must_use]
    pub fn exposed(&self) -> Option<Moment> {
        self.exposed
    }

    /// The end of the window that it waits for, while it waits for any.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        self.next_due
    }

    /// What each rule of the plan said of the last window.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// What each signal was before.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.references
    }

    /// The rows of the snapshots so far.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Why it is being undone, or was.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.undoing.as_ref().map(|undoing| &undoing.cause)
    }

    /// The intents that it waits for, in order. After a restart of the driver these are the ones in doubt.
    pub fn open_intents(&self) -> impl Iterator<Item = &Intent> {
        self.open.values().map(|open| &open.intent)
    }

    /// When the driver must send an event at the latest, [`EventKind::Clock`](crate::EventKind::Clock) if nothing else
    /// happens: so that an intent without a result, a window that does not come, and the end of a hold, of a pause and of
    /// a rollback are noticed. `None` where nothing but somebody's word is waited for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.deadline
    }
}
