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
    /// Answered ones, the oldest first.
    answered: VecDeque<Box<str>>,
    repeated: u64,
}

struct Known {
    /// Of the body, so that two requests with one key are told apart.
    fingerprint: (usize, u64),
    /// None while it is being worked on.
    taken: Option<Taken>,
}

/// What is known of a request.
pub(super) enum Seen<'a> {
    /// Nothing: it is to be taken, and [`Work::done`] says that it was.
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

/// A request that is being taken. Forgotten when it is dropped before it is done.
pub(super) struct Work<'a> {
    keys: &'a Keys,
    key: Option<Box<str>>,
}

impl Keys {
    /// Looks up the value of the header; none is always new.
    pub(super) fn look(&self, header: Option<&str>, body: &[u8]) -> Seen<'_> {
        let Some(value) = header else { return Seen::New(Work { keys: self, key: None }) };
        // A string of RFC 8941, or what others send for one.
        let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        if key.is_empty() || key.len() > LONGEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Seen::NoKey;
        }
        let fingerprint = (body.len(), self.hasher.hash_one(body));
        let mut table = self.table();
        match table.known.get(key) {
            Some(known) if known.fingerprint != fingerprint => Seen::Other,
            Some(Known { taken: None, .. }) => Seen::AtWork,
            Some(Known { taken: Some(taken), .. }) => {
                let taken = *taken;
                table.repeated += 1;
                Seen::Before(taken)
            }
            None => {
                table.known.insert(key.into(), Known { fingerprint, taken: None });
                Seen::New(Work { keys: self, key: Some(key.into()) })
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

impl Work<'_> {
    /// The request was taken: the same one again gets the same answer.
    pub(super) fn done(mut self, taken: Taken) {
        let Some(key) = self.key.take() else { return };
        let mut table = self.keys.table();
        if let Some(known) = table.known.get_mut(&key) {
            known.taken = Some(taken);
        }
        table.answered.push_back(key);
        if table.answered.len() > REMEMBERED
            && let Some(oldest) = table.answered.pop_front()
        {
            table.known.remove(&oldest);
        }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.keys.table().known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(keys: &Keys, key: &str, body: &[u8]) -> &'static str {
        match keys.look(Some(key), body) {
            Seen::New(work) => {
                work.done(Taken { lines: 1, ..Taken::default() });
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
    fn memory_is_bounded_and_the_oldest_are_forgotten() {
        let keys = Keys::default();
        for n in 0..REMEMBERED + 10 {
            assert_eq!(look(&keys, &format!("key-{n}"), b""), "new");
        }
        assert_eq!(look(&keys, "key-10", b""), "before");
        assert_eq!(look(&keys, "key-9", b""), "new");
        assert_eq!(keys.table().known.len(), REMEMBERED);
        assert_eq!(keys.table().answered.len(), REMEMBERED);
    }
}
