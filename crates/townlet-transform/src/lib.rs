//! Transforms over telemetry records, and the chain that runs them before anything leaves the process.
//!
//! A [`Record`] goes in, a [`Redacted`] record comes out, or it is [`Dropped`] and counted under a [`DropReason`].
//! Built in are the normaliser, redaction, required fields and JSON Schema validation; a host adds its own by
//! [`Transform`].
//!
//! ```
//! use townlet_schema::{Json, Kind, Object};
//! use townlet_transform::{Chain, DropReason, Dropped, Head, Record, Transform};
//!
//! /// A host's own step: test agents are nobody's business.
//! struct NoTestAgents;
//!
//! impl Transform for NoTestAgents {
//!     fn id(&self) -> &str {
//!         "no_test_agents"
//!     }
//!     fn concerns(&self, kind: Kind) -> bool {
//!         kind == Kind::Event
//!     }
//!     fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
//!         match record.event() {
//!             Some(name) if name.starts_with("test.") => {
//!                 Err(Dropped::new(DropReason::Transform("test_agent".into()), "an event of the test suite"))
//!             }
//!             _ => Ok(()),
//!         }
//!     }
//! }
//!
//! let mut chain = Chain::standard()?;
//! chain.push(Box::new(NoTestAgents));
//!
//! let body = br#"{"event":"policy.metadata","payload":{"policy_hash":"c0ffee","provider":"ppo"}}"#;
//! let record = Record::checked(Head::event("policy.metadata", "town.events", 7), body.to_vec())?;
//! let redacted = chain.run(record)?;
//! assert_eq!(redacted.body_bytes(), br#"{"event":"policy.metadata","payload":{"provider":"ppo"}}"#);
//!
//! let record = Record::checked(Head::event("test.ping", "town.events", 8), br#"{"event":"test.ping"}"#.to_vec())?;
//! assert_eq!(chain.run(record).unwrap_err().reason.as_str(), "test_agent");
//! assert_eq!(chain.stats().dropped["test_agent"], 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - **Nothing leaves unredacted by accident.** Only [`Chain::run`] makes a [`Redacted`]. A pipeline without a
//!   redaction gets the default one. A host's transform runs before redaction wherever it was put. Text that
//!   redaction cannot follow is dropped.
//! - **Nothing vanishes.** Every record comes out or is counted under a reason; details name fields, never values.
//! - **No tree without need.** Redaction rewrites text, validation reads an index over it; a tree is built when a
//!   transform asks for one.
//! - **Bounded.** A body has at most [`MAX_BODY_BYTES`] and [`MAX_DEPTH`] levels. No input makes it panic.
//!
//! # What it is not
//!
//! It knows no sink, no envelope beyond what a rule names, and does not run validators of mode `raise`: those belong
//! into `emit`, see [`Chain::raising`]. It does not catch a panic of a host's transform; the worker does.

mod builder;
mod chain;
mod dropped;
mod ensure;
mod limits;
mod normalise;
mod record;
mod redact;
mod spec;
mod stats;
mod text;
mod transform;
mod validate;
mod visible;

pub use builder::{BuildError, ChainBuilder, Notice};
pub use chain::{Chain, Passed, Redacted, RedactedTree};
pub use dropped::{DropReason, Dropped};
pub use ensure::EnsureFields;
pub use limits::{MAX_BODY_BYTES, MAX_DEPTH};
pub use normalise::SnapshotNormalizer;
pub use record::{Head, Record};
pub use redact::{FieldPath, FieldPathError, HashKey, HashKeyError, MASK, RedactFields, Redaction};
pub use spec::TransformSpec;
pub use stats::{ChainStats, Counters};
pub use transform::Transform;
pub use validate::{CheckError, SchemaError, SchemaSource, Validator, ValidatorMode, Violation};
