//! Every name that is told, in one place: a test holds them against the conventions.

/// Attributes of the OpenTelemetry conventions for CI/CD and deployments (v1.44), of those that are used here.
pub(super) mod convention {
    pub(crate) const PIPELINE: &str = "cicd.pipeline.name";
    pub(crate) const RUN: &str = "cicd.pipeline.run.id";
    pub(crate) const TASK: &str = "cicd.pipeline.task.name";
    pub(crate) const TASK_TYPE: &str = "cicd.pipeline.task.type";
    pub(crate) const TASK_RUN: &str = "cicd.pipeline.task.run.id";
    pub(crate) const TASK_RESULT: &str = "cicd.pipeline.task.run.result";
    pub(crate) const ENVIRONMENT: &str = "deployment.environment.name";
    pub(crate) const DEPLOYMENT: &str = "deployment.name";
    pub(crate) const DEPLOYMENT_ID: &str = "deployment.id";
    pub(crate) const DEPLOYMENT_STATUS: &str = "deployment.status";
    pub(crate) const ERROR: &str = "error.type";
}

/// Attributes that the seed names and no convention has.
pub(super) mod seed {
    pub(crate) const HASH: &str = "artifact.hash";
    pub(crate) const VERSION: &str = "deployment.version";
    pub(crate) const OWNER: &str = "owner";
}

/// Attributes of our own.
pub(super) mod own {
    pub(crate) const VERDICT: &str = "townlet.gate.verdict";
    pub(crate) const REASONS: &str = "townlet.gate.reason_codes";
    pub(crate) const DECISION: &str = "townlet.gate.decision";
    pub(crate) const PART: &str = "townlet.policy.part";
    pub(crate) const BEFORE: &str = "townlet.policy.digest_before";
    pub(crate) const AFTER: &str = "townlet.policy.digest_after";
    pub(crate) const RUN_TRACE: &str = "townlet.readiness.trace_id";
    pub(crate) const ROLE: &str = "townlet.signed.role";
    pub(crate) const STATEMENT: &str = "townlet.signed.statement";
    pub(crate) const POLICIES: &str = "townlet.signed.policies";
    pub(crate) const UNDOES: &str = "townlet.deployment.undoes";
}

pub(super) const GATE: &str = "deployment.gate";
pub(super) const EXECUTE: &str = "deployment.execute";
pub(super) const ROLLBACK: &str = "deployment.rollback";
pub(super) const EVENT: &str = "deployment.event";
pub(super) const POLICY_CHANGE: &str = "deployment.policy_change";
pub(super) const LEAD_TIME: &str = "deployment.publish_lead_time";

/// The spans of this crate. Those of `townlet-readiness` pass through.
pub const SPANS: [&str; 3] = [GATE, EXECUTE, ROLLBACK];

/// The metrics that are told here; the second comes from `townlet-readiness`.
pub const METRICS: [&str; 2] = [LEAD_TIME, "deployment.rollback_rehearsal_duration"];

/// The attributes of this crate.
pub const ATTRIBUTES: [&str; 25] = [
    convention::PIPELINE,
    convention::RUN,
    convention::TASK,
    convention::TASK_TYPE,
    convention::TASK_RUN,
    convention::TASK_RESULT,
    convention::ENVIRONMENT,
    convention::DEPLOYMENT,
    convention::DEPLOYMENT_ID,
    convention::DEPLOYMENT_STATUS,
    convention::ERROR,
    seed::HASH,
    seed::VERSION,
    seed::OWNER,
    own::VERDICT,
    own::REASONS,
    own::DECISION,
    own::PART,
    own::BEFORE,
    own::AFTER,
    own::RUN_TRACE,
    own::ROLE,
    own::STATEMENT,
    own::POLICIES,
    own::UNDOES,
];
