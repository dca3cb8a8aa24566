//! What a client may ask for.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};
use townlet_schema::Kind;

use crate::PROTOCOL;
use crate::reply::Refusal;
use crate::token::{Key, Token};

/// The longest request, in bytes with its line's end.
pub const MAX_REQUEST: usize = 64 * 1024;

/// The most patterns of streams, and the longest.
const MAX_STREAMS: usize = 64;
const MAX_PATTERN: usize = 256;

/// What a tap should show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapRequest {
    /// Kinds; all where empty.
    pub kinds: Vec<Kind>,
    /// Stream names, `*` for any characters; all where empty. At most 64, of at most 256 bytes.
    pub streams: Vec<String>,
    /// End after so many frames; without it, when a side closes.
    pub limit: Option<u64>,
}

/// A request that may be carried out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Status,
    Tap(TapRequest),
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Tap(_) => "tap",
        }
    }
}

/// Everything but the token, which is gone by then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    v: u32,
    command: String,
    kinds: Option<Vec<String>>,
    streams: Option<Vec<String>>,
    limit: Option<u64>,
}

/// Reads a request. The token comes first: who has none learns nothing about the rest.
pub(crate) fn read(line: &[u8], key: &Key) -> Result<Command, Refusal> {
    // What the parser complains of may be the token: its words go nowhere.
    let mut members: Map<String, Value> =
        serde_json::from_slice(line).map_err(|_| Refusal::usage("a request is one line with one JSON object"))?;
    let token = members.remove("token");
    if !token.as_ref().and_then(Value::as_str).is_some_and(|token| key.fits(token)) {
        return Err(Refusal::forbidden());
    }
    match members.get("v").map(Value::as_u64) {
        Some(Some(v)) if v == u64::from(PROTOCOL) => {}
        _ => {
            return Err(Refusal::unsupported(format!("this console speaks version {PROTOCOL}: send \"v\":{PROTOCOL}")));
        }
    }
    let wanted: Wanted =
        serde_json::from_value(Value::Object(members)).map_err(|error| Refusal::usage(error.to_string()))?;
    debug_assert_eq!(wanted.v, PROTOCOL);
    match wanted.command.as_str() {
        "status" if wanted.kinds.is_none() && wanted.streams.is_none() && wanted.limit.is_none() => Ok(Command::Status),
        "status" => Err(Refusal::invalid_args("status takes no arguments")),
        "tap" => tap(wanted).map(Command::Tap),
        _ => Err(Refusal::unknown_command()),
    }
}

fn tap(wanted: Wanted) -> Result<TapRequest, Refusal> {
    let kinds: Result<Vec<Kind>, _> =
        wanted.kinds.unwrap_or_default().iter().map(|kind| Kind::from_str(kind)).collect();
    let mut kinds = kinds.map_err(|error| Refusal::invalid_args(error.to_string()))?;
    kinds.sort();
    kinds.dedup();
    let streams = wanted.streams.unwrap_or_default();
    if streams.len() > MAX_STREAMS || streams.iter().any(|pattern| pattern.is_empty() || pattern.len() > MAX_PATTERN) {
        return Err(Refusal::invalid_args(format!(
            "streams takes at most {MAX_STREAMS} patterns of 1 to {MAX_PATTERN} bytes"
        )));
    }
    if wanted.limit == Some(0) {
        return Err(Refusal::invalid_args("limit is at least 1; leave it out for no limit"));
    }
    Ok(TapRequest { kinds, streams, limit: wanted.limit })
}

/// The line that a client sends.
pub(crate) fn write(token: &Token, command: &Command) -> Vec<u8> {
    let mut members = Map::new();
    members.insert("v".into(), PROTOCOL.into());
    members.insert("token".into(), token.reveal().into());
    members.insert("command".into(), command.name().into());
    if let Command::Tap(request) = command {
        let kinds: Vec<Value> = request.kinds.iter().map(|kind| kind.as_str().into()).collect();
        members.insert("kinds".into(), kinds.into());
        members.insert("streams".into(), request.streams.clone().into());
        if let Some(limit) = request.limit {
            members.insert("limit".into(), limit.into());
        }
    }
    let mut line = Value::Object(members).to_string().into_bytes();
    line.push(b'\n');
    line
}
