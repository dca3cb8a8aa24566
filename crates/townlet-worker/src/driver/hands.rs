//! What a driver has in its hands: the batch, the lines that it goes out as, and
//! what is with the peer and not acknowledged.

use std::collections::VecDeque;
use std::fmt;

use townlet_transport::{Frame, FrameEncoder};

use crate::machine::Machine;
use crate::planted;

/// A batch between a [`Machine`] and a transport. It does no I/O; whoever does tells
/// it what came of it, so that the encoder always knows what the peer has.
///
/// For each batch: [`take`](Self::take), [`render`](Self::render), send
/// [`lines`](Self::lines); then one of [`sent`](Self::sent), [`settled`](Self::settled),
/// [`reject`](Self::reject) and [`let_go`](Self::let_go).
#[derive(Default)]
pub struct Hands {
    batch: Vec<Frame>,
    /// The batch as it goes out, where there are states in it; else empty.
    lines: Vec<Frame>,
    /// Sent and unacknowledged, oldest first.
    flight: VecDeque<Frame>,
    encoder: Option<Box<dyn FrameEncoder>>,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").field("batch", &self.batch).field("flight", &self.flight).finish_non_exhaustive()
    }
}

impl Hands {
    /// Empty ones. Without an encoder states go out whole.
    pub fn new(encoder: Option<Box<dyn FrameEncoder>>) -> Self {
        Self { encoder, ..Self::default() }
    }

    /// Takes a part of the next batch of `machine`; true where there is more of it.
    pub fn take(&mut self, machine: &mut Machine) -> bool {
        machine.take_part(&mut self.batch)
    }

    /// Makes lines of the states in the batch; true where there were any, and the
    /// machine is to be told ([`note_rendered`](Self::note_rendered)). One look where there are none.
    pub fn render(&mut self) -> bool {
        match &mut self.encoder {
            Some(encoder) => encoder.encode(&self.batch, &mut self.lines),
            None if self.batch.iter().all(|frame| frame.state().is_none()) => {}
            None => self.lines.extend(self.batch.iter().map(Frame::whole)),
        }
        debug_assert!(self.lines.is_empty() || self.lines.len() == self.batch.len(), "a line for each frame");
        !self.lines.is_empty()
    }

    /// What [`render`](Self::render) made, for the books.
    pub fn note_rendered(&self, machine: &mut Machine) {
        let keyframes = self.encoder.as_ref().map_or(0, |encoder| encoder.keyframes());
        machine.rendered(&self.lines, keyframes);
    }

    /// The batch, as it was taken.
    pub fn batch(&self) -> &[Frame] {
        &self.batch
    }

    /// The batch, as it goes out.
    pub fn lines(&self) -> &[Frame] {
        if self.lines.is_empty() { &self.batch } else { &self.lines }
    }

    /// The call that sent them has returned.
    pub fn drop_lines(&mut self) {
        self.lines.clear();
    }

    /// Sent and unacknowledged, oldest first.
    pub fn flight(&self) -> &VecDeque<Frame> {
        &self.flight
    }

    /// The batch is with the peer, and receipts will follow.
    pub fn sent(&mut self) {
        self.flight.extend(self.batch.drain(..));
    }

    /// The first `frames` of the batch are settled. Returns the newest one's tick.
    pub fn settled(&mut self, frames: usize) -> Option<u64> {
        let tick = frames.checked_sub(1).and_then(|last| self.batch.get(last)).map(Frame::tick);
        for frame in self.batch.drain(..frames.min(self.batch.len())) {
            note_settled(&mut self.encoder, &frame);
        }
        tick
    }

    /// Receipts came for the `frames` oldest in flight. Returns how many there were,
    /// and the newest one's tick.
    pub fn acknowledged(&mut self, frames: usize) -> Option<(usize, u64)> {
        let frames = frames.min(self.flight.len());
        let tick = frames.checked_sub(1).map(|last| self.flight[last].tick())?;
        for frame in self.flight.drain(..frames) {
            note_settled(&mut self.encoder, &frame);
        }
        Some((frames, tick))
    }

    /// The peer will never take the `heads` first frames of the batch, at least one.
    /// Returns them and the others, of which it got none. The connection stands.
    pub fn reject(&mut self, heads: usize) -> (Vec<Frame>, Vec<Frame>) {
        if let Some(encoder) = &mut self.encoder
            && !planted::is("a state that was refused is taken to be there")
        {
            encoder.withdraw(&self.batch);
        }
        let rest = self.batch.split_off(heads.max(1).min(self.batch.len()));
        (std::mem::take(&mut self.batch), rest)
    }

    /// The connection has gone, or is about to: the next state goes out whole.
    pub fn forget_peer(&mut self) {
        if let Some(encoder) = &mut self.encoder
            && !planted::is("what the peer had is not forgotten with its connection")
        {
            encoder.connection_lost();
        }
    }

    /// All frames, in the order in which they were taken; the connection is gone.
    pub fn let_go(&mut self) -> Vec<Frame> {
        self.forget_peer();
        self.lines.clear();
        let mut frames: Vec<Frame> = self.flight.drain(..).collect();
        frames.append(&mut self.batch);
        frames
    }

    /// What is in flight is to be rejected: it is the batch again.
    pub fn recall(&mut self) {
        self.batch = self.let_go();
    }
}

/// It will not be rendered again.
fn note_settled(encoder: &mut Option<Box<dyn FrameEncoder>>, frame: &Frame) {
    if let (Some(_), Some(encoder)) = (frame.state(), encoder) {
        encoder.settled(frame);
    }
}
