//! A frame: the unit that queues hold, transports send and the ledger counts.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::StateBody;

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
/// Cloning shares the bytes. A frame may be a part of a larger chunk that it
/// shares with its neighbours: see [`runs`].
///
/// Whoever builds a frame vouches that its bytes may leave the process. Inside
/// the pipeline only the redacting stage does so.
#[derive(Clone)]
pub struct Frame {
    label: Label,
    kind: &'static str,
    seq: u64,
    tick: u64,
    body: Body,
    start: usize,
    /// Of a state it is the weight: there is no byte before or behind.
    end: usize,
}

/// Queues move frames often, so that these share their place.
#[derive(Clone)]
enum Body {
    Chunk(Bytes),
    State(Arc<dyn StateBody>),
}

impl Frame {
    /// A frame from a whole line, its `\n` included.
    ///
    /// `kind` is the payload type on the wire (`snapshot`, `event`, …), `seq`
    /// the place in the stream, from 1 without gaps, `tick` the host's tick.
    pub fn new(label: Label, kind: &'static str, seq: u64, tick: u64, line: impl Into<Bytes>) -> Self {
        let chunk = line.into();
        Self { label, kind, seq, tick, start: 0, end: chunk.len(), body: Body::Chunk(chunk) }
    }

    /// A frame whose line lies at `range` of `chunk`, which it keeps in memory
    /// as a whole: for lines that were encoded one behind the other and settle
    /// at about the same time. A range beyond the chunk ends with it.
    pub fn within(
        label: Label,
        kind: &'static str,
        seq: u64,
        tick: u64,
        chunk: Bytes,
        range: std::ops::Range<usize>,
    ) -> Self {
        let end = range.end.min(chunk.len());
        Self { label, kind, seq, tick, start: range.start.min(end), end, body: Body::Chunk(chunk) }
    }

    /// A frame with a state, whose line depends on the peer that it is sent to.
    /// It has no bytes until a [`FrameEncoder`](crate::FrameEncoder) has rendered it.
    pub fn unrendered(label: Label, kind: &'static str, seq: u64, tick: u64, state: Arc<dyn StateBody>) -> Self {
        let end = state.weight().max(1);
        Self { label, kind, seq, tick, start: 0, end, body: Body::State(state) }
    }

    /// The state, where it has one and no bytes.
    pub fn state(&self) -> Option<&Arc<dyn StateBody>> {
        if let Body::State(state) = &self.body { Some(state) } else { None }
    }

    /// The same place in the stream with another state, or with a state after all.
    #[must_use]
    pub fn with_state(&self, state: Arc<dyn StateBody>) -> Self {
        Self::unrendered(self.label.clone(), self.kind, self.seq, self.tick, state)
    }

    /// The same with the bytes of the whole state; a copy where it has bytes.
    #[must_use]
    pub fn whole(&self) -> Self {
        let Body::State(state) = &self.body else { return self.clone() };
        let mut line = Vec::with_capacity(self.end);
        state.write_whole(&mut line);
        Self::new(self.label.clone(), self.kind, self.seq, self.tick, line)
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

    /// The bytes to send, newline included; none of a state.
    pub fn line(&self) -> &[u8] {
        self.chunk().get(self.start..self.end).unwrap_or_default()
    }

    /// What its line lies in.
    fn chunk(&self) -> &[u8] {
        if let Body::Chunk(chunk) = &self.body { chunk } else { &[] }
    }

    /// The bytes to send, to keep: shared, not copied. They keep the whole chunk.
    pub fn bytes(&self) -> Bytes {
        match &self.body {
            Body::Chunk(chunk) => chunk.slice(self.start..self.end),
            Body::State(_) => Bytes::new(),
        }
    }

    /// Length in bytes, newline included; of a state its weight.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// True for a frame without bytes, which no encoder makes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// True where `next` lies right behind this frame in the same chunk.
    fn adjoins(&self, next: &Self) -> bool {
        // A state has a weight and begins at 0, so that nothing adjoins it.
        let (chunk, other) = (self.chunk(), next.chunk());
        self.end == next.start && chunk.as_ptr() == other.as_ptr() && chunk.len() == other.len()
    }
}

/// The bytes of `batch` in order, in as few pieces as they lie in memory: frames
/// that were encoded one behind the other come as one piece, so that they need
/// neither be gathered nor written one by one.
///
/// ```
/// use bytes::Bytes;
/// use townlet_transport::{Frame, Label, runs};
///
/// let (label, chunk) = (Label::new("run", "town"), Bytes::from_static(b"{}\n{\"a\":1}\n"));
/// let frame = |seq, range| Frame::within(label.clone(), "event", seq, 1, chunk.clone(), range);
/// let apart = Frame::new(label.clone(), "event", 3, 1, "{}\n");
/// let batch = [frame(1, 0..3), frame(2, 3..11), apart];
/// assert_eq!(runs(&batch).collect::<Vec<_>>(), [&chunk[..], b"{}\n"]);
/// ```
pub fn runs(batch: &[Frame]) -> impl Iterator<Item = &[u8]> + Clone {
    batch.chunk_by(Frame::adjoins).map(|run| {
        // `chunk_by` gives no empty run.
        let (first, last) = (&run[0], &run[run.len() - 1]);
        first.chunk().get(first.start..last.end).unwrap_or_default()
    })
}

impl fmt::Debug for Frame {
    /// Prints the identity and size, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?}/{} {} tick {} {} B)", self.label, self.seq, self.kind, self.tick, self.len())
    }
}
