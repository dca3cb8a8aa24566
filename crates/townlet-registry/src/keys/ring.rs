//! The keys that are believed: as whom, in which roles, from when until when.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{KeyId, PublicKey, Role};
use crate::canonical;
use crate::digest::Digest;
use crate::envelope::{Envelope, pae};
use crate::error::{Error, ErrorKind};
use crate::time::Time;

/// A key that somebody vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub public: PublicKey,
    /// Whose it is. One person may have several keys; a rule about distinct people counts people.
    pub person: String,
    /// What that person may sign as with it.
    pub roles: BTreeSet<Role>,
    /// Signatures from then on count.
    pub from: Time,
    /// Signatures before then count; `None` has no end.
    pub until: Option<Time>,
    /// Taken back, where it was.
    pub revoked: Option<Revocation>,
}

/// When and why a key stopped being believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Signatures from then on do not count. Earlier than today where the key may have been in other hands before.
    pub at: Time,
    /// Why.
    pub reason: String,
}

impl TrustedKey {
    fn check(&self, at: Time) -> Result<(), Error> {
        let because = |why: String| {
            let key = format!("key {} of {}", self.public.id(), self.person);
            Err(Error::new(ErrorKind::KeyNotValid, format!("{key} {why}; the signature is of {at}")))
        };
        if let Some(Revocation { at: revoked, reason }) = self.revoked.as_ref().filter(|revoked| revoked.at <= at) {
            return because(format!("is revoked from {revoked} on ({reason})"));
        }
        if at < self.from {
            return because(format!("is valid from {} on", self.from));
        }
        match self.until {
            Some(until) if until <= at => because(format!("was valid until {until}")),
            _ => Ok(()),
        }
    }
}

/// Who signed, as far as the ring knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatory<'a> {
    /// With which key.
    pub key: KeyId,
    /// Whose key it is.
    pub person: &'a str,
    /// What that person may sign as with this key.
    pub roles: &'a BTreeSet<Role>,
}

/// The keys that a verifier believes. It decides everything, so it comes from where the verifier trusts it, never
/// from what is to be verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: BTreeMap<KeyId, TrustedKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRing {
    version: u32,
    keys: Vec<WireKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireKey {
    id: KeyId,
    person: String,
    roles: BTreeSet<Role>,
    from: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Revocation>,
    public_key: String,
}

/// The version of the text of a key ring.
const VERSION: u32 = 1;

impl KeyRing {
    /// A ring that believes nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes a key.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for a key that is there already, without a person or a role, or valid for no time.
    pub fn trust(&mut self, key: TrustedKey) -> Result<KeyId, Error> {
        let id = key.public.id();
        let refuse = |why: &str| Err(Error::new(ErrorKind::Conflict, format!("key {id}: {why}")));
        if self.keys.contains_key(&id) {
            return refuse("is in the ring already; a key keeps its person and roles, a new role takes a new key");
        }
        if key.person.trim().is_empty() || key.person.trim() != key.person {
            return refuse("needs the name of a person, without spaces around it");
        }
        if key.roles.is_empty() {
            return refuse("needs a role");
        }
        if key.until.is_some_and(|until| until <= key.from) {
            return refuse("ends before it begins");
        }
        self.keys.insert(id, key);
        Ok(id)
    }

    /// Stops believing a key from a moment on. What was revoked stays so; an earlier moment replaces a later one.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownKey`]; [`ErrorKind::Conflict`] where it is revoked from an earlier moment already.
    pub fn revoke(&mut self, id: &KeyId, at: Time, reason: impl Into<String>) -> Result<(), Error> {
        let key = self.keys.get_mut(id).ok_or_else(|| unknown(id))?;
        if let Some(earlier) = key.revoked.as_ref().filter(|revoked| revoked.at <= at) {
            let message = format!("key {id} is revoked from {} on already ({})", earlier.at, earlier.reason);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        key.revoked = Some(Revocation { at, reason: reason.into() });
        Ok(())
    }

    /// Every key, revoked ones too, by id.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyId, &TrustedKey)> {
        self.keys.iter()
    }

    /// A key that is believed at a moment.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownKey`], [`ErrorKind::KeyNotValid`].
    pub fn at(&self, id: &KeyId, at: Time) -> Result<&TrustedKey, Error> {
        let key = self.keys.get(id).ok_or_else(|| unknown(id))?;
        key.check(at)?;
        Ok(key)
    }

    /// Verifies every signature of an envelope as of `at`, and says who signed. One that is wrong, or by a key that is
    /// not believed, refuses the whole: a reader must never see a name that proves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownKey`], [`ErrorKind::KeyNotValid`], [`ErrorKind::Signature`].
    pub fn verify(&self, envelope: &Envelope, at: Time) -> Result<Vec<Signatory<'_>>, Error> {
        let message = pae(envelope.payload_type(), envelope.payload());
        let mut signatories = Vec::with_capacity(envelope.signatures().len());
        for signature in envelope.signatures() {
            let key = self.at(&signature.key, at)?;
            if !key.public.verifies(&message, &signature.bytes) {
                let message =
                    format!("the signature of {} (key {}) does not fit the payload", key.person, signature.key);
                return Err(Error::new(ErrorKind::Signature, message));
            }
            signatories.push(Signatory { key: signature.key, person: &key.person, roles: &key.roles });
        }
        Ok(signatories)
    }

    /// Its file: JSON for people to read, keys in PEM.
    ///
    /// # Errors
    /// None for a ring that was read or built; the type does not show it.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec_pretty(&self.wire()?);
        let mut text = text.map_err(|error| Error::caused(ErrorKind::Unrepresentable, "key ring", error))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads what [`KeyRing::to_json`] wrote, in any layout. Members that are not known are refused: a misspelt `until`
    /// would otherwise make a key valid for ever.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], also for an id that is not that of its key; [`ErrorKind::Conflict`].
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        let wire: WireRing = canonical::read(text).map_err(|error| error.at("key ring"))?;
        if wire.version != VERSION {
            return Err(Error::malformed(format!("key ring: version {}; {VERSION} is read", wire.version)));
        }
        let mut ring = Self::new();
        for WireKey { id, person, roles, from, until, revoked, public_key } in wire.keys {
            let public = PublicKey::from_pem(&public_key).map_err(|error| error.at(format!("key ring, key {id}")))?;
            if public.id() != id {
                return Err(Error::malformed(format!("key ring: `{id}` names another key, {}", public.id())));
            }
            ring.trust(TrustedKey { public, person, roles, from, until, revoked })?;
        }
        Ok(ring)
    }

    /// Of its canonical JSON: names this state of the ring, whatever the layout of its file.
    ///
    /// # Errors
    /// None for a ring that was read or built; the type does not show it.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(Digest::of(&canonical::to_vec(&self.wire()?)?))
    }

    fn wire(&self) -> Result<WireRing, Error> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for (id, key) in &self.keys {
            keys.push(WireKey {
                id: *id,
                person: key.person.clone(),
                roles: key.roles.clone(),
                from: key.from,
                until: key.until,
                revoked: key.revoked.clone(),
                public_key: key.public.to_pem()?,
            });
        }
        Ok(WireRing { version: VERSION, keys })
    }
}

fn unknown(id: &KeyId) -> Error {
    Error::new(ErrorKind::UnknownKey, format!("nobody vouched for key {id}; `townlet keys trust` would"))
}
