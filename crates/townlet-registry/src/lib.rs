//! Signed statements that anyone can check.
//!
//! **What it is.** [`canonical`] JSON and [`Digest`]s; in-toto [`Statement`]s in DSSE [`Envelope`]s; Ed25519 keys, a
//! secret one that signs ([`Signer`]) and public ones that are believed as a person in [`Role`]s ([`KeyRing`]); an
//! append-only log of statements over an RFC 6962 [`merkle`] tree, in one SQLite file, beside the bytes that they name
//! ([`Registry`]); signed [`Checkpoint`]s of it in the format of C2SP `tlog-checkpoint`; and [`Bundle`]s, which prove on
//! another machine what the log says about one thing.
//!
//! **What it is not.** It knows no predicate: crates above define theirs. It reads no clock; who calls says what
//! [`Time`] it is. It does not decide whether a role suffices. It uses no network.
//!
//! # Guarantees
//! - One value has one canonical text, or none and an error: nothing is rounded, reordered or repeated silently.
//! - A signature is over the bytes of the payload and its type, so nothing that reads them differently matters.
//! - An envelope passes only if every one of its signatures does, by keys that are believed at that moment.
//! - A secret key shows itself in no text, and is read from no file that others can read.
//! - What the registry acknowledged is on disk. A process that is killed leaves a file that opens.
//! - No entry of a log can be changed, moved, inserted or removed below a checkpoint without [`Registry::verify`] and
//!   [`Bundle::verify`] telling whoever holds that checkpoint.
//! - No byte of a bundle can be changed without its verification failing. That is pure: bytes, keys and a checkpoint in,
//!   an answer out.
//! - Whatever stands in a file or a text, reading it ends in an answer or an error, never in a panic.
//!
//! # Limits
//! - Whoever holds a secret key signs as its owner until the key is revoked, and can claim an earlier time for what the
//!   log takes in, back to the entry before.
//! - Whoever holds the key of the log can show one log to some and another to others. A checkpoint that left the machine
//!   (a commit, a mail, a witness) shows it to whoever compares with it; without one, it cannot be seen. Nor can it be
//!   seen that entries after the newest checkpoint that somebody holds were cut off.
//! - A bundle about one thing proves what it holds, not that it holds everything; [`Verified::absent`] tells what is
//!   named and not here. A bundle of the whole log leaves out nothing.
//! - Times are those of the clock of who appended.
//! - Statements may be appended whose signatures nobody believes: verifying tells.
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

mod bundle;
pub mod canonical;
mod checkpoint;
mod digest;
mod envelope;
mod error;
mod keys;
pub mod merkle;
mod record;
mod registry;
mod statement;
mod time;

pub use bundle::{Bundle, Verified, Vouched};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use digest::Digest;
pub use envelope::{Envelope, STATEMENT_PAYLOAD, Signature, pae};
pub use error::{Error, ErrorKind};
pub use keys::{KeyId, KeyRing, PublicKey, Revocation, Role, Signatory, Signer, TrustedKey};
pub use record::Record;
pub use registry::{Finding, Query, Receipt, Registry, Report, Vetted};
pub use statement::{Head, Predicate, STATEMENT_TYPE, Statement, Subject};
pub use time::Time;
