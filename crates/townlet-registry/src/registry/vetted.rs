//! What a verifier has verified already, so that it is not done again.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Digest;
use crate::error::Error;
use crate::keys::KeyRing;

/// That every signature up to a size of a log was verified, with one state of a key ring.
///
/// Entries cannot change under their root, and whether a signature is believed depends on the entry and the ring alone.
/// So where both are the same, the answer is. Signatures are checked one by one and strictly; checking them as a batch
/// would be faster, and would accept some that are refused here (with torsion in their points, of which two can cancel
/// out).
///
/// **Limit.** Who can write this file can have signatures passed over. It belongs to the verifier, beside the checkpoint
/// that it holds, and never to whom the log is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vetted {
    /// The name of the log.
    pub origin: String,
    /// How many entries were verified, from the first.
    pub size: u64,
    /// The root of their tree.
    pub root: Digest,
    /// The key ring that they were verified with.
    pub keys: Digest,
}

impl Vetted {
    /// Its canonical JSON.
    ///
    /// # Errors
    /// For a size beyond 2⁵³.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        canonical::to_vec(self)
    }

    /// Reads what [`Vetted::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        canonical::from_slice(bytes).map_err(|error| error.at("vetted"))
    }

    /// Whether it is of this log and this state of the ring.
    pub(super) fn holds_for(&self, origin: &str, ring: &KeyRing) -> Result<bool, Error> {
        Ok(self.origin == origin && self.keys == ring.digest()?)
    }
}
