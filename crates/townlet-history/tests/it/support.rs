//! People, statements and entries that tests share.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must stop")]

use std::collections::BTreeSet;

use townlet_gate::statement::{IncidentClosed, IncidentOpened, IncidentOutcome, Severity, incident_subject};
use townlet_history::statement::{Deployment, IncidentEntry, Outcome, Shipped, Step};
use townlet_history::{History, Told};
use townlet_registry::{
    Digest, Envelope, KeyRing, Predicate, Record, Role, Signer, Statement, Subject, Time, TrustedKey,
};

/// 2026-11-21T16:00:00Z.
const NOON: i64 = 1_795_276_800_000;

/// So many minutes after noon.
pub(crate) fn minute(count: i64) -> Time {
    Time::from_ms(NOON + count * 60_000)
}

pub(crate) fn signer(person: &str) -> Signer {
    Signer::from_seed(Digest::of(person.as_bytes()).as_bytes())
}

/// `bo` (sre-on-call) and `gate` (gate), believed from a day before noon.
pub(crate) fn ring() -> KeyRing {
    let mut ring = KeyRing::new();
    for (person, role) in [("bo", "sre-on-call"), ("gate", "gate"), ("rosa", "release-engineer"), ("ci", "ci")] {
        let roles = [Role::new(role).unwrap()].into();
        let (public, from) = (signer(person).public(), minute(-1440));
        ring.trust(TrustedKey { public, person: person.into(), roles, from, until: None, revoked: None }).unwrap();
    }
    ring
}

/// An entry of the log that `person` signed, taken in at that minute.
pub(crate) fn entry<P: Predicate>(index: u64, at: i64, person: &str, about: Subject, says: P) -> Record {
    let envelope = Envelope::sign(&Statement::about(about, says), &signer(person)).unwrap();
    Record { index, at: minute(at), digest: envelope.digest().unwrap(), envelope }
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name, Digest::of(name.as_bytes()))
}

pub(crate) fn deployment(id: &str, started: i64, end: Option<(i64, Outcome)>) -> Deployment {
    Deployment {
        id: id.into(),
        environment: "production".into(),
        outcome: end.map_or(Outcome::Running, |(_, outcome)| outcome),
        started_at: minute(started),
        finished_at: end.map(|(at, _)| minute(at)),
        decision: None,
        changes: Vec::new(),
        undoes: None,
        command: None,
        actor: "bo".into(),
    }
}

pub(crate) fn shipped(revision: &str, committed: i64) -> Shipped {
    Shipped { revision: revision.into(), committed_at: minute(committed) }
}

pub(crate) fn opened(incident: &str, began: i64, deployment: Option<Digest>) -> IncidentOpened {
    IncidentOpened {
        incident: incident.into(),
        environment: "production".into(),
        severity: Severity::Critical,
        summary: "nobody can log in".into(),
        began_at: minute(began),
        deployment,
        actor: "bo".into(),
        at: minute(began),
    }
}

pub(crate) fn closed(incident: &str, restored: i64, outcome: IncidentOutcome) -> IncidentClosed {
    IncidentClosed {
        incident: incident.into(),
        outcome,
        restored_at: minute(restored),
        summary: "the flag is off".into(),
        actor: "bo".into(),
        at: minute(restored),
    }
}

pub(crate) fn step(incident: &str, step: Step, happened: i64) -> IncidentEntry {
    let (happened_at, at) = (minute(happened), minute(happened));
    IncidentEntry { incident: incident.into(), step, happened_at, text: "a test".into(), actor: "bo".into(), at }
}

/// A story of one incident, in the order of the log: each taken in a minute after the one before.
pub(crate) struct Story(Vec<Record>);

impl Story {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn says<P: Predicate>(mut self, about: Subject, says: P) -> Self {
        let index = self.0.len();
        self.0.push(entry(index as u64, 1000, "bo", about, says));
        self
    }

    pub(crate) fn of<P: Predicate>(self, incident: &str, says: P) -> Self {
        self.says(incident_subject(incident).unwrap(), says)
    }

    #[track_caller]
    pub(crate) fn read(&self) -> History {
        let history = History::read(&self.0, &ring(), minute(2000));
        assert_eq!(history.not_counted, []);
        history
    }

    pub(crate) fn last(&self) -> Digest {
        self.0.last().unwrap().digest
    }
}

/// A statement that counts, without a signature: what is computed from statements does not ask for one.
pub(crate) fn told<P>(index: u64, name: &str, subjects: Vec<Digest>, said: P) -> Told<P> {
    Told {
        index,
        logged_at: minute(0),
        digest: Digest::of(name.as_bytes()),
        subjects,
        person: "bo".into(),
        roles: BTreeSet::new(),
        said,
    }
}
