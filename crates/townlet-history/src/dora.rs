//! The four DORA figures of an environment over a window, from deployments and incidents alone.
//!
//! | figure | here |
//! |---|---|
//! | deployment frequency | how many deployments succeeded in the window |
//! | change lead time | from the commit to the end of the first deployment that succeeded with it: the median over the commits that came out in the window |
//! | change fail rate | of the deployments that ended in the window, the share that did not succeed, was taken back or was to be, or brought an incident |
//! | time to restore | from when an incident began until it was restored: the median over those that were restored in the window |
//!
//! The definitions follow <https://dora.dev/guides/dora-metrics-four-keys/>; where that leaves a choice: a rollback is no
//! deployment, it undoes one; a false alarm is no incident; every severity is one; an incident counts whether or not a
//! deployment brought it (DORA's "failed deployment recovery time" is
//! [`deployment_recovery`](Figures::deployment_recovery)). Windows hold their first moment and not their last.
//!
//! Nothing is estimated. Counts are counts, a median of an even number is the mean of the middle two, and what no record
//! speaks of is unknown and not zero.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use townlet_registry::{Digest, Time};

use crate::deployment::Seen;
use crate::history::History;
use crate::statement::Outcome;

/// A time from a moment until before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The first moment.
    pub from: Time,
    /// The first moment after it.
    pub to: Time,
}

impl Window {
    /// Whether a moment is in it.
    #[must_use]
    pub fn holds(self, at: Time) -> bool {
        self.from <= at && at < self.to
    }

    /// How long it is.
    #[must_use]
    pub fn length(self) -> Duration {
        Duration::from_millis(u64::try_from(self.to.as_ms().saturating_sub(self.from.as_ms())).unwrap_or(0))
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// So many.
    pub part: u64,
    /// Of so many; never zero.
    pub of: u64,
}

impl Share {
    /// As a number from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for people; the counts are beside it")]
    pub fn ratio(self) -> f64 {
        self.part as f64 / self.of as f64
    }
}

/// The middle of some times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Median {
    /// The middle one; of an even number the mean of the two in the middle.
    #[serde(serialize_with = "seconds", rename = "median_seconds")]
    pub median: Duration,
    /// The longest.
    #[serde(serialize_with = "seconds", rename = "longest_seconds")]
    pub longest: Duration,
    /// Of how many.
    pub of: u64,
}

fn seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

impl Median {
    /// Of these; nothing, where there are none.
    #[must_use]
    pub fn of(mut spans: Vec<Duration>) -> Option<Self> {
        spans.sort_unstable();
        let upper = *spans.get(spans.len() / 2)?;
        let lower = *spans.get((spans.len() - 1) / 2)?;
        // Whole milliseconds have halves that a `Duration` can hold.
        let median = lower + (upper - lower) / 2;
        Some(Self { median, longest: *spans.last()?, of: spans.len() as u64 })
    }
}

/// The figures. `None` is unknown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Where.
    pub environment: String,
    /// Over which time.
    pub window: Window,
    /// When the records about the environment begin, where that is inside the window: before it, nobody knows.
    pub records_begin: Option<Time>,
    /// How many deployments succeeded. Unknown where no deployment was recorded before the end of the window.
    pub deployments: Option<u64>,
    /// That in a day.
    pub deployments_per_day: Option<f64>,
    /// From commit to production.
    pub lead_time: Option<Median>,
    /// Deployments that ended and failed, of those that ended.
    pub change_failures: Option<Share>,
    /// From the beginning of an incident to its end.
    pub time_to_restore: Option<Median>,
    /// The same, of incidents that a deployment brought.
    pub deployment_recovery: Option<Median>,
    /// Incidents that had begun before the end of the window and were not restored by then. They are in no median yet.
    pub not_restored: u64,
    /// Deployments that began before the end of the window, and of which no record says how they ended.
    pub unfinished: u64,
    /// Commits that are said to have been made after they were deployed; they are in no median.
    pub impossible_commits: u64,
}

impl History {
    /// Computes the figures of an environment.
    #[must_use]
    pub fn figures(&self, environment: &str, window: Window) -> Figures {
        let seen = self.deployments_to(environment);
        let incidents = self.incidents();
        let real: Vec<_> = incidents.all.iter().filter(|one| one.is_real()).collect();
        let first = seen.iter().map(|one| one.said().started_at).min();
        let changes: Vec<&Seen<'_>> = seen.iter().filter(|one| !one.is_rollback()).collect();
        let ended: Vec<&Seen<'_>> = changes.iter().copied().filter(|one| ended_in(one, window)).collect();
        let failed = |one: &Seen<'_>| {
            one.said().outcome != Outcome::Succeeded
                || one.undone.is_some()
                || real.iter().any(|incident| incident.was_brought_by(&one.records))
        };
        let succeeded = ended.iter().filter(|one| one.said().outcome == Outcome::Succeeded).count() as u64;
        let deployments = first.filter(|first| *first < window.to).map(|_| succeeded);
        let (lead_time, impossible_commits) = lead_times(&changes, window);
        let part = ended.iter().filter(|one| failed(one)).count() as u64;
        let share = Share { part, of: ended.len() as u64 };
        let here = || real.iter().filter(|incident| incident.opened.said.environment == environment);
        let restored = || here().filter(|one| one.closed.is_some_and(|end| window.holds(end.said.restored_at)));
        let records: Vec<Digest> = seen.iter().flat_map(|one| one.records.iter().copied()).collect();
        let brought = restored().filter(|one| one.was_brought_by(&records));
        let open_at_end = here().filter(|one| {
            one.opened.said.began_at < window.to && one.closed.is_none_or(|end| end.said.restored_at >= window.to)
        });
        let running = seen.iter().filter(|one| one.said().finished_at.is_none() && one.said().started_at < window.to);
        let days = window.length().as_secs_f64() / 86_400.0;
        Figures {
            environment: environment.to_owned(),
            window,
            records_begin: first.filter(|first| window.from < *first && window.holds(*first)),
            deployments,
            #[expect(clippy::cast_precision_loss, reason = "for people; the count is beside it")]
            deployments_per_day: deployments.filter(|_| days > 0.0).map(|count| count as f64 / days),
            lead_time,
            change_failures: (share.of > 0).then_some(share),
            time_to_restore: Median::of(restored().filter_map(|one| one.time_to_restore()).collect()),
            deployment_recovery: Median::of(brought.filter_map(|one| one.time_to_restore()).collect()),
            not_restored: open_at_end.count() as u64,
            unfinished: running.count() as u64,
            impossible_commits,
        }
    }
}

fn ended_in(one: &Seen<'_>, window: Window) -> bool {
    one.said().finished_at.is_some_and(|end| window.holds(end))
}

/// A commit comes out once: with the first deployment that succeeded with it.
fn lead_times(changes: &[&Seen<'_>], window: Window) -> (Option<Median>, u64) {
    let mut out: BTreeMap<&str, (Time, Time)> = BTreeMap::new();
    for one in changes.iter().filter(|one| one.said().outcome == Outcome::Succeeded) {
        let Some(end) = one.said().finished_at else { continue };
        for change in &one.said().changes {
            let known = out.entry(&change.revision).or_insert((end, change.committed_at));
            *known = (*known).min((end, change.committed_at));
        }
    }
    let (mut spans, mut impossible) = (Vec::new(), 0);
    for (end, committed) in out.into_values().filter(|(end, _)| window.holds(*end)) {
        match u64::try_from(end.as_ms().saturating_sub(committed.as_ms())) {
            Ok(ms) => spans.push(Duration::from_millis(ms)),
            Err(_) => impossible += 1,
        }
    }
    (Median::of(spans), impossible)
}
