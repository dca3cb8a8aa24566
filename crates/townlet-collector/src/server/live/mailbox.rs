//! What waits for one subscriber: of each stream one state, whatever happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use townlet_schema::Object;
use townlet_state::{Limits, State, coalesce};

use super::{Counts, Current, Happened, StreamName};

/// Items of one per-tick section that wait for a slow subscriber: the newest.
const ITEMS: Limits = Limits { items: 1024 };
/// Bytes of what happened in earlier ticks of one stream, and in how many of them.
const EARLIER_BYTES: usize = 1 << 20;
const EARLIER_TICKS: usize = 4096;

/// Which streams a subscriber wants; none is all.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Wants {
    pub(in crate::server) run_id: Option<String>,
    pub(in crate::server) stream: Option<String>,
}

impl Wants {
    pub(in crate::server) fn holds(&self, name: &StreamName) -> bool {
        self.run_id.as_deref().is_none_or(|run_id| run_id == name.run_id.as_str())
            && self.stream.as_deref().is_none_or(|stream| stream == &*name.stream)
    }
}

pub(in crate::server) struct Mailbox {
    wants: Wants,
    inner: Mutex<Inner>,
    /// A byte here wakes the subscriber's thread.
    bell: UnixStream,
}

#[derive(Default)]
struct Inner {
    waiting: BTreeMap<Arc<StreamName>, Waiting>,
    gone: BTreeSet<Arc<StreamName>>,
    rung: bool,
}

struct Waiting {
    current: Current,
    /// What happened in the ticks of the states that this one stands for as well,
    /// the oldest first. Shared with the other subscribers that are behind: all end
    /// at the newest state, so that all of them have the memory of the slowest.
    earlier: VecDeque<Arc<Happened>>,
    bytes: usize,
}

impl Waiting {
    fn new(current: Current) -> Self {
        Self { current, earlier: VecDeque::new(), bytes: 0 }
    }

    /// Keeps what happened in one more tick, within the limits. Says how many items
    /// that cost, the oldest first.
    fn keep(&mut self, happened: Arc<Happened>) -> u64 {
        if happened.items == 0 {
            return 0;
        }
        self.bytes += happened.bytes;
        self.earlier.push_back(happened);
        let mut lost = 0;
        while self.bytes > EARLIER_BYTES || self.earlier.len() > EARLIER_TICKS {
            let Some(oldest) = self.earlier.pop_front() else { break };
            self.bytes -= oldest.bytes;
            lost += oldest.items;
        }
        lost
    }
}

/// What a subscriber is to be told next.
pub(in crate::server) enum Mail {
    /// A stream is in this state.
    State(Arc<StreamName>, Current),
    /// Nothing will come of this stream any more.
    Gone(Arc<StreamName>),
}

impl Mailbox {
    pub(in crate::server) fn new(wants: Wants, bell: UnixStream) -> Self {
        Self { wants, inner: Mutex::default(), bell }
    }

    /// Puts the next state of a stream in the place of the one that waits, if one
    /// does, and keeps what happened in its tick.
    pub(super) fn put(&self, name: &Arc<StreamName>, current: &Current, counts: &Counts) {
        if !self.wants.holds(name) {
            return;
        }
        let mut inner = self.lock();
        match inner.waiting.get_mut(name) {
            // The same once more: a subscription and the stream met.
            Some(waiting) if current.state.seq <= waiting.current.state.seq => return,
            Some(waiting) => {
                let passed = std::mem::replace(&mut waiting.current, current.clone());
                let lost = waiting.keep(passed.happened());
                counts.coalesced.fetch_add(1, Ordering::Relaxed);
                counts.overflow.fetch_add(lost, Ordering::Relaxed);
            }
            None => {
                inner.waiting.insert(Arc::clone(name), Waiting::new(current.clone()));
            }
        }
        self.ring(&mut inner);
    }

    pub(super) fn forget(&self, name: &Arc<StreamName>) {
        let mut inner = self.lock();
        inner.waiting.remove(name);
        inner.gone.insert(Arc::clone(name));
        self.ring(&mut inner);
    }

    /// The next thing, or none. `after`: streams take turns, so that a busy one
    /// does not keep the others waiting.
    pub(in crate::server) fn take(&self, after: Option<&Arc<StreamName>>, counts: &Counts) -> Option<Mail> {
        let mut inner = self.lock();
        if let Some(name) = inner.gone.pop_first() {
            return Some(Mail::Gone(name));
        }
        let next = after.and_then(|after| inner.waiting.keys().find(|name| *name > after));
        let name = next.or_else(|| inner.waiting.keys().next()).map(Arc::clone);
        let waiting = name.as_ref().and_then(|name| inner.waiting.remove(name));
        let (Some(name), Some(waiting)) = (name, waiting) else {
            inner.rung = false;
            return None;
        };
        drop(inner);
        let Waiting { mut current, earlier, .. } = waiting;
        if !earlier.is_empty() {
            let mut lost = 0;
            let mut join = |older: Object, newer: Object| {
                let (joined, overflow) = coalesce(older, newer, ITEMS);
                lost += overflow.values().sum::<u64>();
                joined
            };
            let sum = earlier.iter().fold(Object::default(), |sum, happened| join(sum, happened.sections.clone()));
            let sections = join(sum, (*current.state.sections).clone());
            counts.overflow.fetch_add(lost, Ordering::Relaxed);
            current = Current::new(current.version, State { sections: Arc::new(sections), ..current.state });
        }
        Some(Mail::State(name, current))
    }

    fn ring(&self, inner: &mut Inner) {
        if !inner.rung {
            inner.rung = true;
            // Where it is full, it has been rung.
            let _ = (&self.bell).write(&[1]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use townlet_schema::{Json, RunId, SchemaVersion};

    use super::*;

    fn name() -> Arc<StreamName> {
        Arc::new(StreamName { run_id: RunId::from_u128(1), stream: "town".into() })
    }

    fn state(seq: u64, items: usize, bytes: usize) -> Current {
        let item = |n: usize| Json::from(format!("{seq}-{n} {}", "x".repeat(bytes)));
        let sections = Object::from_iter([
            ("events", Json::Array((0..items).map(item).collect())),
            ("jobs", Json::from("y".repeat(100_000))),
        ]);
        Current::new(SchemaVersion::CURRENT, State::new(seq, seq, sections))
    }

    fn mailbox() -> Mailbox {
        let (bell, rings) = UnixStream::pair().unwrap();
        rings.set_nonblocking(true).unwrap();
        // Nobody listens to this one.
        drop(bell);
        Mailbox::new(Wants::default(), rings)
    }

    /// How many events there are, and the first one and the last one of them.
    fn taken(mailbox: &Mailbox, counts: &Counts) -> (usize, String, String) {
        let Some(Mail::State(_, current)) = mailbox.take(None, counts) else { panic!("a state waits") };
        let events = current.state.sections.get("events").and_then(Json::as_array).unwrap();
        let begin = |at: usize| events[at].as_str().and_then(|text| text.split(' ').next()).unwrap().to_owned();
        (events.len(), begin(0), begin(events.len() - 1))
    }

    #[test]
    fn what_waits_for_a_slow_subscriber_is_bounded_in_bytes_and_the_newest_is_kept() {
        let (mailbox, counts) = (mailbox(), Counts::default());
        for seq in 1..=100 {
            mailbox.put(&name(), &state(seq, 2, 50_000), &counts);
            let inner = mailbox.lock();
            let waiting = inner.waiting.values().next().unwrap();
            let held: usize = waiting.earlier.iter().map(|happened| happened.bytes).sum();
            assert!(held == waiting.bytes && held <= EARLIER_BYTES, "{held}");
        }
        let (events, first, last) = taken(&mailbox, &counts);
        assert_eq!((events, first.as_str(), last.as_str()), (22, "90-0", "100-1"));
        assert_eq!(counts.overflow.load(Ordering::Relaxed), 178, "every item is here or counted");
        assert!(mailbox.take(None, &counts).is_none());
    }

    #[test]
    fn of_small_items_the_newest_are_kept_however_many_ticks_they_came_in() {
        let (mailbox, counts) = (mailbox(), Counts::default());
        for seq in 1..=3_000 {
            mailbox.put(&name(), &state(seq, 1, 1), &counts);
        }
        assert_eq!(taken(&mailbox, &counts), (1024, "1977-0".to_owned(), "3000-0".to_owned()));
        assert_eq!(counts.overflow.load(Ordering::Relaxed), 3_000 - 1024);
        // What is larger than all there is room for is left out alone.
        for (seq, bytes) in [(1, 1), (2, 2 << 20), (3, 1), (4, 1)] {
            mailbox.put(&name(), &state(seq, 1, bytes), &counts);
        }
        assert_eq!(taken(&mailbox, &counts), (2, "3-0".to_owned(), "4-0".to_owned()));
    }

    #[test]
    fn subscribers_that_are_behind_share_what_waits_for_them() {
        let (one, other, counts) = (mailbox(), mailbox(), Counts::default());
        for seq in 1..=3 {
            let current = state(seq, 1, 1);
            for mailbox in [&one, &other] {
                mailbox.put(&name(), &current, &counts);
            }
        }
        let (one, other) = (one.lock(), other.lock());
        let earlier = |inner: &Inner| inner.waiting.values().next().unwrap().earlier.clone();
        let pairs = earlier(&one).into_iter().zip(earlier(&other));
        assert_eq!(pairs.filter(|(one, other)| Arc::ptr_eq(one, other)).count(), 2);
    }
}
