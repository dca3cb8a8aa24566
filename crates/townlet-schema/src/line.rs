//! Lines: an envelope around a body.

use crate::encode::text::{write_integer, write_string};
use crate::{Kind, RunId, SchemaVersion};

/// The keys of the envelope, in the order in which they are written.
pub const ENVELOPE_KEYS: [&str; 8] =
    ["schema_version", "payload_type", "run_id", "stream", "seq", "tick", "base_seq", "rendering"];

/// The part of the envelope that all lines of one kind in one stream share,
/// rendered once.
///
/// ```
/// use townlet_schema::{Kind, LineExtra, LinePrefix, RunId, SchemaVersion, read_head};
///
/// let run = RunId::from_u128(7);
/// let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Event, &run, "town.events");
/// let mut line = Vec::new();
/// prefix.write_line(1, 40, LineExtra::default(), br#"{"event":"door","payload":{}}"#, &mut line);
///
/// let head = read_head(&line)?;
/// assert_eq!((head.seq, head.tick, head.payload_type), (Some(1), Some(40), Some(Kind::Event)));
/// # Ok::<(), townlet_schema::ReadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinePrefix {
    /// `{"schema_version":…,"stream":…,"seq":`
    text: Box<[u8]>,
    kind: Kind,
}

/// The parts of the envelope that few lines have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineExtra {
    /// On diffs: the `seq` of the state that the diff applies to.
    pub base_seq: Option<u64>,
    /// On keyframes: which rendering of this `seq` it is, from 0.
    pub rendering: Option<u64>,
}

impl LinePrefix {
    /// Renders the shared part.
    pub fn new(version: SchemaVersion, kind: Kind, run_id: &RunId, stream: &str) -> Self {
        let mut text = Vec::with_capacity(128 + stream.len());
        text.extend_from_slice(br#"{"schema_version":""#);
        text.extend_from_slice(version.to_string().as_bytes());
        text.extend_from_slice(br#"","payload_type":""#);
        text.extend_from_slice(kind.as_str().as_bytes());
        text.extend_from_slice(br#"","run_id":""#);
        text.extend_from_slice(run_id.as_str().as_bytes());
        text.extend_from_slice(br#"","stream":"#);
        write_string(stream, &mut text);
        text.extend_from_slice(br#","seq":"#);
        Self { text: text.into(), kind }
    }

    /// The `payload_type` of its lines.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Appends one line, its `\n` included.
    ///
    /// `body` is one compact JSON object as [`encode_into`](crate::encode_into)
    /// writes it. It must not have a key of the envelope: the line would have it
    /// twice, and every reader here refuses that.
    pub fn write_line(&self, seq: u64, tick: u64, extra: LineExtra, body: &[u8], out: &mut Vec<u8>) {
        // Six integers of at most 20 digits and their keys fit in 96 bytes in all but absurd cases.
        out.reserve(self.text.len() + body.len() + 96);
        let open = self.open_line(seq, tick, extra, out);
        out.extend_from_slice(body);
        let closed = open.close(out);
        debug_assert!(closed, "a body is one object");
    }

    /// Begins a line whose body is then appended to `out` and joined to the
    /// envelope by [`OpenLine::close`]: a body that is encoded in its place need
    /// not be copied there.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use townlet_schema::{Kind, LineExtra, LinePrefix, RunId, SchemaVersion, encode_body_into};
    ///
    /// let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Event, &RunId::from_u128(7), "town.events");
    /// let (mut line, mut same) = (Vec::new(), Vec::new());
    /// let open = prefix.open_line(1, 40, LineExtra::default(), &mut line);
    /// encode_body_into(&BTreeMap::from([("event", "door")]), &mut line)?;
    /// assert!(open.close(&mut line));
    ///
    /// prefix.write_line(1, 40, LineExtra::default(), br#"{"event":"door"}"#, &mut same);
    /// assert_eq!(line, same);
    /// # Ok::<(), townlet_schema::EncodeError>(())
    /// ```
    pub fn open_line(&self, seq: u64, tick: u64, extra: LineExtra, out: &mut Vec<u8>) -> OpenLine {
        let start = out.len();
        out.extend_from_slice(&self.text);
        write_integer(seq, out);
        out.extend_from_slice(br#","tick":"#);
        write_integer(tick, out);
        if let Some(base_seq) = extra.base_seq {
            out.extend_from_slice(br#","base_seq":"#);
            write_integer(base_seq, out);
        }
        if let Some(rendering) = extra.rendering {
            out.extend_from_slice(br#","rendering":"#);
            write_integer(rendering, out);
        }
        OpenLine { start, body: out.len() }
    }
}

/// A line whose envelope is written and whose body is not joined to it yet.
#[derive(Clone, Copy, Debug)]
#[must_use = "a line that is not closed is no line"]
pub struct OpenLine {
    start: usize,
    body: usize,
}

impl OpenLine {
    /// Joins the body, one JSON object that was appended to `out` since, to the
    /// envelope, and ends the line. False where it is no object: then `out` is as
    /// it was before the line.
    pub fn close(self, out: &mut Vec<u8>) -> bool {
        let len = out.len();
        match out.get_mut(self.body..) {
            Some([b'{', b'}']) => {
                out.truncate(self.body);
                out.push(b'}');
            }
            Some([open @ b'{', .., b'}']) => *open = b',',
            _ => {
                out.truncate(self.start.min(len));
                return false;
            }
        }
        out.push(b'\n');
        true
    }
}
