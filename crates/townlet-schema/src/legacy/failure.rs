//! Failure lines of 0.9, which say neither version nor type.

use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::{Failure, FailureSummary, Json, Object, ReadError};

/// A failed tick as the predecessor wrote it: a bare object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LegacyFailure {
    /// The tick that failed.
    pub tick: u64,
    /// `error`.
    pub status: String,
    /// Wall time of the tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Failed ticks so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_count: Option<u64>,
    /// `ExceptionName: message`.
    pub error: String,
    /// Where the state of the world was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_path: Option<String>,
    /// As in health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Object>,
    /// All that was known of the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_context: Option<Object>,
    /// The latest health before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Object>,
    /// In one flat block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Object>,
}

impl LegacyFailure {
    /// What it says in today's words. The context of the world has no place there.
    ///
    /// # Errors
    /// A block whose fields have the wrong type.
    pub fn upgrade(&self) -> Result<Failure, ReadError> {
        fn block<T: serde::de::DeserializeOwned + Default>(name: &str, block: Option<&Object>) -> Result<T, ReadError> {
            let Some(block) = block else { return Ok(T::default()) };
            Json::Object(block.clone()).read().map_err(|e| e.within_key(name))
        }
        let summary: FailureSummary = block("summary", self.summary.as_ref())?;
        let health = self.health.as_ref().map(|health| block("health", Some(health))).transpose()?;
        Ok(Failure {
            status: self.status.clone().into(),
            duration_ms: self.duration_ms.unwrap_or(summary.duration_ms),
            failure_count: self.failure_count.unwrap_or_default(),
            error: self.error.clone(),
            snapshot_path: self.snapshot_path.clone(),
            transport: block("transport", self.transport.as_ref())?,
            health,
            summary,
        })
    }
}

heap_of!(LegacyFailure { status, error, snapshot_path, transport, global_context, health, summary });
