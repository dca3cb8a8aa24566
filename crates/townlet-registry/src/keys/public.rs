//! Public keys and their names.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePublicKey, EncodePublicKey};
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, from_hex, hex};
use crate::error::{Error, ErrorKind};

/// The name of a key: SHA-256 of its public key as DER (SubjectPublicKeyInfo), so that `openssl pkey -pubin -outform
/// DER | sha256sum` gives it too. 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KeyId([u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = from_hex(text);
        bytes.map(Self).ok_or_else(|| Error::malformed(format!("`{text}` is no key id: 64 digits of 0-9a-f")))
    }
}

impl TryFrom<String> for KeyId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// What DER puts before the 32 bytes of an Ed25519 key (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// An Ed25519 public key. Keys of small order, under which a signature could fit many messages, do not become one.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the PEM of a SubjectPublicKeyInfo (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for anything else, other algorithms included.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let key = VerifyingKey::from_public_key_pem(pem.trim())
            .map_err(|error| Error::caused(ErrorKind::Malformed, "no Ed25519 public key in PEM", error))?;
        Self::sound(key)
    }

    /// Its PEM.
    ///
    /// # Errors
    /// None; the library below does not show it in the type.
    pub fn to_pem(&self) -> Result<String, Error> {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.map_err(|error| Error::caused(ErrorKind::Malformed, "public key", error))
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// # Errors
    /// [`ErrorKind::Malformed`] for bytes that are no point of the curve, or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        let key = VerifyingKey::from_bytes(bytes)
            .map_err(|error| Error::caused(ErrorKind::Malformed, "no Ed25519 public key", error))?;
        Self::sound(key)
    }

    fn sound(key: VerifyingKey) -> Result<Self, Error> {
        if key.is_weak() {
            return Err(Error::malformed("an Ed25519 public key of small order: signatures under it prove nothing"));
        }
        Ok(Self(key))
    }

    pub(super) fn of(key: VerifyingKey) -> Self {
        Self(key)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(*Digest::of_all(&[&SPKI, self.0.as_bytes()]).as_bytes())
    }

    /// Whether this key signed `message`. Strict: one message and key have one signature that passes.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey {}", self.id())
    }
}
