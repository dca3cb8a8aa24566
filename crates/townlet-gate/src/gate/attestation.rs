//! What the change board asks somebody to vouch for: trainings, rotas, items of a checklist.

use std::time::Duration;

use townlet_policy::yaml::{Node, Value};
use townlet_policy::{Code as Fault, Span};
use townlet_registry::{Digest, Role, Time};

use super::board::{needed_roles, span};
use super::case::Case;
use super::code::Code;
use super::judge::Judge;
use super::since;
use super::verdict::{Condition, Reason, Standing};
use crate::fields::{Reader, shown};
use crate::statement::{Attestation, AttestationKind, Body, Evidence};

/// Something that somebody has to vouch for.
///
/// ```yaml
/// attestations:
///   - { kind: training, topic: deployment-runbook, of: author, signed_by: [training-lead], max_age: 365d }
///   - { kind: rota, topic: sre, of: { approver: sre-on-call }, signed_by: [sre-lead] }
///   - { kind: item, topic: dashboards, signed_by: [sre-on-call], max_age: 24h }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationRule {
    /// Of which kind.
    pub kind: AttestationKind,
    /// For what.
    pub topic: String,
    /// Whom it has to be about.
    pub holder: Holder,
    /// Who may vouch. Nobody does for themselves.
    pub signed_by: Vec<Role>,
    /// How long ago it may have begun to hold; without a limit of its own for a rota.
    pub max_age: Option<Duration>,
}

/// Whom an attestation has to be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The author of the manifest.
    Author,
    /// Whoever approves for this role. An approval by anybody else does not count.
    Approver(Role),
    /// Nobody: the manifest.
    Release,
}

impl AttestationRule {
    /// `training:deployment-runbook`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.kind.as_str(), self.topic)
    }

    /// Whether an attestation is one that it asks for, whomever it is about.
    #[must_use]
    pub fn is_for(&self, attestation: &Attestation) -> bool {
        attestation.kind == self.kind && attestation.topic == self.topic
    }
}

/// What does not count, and why.
type Refused = (Digest, Code, String);

/// The statement by which `rule` holds for `person`, or for the manifest; or everything that does not count.
fn held<'c>(
    case: &'c Case,
    rule: &AttestationRule,
    person: Option<&str>,
    manifest: Digest,
) -> Result<Digest, Vec<Refused>> {
    let mut refused = Vec::new();
    let mut best: Option<(Time, &'c Evidence)> = None;
    for evidence in &case.evidence {
        let Body::Attestation(attestation) = &evidence.body else { continue };
        let about =
            if person.is_none() { evidence.is_about(manifest) } else { attestation.person.as_deref() == person };
        if !rule.is_for(attestation) || !about {
            continue;
        }
        match counted(evidence, attestation, rule, case.as_of) {
            // Of several, the one that holds longest.
            Ok(()) if best.is_none_or(|(until, _)| until < attestation.valid_until) => {
                best = Some((attestation.valid_until, &**evidence));
            }
            Ok(()) => {}
            Err((code, text)) => refused.push((evidence.digest, code, text)),
        }
    }
    best.map(|(_, evidence)| evidence.digest).ok_or(refused)
}

fn counted(
    evidence: &Evidence,
    attestation: &Attestation,
    rule: &AttestationRule,
    as_of: Time,
) -> Result<(), (Code, String)> {
    let signer = evidence.signer_then_as(&rule.signed_by, as_of)?;
    if attestation.person.as_ref() == Some(&signer.person) {
        return Err((Code::AttestationByHolder, format!("{} vouches for themselves", signer.person)));
    }
    let Some(age) = since(as_of, attestation.valid_from) else {
        let text = format!("it holds from {} on, and this is {as_of}", attestation.valid_from);
        return Err((Code::AttestationNotYetValid, text));
    };
    if attestation.valid_until <= as_of {
        return Err((Code::AttestationExpired, format!("it held until {}", attestation.valid_until)));
    }
    match rule.max_age {
        Some(limit) if age > limit => {
            let text = format!("it is of {}, {} ago; {} is the limit", attestation.valid_from, Span(age), Span(limit));
            Err((Code::AttestationExpired, text))
        }
        _ => Ok(()),
    }
}

impl Judge<'_> {
    /// A condition for each rule about the author or the manifest.
    pub(super) fn attestations(&mut self, rules: &[AttestationRule], manifest: Digest, author: &str) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for rule in rules {
            let person = match rule.holder {
                Holder::Author => Some(author),
                Holder::Release => None,
                Holder::Approver(_) => continue,
            };
            let id = format!("attestation:{}", rule.name());
            conditions.push(match held(self.case, rule, person, manifest) {
                Ok(digest) => Condition::met(id, vec![digest]),
                Err(refused) => {
                    let text = format!("nobody who may has vouched for it{}", of(person));
                    let mut condition = Condition::standing(id, Standing::Unmet);
                    if refused.is_empty() {
                        condition = condition.because(Code::AttestationMissing, text);
                    }
                    let reasons = refused.into_iter().map(|one| self.refuse_attestation(one));
                    condition.reasons.extend(reasons);
                    condition
                }
            });
        }
        conditions
    }

    /// Whether whoever approves for a role has what the board asks of that role.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn attested_approver(
        &mut self,
        rules: &[AttestationRule],
        role: &Role,
        person: &str,
        manifest: Digest,
    ) -> Result<(), (Code, String)> {
        for rule in rules.iter().filter(|rule| matches!(&rule.holder, Holder::Approver(asked) if asked == role)) {
            if let Err(refused) = held(self.case, rule, Some(person), manifest) {
                let mut why: Vec<String> = refused.iter().map(|(_, code, text)| format!("{code}: {text}")).collect();
                if why.is_empty() {
                    why.push("nobody has vouched for it".to_owned());
                }
                for one in refused {
                    self.refuse_attestation(one);
                }
                let text = format!("{person} has no {} that counts: {}", rule.name(), why.join("; "));
                return Err((Code::ApproverNotAttested, text));
            }
        }
        Ok(())
    }

    fn refuse_attestation(&mut self, (digest, code, text): Refused) -> Reason {
        if let Some(evidence) = self.case.evidence.iter().find(|evidence| evidence.digest == digest) {
            return self.refuse(evidence, code, text);
        }
        Reason { code, text }
    }
}

fn of(person: Option<&str>) -> String {
    person.map_or(String::new(), |person| format!(" of {person}"))
}

/// The rules of an environment; none where the board does not speak of them.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, approving: &[Role]) -> Vec<AttestationRule> {
    let mut rules: Vec<AttestationRule> = Vec::new();
    for item in reader.list(node, "attestations") {
        let Some(rule) = rule(reader, item, approving) else { continue };
        if rules.iter().any(|other| other.name() == rule.name() && other.holder == rule.holder) {
            let message = format!("'{}' is asked for twice", shown(&rule.name()));
            reader.fault(Fault::Duplicate, item.place, message, "once");
        }
        rules.push(rule);
    }
    rules
}

fn rule(reader: &mut Reader<'_>, node: &Node, approving: &[Role]) -> Option<AttestationRule> {
    let what = "an attestation";
    reader.keys(node, what, &["kind", "topic", "of", "signed_by", "max_age"]);
    let kind = reader.needed_text(node, "kind", what).and_then(|text| {
        let known = AttestationKind::ALL.into_iter().find(|kind| kind.as_str() == text);
        if known.is_none() {
            let message = format!("kind is training, rota or item, not '{}'", shown(&text));
            reader.fault(Fault::Value, node.place, message, "");
        }
        known
    });
    let topic = reader.needed_text(node, "topic", what);
    let signed_by = needed_roles(reader, node, "signed_by", what);
    let kind = kind?;
    let max_age = match kind {
        // A duty ends when its statement says.
        AttestationKind::Rota => node.get("max_age").and_then(|node| reader.duration(node, "max_age")),
        AttestationKind::Training | AttestationKind::Item => Some(span(reader, node, "max_age", what)?),
    };
    let holder = match (kind, node.get("of")) {
        (AttestationKind::Item, None) => Some(Holder::Release),
        (AttestationKind::Item, Some(of)) => {
            reader.fault(Fault::Value, of.place, "an item is of the release, and of nobody", "take of out");
            None
        }
        _ => reader.needed(node, "of", what).and_then(|of| holder(reader, of, approving)),
    };
    Some(AttestationRule { kind, topic: topic?, holder: holder?, signed_by: signed_by?, max_age })
}

fn holder(reader: &mut Reader<'_>, node: &Node, approving: &[Role]) -> Option<Holder> {
    if node.text() == Some("author") {
        return Some(Holder::Author);
    }
    if !matches!(node.value, Value::Map(_)) {
        let message = format!("of is author or {{ approver: ROLE }}, not {}", node.describe());
        reader.fault(Fault::Value, node.place, message, "");
        return None;
    }
    reader.keys(node, "of", &["approver"]);
    let name = reader.needed_text(node, "approver", "of")?;
    let role = approving.iter().find(|role| role.as_str() == name);
    if role.is_none() {
        let message = format!("nobody approves as '{}' here, so this would ask nobody", shown(&name));
        reader.fault(Fault::Value, node.place, message, "name one of approvals.roles");
    }
    role.cloned().map(Holder::Approver)
}
