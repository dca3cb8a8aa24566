//! The contract of a transform.

use townlet_schema::Kind;

use crate::dropped::Dropped;
use crate::record::Record;

/// One step of a chain: looks at a record, may change it, may refuse it.
///
/// A chain calls it from one thread, one record at a time, in the order of the stream. It runs off the host's loop,
/// before redaction, so it sees values that must not leave: whatever it logs or puts into [`Dropped::detail`] is its
/// own responsibility. A panic is not caught by the chain; the worker that runs the chain catches it and restarts.
pub trait Transform: Send {
    /// A short name for logs: `snapshot_normalizer`.
    fn id(&self) -> &str;

    /// False for kinds that it never touches; the chain then skips it without looking. Must not change over time.
    fn concerns(&self, kind: Kind) -> bool;

    /// Changes `record`, or leaves it alone, or refuses it.
    ///
    /// # Errors
    /// The record is dropped and counted under the reason. A host's own reasons are
    /// [`DropReason::Transform`](crate::DropReason::Transform) with a fixed name.
    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped>;
}
