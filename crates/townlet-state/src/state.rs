//! One state, shared.

use std::fmt;
use std::sync::Arc;

use townlet_schema::Object;

/// A state of one stream: its place, the host's tick, and its sections.
///
/// Cheap to clone. The sections must be what may leave the process, redacted,
/// and have none of [`ENVELOPE_KEYS`](townlet_schema::ENVELOPE_KEYS) at the top;
/// [`encode_body_into`](townlet_schema::encode_body_into) refuses such a body.
#[derive(Clone, PartialEq, Eq)]
pub struct State {
    /// Place in the stream, from 1.
    pub seq: u64,
    /// The host's tick.
    pub tick: u64,
    /// Sections by name.
    pub sections: Arc<Object>,
}

impl State {
    /// A state from its parts.
    pub fn new(seq: u64, tick: u64, sections: impl Into<Arc<Object>>) -> Self {
        Self { seq, tick, sections: sections.into() }
    }
}

impl fmt::Debug for State {
    /// The place and the size, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State(seq {}, tick {}, {} sections)", self.seq, self.tick, self.sections.len())
    }
}
