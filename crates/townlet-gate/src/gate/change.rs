//! What would make another decision: changes of the evidence, and the fewest of them that approve.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use townlet_registry::{Digest, Role, Time};

use super::attestation::{AttestationRule, Holder};
use super::board::{Approvals, Demands};
use super::case::{Case, Given, Submitted};
use super::rules;
use super::samples::{DERIVED, OPEN_INCIDENTS};
use crate::manifest::{Artifact, MANIFEST_FORM, Manifest, Pinned, Readiness, RollbackPlan, Window};
use crate::statement::{
    Approval, Attestation, Authorship, Body, Evidence, Ground, IncidentClosed, IncidentOutcome, Rehearsal, Scorecard,
    Signer, Step, Waiver,
};

/// One thing that somebody could do about a case. Each counts as one, however much work it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A manifest without the faults of this one, signed by its author. It has another digest, so that nothing counts
    /// any more that was signed about this one.
    ManifestRevised,
    /// The author signs the manifest as it is.
    ManifestSigned,
    /// Somebody who has not approved yet approves for this role.
    Approved {
        /// Which.
        role: Role,
    },
    /// The suites run again and pass. Its scorecard is another file, so this goes with a revised manifest.
    SuitesPassed,
    /// A believed signature is given about the scorecard that the manifest names, which says that the run passed.
    ScorecardSigned,
    /// The rollback plan is rehearsed, and works.
    Rehearsed,
    /// New samples, under which this policy holds.
    PolicyHolds {
        /// Its id.
        policy: String,
    },
    /// Somebody who may waives this.
    Waived {
        /// The id of a policy, `readiness` or `rehearsal`.
        policy: String,
    },
    /// The same question is asked when the window has opened.
    AskedLater {
        /// When.
        at: Time,
    },
    /// Somebody who may vouches for what the board asks for, of everybody of whom it is asked.
    Attested {
        /// `training:deployment-runbook`.
        what: String,
    },
    /// Every critical incident that is open is over, and closed by somebody who may.
    IncidentsClosed,
}

impl Change {
    /// What to do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::ManifestRevised => "make a manifest without these faults; everybody signs about the new one".into(),
            Self::ManifestSigned => "have the author sign the manifest".into(),
            Self::Approved { role } => format!("have one more person approve as {role}"),
            Self::SuitesPassed => "run the suites again until they pass".into(),
            Self::ScorecardSigned => "have the scorecard signed by somebody who may".into(),
            Self::Rehearsed => "rehearse the rollback plan, and succeed".into(),
            Self::PolicyHolds { policy } => format!("show new samples under which {policy} holds"),
            Self::Waived { policy } => format!("have {policy} waived by somebody who may"),
            Self::AskedLater { at } => format!("ask again at {at}, when the window opens"),
            Self::Attested { what } => format!("have {what} attested by somebody who may"),
            Self::IncidentsClosed => "end every open critical incident, and close it".into(),
        }
    }
}

impl Case {
    /// Everything that could be done about this case, in the order in which it is preferred: evidence before waivers.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut all = vec![Change::ManifestRevised, Change::ManifestSigned];
        let Some(demands) = &self.demands else { return all };
        if let Approvals::Roles { roles, .. } = &demands.approvals {
            all.extend(roles.iter().map(|role| Change::Approved { role: role.clone() }));
        }
        if demands.readiness.is_some() {
            all.extend([Change::SuitesPassed, Change::ScorecardSigned]);
        }
        all.extend(demands.rehearsal.as_ref().map(|_| Change::Rehearsed));
        let mut asked: Vec<String> = demands.attestations.iter().map(AttestationRule::name).collect();
        asked.dedup();
        all.extend(asked.into_iter().map(|what| Change::Attested { what }));
        let counted = demands.incidents.is_some();
        all.extend(counted.then_some(Change::IncidentsClosed));
        let rules = rules::demanded(self, &demands.policies);
        // What follows from statements is changed by them.
        let derived: Vec<&str> = DERIVED.into_iter().chain(counted.then_some(OPEN_INCIDENTS)).collect();
        let measured = rules.iter().filter(|rule| !rules::asks_about(self, rule, &derived));
        all.extend(measured.map(|rule| Change::PolicyHolds { policy: rule.id.clone() }));
        if let Some(waivers) = &demands.waivers {
            all.extend(waivers.policies.iter().map(|policy| Change::Waived { policy: policy.clone() }));
        }
        let opens = self.manifest().and_then(|(manifest, _)| manifest.window).map(|window| window.opens_at);
        all.extend(opens.filter(|at| *at > self.as_of).map(|at| Change::AskedLater { at }));
        all
    }

    /// The case as it would be after these changes. In which order they are given makes no difference.
    #[must_use]
    pub fn with(&self, changes: &BTreeSet<Change>) -> Self {
        let mut case = self.clone();
        for change in changes {
            if let Change::AskedLater { at } = change {
                case.as_of = *at;
            }
        }
        let Some(demands) = &self.demands else { return case };
        if changes.contains(&Change::ManifestRevised) {
            revise(&mut case, demands, changes.contains(&Change::SuitesPassed));
        }
        for change in changes {
            suppose(&mut case, demands, change);
        }
        if changes.contains(&Change::IncidentsClosed) {
            close(&mut case, demands);
        }
        case
    }
}

/// A manifest without faults; what was right stays.
fn revise(case: &mut Case, demands: &Demands, suites: bool) {
    let (as_of, environment) = (case.as_of, case.environment.clone());
    let mut manifest = match case.manifest() {
        Some((manifest, _)) => manifest.clone(),
        None => blank(as_of),
    };
    manifest.generated_at = manifest.generated_at.min(as_of);
    if !manifest.environments.contains(&environment) {
        manifest.environments.push(environment);
    }
    let inside = |window: Window| (window.opens_at..window.closes_at).contains(&as_of);
    if !manifest.window.map_or(!demands.window, inside) {
        manifest.window = Some(Window { opens_at: as_of, closes_at: later(as_of, Duration::from_secs(3600)) });
    }
    if manifest.artifacts.is_empty() {
        let nothing = Digest::of(b"");
        let path = "what is shipped".to_owned();
        manifest.artifacts =
            vec![Artifact { name: path.clone(), version: "1".into(), path, digest: nothing, bytes: 0 }];
    }
    let plan = &mut manifest.rollback_plan;
    for (list, word) in [(&mut plan.rules, "a rule"), (&mut plan.steps, "a step")] {
        if list.is_empty() {
            list.push(word.to_owned());
        }
    }
    if suites {
        manifest.readiness.scorecard.digest = new_scorecard();
    }
    // Another document in any case, even where nothing was wrong with this one. What it is called makes no difference.
    let digest = Digest::of(b"a revised manifest");
    let kept = match &case.submitted {
        Submitted::Given(given) if given.manifest.rollback_plan == manifest.rollback_plan => Some(given.plan),
        _ => None,
    };
    let plan = kept.unwrap_or_else(|| Digest::of(b"a revised plan"));
    let author = manifest.author.clone();
    case.submitted = Submitted::Given(std::sync::Arc::new(Given { manifest, digest, plan }));
    sign(case, demands, &author, digest);
}

fn blank(as_of: Time) -> Manifest {
    let nowhere = Pinned { at: "a file".into(), digest: Digest::of(b"") };
    Manifest {
        schema: MANIFEST_FORM.into(),
        release: "a release".into(),
        generated_at: as_of,
        author: "an author".into(),
        environments: Vec::new(),
        window: None,
        artifacts: Vec::new(),
        readiness: Readiness { run_id: "a run".into(), scorecard: nowhere.clone() },
        feature_flags: Vec::new(),
        secrets: Vec::new(),
        migrations: Vec::new(),
        config_deltas: Vec::new(),
        rollback_plan: RollbackPlan { policy: nowhere, rules: Vec::new(), steps: Vec::new() },
        previous: None,
        metadata: std::collections::BTreeMap::new(),
    }
}

fn new_scorecard() -> Digest {
    Digest::of(b"the scorecard of a run that passed")
}

fn later(at: Time, span: Duration) -> Time {
    Time::from_ms(at.as_ms().saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

fn sign(case: &mut Case, demands: &Demands, author: &str, manifest: Digest) {
    let body = Body::Authorship(Authorship { actor: author.to_owned(), at: case.as_of });
    say(case, "authorship", manifest, demands.authors.first(), body);
}

/// Adds a statement that its actor has signed, in this role.
fn say(case: &mut Case, name: &str, about: Digest, role: Option<&Role>, body: Body) {
    let signer = Signer { person: body.actor().to_owned(), roles: role.cloned().into_iter().collect(), until: None };
    let digest = Digest::of(format!("supposed {name}").as_bytes());
    case.add(Evidence { digest, subjects: vec![about], body, signers: Ok(vec![signer]) });
}

fn suppose(case: &mut Case, demands: &Demands, change: &Change) {
    let (at, environment) = (case.as_of, case.environment.clone());
    let Submitted::Given(given) = case.submitted.clone() else {
        if let Change::PolicyHolds { policy } = change {
            case.supposed.insert(policy.clone());
        }
        return;
    };
    let (manifest, digest) = (&given.manifest, given.digest);
    match change {
        Change::ManifestSigned => sign(case, demands, &manifest.author, digest),
        Change::Approved { role } => {
            let actor = format!("somebody new ({role})");
            let reason = "supposed".to_owned();
            let approval = Approval { environment, role: role.clone(), actor, at, expires_at: None, reason };
            let somebody = approval.actor.clone();
            say(case, &format!("approval {role}"), digest, Some(role), Body::Approval(approval));
            // Somebody new is somebody who has what is asked of the role.
            for rule in demands.attestations.iter().filter(|rule| rule.holder == Holder::Approver(role.clone())) {
                attest(case, rule, Some(&somebody), digest);
            }
        }
        Change::SuitesPassed | Change::ScorecardSigned => {
            let about =
                if *change == Change::SuitesPassed { new_scorecard() } else { manifest.readiness.scorecard.digest };
            let Some(demand) = &demands.readiness else { return };
            // A signature changes neither when a run ended nor how.
            let known = case.evidence.iter().find_map(|one| match &one.body {
                Body::Scorecard(card) if one.is_about(about) && card.finished_at <= at => Some(card.clone()),
                _ => None,
            });
            let card = Scorecard {
                run_id: manifest.readiness.run_id.clone(),
                passed: known.as_ref().is_none_or(|card| card.passed),
                finished_at: known.map_or(at, |card| card.finished_at),
                revision: None,
                actor: "the suites".into(),
            };
            say(case, &format!("scorecard {about}"), about, demand.signed_by.first(), Body::Scorecard(card));
        }
        Change::Rehearsed => {
            let (Some(demand), plan) = (&demands.rehearsal, given.plan) else { return };
            let rehearsal = Rehearsal {
                environment: demand.environments.first().cloned().unwrap_or_default(),
                passed: true,
                started_at: at,
                finished_at: at,
                steps: vec![Step { name: "every step".into(), duration_ms: 0, passed: true }],
                surprises: Vec::new(),
                actor: "a rehearsal".into(),
            };
            let role = demand.signed_by.first().cloned();
            // Of two at one moment the one that failed counts; this one comes after it.
            case.evidence.retain(|one| !matches!(&one.body, Body::Rehearsal(old) if old.finished_at == at));
            say(case, "rehearsal", plan, role.as_ref(), Body::Rehearsal(rehearsal));
        }
        Change::PolicyHolds { policy } => {
            case.supposed.insert(policy.clone());
        }
        Change::Waived { policy } => {
            let Some(rules) = &demands.waivers else { return };
            let expires_at = later(at, rules.longest);
            for reason in [Ground::AcceptedRisk, Ground::EvidenceUnavailable] {
                let waiver = Waiver {
                    environment: environment.clone(),
                    policies: vec![policy.clone()],
                    reason,
                    justification: "supposed".into(),
                    mitigation: "supposed".into(),
                    actor: "somebody who may".into(),
                    at,
                    expires_at,
                };
                let name = format!("waiver {policy} {}", reason.as_str());
                say(case, &name, digest, rules.signed_by.first(), Body::Waiver(waiver));
            }
        }
        Change::Attested { what } => {
            for rule in demands.attestations.iter().filter(|rule| rule.name() == *what) {
                let people: Vec<Option<String>> = match &rule.holder {
                    Holder::Release => vec![None],
                    Holder::Author => vec![Some(manifest.author.clone())],
                    Holder::Approver(role) => approvers(case, role),
                };
                for person in people {
                    attest(case, rule, person.as_deref(), digest);
                }
            }
        }
        Change::ManifestRevised | Change::AskedLater { .. } | Change::IncidentsClosed => {}
    }
}

/// Closes what was opened. It needs no manifest.
fn close(case: &mut Case, demands: &Demands) {
    let (Some(rules), at) = (&demands.incidents, case.as_of) else { return };
    // One that opens at this very moment would come after its own end.
    case.evidence.retain(|one| !matches!(&one.body, Body::IncidentOpened(opened) if opened.at == at));
    let names = case.evidence.iter().filter_map(|one| match &one.body {
        Body::IncidentOpened(opened) => Some(opened.incident.clone()),
        _ => None,
    });
    let names: BTreeSet<String> = names.collect();
    for incident in names {
        let name = format!("end of {incident}");
        let closed = IncidentClosed {
            incident,
            outcome: IncidentOutcome::Resolved,
            restored_at: at,
            summary: "supposed".into(),
            actor: "somebody who may".into(),
            at,
        };
        say(case, &name, Digest::of(name.as_bytes()), rules.closed_by.first(), Body::IncidentClosed(closed));
    }
}

/// Who has approved for a role, as far as statements say.
fn approvers(case: &Case, role: &Role) -> Vec<Option<String>> {
    let people = case.evidence.iter().filter_map(|one| match &one.body {
        Body::Approval(approval) if approval.role == *role => Some(approval.actor.clone()),
        _ => None,
    });
    people.collect::<BTreeSet<String>>().into_iter().map(Some).collect()
}

fn attest(case: &mut Case, rule: &AttestationRule, person: Option<&str>, manifest: Digest) {
    let at = case.as_of;
    let attestation = Attestation {
        kind: rule.kind,
        topic: rule.topic.clone(),
        person: person.map(str::to_owned),
        valid_from: at,
        valid_until: later(at, Duration::from_secs(3600)),
        note: "supposed".into(),
        evidence: None,
        actor: "somebody else".into(),
        at,
    };
    let role = rule.signed_by.first().map(Role::as_str).unwrap_or_default();
    let name = format!("{} {} {role}", rule.name(), person.unwrap_or_default());
    say(case, &name, manifest, rule.signed_by.first(), Body::Attestation(attestation));
}
