//! The rules of a client that keeps a state from snapshots and diffs.

use crate::{Diff, Envelope, Json, Kind, Line, Object, PatchError, ReadError, Record, RunId, read_line};

/// The state that one stream describes.
///
/// Rules, each of which an older client of the predecessor broke:
/// 1. A diff before any snapshot is refused: there is nothing it applies to.
/// 2. A diff whose base is not the state at hand is refused, and so is every
///    later one until a snapshot comes.
/// 3. A changed section replaces the old one; it is never merged into it.
/// 4. A snapshot is applied when its `seq` is not older than the state, so that
///    a keyframe of the same `seq` is harmless; a new run starts anew.
/// 5. Lines of other kinds change nothing and are no error.
///
/// Lines of 0.9 name no base; their diffs are taken to follow the tick before.
///
/// ```
/// use townlet_schema::{Applied, ClientState, Json};
///
/// let mut client = ClientState::new();
/// client.apply(br#"{"schema_version":"0.9.7","tick":1,"payload_type":"snapshot","jobs":{"ann":{}},"utilities":{"power":true,"water":true}}"#)?;
/// let applied = client.apply(br#"{"schema_version":"0.9.7","tick":2,"payload_type":"diff","changes":{"jobs":{"bob":{}}}}"#)?;
/// assert_eq!(applied, Applied::Diff);
/// assert_eq!(client.tick(), Some(2));
/// let jobs = client.state().and_then(|state| state.get("jobs")).and_then(Json::as_object);
/// assert_eq!(jobs.map(|jobs| jobs.keys().collect::<Vec<_>>()), Some(vec!["bob"]));
/// # Ok::<(), townlet_schema::ClientError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClientState {
    held: Option<Held>,
    /// True after a diff was refused: no diff applies until a snapshot comes.
    lost: bool,
}

#[derive(Clone, Debug)]
struct Held {
    /// Run and `seq`; none for lines of 0.9.
    origin: Option<(RunId, u64)>,
    tick: u64,
    sections: Object,
}

/// What a line did to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// It replaced the state.
    Snapshot,
    /// It brought the state forward.
    Diff,
    /// It is older than the state, or stands in it already.
    Stale,
    /// It is of a kind that has nothing to do with the state.
    Ignored,
}

/// Why a line was not applied. The state is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The line itself.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A diff before any snapshot: wait for one.
    #[error("the diff of tick {tick} came before any snapshot: wait for a snapshot")]
    DiffBeforeSnapshot {
        /// Tick of the diff.
        tick: u64,
    },
    /// A diff against another state than the one at hand: wait for a snapshot.
    #[error("the diff of tick {tick} applies to {needs} and the state at hand is {has}: wait for a snapshot")]
    BaseMismatch {
        /// Tick of the diff.
        tick: u64,
        /// What it applies to: `seq 7`, or `tick 7` for lines of 0.9.
        needs: String,
        /// What is at hand.
        has: String,
    },
    /// A diff that does not fit the state that it names: wait for a snapshot.
    #[error("the diff of tick {tick} does not fit its base: {error}: wait for a snapshot")]
    Patch {
        /// Tick of the diff.
        tick: u64,
        /// What does not fit.
        error: PatchError,
    },
}

impl ClientState {
    /// A client that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The sections by name; none before the first snapshot.
    pub fn state(&self) -> Option<&Object> {
        self.held.as_ref().map(|held| &held.sections)
    }

    /// The tick of the state.
    pub fn tick(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.tick)
    }

    /// The `seq` of the state; none for lines of 0.9.
    pub fn seq(&self) -> Option<u64> {
        self.held.as_ref().and_then(|held| held.origin).map(|(_, seq)| seq)
    }

    /// True where only a snapshot can help: before the first one, and after a
    /// refused diff.
    pub fn needs_snapshot(&self) -> bool {
        self.held.is_none() || self.lost
    }

    /// Takes one line of the stream.
    ///
    /// # Errors
    /// See [`ClientError`]. The state is then as before.
    pub fn apply(&mut self, line: &[u8]) -> Result<Applied, ClientError> {
        let Line { envelope, record } = read_line(line)?;
        match record {
            Record::Snapshot(_) | Record::LegacySnapshot(_) => {
                let tree = Json::parse(line)?;
                let Json::Object(mut sections) = tree else { return Ok(Applied::Ignored) };
                sections.retain(|key, _| !crate::ENVELOPE_KEYS.contains(&key));
                let tick = match &record {
                    Record::LegacySnapshot(snapshot) => snapshot.tick,
                    _ => envelope.as_ref().map_or(0, |envelope| envelope.tick),
                };
                Ok(self.replace(envelope.as_ref(), tick, sections))
            }
            Record::Diff(diff) => match envelope {
                Some(envelope) => self.forward(&envelope, |sections| {
                    diff.apply(sections);
                    Ok(())
                }),
                None => Ok(Applied::Ignored),
            },
            Record::StateDiff(diff) => match envelope {
                Some(envelope) => self.forward(&envelope, |sections| diff.apply(sections)),
                None => Ok(Applied::Ignored),
            },
            Record::LegacyDiff(diff) => {
                let tree = Json::parse(line)?;
                let changes = tree.get("changes").and_then(Json::as_object).cloned().unwrap_or_default();
                self.forward_legacy(diff.tick, &Diff { changes, removed: diff.removed })
            }
            _ => Ok(Applied::Ignored),
        }
    }

    fn replace(&mut self, envelope: Option<&Envelope>, tick: u64, sections: Object) -> Applied {
        let origin = envelope.map(|envelope| (envelope.run_id, envelope.seq));
        if let (Some((run, seq)), Some((held_run, held_seq))) = (origin, self.held.as_ref().and_then(|h| h.origin))
            && run == held_run
            && seq < held_seq
        {
            return Applied::Stale;
        }
        self.held = Some(Held { origin, tick, sections });
        self.lost = false;
        Applied::Snapshot
    }

    fn forward(
        &mut self,
        envelope: &Envelope,
        apply: impl FnOnce(&mut Object) -> Result<(), PatchError>,
    ) -> Result<Applied, ClientError> {
        debug_assert_eq!(envelope.payload_type, Kind::Diff);
        let Envelope { run_id, seq, tick, .. } = *envelope;
        let held = self.held.as_mut().ok_or(ClientError::DiffBeforeSnapshot { tick })?;
        // `read_line` refuses a diff without a base.
        let needs = envelope.base_seq.unwrap_or_default();
        match held.origin {
            Some((run, have)) if run == run_id && seq <= have => return Ok(Applied::Stale),
            Some((run, have)) if run == run_id && needs == have && !self.lost => {}
            has => {
                self.lost = true;
                let has = has.map_or("of another version".to_owned(), |(run, seq)| format!("seq {seq} of run {run}"));
                return Err(ClientError::BaseMismatch { tick, needs: format!("seq {needs} of run {run_id}"), has });
            }
        }
        if let Err(error) = apply(&mut held.sections) {
            self.lost = true;
            return Err(ClientError::Patch { tick, error });
        }
        held.origin = Some((run_id, seq));
        held.tick = tick;
        Ok(Applied::Diff)
    }

    fn forward_legacy(&mut self, tick: u64, diff: &Diff) -> Result<Applied, ClientError> {
        let held = self.held.as_mut().ok_or(ClientError::DiffBeforeSnapshot { tick })?;
        let follows = held.origin.is_none() && tick == held.tick.saturating_add(1);
        if !follows || self.lost {
            self.lost = true;
            let needs = format!("tick {}", tick.saturating_sub(1));
            return Err(ClientError::BaseMismatch { tick, needs, has: format!("tick {}", held.tick) });
        }
        diff.apply(&mut held.sections);
        held.tick = tick;
        Ok(Applied::Diff)
    }
}
