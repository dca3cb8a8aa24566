//! What happens to a release.

use serde_json::Value;
use townlet_gate::gate::{Decision, Part, Verdict};
use townlet_gate::manifest::Manifest;
use townlet_readiness::suite::{span_id, trace_id};
use townlet_registry::Digest;

use super::names::{EVENT, EXECUTE, GATE, LEAD_TIME, POLICY_CHANGE, ROLLBACK, convention, own, seed};
use super::record::{Attributes, Matter, Place, Record};
use super::recorder::Recorder;
use super::trace::Nanos;

/// The pipeline that a release goes through, as the conventions call such a thing.
const PIPELINE: &str = "release";

/// A question to a gate, and its answer.
#[derive(Clone, Debug)]
pub struct Decided<'a> {
    /// The answer.
    pub decision: &'a Decision,
    /// Of its canonical text.
    pub digest: Digest,
    /// The manifest that it is about, where there is one.
    pub manifest: Option<&'a Manifest>,
    /// The last decision for this environment before it.
    pub before: Option<&'a Decision>,
    /// Who signed it.
    pub actor: &'a str,
    /// When it was asked.
    pub start: Nanos,
    /// When the answer was on disk.
    pub end: Nanos,
}

/// Something that somebody signed about a release.
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Its digest.
    pub artifact: Digest,
    /// Who.
    pub actor: &'a str,
    /// `approval` or `waiver`.
    pub change_type: &'static str,
    /// For where.
    pub environment: &'a str,
    /// As what, for an approval.
    pub role: Option<&'a str>,
    /// What is waived, by a waiver.
    pub policies: &'a [String],
    /// The digest of the statement.
    pub statement: &'a str,
}

/// A deployment that begins.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The name of the release.
    pub release: String,
    /// Of its manifest.
    pub manifest: Digest,
    /// The run of the suites that speaks for it: its trace is this one's.
    pub run_id: String,
    /// Where to.
    pub environment: String,
    /// The digests of what is shipped.
    pub artifacts: Vec<Digest>,
    /// Who made the release.
    pub owner: String,
    /// Who deploys it.
    pub actor: String,
    /// When its suites had passed, where that is known: from then on the lead time counts.
    pub ready_at: Option<Nanos>,
    /// The id of the deployment that it takes back, where it is a rollback.
    pub undoes: Option<String>,
}

impl Deployment {
    /// Of a release that `actor` brings to an environment.
    #[must_use]
    pub fn of(manifest: &Manifest, digest: Digest, environment: &str, actor: &str, ready_at: Option<Nanos>) -> Self {
        Self {
            release: manifest.release.clone(),
            manifest: digest,
            run_id: manifest.readiness.run_id.clone(),
            environment: environment.to_owned(),
            artifacts: manifest.artifacts.iter().map(|artifact| artifact.digest).collect(),
            owner: manifest.author.clone(),
            actor: actor.to_owned(),
            ready_at,
            undoes: None,
        }
    }

    /// The same as a rollback: it takes back the deployment of that id, and brings nothing that was ready.
    #[must_use]
    pub fn undoing(self, id: impl Into<String>) -> Self {
        Self { undoes: Some(id.into()), ready_at: None, ..self }
    }

    /// What it is called as a change.
    fn change_type(&self) -> &'static str {
        if self.undoes.is_some() { "rollback" } else { "deployment" }
    }
}

/// How a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is out.
    Succeeded,
    /// It is not, or not whole.
    Failed,
    /// It was out, or in part, and was undone.
    RolledBack,
}

/// A deployment under way. One that is dropped is told as begun, and never as ended.
#[derive(Debug)]
pub struct Execution<'r> {
    recorder: &'r Recorder,
    deployment: Deployment,
    span_id: String,
    start: Nanos,
}

impl Recorder {
    /// A gate has decided: span `deployment.gate`, `deployment.event`, and `deployment.policy_change` for what is demanded
    /// otherwise than by the decision before.
    pub fn gate(&self, decided: &Decided<'_>) {
        let place = || Place {
            trace_id: trace_id(&decided.run()),
            span_id: span_id(&decided.run(), &format!("gate/{}", decided.digest)),
        };
        self.tell(GATE, || decided.span(place()));
        self.tell(EVENT, || Record::new(decided.matter(), place(), decided.attributes()));
        for (part, before, after) in decided.changes() {
            self.tell(POLICY_CHANGE, || decided.change(part, before, after, place()));
        }
    }

    /// Somebody has signed something about a release: `deployment.event`.
    pub fn signed(&self, signed: &Signed<'_>) {
        self.tell(EVENT, || {
            let run_id = &signed.manifest.readiness.run_id;
            let matter = Matter {
                artifact_id: signed.artifact.to_string(),
                change_type: signed.change_type,
                status: if signed.change_type == "waiver" { "waived" } else { "approved" }.to_owned(),
                actor: signed.actor.to_owned(),
            };
            let mut attributes = about(&signed.manifest.release, run_id, signed.environment);
            attributes.push((own::STATEMENT, signed.statement.into()));
            attributes.push((own::ROLE, signed.role.map_or(Value::Null, Value::from)));
            if !signed.policies.is_empty() {
                attributes.push((own::POLICIES, signed.policies.to_vec().into()));
            }
            // It has no span of its own: it belongs to the run.
            Record::new(matter, Place { trace_id: trace_id(run_id), span_id: span_id(run_id, "") }, attributes)
        });
    }

    /// A deployment or a rollback begins: `deployment.event` with the status `started`. [`Execution::end`] tells the rest.
    #[must_use]
    pub fn execute(&self, deployment: Deployment, start: Nanos) -> Execution<'_> {
        let part = format!("execute/{}/{}/{}", deployment.manifest, deployment.environment, start.0);
        let span_id = span_id(&deployment.run_id, &part);
        let execution = Execution { recorder: self, deployment, span_id, start };
        self.tell(EVENT, || Record::new(execution.matter("started"), execution.place(), execution.attributes(None)));
        execution
    }
}

impl Decided<'_> {
    fn run(&self) -> String {
        // Without a manifest there is no run; the decision stands for itself.
        self.manifest.map_or_else(|| self.digest.to_string(), |manifest| manifest.readiness.run_id.clone())
    }

    fn artifact(&self) -> String {
        self.decision.manifest.map_or_else(|| "none".to_owned(), |digest| digest.to_string())
    }

    fn matter(&self) -> Matter {
        Matter {
            artifact_id: self.artifact(),
            change_type: "release",
            status: self.decision.verdict.as_str().to_owned(),
            actor: self.actor.to_owned(),
        }
    }

    /// The codes of everything that stands in the way, each once.
    fn reasons(&self) -> Vec<&'static str> {
        let blocking = self.decision.conditions.iter().filter(|condition| condition.standing.blocks());
        let mut codes: Vec<&str> = blocking.flat_map(|one| &one.reasons).map(|reason| reason.code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    fn attributes(&self) -> Attributes {
        let release = self.decision.release.as_deref().unwrap_or("no manifest");
        let mut all = about(release, &self.run(), &self.decision.environment);
        let ok = self.decision.verdict == Verdict::Approve;
        let reasons = self.reasons();
        all.extend([
            (convention::DEPLOYMENT_ID, Value::from(self.artifact())),
            (convention::TASK, "gate".into()),
            (convention::TASK_RUN, self.digest.to_string().into()),
            (convention::TASK_RESULT, if ok { "success" } else { "failure" }.into()),
            (own::VERDICT, self.decision.verdict.as_str().into()),
            (own::DECISION, self.digest.to_string().into()),
            (own::REASONS, reasons.clone().into()),
            (convention::ERROR, if ok { Value::Null } else { reasons.first().copied().unwrap_or("rejected").into() }),
        ]);
        all.push((seed::OWNER, self.manifest.map_or(Value::Null, |manifest| manifest.author.as_str().into())));
        all
    }

    fn span(&self, place: Place) -> Record {
        let ok = self.decision.verdict == Verdict::Approve;
        let message = if ok { String::new() } else { self.reasons().join(", ") };
        let parent = self.manifest.map(|manifest| span_id(&manifest.readiness.run_id, ""));
        Record::new(self.matter(), place, self.attributes()).over(self.start, self.end, parent, ok, &message)
    }

    /// What is demanded otherwise than before: the part, and its digests.
    fn changes(&self) -> Vec<(&'static str, Digest, Digest)> {
        let Some(before) = self.before else { return Vec::new() };
        let of =
            |decision: &Decision, part: Part| decision.inputs.iter().find(|one| one.part == part).map(|one| one.digest);
        let parts = [("policy", Part::Policy), ("board", Part::Board)];
        let changed = parts.into_iter().filter_map(|(name, part)| {
            let (old, new) = (of(before, part)?, of(self.decision, part)?);
            (old != new).then_some((name, old, new))
        });
        changed.collect()
    }

    fn change(&self, part: &'static str, before: Digest, after: Digest, place: Place) -> Record {
        let matter =
            Matter { artifact_id: after.to_string(), change_type: part, status: "changed".into(), ..self.matter() };
        let attributes = vec![
            (convention::ENVIRONMENT, self.decision.environment.as_str().into()),
            (own::DECISION, self.digest.to_string().into()),
            (own::PART, part.into()),
            (own::BEFORE, before.to_string().into()),
            (own::AFTER, after.to_string().into()),
        ];
        Record::new(matter, place, attributes)
    }
}

impl Execution<'_> {
    fn place(&self) -> Place {
        Place { trace_id: trace_id(&self.deployment.run_id), span_id: self.span_id.clone() }
    }

    fn matter(&self, status: &str) -> Matter {
        Matter {
            artifact_id: self.deployment.manifest.to_string(),
            change_type: self.deployment.change_type(),
            status: status.to_owned(),
            actor: self.deployment.actor.clone(),
        }
    }

    fn attributes(&self, outcome: Option<Outcome>) -> Attributes {
        let Deployment { release, manifest, run_id, environment, artifacts, owner, undoes, .. } = &self.deployment;
        let mut all = about(release, run_id, environment);
        let hashes: Vec<String> = artifacts.iter().map(ToString::to_string).collect();
        all.extend([
            (convention::DEPLOYMENT_ID, Value::from(manifest.to_string())),
            (convention::TASK, if undoes.is_some() { "rollback" } else { "deploy" }.into()),
            // The conventions know no type of its own for taking back.
            (convention::TASK_TYPE, "deploy".into()),
            (own::UNDOES, undoes.as_deref().map_or(Value::Null, Value::from)),
            (convention::TASK_RUN, self.span_id.as_str().into()),
            (seed::VERSION, release.as_str().into()),
            (seed::HASH, hashes.into()),
            (seed::OWNER, owner.as_str().into()),
        ]);
        if let Some(outcome) = outcome {
            let ok = outcome == Outcome::Succeeded;
            all.extend([
                (convention::TASK_RESULT, Value::from(if ok { "success" } else { "failure" })),
                (convention::DEPLOYMENT_STATUS, if ok { "succeeded" } else { "failed" }.into()),
                (convention::ERROR, if ok { Value::Null } else { outcome.as_str().into() }),
            ]);
        }
        all
    }

    /// It is over: span `deployment.execute` or `deployment.rollback`, `deployment.event`, and for a deployment that
    /// succeeded `deployment.publish_lead_time`.
    pub fn end(self, outcome: Outcome, end: Nanos) {
        let status = outcome.as_str();
        let ok = outcome == Outcome::Succeeded;
        let name = if self.deployment.undoes.is_some() { ROLLBACK } else { EXECUTE };
        self.recorder.tell(name, || {
            let parent = Some(span_id(&self.deployment.run_id, ""));
            let message = if ok { "" } else { status };
            let record = Record::new(self.matter(status), self.place(), self.attributes(Some(outcome)));
            record.over(self.start, end, parent, ok, message)
        });
        self.recorder.tell(EVENT, || Record::new(self.matter(status), self.place(), self.attributes(Some(outcome))));
        let lead = self.deployment.ready_at.and_then(|ready| end.0.checked_sub(ready.0)).filter(|_| ok);
        if let Some(lead) = lead {
            let attributes = vec![
                (convention::PIPELINE, PIPELINE.into()),
                (convention::ENVIRONMENT, self.deployment.environment.as_str().into()),
            ];
            let seconds = std::time::Duration::from_nanos(lead).as_secs_f64();
            self.recorder
                .tell(LEAD_TIME, || Record::new(self.matter(status), self.place(), attributes).measured("s", seconds));
        }
    }
}

impl Outcome {
    /// As it is told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// What everything about a release has.
fn about(release: &str, run_id: &str, environment: &str) -> Attributes {
    vec![
        (convention::PIPELINE, PIPELINE.into()),
        (convention::RUN, run_id.into()),
        (convention::DEPLOYMENT, release.into()),
        (convention::ENVIRONMENT, environment.into()),
    ]
}
