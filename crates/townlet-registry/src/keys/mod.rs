//! Keys: who signs, who is believed, as whom and when.

mod public;
mod ring;
mod role;
mod signer;

pub use public::{KeyId, PublicKey};
pub use ring::{KeyRing, Revocation, Signatory, TrustedKey};
pub use role::Role;
pub use signer::Signer;
