//! The log of a rollout: every event, and what followed. From the events alone the rest is made again.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::event::{Event, EventKind};
use crate::intent::{Intent, What};
use crate::moment::Span;
use crate::note::Note;
use crate::phase::Phase;
use crate::plan::Plan;
use crate::snapshot::hex;
use crate::state::State;

/// The version of the form.
pub const LOG_FORM: &str = "townlet-rollout/1";

/// The first line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`LOG_FORM`].
    pub log: String,
    /// The run.
    pub rollout: String,
    /// The plan's name.
    pub plan: String,
    /// SHA-256 of the plan as it was written.
    pub plan_sha256: String,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// What the engine remarked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What it asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<Intent>,
}

/// A run of a plan with its log: what a driver holds.
///
/// ```
/// # use townlet_rollout::{Event, EventKind, Moment, Recorder};
/// # fn show(plan: &townlet_rollout::Plan, text: &str) -> Result<(), townlet_rollout::ReplayError> {
/// let mut run = Recorder::new(plan, text, "r1");
/// run.take(Event::new(Moment::from_ms(1), EventKind::Clock));
/// let log = run.to_jsonl();
/// assert_eq!(Recorder::replay(plan, text, &log)?.to_jsonl(), log);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recorder<'p> {
    plan: &'p Plan,
    head: Head,
    state: Option<State>,
    entries: Vec<Entry>,
    keep: bool,
}

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is no first line, or it is not one.
    #[error("line 1 is not the head of a rollout log: {0}")]
    Head(String),
    /// It was written by another plan.
    #[error("the log is of plan {log}, this is plan {plan} (SHA-256 of the files); replay it with the plan it ran")]
    OtherPlan {
        /// The log's.
        log: String,
        /// This one's.
        plan: String,
    },
    /// A line is not an entry.
    #[error("line {line} is not an entry of a rollout log: {why}")]
    Line {
        /// From 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// The engine decides something else.
    #[error("line {line} differs from what the engine does with this event: the log was changed, or the engine was")]
    Differs {
        /// From 1.
        line: usize,
    },
}

impl<'p> Recorder<'p> {
    /// A run that has not begun. `text` is the plan as it was written, for its digest.
    #[must_use]
    pub fn new(plan: &'p Plan, text: &str, rollout: &str) -> Self {
        let head = Head {
            log: LOG_FORM.into(),
            rollout: rollout.into(),
            plan: plan.name.clone(),
            plan_sha256: hex(text.as_bytes()),
        };
        Self { plan, head, state: Some(State::new(plan, rollout)), entries: Vec::new(), keep: true }
    }

    /// The same without a log, for many runs in a row.
    #[must_use]
    pub fn forgetful(plan: &'p Plan, rollout: &str) -> Self {
        Self { keep: false, ..Self::new(plan, "", rollout) }
    }

    /// Takes an event; returns what follows.
    pub fn take(&mut self, event: Event) -> (Vec<Intent>, Vec<Note>) {
        let Some(state) = self.state.take() else { return (Vec::new(), Vec::new()) };
        let (state, effects) = crate::engine::step(self.plan, state, &event);
        self.state = Some(state);
        let (notes, intents) = (effects.notes, effects.intents);
        if self.keep {
            let n = u64::try_from(self.entries.len()).unwrap_or(u64::MAX).saturating_add(1);
            self.entries.push(Entry { n, event, notes: notes.clone(), intents: intents.clone() });
        }
        (intents, notes)
    }

    /// The state.
    ///
    /// # Panics
    /// Never: the state is only away within [`take`](Self::take).
    #[must_use]
    pub fn state(&self) -> &State {
        #[expect(clippy::expect_used, reason = "the state is taken and put back in `take`, which no panic leaves")]
        self.state.as_ref().expect("the state is there between events")
    }

    /// The lines so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The log as JSON lines.
    #[must_use]
    pub fn to_jsonl(&self) -> String {
        let mut out = json(&self.head) + "\n";
        for entry in &self.entries {
            out.push_str(&json(entry));
            out.push('\n');
        }
        out
    }

    /// Runs the events of a log again, and holds what follows against what it says.
    ///
    /// # Errors
    /// The first line that is not as it must be.
    pub fn replay(plan: &'p Plan, text: &str, log: &str) -> Result<Self, ReplayError> {
        // By `\n` alone, and with one at the end: a log is bytes, and every one of them counts.
        let mut lines =
            log.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or("a line that is cut off"));
        let first = lines.next().unwrap_or_default();
        let head: Head = serde_json::from_str(first).map_err(|error| ReplayError::Head(error.to_string()))?;
        if head.log != LOG_FORM {
            return Err(ReplayError::Head(format!("its form is `{}`, this program reads `{LOG_FORM}`", head.log)));
        }
        if json(&head) != first {
            return Err(ReplayError::Differs { line: 1 });
        }
        let mut run = Self::new(plan, text, &head.rollout);
        if run.head != head {
            return Err(ReplayError::OtherPlan { log: head.plan_sha256, plan: run.head.plan_sha256 });
        }
        for (index, line) in lines.enumerate() {
            let line_number = index + 2;
            let entry: Entry = serde_json::from_str(line)
                .map_err(|error| ReplayError::Line { line: line_number, why: error.to_string() })?;
            run.take(entry.event);
            if run.entries.last().is_none_or(|made| json(made) != line) {
                return Err(ReplayError::Differs { line: line_number });
            }
        }
        Ok(run)
    }

    /// The log for people: what happened beside the ordinary windows, with the time since go.
    #[must_use]
    pub fn to_text(&self) -> String {
        let start = self.entries.iter().find(|entry| starts(entry)).map(|entry| entry.event.at);
        let mut out = String::new();
        for entry in &self.entries {
            let quiet = matches!(entry.event.kind, EventKind::Tick(_) | EventKind::Clock);
            if quiet && entry.notes.is_empty() && entry.intents.is_empty() {
                continue;
            }
            let at = match start {
                Some(start) if entry.event.at >= start => format!("T+{}", Span(entry.event.at.since(start))),
                Some(start) => format!("T-{}", Span(start.since(entry.event.at))),
                None => format!("{} ms", entry.event.at.as_ms()),
            };
            let _ = writeln!(out, "{at}  {}", line(&entry.event.kind));
            for note in &entry.notes {
                let _ = writeln!(out, "    {note}");
            }
            for intent in &entry.intents {
                let _ = writeln!(out, "    {}", ask(intent));
            }
        }
        out
    }
}

/// The entry with which the rollout leaves `Ready` for the flag.
fn starts(entry: &Entry) -> bool {
    let first = Phase::Enabling { step: 0 }.to_string();
    entry.notes.iter().any(|note| matches!(note, Note::Entered { phase } if *phase == first))
}

fn line(kind: &EventKind) -> String {
    match kind {
        EventKind::Tick(tick) if tick.lossy => "window (samples lost)".into(),
        EventKind::Tick(_) => "window".into(),
        EventKind::Clock => "clock".into(),
        EventKind::Answered { id, answer } => {
            let text = json(answer);
            // The baseline is as long as a day.
            let text =
                if text.len() > 160 { format!("{}…", text.chars().take(159).collect::<String>()) } else { text };
            format!("answer {}: {text}", id.0)
        }
        EventKind::Asked { actor, command, reason } if reason.is_empty() => format!("{actor}: {command:?}"),
        EventKind::Asked { actor, command, reason } => format!("{actor}: {command:?} ({reason})"),
        EventKind::Signed { actor, role, .. } => format!("{actor} signs for {role}"),
        EventKind::Resumed => "driver started anew".into(),
    }
}

fn ask(intent: &Intent) -> String {
    let what = match &intent.what {
        What::Check { check } => format!("check {check:?}"),
        What::SetFlag { key, percent } => format!("set flag {key} to {percent} %"),
        What::Restart { service } => format!("restart {service}"),
        What::Observe { of } => format!("look whether intent {} is in effect", of.0),
        What::Store { checkpoint, .. } => format!("store snapshot {checkpoint}"),
        What::AskSignOff { role, .. } => format!("ask {role} to sign"),
        What::Notify { text } => format!("notify: {text}"),
        What::Page { text } => format!("PAGE: {text}"),
    };
    let again = if intent.attempt > 1 { format!(", attempt {}", intent.attempt) } else { String::new() };
    let within = if intent.what.awaited() {
        format!(", within {}", Span(intent.deadline.since(intent.issued)))
    } else {
        String::new()
    };
    format!("[{}] {what}{within}{again}", intent.id.0)
}

/// A value of ours as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "our types have text keys, and floats that are not finite become null")]
    serde_json::to_string(value).expect("our own types serialise")
}
