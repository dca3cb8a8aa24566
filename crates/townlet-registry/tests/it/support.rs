//! Keys, rings and statements that tests share.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must stop")]

use serde::{Deserialize, Serialize};
use townlet_registry::{Digest, Envelope, KeyRing, Predicate, Role, Signer, Statement, Subject, Time, TrustedKey};

/// 2026-11-21T16:00:00Z.
pub(crate) const NOON: i64 = 1_795_276_800_000;

pub(crate) fn noon() -> Time {
    Time::from_ms(NOON)
}

/// The key of a person, the same in every run.
pub(crate) fn signer(person: &str) -> Signer {
    Signer::from_seed(Digest::of(person.as_bytes()).as_bytes())
}

pub(crate) fn trusted(person: &str, roles: &[&str]) -> TrustedKey {
    TrustedKey {
        public: signer(person).public(),
        person: person.to_owned(),
        roles: roles.iter().map(|role| Role::new(*role).unwrap()).collect(),
        from: Time::from_ms(NOON - 86_400_000),
        until: None,
        revoked: None,
    }
}

/// Believes these people, each in the role `sre`, and `log` as the log.
pub(crate) fn ring(people: &[&str]) -> KeyRing {
    let mut ring = KeyRing::new();
    for person in people {
        ring.trust(trusted(person, &["sre"])).unwrap();
    }
    ring.trust(trusted("log", &[Role::LOG])).unwrap();
    ring
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) text: String,
    pub(crate) value: f64,
}

impl Predicate for Note {
    const TYPE: &'static str = "https://example.com/note/v1";
}

pub(crate) fn statement(about: &str, text: &str) -> Statement<Note> {
    let subject = Subject::new(about, Digest::of(about.as_bytes()));
    Statement::about(subject, Note { text: text.to_owned(), value: 0.1 })
}

/// A note of `person` about `about`.
pub(crate) fn note(person: &str, about: &str, text: &str) -> Envelope {
    Envelope::sign(&statement(about, text), &signer(person)).unwrap()
}
