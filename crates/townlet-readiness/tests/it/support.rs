//! Simulated time, commands that answer from a table, and a folder for each test.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tempfile::TempDir;
use townlet_policy::Findings;
use townlet_readiness::report::{Evidence, Revision, open};
use townlet_readiness::suite::{Config, Event, Finished, Measure, Observer, Run, RunError, Span};
use townlet_readiness::{Clock, Digest, Ended, FileDigest, Invocation, Moment, Output, Processes, Ran};

/// Time that stands still until somebody moves it. It begins at 2026-11-21T12:00:00Z.
#[derive(Clone)]
pub(crate) struct SimClock(Rc<Cell<Duration>>);

impl SimClock {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Cell::new(Duration::ZERO)))
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.0.set(self.0.get() + span);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        Moment::from_ms(1_795_262_400_000).after(self.0.get())
    }

    fn elapsed(&self) -> Duration {
        self.0.get()
    }
}

/// What a simulated command does.
#[derive(Clone)]
pub(crate) struct Act {
    pub(crate) takes: Duration,
    pub(crate) ended: Ended,
    pub(crate) stdout: &'static str,
    pub(crate) writes: Vec<(&'static str, String)>,
}

pub(crate) fn exits(code: i32) -> Act {
    Act { takes: Duration::from_secs(10), ended: Ended::Exited { code }, stdout: "", writes: Vec::new() }
}

pub(crate) fn ends(ended: Ended) -> Act {
    Act { ended, ..exits(0) }
}

impl Act {
    pub(crate) fn takes(self, seconds: u64) -> Self {
        Self { takes: Duration::from_secs(seconds), ..self }
    }

    pub(crate) fn prints(self, stdout: &'static str) -> Self {
        Self { stdout, ..self }
    }

    /// Leaves a file in its working directory.
    pub(crate) fn writes(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.writes.push((name, text.into()));
        self
    }
}

/// One call, as the processes saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, OsString>,
    pub(crate) timeout: Option<Duration>,
}

/// Commands that answer from a table, by their first word; a timeout is kept to.
pub(crate) struct Table {
    clock: SimClock,
    acts: RefCell<BTreeMap<String, VecDeque<Act>>>,
    pub(crate) calls: RefCell<Vec<Call>>,
}

impl Processes for Table {
    fn run(&self, invocation: &Invocation<'_>) -> Ran {
        let (command, env) = (invocation.command.to_vec(), invocation.env.clone());
        self.calls.borrow_mut().push(Call { command, env, timeout: invocation.timeout });
        let program = &invocation.command[0];
        let act = self.acts.borrow_mut().get_mut(program).and_then(VecDeque::pop_front);
        let Some(act) = act else { return Ran::not_started(format!("{program}: not found")) };
        if let Some(timeout) = invocation.timeout.filter(|timeout| act.takes > *timeout) {
            self.clock.pass(timeout);
            return Ran { ended: Ended::TimedOut, stdout: Output::default(), stderr: Output::default() };
        }
        self.clock.pass(act.takes);
        for (name, text) in act.writes {
            let path = invocation.directory.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let kept = act.stdout.as_bytes().to_vec();
        let stdout = Output { total: kept.len() as u64, kept, ..Output::default() };
        Ran { ended: act.ended, stdout, stderr: Output::default() }
    }
}

/// Remembers what it is told.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) measures: Vec<Measure>,
    pub(crate) spans: Vec<Span>,
    pub(crate) lines: Vec<String>,
}

impl Observer for Notes {
    fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Measured(measure) => self.measures.push(measure.clone()),
            Event::Span(span) => self.spans.push(span.clone()),
            Event::Started { name, attempt } => self.lines.push(format!("{name} {attempt}")),
            Event::AttemptEnded { suite, attempt } => self.lines.push(format!("{suite} {:?}", attempt.ended)),
            Event::SuiteEnded(result) => self.lines.push(format!("{} {:?}", result.name, result.status)),
            _ => {}
        }
    }
}

/// A project with its folder, in which several runs may follow one another.
pub(crate) struct Project {
    pub(crate) folder: TempDir,
    pub(crate) clock: SimClock,
    pub(crate) table: Table,
    pub(crate) env: BTreeMap<String, OsString>,
    pub(crate) revision: Revision,
    pub(crate) notes: Notes,
}

impl Project {
    pub(crate) fn new() -> Self {
        let clock = SimClock::new();
        let env = [("PATH", "/bin"), ("HOME", "/nowhere"), ("SECRET", "hush")];
        Self {
            folder: TempDir::new().unwrap(),
            table: Table { clock: clock.clone(), acts: RefCell::default(), calls: RefCell::default() },
            clock,
            env: env.map(|(name, value)| (name.to_owned(), value.into())).into(),
            revision: Revision { id: "c0ffee".into(), modified: Some(false) },
            notes: Notes::default(),
        }
    }

    /// What a program does when it is run next, and then.
    pub(crate) fn does(&self, program: &str, acts: impl IntoIterator<Item = Act>) -> &Self {
        self.table.acts.borrow_mut().entry(program.to_owned()).or_default().extend(acts);
        self
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Runs a suites file.
    pub(crate) fn try_run(&mut self, run_id: &str, yaml: &str) -> Result<Finished, RunError> {
        let config = config(yaml);
        std::fs::create_dir_all(self.out()).unwrap();
        let bytes = yaml.len() as u64;
        let run = Run {
            config: &config,
            config_file: FileDigest { path: "suites.yaml".into(), sha256: Digest::of(yaml.as_bytes()), bytes },
            root: self.folder.path(),
            out: &self.out(),
            run_id,
            revision: self.revision.clone(),
            env: &self.env,
            clock: &self.clock,
            processes: &self.table,
        };
        run.go(&mut self.notes)
    }

    /// The same, and checks that what was written reads back equal and without a finding.
    pub(crate) fn run(&mut self, run_id: &str, yaml: &str) -> Finished {
        let finished = self.try_run(run_id, yaml).unwrap();
        let Evidence { report, scorecard, findings } = open(&self.out()).unwrap();
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!((&report, &scorecard), (&finished.report, &finished.scorecard));
        finished
    }
}

/// Reads a suites file that has to be good.
#[track_caller]
pub(crate) fn config(yaml: &str) -> Config {
    let mut found = Findings::new("suites.yaml", yaml);
    Config::read(yaml, &mut found).unwrap_or_else(|| panic!("{found}"))
}

/// What is found in a suites file that has to be bad.
#[track_caller]
pub(crate) fn refused(yaml: &str) -> String {
    let mut found = Findings::new("suites.yaml", yaml);
    assert_eq!(Config::read(yaml, &mut found), None, "{yaml}");
    found.to_string()
}

/// A JUnit file with so many passed, failed and flaky tests.
pub(crate) fn junit(passed: usize, failed: usize, flaky: usize) -> String {
    let case = |kind: &str, n: usize, inner: &str| {
        (0..n).map(|at| format!("<testcase name=\"{kind}_{at}\" classname=\"town\">{inner}</testcase>\n")).collect()
    };
    let parts: [String; 3] = [
        case("passes", passed, ""),
        case("fails", failed, "<failure type=\"panic\">no</failure>"),
        case("flakes", flaky, "<flakyFailure type=\"panic\">at first</flakyFailure>"),
    ];
    format!("<?xml version=\"1.0\"?><testsuites><testsuite name=\"town\">{}</testsuite></testsuites>", parts.concat())
}

/// An `estimates.json` of Criterion with this mean.
pub(crate) fn estimates(mean: f64) -> String {
    let one = |value: f64| {
        let interval = format!("{{\"confidence_level\":0.95,\"lower_bound\":{value},\"upper_bound\":{value}}}");
        format!("{{\"confidence_interval\":{interval},\"point_estimate\":{value},\"standard_error\":1.0}}")
    };
    format!(
        "{{\"mean\":{},\"median\":{},\"median_abs_dev\":{},\"slope\":null,\"std_dev\":{}}}",
        one(mean),
        one(mean - 1.0),
        one(2.0),
        one(3.0)
    )
}
