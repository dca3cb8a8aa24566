//! One event in, the next state and its effects out.

mod forward;
mod preflight;
mod settle;
mod signing;
mod undo;
mod windows;

use std::time::Duration;

use crate::event::{Command, Event, EventKind};
use crate::intent::{Intent, IntentId, What};
use crate::moment::{Moment, ms};
use crate::note::Note;
use crate::phase::{Cause, HoldReason, PauseReason, Phase};
use crate::plan::Plan;
use crate::state::{Effects, Open, Stage, State};

/// The next state of a rollout, and what follows from the event.
///
/// Pure: equal arguments give equal results, to the byte of the log. The plan
/// must be the same for all events of a rollout, and without
/// [`problems`](Plan::problems); with one that has some, nothing is started.
#[must_use]
pub fn step(plan: &Plan, state: State, event: &Event) -> (State, Effects) {
    let mut turn = Turn { plan, state, effects: Effects::default() };
    turn.take(event);
    turn.state.deadline = turn.next_deadline();
    (turn.state, turn.effects)
}

/// One call of [`step`].
struct Turn<'p> {
    plan: &'p Plan,
    state: State,
    effects: Effects,
}

impl Turn<'_> {
    fn take(&mut self, event: &Event) {
        self.clock(event.at);
        if self.state.phase.is_final() {
            return self.after_the_end(&event.kind);
        }
        match &event.kind {
            EventKind::Tick(tick) => self.tick(tick),
            EventKind::Clock => {}
            EventKind::Answered { id, answer } => self.answered(*id, answer),
            EventKind::Asked { actor, command, reason } => self.asked(actor, *command, reason),
            EventKind::Signed { actor, role, digest } => self.signed(actor, role, digest),
            EventKind::Resumed => self.resumed(),
        }
        self.deadlines();
        self.advance();
    }

    fn after_the_end(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Answered { id, .. } => self.note(Note::AnswerIgnored { id: *id }),
            EventKind::Asked { .. } | EventKind::Signed { .. } => {
                self.refuse(format!("the rollout has ended: {}", self.state.phase));
            }
            // The driver may have died before it paged: twice is better than never.
            EventKind::Resumed if self.state.phase == Phase::RollbackFailed => {
                self.page(format!("{}: ROLLBACK FAILED: the driver started anew since", self.state.rollout));
            }
            EventKind::Tick(_) | EventKind::Clock | EventKind::Resumed => {}
        }
    }

    /// The engine's time never goes back.
    fn clock(&mut self, at: Moment) {
        if at >= self.state.now {
            self.state.now = at;
            return;
        }
        let by = self.state.now.since(at);
        self.note(Note::ClockBack { by_ms: ms(by) });
        // Events that overtake each other by less than a window's lateness are no reason to stop.
        if by > self.plan.grace && self.state.phase.is_live() {
            self.pause(PauseReason::ClockWentBack);
        }
    }

    fn asked(&mut self, actor: &str, command: Command, reason: &str) {
        let phase = self.state.phase.clone();
        match (command, &phase) {
            (Command::Submit, Phase::Draft) => self.submit(),
            (Command::Go, Phase::Ready) => self.go(),
            (Command::Cancel | Command::Rollback, Phase::Draft | Phase::Preflight | Phase::Ready) => {
                self.state.open.clear();
                self.enter(Phase::Cancelled);
            }
            (Command::Rollback, phase) if phase.is_live() => {
                self.roll_back(Cause::Operator { actor: actor.into(), reason: reason.into() });
            }
            (Command::Hold, phase) if phase.is_live() => self.hold(HoldReason::Operator),
            (Command::Resume, phase) if phase.is_live() && self.state.hold.is_some() => {
                // What made it hold is still judged: it holds again where that is so.
                self.state.hold = None;
                self.remark_phase();
            }
            (command, _) => self.refuse(format!("{command:?} by {actor} does nothing in {}", self.state.phase())),
        }
    }

    /// Waiting has an end, whatever does not happen.
    fn deadlines(&mut self) {
        let now = self.state.now;
        let late: Vec<IntentId> =
            self.state.open.iter().filter(|(_, open)| open.intent.deadline < now).map(|(id, _)| *id).collect();
        for id in late {
            // Settling one may have closed the others.
            if self.state.open.contains_key(&id) {
                self.unsettled(id, "no result in time");
            }
        }
        self.overdue();
        if !self.state.phase.is_live() {
            return;
        }
        if let Some((reason, since)) = self.state.hold
            && now.since(since) > self.plan.limits.hold
        {
            self.roll_back(Cause::HeldTooLong { reason });
        } else if let Some((reason, since)) = self.state.pause
            && now.since(since) > self.plan.limits.pause
        {
            self.roll_back(Cause::PausedTooLong { reason });
        }
    }

    /// The first moment at which time alone changes something: [`deadlines`](Self::deadlines) and
    /// [`advance`](Self::advance) look for what is past.
    fn next_deadline(&self) -> Option<Moment> {
        let (state, limits) = (&self.state, &self.plan.limits);
        if state.phase.is_final() {
            return None;
        }
        let live = state.phase.is_live();
        let of = |since: Option<Moment>, limit: Duration| since.map(|since| since + limit);
        let window = state.next_due.filter(|_| live);
        let waits = [
            of(state.hold.filter(|_| live).map(|(_, since)| since), limits.hold),
            of(state.pause.filter(|_| live).map(|(_, since)| since), limits.pause),
            of(state.undoing.as_ref().map(|undoing| undoing.since), self.plan.rollback.total),
            of(window.filter(|_| !state.overdue_noted), self.plan.grace.max(self.plan.every)),
            of(window.filter(|_| state.pause.is_none()), limits.source_lost),
        ];
        let answers = state.open.values().map(|open| open.intent.deadline);
        answers.chain(waits.into_iter().flatten()).min().map(|last| last + Duration::from_millis(1))
    }

    /// Goes as far as it can.
    fn advance(&mut self) {
        // Each round goes one phase on; no plan has more than this many in a row without waiting.
        while self.advance_once() {}
    }

    fn advance_once(&mut self) -> bool {
        match self.state.phase {
            Phase::Preflight => self.advance_preflight(),
            Phase::RollingBack { step } => self.advance_rollback(step),
            _ if self.state.hold.is_some() || self.state.pause.is_some() => false,
            Phase::Enabling { step } => self.advance_enabling(step),
            Phase::Restarting { service } => self.advance_restarting(service),
            Phase::EmissionCheck => self.advance_emission(),
            Phase::Baseline => self.advance_baseline(),
            Phase::Watching { checkpoint } => self.advance_watching(checkpoint),
            Phase::SignOff => self.advance_sign_off(),
            _ => false,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.state.phase = phase;
        self.state.stage = Stage::Todo;
        self.state.entered = self.state.now;
        self.remark_phase();
    }

    fn remark_phase(&mut self) {
        let phase = self.state.phase().to_string();
        self.note(Note::Entered { phase });
    }

    fn hold(&mut self, reason: HoldReason) {
        // The first reason stands, so that its limit counts from the first minute; an operator's outranks the others.
        match self.state.hold {
            None => self.state.hold = Some((reason, self.state.now)),
            Some((HoldReason::Operator, _)) => return,
            Some((_, since)) if reason == HoldReason::Operator => self.state.hold = Some((reason, since)),
            Some(_) => return,
        }
        self.remark_phase();
    }

    fn pause(&mut self, reason: PauseReason) {
        if self.state.pause.is_none() {
            self.state.pause = Some((reason, self.state.now));
            self.remark_phase();
        }
    }

    fn ask(&mut self, what: What, within: Duration) -> IntentId {
        self.ask_again(what, within, 1)
    }

    fn ask_again(&mut self, what: What, within: Duration, attempt: u32) -> IntentId {
        let id = IntentId(self.state.next_intent);
        self.state.next_intent = self.state.next_intent.saturating_add(1);
        let intent = Intent { id, issued: self.state.now, deadline: self.state.now + within, attempt, what };
        if intent.what.awaited() {
            self.state.open.insert(id, Open { intent: intent.clone(), looks: 0 });
        }
        self.effects.intents.push(intent);
        id
    }

    fn notify(&mut self, text: String) {
        self.ask(What::Notify { text }, self.plan.limits.look_within);
    }

    fn page(&mut self, text: String) {
        self.ask(What::Page { text }, self.plan.limits.look_within);
    }

    fn note(&mut self, note: Note) {
        self.effects.notes.push(note);
    }

    fn refuse(&mut self, why: String) {
        self.note(Note::Refused { why });
    }
}
