//! What a run leaves: `readiness_report.json`, `readiness_scorecard_{run_id}.json`, and the logs that they quote.
//!
//! The scorecard says everything about every suite, also about those that were not run. The report is short, and binds the
//! scorecard by digest. Both say their schema version first, and readers refuse versions and keys that they do not know.

mod consistency;
mod files;
mod render;
mod schema;
mod types;

pub use files::{Evidence, EvidenceError, open};
pub(crate) use files::{check, plain, read, relative, write_json};
pub use render::render;
pub use schema::json_schemas;
pub use types::{
    Attempt, Bench, Environment, HistorySummary, Log, Problem, ProblemCode, Producer, Report, Revision, SCHEMA_VERSION,
    Scorecard, Status, SuiteResult, ThresholdResult, ThresholdState, Tool,
};

/// The name of the report in its folder.
pub const REPORT_FILE: &str = "readiness_report.json";

/// The name of the scorecard of a run, beside the report.
#[must_use]
pub fn scorecard_file(run_id: &str) -> String {
    format!("readiness_scorecard_{run_id}.json")
}
