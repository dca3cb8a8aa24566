//! Labelled traces of metrics, and how every detector does on them.
//!
//! A [`Trace`] is a metric before and for 48 hours after a change, a sample a minute, made from a seed: what the metric
//! is like while nothing is wrong ([`Kind`]), and what the change did to it ([`Change`]). [`score`] shows each trace to
//! `townlet-stats`' detector, to its judge and to the rule sets of others; [`Table`] is what came of it, and says
//! whether what is promised of the detector was kept:
//!
//! - a rollback in at most 1 % of the traces that nothing is wrong with, in 48 hours;
//! - of +10 % at a noise of 2 % the median delay is at most 119 minutes;
//! - 3× is found within two samples, always.
//!
//! The traces are ours, and so is the reading of others' rules: the figures say how rules of that shape do on metrics
//! of that shape.

mod score;
mod table;
mod trace;

pub use score::{Run, Scored, score};
pub use table::{Table, Verdict};
pub use trace::{Change, Kind, Trace};

/// How many traces the whole corpus has.
pub const FULL: usize = 800;
/// How many CI looks at.
pub const QUICK: usize = 100;
