//! From values to frames: encode, transform, put the envelope around.
//!
//! Runs off the host's thread: on the worker's where there is one sink, on a
//! thread of its own where there are several, so that events are encoded once.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use townlet_schema::{EncodeError, EncodeErrorKind, Json, Kind, LineExtra, read_head};
use townlet_transform::{Chain, DropReason as Refusal, Dropped, Head, Record, Validator};
use townlet_transport::{Frame, Label};
use townlet_worker::DropReason;
use townlet_worker::driver::panic_message;

use crate::arena::{ARENA_CHUNK, Issued, LONGEST_PIECE};
use crate::body::{event_name, without_envelope};
use crate::intake::{CHUNK_BYTES, Form, Intake, Routes, Token};
use crate::lane::{AnyLane, Encoded};
use crate::replay;
use crate::state::StreamState;
use crate::streams::StreamInfo;
use crate::tap::TapPoint;

/// A rendered line, by its place.
struct Line {
    /// The chunk of the callers in which it lies; none for the stage's own.
    chunk: Option<usize>,
    range: Range<usize>,
    /// Where it is not that of its token: a captured line keeps its own.
    identity: Option<Identity>,
    /// In the place of a line: what each sink renders for itself.
    state: Option<Arc<StreamState>>,
}

impl Line {
    /// In the stage's own buffer.
    fn own(range: Range<usize>, identity: Option<Identity>) -> Self {
        Self { chunk: None, range, identity, state: None }
    }
}

struct Identity {
    label: Label,
    kind: &'static str,
    seq: u64,
}

pub(crate) struct Stage {
    chain: Chain,
    lanes: Vec<Box<dyn AnyLane>>,
    streams: Vec<Arc<StreamInfo>>,
    picked: Vec<Token>,
    /// The chunks in which the encoded ones of those lie.
    chunks: Vec<(u64, Bytes)>,
    issued: Issued,
    /// Frames may keep the callers' chunks: whatever lies in one goes to one sink.
    keeps_chunks: bool,
    /// Of the first of what was picked: its line, then its frame.
    lines: Vec<Result<Line, DropReason>>,
    frames: Vec<Result<Frame, DropReason>>,
    out: Vec<u8>,
    scratch: Vec<u8>,
    panic: Option<String>,
    tap: Arc<TapPoint>,
}

impl Stage {
    /// `one_sink`: nobody else gets what is rendered here.
    pub(crate) fn new(chain: Chain, one_sink: bool) -> Self {
        Self {
            chain,
            lanes: Vec::new(),
            streams: Vec::new(),
            picked: Vec::new(),
            chunks: Vec::new(),
            issued: Issued::default(),
            keeps_chunks: one_sink,
            lines: Vec::new(),
            frames: Vec::new(),
            out: Vec::new(),
            scratch: Vec::new(),
            panic: None,
            tap: Arc::default(),
        }
    }

    /// The chain's validator of mode `raise`.
    pub(crate) fn raising(&self) -> Option<Arc<Validator>> {
        self.chain.raising()
    }

    /// Where it shows its frames.
    pub(crate) fn tap(&self) -> Arc<TapPoint> {
        Arc::clone(&self.tap)
    }

    /// Takes over what was opened, evicted and emitted since; chooses what to render next.
    pub(crate) fn pick(&mut self, intake: &mut Intake, streams: &[Arc<StreamInfo>]) {
        let known = self.streams.len();
        self.streams.extend_from_slice(&streams[known..]);
        self.lanes.extend(intake.take_opened());
        if intake.hand().next().is_none() {
            self.chunks.clear();
        }
        intake.hand_over(&mut self.lanes, &mut self.issued, &mut self.chunks);
        self.issued.supply(&mut intake.arena);
        self.picked.clear();
        self.picked.extend(intake.hand());
    }

    /// Encodes and transforms what was picked. Takes no lock of the pipeline.
    pub(crate) fn render(&mut self) {
        self.bury();
        self.issued.reclaim();
        self.out.clear();
        self.lines.clear();
        let picked = std::mem::take(&mut self.picked);
        // Its bytes lie in the chunk of this index or a later one.
        let mut chunk = 0;
        for token in &picked {
            let start = self.out.len();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.render_one(token, &mut chunk)));
            let outcome = outcome.unwrap_or_else(|panic| {
                self.panic = Some(panic_message(panic.as_ref()));
                Err(DropReason::TransformPanic)
            });
            if outcome.is_err() {
                self.out.truncate(start);
            }
            self.lines.push(outcome);
            if self.out.len() >= CHUNK_BYTES {
                break;
            }
        }
        self.picked = picked;
        self.frame();
        // A rare giant must not stay.
        if self.scratch.capacity() > 4 * CHUNK_BYTES {
            self.scratch = Vec::new();
        }
    }

    /// Frees evicted values, whatever their destructors do.
    fn bury(&mut self) {
        for lane in &mut self.lanes {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| lane.bury())) {
                self.panic = Some(panic_message(panic.as_ref()));
            }
        }
    }

    fn render_one(&mut self, token: &Token, chunk: &mut usize) -> Result<Line, DropReason> {
        let lane = &mut self.lanes[token.stream as usize];
        if token.routes == Routes::NOWHERE {
            if token.place().is_none() {
                drop(lane.discard_front(false));
            }
            // Nobody is asked about it: no route is left to settle.
            return Err(DropReason::Backpressure);
        }
        let info = &self.streams[token.stream as usize];
        let given = match token.place() {
            None => None,
            Some(place) => {
                while self.chunks.get(*chunk).is_some_and(|(number, _)| *number < place.chunk) {
                    *chunk += 1;
                }
                let bytes = self.chunks.get(*chunk).and_then(|(_, bytes)| bytes.get(place.range()));
                Some((bytes.ok_or(DropReason::InvalidPayload)?, place))
            }
        };
        let start = self.out.len();
        let encoded = match (token.form, given) {
            (Form::Line(_), Some((line, place))) => {
                // Passed as a whole: what is around the body is the envelope.
                let passed = self.chain.pass(info.kind, line).ok_or(DropReason::Transform)?;
                if self.keeps_chunks {
                    return Ok(Line { chunk: Some(*chunk), range: place.range(), identity: None, state: None });
                }
                self.out.extend_from_slice(passed.body_bytes());
                return Ok(Line::own(start..self.out.len(), None));
            }
            (_, Some((body, _))) => {
                self.scratch.clear();
                self.scratch.extend_from_slice(body);
                Encoded::Typed
            }
            (_, None) if info.passes => {
                // Encoded where it will stand.
                let open = info.prefix.open_line(token.seq, token.tick, LineExtra::default(), &mut self.out);
                let body = self.out.len();
                let encoded = lane.encode_front(&mut self.out).ok_or(DropReason::InvalidPayload)?;
                let typed = matches!(encoded, Ok(Encoded::Typed));
                // A type may be written as something else than an object; such a body goes the long way to its drop.
                let passes = typed && self.out.get(body) == Some(&b'{');
                if passes && self.chain.pass(info.kind, &self.out[body..]).is_some() && open.close(&mut self.out) {
                    return Ok(Line::own(start..self.out.len(), None));
                }
                self.scratch.clear();
                self.scratch.extend_from_slice(&self.out[body..]);
                self.out.truncate(start);
                encoded.map_err(|e| count(&self.chain, info.kind, &Dropped::from(e)))?
            }
            (_, None) => {
                if info.diff.is_some()
                    && let Some(built) = lane.build_front()
                {
                    let built = built.map_err(Dropped::from).and_then(|tree| record_of_tree(info, token.tick, tree));
                    return self.state(token, built);
                }
                self.scratch.clear();
                let encoded = lane.encode_front(&mut self.scratch).ok_or(DropReason::InvalidPayload)?;
                encoded.map_err(|e| count(&self.chain, info.kind, &Dropped::from(e)))?
            }
        };
        if info.diff.is_some() {
            let built = record(info, token.tick, encoded, std::mem::take(&mut self.scratch));
            return self.state(token, built);
        }
        let identity = self.transform(token, encoded)?;
        Ok(Line::own(start..self.out.len(), identity))
    }

    /// A state: through the chain as a tree, and to the sinks as one.
    fn state(&mut self, token: &Token, record: Result<Record, Dropped>) -> Result<Line, DropReason> {
        let info = &self.streams[token.stream as usize];
        let record = record.map_err(|dropped| count(&self.chain, info.kind, &dropped))?;
        let tree = self.chain.run_to_tree(record).map_err(|dropped| reason_of(&dropped))?;
        let state = StreamState::new(info, token.seq, token.tick, tree);
        let state = state.map_err(|dropped| count(&self.chain, info.kind, &dropped))?;
        let here = self.out.len();
        Ok(Line { state: Some(Arc::new(state)), ..Line::own(here..here, None) })
    }

    /// The long way: a record of the body in `scratch`, through the chain.
    fn transform(&mut self, token: &Token, encoded: Encoded) -> Result<Option<Identity>, DropReason> {
        let info = &self.streams[token.stream as usize];
        let body = std::mem::take(&mut self.scratch);
        if let Encoded::Line = encoded {
            let identity = render_captured(&mut self.chain, info, token, &body, &mut self.out);
            self.scratch = body;
            return identity.map(Some);
        }
        let record = record(info, token.tick, encoded, body);
        let record = record.map_err(|dropped| count(&self.chain, info.kind, &dropped))?;
        let redacted = self.chain.run(record).map_err(|dropped| reason_of(&dropped))?;
        info.prefix.write_line(token.seq, token.tick, LineExtra::default(), redacted.body_bytes(), &mut self.out);
        self.scratch = redacted.into_body();
        Ok(None)
    }

    /// Makes frames of the lines. They share one allocation where that keeps
    /// nothing in memory for longer than its own queue does.
    fn frame(&mut self) {
        let tokens = self.picked.iter();
        let mut rendered = tokens.zip(&self.lines).filter_map(|(token, line)| Some((token, line.as_ref().ok()?)));
        let mut routes = None;
        let alike = rendered.all(|(token, line)| {
            line.range.len() <= LONGEST_PIECE && *routes.get_or_insert(token.routes) == token.routes
        });
        let (shared, apart) = if alike {
            let mut empty = self.issued.empty();
            std::mem::swap(&mut empty, &mut self.out);
            let chunk = self.issued.seal(empty);
            self.issued.watch(chunk.clone());
            (chunk, &[][..])
        } else {
            (Bytes::new(), &self.out[..])
        };
        let (streams, chunks) = (&self.streams, &self.chunks);
        let mut showing = self.tap.showing();
        let frames = self.picked.iter().zip(self.lines.drain(..)).map(|(token, outcome)| {
            outcome.map(|Line { chunk, range, identity, state }| {
                if let Some(state) = state {
                    let StreamInfo { label, kind, .. } = &*streams[token.stream as usize];
                    let frame = Frame::unrendered(label.clone(), kind.as_str(), token.seq, token.tick, state);
                    if let Some(showing) = &mut showing {
                        showing.captured(&frame.whole());
                    }
                    return frame;
                }
                let (bytes, range) = match chunk {
                    Some(index) => (chunks[index].1.clone(), range),
                    None if alike => (shared.clone(), range),
                    None => (Bytes::copy_from_slice(&apart[range.clone()]), 0..range.len()),
                };
                let info = &streams[token.stream as usize];
                let Some(Identity { label, kind, seq }) = identity else {
                    if let Some(showing) = &mut showing {
                        showing.line(&bytes, &range);
                    }
                    let kind = info.kind.as_str();
                    return Frame::within(info.label.clone(), kind, token.seq, token.tick, bytes, range);
                };
                let frame = Frame::within(label, kind, seq, token.tick, bytes, range);
                if let Some(showing) = &mut showing {
                    showing.captured(&frame);
                }
                frame
            })
        });
        self.frames.clear();
        self.frames.extend(frames);
        if let Some(showing) = showing {
            self.tap.show(showing);
        }
        if self.out.capacity() > 2 * ARENA_CHUNK {
            self.out = Vec::new();
        }
    }

    /// What was rendered, oldest first, of what the intake has in hand. Call once.
    pub(crate) fn rendered(&mut self) -> impl ExactSizeIterator<Item = Result<Frame, DropReason>> {
        self.frames.drain(..)
    }

    pub(crate) fn take_panic(&mut self) -> Option<String> {
        self.panic.take()
    }
}

/// The record of a body, checked as far as its origin asks for.
fn record(info: &StreamInfo, tick: u64, origin: Encoded, body: Vec<u8>) -> Result<Record, Dropped> {
    let body = match origin {
        Encoded::Loose => without_envelope(body)?,
        _ => body,
    };
    let mut head = Head::new(info.kind, Arc::clone(&info.name), tick);
    if info.kind == Kind::Event {
        head.event = event_name(&body);
    }
    match origin {
        Encoded::Foreign => Record::checked(head, body),
        Encoded::Typed if info.proven => Record::encoded(head, body).map(Record::proven_by_type),
        _ => Record::encoded(head, body),
    }
}

/// The record of a value that was built from the stream's type.
fn record_of_tree(info: &StreamInfo, tick: u64, tree: Json) -> Result<Record, Dropped> {
    let Json::Object(tree) = tree else {
        return Err(Dropped::new(Refusal::InvalidPayload, "a body must be one JSON object"));
    };
    let record = Record::from_tree(Head::new(info.kind, Arc::clone(&info.name), tick), tree)?;
    Ok(if info.proven { record.proven_by_type() } else { record })
}

/// A captured line: its own envelope around the transformed body.
fn render_captured(
    chain: &mut Chain,
    info: &StreamInfo,
    token: &Token,
    line: &[u8],
    out: &mut Vec<u8>,
) -> Result<Identity, DropReason> {
    let head = read_head(line).map_err(Dropped::from);
    let record = head.and_then(|head| Ok((head, Record::from_line(line, &info.name)?)));
    let (head, record) = record.map_err(|dropped| count(chain, info.kind, &dropped))?;
    let redacted = chain.run(record).map_err(|dropped| reason_of(&dropped))?;
    replay::write_line(&head, redacted.body_bytes(), out);
    let kind = redacted.kind().as_str();
    Ok(match (head.run_id, head.stream, head.seq) {
        (Some(run_id), Some(stream), Some(seq)) => Identity { label: Label::new(&run_id, &stream), kind, seq },
        // Older lines have none; receivers must still be able to tell them apart.
        _ => Identity { label: info.label.clone(), kind, seq: token.seq },
    })
}

/// Counts a record that did not get as far as the chain with those that it refused.
fn count(chain: &Chain, kind: Kind, dropped: &Dropped) -> DropReason {
    chain.count_drop(kind, dropped);
    reason_of(dropped)
}

fn reason_of(drop: &Dropped) -> DropReason {
    match drop.reason {
        Refusal::MissingFields => DropReason::MissingFields,
        Refusal::SchemaInvalid => DropReason::SchemaInvalid,
        Refusal::NonFinite => DropReason::NonFinite,
        Refusal::InvalidPayload => DropReason::InvalidPayload,
        Refusal::Oversize => DropReason::Oversize,
        _ => DropReason::Transform,
    }
}

/// The books' name for a payload that cannot be encoded.
pub(crate) fn reason_of_encoding(error: &EncodeError) -> DropReason {
    match error.kind() {
        EncodeErrorKind::NonFinite => DropReason::NonFinite,
        EncodeErrorKind::TooLarge => DropReason::Oversize,
        _ => DropReason::InvalidPayload,
    }
}
