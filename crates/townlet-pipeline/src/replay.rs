//! Captured lines through today's transforms and sinks.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use townlet_schema::{LineHead, encode_into, read_head};
use townlet_transform::{Record, Validator};

use crate::admission::Emitted;
use crate::dead_letters;
use crate::dynamic::NamedEvent;
use crate::error::{EmitError, StreamError};
use crate::lane::Item;
use crate::shared::Shared;
use crate::stream::ENVELOPE_WEIGHT;
use crate::telemetry::{Telemetry, open};

/// Takes whole lines of any version. Each keeps its own envelope: version, run,
/// stream and number, as far as it has them; the body goes through the
/// transforms, so that redaction and the schema of that version apply.
#[derive(Clone)]
pub struct Replay {
    shared: Arc<Shared>,
    index: u32,
    raising: Option<Arc<Validator>>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

impl Telemetry {
    /// A way in for captured lines, booked under the stream `<producer>.replay`.
    ///
    /// # Errors
    /// [`StreamError::TypeMismatch`] where the host uses that name itself.
    pub fn replay(&self) -> Result<Replay, StreamError> {
        let inner = self.inner();
        let stream = open::<NamedEvent>(&inner.shared, &format!("{}.replay", inner.producer))?;
        Ok(Replay { shared: Arc::clone(&inner.shared), index: stream.index(), raising: inner.shared.raising() })
    }
}

impl Replay {
    /// Takes one line over, with or without its newline. What is no record is a
    /// counted drop (`invalid_payload`). Of a line of a file of dead letters it takes
    /// the one within.
    ///
    /// # Errors
    /// [`EmitError::Closed`] after shutdown; [`EmitError::Invalid`] from a
    /// validator in mode `raise`.
    pub fn emit_line(&self, line: Bytes) -> Result<Emitted, EmitError> {
        let line = dead_letters::within(&line).unwrap_or(line);
        let tick = read_head(&line).ok().and_then(|head| head.tick).unwrap_or_default();
        if let Some(validator) = &self.raising
            && let Ok(mut record) = Record::from_line(&line, "replay")
            && validator.concerns(record.kind())
        {
            let kind = record.kind().as_str();
            validator.check_record(&mut record).map_err(|e| EmitError::Invalid { kind, detail: e.to_string() })?;
        }
        let weight = line.len() + ENVELOPE_WEIGHT;
        self.shared.emit(self.index, tick, weight, Item::<NamedEvent>::Line(line))
    }
}

/// Puts the captured envelope around a transformed body, keys in the order of
/// today's lines; what the line did not have it does not get.
pub(crate) fn write_line(head: &LineHead<'_>, body: &[u8], out: &mut Vec<u8>) {
    let mut separator = b'{';
    let mut key = |out: &mut Vec<u8>, name: &str| {
        out.push(std::mem::replace(&mut separator, b','));
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
    };
    let text = |out: &mut Vec<u8>, text: &str| {
        // A string encodes, whatever is in it.
        let _ = encode_into(text, out);
    };
    if let Some(version) = head.schema_version {
        key(out, "schema_version");
        text(out, &version.to_string());
    }
    if let Some(kind) = head.payload_type {
        key(out, "payload_type");
        text(out, kind.as_str());
    }
    for (name, value) in [("run_id", &head.run_id), ("stream", &head.stream)] {
        if let Some(value) = value {
            key(out, name);
            text(out, value);
        }
    }
    let numbers = [("seq", head.seq), ("tick", head.tick), ("base_seq", head.base_seq), ("rendering", head.rendering)];
    for (name, value) in numbers {
        if let Some(value) = value {
            key(out, name);
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
    // An object, as the chain has made sure; what stood around it in the capture is not part of it.
    let members = body.trim_ascii();
    let members = members.get(1..members.len().saturating_sub(1)).unwrap_or_default().trim_ascii();
    if !members.is_empty() {
        out.push(separator);
        out.extend_from_slice(members);
    } else if separator == b'{' {
        out.push(b'{');
    }
    out.extend_from_slice(b"}\n");
}
