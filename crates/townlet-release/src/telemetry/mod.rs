//! What release control does, told as it happens: records, spans and measurements, through `townlet-pipeline`.
//!
//! **What it is.** A [`Recorder`] is off, or a pipeline with the sinks of a configuration. Off it costs a branch. On, each
//! thing that is told is one event of the stream `release.events`, in the form that `townlet-transport-otlp` renders as a
//! log record, a span, a data point; any other sink gets the lines.
//!
//! | told by | as |
//! |---|---|
//! | [`Recorder::gate`] | span `deployment.gate`; event `deployment.event` with the verdict; event `deployment.policy_change` where board or policies are others than those of the last decision for the environment |
//! | [`Recorder::execute`] | span `deployment.execute`, or `deployment.rollback` for one that takes another back; `deployment.event` when it begins and ends; metric `deployment.publish_lead_time`, from the passed suites to the end |
//! | [`Recorder::signed`] | `deployment.event`: approvals, waivers |
//! | [`Watching`] | what `townlet-readiness` tells its observers: `readiness.run`, `readiness.suite`, `readiness.passed`, `readiness.duration_seconds`, `deployment.rollback_rehearsal_duration`, … |
//!
//! Every record has `artifact_id`, `change_type`, `status`, `trace_id`, `span_id` and `actor`. Attributes have the names of
//! the OpenTelemetry conventions for CI/CD and deployments (v1.44) where there is one, those of the seed where there is
//! not (`artifact.hash`, `deployment.version`, `owner`), and `townlet.…` for what is ours alone. The suites, approvals, decisions
//! and deployments of one run of the suites are one trace, that of its report; a CI's `TRACEPARENT` is joined instead.
//!
//! **What it is not.** No part of a decision: what fails here is said and changes nothing. Nothing here is evidence; that
//! is signed.
//!
//! # Guarantees
//! - [`Recorder::finish`] returns within its limit, whatever the peer does; no other call waits for anything.
//! - Everything goes through the transforms of the configuration, so what they redact is in no record, span or attribute.
//! - It reads no environment and no clock: both are arguments.

mod control;
mod names;
mod record;
mod recorder;
mod settings;
mod trace;
mod watching;

pub use control::{Decided, Deployment, Execution, Outcome, Signed};
pub use names::{ATTRIBUTES, METRICS, SPANS};
pub use recorder::{Account, Recorder, StartError};
pub use settings::{NoSettings, from_environment, has_block};
pub use trace::{Nanos, TraceParent};
pub use watching::Watching;
