//! What a peer refuses for good, handed to whoever keeps it.

use std::fmt;

use townlet_transport::{ErrorKind, Frame, TransportError};

use crate::DropReason;

/// Why frames will not be delivered.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The sink; its second lane is called `<sink>.lane`.
    pub sink: &'a str,
    /// Under which they are counted.
    pub reason: DropReason,
    /// What the peer, or the transport, says of them.
    pub error: &'a TransportError,
}

/// Keeps what a peer refuses.
///
/// It is called on the worker's thread, without a lock, before the frames are
/// counted as dropped; hosts wait for it only as far as they wait for room. It
/// should end soon. What it does not manage to keep it has to count itself: the
/// books know the drop, whatever comes of it here. A panic is caught and logged.
pub trait DeadLetters: Send + Sync {
    /// Keeps `frames`, at least one, all with bytes: a state comes whole. Where a
    /// peer says only how many it refused, which ones these are is the transport's guess.
    fn keep(&self, refusal: &Refusal<'_>, frames: &[Frame]);
}

impl fmt::Debug for dyn DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeadLetters")
    }
}

impl DropReason {
    /// Under which a frame is counted that its peer refuses with this kind.
    pub fn of_refusal(kind: ErrorKind) -> Self {
        if kind == ErrorKind::TooLarge { Self::Oversize } else { Self::Rejected }
    }
}
