//! Which critical incidents are open, by what was signed about them.

use std::collections::BTreeMap;

use townlet_policy::yaml::Node;
use townlet_registry::{Digest, Role, Time};

use super::board::needed_roles;
use super::judge::Judge;
use super::samples::OPEN_INCIDENTS;
use super::verdict::{Condition, Observed, Reason};
use super::{Case, Code};
use crate::fields::Reader;
use crate::statement::{Body, Severity};

/// That incidents are counted from statements: the metric `open_critical_incidents` of a policy then follows from them,
/// and no document of samples may give it.
///
/// ```yaml
/// incidents: { closed_by: [sre-on-call] }
/// ```
///
/// Anybody whose key was believed opens one: to say that something is wrong takes no permission. It is closed by somebody
/// who may, later than it was opened; of an opening and a closing at one moment the opening counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentRules {
    /// Who may close one.
    pub closed_by: Vec<Role>,
}

/// A critical incident that nobody has closed.
pub(super) struct Open {
    name: String,
    said_at: Time,
    by: Digest,
}

impl Judge<'_> {
    pub(super) fn open_incidents(&mut self, rules: &IncidentRules) -> Vec<Open> {
        let case = self.case;
        let mut opened: BTreeMap<&str, (Time, Digest)> = BTreeMap::new();
        let mut closed: BTreeMap<&str, Time> = BTreeMap::new();
        for evidence in &case.evidence {
            let counted = match &evidence.body {
                Body::IncidentOpened(one) if is_critical_in(one.severity, &one.environment, case) => {
                    evidence.signer_then(case.as_of).map(|_| {
                        let last = opened.entry(&one.incident).or_insert((one.at, evidence.digest));
                        *last = (*last).max((one.at, evidence.digest));
                    })
                }
                Body::IncidentClosed(one) => evidence.signer_then_as(&rules.closed_by, case.as_of).map(|_| {
                    let last = closed.entry(&one.incident).or_insert(one.at);
                    *last = (*last).max(one.at);
                }),
                _ => continue,
            };
            if let Err((code, text)) = counted {
                self.refuse(evidence, code, text);
            }
        }
        let open = opened.into_iter().filter(|(name, (at, _))| closed.get(name).is_none_or(|end| end <= at));
        open.map(|(name, (said_at, by))| Open { name: name.to_owned(), said_at, by }).collect()
    }
}

fn is_critical_in(severity: Severity, environment: &str, case: &Case) -> bool {
    severity == Severity::Critical && environment == case.environment
}

/// Says in the conditions that ask for the count what it is, and which incidents are meant.
pub(super) fn tell(case: &Case, open: &[Open], conditions: &mut [Condition]) {
    for condition in conditions {
        let asks = |rule: &&townlet_policy::Rule| rule.id == condition.id;
        let Some(rule) = case.policy.rules.iter().find(asks) else { continue };
        if !super::rules::asks_about(case, rule, &[OPEN_INCIDENTS]) {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 incidents")]
        let value = open.len() as f64;
        condition.observed.push(Observed { metric: OPEN_INCIDENTS.to_owned(), value, at: case.as_of });
        condition.by.extend(open.iter().map(|one| one.by));
        if condition.standing.blocks() {
            let reasons = open.iter().map(|one| Reason {
                code: Code::IncidentOpen,
                text: format!("{} is open, opened at {}", one.name, one.said_at),
            });
            condition.reasons.extend(reasons);
        }
    }
}

/// What the board says about them; `None` where a fault has been found.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<IncidentRules> {
    reader.keys(node, "incidents", &["closed_by"]);
    needed_roles(reader, node, "closed_by", "incidents").map(|closed_by| IncidentRules { closed_by })
}
