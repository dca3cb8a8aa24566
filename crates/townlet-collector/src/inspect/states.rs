//! States behind diffs: what a comparison cannot read off the line itself.

use std::collections::HashMap;

use townlet_schema::{Kind, LineHead};
use townlet_state::{Follower, Step};

use super::probe::Compared;

/// Streams whose states are kept; those of further ones are not looked into.
const STREAMS_KEPT: usize = 64;

/// The states of a file that has diffs, by run and stream.
#[derive(Default)]
pub(super) struct States {
    followers: HashMap<(String, String), Follower>,
    /// Diffs of a state that was not there.
    pub(super) gaps: u64,
}

impl States {
    /// Takes in a line that says a state; gives what a comparison looks at where
    /// the line is a diff and led to a state that is known.
    pub(super) fn record(&mut self, head: &LineHead<'_>, line: &[u8]) -> Option<Compared> {
        let is_diff = head.payload_type == Some(Kind::Diff);
        // A snapshot that no diff goes on from has no rendering.
        if !is_diff && head.rendering.is_none() {
            return None;
        }
        let (run, stream) = (head.run_id.as_deref()?, head.stream.as_deref()?);
        let key = (run.to_owned(), stream.to_owned());
        if self.followers.len() == STREAMS_KEPT && !self.followers.contains_key(&key) {
            return None;
        }
        let follower = self.followers.entry(key).or_insert_with(|| Follower::new(stream));
        match follower.feed_read(head, line) {
            Ok(Step::Diff) => follower.state().map(|state| Compared::of_state(&state.sections)),
            Ok(Step::Gap { .. }) | Err(_) => {
                self.gaps += 1;
                None
            }
            Ok(_) => None,
        }
    }
}
