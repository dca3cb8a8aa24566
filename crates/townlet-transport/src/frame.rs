//! A frame: the unit that queues hold, transports send and the ledger counts.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// The name of a stream within a run: what `seq` counts within.
///
/// Cheap to clone; one is shared by all frames of a stream.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Label(Arc<LabelParts>);

#[derive(PartialEq, Eq, Hash)]
struct LabelParts {
    run_id: Box<str>,
    stream: Box<str>,
}

impl Label {
    /// A label for `stream` in the process run `run_id`.
    pub fn new(run_id: &str, stream: &str) -> Self {
        Self(Arc::new(LabelParts { run_id: run_id.into(), stream: stream.into() }))
    }

    /// The process run that numbers this stream.
    pub fn run_id(&self) -> &str {
        &self.0.run_id
    }

    /// The stream's name, such as `town.events`.
    pub fn stream(&self) -> &str {
        &self.0.stream
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run_id(), self.stream())
    }
}

/// One line of the stream, encoded, redacted and ready to send.
///
/// `(run_id, stream, seq)` identifies it for ever; receivers deduplicate on it.
/// Cloning shares the bytes.
///
/// Whoever builds a frame vouches that its bytes may leave the process. Inside
/// the pipeline only the redacting stage does so.
#[derive(Clone)]
pub struct Frame {
    label: Label,
    kind: &'static str,
    seq: u64,
    tick: u64,
    line: Bytes,
}

impl Frame {
    /// A frame from a whole line, its `\n` included.
    ///
    /// `kind` is the payload type on the wire (`snapshot`, `event`, …), `seq`
    /// the place in the stream, from 1 without gaps, `tick` the host's tick.
    pub fn new(label: Label, kind: &'static str, seq: u64, tick: u64, line: impl Into<Bytes>) -> Self {
        Self { label, kind, seq, tick, line: line.into() }
    }

    /// The stream this frame belongs to.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The payload type on the wire.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The place in the stream, from 1.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The host's tick at which it was emitted.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// The bytes to send, newline included.
    pub fn line(&self) -> &Bytes {
        &self.line
    }

    /// Length in bytes, newline included.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// True for a frame without bytes, which no encoder makes.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

impl fmt::Debug for Frame {
    /// Prints the identity and size, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?}/{} {} tick {} {} B)", self.label, self.seq, self.kind, self.tick, self.line.len())
    }
}
