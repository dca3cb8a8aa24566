//! A small plan, and a world that answers as told.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use townlet_policy::evaluate::Settings;
use townlet_policy::{Findings, Policy};
use townlet_rollout::{
    Answer, BaselineSource, Check, Checkpoint, Command, Direction, Event, EventKind, Finding, FlagStep, Intent, Limits,
    Moment, Note, Phase, Plan, Preflight, Recorder, Reference, References, Rollback, RollbackStep, Rule, Scale,
    Service, Signal, Tick, Undo, What,
};

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
/// 2025-01-22, 22:00 UTC.
pub(crate) const GO: Moment = Moment::from_ms(1_737_583_200_000);
pub(crate) const GOOD: [Option<f64>; 2] = [Some(80.0), Some(64.0)];

pub(crate) fn signal(metric: &str, statistic: &str, behind_flag: bool) -> Signal {
    Signal {
        metric: metric.into(),
        statistic: statistic.into(),
        unit: "ms".into(),
        direction: Direction::LowerIsBetter,
        behind_flag,
        required: true,
        baseline: BaselineSource::History,
        scale: Scale::Ratio,
    }
}

/// Two rules, of which the first holds and the second rolls back.
pub(crate) fn rules(slow: &str, broken: &str) -> Vec<Rule> {
    let text = format!(
        "metrics:\n  parse_duration_ms.p95: {{ unit: ms, worse: up }}\n  cpu_percent: {{ unit: ms, worse: up }}\n\
         rules:\n  - {{ id: slow, when: \"{slow}\", action: hold }}\n  \
         - {{ id: broken, when: \"{broken}\", action: rollback }}\n"
    );
    let mut found = Findings::new("rules.yaml", &text);
    let policy = Policy::read(&text, &mut found).unwrap();
    policy.rules.into_iter().map(Rule::from).collect()
}

pub(crate) fn plan() -> Plan {
    let undo = |undo, seconds| RollbackStep { undo, within: Duration::from_secs(seconds) };
    Plan {
        name: "small".into(),
        environment: "production".into(),
        flag: "parser".into(),
        steps: vec![
            FlagStep { percent: 25, soak: Duration::from_mins(10) },
            FlagStep { percent: 100, soak: Duration::ZERO },
        ],
        services: vec![Service { name: "parser-service".into(), ready_within: MINUTE }],
        signals: vec![signal("parse_duration_ms", "p95", true), signal("cpu_percent", "value", false)],
        rules: rules("parse_duration_ms.p95 > 90 for 1m", "parse_duration_ms.p95 > 160 for 1m"),
        settings: Settings { max_gap: MINUTE, ..Settings::default() },
        every: MINUTE,
        grace: Duration::from_secs(15),
        preflight: Preflight { baseline_min_samples: 10, ..Preflight::default() },
        emission_within: Duration::from_mins(3),
        observation: Duration::from_mins(5),
        checkpoints: vec![
            Checkpoint { after: Duration::from_mins(15), snapshot: false },
            Checkpoint { after: Duration::from_mins(30), snapshot: true },
        ],
        limits: Limits { hold: Duration::from_mins(20), pause: Duration::from_mins(10), ..Limits::default() },
        rollback: Rollback {
            steps: vec![undo(Undo::FlagOff, 20), undo(Undo::Restart("parser-service".into()), 60)],
            recovered: vec![1],
            band: 0.05,
            silent: vec![0],
            windows: 2,
            total: Duration::from_mins(5),
        },
        sign_off: vec!["qa".into(), "devops".into()],
    }
}

pub(crate) fn finding(check: Check, at: Moment) -> Finding {
    let first = Moment::from_ms(at.as_ms() - 59 * 60_000);
    let reference = |level| Some(Reference::new(first, MINUTE, vec![Some(level); 60], vec![]));
    match check {
        Check::Flag => Finding::Flag { percent: Some(0) },
        Check::Capacity => Finding::Capacity { cpu: Some(64.0), memory: Some(70.0), disk: Some(60.0) },
        Check::Rehearsal => Finding::Rehearsal { rehearsed_ms: Some(at), took_ms: 165_000 },
        Check::Baseline => Finding::Baseline { references: References(vec![reference(80.0), reference(64.0)]) },
        Check::OtherRollouts => Finding::OtherRollouts { names: vec![] },
        _ => Finding::Incidents { names: vec![] },
    }
}

/// A run whose driver answers every intent at once, unless a test takes that over.
pub(crate) struct World<'p> {
    pub(crate) run: Recorder<'p>,
    pub(crate) now: Moment,
    pub(crate) answers: bool,
    pub(crate) asked: Vec<Intent>,
    pub(crate) notes: Vec<Note>,
}

impl<'p> World<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        Self { run: Recorder::new(plan, "plan", "r1"), now: GO, answers: true, asked: vec![], notes: vec![] }
    }

    /// One that is just enabled.
    pub(crate) fn started(plan: &'p Plan) -> Self {
        let mut world = Self::new(plan);
        world.ask("ops", Command::Submit);
        assert_eq!(world.phase(), Phase::Ready, "{}", world.run.to_text());
        world.ask("ops", Command::Go);
        world
    }

    pub(crate) fn phase(&self) -> Phase {
        self.run.state().phase()
    }

    pub(crate) fn send(&mut self, kind: EventKind) {
        let (intents, notes) = self.run.take(Event::new(self.now, kind));
        self.notes.extend(notes);
        self.asked.extend(intents.iter().cloned());
        if self.answers {
            for intent in intents {
                if let Some(answer) = self.answer(&intent.what) {
                    self.send(EventKind::Answered { id: intent.id, answer });
                }
            }
        }
    }

    fn answer(&self, what: &What) -> Option<Answer> {
        match what {
            What::Check { check } => Some(Answer::Found { finding: finding(*check, self.now) }),
            What::SetFlag { percent, .. } => Some(Answer::FlagReads { percent: *percent, restarts: 0 }),
            What::Restart { .. } => Some(Answer::Restarted { ready: 3, wanted: 3 }),
            What::Observe { .. } => Some(Answer::InEffect),
            _ => None,
        }
    }

    pub(crate) fn ask(&mut self, actor: &str, command: Command) {
        self.send(EventKind::Asked { actor: actor.into(), command, reason: String::new() });
    }

    /// The next window, on time.
    pub(crate) fn window(&mut self, values: &[Option<f64>]) {
        let due = self.run.state().next_due().unwrap();
        self.now = self.now.max(due);
        self.tick(due, values);
    }

    pub(crate) fn tick(&mut self, due: Moment, values: &[Option<f64>]) {
        self.send(EventKind::Tick(Tick { due, values: values.to_vec(), control: vec![], lossy: false }));
    }

    pub(crate) fn good(&mut self, windows: u32) {
        for _ in 0..windows {
            self.window(&GOOD);
        }
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.send(EventKind::Clock);
    }

    pub(crate) fn sign(&mut self, actor: &str, role: &str) {
        let digest = townlet_rollout::snapshot::digest(self.run.state().rows());
        self.send(EventKind::Signed { actor: actor.into(), role: role.into(), digest });
    }

    pub(crate) fn paged(&self) -> bool {
        self.asked.iter().any(|intent| matches!(intent.what, What::Page { .. }))
    }

    /// Windows after a rollback: what is behind the flag is silent.
    pub(crate) fn silent(&mut self, windows: u32) {
        for _ in 0..windows {
            self.window(&[None, Some(64.0)]);
        }
    }
}
