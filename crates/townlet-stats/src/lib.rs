//! Has a metric got worse? What is expected of it, and how far healthy samples stray.
//!
//! **What it is.** [`Baseline`]s from the history of a metric, from a control beside it, or as stated, each with the
//! [`Check`]s of what was assumed; and a [`Detector`] that says after each sample whether the metric got worse, with a
//! false alarm in at most [`ALPHA`] of healthy rollouts of [`HORIZON`] samples. A [`RareDetector`] does the same with
//! counts of what is mostly 0; for one look at such counts [`chance_of_so_many`] is the exact test. A [`Judge`] compares
//! one window with that of a control by ranks and passes nothing that it could not see, and [`BurnRates`] say how fast
//! an error budget burns. The rules that others decide by are in [`rival`].
//!
//! **What it is not.** It has no clock, no randomness and no I/O, and knows nothing of thresholds that people set.
//!
//! **Limits.** The detector's rate holds for metrics that go on as their history did; what the [`Check`]s find broken is
//! [`State::Inconclusive`]. What a catastrophe is does not depend on them.
//!
//! ```
//! use townlet_stats::{Baseline, Detector, Direction, Reading, Rules, Sample, State, Stated};
//!
//! let usual = Stated { level: 200.0, sd: 0.02, memory: 0.0 };
//! let baseline = Baseline::stated(usual, Reading::default())?;
//! let mut latency = Detector::new(baseline, Rules::new(Direction::LowerIsBetter));
//! let mut states = (0..20).map(|minute| latency.push(&Sample::new(minute * 60_000, 220.0)));
//! assert!(states.any(|state| matches!(state, State::Detected { .. })));
//! # Ok::<(), townlet_stats::BaselineError>(())
//! ```
mod baseline;
mod burn;
mod check;
mod counts;
mod detector;
mod excursions;
mod judge;
mod live;
mod maths;
mod noise;
mod profile;
mod rank;
mod rare;
mod rate;
pub mod rival;
mod robust;
mod sample;
mod sequential;

pub use baseline::{Baseline, BaselineError, Deviation, Reading, Stated};
pub use burn::{Burn, BurnError, BurnRates, BurnWindow, Urgency, WORKBOOK};
pub use check::{Assumption, Check};
pub use counts::{Count, chance_of_so_many};
pub use detector::{ALPHA, Detector, HORIZON, Lane, Rules, State};
pub use judge::{Judge, Judgement, Side, Verdict, Why};
pub use rank::RankTest;
pub use rare::{Evidence, RareDetector};
pub use rate::RareBaseline;
pub use sample::{Counter, Direction, Sample, Scale};
