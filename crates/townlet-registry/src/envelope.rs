//! DSSE envelopes: bytes, their type, and signatures over both.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::keys::{KeyId, Signer};
use crate::statement::{Head, Predicate, Statement};

/// The payload type of in-toto statements.
pub const STATEMENT_PAYLOAD: &str = "application/vnd.in-toto+json";

/// What a DSSE signature is over: the pre-authentication encoding, version 1. Lengths make it unambiguous.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// One signature, and the key that is said to have made it.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who is said to have signed.
    pub key: KeyId,
    /// Ed25519, over the [`pae`].
    pub bytes: [u8; 64],
}

/// A payload with its signatures. Having one proves nothing: [`KeyRing::verify`](crate::KeyRing::verify) does.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

impl Envelope {
    /// Signs a statement.
    ///
    /// # Errors
    /// Those of [`Statement::to_payload`].
    pub fn sign<P: Predicate>(statement: &Statement<P>, signer: &Signer) -> Result<Self, Error> {
        Ok(Self::sign_bytes(STATEMENT_PAYLOAD, statement.to_payload()?, signer))
    }

    /// Signs bytes of any type, as they are.
    pub fn sign_bytes(payload_type: impl Into<String>, payload: Vec<u8>, signer: &Signer) -> Self {
        let payload_type = payload_type.into();
        let bytes = signer.sign(&pae(&payload_type, &payload));
        Self { payload_type, payload, signatures: vec![Signature { key: signer.key_id(), bytes }] }
    }

    /// The same payload, signed by one more. Who signed already is not added again.
    #[must_use]
    pub fn countersigned(mut self, signer: &Signer) -> Self {
        let key = signer.key_id();
        if self.signatures.iter().all(|signature| signature.key != key) {
            let bytes = signer.sign(&pae(&self.payload_type, &self.payload));
            self.signatures.push(Signature { key, bytes });
        }
        self
    }

    /// The type of the payload.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// What was signed, to the byte.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Who is said to have signed.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The digest of the whole envelope, signatures included: the name of this record.
    ///
    /// # Errors
    /// None for an envelope that was read or signed; the type does not show it.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(Digest::of(&self.to_vec()?))
    }

    /// What the payload is about and claims, whatever its predicate. Nothing of it is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where the payload is no in-toto statement.
    pub fn head(&self) -> Result<Head, Error> {
        self.expect_statement()?;
        Head::from_payload(&self.payload)
    }

    /// Reads the payload as a statement about a `P`. Nothing of it is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where it is something else.
    pub fn statement<P: Predicate + DeserializeOwned>(&self) -> Result<Statement<P>, Error> {
        self.expect_statement()?;
        Statement::from_payload(&self.payload)
    }

    fn expect_statement(&self) -> Result<(), Error> {
        if self.payload_type == STATEMENT_PAYLOAD {
            return Ok(());
        }
        Err(Error::malformed(format!("a payload of type `{}`, not `{STATEMENT_PAYLOAD}`", self.payload_type)))
    }

    /// Its canonical JSON, as DSSE names the members.
    ///
    /// # Errors
    /// None for an envelope that was read or signed; the type does not show it.
    pub fn to_vec(&self) -> Result<Vec<u8>, Error> {
        canonical::to_vec(&self.wire())
    }

    /// Reads the canonical JSON of an envelope.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for any other text, base64 in another alphabet or with bits left over, no signature at
    /// all, or two by one key.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        canonical::from_slice::<Wire>(bytes)?.try_into().map_err(|error: Error| error.at("envelope"))
    }

    fn wire(&self) -> Wire {
        let signature =
            |signature: &Signature| WireSignature { keyid: signature.key, sig: BASE64.encode(signature.bytes) };
        Wire {
            payload: BASE64.encode(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: self.signatures.iter().map(signature).collect(),
        }
    }
}

impl TryFrom<Wire> for Envelope {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self, Error> {
        let base64 = |what: &str, text: &str| {
            BASE64.decode(text).map_err(|error| Error::caused(ErrorKind::Malformed, format!("{what} in base64"), error))
        };
        let mut signatures: Vec<Signature> = Vec::new();
        for WireSignature { keyid, sig } in &wire.signatures {
            let bytes = base64("`sig`", sig)?;
            let bytes = <[u8; 64]>::try_from(bytes)
                .map_err(|bytes| Error::malformed(format!("a signature of {} bytes; Ed25519 has 64", bytes.len())))?;
            if signatures.iter().any(|signature| signature.key == *keyid) {
                return Err(Error::malformed(format!("two signatures by key {keyid}")));
            }
            signatures.push(Signature { key: *keyid, bytes });
        }
        if signatures.is_empty() {
            return Err(Error::malformed("no signature"));
        }
        Ok(Self { payload: base64("`payload`", &wire.payload)?, payload_type: wire.payload_type, signatures })
    }
}

impl Serialize for Envelope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.wire().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.signatures.iter().map(|signature| signature.key.to_string()).collect();
        f.debug_struct("Envelope")
            .field("payload_type", &self.payload_type)
            .field("payload", &String::from_utf8_lossy(&self.payload))
            .field("signed_by", &keys)
            .finish()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature by {}", self.key)
    }
}
