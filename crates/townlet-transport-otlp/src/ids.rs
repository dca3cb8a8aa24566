//! Trace and span ids, derived from what they stand for, so that a record and the
//! span of its tick agree without either having met the other.

use sha2::{Digest, Sha256};

/// Of a trace and of its one span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
}

impl Ids {
    /// Those of a tick of a run.
    pub(crate) fn tick(run_id: &str, tick: u64) -> Self {
        Self::of("tick", run_id, tick, 0)
    }

    /// Those of the request that a run began at this time as its so many-eth.
    pub(crate) fn flush(run_id: &str, nanos: u64, count: u64) -> Self {
        Self::of("flush", run_id, nanos, count)
    }

    fn of(what: &str, run_id: &str, one: u64, other: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(what);
        hash.update([0]);
        hash.update(run_id);
        hash.update(one.to_le_bytes());
        hash.update(other.to_le_bytes());
        let digest = hash.finalize();
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&digest[..16]);
        span.copy_from_slice(&digest[16..24]);
        // W3C trace context: all zero is no id.
        trace[0] |= 1;
        span[0] |= 1;
        Self { trace, span }
    }
}
