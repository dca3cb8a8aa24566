//! When a whole state is due.

/// After how much a whole state comes although nobody asked for it. Needed where
/// a broker lies between, or a reader may join or lose a line unseen; on a
/// connection that keeps order and ends where a line is lost, never is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cadence {
    /// Diffs between two keyframes, at most. 0: as many as there are.
    pub keyframe_every: u32,
    /// Bytes of diff bodies between two keyframes, at most one diff more. 0: as
    /// many as there are.
    pub keyframe_bytes: u64,
}

/// Why a state travelled whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The peer is not known to have any state: the first one, or the first on
    /// a new connection.
    NoBase,
    /// Somebody asked for it.
    Requested,
    /// As many diffs as [`Cadence::keyframe_every`] allows, or bytes.
    Due,
    /// The state is not later than the one that the peer has.
    OutOfOrder,
    /// The peer may have a state between the one before and this one, from a connection
    /// that was lost: it would not take a diff.
    Ahead,
    /// A diff would have been no shorter, or nested too deeply.
    NoShorter,
}

/// What has gone since the last keyframe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Since {
    diffs: u32,
    bytes: u64,
    /// Bytes of the last whole state.
    whole: usize,
}

impl Since {
    pub(crate) fn keyframe(&mut self, bytes: usize) {
        *self = Self { diffs: 0, bytes: 0, whole: bytes };
    }

    pub(crate) fn diff(&mut self, bytes: usize) {
        self.diffs = self.diffs.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    pub(crate) fn is_due(&self, cadence: Cadence) -> bool {
        let Cadence { keyframe_every, keyframe_bytes } = cadence;
        (keyframe_every > 0 && self.diffs >= keyframe_every) || (keyframe_bytes > 0 && self.bytes >= keyframe_bytes)
    }

    /// True where a diff of `bytes` is so long that the whole may be as short.
    /// Writing the whole costs time, so it is not done for every diff.
    pub(crate) fn is_doubtful(&self, bytes: usize) -> bool {
        bytes >= self.whole - self.whole / 4
    }
}
