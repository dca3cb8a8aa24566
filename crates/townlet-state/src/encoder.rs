//! The sending side: keyframe or diff, for one stream and one peer.

use std::collections::BTreeMap;

use townlet_schema::{Kind, LineExtra, Object};

use crate::cadence::{Cadence, Reason, Since};
use crate::sections::write_object;
use crate::{State, planted, write_diff};

/// How many states an encoder remembers the renderings of. Far more than a
/// window of frames that a peer has not confirmed yet.
const REMEMBERED: usize = 4096;

/// Renders the states of one stream for one peer: a connection, a subscriber,
/// a file.
///
/// What it renders is taken to arrive in order, so that each diff is against
/// the state before it. That holds within one connection, and whoever drives it
/// says where it ends: [`connection_lost`](Self::connection_lost) for a
/// connection, a rotated file or a new subscriber of the same one,
/// [`withdraw`](Self::withdraw) for a state that was rendered and never handed
/// over. The next state then travels whole. So a peer never gets a diff against
/// a state that it does not have, whatever back-pressure dropped before.
///
/// A connection that was lost may have brought more than anybody heard of. What is
/// rendered again on the next one is old news to such a peer, and it stays where it
/// is; so until all of that has been rendered again, there is no diff across a state
/// that it may be at.
///
/// Deterministic: the same calls give the same bytes.
///
/// ```
/// use townlet_schema::{Json, Kind, Object};
/// use townlet_state::{Cadence, Reason, State, StateEncoder};
///
/// let town = |wallet: u64| Object::from_iter([("jobs", Object::from_iter([("ann", wallet), ("bob", 7)])), ("weather", Object::from_iter([("rain", 1u64)]))]);
/// let mut peer = StateEncoder::new(Cadence::default());
/// let mut body = Vec::new();
///
/// let first = peer.render(&State::new(1, 40, town(1)), &mut body);
/// assert_eq!((first.kind, first.rendering, first.reason), (Kind::Snapshot, Some(0), Some(Reason::NoBase)));
///
/// body.clear();
/// // State 2 was shed by back-pressure: the diff is against what the peer has.
/// let next = peer.render(&State::new(3, 42, town(5)), &mut body);
/// assert_eq!((next.kind, next.base_seq), (Kind::Diff, Some(1)));
/// assert_eq!(body, br#"{"patch":{"jobs":{"ann":5}}}"#);
///
/// peer.connection_lost();
/// body.clear();
/// assert_eq!(peer.render(&State::new(4, 43, town(6)), &mut body).kind, Kind::Snapshot);
/// ```
#[derive(Clone, Debug)]
pub struct StateEncoder {
    cadence: Cadence,
    /// The latest state that was rendered, which the peer has if it has all.
    base: Option<State>,
    /// The latest that any connection may have brought.
    newest: u64,
    since: Since,
    requested: bool,
    /// Next rendering by seq, for states that may be rendered again.
    renderings: BTreeMap<u64, u64>,
    keyframes: u64,
    diffs: u64,
}

/// What was rendered: everything for the line but its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// [`Kind::Snapshot`] or [`Kind::Diff`].
    pub kind: Kind,
    /// Place of the state in the stream.
    pub seq: u64,
    /// The host's tick.
    pub tick: u64,
    /// On diffs: the state that it applies to.
    pub base_seq: Option<u64>,
    /// On keyframes: which rendering of this state it is, from 0. With the
    /// stream and `seq` it names the line for ever.
    pub rendering: Option<u64>,
    /// On keyframes: why the state travels whole.
    pub reason: Option<Reason>,
}

impl Rendered {
    /// For [`LinePrefix::write_line`](townlet_schema::LinePrefix::write_line).
    pub fn extra(&self) -> LineExtra {
        LineExtra { base_seq: self.base_seq, rendering: self.rendering }
    }

    /// True for a state that travels whole.
    pub fn is_keyframe(&self) -> bool {
        self.kind == Kind::Snapshot
    }
}

impl StateEncoder {
    /// For a peer that has nothing yet.
    pub fn new(cadence: Cadence) -> Self {
        Self {
            cadence,
            base: None,
            newest: 0,
            since: Since::default(),
            requested: false,
            renderings: BTreeMap::new(),
            keyframes: 0,
            diffs: 0,
        }
    }

    /// Appends the body of the line for `state` to `out`, and takes the peer to
    /// have it from now on.
    pub fn render(&mut self, state: &State, out: &mut Vec<u8>) -> Rendered {
        let start = out.len();
        let base = self.base.as_ref();
        let reason = match base {
            None => Reason::NoBase,
            _ if self.requested => Reason::Requested,
            _ if self.since.is_due(self.cadence) => Reason::Due,
            Some(base) if state.seq <= base.seq => Reason::OutOfOrder,
            Some(base) if self.newest > base.seq && state.seq > base.seq + 1 => Reason::Ahead,
            Some(base) if write_diff(&base.sections, &state.sections, out) => {
                let length = out.len() - start;
                if !self.since.is_doubtful(length) || !whole_is_shorter(&state.sections, start, out) {
                    return self.rendered_diff(state, length);
                }
                return self.rendered_keyframe(state, out.len() - start, Reason::NoShorter);
            }
            Some(_) => Reason::NoShorter,
        };
        write_object(&state.sections, out);
        self.rendered_keyframe(state, out.len() - start, reason)
    }

    /// Appends the latest state once more, whole, for a subscriber that joined
    /// or a file that was begun. None before the first state, and after the
    /// connection was lost. It is a rendering, not an event: its per-tick
    /// sections have been counted.
    pub fn refresh(&mut self, out: &mut Vec<u8>) -> Option<Rendered> {
        let state = self.base.clone()?;
        let start = out.len();
        write_object(&state.sections, out);
        Some(self.rendered_keyframe(&state, out.len() - start, Reason::Requested))
    }

    /// The next state travels whole.
    pub fn request_keyframe(&mut self) {
        self.requested = true;
    }

    /// Nothing is known any more of what the peer has.
    pub fn connection_lost(&mut self) {
        self.base = None;
    }

    /// State `seq` goes to the peer by another way, whole: from here on it has that,
    /// which is not known here.
    pub fn bypassed(&mut self, seq: u64) {
        self.base = None;
        self.newest = self.newest.max(seq);
    }

    /// State `seq` was rendered and did not reach the peer, although the
    /// connection stands: dropped, refused, or not yet tried. What was rendered
    /// after it was based on it, so that the peer can apply nothing of that.
    pub fn withdraw(&mut self, seq: u64) {
        if self.base.as_ref().is_some_and(|base| base.seq >= seq) && !planted::is("what was withdrawn stays the base") {
            self.base = None;
        }
    }

    /// States up to `seq` are settled, and will not be rendered again but by
    /// [`refresh`](Self::refresh). Keeps what is remembered small.
    pub fn settled(&mut self, seq: u64) {
        // The latest may still be refreshed.
        let latest = self.base.as_ref().map_or(seq, |base| base.seq);
        self.renderings.retain(|rendered, _| *rendered > seq || *rendered == latest);
    }

    /// The state that the peer is taken to have.
    pub fn base(&self) -> Option<&State> {
        self.base.as_ref()
    }

    /// Keyframes rendered so far.
    pub fn keyframes(&self) -> u64 {
        self.keyframes
    }

    /// Diffs rendered so far.
    pub fn diffs(&self) -> u64 {
        self.diffs
    }

    fn rendered_diff(&mut self, state: &State, length: usize) -> Rendered {
        let base_seq = self.base.replace(state.clone()).map(|base| base.seq);
        self.newest = self.newest.max(state.seq);
        self.since.diff(length);
        self.diffs += 1;
        Rendered { kind: Kind::Diff, seq: state.seq, tick: state.tick, base_seq, rendering: None, reason: None }
    }

    fn rendered_keyframe(&mut self, state: &State, length: usize, reason: Reason) -> Rendered {
        self.base = Some(state.clone());
        self.newest = self.newest.max(state.seq);
        self.since.keyframe(length);
        self.requested = false;
        self.keyframes += 1;
        let next = self.renderings.entry(state.seq).or_default();
        let rendering = Some(*next);
        *next += u64::from(!planted::is("two keyframes of a state have one name"));
        while self.renderings.len() > REMEMBERED {
            self.renderings.pop_first();
        }
        Rendered {
            kind: Kind::Snapshot,
            seq: state.seq,
            tick: state.tick,
            base_seq: None,
            rendering,
            reason: Some(reason),
        }
    }
}

/// Puts the whole state in the place of the diff that stands in `out` from
/// `start` on, where it is as short.
fn whole_is_shorter(sections: &Object, start: usize, out: &mut Vec<u8>) -> bool {
    let end = out.len();
    write_object(sections, out);
    let is_shorter = out.len() - end <= end - start;
    if is_shorter {
        out.drain(start..end);
    } else {
        out.truncate(end);
    }
    is_shorter
}
