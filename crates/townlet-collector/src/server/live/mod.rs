//! The states that are current, for whoever watches: followed as their lines
//! come in, handed to each subscriber.

mod happened;
mod mailbox;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use townlet_schema::{Kind, LineHead, RunId, SchemaVersion};
use townlet_state::{Follower, State, Step};

use happened::Happened;
pub(super) use mailbox::{Mail, Mailbox, Wants};

/// A stream that said nothing for so long leaves for another one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Which stream of states.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamName {
    pub(super) run_id: RunId,
    pub(super) stream: Box<str>,
}

/// A state as it stands in its stream. What it holds is shared by its clones.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) version: SchemaVersion,
    pub(super) state: State,
    happened: Arc<OnceLock<Arc<Happened>>>,
}

impl Current {
    fn new(version: SchemaVersion, state: State) -> Self {
        Self { version, state, happened: Arc::default() }
    }

    /// What happened in its tick: sought once, for all subscribers that are behind.
    fn happened(&self) -> Arc<Happened> {
        Arc::clone(self.happened.get_or_init(|| Arc::new(Happened::of(&self.state.sections))))
    }
}

pub(super) struct Live {
    limit: usize,
    table: Mutex<Table>,
    /// Lines that led to no state: a diff whose base is not here, or a broken one.
    stale: AtomicU64,
    pub(super) counts: Counts,
}

/// What subscribers were sent, over all of them.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) keyframes: AtomicU64,
    pub(super) diffs: AtomicU64,
    /// States that a slow subscriber got as one with a later one.
    pub(super) coalesced: AtomicU64,
    /// Items of per-tick sections that did not fit into such a state.
    pub(super) overflow: AtomicU64,
}

#[derive(Default)]
struct Table {
    streams: BTreeMap<Arc<StreamName>, Arc<Followed>>,
    mailboxes: Vec<Weak<Mailbox>>,
}

/// One stream, and the state it is in.
struct Followed {
    name: Arc<StreamName>,
    inner: Mutex<Following>,
    /// When its last line came. Apart, because it is read while the table is locked.
    fed: Mutex<Instant>,
}

struct Following {
    follower: Follower,
    version: SchemaVersion,
}

impl Live {
    /// Follows at most `limit` streams.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, table: Mutex::default(), stale: AtomicU64::new(0), counts: Counts::default() }
    }

    /// Takes in a line that is new. What is no state costs a look at its kind.
    pub(super) fn feed(&self, head: &LineHead<'_>, line: &[u8], now: Instant) {
        let is_state = match head.payload_type {
            Some(kind) => matches!(kind, Kind::Snapshot | Kind::Diff),
            None => head.tick.is_some() && head.schema_version.is_some(),
        };
        let (true, Some(run_id), Some(stream)) = (is_state, &head.run_id, &head.stream) else { return };
        let Ok(run_id) = run_id.parse::<RunId>() else { return };
        let Some(followed) = self.followed(StreamName { run_id, stream: stream.as_ref().into() }, now) else { return };
        *followed.fed.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let mut inner = followed.lock();
        match inner.follower.feed_read(head, line) {
            Ok(Step::Keyframe | Step::Diff) => {}
            Ok(Step::Again | Step::Old | Step::Other) => return,
            Ok(Step::Gap { .. }) | Err(_) => {
                self.stale.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        inner.version = head.schema_version.unwrap_or(SchemaVersion::CURRENT);
        let Some(current) = inner.current() else { return };
        // Still under the stream's lock, so that no subscriber gets an older state last.
        for mailbox in self.mailboxes() {
            mailbox.put(&followed.name, &current, &self.counts);
        }
    }

    fn followed(&self, name: StreamName, now: Instant) -> Option<Arc<Followed>> {
        let mut table = self.table();
        if let Some(followed) = table.streams.get(&name) {
            return Some(Arc::clone(followed));
        }
        if table.streams.len() >= self.limit {
            table.forget_one(now)?;
        }
        let inner = Following { follower: Follower::new(&name.stream), version: SchemaVersion::CURRENT };
        let name = Arc::new(name);
        let followed = Arc::new(Followed { name: Arc::clone(&name), inner: Mutex::new(inner), fed: Mutex::new(now) });
        table.streams.insert(name, Arc::clone(&followed));
        Some(followed)
    }

    /// The state of one stream, as it was followed.
    pub(super) fn state(&self, run_id: &str, stream: &str) -> Option<State> {
        let name = StreamName { run_id: run_id.parse().ok()?, stream: stream.into() };
        let followed = self.table().streams.get(&name).map(Arc::clone)?;
        let inner = followed.lock();
        inner.follower.state().cloned()
    }

    /// From now on `mailbox` gets what it wants; first the states as they are.
    pub(super) fn subscribe(&self, mailbox: &Arc<Mailbox>) {
        let streams: Vec<_> = {
            let mut table = self.table();
            table.mailboxes.retain(|known| known.strong_count() > 0);
            table.mailboxes.push(Arc::downgrade(mailbox));
            table.streams.values().cloned().collect()
        };
        for followed in streams {
            // A state that comes meanwhile waits for this lock, or was put there already.
            let inner = followed.lock();
            if let Some(current) = inner.current() {
                mailbox.put(&followed.name, &current, &self.counts);
            }
        }
    }

    /// Subscribers that are there.
    pub(super) fn subscribers(&self) -> usize {
        self.mailboxes().len()
    }

    /// Streams that are followed, and lines that led to no state.
    pub(super) fn followed_and_stale(&self) -> (usize, u64) {
        (self.table().streams.len(), self.stale.load(Ordering::Relaxed))
    }

    fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.table().mailboxes.iter().filter_map(Weak::upgrade).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Lets the stream go that said nothing for the longest time; none where all
    /// are in use. One more than there is room for is not followed, rather than
    /// all of them in turn.
    fn forget_one(&mut self, now: Instant) -> Option<()> {
        let idle = |followed: &Arc<Followed>| {
            now.saturating_duration_since(*followed.fed.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let oldest = self.streams.values().max_by_key(|followed| idle(followed))?;
        if idle(oldest) < FORGOTTEN_AFTER {
            return None;
        }
        let name = Arc::clone(&oldest.name);
        self.streams.remove(&name);
        for mailbox in self.mailboxes.iter().filter_map(Weak::upgrade) {
            mailbox.forget(&name);
        }
        Some(())
    }
}

impl Followed {
    fn lock(&self) -> MutexGuard<'_, Following> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Following {
    fn current(&self) -> Option<Current> {
        let state = self.follower.state()?.clone();
        Some(Current::new(self.version, state))
    }
}

#[cfg(test)]
mod tests {
    use townlet_schema::read_head;

    use super::*;

    fn keyframe(run: u128, seq: u64) -> Vec<u8> {
        let run = RunId::from_u128(run);
        format!(
            r#"{{"schema_version":"1.0.0","payload_type":"snapshot","run_id":"{run}","stream":"town","seq":{seq},"tick":{seq},"rendering":0,"jobs":{{}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_stream_beyond_the_limit_is_followed_once_another_one_is_silent() {
        let live = Live::new(2);
        let start = Instant::now();
        let feed = |run, seconds| {
            let line = keyframe(run, 1);
            live.feed(&read_head(&line).unwrap(), &line, start + Duration::from_secs(seconds));
            live.table().streams.keys().map(|name| name.run_id).collect::<Vec<_>>()
        };
        let runs = |all: &[u128]| all.iter().map(|run| RunId::from_u128(*run)).collect::<Vec<_>>();
        feed(1, 0);
        feed(2, 30);
        assert_eq!(feed(3, 59), runs(&[1, 2]));
        assert_eq!(feed(3, 61), runs(&[2, 3]));
    }

    #[test]
    fn what_is_no_state_with_a_place_is_not_followed() {
        let live = Live::new(9);
        let run = RunId::from_u128(1);
        for line in [
            format!(
                r#"{{"schema_version":"1.0.0","payload_type":"event","run_id":"{run}","stream":"s","seq":1,"tick":1,"event":"x","payload":{{}}}}"#
            ),
            r#"{"schema_version":"1.0.0","payload_type":"snapshot","run_id":"no run","stream":"s","seq":1,"tick":1}"#
                .to_owned(),
            r#"{"schema_version":"0.9.7","tick":1}"#.to_owned(),
        ] {
            live.feed(&read_head(line.as_bytes()).unwrap(), line.as_bytes(), Instant::now());
        }
        assert_eq!(live.followed_and_stale(), (0, 0));
        let diff = format!(
            r#"{{"schema_version":"1.0.0","payload_type":"diff","run_id":"{run}","stream":"s","seq":2,"tick":1,"base_seq":1,"patch":{{}}}}"#
        );
        live.feed(&read_head(diff.as_bytes()).unwrap(), diff.as_bytes(), Instant::now());
        assert_eq!(live.followed_and_stale(), (1, 1));
    }
}
