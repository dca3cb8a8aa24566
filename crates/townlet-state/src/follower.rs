//! The receiving side: the state of one stream, and whether it is current.

use std::collections::VecDeque;
use std::sync::Arc;

use townlet_schema::{
    Diff, ENVELOPE_KEYS, HeapSize, Json, Kind, LineHead, MAX_LINE_BYTES, Object, PatchError, ReadError, RunId,
    StateDiff, read_head,
};

use crate::{State, planted};

/// Runs whose late lines are still told from those of a new run.
const REMEMBERED_RUNS: usize = 16;

/// A run that was taken for an old one is the current one after so many states of
/// it, with nothing between of the run that was current. Late lines come in few;
/// a run whose id says less than it should, because a clock was put back, goes on.
const GOES_ON: u32 = 8;

/// What a state may take on the heap: the tree of the longest line that is read.
const MAX_STATE_HEAP: usize = 16 * MAX_LINE_BYTES;

/// Follows one stream of states, whatever is lost, repeated or out of order.
///
/// The state that it holds is always exactly the one that the producer had at
/// [`seq`](State::seq). Where it knows of a later one that it cannot reach, it
/// says so by [`is_stale`](Self::is_stale); one keyframe, of that state or of a
/// later one, makes it current again.
///
/// 1. A keyframe is applied where its `seq` is not before the state's; one of
///    the same `seq` changes nothing that counts.
/// 2. A diff is applied where its `base_seq` is the state's `seq`, and nowhere
///    else.
/// 3. A keyframe of a run that began later, as its id says (UUIDv7), begins anew.
///    Lines of a run that began before, or that another one took the place of, are
///    old: a late one does not end what is current. Such a run is followed beside
///    the current one all the same, and is current again once it has come to eight
///    later states while nothing came of the other: whatever its id says, it goes on.
///
/// ```
/// use townlet_state::{Follower, Step};
///
/// let line = |kind: &str, rest: &str| {
///     format!(r#"{{"schema_version":"1.0.0","payload_type":"{kind}","run_id":"00000000-0000-7000-8000-00000000000b","stream":"town","tick":9,{rest}}}"#)
/// };
/// let mut town = Follower::new("town");
/// town.feed(line("snapshot", r#""seq":4,"rendering":0,"jobs":{"ann":1}"#).as_bytes())?;
/// // The diff of 5 was lost.
/// let step = town.feed(line("diff", r#""seq":6,"base_seq":5,"patch":{"jobs":{"ann":3}}"#).as_bytes())?;
/// assert_eq!(step, Step::Gap { needs: 5, has: Some(4) });
/// assert!(town.is_stale() && town.state().is_some_and(|state| state.seq == 4));
///
/// town.feed(line("snapshot", r#""seq":6,"rendering":0,"jobs":{"ann":3}"#).as_bytes())?;
/// assert!(!town.is_stale());
/// # Ok::<(), townlet_state::FollowError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Follower {
    stream: Box<str>,
    held: Option<(RunId, State)>,
    /// The latest state that is known to be and was not reached.
    missed: Option<Missed>,
    /// The run that is followed although it is taken for an old one.
    beside: Option<Beside>,
    ended: VecDeque<RunId>,
}

#[derive(Clone, Debug)]
struct Missed {
    run: RunId,
    seq: u64,
    /// States of another run that were reached since.
    reached: u32,
}

#[derive(Clone, Debug)]
struct Beside {
    run: RunId,
    state: State,
    /// States that it came to since the last line of the current run.
    reached: u32,
}

/// What a line did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole state that is later than the one before, or of another run.
    Keyframe,
    /// Brought the state forward.
    Diff,
    /// The state at hand once more, whole. What its per-tick sections say has
    /// been counted.
    Again,
    /// Older than the state, repeated, or of a run that is not the current one.
    Old,
    /// A diff that applies to another state: only a keyframe helps, or the
    /// lines between, should they be late.
    Gap {
        /// The state that it applies to.
        needs: u64,
        /// The state at hand, where it is one of the same run.
        has: Option<u64>,
    },
    /// Of another stream, or no state.
    Other,
}

/// Why a line could not be taken. The state is as before, and stale where the
/// line was a later one of the same stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The line is none.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A state without its place: of a version before 1.0, or broken.
    #[error("{field}: missing, or not what it must be on a {kind} line of 1.0 or later")]
    Envelope {
        /// The field.
        field: &'static str,
        /// The kind of the line.
        kind: Kind,
    },
    /// A diff of the state at hand that does not fit it.
    #[error("the diff of seq {seq} does not fit its base: {error}; ask for a keyframe")]
    Patch {
        /// The state that it should have led to.
        seq: u64,
        /// What does not fit.
        error: PatchError,
    },
    /// A diff that makes more of the state than a line could say. The state is
    /// gone.
    #[error("the state of seq {seq} would be larger than a line may be; ask for a keyframe")]
    TooLarge {
        /// The state.
        seq: u64,
    },
}

impl Follower {
    /// Follows the stream of this name.
    pub fn new(stream: &str) -> Self {
        Self { stream: stream.into(), held: None, missed: None, beside: None, ended: VecDeque::new() }
    }

    /// The latest state that was reached; none before the first keyframe.
    pub fn state(&self) -> Option<&State> {
        self.held.as_ref().map(|(_, state)| state)
    }

    /// The run that the state is of.
    pub fn run_id(&self) -> Option<&RunId> {
        self.held.as_ref().map(|(run, _)| run)
    }

    /// True where the state is not the latest that is known of, and before the
    /// first one.
    pub fn is_stale(&self) -> bool {
        self.held.is_none() || self.missed.is_some()
    }

    /// True where a keyframe is needed and, where somebody can be asked, should
    /// be asked for.
    pub fn resync_needed(&self) -> bool {
        self.is_stale()
    }

    /// Takes one line of any stream and kind.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn feed(&mut self, line: &[u8]) -> Result<Step, FollowError> {
        self.feed_read(&read_head(line)?, line)
    }

    /// As [`feed`](Self::feed), where the envelope has been read already. A line
    /// that is not for this follower, or is older than what it has, costs no tree.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn feed_read(&mut self, head: &LineHead<'_>, line: &[u8]) -> Result<Step, FollowError> {
        let kind = match head.payload_type {
            Some(kind @ (Kind::Snapshot | Kind::Diff)) => kind,
            None if head.tick.is_some() && head.schema_version.is_some() => Kind::Snapshot,
            _ => return Ok(Step::Other),
        };
        let missing = |field| FollowError::Envelope { field, kind };
        if head.stream.as_deref().ok_or(missing("stream"))? != &*self.stream {
            return Ok(Step::Other);
        }
        let run: RunId = head.run_id.as_deref().and_then(|run| run.parse().ok()).ok_or(missing("run_id"))?;
        let seq = head.seq.ok_or(missing("seq"))?;
        let tick = head.tick.ok_or(missing("tick"))?;
        let is_old = self.held.as_ref().is_some_and(|(held, _)| run < *held) || self.ended.contains(&run);
        let is_old = is_old && !planted::is("a late keyframe of an older run ends the current one");
        if is_old && self.run_id() != Some(&run) {
            let base = match kind {
                Kind::Snapshot => None,
                _ => Some(head.base_seq.ok_or(missing("base_seq"))?),
            };
            return self.beside(run, State::new(seq, tick, Object::new()), base, line);
        }
        let step = match kind {
            Kind::Snapshot => self.keyframe(run, seq, tick, line),
            _ => self.diff(run, seq, tick, head, line),
        };
        if let (Some(beside), true) = (&mut self.beside, step != Ok(Step::Old)) {
            beside.reached = 0;
        }
        step
    }

    fn keyframe(&mut self, run: RunId, seq: u64, tick: u64, line: &[u8]) -> Result<Step, FollowError> {
        let step = match &self.held {
            Some((held, state))
                if *held == run && seq < state.seq && !planted::is("a late keyframe puts the state back") =>
            {
                return Ok(Step::Old);
            }
            Some((held, state)) if *held == run && seq == state.seq => Step::Again,
            _ => Step::Keyframe,
        };
        let sections = whole(line).inspect_err(|_| self.miss(run, seq))?;
        self.hold(run, State::new(seq, tick, sections));
        self.reached(run, seq);
        Ok(step)
    }

    /// The run that was held, where it is another one, is taken to have ended.
    fn hold(&mut self, run: RunId, state: State) {
        let Some((ended, left)) = self.held.replace((run, state)) else { return };
        if ended != run {
            self.beside = Some(Beside { run: ended, state: left, reached: 0 });
            self.ended.retain(|known| *known != run);
            self.ended.push_back(ended);
            if self.ended.len() > REMEMBERED_RUNS {
                self.ended.pop_front();
            }
        }
    }

    /// A line of a run that is taken for an old one: a diff against `base`, or whole.
    /// `next` is the place of its state, without sections.
    fn beside(&mut self, run: RunId, next: State, base: Option<u64>, line: &[u8]) -> Result<Step, FollowError> {
        let known = self.beside.take_if(|beside| beside.run == run);
        let has = known.as_ref().map(|beside| beside.state.seq);
        if has.is_some_and(|has| next.seq <= has) {
            self.beside = known;
            return Ok(Step::Old);
        }
        let reached = known.as_ref().map_or(0, |beside| beside.reached) + 1;
        let state = match (known, base) {
            // A diff of what is not here; the keyframe of it may come.
            (known, Some(base)) if has != Some(base) => {
                self.beside = known.or(self.beside.take());
                return Ok(Step::Old);
            }
            (Some(mut known), Some(_)) => match bring_forward(&mut known.state.sections, next.seq, line) {
                Ok(()) => State { sections: known.state.sections, ..next },
                Err(_) => return Ok(Step::Old),
            },
            _ => State { sections: Arc::new(whole(line)?), ..next },
        };
        if reached < GOES_ON {
            self.beside = Some(Beside { run, state, reached });
            return Ok(Step::Old);
        }
        let seq = state.seq;
        self.hold(run, state);
        self.missed = None;
        self.reached(run, seq);
        Ok(Step::Keyframe)
    }

    fn diff(&mut self, run: RunId, seq: u64, tick: u64, head: &LineHead<'_>, line: &[u8]) -> Result<Step, FollowError> {
        let needs = head.base_seq.ok_or(FollowError::Envelope { field: "base_seq", kind: Kind::Diff })?;
        let has = self.held.as_ref().filter(|(held, _)| *held == run).map(|(_, state)| state.seq);
        if has.is_some_and(|has| seq <= has) {
            return Ok(Step::Old);
        }
        let fits = has == Some(needs) || has.is_some() && planted::is("a diff is applied to any state");
        let (Some((_, state)), true) = (&mut self.held, fits) else {
            self.miss(run, seq);
            return Ok(Step::Gap { needs, has });
        };
        match bring_forward(&mut state.sections, seq, line) {
            Ok(()) => {
                (state.seq, state.tick) = (seq, tick);
                self.reached(run, seq);
                Ok(Step::Diff)
            }
            Err(error) => {
                if matches!(error, FollowError::TooLarge { .. }) {
                    self.held = None;
                }
                self.miss(run, seq);
                Err(error)
            }
        }
    }

    fn miss(&mut self, run: RunId, seq: u64) {
        match &mut self.missed {
            Some(missed) if missed.run == run => {
                (missed.seq, missed.reached) = (seq.max(missed.seq), 0);
            }
            Some(missed) if missed.run > run => {}
            other => *other = Some(Missed { run, seq, reached: 0 }),
        }
    }

    fn reached(&mut self, run: RunId, seq: u64) {
        let Some(missed) = &mut self.missed else { return };
        // One line of a later run says that there is one; that this one goes on says that there is not.
        missed.reached += u32::from(missed.run > run);
        let is_over = if missed.run == run { missed.seq <= seq } else { missed.run < run || missed.reached >= GOES_ON };
        if is_over {
            self.missed = None;
        }
    }
}

/// Applies the diff of `line`, in either form: all of it, or nothing, but where
/// the state has become too large.
fn bring_forward(sections: &mut Arc<Object>, seq: u64, line: &[u8]) -> Result<(), FollowError> {
    let body = object(line)?;
    if !StateDiff::is_body(&body) {
        let diff: Diff = Json::Object(body).read()?;
        diff.apply(Arc::make_mut(sections));
        return Ok(());
    }
    let diff = StateDiff::from_body(body)?;
    let next = Arc::make_mut(sections);
    diff.apply(next).map_err(|error| FollowError::Patch { seq, error })?;
    if next.heap_size() > MAX_STATE_HEAP { Err(FollowError::TooLarge { seq }) } else { Ok(()) }
}

/// The sections of a whole state.
fn whole(line: &[u8]) -> Result<Object, ReadError> {
    let mut sections = object(line)?;
    sections.retain(|key, _| !ENVELOPE_KEYS.contains(&key));
    Ok(sections)
}

/// The object of a line that has a head.
fn object(line: &[u8]) -> Result<Object, ReadError> {
    match Json::parse(line)? {
        Json::Object(object) => Ok(object),
        // A line with a head is an object.
        other => other.read(),
    }
}
