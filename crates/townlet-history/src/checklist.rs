//! The evidence checklist of a release: which records there are, which are missing, and which are too old.

use std::time::Duration;

use serde::Serialize;
use townlet_gate::gate::{Code, Condition, Judgement, Standing, Verdict};
use townlet_gate::manifest::Manifest;
use townlet_registry::{Digest, Time};

use crate::config::place;
use crate::deployment::Seen;
use crate::history::History;
use crate::statement::Outcome;

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is there.
    Present,
    /// It is not, or it says no.
    Missing,
    /// It is there, and too old.
    Stale,
    /// The change board does not ask for it, or there is nothing that it could be about.
    NotRequired,
    /// It comes after the deployment, which has not been.
    NotYet,
}

impl State {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::NotRequired => "not required",
            Self::NotYet => "not yet",
        }
    }

    /// Whether somebody has to do something.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Missing | Self::Stale)
    }
}

/// One thing that there should be a record of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name.
    pub id: String,
    /// How it stands.
    pub state: State,
    /// The particulars.
    pub note: String,
    /// The records, by digest.
    pub records: Vec<Digest>,
}

/// What is asked about.
pub struct Question<'q> {
    /// The release.
    pub manifest: &'q Manifest,
    /// Of its manifest.
    pub digest: Digest,
    /// Where it goes.
    pub environment: &'q str,
    /// What the gate finds, by the board of that environment.
    pub judgement: &'q Judgement,
    /// Whether the bytes of a digest are kept.
    pub kept: &'q dyn Fn(Digest) -> bool,
    /// How long after the end of an incident what was learnt may be written.
    pub postmortem_within: Duration,
    /// Now.
    pub as_of: Time,
}

/// Reasons that say that there was a record, and that it grew old.
const OLD: [Code; 4] =
    [Code::ReadinessOverdue, Code::RollbackRehearsalOverdue, Code::ApprovalExpired, Code::AttestationExpired];

impl History {
    /// Goes through the list: what is there before a deployment, and what comes after it.
    #[must_use]
    pub fn checklist(&self, question: &Question<'_>) -> Vec<Item> {
        let mut items = vec![manifest(question)];
        items.push(by_condition(question, "scorecard", "readiness"));
        items.extend(each(question, "approval:", "approvals"));
        items.push(by_condition(question, "rehearsal", "rehearsal"));
        items.push(dashboards(question));
        items.extend(each(question, "attestation:", "training"));
        items.push(self.configuration(question));
        items.push(self.decision(question));
        let deployments = self.deployments_to(question.environment);
        let of_it: Vec<&Seen<'_>> =
            deployments.iter().filter(|one| one.is_of(question.digest) && !one.is_rollback()).collect();
        items.push(deployment(&of_it));
        let out = of_it.iter().rev().find(|one| one.said().outcome == Outcome::Succeeded).copied();
        items.push(self.readyz_after(question, out));
        items.push(self.postmortems(question, &of_it));
        items
    }

    fn configuration(&self, question: &Question<'_>) -> Item {
        let here = |path: &str| place(path).is_ok_and(|(environment, _)| environment == question.environment);
        let deltas: Vec<_> = question.manifest.config_deltas.iter().filter(|delta| here(&delta.path)).collect();
        if deltas.is_empty() {
            let note = format!("the manifest changes no configs/{}/<release>.toml", question.environment);
            return item("configuration", State::NotRequired, note, Vec::new());
        }
        let (mut records, mut lacking) = (Vec::new(), Vec::new());
        for delta in deltas {
            let recorded = self.configs.iter().rev().find(|told| {
                told.said.environment == question.environment && delta.to.is_some() && told.file() == delta.to
            });
            match (recorded, delta.to) {
                (Some(told), _) => records.push(told.digest),
                // What goes needs no record.
                (None, None) => {}
                (None, Some(_)) => lacking.push(delta.path.as_str()),
            }
        }
        let state = if lacking.is_empty() { State::Present } else { State::Missing };
        let note = match lacking.as_slice() {
            [] => format!("{} recorded by digest", records.len()),
            paths => format!("not recorded as the manifest has it: {}", paths.join(", ")),
        };
        item("configuration", state, note, records)
    }

    fn decision(&self, question: &Question<'_>) -> Item {
        let about = self.decisions.iter().rev();
        let mut about = about.filter(|told| {
            told.said.manifest == Some(question.digest) && told.said.environment == question.environment
        });
        let Some(last) = about.next() else {
            return item("decision", State::Missing, "the gate was not asked".to_owned(), Vec::new());
        };
        let state = if last.said.verdict == Verdict::Approve { State::Present } else { State::Missing };
        let note = format!("{} as of {}, signed by {}", last.said.verdict.as_str(), last.said.as_of, last.person);
        item("decision", state, note, vec![last.digest])
    }

    fn readyz_after(&self, question: &Question<'_>, out: Option<&Seen<'_>>) -> Item {
        let Some(end) = out.and_then(|one| one.said().finished_at) else {
            return item("readyz", State::NotYet, "it is not out".to_owned(), Vec::new());
        };
        let of_it = self
            .readyz
            .iter()
            .filter(|told| told.subjects.contains(&question.digest) && told.said.environment == question.environment);
        let (after, before): (Vec<_>, Vec<_>) = of_it.partition(|told| told.said.summary.last >= end);
        let Some(last) = after.last() else {
            let state = if before.is_empty() { State::Missing } else { State::Stale };
            return item("readyz", state, format!("no probe after {end}"), Vec::new());
        };
        let summary = &last.said.summary;
        let state = if summary.always_ready() { State::Present } else { State::Missing };
        let note = format!("ready {} of {} times up to {}", summary.ready, summary.probes, summary.last);
        item("readyz", state, note, vec![last.digest, last.said.raw])
    }

    fn postmortems(&self, question: &Question<'_>, of_it: &[&Seen<'_>]) -> Item {
        let incidents = self.incidents();
        let brought: Vec<_> = incidents
            .all
            .iter()
            .filter(|one| one.is_real() && of_it.iter().any(|seen| one.was_brought_by(&seen.records)))
            .collect();
        if brought.is_empty() {
            return item("postmortem", State::NotRequired, "it brought no incident".to_owned(), Vec::new());
        }
        let (mut state, mut notes) = (State::Present, Vec::new());
        for incident in &brought {
            let name = incident.name();
            match (incident.closed, incident.postmortem()) {
                (None, _) => {
                    state = State::Missing;
                    notes.push(format!("{name} is open"));
                }
                (Some(_), Some(after)) if after <= question.postmortem_within => notes.push(format!("{name} in time")),
                (Some(_), Some(_)) => {
                    state = if state == State::Present { State::Stale } else { state };
                    notes.push(format!("{name} late"));
                }
                (Some(closed), None) => {
                    let left = closed.said.restored_at.as_ms().saturating_add(ms(question.postmortem_within));
                    if left < question.as_of.as_ms() || state == State::Missing {
                        state = State::Missing;
                    } else if state == State::Present {
                        state = State::NotYet;
                    }
                    notes.push(format!("{name} has none, due by {}", Time::from_ms(left)));
                }
            }
        }
        item("postmortem", state, notes.join(", "), brought.iter().map(|one| one.opened.digest).collect())
    }
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn item(id: impl Into<String>, state: State, note: String, records: Vec<Digest>) -> Item {
    Item { id: id.into(), state, note, records }
}

fn manifest(question: &Question<'_>) -> Item {
    let Manifest { artifacts, feature_flags, secrets, migrations, .. } = question.manifest;
    let counts = [(artifacts.len(), "artifacts"), (feature_flags.len(), "flags"), (secrets.len(), "secrets")];
    let mut note: Vec<String> = counts.iter().map(|(count, what)| format!("{count} {what}")).collect();
    note.push(format!("{} migrations", migrations.len()));
    let signed = question.judgement.condition("author").is_some_and(|one| !one.standing.blocks());
    let kept = (question.kept)(question.digest);
    let lacks = [(!kept, "its bytes are not kept"), (!signed, "its author has not signed it")];
    note.extend(lacks.iter().filter(|(lacks, _)| *lacks).map(|(_, what)| (*what).to_owned()));
    let state = if kept && signed { State::Present } else { State::Missing };
    item("manifest", state, note.join(", "), vec![question.digest])
}

fn dashboards(question: &Question<'_>) -> Item {
    let links = question.manifest.metadata.iter();
    let links: Vec<&str> = links
        .filter(|(key, value)| key.starts_with("dashboard") && value.contains("://"))
        .map(|(_, value)| value.as_str())
        .collect();
    if links.is_empty() {
        let note = "the metadata of the manifest has no dashboard: https://…".to_owned();
        return item("dashboards", State::Missing, note, Vec::new());
    }
    item("dashboards", State::Present, links.join(" "), Vec::new())
}

/// An item for each condition whose name begins so; one that says that none is asked for, where there is none.
fn each(question: &Question<'_>, start: &str, none: &str) -> Vec<Item> {
    let conditions = question.judgement.conditions.iter().filter(|one| one.id.starts_with(start));
    let mut items: Vec<Item> = conditions.map(|one| of_condition(&one.id, one)).collect();
    if items.is_empty() {
        let note = format!("the change board asks for none in {}", question.environment);
        items.push(item(none, State::NotRequired, note, Vec::new()));
    }
    items
}

fn by_condition(question: &Question<'_>, id: &str, condition: &str) -> Item {
    match question.judgement.condition(condition) {
        Some(one) => of_condition(id, one),
        None => {
            let note = format!("the change board does not ask for it in {}", question.environment);
            item(id, State::NotRequired, note, Vec::new())
        }
    }
}

fn of_condition(id: &str, condition: &Condition) -> Item {
    let old = condition.reasons.iter().any(|reason| OLD.contains(&reason.code));
    let state = match condition.standing {
        Standing::Met | Standing::Waived => State::Present,
        Standing::Unmet | Standing::Unknown if old => State::Stale,
        Standing::Unmet | Standing::Unknown => State::Missing,
    };
    let reasons: Vec<String> =
        condition.reasons.iter().map(|reason| format!("{}: {}", reason.code, reason.text)).collect();
    let note = if condition.standing == Standing::Waived { "waived".to_owned() } else { reasons.join("; ") };
    item(id, state, note, condition.by.clone())
}

fn deployment(of_it: &[&Seen<'_>]) -> Item {
    let Some(last) = of_it.last() else {
        return item("deployment", State::NotYet, "none is recorded".to_owned(), Vec::new());
    };
    let said = last.said();
    let state = match said.outcome {
        Outcome::Succeeded if last.undone.is_none() => State::Present,
        _ => State::Missing,
    };
    let mut note = said.outcome.as_str().to_owned();
    note.extend(said.finished_at.map(|end| format!(" at {end}")));
    if last.undone.is_some() {
        note.extend([", and ", last.undone_in_words()]);
    }
    item("deployment", state, note, last.records.clone())
}
