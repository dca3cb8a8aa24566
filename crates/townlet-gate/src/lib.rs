//! Whether a release may go out.
//!
//! [`manifest`] says what a release is, and names it by a digest. [`statement`]s are what people and machines sign about
//! it. [`gate`] reads what an environment demands.
//!
//! # What it is not
//! It fetches nothing: what lies at an address is known by the digest that somebody wrote down. It ships nothing.
//!
//! # Guarantees
//! - A manifest is read whole or refused with every fault and its line; a key that is not known is a fault. So are a
//!   change board, policies and samples.
//! - The digest of an artifact is computed from its bytes. One that is written and does not fit is a fault.
//! - A variable that is not set is a fault, never an empty text.
//!
//! # Example
//! ```
//! use townlet_gate::manifest;
//!
//! let found = manifest::read("relaese: R42", "release.yaml").unwrap_err();
//! assert!(found.to_string().contains("release.yaml:1:1"));
//! assert!(found.to_string().contains("write release"));
//! ```

mod fields;
pub mod gate;
pub mod manifest;
pub mod statement;
