//! Rollouts in virtual time, and what can be told from them before the real one.
//!
//! A [`Simulation`] is a driver for the engine whose actuators take a few virtual seconds and whose windows come from a
//! [`Source`]: drawn from a history ([`Resampled`]) or recorded. [`predict`] says of each rule how often it would undo
//! a healthy rollout and how soon it would find a bad one; [`backtest`] runs a plan over a record, beside the rules of
//! others. All of it follows from its arguments: seeds are among them.

mod backtest;
mod driver;
mod predict;
mod source;

pub use backtest::{Backtest, BacktestError, Ending, Fired, Rival, backtest};
pub use driver::{Simulation, Source};
pub use predict::{Forecast, Found, Options, Prediction, predict};
pub use source::{Fault, Resampled, Trouble};
