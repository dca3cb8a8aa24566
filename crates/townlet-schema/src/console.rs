//! Console lines: a command with its result.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::{heap_of, no_heap};
use crate::{Json, Kind, Object, Payload};

/// What a caller may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConsoleMode {
    /// Change.
    Admin,
    /// Look. Also what an unknown mode means.
    #[default]
    #[serde(other)]
    Viewer,
}

/// A command as it was given. Its token is never part of telemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConsoleCommand {
    /// The command. `cmd` is read as well.
    #[serde(alias = "cmd")]
    pub name: String,
    /// By place.
    pub args: Vec<Json>,
    /// By name.
    pub kwargs: Object,
    /// Makes a repeated command harmless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd_id: Option<String>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What the caller may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ConsoleMode>,
    /// When, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<u64>,
    /// What else the caller said.
    #[serde(skip_serializing_if = "Object::is_empty")]
    pub metadata: Object,
}

/// Why a command failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConsoleError {
    /// `usage`, `invalid_args`, `not_found`, `forbidden`, `unsupported`,
    /// `unknown_command`, `conflict`, `internal`, `handler_error`, ….
    pub code: Cow<'static, str>,
    /// In words.
    pub message: String,
    /// More.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
}

/// What a command came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleOutcome {
    /// The command.
    pub name: String,
    /// `ok` or `error`.
    pub status: Cow<'static, str>,
    /// The command's `cmd_id`.
    #[serde(default)]
    pub cmd_id: Option<String>,
    /// The command's `issuer`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// When it was done.
    #[serde(default)]
    pub tick: u64,
    /// How long it took.
    #[serde(default)]
    pub latency_ms: Option<f64>,
    /// What it says, where the status is `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Why it failed, where the status is `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ConsoleError>,
}

/// Body of a `console` line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleResult {
    /// What was asked; none where only the outcome was recorded.
    #[serde(default)]
    pub command: Option<ConsoleCommand>,
    /// What it came to.
    pub result: ConsoleOutcome,
}

no_heap!(ConsoleMode);
heap_of!(
    ConsoleCommand { name, args, kwargs, cmd_id, issuer, metadata }
    ConsoleError { code, message, details }
    ConsoleOutcome { name, status, cmd_id, issuer, result, error }
    ConsoleResult { command, result }
);

impl Payload for ConsoleResult {
    const KIND: Kind = Kind::Console;
    const PROVES_SCHEMA: bool = true;
}
