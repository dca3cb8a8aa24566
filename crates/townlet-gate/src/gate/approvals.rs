//! Who has approved: each role by a person of its own.

use std::collections::BTreeMap;

use townlet_registry::{Digest, Role, Time};

use super::board::{Approvals, Demands};
use super::code::Code;
use super::judge::Judge;
use super::verdict::{Condition, Reason, Standing};
use crate::statement::{Approval, Body, Evidence};

impl Judge<'_> {
    /// A condition for each role that the board names.
    pub(super) fn approvals(&mut self, demands: &Demands, manifest: Digest, author: &str) -> Vec<Condition> {
        let Approvals::Roles { roles, max_age } = &demands.approvals else {
            return vec![Condition::met("approval:automatic", Vec::new())];
        };
        let case = self.case;
        // For each role who approved, and by which statement; and what did not count.
        let mut given: Vec<BTreeMap<&str, Digest>> = vec![BTreeMap::new(); roles.len()];
        let mut refused: Vec<Vec<Reason>> = vec![Vec::new(); roles.len()];
        for evidence in &case.evidence {
            let Body::Approval(approval) = &evidence.body else { continue };
            let place = roles.iter().position(|role| *role == approval.role);
            let end = approval.at.as_ms().saturating_add(i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX));
            let end = approval.expires_at.map_or(end, |own| own.as_ms().min(end));
            let counted = counted(evidence, approval, manifest, author, &case.environment, case.as_of, end);
            let counted = counted.and_then(|person| {
                let rules = &demands.attestations;
                self.attested_approver(rules, &approval.role, person, manifest).map(|()| person)
            });
            match counted {
                Ok(person) => {
                    if let Some(place) = place {
                        given[place].entry(person).or_insert(evidence.digest);
                    }
                }
                Err((code, text)) => {
                    let reason = self.refuse(evidence, code, text);
                    if let Some(place) = place {
                        refused[place].push(reason);
                    }
                }
            }
        }
        let people: Vec<Vec<&str>> = given.iter().map(|of| of.keys().copied().collect()).collect();
        let filled = fill(&people);
        let conditions = roles.iter().enumerate().map(|(place, role)| {
            let id = format!("approval:{role}");
            if let Some(person) = filled[place] {
                return Condition::met(id, given[place].get(person).copied().into_iter().collect());
            }
            let (code, text) = match people[place].first() {
                None => (Code::ApprovalMissing, format!("nobody has approved as {role}")),
                Some(person) => (Code::ApproversNotDistinct, taken(person, role, roles, &filled)),
            };
            let mut condition = Condition::standing(id, Standing::Unmet).because(code, text);
            condition.reasons.append(&mut refused[place]);
            condition
        });
        conditions.collect()
    }
}

/// The person whose approval counts.
fn counted<'e>(
    evidence: &'e Evidence,
    approval: &Approval,
    manifest: Digest,
    author: &str,
    environment: &str,
    as_of: Time,
    end_ms: i64,
) -> Result<&'e str, (Code, String)> {
    if !evidence.is_about(manifest) {
        return Err((Code::OtherManifest, "it is about another manifest".into()));
    }
    if approval.environment != environment {
        return Err((Code::OtherEnvironment, format!("it is for {}", approval.environment)));
    }
    let signer = evidence.signer_as(std::slice::from_ref(&approval.role), as_of)?;
    if signer.person == author {
        return Err((Code::ApproverIsAuthor, format!("{author} made the release")));
    }
    if end_ms <= as_of.as_ms() {
        return Err((Code::ApprovalExpired, format!("it counted until {}", Time::from_ms(end_ms))));
    }
    Ok(&signer.person)
}

fn taken(person: &str, role: &Role, roles: &[Role], filled: &[Option<&str>]) -> String {
    let held = filled.iter().position(|filler| *filler == Some(person)).and_then(|place| roles.get(place));
    let other = held.map_or(String::new(), |held| format!(" and counts as {held}"));
    format!("{person} has approved as {role}{other}; one person counts once")
}

/// Fills as many roles as can be, each by one of its people, nobody twice: a maximum matching, by augmenting paths. The
/// same people in the same order give the same answer.
fn fill<'p>(people: &[Vec<&'p str>]) -> Vec<Option<&'p str>> {
    fn place<'p>(
        role: usize,
        people: &[Vec<&'p str>],
        filled: &mut Vec<Option<&'p str>>,
        tried: &mut Vec<&'p str>,
    ) -> bool {
        for person in &people[role] {
            if tried.contains(person) {
                continue;
            }
            tried.push(person);
            let holds = filled.iter().position(|filler| *filler == Some(person));
            if holds.is_none_or(|other| place(other, people, filled, tried)) {
                filled[role] = Some(person);
                return true;
            }
        }
        false
    }
    let mut filled = vec![None; people.len()];
    for role in 0..people.len() {
        place(role, people, &mut filled, &mut Vec::new());
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn people_move_to_make_room_for_others() {
        assert_eq!(fill(&[vec!["a", "b"], vec!["a"]]), [Some("b"), Some("a")]);
        assert_eq!(fill(&[vec!["a"], vec!["a"], vec!["a"]]), [Some("a"), None, None]);
        assert_eq!(fill(&[vec!["a", "b"], vec!["a", "c"], vec!["a"]]), [Some("b"), Some("c"), Some("a")]);
        assert_eq!(fill(&[vec![], vec!["a"]]), [None, Some("a")]);
    }
}
