//! The line that opens a run.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::{Kind, Object, Payload, RunId};

/// Body of a `run` line: says where one run of the producer begins, so that
/// runs that were appended to one file stay apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunMarker {
    /// In milliseconds since the Unix epoch.
    pub started_at: u64,
    /// Program and version, such as `townlet 0.1.0`.
    pub producer: Cow<'static, str>,
    /// Which implementation of the world runs.
    pub runtime_variant: Option<String>,
    /// Seed of a deterministic run.
    pub seed: Option<u64>,
    /// The run before, where a ledger tells of it.
    #[schemars(with = "Option<String>")]
    pub previous_run_id: Option<RunId>,
    /// What else the host says of itself.
    #[serde(skip_serializing_if = "Object::is_empty")]
    pub attributes: Object,
}

heap_of!(RunMarker { producer, runtime_variant, attributes });

impl Payload for RunMarker {
    const KIND: Kind = Kind::Run;
    const PROVES_SCHEMA: bool = true;
}
