//! States as frames, for a host that drives workers itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use townlet_schema::{RunId, Snapshot};
use townlet_transform::{Dropped, RedactedTree};
use townlet_transport::{Frame, Label};

use crate::error::StreamError;
use crate::state::StreamState;
use crate::streams::{StreamInfo, Streams};

/// A stream of states without a pipeline: what the stage makes of them, for a host
/// that has workers of its own ([`townlet_worker`]) and numbers the states itself.
///
/// The frames merge under `coalesce`, go to a spill whole, and are rendered for each
/// peer by [`StateForm::encoder`](crate::StateForm::encoder).
///
/// ```
/// use townlet_pipeline::{Cadence, StateForm, StateFrames};
/// use townlet_schema::{Kind, Object, RunId};
/// use townlet_transform::{Chain, Head, Record};
///
/// let mut chain = Chain::standard()?;
/// let town = StateFrames::new(RunId::from_u128(7), "town")?;
/// let mut peer = StateForm::Diffs(Cadence::default()).encoder(chain.redactions()).expect("diffs have one");
/// let mut lines = Vec::new();
/// for seq in 1..=2 {
///     let sections = Object::from_iter([("weather", Object::from_iter([("rain", seq)]))]);
///     let record = Record::from_tree(Head::new(Kind::Snapshot, "town", seq), sections)?;
///     let frame = town.frame(seq, seq, chain.run_to_tree(record)?)?;
///     peer.encode(&[frame], &mut lines);
/// }
/// assert_eq!([lines[0].kind(), lines[1].kind()], ["snapshot", "diff"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateFrames(Arc<StreamInfo>);

impl StateFrames {
    /// The stream `name` of a run.
    ///
    /// # Errors
    /// [`StreamError::BadName`] where it is not a name.
    pub fn new(run_id: RunId, name: &str) -> Result<Self, StreamError> {
        let mut streams = Streams::new(run_id, Vec::new(), true);
        let (index, _) = streams.open::<Snapshot>(name)?;
        Ok(Self(Arc::clone(streams.get(index))))
    }

    /// Who the stream is.
    pub fn label(&self) -> &Label {
        &self.0.label
    }

    /// State `seq`, from 1, as a frame.
    ///
    /// # Errors
    /// A state that is too large for a line.
    pub fn frame(&self, seq: u64, tick: u64, sections: RedactedTree) -> Result<Frame, Dropped> {
        let state = StreamState::new(&self.0, seq, tick, sections)?;
        Ok(Frame::unrendered(self.0.label.clone(), self.0.kind.as_str(), seq, tick, Arc::new(state)))
    }

    /// Items of per-tick sections that found no place in states that merged.
    pub fn items_lost(&self) -> u64 {
        self.0.items_lost.load(Ordering::Relaxed)
    }
}
