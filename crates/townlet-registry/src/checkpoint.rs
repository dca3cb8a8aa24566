//! Checkpoints: the size and root of a log, signed. Who holds one notices when the log forgets or changes its past.
//!
//! The text is that of C2SP `tlog-checkpoint`, a signed note: other tools read and witness it. The time stands in an
//! extension line.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::keys::{KeyRing, PublicKey, Role, Signer, TrustedKey};
use crate::time::Time;

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root of their tree.
    pub root: Digest,
    /// When this was said.
    pub at: Time,
}

/// A checkpoint with signatures. Having one proves nothing: [`SignedCheckpoint::verify`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    /// Name, key hash and signature, of the log and of whoever witnessed it.
    signatures: Vec<(String, [u8; 4], Vec<u8>)>,
}

/// How a signature line begins.
const SIGNATURE: &str = "\u{2014} ";
/// The extension line with the time.
const AT: &str = "at ";

impl Checkpoint {
    fn body(&self) -> String {
        let root = BASE64.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n{AT}{}\n", self.origin, self.size, self.at)
    }

    /// Signs it as the log.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for an origin that is empty or has spaces or `+` in it.
    pub fn sign(self, signer: &Signer) -> Result<SignedCheckpoint, Error> {
        check_origin(&self.origin)?;
        let signature = signer.sign(self.body().as_bytes()).to_vec();
        let line = (self.origin.clone(), key_hash(&self.origin, &signer.public()), signature);
        Ok(SignedCheckpoint { checkpoint: self, signatures: vec![line] })
    }
}

/// The name of a log is also that of its key in the note (C2SP `signed-note`): no spaces, no `+`.
pub(crate) fn check_origin(origin: &str) -> Result<(), Error> {
    if origin.is_empty() || origin.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        return Err(Error::malformed(format!("`{origin}` is no name of a log: no spaces, no `+`, not empty")));
    }
    Ok(())
}

/// The first bytes of SHA-256 of name, newline, the number of Ed25519, and the key (C2SP `signed-note`).
fn key_hash(name: &str, key: &PublicKey) -> [u8; 4] {
    let hash = Digest::of_all(&[name.as_bytes(), b"\n\x01", key.as_bytes()]);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

impl SignedCheckpoint {
    /// Reads the text of a checkpoint. Lines of witnesses may stand below that of the log.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|why| Error::malformed(format!("checkpoint: {why}")))
    }

    fn read(text: &str) -> Result<Self, String> {
        let (body, signatures) = text.split_once("\n\n").ok_or("no empty line before the signatures")?;
        let mut lines = body.split('\n');
        let mut line = |what: &str| lines.next().ok_or(format!("no {what}"));
        let origin = line("origin")?.to_owned();
        let size = decimal(line("size")?).ok_or("the size is no decimal number")?;
        let root = hash(line("root")?).ok_or("the root is no SHA-256 in base64")?;
        let time = line("time")?.strip_prefix(AT).ok_or("the fourth line is no time")?;
        let at: Time = time.parse().map_err(|error: Error| error.to_string())?;
        let checkpoint = Checkpoint { origin, size, root, at };
        check_origin(&checkpoint.origin).map_err(|error| error.to_string())?;
        // What was not understood would not be under the signature as it is computed here.
        if checkpoint.body() != format!("{body}\n") {
            return Err("more lines than origin, size, root and time, or another layout of them".to_owned());
        }
        let mut lines: Vec<&str> = signatures.split('\n').collect();
        if lines.pop() != Some("") || lines.is_empty() {
            return Err("no signature, or no newline at the end".to_owned());
        }
        let signatures = lines.into_iter().map(|line| {
            let (name, code) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
            let bytes = BASE64.decode(code).ok()?;
            let (hash, signature) = bytes.split_first_chunk::<4>()?;
            Some((name.to_owned(), *hash, signature.to_vec()))
        });
        let signatures = signatures.collect::<Option<Vec<_>>>().ok_or("a signature line of another form")?;
        Ok(Self { checkpoint, signatures })
    }

    /// What it says. Nothing of it is verified.
    #[must_use]
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub(crate) fn has_one_signature(&self) -> bool {
        self.signatures.len() == 1
    }

    /// Verifies it: signed as the log by a key that the ring believes in the role `log` at the time it names.
    ///
    /// # Errors
    /// [`ErrorKind::Signature`], [`ErrorKind::UnknownKey`], [`ErrorKind::KeyNotValid`].
    pub fn verify<'a>(&self, ring: &'a KeyRing) -> Result<(&Checkpoint, &'a TrustedKey), Error> {
        let Checkpoint { origin, size, at, .. } = &self.checkpoint;
        let place = format!("checkpoint of {size} entries");
        for (name, hash, signature) in self.signatures.iter().filter(|(name, ..)| name == origin) {
            let mut keys = ring.keys().filter(|(_, key)| key_hash(name, &key.public) == *hash);
            let Some((id, key)) = keys.find(|(_, key)| key.roles.contains(Role::LOG)) else { continue };
            let fits = signature
                .as_slice()
                .try_into()
                .is_ok_and(|signature: &[u8; 64]| key.public.verifies(self.checkpoint.body().as_bytes(), signature));
            if !fits {
                let message = format!("{place}: the signature of `{origin}` (key {id}) does not fit it");
                return Err(Error::new(ErrorKind::Signature, message));
            }
            ring.at(id, *at).map_err(|error| error.at(&place))?;
            return Ok((&self.checkpoint, key));
        }
        let message =
            format!("{place}: no signature of `{origin}` by a key that is believed in the role `{}`", Role::LOG);
        Err(Error::new(ErrorKind::UnknownKey, message))
    }
}

impl fmt::Display for SignedCheckpoint {
    /// The text that [`SignedCheckpoint::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.checkpoint.body())?;
        for (name, hash, signature) in &self.signatures {
            writeln!(f, "{SIGNATURE}{name} {}", BASE64.encode([hash, signature.as_slice()].concat()))?;
        }
        Ok(())
    }
}

/// A number as it is printed, and in no other form.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Option<Digest> {
    Some(Digest::from_bytes(BASE64.decode(text).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the note of the documentation of Go's `golang.org/x/mod/sumdb/note`.
    #[test]
    fn notes_are_signed_as_go_signs_them() {
        let key = BASE64.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let key = PublicKey::from_bytes(key[1..].try_into().unwrap()).unwrap();
        assert_eq!(key_hash("PeterNeumann", &key), [0xc7, 0x4f, 0x20, 0xa3]);
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let line = BASE64.decode(line).unwrap();
        assert!(key.verifies(text.as_bytes(), line[4..].try_into().unwrap()));
        assert!(!key.verifies(&text.as_bytes()[1..], line[4..].try_into().unwrap()));
    }
}
