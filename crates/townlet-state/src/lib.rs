//! State streams: whole states now and then, and between them what changed.
//!
//! **What it is.** The logic of both ends of a stream of states. The sending end
//! ([`StateEncoder`]) knows what its peer has, and renders each state whole (a
//! keyframe) or as a structural diff against that. The receiving end
//! ([`Follower`]) applies them, and knows when it lost one. Under back-pressure
//! two states become one ([`coalesce`]). For readers of schema 0.9 there is
//! [`LegacyEncoder`].
//!
//! **What it is not.** It does no I/O, has no clock, no thread and no queue, and
//! redacts nothing: what goes in must be what may leave. It never touches events.
//!
//! # Guarantees
//! - Applying a diff to its base gives the next state exactly, to the bit of a
//!   float and the last `-0.0`.
//! - A diff is made against what the peer has, never against what was shed
//!   before: no drop corrupts a reader, the next diff is only larger.
//! - A follower's state is exactly that of the producer at its `seq`, or none.
//!   Where it knows of a later one it says so, and one keyframe mends it.
//! - No line makes it panic, half apply, or take more memory than the longest
//!   line could.
//! - A diff has nothing but what stands in the new state, and names of members
//!   of the old one.
//! - Equal calls give equal bytes.
//!
//! # Wire
//! The body of a diff line has a patch of the sections that last, and whole the
//! sections that happened in this tick, where there is something in them:
//!
//! ```text
//! {"patch":{"jobs":{"ann":{"wallet":2.5},"bob":[]},
//!           "conflict":{"queue_history":[1,{"tick":41}]}},
//!  "events":[{"event":"chat_success","tick":41}]}
//! ```
//!
//! Here Ann's wallet is 2.5 now, Bob is gone, and the history has lost its first
//! item and gained one that is like its last but for the tick. The grammar:
//!
//! ```text
//! body   = { "patch": patch, per-tick section: value, … }
//! patch  = { key: change, … }          members that are not named stay as they are
//! change = null | true | 1.5 | "text"  the value is this scalar now
//!        | [ value ]                   the value is this object or this array now
//!        | []                          the member is gone
//!        | patch                       the value is an object: change its members;
//!                                      or an array: the keys are its indices, from "0"
//!        | [ n, item, … ]              the value is an array: take n items off its front,
//!                                      then append these
//!        | [ null, at, n, item, … ]    the value is an array: put these in place of the
//!                                      n items from index at on
//! item   = change                      against the item before it, in the array as it is
//!                                      by then; {} repeats it
//! ```
//!
//! A per-tick section that the state has and the line has not is an empty list.
//! A key is always a member and a scalar is always a value, so that nothing that
//! a host puts into a state can be taken for an operation. The types for it,
//! [`Patch`](townlet_schema::Patch) and [`StateDiff`](townlet_schema::StateDiff),
//! are those of the schema crate: readers need nothing else.
//!
//! # Example
//! ```
//! use townlet_schema::{Json, Kind, LinePrefix, Object, RunId, SchemaVersion};
//! use townlet_state::{Cadence, Follower, State, StateEncoder};
//!
//! let run = RunId::from_u128(1);
//! let prefix = |kind| LinePrefix::new(SchemaVersion::CURRENT, kind, &run, "town");
//! let (snapshot, diff) = (prefix(Kind::Snapshot), prefix(Kind::Diff));
//!
//! let mut peer = StateEncoder::new(Cadence::default());
//! let mut observer = Follower::new("town");
//! for seq in 1..=3 {
//!     let jobs: Object = [("ann", seq), ("bob", 7), ("cy", 9)].into_iter().collect();
//!     let state = State::new(seq, 40 + seq, Object::from_iter([("jobs", jobs)]));
//!     let (mut body, mut line) = (Vec::new(), Vec::new());
//!     let rendered = peer.render(&state, &mut body);
//!     let prefix = if rendered.is_keyframe() { &snapshot } else { &diff };
//!     prefix.write_line(rendered.seq, rendered.tick, rendered.extra(), &body, &mut line);
//!
//!     observer.feed(&line)?;
//!     assert_eq!(observer.state(), Some(&state));
//! }
//! assert_eq!((peer.keyframes(), peer.diffs()), (1, 2));
//! # Ok::<(), townlet_state::FollowError>(())
//! ```

mod cadence;
mod coalesce;
mod diff;
mod encoder;
mod follower;
mod legacy;
mod measure;
mod planted;
mod sections;
mod state;

pub use cadence::{Cadence, Reason};
pub use coalesce::{Items, Limits, coalesce, coalesce_snapshots, per_tick_items};
pub use diff::{diff, patch, write_diff};
pub use encoder::{Rendered, StateEncoder};
pub use follower::{FollowError, Follower, Step};
pub use legacy::LegacyEncoder;
pub use measure::{Measured, measure};
pub use state::State;
