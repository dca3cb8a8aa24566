//! What waits for one subscriber: of each stream one state, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use townlet_schema::{Object, Section, SectionClass};
use townlet_state::{Limits, coalesce};

use super::{Counts, Current, StreamName};

/// Items of one per-tick section that wait for a slow subscriber: the newest.
const ITEMS: Limits = Limits { items: 1024 };

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
    /// What happened in the ticks of the states that this one stands for as well.
    earlier: Object,
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
                let earlier = std::mem::take(&mut waiting.earlier);
                let (earlier, overflow) = coalesce(earlier, happened(&passed.state.sections), ITEMS);
                waiting.earlier = earlier;
                counts.coalesced.fetch_add(1, Ordering::Relaxed);
                counts.overflow.fetch_add(overflow.values().sum(), Ordering::Relaxed);
            }
            None => {
                let waiting = Waiting { current: current.clone(), earlier: Object::default() };
                inner.waiting.insert(Arc::clone(name), waiting);
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
        let Waiting { mut current, earlier } = waiting;
        if !earlier.is_empty() {
            let (sections, overflow) = coalesce(earlier, (*current.state.sections).clone(), ITEMS);
            counts.overflow.fetch_add(overflow.values().sum(), Ordering::Relaxed);
            current.state.sections = Arc::new(sections);
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

/// The sections of a state that say what happened in its tick.
fn happened(sections: &Object) -> Object {
    let per_tick = |key: &str| Section::from_name(key).is_some_and(|section| section.class() == SectionClass::PerTick);
    sections.iter().filter(|(key, _)| per_tick(key)).map(|(key, value)| (key, value.clone())).collect()
}
