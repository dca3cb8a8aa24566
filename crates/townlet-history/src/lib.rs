//! What became of releases, as questions to the log.
//!
//! **What it is.** [`statement`]s that are signed after a decision: deployments, the timeline of an incident, what a probe
//! of readiness saw, which configuration went with which release. A [`History`] is what a log says, read and verified.
//! Out of it come deployments and whether one may begin ([`deployment`]), incidents with the duration of their rollback
//! and their outcome ([`incident`]), the four DORA figures ([`dora`]) and the evidence checklist of a release
//! ([`checklist`]).
//!
//! **What it is not.** It keeps nothing beside the log and asks no clock, network or process: [`readyz`] reads what
//! somebody else asked. It decides nothing: what an incident or a missing training means for a release is for the gate
//! ([`townlet_gate::gate::IncidentRules`], [`townlet_gate::gate::AttestationRule`]).
//!
//! # Guarantees
//! - A statement counts only if its signatures are believed as of when the log took it in, one of them is that of who it
//!   speaks for, and it tells of nothing later. What does not count is listed with the reason.
//! - The same entries, keys and moment give the same answers. A figure for which there are no records is unknown, never
//!   zero.
//! - No input makes a panic.
//!
//! # Limits
//! What nobody recorded is not known: a deployment by hand, an incident that nobody opened, a commit that no deployment
//! names. Times inside statements are what their signers say, up to the moment when the log took them in. Anybody who is
//! believed may record; which role may close an incident is asked by the gate.
//!
//! # Example
//! ```
//! use townlet_history::History;
//! use townlet_history::dora::Window;
//! use townlet_registry::{KeyRing, Time};
//!
//! let (from, to) = (Time::from_ms(0), Time::from_ms(86_400_000));
//! let history = History::read(&[], &KeyRing::new(), to);
//! let figures = history.figures("production", Window { from, to });
//! assert_eq!(figures.deployments, None, "an empty log does not know that nothing was deployed");
//! ```

pub mod checklist;
pub mod config;
pub mod deployment;
pub mod dora;
mod history;
pub mod incident;
pub mod readyz;
pub mod statement;

pub use history::{History, NotCounted, Told};
