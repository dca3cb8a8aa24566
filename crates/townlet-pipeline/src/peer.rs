//! What each sink's peer has of the states, and the lines that it gets for them.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use townlet_schema::Kind;
use townlet_state::{Cadence, LegacyEncoder, State, StateEncoder};
use townlet_transform::RedactFields;
use townlet_transport::{Frame, FrameEncoder, Label};

use crate::planted;
use crate::state::StreamState;

/// The form in which a sink gets the states, which are the lines of kind
/// `snapshot` that this program emits. What is replayed keeps its own form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateForm {
    /// Each whole.
    #[default]
    Whole,
    /// Whole where the peer may have none, then what changed: `diff_enabled`.
    /// With `fan_out` each state is whole, since no lane has the stream alone.
    Diffs(Cadence),
    /// As version 0.9.7 wrote them, for readers that know nothing later:
    /// `wire: legacy-0.9`. Such a sink gets states and nothing else: the old
    /// stream had no other kinds. What it does not get is not on its books.
    Legacy(Cadence),
}

impl StateForm {
    /// What renders states in this form for one peer; none where each goes out
    /// whole. For a host that drives workers itself, with the frames of a
    /// [`StateFrames`](crate::StateFrames): a pipeline gives each of its sinks one.
    ///
    /// `redactions` are those of the chain that the states have been through.
    pub fn encoder(self, redactions: Arc<[Arc<RedactFields>]>) -> Option<Box<dyn FrameEncoder>> {
        Rendering { form: self, redactions }.encoder()
    }
}

/// How a sink's drivers render states.
#[derive(Clone)]
pub(crate) struct Rendering {
    pub(crate) form: StateForm,
    pub(crate) redactions: Arc<[Arc<RedactFields>]>,
}

impl Rendering {
    pub(crate) fn encoder(&self) -> Option<Box<dyn FrameEncoder>> {
        let new = || {
            let (streams, body) = (HashMap::new(), Vec::new());
            PeerEncoder { rendering: self.clone(), streams, body, keyframes: 0 }
        };
        (self.form != StateForm::Whole).then(|| Box::new(new()) as Box<dyn FrameEncoder>)
    }
}

enum Encoder {
    Diffs(Box<StateEncoder>),
    Legacy(Box<LegacyEncoder>),
}

struct PeerEncoder {
    rendering: Rendering,
    streams: HashMap<Label, Encoder>,
    body: Vec<u8>,
    keyframes: u64,
}

impl PeerEncoder {
    fn render(&mut self, frame: &Frame, shared: &StreamState) -> Frame {
        let Self { rendering, streams, body, keyframes } = self;
        if !streams.contains_key(frame.label()) {
            let encoder = match rendering.form {
                StateForm::Legacy(cadence) => Encoder::Legacy(LegacyEncoder::new(cadence).into()),
                StateForm::Diffs(cadence) => Encoder::Diffs(StateEncoder::new(cadence).into()),
                StateForm::Whole => return frame.whole(),
            };
            streams.insert(frame.label().clone(), encoder);
        }
        let state: State = shared.state();
        let mut line = Vec::new();
        let kind = match streams.get_mut(frame.label()) {
            None => return frame.whole(),
            Some(Encoder::Legacy(encoder)) => encoder.render(&state, &mut line).0,
            Some(Encoder::Diffs(encoder)) => {
                body.clear();
                let rendered = encoder.render(&state, body);
                // What no redaction leaves in the states cannot stand between them.
                debug_assert!(
                    !rendering.redactions.iter().any(|redaction| redaction.finds(rendered.kind, body)),
                    "{frame:?} has what is redacted"
                );
                let (info, extra) = (&shared.info, rendered.extra());
                let prefix = info.diff.as_ref().filter(|_| !rendered.is_keyframe()).unwrap_or(&info.prefix);
                prefix.write_line(rendered.seq, rendered.tick, extra, body, &mut line);
                rendered.kind
            }
        };
        *keyframes += u64::from(kind == Kind::Snapshot);
        if body.capacity() > 1 << 20 {
            *body = Vec::new();
        }
        Frame::new(frame.label().clone(), kind.as_str(), frame.seq(), frame.tick(), line)
    }
}

impl FrameEncoder for PeerEncoder {
    fn encode(&mut self, batch: &[Frame], lines: &mut Vec<Frame>) {
        for (index, frame) in batch.iter().enumerate() {
            let Some(state) = frame.state() else {
                // A state that comes back from a spill, or one of a captured stream:
                // from here on the peer has that, which is not known here.
                if matches!(frame.kind(), "snapshot" | "diff")
                    && !planted::is("a state that comes back from disk is not known to be there")
                    && let Some(encoder) = self.streams.get_mut(frame.label())
                {
                    encoder.bypassed(frame.seq());
                }
                if !lines.is_empty() {
                    lines.push(frame.clone());
                }
                continue;
            };
            if lines.is_empty() {
                lines.extend_from_slice(&batch[..index]);
            }
            let state = (state.as_ref() as &dyn Any).downcast_ref::<StreamState>();
            lines.push(state.map_or_else(|| frame.whole(), |state| self.render(frame, state)));
        }
    }

    fn connection_lost(&mut self) {
        self.streams.values_mut().for_each(Encoder::forget);
    }

    fn withdraw(&mut self, frames: &[Frame]) {
        for frame in frames.iter().filter(|frame| frame.state().is_some()) {
            match self.streams.get_mut(frame.label()) {
                Some(Encoder::Diffs(encoder)) => encoder.withdraw(frame.seq()),
                Some(Encoder::Legacy(encoder)) => encoder.withdraw(frame.seq()),
                None => {}
            }
        }
    }

    fn settled(&mut self, frame: &Frame) {
        if let Some(Encoder::Diffs(encoder)) = self.streams.get_mut(frame.label()) {
            encoder.settled(frame.seq());
        }
    }

    fn keyframes(&self) -> u64 {
        self.keyframes
    }
}

impl Encoder {
    fn bypassed(&mut self, seq: u64) {
        match self {
            Self::Diffs(encoder) => encoder.bypassed(seq),
            // Its readers have no numbers.
            Self::Legacy(encoder) => encoder.connection_lost(),
        }
    }

    fn forget(&mut self) {
        match self {
            Self::Diffs(encoder) => encoder.connection_lost(),
            Self::Legacy(encoder) => encoder.connection_lost(),
        }
    }
}
