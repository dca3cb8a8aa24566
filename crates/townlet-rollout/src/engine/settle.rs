//! Intents and their results.
//!
//! An intent that changes something is never repeated because its result is
//! missing. It is looked at first: in effect, it counts as done; not in effect,
//! it is tried again, as often as the plan allows; and where nobody can tell,
//! it is given up.

use crate::intent::{Answer, IntentId, What};
use crate::note::Note;
use crate::phase::{Cause, PauseReason, Phase};
use crate::state::Stage;

use super::Turn;

impl Turn<'_> {
    pub(super) fn answered(&mut self, id: IntentId, answer: &Answer) {
        let Some(open) = self.state.open.get(&id) else {
            return self.note(Note::AnswerIgnored { id });
        };
        let undoing = matches!(self.state.phase, Phase::RollingBack { .. });
        match (open.intent.what.clone(), answer) {
            (What::Observe { of }, answer) => {
                self.state.open.remove(&id);
                self.looked_at(of, answer);
            }
            (What::Check { check }, Answer::Found { finding }) if finding.answers() == check => {
                self.state.open.remove(&id);
                self.state.findings.insert(check, Ok(finding.clone()));
            }
            (What::Check { .. }, Answer::Failed { reason }) => self.give_up(id, reason),
            (What::Check { .. }, _) => self.give_up(id, "the answer is not one to this check"),
            (What::SetFlag { .. }, Answer::FlagReads { restarts, .. }) if *restarts > 0 && !undoing => {
                self.give_up(id, "instances restarted at the change of a flag");
            }
            (What::SetFlag { percent, .. }, Answer::FlagReads { percent: reads, .. }) => {
                if percent == *reads {
                    self.settled(id);
                } else {
                    self.again(id, &format!("the flag reads {reads} % and should read {percent} %"));
                }
            }
            (What::Restart { .. }, Answer::Restarted { ready, wanted }) => {
                if ready >= wanted && *wanted > 0 {
                    self.settled(id);
                } else {
                    self.unsettled(id, &format!("{ready} of {wanted} instances are ready"));
                }
            }
            (_, Answer::InEffect) => self.settled(id),
            (_, Answer::NotInEffect) => self.again(id, "not in effect"),
            (_, Answer::Failed { reason }) => self.unsettled(id, reason),
            // Done by its own word alone: read it back.
            (_, _) => self.unsettled(id, "it was not read back"),
        }
    }

    fn looked_at(&mut self, of: IntentId, answer: &Answer) {
        if !self.state.open.contains_key(&of) {
            return;
        }
        match answer {
            Answer::InEffect => self.settled(of),
            Answer::NotInEffect => self.again(of, "it is not in effect"),
            Answer::Failed { reason } => self.unsettled(of, reason),
            _ => self.unsettled(of, "the look gave no answer"),
        }
    }

    /// No result, or none to rely on: look, as often as the plan allows.
    pub(super) fn unsettled(&mut self, id: IntentId, why: &str) {
        let limits = self.plan.limits;
        let Some(open) = self.state.open.get_mut(&id) else { return };
        if let What::Observe { of } = open.intent.what {
            self.state.open.remove(&id);
            return self.unsettled(of, "the look gave no answer in time");
        }
        if !open.intent.what.acts() || open.looks >= limits.attempts {
            return self.give_up(id, why);
        }
        open.looks += 1;
        // The look is what waits now: its own deadline counts.
        open.intent.deadline = self.state.now + limits.look_within + limits.look_within;
        self.note(Note::Unsettled { id, why: why.into() });
        self.close_looks(id);
        self.ask(What::Observe { of: id }, limits.look_within);
    }

    /// Not in effect: try again, under a new id, as often as the plan allows.
    fn again(&mut self, id: IntentId, why: &str) {
        let Some(open) = self.state.open.get(&id) else { return };
        let intent = open.intent.clone();
        if intent.attempt >= self.plan.limits.attempts {
            return self.give_up(id, why);
        }
        self.note(Note::Unsettled { id, why: why.into() });
        self.close(id);
        let within = self.time_for(&intent.what);
        let next = self.ask_again(intent.what, within, intent.attempt.saturating_add(1));
        if self.state.stage == Stage::Asked(id) {
            self.state.stage = Stage::Asked(next);
        }
    }

    fn settled(&mut self, id: IntentId) {
        self.close(id);
        if self.state.stage == Stage::Asked(id) {
            self.state.stage = Stage::Done(self.state.now);
        }
    }

    pub(super) fn give_up(&mut self, id: IntentId, why: &str) {
        let Some(open) = self.state.open.get(&id) else { return };
        let what = open.intent.what.clone();
        self.close(id);
        self.note(Note::GaveUp { id, why: why.into() });
        match (&self.state.phase, what) {
            (Phase::Preflight, What::Check { check }) => {
                self.state.findings.insert(check, Err(why.into()));
            }
            (Phase::RollingBack { step }, what) => self.undo_failed(*step, &what, why),
            (phase, _) if phase.is_live() => self.roll_back(Cause::Step { id, reason: why.into() }),
            _ => {}
        }
    }

    /// Closes an intent and the looks at it.
    fn close(&mut self, id: IntentId) {
        self.state.open.remove(&id);
        self.close_looks(id);
    }

    fn close_looks(&mut self, id: IntentId) {
        self.state.open.retain(|_, open| !matches!(open.intent.what, What::Observe { of } if of == id));
    }

    /// How long the plan gives to an intent that acts.
    pub(super) fn time_for(&self, what: &What) -> std::time::Duration {
        if let Phase::RollingBack { step } = self.state.phase
            && let Some(step) = self.plan.rollback.steps.get(step)
        {
            return step.within;
        }
        match what {
            What::SetFlag { .. } => self.plan.limits.flag_within,
            What::Restart { service } => self
                .plan
                .services
                .iter()
                .find(|known| known.name == *service)
                .map_or(self.plan.limits.look_within, |known| known.ready_within),
            _ => self.plan.limits.look_within,
        }
    }

    /// The driver is new: what it had in hand is in doubt.
    pub(super) fn resumed(&mut self) {
        let doubtful: Vec<(IntentId, bool)> =
            self.state.open.iter().map(|(id, open)| (*id, open.intent.what.acts())).collect();
        if self.state.phase.is_live() {
            self.pause(PauseReason::Resumed);
        }
        for (id, acts) in doubtful {
            if acts {
                self.unsettled(id, "the driver started anew");
            } else if let Some(open) = self.state.open.remove(&id)
                && let What::Check { .. } = open.intent.what
            {
                // A check changes nothing and may be asked again as it was.
                self.ask(open.intent.what, self.plan.preflight.answer_within);
            }
        }
        if self.state.phase == Phase::SignOff {
            // Nobody may have been asked, and to be asked twice does no harm.
            self.ask_who_has_not_signed();
        }
    }
}
