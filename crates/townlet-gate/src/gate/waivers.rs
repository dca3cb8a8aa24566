//! What is waived: named policies, by somebody who may, on a ground that fits, until a day.

use std::collections::BTreeMap;

use townlet_registry::Digest;

use super::board::{Demands, WaiverRules};
use super::code::Code;
use super::judge::Judge;
use super::since;
use super::verdict::{Condition, Reason, Standing};
use crate::statement::{Body, Evidence, Ground, Waiver};

/// What waivers there are for one policy.
#[derive(Default)]
struct Covers {
    valid: Vec<(Ground, Digest)>,
    expired: Vec<Reason>,
    refused: Vec<Reason>,
}

impl Judge<'_> {
    /// Waives what is waived. Returns whether a waiver has expired that is needed now: one that is not needed has
    /// nothing to say, expired or not.
    pub(super) fn waive(&mut self, demands: &Demands, conditions: &mut [Condition]) -> bool {
        let mut covers = self.covers(demands);
        let none = Vec::new();
        let permitted = demands.waivers.as_ref().map_or(&none, |rules| &rules.policies);
        let mut expired = false;
        for condition in conditions.iter_mut().filter(|condition| condition.standing.blocks()) {
            let can_be = matches!(condition.id.as_str(), "readiness" | "rehearsal") || condition.rule.is_some();
            condition.waivable = can_be && permitted.contains(&condition.id);
            let of = covers.remove(&condition.id).unwrap_or_default();
            if !condition.waivable {
                condition.reasons.extend(of.refused);
                continue;
            }
            let unknown = condition.standing == Standing::Unknown;
            let fits = |(ground, _): &&(Ground, Digest)| (*ground == Ground::EvidenceUnavailable) == unknown;
            if let Some((_, digest)) = of.valid.iter().find(fits) {
                condition.standing = Standing::Waived;
                condition.by = vec![*digest];
                continue;
            }
            if !of.valid.is_empty() {
                let text = if unknown { "nobody can tell whether it holds" } else { "it is known to fail" };
                condition.reasons.push(Reason { code: Code::WaiverOnOtherGround, text: text.into() });
            }
            expired |= !of.expired.is_empty();
            condition.reasons.extend(of.expired);
            condition.reasons.extend(of.refused);
            condition.reasons.push(Reason { code: Code::WaiverPossible, text: "it may be waived here".into() });
        }
        expired
    }

    fn covers(&mut self, demands: &Demands) -> BTreeMap<String, Covers> {
        let case = self.case;
        let mut covers: BTreeMap<String, Covers> = BTreeMap::new();
        let Some((manifest, digest)) = case.manifest() else { return covers };
        for evidence in &case.evidence {
            let Body::Waiver(waiver) = &evidence.body else { continue };
            let counted = match &demands.waivers {
                None => Err((Code::WaiverNotPermitted, format!("nothing is waived in {}", case.environment))),
                Some(rules) => self.counted(evidence, waiver, rules, digest, &manifest.author),
            };
            match counted {
                Ok(()) => {}
                Err((code, text)) => {
                    let reason = self.refuse(evidence, code, text);
                    for policy in &waiver.policies {
                        let of = covers.entry(policy.clone()).or_default();
                        if code == Code::WaiverExpired { &mut of.expired } else { &mut of.refused }
                            .push(reason.clone());
                    }
                    continue;
                }
            }
            for policy in &waiver.policies {
                if demands.waivers.as_ref().is_some_and(|rules| rules.policies.contains(policy)) {
                    covers.entry(policy.clone()).or_default().valid.push((waiver.reason, evidence.digest));
                } else {
                    let text = format!("the board does not permit to waive {}", crate::fields::shown(policy));
                    let reason = self.refuse(evidence, Code::WaiverNotPermitted, text);
                    covers.entry(policy.clone()).or_default().refused.push(reason);
                }
            }
        }
        covers
    }

    fn counted(
        &self,
        evidence: &Evidence,
        waiver: &Waiver,
        rules: &WaiverRules,
        manifest: Digest,
        author: &str,
    ) -> Result<(), (Code, String)> {
        let (environment, as_of) = (&self.case.environment, self.case.as_of);
        if !evidence.is_about(manifest) {
            return Err((Code::OtherManifest, "it is about another manifest".into()));
        }
        if waiver.environment != *environment {
            return Err((Code::OtherEnvironment, format!("it is for {}", waiver.environment)));
        }
        if evidence.signer_as(&rules.signed_by, as_of)?.person == author {
            return Err((Code::ApproverIsAuthor, format!("{author} made the release")));
        }
        if waiver.justification.trim().is_empty() || waiver.mitigation.trim().is_empty() {
            return Err((Code::WaiverWithoutMitigation, "its justification or its mitigation is empty".into()));
        }
        match since(waiver.expires_at, waiver.at) {
            Some(span) if span > rules.longest => {
                let limit = townlet_policy::Span(rules.longest);
                return Err((
                    Code::WaiverTooLong,
                    format!("it is for {}; {limit} is the limit", townlet_policy::Span(span)),
                ));
            }
            _ => {}
        }
        if waiver.expires_at <= as_of {
            return Err((Code::WaiverExpired, format!("one counted until {}", waiver.expires_at)));
        }
        Ok(())
    }
}
