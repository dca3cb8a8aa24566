//! Signed statements that anyone can check.
//!
//! **What it is.** [`canonical`] JSON and [`Digest`]s; in-toto [`Statement`]s in DSSE [`Envelope`]s; Ed25519 keys, a
//! secret one that signs ([`Signer`]) and public ones that are believed as a person in [`Role`]s ([`KeyRing`]).
//!
//! **What it is not.** It knows no predicate: crates above define theirs. It reads no clock; who calls says what
//! [`Time`] it is. It does not decide whether a role suffices.
//!
//! # Guarantees
//! - One value has one canonical text, or none and an error: nothing is rounded, reordered or repeated silently.
//! - A signature is over the bytes of the payload and its type, so nothing that reads them differently matters.
//! - An envelope passes only if every one of its signatures does, by keys that are believed at that moment.
//! - A secret key shows itself in no text, and is read from no file that others can read.
//!
//! # Limits
//! Whoever holds a secret key signs as its owner until the key is revoked.
//!
//! # Example
//! ```
//! use serde::{Deserialize, Serialize};
//! use townlet_registry::{Digest, Envelope, KeyRing, Predicate, Role, Signer, Statement, Subject, Time, TrustedKey};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! struct Approval {
//!     role: String,
//! }
//! impl Predicate for Approval {
//!     const TYPE: &'static str = "https://example.com/approval/v1";
//! }
//!
//! let now = Time::from_ms(1_795_276_800_000);
//! let signer = Signer::from_seed(&[7; 32]); // `Signer::generate()` outside examples
//! let mut ring = KeyRing::new();
//! ring.trust(TrustedKey {
//!     public: signer.public(),
//!     person: "Queenie".to_owned(),
//!     roles: [Role::new("sre")?].into(),
//!     from: now,
//!     until: None,
//!     revoked: None,
//! })?;
//!
//! let manifest = Subject::new("release-42", Digest::of(b"the manifest"));
//! let approval = Statement::about(manifest, Approval { role: "sre".to_owned() });
//! let envelope = Envelope::sign(&approval, &signer)?;
//!
//! let signed_by = ring.verify(&envelope, now)?;
//! assert_eq!(signed_by[0].person, "Queenie");
//! assert_eq!(envelope.statement::<Approval>()?, approval);
//! # Ok::<(), townlet_registry::Error>(())
//! ```

pub mod canonical;
mod digest;
mod envelope;
mod error;
mod keys;
mod statement;
mod time;

pub use digest::Digest;
pub use envelope::{Envelope, STATEMENT_PAYLOAD, Signature, pae};
pub use error::{Error, ErrorKind};
pub use keys::{KeyId, KeyRing, PublicKey, Revocation, Role, Signatory, Signer, TrustedKey};
pub use statement::{Head, Predicate, STATEMENT_TYPE, Statement, Subject};
pub use time::Time;
