//! Whether a record agrees with itself.

use super::types::{Report, Scorecard, Status, SuiteResult};

impl SuiteResult {
    /// Whether what is recorded of it makes a pass: the last attempt, the thresholds, no problem of its own.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| attempt.passed)
            && self.thresholds.iter().all(|threshold| threshold.state.permits())
            && self.problems.is_empty()
    }
}

impl Scorecard {
    /// The verdict, from the suites alone: there is one, every blocking one passed, and none was left out.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        let fine = |suite: &SuiteResult| match suite.status {
            Status::Passed => true,
            Status::Failed => !suite.blocking,
            Status::NotRun => false,
        };
        !self.suites.is_empty() && self.suites.iter().all(fine)
    }

    /// The names of the suites that stand so.
    #[must_use]
    pub fn named(&self, status: Status) -> Vec<String> {
        self.suites.iter().filter(|suite| suite.status == status).map(|suite| suite.name.clone()).collect()
    }

    /// Where the scorecard contradicts itself. What this crate writes never does; what somebody edited may.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.overall_passed != self.has_passed() {
            found.push(format!("overall_passed is {}, and the suites say {}", self.overall_passed, self.has_passed()));
        }
        for (at, suite) in self.suites.iter().enumerate() {
            let name = &suite.name;
            if self.suites[..at].iter().any(|other| other.name == *name) {
                found.push(format!("{name} is there twice"));
            }
            let run = suite.status != Status::NotRun;
            if run != suite.not_run_because.is_none() || run == suite.attempts.is_empty() {
                found.push(format!("{name} is said to be run and not run"));
            }
            if run && (suite.status == Status::Passed) != suite.has_passed() {
                found.push(format!("the status of {name} is not what its attempts, thresholds and problems say"));
            }
            for (at, attempt) in suite.attempts.iter().enumerate() {
                if u64::from(attempt.number) != at as u64 + 1 {
                    found.push(format!("attempt {} of {name} is out of order", attempt.number));
                }
                if attempt.passed && (!attempt.ended.is_success() || !attempt.problems.is_empty()) {
                    found.push(format!("attempt {} of {name} passed in spite of its problems", attempt.number));
                }
                if attempt.passed && at + 1 < suite.attempts.len() {
                    found.push(format!("{name} went on after attempt {} had passed", attempt.number));
                }
            }
        }
        found
    }
}

impl Report {
    /// Where the report says something else than its scorecard.
    #[must_use]
    pub fn contradictions(&self, scorecard: &Scorecard) -> Vec<String> {
        let pairs = [
            ("run_id", self.run_id == scorecard.run_id),
            ("overall_passed", self.overall_passed == scorecard.overall_passed),
            ("failures", self.failures == scorecard.named(Status::Failed)),
            ("not_run", self.not_run == scorecard.named(Status::NotRun)),
            ("revision", self.revision == scorecard.revision),
            ("started_at", self.started_at == scorecard.started_at),
        ];
        let wrong = pairs.iter().filter(|(_, same)| !same);
        wrong.map(|(key, _)| format!("{key} differs between the report and its scorecard")).collect()
    }
}
