//! Plans that cannot work are refused before anything happens.

use std::time::Duration;

use crate::moment::Span;
use crate::plan::{Plan, ROLLBACK_LIMIT, Undo};

type Part = fn(&Plan, &mut Vec<String>);

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key of a plan file that it is about.
    pub section: &'static str,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.section, self.what)
    }
}

impl Plan {
    /// Why this plan cannot be run; empty where it can.
    ///
    /// These are the rules of the engine. Whether the rules of the plan make
    /// sense together is the question of `townlet-policy`'s lint.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let parts: [(&'static str, Part); 6] = [
            ("plan", Self::check_names),
            ("steps", Self::check_steps),
            ("emission", Self::check_emission),
            ("checkpoints", Self::check_checkpoints),
            ("rules", Self::check_rules),
            ("rollback", Self::check_rollback),
        ];
        let part = |(section, check): (&'static str, Part)| {
            let mut found = Vec::new();
            check(self, &mut found);
            found.into_iter().map(move |what| Problem { section, what })
        };
        parts.into_iter().flat_map(part).collect()
    }

    fn check_names(&self, found: &mut Vec<String>) {
        for (key, value) in [("name", &self.name), ("environment", &self.environment), ("flag", &self.flag)] {
            if value.trim().is_empty() {
                found.push(format!("{key} is empty"));
            }
            if value.chars().any(char::is_control) {
                found.push(format!("{key} has a character that cannot be printed"));
            }
        }
        let lists = [
            ("signal", self.signals.iter().map(crate::plan::Signal::name).collect::<Vec<_>>()),
            ("service", self.services.iter().map(|s| s.name.clone()).collect()),
            ("rule", self.rules.iter().map(|r| r.name.clone()).collect()),
            ("role of sign_off", self.sign_off.clone()),
        ];
        for (what, mut names) in lists {
            names.sort();
            for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
                found.push(format!("there are two {what}s `{}`", pair[0]));
            }
            if names.iter().any(|name| name.trim().is_empty()) {
                found.push(format!("a {what} has no name"));
            }
            if names.iter().any(|name| name.chars().any(char::is_control)) {
                found.push(format!("the name of a {what} has a character that cannot be printed"));
            }
        }
        if self.signals.is_empty() {
            found.push("there are no signals: nothing can be judged".into());
        }
        if self.sign_off.is_empty() {
            found.push("nobody signs off: name at least one role".into());
        }
    }

    fn check_steps(&self, found: &mut Vec<String>) {
        if self.every.is_zero() {
            found.push("a window has no length".into());
        }
        match self.steps.last() {
            None => found.push("there is no step that raises the flag".into()),
            Some(last) if !last.soak.is_zero() => {
                found.push("the last step soaks: the checkpoints are for that".into());
            }
            Some(_) => {}
        }
        if self.steps.iter().any(|step| step.percent == 0 || step.percent > 100) {
            found.push("a step is not within 1 and 100 percent".into());
        }
        if self.steps.windows(2).any(|pair| pair[0].percent >= pair[1].percent) {
            found.push("the steps do not rise".into());
        }
        if self.limits.attempts == 0 {
            found.push("nothing may be tried: attempts is 0".into());
        }
        if self.observation < self.every {
            found.push(format!("an observation of {} has no window", Span(self.observation)));
        }
    }

    /// The first window that began after the restarts ends up to two lengths later; the one before it, up to one later,
    /// must not be too late already.
    fn check_emission(&self, found: &mut Vec<String>) {
        if self.emission_within < self.every {
            let (within, every) = (Span(self.emission_within), Span(self.every));
            found.push(format!(
                "the metrics have {within} to show up, and a window takes {every}: a healthy rollout would be undone"
            ));
        }
    }

    fn check_checkpoints(&self, found: &mut Vec<String>) {
        if self.checkpoints.is_empty() {
            found.push("there is no checkpoint".into());
        }
        if self.checkpoints.windows(2).any(|pair| pair[0].after >= pair[1].after) {
            found.push("the checkpoints do not rise".into());
        }
    }

    fn check_rules(&self, found: &mut Vec<String>) {
        if !self.rules.iter().any(crate::rule::Rule::rolls_back) {
            found.push("no rule rolls back: somebody would have to watch".into());
        }
        let last = self.checkpoints.last().map_or(Duration::ZERO, |checkpoint| checkpoint.after);
        for rule in &self.rules {
            if rule.known_from > last {
                found.push(format!("rule `{}` need not be known before the last checkpoint is over", rule.name));
            }
            found.extend(rule.problems(self));
        }
    }

    fn check_rollback(&self, found: &mut Vec<String>) {
        let rollback = &self.rollback;
        if !matches!(rollback.steps.first().map(|step| &step.undo), Some(Undo::FlagOff)) {
            found.push("the rollback must begin with the flag".into());
        }
        for service in &self.services {
            let undone = |undo: &Undo| matches!(undo, Undo::Restart(name) if *name == service.name);
            if !rollback.steps.iter().any(|step| undone(&step.undo)) {
                found.push(format!("service `{}` takes the flag, and no rollback step gives it back", service.name));
            }
        }
        if rollback.recovered.is_empty() {
            found.push("recovery is read from no signal".into());
        }
        for index in &rollback.recovered {
            match self.signals.get(*index) {
                None => found.push(format!("recovery reads signal {index}, which there is not")),
                Some(signal) if signal.behind_flag => found
                    .push(format!("recovery cannot be read from `{}`: the rollback switches it off", signal.name())),
                Some(signal) if !signal.has_level() => {
                    found.push(format!(
                        "recovery cannot be read from `{}`: it has no level to return to",
                        signal.name()
                    ));
                }
                Some(_) => {}
            }
        }
        for index in &rollback.silent {
            match self.signals.get(*index) {
                None => found.push(format!("silence is asked of signal {index}, which there is not")),
                Some(signal) if !signal.behind_flag => {
                    found.push(format!("`{}` is not behind the flag: the rollback does not silence it", signal.name()))
                }
                Some(_) => {}
            }
        }
        if rollback.windows == 0 {
            found.push("recovery is shown by no window".into());
        }
        if !(rollback.band.is_finite() && rollback.band > 0.0) {
            found.push("the band of the recovery is not above 0".into());
        }
        if rollback.total > ROLLBACK_LIMIT {
            found.push(format!("the rollback may take {}; at most {}", Span(rollback.total), Span(ROLLBACK_LIMIT)));
        }
        let needs = self.rollback_needs();
        if needs > rollback.total {
            found.push(format!(
                "the rollback needs up to {} and has {}: shorten its steps or the windows of the recovery",
                Span(needs),
                Span(rollback.total)
            ));
        }
    }

    /// How long a rollback takes whose steps take all of their time and whose
    /// recovery shows at once: the steps, the rest of a window that began before
    /// their end, the windows of the recovery, and their lateness.
    #[must_use]
    pub fn rollback_needs(&self) -> Duration {
        let steps = self.rollback.steps.iter().map(|step| step.within).fold(Duration::ZERO, Duration::saturating_add);
        let windows = self.every.saturating_mul(self.rollback.windows.saturating_add(1));
        steps.saturating_add(windows).saturating_add(self.grace)
    }
}
