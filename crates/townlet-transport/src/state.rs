//! States: frames whose line depends on what their peer has.

use std::any::Any;
use std::sync::Arc;

use crate::Frame;

/// What a frame carries in the place of a line: a state that all sinks share,
/// redacted, and rendered for each peer when it is sent.
///
/// Whoever makes one vouches for it as for the bytes of a frame.
pub trait StateBody: Any + Send + Sync {
    /// What it counts against byte bounds: about the length of its whole line.
    fn weight(&self) -> usize;

    /// Appends the whole state as one line, `\n` included, for a peer of which
    /// nothing is known, or for a log.
    fn write_whole(&self, out: &mut Vec<u8>);

    /// This state, and with it what happened up to `older`, an earlier one of the
    /// same stream that will not be sent. None where they cannot become one.
    fn after(&self, older: &dyn StateBody) -> Option<Arc<dyn StateBody>>;
}

/// Renders the states that go to one peer, or through one lane. The worker has
/// one for each connection, and tells it what becomes of what it rendered.
pub trait FrameEncoder: Send {
    /// Appends to `lines` a frame with bytes for each of `batch`, in order, and
    /// takes the peer to have them from now on. Where all have bytes already it
    /// may append nothing; then `batch` is sent as it is.
    fn encode(&mut self, batch: &[Frame], lines: &mut Vec<Frame>);

    /// Nothing is known any more of what the peer has.
    fn connection_lost(&mut self);

    /// These were rendered and did not reach the peer, although the connection stands.
    fn withdraw(&mut self, frames: &[Frame]);

    /// This one is settled, and will not be rendered again.
    fn settled(&mut self, frame: &Frame);

    /// Whole states rendered so far.
    fn keyframes(&self) -> u64;
}
