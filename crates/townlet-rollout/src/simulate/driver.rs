//! A driver whose world obeys, in a time of its own.

use std::time::Duration;

use crate::event::{Command, Event, EventKind, Tick};
use crate::intent::{Answer, Check, Finding, Intent, What};
use crate::log::Recorder;
use crate::moment::Moment;
use crate::phase::Phase;
use crate::plan::Plan;
use crate::reference::References;

/// Where the windows come from.
pub trait Source {
    /// The window that ends at `due`, in which `share` percent of the traffic get the change.
    fn window(&mut self, due: Moment, share: u8) -> Tick;
}

const CHECK: Duration = Duration::from_secs(1);
const FLAG: Duration = Duration::from_secs(2);
const RESTART: Duration = Duration::from_secs(30);
/// People look at the snapshots before they sign.
const SIGN: Duration = Duration::from_mins(5);

/// One run of a plan. Every actuator obeys within its time, and everybody signs.
pub struct Simulation<'p, S> {
    plan: &'p Plan,
    run: Recorder<'p>,
    references: References,
    source: S,
    /// What is to come, in order of time.
    coming: Vec<(Moment, EventKind)>,
    flag: u8,
    /// What the services have taken of the flag.
    share: u8,
}

impl<'p, S: Source> Simulation<'p, S> {
    /// A run that is submitted at `start`. `references` is what the preflight finds of the metrics.
    pub fn new(plan: &'p Plan, run: Recorder<'p>, references: References, source: S, start: Moment) -> Self {
        let submit = EventKind::Asked { actor: "simulator".into(), command: Command::Submit, reason: String::new() };
        Self { plan, run, references, source, coming: vec![(start, submit)], flag: 0, share: 0 }
    }

    /// Runs it to its end, or to where it cannot go on: a preflight that says no.
    pub fn run(mut self) -> Recorder<'p> {
        while !self.run.state().phase().is_final() && self.step() {}
        self.run
    }

    /// The next event; whether there was one.
    pub fn step(&mut self) -> bool {
        let due = self.run.state().next_due();
        let at = self.coming.first().map(|(at, _)| *at);
        let event = match (at, due) {
            (Some(at), due) if due.is_none_or(|due| at <= due) => {
                let (at, kind) = self.coming.remove(0);
                self.happens(&kind);
                Event::new(at.max(self.run.state().now()), kind)
            }
            (_, Some(due)) => Event::new(due, EventKind::Tick(self.source.window(due, self.share))),
            (_, None) => return false,
        };
        let now = event.at;
        let (intents, _) = self.run.take(event);
        for intent in &intents {
            self.answer(intent, now);
        }
        if self.run.state().phase() == Phase::Ready && self.coming.is_empty() {
            let go = EventKind::Asked { actor: "simulator".into(), command: Command::Go, reason: String::new() };
            self.comes(now + CHECK, go);
        }
        true
    }

    /// The run so far.
    pub fn recorder(&self) -> &Recorder<'p> {
        &self.run
    }

    fn comes(&mut self, at: Moment, kind: EventKind) {
        let after = self.coming.partition_point(|(earlier, _)| *earlier <= at);
        self.coming.insert(after, (at, kind));
    }

    /// What an answer says has been done by then.
    fn happens(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Answered { answer: Answer::FlagReads { percent, .. }, .. } => {
                self.flag = *percent;
                // A service that has taken the flag follows it upwards; what it has switched on, a restart switches off.
                if *percent > 0 && self.share > 0 || self.plan.services.is_empty() {
                    self.share = *percent;
                }
            }
            EventKind::Answered { answer: Answer::Restarted { .. }, .. } => self.share = self.flag,
            _ => {}
        }
    }

    fn answer(&mut self, intent: &Intent, now: Moment) {
        let (after, answer) = match &intent.what {
            What::Check { check } => (CHECK, Answer::Found { finding: self.finding(*check, now) }),
            What::SetFlag { percent, .. } => (FLAG, Answer::FlagReads { percent: *percent, restarts: 0 }),
            What::Restart { .. } => (RESTART, Answer::Restarted { ready: 3, wanted: 3 }),
            What::Observe { .. } => (CHECK, Answer::InEffect),
            What::AskSignOff { role, digest } => {
                let (role, digest) = (role.clone(), digest.clone());
                return self.comes(now + SIGN, EventKind::Signed { actor: format!("{role} on duty"), role, digest });
            }
            _ => return,
        };
        self.comes(now + after, EventKind::Answered { id: intent.id, answer });
    }

    fn finding(&self, check: Check, now: Moment) -> Finding {
        match check {
            Check::Flag => Finding::Flag { percent: Some(self.flag) },
            Check::Capacity => {
                let limits = self.plan.preflight;
                let used = |below: f64| Some(below * 0.9);
                Finding::Capacity {
                    cpu: used(limits.cpu_below),
                    memory: used(limits.memory_below),
                    disk: used(limits.disk_below),
                }
            }
            Check::Rehearsal => {
                let took = self.plan.rollback.total / 2;
                let rehearsed = now.before(self.plan.preflight.rehearsal_max_age / 2);
                Finding::Rehearsal { rehearsed_ms: Some(rehearsed), took_ms: crate::moment::ms(took) }
            }
            Check::Baseline => Finding::Baseline { references: self.references.clone() },
            Check::OtherRollouts => Finding::OtherRollouts { names: Vec::new() },
            Check::Incidents => Finding::Incidents { names: Vec::new() },
        }
    }
}
