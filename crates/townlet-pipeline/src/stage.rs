//! From values to frames: encode, transform, put the envelope around.
//!
//! Runs off the host's thread: on the worker's where there is one sink, on a
//! thread of its own where there are several, so that events are encoded once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use townlet_schema::{EncodeError, EncodeErrorKind, Kind, LineExtra, read_head};
use townlet_transform::{Chain, Dropped, Head, Record, Validator};
use townlet_transport::{Frame, Label};
use townlet_worker::DropReason;
use townlet_worker::driver::panic_message;

use crate::body::{event_name, without_envelope};
use crate::intake::{CHUNK_BYTES, Intake, Routes, Token};
use crate::lane::{AnyLane, Encoded};
use crate::replay;
use crate::streams::StreamInfo;

/// A longer line gets an allocation of its own, so that a short one that waits
/// in some queue never keeps it in memory.
const LONG_LINE: usize = CHUNK_BYTES / 4;

/// A rendered line, by its place in the chunk.
struct Line {
    start: usize,
    end: usize,
    /// Where it is not that of its token: a captured line keeps its own.
    identity: Option<Identity>,
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
    lines: Vec<(Token, Result<Line, DropReason>)>,
    frames: Vec<(Token, Result<Frame, DropReason>)>,
    out: Vec<u8>,
    scratch: Vec<u8>,
    panic: Option<String>,
}

impl Stage {
    pub(crate) fn new(chain: Chain) -> Self {
        Self {
            chain,
            lanes: Vec::new(),
            streams: Vec::new(),
            picked: Vec::new(),
            lines: Vec::new(),
            frames: Vec::new(),
            out: Vec::new(),
            scratch: Vec::new(),
            panic: None,
        }
    }

    /// The chain's validator of mode `raise`.
    pub(crate) fn raising(&self) -> Option<Arc<Validator>> {
        self.chain.raising()
    }

    /// Takes over what was opened, evicted and emitted since; chooses what to render next.
    pub(crate) fn pick(&mut self, intake: &mut Intake, streams: &[Arc<StreamInfo>]) {
        let known = self.streams.len();
        self.streams.extend_from_slice(&streams[known..]);
        self.lanes.extend(intake.take_opened());
        intake.hand_over(&mut self.lanes);
        self.picked.clear();
        self.picked.extend(intake.hand());
    }

    /// Encodes and transforms what was picked. Takes no lock of the pipeline.
    pub(crate) fn render(&mut self) {
        self.bury();
        self.out.clear();
        self.lines.clear();
        let picked = std::mem::take(&mut self.picked);
        for token in &picked {
            let start = self.out.len();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.render_one(token)));
            let outcome = match outcome {
                Ok(Ok(identity)) => Ok(Line { start, end: self.out.len(), identity }),
                Ok(Err(reason)) => Err(reason),
                Err(panic) => {
                    self.panic = Some(panic_message(panic.as_ref()));
                    Err(DropReason::TransformPanic)
                }
            };
            if outcome.is_err() {
                self.out.truncate(start);
            }
            self.lines.push((*token, outcome));
            if self.out.len() >= CHUNK_BYTES {
                break;
            }
        }
        self.picked = picked;
        self.frame();
        // A rare giant must not stay.
        for buffer in [&mut self.out, &mut self.scratch] {
            if buffer.capacity() > 4 * CHUNK_BYTES {
                *buffer = Vec::new();
            }
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

    fn render_one(&mut self, token: &Token) -> Result<Option<Identity>, DropReason> {
        let lane = &mut self.lanes[token.stream as usize];
        if token.routes == Routes::NOWHERE {
            drop(lane.discard_front(false));
            // Nobody is asked about it: no route is left to settle.
            return Err(DropReason::Backpressure);
        }
        let info = &self.streams[token.stream as usize];
        let mut body = std::mem::take(&mut self.scratch);
        let encoded = lane.encode_front(&mut body).ok_or(DropReason::InvalidPayload)?;
        if let Ok(Encoded::Typed) = encoded
            // A type may be written as something else than an object; such a body goes the long way to its drop.
            && body.first() == Some(&b'{')
            && let Some(passed) = self.chain.pass(info.kind, &body)
        {
            let extra = LineExtra::default();
            info.prefix.write_line(token.seq, token.tick, extra, passed.body_bytes(), &mut self.out);
            self.scratch = body;
            return Ok(None);
        }
        let record = match encoded {
            Ok(Encoded::Line) => {
                let identity = render_captured(&mut self.chain, info, token, &body, &mut self.out);
                self.scratch = body;
                return identity.map(Some);
            }
            Ok(encoded) => record(info, token.tick, encoded, body),
            Err(e) => Err(Dropped::from(e)),
        };
        let record = record.map_err(|dropped| count(&self.chain, info.kind, &dropped))?;
        let redacted = self.chain.run(record).map_err(|dropped| reason_of(&dropped))?;
        info.prefix.write_line(token.seq, token.tick, LineExtra::default(), redacted.body_bytes(), &mut self.out);
        self.scratch = redacted.into_body();
        Ok(None)
    }

    /// Makes frames of the lines. They share one allocation where that keeps
    /// nothing in memory for longer than its own queue does.
    fn frame(&mut self) {
        let mut rendered = self.lines.iter().filter_map(|(token, line)| Some((token, line.as_ref().ok()?)));
        let mut routes = None;
        let alike = rendered.all(|(token, line)| {
            line.end - line.start <= LONG_LINE && *routes.get_or_insert(token.routes) == token.routes
        });
        let shared = (alike && !self.out.is_empty()).then(|| Bytes::copy_from_slice(&self.out));
        let (streams, out) = (&self.streams, &self.out);
        let frames = self.lines.drain(..).map(|(token, outcome)| {
            let frame = outcome.map(|Line { start, end, identity }| {
                let bytes = match &shared {
                    Some(all) => all.slice(start..end),
                    None => Bytes::copy_from_slice(&out[start..end]),
                };
                match identity {
                    Some(Identity { label, kind, seq }) => Frame::new(label, kind, seq, token.tick, bytes),
                    None => {
                        let info = &streams[token.stream as usize];
                        Frame::new(info.label.clone(), info.kind.as_str(), token.seq, token.tick, bytes)
                    }
                }
            });
            (token, frame)
        });
        self.frames.clear();
        self.frames.extend(frames);
    }

    /// What was rendered. Call once.
    pub(crate) fn rendered(&mut self) -> impl Iterator<Item = (Token, Result<Frame, DropReason>)> {
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
    use townlet_transform::DropReason as Why;
    match drop.reason {
        Why::MissingFields => DropReason::MissingFields,
        Why::SchemaInvalid => DropReason::SchemaInvalid,
        Why::NonFinite => DropReason::NonFinite,
        Why::InvalidPayload => DropReason::InvalidPayload,
        Why::Oversize => DropReason::Oversize,
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
