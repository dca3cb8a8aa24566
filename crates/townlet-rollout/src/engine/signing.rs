//! Signatures under a rollout that has passed every checkpoint.

use crate::intent::What;
use crate::moment::Moment;
use crate::note::Note;
use crate::phase::Phase;
use crate::snapshot;
use crate::verdict::Verdict;

use super::Turn;

impl Turn<'_> {
    pub(super) fn ask_for_signatures(&mut self) {
        self.enter(Phase::SignOff);
        self.ask_who_has_not_signed();
    }

    pub(super) fn ask_who_has_not_signed(&mut self) {
        let digest = snapshot::digest(&self.state.rows);
        let missing = self.plan.sign_off.iter().filter(|role| !self.state.signatures.contains_key(*role));
        for role in missing.cloned().collect::<Vec<_>>() {
            self.ask(What::AskSignOff { role, digest: digest.clone() }, self.plan.limits.look_within);
        }
    }

    pub(super) fn signed(&mut self, actor: &str, role: &str, digest: &str) {
        if self.state.phase != Phase::SignOff {
            return self.refuse(format!("{actor} cannot sign in {}", self.state.phase()));
        }
        let actor = actor.trim();
        if actor.is_empty() {
            return self.refuse(format!("a signature for {role} names nobody"));
        }
        if !self.plan.sign_off.iter().any(|wanted| wanted == role) {
            return self.refuse(format!("{actor} signs for {role}, which the plan does not ask"));
        }
        if let Some(by) = self.state.signatures.get(role) {
            return self.refuse(format!("{by} has signed for {role} already"));
        }
        if let Some((other, _)) = self.state.signatures.iter().find(|(_, by)| *by == actor) {
            return self.refuse(format!("{actor} has signed for {other}: {role} must be somebody else"));
        }
        if digest != snapshot::digest(&self.state.rows) {
            return self.refuse(format!("{actor} signs something else than these snapshots"));
        }
        self.state.signatures.insert(role.into(), actor.into());
        self.note(Note::Signed { actor: actor.into(), role: role.into() });
    }

    /// All have signed, and at this moment every rule is known and good.
    pub(super) fn advance_sign_off(&mut self) -> bool {
        let all_signed = self.plan.sign_off.iter().all(|role| self.state.signatures.contains_key(role));
        let rules = self.plan.rules.iter().zip(&self.state.verdicts);
        let all_good = rules.filter(|(rule, _)| !rule.dry_run).all(|(rule, verdict)| {
            // A rule that only tells people may fire; nothing may be unknown.
            match verdict {
                Verdict::Pass | Verdict::Excused => true,
                Verdict::Unknown => false,
                Verdict::Pending | Verdict::Firing => !rule.binds(),
            }
        });
        let fresh = |due: Moment| self.state.now.since(due) <= self.plan.every + self.plan.grace;
        if !(all_signed && all_good && self.state.judged.is_some_and(fresh)) {
            return false;
        }
        self.enter(Phase::Succeeded);
        self.notify(format!("{}: succeeded", self.state.rollout));
        true
    }
}
