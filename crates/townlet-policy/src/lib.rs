//! The grammar of release rules: `parse_p95_ms <= +10% for 10m`, read into typed trees, evaluated, proved and tested.
//!
//! A [`Policy`] is read from a text; [`lint()`] says which of its rules cannot work; an [`Evaluator`] says where each
//! stands; a [`suite`] of tests says whether they stand where they should, and [`mutate`] whether the tests would notice
//! if they did not. `docs/guides/release-policies.md` has all of it on one page, with what differs from Prometheus.
//!
//! # What it is not
//! It reads no clock, no metric and no file: a policy and its tests are read from texts, and an evaluator is told the
//! samples and the time.
//!
//! # Guarantees
//! - No text makes it panic; a fault names its column, and [`yaml`] gives lines.
//! - A sign always means a change against the baseline, so `5%` and `+5%` are not mistaken for each other. Limits are
//!   converted to the unit of their metric, or refused.
//! - What [`expression::condition`] and [`expression::rule`] print reads as the same rule.
//! - Lint reports what is proved on every sample there can be. What it cannot prove it does not report; for one metric
//!   that is compared by value, it misses nothing either.
//!
//! # Example
//! ```
//! use townlet_policy::{Metric, Unit, Worse, expression};
//!
//! let metrics = [Metric { name: "parse_p95_ms".into(), unit: Unit::parse("ms"), worse: Worse::Up }];
//! let read = expression::parse("parse_p95_ms <= 0.2s for 10m keep 5m", &metrics, None)?;
//! assert_eq!(expression::condition(&read.condition, &metrics), "parse_p95_ms <= 200ms");
//!
//! let fault = expression::parse("parse_p95_ms <= 5%", &metrics, None).unwrap_err();
//! assert_eq!(fault.column, 16);
//! # Ok::<(), expression::ExpressionError>(())
//! ```

pub mod evaluate;
pub mod expression;
mod finding;
mod lint;
mod metric;
pub mod mutate;
mod nearest;
mod policy;
pub mod reader;
mod rule;
pub mod suite;
mod surroundings;
mod time;
mod truth;
mod unit;
pub mod yaml;

pub use evaluate::{EvaluateError, Evaluator, GapMode, Reason, Settings, State, Status};
pub use finding::{Code, Finding, Findings, Level, Place};
pub use lint::lint;
pub use metric::{Metric, Worse};
pub use nearest::nearest;
pub use policy::Policy;
pub use rule::{Action, Basis, Check, Condition, Form, Limit, MetricId, MinSamples, Op, Rule, Severity, Test, Timing};
pub use surroundings::{Baseline, Offset, Rollback, Stated, Step, Surroundings, UndoStep, Verified};
pub use time::{Span, Time, parse_duration};
pub use truth::Truth;
pub use unit::{DataUnit, TimeUnit, Unit};
