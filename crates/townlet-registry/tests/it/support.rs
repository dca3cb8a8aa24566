//! Keys, rings and statements that tests share.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must stop")]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use townlet_registry::{
    Digest, Envelope, KeyRing, Predicate, Registry, Role, SignedCheckpoint, Signer, Statement, Subject, Time,
    TrustedKey,
};

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

/// A registry in a folder of its own.
pub(crate) struct Kept {
    pub(crate) registry: Registry,
    pub(crate) folder: TempDir,
}

impl Kept {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("registry.db")
    }
}

pub(crate) const ORIGIN: &str = "test.example/log";

pub(crate) fn empty() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::create(&folder.path().join("registry.db"), ORIGIN).unwrap();
    Kept { registry, folder }
}

/// So many notes of `ada` about `release-0`, `release-1` …
pub(crate) fn filled(count: u32) -> Kept {
    let mut kept = empty();
    let notes: Vec<Envelope> = (0..count).map(|n| note("ada", &format!("release-{n}"), "fine")).collect();
    kept.registry.append_all(&notes, noon()).unwrap();
    kept
}

pub(crate) fn minutes(count: i64) -> Time {
    Time::from_ms(NOON + count * 60_000)
}

/// So many times four bytes make a note of the story as large as its bundle of 50 KiB needs.
const TEXT: usize = 135;

/// A log of 64 notes, of which every second is about `release-42`, signed by one or two people, with checkpoints on
/// the way; the first of them names stored bytes and a note about something else.
pub(crate) struct Story {
    pub(crate) kept: Kept,
    pub(crate) ring: KeyRing,
    /// The checkpoints of 20, 40 and 64 entries.
    pub(crate) checkpoints: Vec<SignedCheckpoint>,
}

pub(crate) fn release() -> Digest {
    Digest::of(b"release-42")
}

pub(crate) fn story() -> Story {
    let mut kept = empty();
    let evidence = kept.registry.store("p95_ms,201\n".repeat(400).as_bytes()).unwrap();
    let aside = note("bob", "rehearsal-7", "it took 3 min 12 s");
    let named = format!("evidence {evidence}, rehearsal {}", aside.digest().unwrap());
    kept.registry.append(&aside, noon()).unwrap();
    kept.registry.append(&note("ada", "release-42", &named), noon()).unwrap();
    let mut checkpoints = Vec::new();
    for number in 2..64_i64 {
        let about = if number % 2 == 0 { "release-42".to_owned() } else { format!("other-{number}") };
        let text = format!("{number}: ").repeat(TEXT);
        let mut envelope = note("ada", &about, &text);
        if number % 3 == 0 {
            envelope = envelope.countersigned(&signer("bob"));
        }
        kept.registry.append(&envelope, minutes(number)).unwrap();
        if number == 19 || number == 39 || number == 63 {
            checkpoints.push(kept.registry.checkpoint(&signer("log"), minutes(number)).unwrap());
        }
    }
    Story { kept, ring: ring(&["ada", "bob"]), checkpoints }
}
