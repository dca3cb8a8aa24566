//! Condition by condition: does this case meet what its environment demands?

use std::time::Duration;

use townlet_policy::Span;
use townlet_registry::{Digest, Role, Time};

use super::board::{Demands, Policies, ReadinessDemand, RehearsalDemand};
use super::case::{Case, Submitted};
use super::code::Code;
use super::incident;
use super::rules::{self, Derived};
use super::samples::DERIVED;
use super::since;
use super::verdict::{Condition, NotCounted, Reason, Standing, Verdict};
use crate::manifest::Manifest;
use crate::statement::{Body, Evidence, Rehearsal};

/// What a gate finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether the release may go out.
    pub verdict: Verdict,
    /// Every condition, met or not.
    pub conditions: Vec<Condition>,
    /// What was handed in and does not count, in the order of its digests.
    pub not_counted: Vec<NotCounted>,
}

impl Case {
    /// Decides. It asks no clock and no file; the same case gives the same answer.
    #[must_use]
    pub fn judge(&self) -> Judgement {
        let mut judge = Judge { case: self, not_counted: Vec::new() };
        let conditions = judge.conditions();
        let mut not_counted = judge.not_counted;
        not_counted.sort_by_key(|one| (one.statement, one.code));
        not_counted.dedup();
        let blocking: Vec<&Condition> = conditions.iter().filter(|condition| condition.standing.blocks()).collect();
        let verdict = match blocking.as_slice() {
            [] => Verdict::Approve,
            all if all.iter().all(|condition| condition.waivable) => Verdict::WaiverRequired,
            _ => Verdict::Reject,
        };
        Judgement { verdict, conditions, not_counted }
    }
}

impl Judgement {
    /// Whether something stands in the way, and all of it only because nobody can tell.
    #[must_use]
    pub fn only_unknown(&self) -> bool {
        only_unknown(&self.conditions)
    }

    /// The condition of that name.
    #[must_use]
    pub fn condition(&self, id: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.id == id)
    }
}

pub(super) fn only_unknown(conditions: &[Condition]) -> bool {
    let mut blocking = conditions.iter().filter(|condition| condition.standing.blocks()).peekable();
    blocking.peek().is_some() && blocking.all(|condition| condition.standing == Standing::Unknown)
}

pub(super) struct Judge<'c> {
    pub(super) case: &'c Case,
    pub(super) not_counted: Vec<NotCounted>,
}

impl Judge<'_> {
    /// Writes down what does not count, and gives back the reason that it may be.
    pub(super) fn refuse(&mut self, evidence: &Evidence, code: Code, text: String) -> Reason {
        let kind = evidence.body.kind().to_owned();
        self.not_counted.push(NotCounted { statement: evidence.digest, kind, code, text: text.clone() });
        Reason { code, text }
    }

    fn conditions(&mut self) -> Vec<Condition> {
        let case = self.case;
        for unread in &case.unread {
            let (statement, text) = (unread.digest, unread.why.clone());
            self.not_counted.push(NotCounted { statement, kind: "unread".into(), code: Code::StatementInvalid, text });
        }
        let mut conditions = vec![self.submitted()];
        let Some(demands) = &case.demands else {
            let text = format!("the change board does not know {}", case.environment);
            conditions.push(Condition::unmet("environment", Code::EnvironmentNotOnBoard, text));
            return conditions;
        };
        // What is about a manifest can be asked only where there is one.
        if let Some((manifest, digest)) = case.manifest() {
            conditions.push(self.author(manifest, digest, demands));
            conditions.extend(self.shape(manifest, demands));
            conditions.extend(demands.readiness.as_ref().map(|demand| self.readiness(manifest, demand)));
            conditions.extend(self.approvals(demands, digest, &manifest.author));
            conditions.extend(demands.rehearsal.as_ref().map(|demand| self.rehearsal(demand)));
            conditions.extend(self.attestations(&demands.attestations, digest, &manifest.author));
        }
        self.policies(demands, &mut conditions);
        conditions
    }

    fn submitted(&mut self) -> Condition {
        let id = "manifest";
        match &self.case.submitted {
            Submitted::Missing => Condition::unmet(id, Code::MissingReleaseManifest, "none was handed in"),
            Submitted::Invalid(why) => Condition::unmet(id, Code::InvalidReleaseManifest, why),
            Submitted::Given(given) if given.manifest.generated_at > self.case.as_of => {
                let text = format!("it is of {}, and this is {}", given.manifest.generated_at, self.case.as_of);
                Condition::unmet(id, Code::ManifestInFuture, text)
            }
            Submitted::Given(given) => Condition::met(id, vec![given.digest]),
        }
    }

    fn author(&mut self, manifest: &Manifest, digest: Digest, demands: &Demands) -> Condition {
        let (case, mut by, mut refused) = (self.case, Vec::new(), Vec::new());
        for evidence in &case.evidence {
            let Body::Authorship(authorship) = &evidence.body else { continue };
            let counted = if !evidence.is_about(digest) {
                Err((Code::OtherManifest, "it is about another manifest".into()))
            } else if authorship.actor.trim() != manifest.author && !authorship.actor.trim().is_empty() {
                Err((Code::ActorIsNotSigner, format!("it is by {}, not by {}", authorship.actor, manifest.author)))
            } else {
                evidence.signer_as(&demands.authors, case.as_of).map(|_| evidence.digest)
            };
            match counted {
                Ok(digest) => by.push(digest),
                Err((code, text)) => refused.push(self.refuse(evidence, code, text)),
            }
        }
        if !by.is_empty() {
            return Condition::met("author", by);
        }
        let text = format!("{} has not signed it", manifest.author);
        let mut condition = Condition::unmet("author", Code::AuthorSignatureMissing, text);
        condition.reasons.extend(refused);
        condition
    }

    /// What the manifest shows by itself.
    fn shape(&self, manifest: &Manifest, demands: &Demands) -> Vec<Condition> {
        let (environment, as_of) = (&self.case.environment, self.case.as_of);
        let environment = if manifest.environments.contains(environment) {
            Condition::met("environment", Vec::new())
        } else {
            let text = format!("the manifest is for {}, not for {environment}", manifest.environments.join(", "));
            Condition::unmet("environment", Code::OtherEnvironment, text)
        };
        let window = match manifest.window {
            None if demands.window => Some(Condition::unmet("window", Code::WindowMissing, "the manifest has none")),
            None => None,
            Some(window) if as_of < window.opens_at => {
                let text = format!("it opens at {}, and this is {as_of}", window.opens_at);
                Some(Condition::unmet("window", Code::WindowNotOpen, text))
            }
            Some(window) if as_of >= window.closes_at => {
                let text = format!("it closed at {}, and this is {as_of}", window.closes_at);
                Some(Condition::unmet("window", Code::WindowClosed, text))
            }
            Some(_) => Some(Condition::met("window", Vec::new())),
        };
        let artifacts = if manifest.artifacts.is_empty() {
            Condition::unmet("artifacts", Code::NoArtifacts, "the manifest names none")
        } else {
            Condition::met("artifacts", manifest.artifacts.iter().map(|artifact| artifact.digest).collect())
        };
        let plan = &manifest.rollback_plan;
        let lacks = [("rules", plan.rules.is_empty()), ("steps", plan.steps.is_empty())];
        let lacks: Vec<&str> = lacks.iter().filter(|(_, lacks)| *lacks).map(|(what, _)| *what).collect();
        let rollback = if lacks.is_empty() {
            Condition::met("rollback_plan", vec![plan.policy.digest])
        } else {
            let text = format!("it has no {}", lacks.join(" and no "));
            Condition::unmet("rollback_plan", Code::RollbackPlanMissing, text)
        };
        [Some(environment), window, Some(artifacts), Some(rollback)].into_iter().flatten().collect()
    }

    fn readiness(&mut self, manifest: &Manifest, demand: &ReadinessDemand) -> Condition {
        let (case, wanted) = (self.case, &manifest.readiness);
        let (mut by, mut reasons) = (Vec::new(), Vec::new());
        let mut against = false;
        for evidence in &case.evidence {
            let Body::Scorecard(card) = &evidence.body else { continue };
            // Scorecards of other runs are no fault; they lie in the same registry.
            if !evidence.is_about(wanted.scorecard.digest) {
                continue;
            }
            let signer = signer(evidence, &demand.signed_by, case.as_of, !card.passed);
            let counted = signer.and_then(|()| match since(case.as_of, card.finished_at) {
                _ if card.run_id != wanted.run_id => {
                    let text = format!("it is of run {}, and the manifest says {}", card.run_id, wanted.run_id);
                    Err((Code::ScorecardOfOtherRun, text))
                }
                Some(age) if age <= demand.max_age => Ok(()),
                age => {
                    let age = Span(age.unwrap_or_default());
                    let text =
                        format!("it ended at {}, {age} ago; {} is the limit", card.finished_at, Span(demand.max_age));
                    Err((Code::ReadinessOverdue, text))
                }
            });
            match counted {
                Ok(()) if card.passed => by.push(evidence.digest),
                Ok(()) => {
                    against = true;
                    reasons.push(Reason { code: Code::ReadinessFailed, text: format!("run {} failed", card.run_id) });
                }
                Err((code, text)) => reasons.push(self.refuse(evidence, code, text)),
            }
        }
        if !by.is_empty() && !against {
            return Condition::met("readiness", by);
        }
        // That a run failed is known; that nothing counts leaves it unknown.
        let standing =
            if reasons.iter().any(|reason| KNOWN.contains(&reason.code)) { Standing::Unmet } else { Standing::Unknown };
        let mut condition = Condition::standing("readiness", standing);
        if !against {
            let text = format!("nothing counts that is about {}", wanted.scorecard.digest);
            condition = condition.because(Code::ScorecardMissing, text);
        }
        condition.reasons.extend(reasons);
        condition
    }

    fn rehearsal(&mut self, demand: &RehearsalDemand) -> Condition {
        let case = self.case;
        let Submitted::Given(given) = &case.submitted else {
            return Condition::unmet("rehearsal", Code::RollbackRehearsalMissing, "there is no plan to rehearse");
        };
        let mut last: Option<(&Evidence, &Rehearsal)> = None;
        let mut refused = Vec::new();
        for evidence in &case.evidence {
            let Body::Rehearsal(rehearsal) = &evidence.body else { continue };
            match counted_rehearsal(evidence, rehearsal, given.plan, demand, case) {
                Ok(()) => {
                    // Of two that ended together, the one that failed.
                    let newer = |(_, before): &(&Evidence, &Rehearsal)| {
                        (rehearsal.finished_at, !rehearsal.passed) > (before.finished_at, !before.passed)
                    };
                    if last.as_ref().is_none_or(newer) {
                        last = Some((evidence, rehearsal));
                    }
                }
                Err((code, text)) => refused.push(self.refuse(evidence, code, text)),
            }
        }
        let id = "rehearsal";
        let Some((evidence, rehearsal)) = last else {
            let text = "none of this plan counts";
            let mut condition = Condition::unmet(id, Code::RollbackRehearsalMissing, text);
            condition.reasons.extend(refused);
            return condition;
        };
        let age = since(case.as_of, rehearsal.finished_at).unwrap_or_default();
        let took = took(rehearsal);
        let (code, text) = if !rehearsal.passed {
            (Code::RollbackRehearsalFailed, format!("the one of {} failed", rehearsal.finished_at))
        } else if age > demand.max_age {
            let text = format!(
                "it ended at {}, {} ago; {} is the limit",
                rehearsal.finished_at,
                Span(age),
                Span(demand.max_age)
            );
            (Code::RollbackRehearsalOverdue, text)
        } else if took > demand.within {
            (Code::RollbackRehearsalTooSlow, format!("it took {}; {} is the limit", Span(took), Span(demand.within)))
        } else {
            return Condition::met(id, vec![evidence.digest]);
        };
        Condition::unmet(id, code, text)
    }

    /// The policies, and what is waived.
    fn policies(&mut self, demands: &Demands, conditions: &mut Vec<Condition>) {
        let case = self.case;
        let rules = rules::demanded(case, &demands.policies);
        let (last, first): (Vec<_>, Vec<_>) =
            rules.into_iter().partition(|rule| rules::asks_about(case, rule, &DERIVED[1..]));
        let readiness = conditions.iter().find(|condition| condition.id == "readiness");
        let readiness_passed = readiness.and_then(|condition| match condition.standing {
            Standing::Met => Some(true),
            Standing::Unmet => Some(false),
            Standing::Unknown | Standing::Waived => None,
        });
        let open = demands.incidents.as_ref().map(|rules| self.open_incidents(rules));
        let open_incidents = open.as_ref().map(Vec::len);
        let derived = Derived { readiness_passed, readiness_waiver_expired: None, open_incidents };
        conditions.extend(rules::conditions(case, &first, derived));
        let expired = self.waive(demands, conditions);
        let mut judged = rules::conditions(case, &last, Derived { readiness_waiver_expired: Some(expired), ..derived });
        self.waive(demands, &mut judged);
        conditions.extend(judged);
        if let Some(open) = &open {
            incident::tell(case, open, conditions);
        }
        if let Policies::These(ids) = &demands.policies {
            for id in ids.iter().filter(|id| case.policy.rules.iter().all(|rule| rule.id != **id)) {
                conditions.push(Condition::unmet(
                    id,
                    Code::PolicyUnknown,
                    "the board demands it, and no policy has it",
                ));
            }
        }
    }
}

/// What shows that readiness fails, in place of leaving it open.
const KNOWN: [Code; 3] = [Code::ReadinessFailed, Code::ReadinessOverdue, Code::ScorecardOfOtherRun];

/// Whether whoever signed this may. What speaks against a release stays said, whatever becomes of the key: otherwise a
/// pass of before it would count again.
fn signer(evidence: &Evidence, roles: &[Role], as_of: Time, against: bool) -> Result<(), (Code, String)> {
    let signer = if against { evidence.signer_then_as(roles, as_of) } else { evidence.signer_as(roles, as_of) };
    signer.map(|_| ())
}

/// How long a rehearsal took: by the clock, which somebody may have set back, and no less than its steps.
fn took(rehearsal: &Rehearsal) -> Duration {
    let steps = rehearsal.steps.iter().fold(0, |sum: u64, step| sum.saturating_add(step.duration_ms));
    since(rehearsal.finished_at, rehearsal.started_at).unwrap_or_default().max(Duration::from_millis(steps))
}

fn counted_rehearsal(
    evidence: &Evidence,
    rehearsal: &Rehearsal,
    plan: Digest,
    demand: &RehearsalDemand,
    case: &Case,
) -> Result<(), (Code, String)> {
    if !evidence.is_about(plan) {
        return Err((Code::RollbackRehearsalOfOtherPlan, "it is about another rollback plan".into()));
    }
    // Before its signature is looked at, which would be of the future too.
    if rehearsal.finished_at > case.as_of || rehearsal.started_at > rehearsal.finished_at {
        let text =
            format!("it ran from {} to {}, and this is {}", rehearsal.started_at, rehearsal.finished_at, case.as_of);
        return Err((Code::RollbackRehearsalInFuture, text));
    }
    signer(evidence, &demand.signed_by, case.as_of, !rehearsal.passed || took(rehearsal) > demand.within)?;
    if !demand.environments.contains(&rehearsal.environment) {
        let text = format!("it ran in {}, and {} counts", rehearsal.environment, demand.environments.join(" or "));
        return Err((Code::RollbackRehearsalElsewhere, text));
    }
    if rehearsal.passed && (rehearsal.steps.is_empty() || rehearsal.steps.iter().any(|step| !step.passed)) {
        return Err((Code::RollbackRehearsalFailed, "it says that it passed, and not that each step did".into()));
    }
    Ok(())
}
