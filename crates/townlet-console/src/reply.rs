//! What a console answers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use townlet_pipeline::{Statement, Telemetry};

use crate::PROTOCOL;
use crate::request::TapRequest;

/// A no, with a code of the console's result envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    message: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "usage", message: message.into() }
    }

    pub(crate) fn invalid_args(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "invalid_args", message: message.into() }
    }

    pub(crate) fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "unsupported", message: message.into() }
    }

    pub(crate) fn unknown_command() -> Self {
        Self { code: "unknown_command", message: "the commands are status and tap".into() }
    }

    pub(crate) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "conflict", message: message.into() }
    }

    /// The same for every reason: no token, a wrong one, one that is no text.
    pub(crate) fn forbidden() -> Self {
        Self { code: "forbidden", message: "not authorised".into() }
    }

    pub(crate) fn line(&self) -> Vec<u8> {
        let error = json!({"code": self.code, "message": self.message});
        one_line(&json!({"v": PROTOCOL, "status": "error", "error": error}))
    }
}

/// Why a tap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    Limit,
    PipelineEnded,
    ConsoleStopped,
}

/// The answer to `status`.
pub(crate) fn status(telemetry: &Telemetry, connections: usize, refused: u64) -> Vec<u8> {
    let mut transport = telemetry.latest_transport_status();
    // It is true of the console that says so.
    transport.auth_enabled = true;
    for sink in transport.sinks.values_mut() {
        sink.auth_enabled = true;
    }
    let statements: BTreeMap<String, Value> =
        telemetry.statements().into_iter().map(|(sink, statement)| (sink, books(&statement))).collect();
    ok(
        "status",
        json!({
            "run_id": telemetry.run_id().as_str(),
            "transport": transport,
            "statements": statements,
            "console": {"connections": connections, "refused": refused},
        }),
    )
}

fn books(statement: &Statement) -> Value {
    let account = &statement.account;
    let dropped: BTreeMap<&str, u64> = account.drops().map(|(reason, count)| (reason.as_str(), count)).collect();
    json!({
        "accepted": account.accepted(),
        "delivered": account.delivered(),
        "dropped": dropped,
        "buffered": statement.buffered,
        "residual": i64::try_from(statement.residual()).unwrap_or(i64::MAX),
    })
}

/// The answer to `tap`: what will be shown.
pub(crate) fn tap(telemetry: &Telemetry, request: &TapRequest) -> Vec<u8> {
    let kinds: Vec<&str> = request.kinds.iter().map(|kind| kind.as_str()).collect();
    ok(
        "tap",
        json!({
            "run_id": telemetry.run_id().as_str(),
            "kinds": kinds,
            "streams": request.streams,
            "limit": request.limit,
        }),
    )
}

/// Frames are missing here. No telemetry line starts as this one does.
pub(crate) fn missed(frames: u64, total: u64) -> Vec<u8> {
    one_line(&json!(["missed", {"frames": frames, "total": total}]))
}

/// The last line of a tap.
pub(crate) fn end(reason: Reason, shown: u64, missed: u64) -> Vec<u8> {
    one_line(&json!(["end", {"reason": reason, "shown": shown, "missed": missed}]))
}

fn ok(name: &str, result: Value) -> Vec<u8> {
    one_line(&json!({"v": PROTOCOL, "name": name, "status": "ok", "result": result}))
}

fn one_line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}
