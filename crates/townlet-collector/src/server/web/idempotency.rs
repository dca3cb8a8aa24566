//! Requests that come twice (draft-ietf-httpapi-idempotency-key-header).
//!
//! Lines with a number are deduplicated by it, in whichever request they come.
//! The key covers those without, and spares the work.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::batch::Taken;

/// Answered requests whose keys are remembered, and the longest key.
const REMEMBERED: usize = 8192;
const LONGEST: usize = 128;

#[derive(Default)]
pub(super) struct Keys {
    hasher: RandomState,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    known: HashMap<Box<str>, Known>,
    /// Those that are known beyond their work, the oldest first.
    kept: VecDeque<Box<str>>,
    repeated: u64,
}

type Fingerprint = (usize, u64);

struct Known {
    /// Of the body, so that two requests with one key are told apart.
    fingerprint: Fingerprint,
    state: State,
    /// It stands in `kept`.
    is_kept: bool,
}

#[derive(Clone, Copy)]
enum State {
    AtWork,
    /// It failed, after so much of it was taken.
    Begun(Taken),
    Answered(Taken),
}

/// What is known of a request.
pub(super) enum Seen<'a> {
    /// Nothing, or that it failed on its way: it is to be taken, as far as
    /// [`Work::taken`] does not say that it was, and [`Work::done`] says that it is.
    New(Work<'a>),
    /// It was taken.
    Before(Taken),
    /// It is being taken on another connection.
    AtWork,
    /// Another request had this key.
    Other,
    /// This is no key.
    NoKey,
}

/// A request that is being taken. Dropped before it is done, what was taken of it
/// is remembered; where that is nothing, it is forgotten.
pub(super) struct Work<'a> {
    keys: &'a Keys,
    key: Option<Box<str>>,
    fingerprint: Fingerprint,
    pub(super) taken: Taken,
}

impl Keys {
    /// Looks up the value of the header; none is always new.
    pub(super) fn look(&self, header: Option<&str>, body: &[u8]) -> Seen<'_> {
        let new = |key, fingerprint, taken| Seen::New(Work { keys: self, key, fingerprint, taken });
        let Some(value) = header else { return new(None, (0, 0), Taken::default()) };
        // A string of RFC 8941, or what others send for one.
        let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        if key.is_empty() || key.len() > LONGEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Seen::NoKey;
        }
        let fingerprint = (body.len(), self.hasher.hash_one(body));
        let mut table = self.table();
        let Some(known) = table.known.get_mut(key) else {
            let known = Known { fingerprint, state: State::AtWork, is_kept: false };
            table.known.insert(key.into(), known);
            return new(Some(key.into()), fingerprint, Taken::default());
        };
        if known.fingerprint != fingerprint {
            return Seen::Other;
        }
        match known.state {
            State::AtWork => Seen::AtWork,
            State::Begun(taken) => {
                known.state = State::AtWork;
                new(Some(key.into()), fingerprint, taken)
            }
            State::Answered(taken) => {
                table.repeated += 1;
                Seen::Before(taken)
            }
        }
    }

    /// How often a request came again.
    pub(super) fn repeated(&self) -> u64 {
        self.table().repeated
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn keep(&mut self, key: Box<str>, fingerprint: Fingerprint, state: State) {
        let before = self.known.insert(key.clone(), Known { fingerprint, state, is_kept: true });
        if before.is_some_and(|known| known.is_kept) {
            return;
        }
        self.kept.push_back(key);
        if self.kept.len() > REMEMBERED
            && let Some(oldest) = self.kept.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Work<'_> {
    /// The request was taken: the same one again gets the same answer.
    pub(super) fn done(mut self) -> Taken {
        if let Some(key) = self.key.take() {
            self.keys.table().keep(key, self.fingerprint, State::Answered(self.taken));
        }
        self.taken
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut table = self.keys.table();
        if self.taken == Taken::default() {
            table.known.remove(&key);
        } else {
            table.keep(key, self.fingerprint, State::Begun(self.taken));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(keys: &Keys, key: &str, body: &[u8]) -> &'static str {
        match keys.look(Some(key), body) {
            Seen::New(mut work) => {
                work.taken = Taken { lines: 1, ..Taken::default() };
                work.done();
                "new"
            }
            Seen::Before(_) => "before",
            Seen::AtWork => "at work",
            Seen::Other => "other",
            Seen::NoKey => "no key",
        }
    }

    #[test]
    fn a_key_stands_for_one_body_and_only_once_it_was_taken() {
        let keys = Keys::default();
        let work = keys.look(Some("\"a\""), b"one");
        assert!(matches!(&work, Seen::New(_)));
        assert_eq!(look(&keys, "a", b"one"), "at work");
        assert_eq!(look(&keys, "a", b"two"), "other");
        drop(work);
        assert_eq!(look(&keys, "a", b"one"), "new", "what failed may be tried again");
        assert_eq!(look(&keys, "\"a\"", b"one"), "before");
        assert_eq!(look(&keys, "a", b"two"), "other");
        assert_eq!(keys.repeated(), 1);
        for no_key in ["", "\"\"", "ü", "a b", &"x".repeat(129)] {
            assert_eq!(look(&keys, no_key, b"one"), "no key", "{no_key:?}");
        }
        assert!(matches!(keys.look(None, b"one"), Seen::New(_)));
    }

    #[test]
    fn what_was_taken_before_it_failed_is_known_at_the_next_try() {
        let keys = Keys::default();
        for lines in 1..=3 {
            let Seen::New(mut work) = keys.look(Some("a"), b"one") else { panic!("it may be tried again") };
            assert_eq!(work.taken.lines, lines - 1);
            work.taken.lines = lines;
            assert_eq!(look(&keys, "a", b"one"), "at work");
        }
        assert_eq!(look(&keys, "a", b"two"), "other");
        assert_eq!(look(&keys, "a", b"one"), "new");
        assert_eq!(look(&keys, "a", b"one"), "before");
        assert_eq!(keys.table().kept.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_are_forgotten() {
        let keys = Keys::default();
        for n in 0..REMEMBERED + 10 {
            assert_eq!(look(&keys, &format!("key-{n}"), b""), "new");
        }
        assert_eq!(look(&keys, "key-10", b""), "before");
        assert_eq!(look(&keys, "key-9", b""), "new");
        assert_eq!(keys.table().known.len(), REMEMBERED);
        assert_eq!(keys.table().kept.len(), REMEMBERED);
    }
}
