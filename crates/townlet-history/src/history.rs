//! From the entries of a log to what is known.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use townlet_gate::gate::Decision;
use townlet_gate::statement::{Attestation, IncidentClosed, IncidentOpened};
use townlet_registry::{Digest, KeyRing, Predicate, Record, Role, Statement, Time};

use crate::statement::{ConfigVersion, Deployment, IncidentEntry, Outcome, ReadyzHistory};

/// A statement that counts: its signatures are believed as of when the log took it in, and one is that of who it speaks
/// for.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<P> {
    /// Its place in the log.
    pub index: u64,
    /// When the log took it in.
    pub logged_at: Time,
    /// Of its envelope: the name of the record.
    pub digest: Digest,
    /// What it is about.
    pub subjects: Vec<Digest>,
    /// Who signed.
    pub person: String,
    /// What they may sign as.
    pub roles: BTreeSet<Role>,
    /// What it says.
    pub said: P,
}

/// An entry that is one of ours and does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCounted {
    /// Its place in the log.
    pub index: u64,
    /// Of its envelope.
    pub digest: Digest,
    /// Why.
    pub why: String,
}

/// What a log says about what became of releases, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Decisions of the gate.
    pub decisions: Vec<Told<Decision>>,
    /// Deployments: each with the record of its beginning, if there is one, and that of its end.
    pub deployments: Vec<Told<Deployment>>,
    /// Incidents that were opened.
    pub opened: Vec<Told<IncidentOpened>>,
    /// Entries in their timelines.
    pub entries: Vec<Told<IncidentEntry>>,
    /// Incidents that were closed.
    pub closed: Vec<Told<IncidentClosed>>,
    /// What probes saw.
    pub readyz: Vec<Told<ReadyzHistory>>,
    /// Configurations.
    pub configs: Vec<Told<ConfigVersion>>,
    /// Trainings, duties, and what was looked at.
    pub attestations: Vec<Told<Attestation>>,
    /// What does not count.
    pub not_counted: Vec<NotCounted>,
}

/// What statements of one kind have in common.
trait Says: Predicate + DeserializeOwned {
    /// Who it speaks for; nobody, where whoever signs does.
    fn actor(&self) -> Option<&str>;
    /// The latest moment that it speaks of.
    fn latest(&self) -> Time;
    /// What is wrong with it by itself.
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

impl Says for Decision {
    fn actor(&self) -> Option<&str> {
        None
    }
    // A decision may be asked for any moment.
    fn latest(&self) -> Time {
        Time::from_ms(i64::MIN)
    }
}

impl Says for Deployment {
    fn actor(&self) -> Option<&str> {
        Some(&self.actor)
    }
    fn latest(&self) -> Time {
        self.finished_at.unwrap_or(self.started_at)
    }
    fn fault(&self) -> Option<&'static str> {
        if (self.outcome == Outcome::Running) != self.finished_at.is_none() {
            return Some("a deployment has an end exactly when it is not running any more");
        }
        (self.finished_at.is_some_and(|end| end < self.started_at)).then_some("it ends before it begins")
    }
}

impl Says for IncidentOpened {
    fn actor(&self) -> Option<&str> {
        Some(&self.actor)
    }
    fn latest(&self) -> Time {
        self.at.max(self.began_at)
    }
    fn fault(&self) -> Option<&'static str> {
        self.incident.trim().is_empty().then_some("the incident has no name")
    }
}

impl Says for IncidentEntry {
    fn actor(&self) -> Option<&str> {
        Some(&self.actor)
    }
    fn latest(&self) -> Time {
        self.at.max(self.happened_at)
    }
}

impl Says for IncidentClosed {
    fn actor(&self) -> Option<&str> {
        Some(&self.actor)
    }
    fn latest(&self) -> Time {
        self.at.max(self.restored_at)
    }
}

impl Says for ReadyzHistory {
    fn actor(&self) -> Option<&str> {
        Some(&self.actor)
    }
    fn latest(&self) -> Time {
        self.at.max(self.summary.last)
    }
    fn fault(&self) -> Option<&'static str> {
        let Self { summary, .. } = self;
        let sum = summary.ready.checked_add(summary.not_ready).and_then(|sum| sum.checked_add(summary.unanswered));
        (sum != Some(summary.probes) || summary.probes == 0).then_some("its counts do not add up")
    }
}

impl Says for ConfigVersion {
    fn actor(&self) -> Option<&str> {
        Some(&self.actor)
    }
    fn latest(&self) -> Time {
        self.at
    }
}

impl Says for Attestation {
    fn actor(&self) -> Option<&str> {
        Some(&self.actor)
    }
    fn latest(&self) -> Time {
        self.at
    }
    fn fault(&self) -> Option<&'static str> {
        (self.person.as_ref() == Some(&self.actor)).then_some("somebody vouches for themselves")
    }
}

/// A statement may be so much ahead of the log's clock.
const CLOCKS_DIFFER_MS: i64 = 5 * 60 * 1000;

impl History {
    /// The predicate types that it reads.
    pub const TYPES: [&'static str; 8] = [
        Decision::TYPE,
        Deployment::TYPE,
        IncidentOpened::TYPE,
        IncidentEntry::TYPE,
        IncidentClosed::TYPE,
        ReadyzHistory::TYPE,
        ConfigVersion::TYPE,
        Attestation::TYPE,
    ];

    /// Reads entries in the order of their log, as far as the log had them at `as_of`; entries of other types are passed
    /// over. What is signed by nobody who is believed, speaks for somebody else, or tells of a time after the log took it
    /// in, does not count.
    #[must_use]
    pub fn read(records: &[Record], ring: &KeyRing, as_of: Time) -> Self {
        let mut history = Self::default();
        for record in records.iter().filter(|record| record.at <= as_of) {
            let Ok(head) = record.envelope.head() else { continue };
            let put = match head.predicate_type.as_str() {
                Decision::TYPE => told(record, ring).map(|one| history.decisions.push(one)),
                Deployment::TYPE => told(record, ring).map(|one| history.deployments.push(one)),
                IncidentOpened::TYPE => told(record, ring).map(|one| history.opened.push(one)),
                IncidentEntry::TYPE => told(record, ring).map(|one| history.entries.push(one)),
                IncidentClosed::TYPE => told(record, ring).map(|one| history.closed.push(one)),
                ReadyzHistory::TYPE => told(record, ring).map(|one| history.readyz.push(one)),
                ConfigVersion::TYPE => told(record, ring).map(|one| history.configs.push(one)),
                Attestation::TYPE => told(record, ring).map(|one| history.attestations.push(one)),
                _ => continue,
            };
            if let Err(why) = put {
                history.not_counted.push(NotCounted { index: record.index, digest: record.digest, why });
            }
        }
        history
    }
}

fn told<P: Says>(record: &Record, ring: &KeyRing) -> Result<Told<P>, String> {
    let statement: Statement<P> = record.envelope.statement().map_err(|error| error.to_string())?;
    let Statement { subjects, predicate: said } = statement;
    let signatories = ring.verify(&record.envelope, record.at).map_err(|error| error.to_string())?;
    let signed: Vec<&str> = signatories.iter().map(|one| one.person).collect();
    let signer = match said.actor() {
        None => signatories.first(),
        Some(actor) => signatories.iter().find(|one| one.person == actor),
    };
    let Some(signer) = signer else {
        let actor = said.actor().unwrap_or_default();
        return Err(format!("it speaks for '{actor}', and was signed by {}", signed.join(", ")));
    };
    if said.latest().as_ms() > record.at.as_ms().saturating_add(CLOCKS_DIFFER_MS) {
        return Err(format!("it tells of {}, and the log had it at {}", said.latest(), record.at));
    }
    if let Some(fault) = said.fault() {
        return Err(fault.to_owned());
    }
    Ok(Told {
        index: record.index,
        logged_at: record.at,
        digest: record.digest,
        subjects: subjects.into_iter().map(|subject| subject.digest).collect(),
        person: signer.person.to_owned(),
        roles: signer.roles.clone(),
        said,
    })
}
