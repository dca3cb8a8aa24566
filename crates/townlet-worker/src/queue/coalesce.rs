//! States that become one while they wait, under `coalesce`.

use std::sync::Arc;

use townlet_transport::StateBody;

use super::{Queue, Waiting};
use crate::planted;

impl Waiting {
    /// The state of a frame that may become one with another: only this process has
    /// it. What a transport has had may be with the peer, and what the log has comes
    /// again after a crash; merged, its items would be there twice.
    fn mergeable(&self) -> Option<&Arc<dyn StateBody>> {
        let tried = self.tried && !planted::is("a state that the peer may have is merged");
        self.frame.state().filter(|_| !tried && self.position.is_none())
    }
}

impl Queue {
    /// Makes one of two ready states of a stream, the oldest that have a place for
    /// it; false where there are none. The older one is settled by that. Its work
    /// is bounded by the length of the queue, and done only where two states wait.
    pub(crate) fn coalesce(&mut self) -> bool {
        if !self.merges || self.ready_states < 2 {
            return false;
        }
        // By stream, the state before.
        let mut before: Vec<(u32, usize)> = Vec::new();
        for at in 0..self.ready.len() {
            let newer = &self.ready[at];
            let Some(state) = newer.mergeable() else {
                // Nothing goes past it: what happened is told in order.
                before.retain(|(stream, _)| *stream != newer.stream);
                continue;
            };
            let same = |stream: u32| stream == newer.stream || planted::is("states of two streams are merged");
            let Some(known) = before.iter_mut().find(|(stream, _)| same(*stream)) else {
                before.push((newer.stream, at));
                continue;
            };
            let place = std::mem::replace(&mut known.1, at);
            let older = &self.ready[place];
            let merged = older.frame.state().and_then(|older| state.after(older.as_ref()));
            let Some(merged) = merged.filter(|merged| merged.weight() <= self.max_bytes) else { continue };
            let (stream, seq, bytes) = (older.stream, older.seq, older.frame.len() + newer.frame.len());
            let frame = match planted::is("what happened in a merged state is lost") {
                true => newer.frame.clone(),
                false => newer.frame.with_state(merged),
            };
            self.ready_bytes = self.ready_bytes - bytes + frame.len();
            self.ready[at].frame = frame;
            self.ready.remove(place);
            self.ready_states -= 1;
            if !planted::is("a merged state is not booked") {
                self.ledger.coalesce_one(stream);
            }
            if !self.watched.is_empty()
                && let Some(receipt) = self.watched.remove(&(stream, seq))
            {
                receipt.note_coalesced();
            }
            return true;
        }
        false
    }

    /// With a spill: a newcomer finds no room in memory. Where merging states makes
    /// some, nothing goes to disk for it; otherwise everything that may does, in order.
    pub(super) fn push_merging(&mut self, newcomer: Waiting) {
        self.came_ready(&newcomer.frame);
        self.ready.push_back(newcomer);
        while !self.is_within_memory() {
            if !self.coalesce() {
                self.spool_ready();
                return;
            }
        }
    }
}
