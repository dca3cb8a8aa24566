//! Whether a release may go out.
//!
//! [`manifest`] says what a release is, and names it by a digest. [`statement`]s are what people and machines sign about
//! it. [`gate`] reads what an environment demands, and decides.
//!
//! # What it is not
//! It fetches nothing: what lies at an address is known by the digest that somebody wrote down. It ships nothing, asks no
//! clock, and keeps nothing: who calls gives the time and stores what comes out.
//!
//! # Guarantees
//! - A manifest is read whole or refused with every fault and its line; a key that is not known is a fault. So are a
//!   change board, policies and samples.
//! - The digest of an artifact is computed from its bytes. One that is written and does not fit is a fault.
//! - A variable that is not set is a fault, never an empty text.
//! - A decision has every reason, not the first, each with a stable [code](gate::Code). The same inputs give the same
//!   bytes. What is unknown is no pass.
//!
//! # Limits
//! Times of statements are what their signers say; a log gives them an order. Samples are not signed: who signs the
//! decision vouches for them. Whoever leaves out a failed run or rehearsal gets another answer, so statements are
//! gathered from a log.
//!
//! # Example
//! ```
//! use townlet_gate::gate::{Code, Inputs, Verdict};
//! use townlet_gate::manifest;
//! use townlet_registry::{KeyRing, Time};
//!
//! let found = manifest::read("relaese: R42", "release.yaml").unwrap_err();
//! assert!(found.to_string().contains("write release"));
//!
//! let board = "environments:
//!   staging:
//!     authors: [release-engineer]
//!     approvals: automatic
//!     policies: none
//!     readiness: not required
//!     rehearsal: not required
//!     waivers: none
//!     window: not required";
//! let inputs = Inputs {
//!     board: board.into(),
//!     policy: "policies: { error_rate: < 0.01 }".into(),
//!     keys: KeyRing::new().to_json()?,
//!     ..Inputs::default()
//! };
//! let decision = inputs.decide("staging", Time::from_ms(1_795_276_800_000))?;
//! assert_eq!(decision.verdict, Verdict::Reject);
//! assert_eq!(decision.conditions[0].reasons[0].code, Code::MissingReleaseManifest);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fields;
pub mod gate;
pub mod manifest;
pub mod statement;
