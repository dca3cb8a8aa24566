//! Secret keys. They sign, are written to a file, and show themselves nowhere else.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::ed25519::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::ed25519::pkcs8::{EncodePrivateKey, KeypairBytes};
use ed25519_dalek::pkcs8::DecodePrivateKey;

use super::{KeyId, PublicKey};
use crate::error::{Error, ErrorKind};

/// Larger than any PEM of an Ed25519 key.
const MAX_FILE: u64 = 16 * 1024;

/// A secret Ed25519 key. It has no text form; what it holds is wiped when it goes.
pub struct Signer {
    key: SigningKey,
    id: KeyId,
}

impl Signer {
    /// A new key, from the randomness of the operating system.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where there is none.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::caused(ErrorKind::Io, "no randomness for a key", error))?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of these 32 bytes (RFC 8032, section 5.1.5). Whoever knows them can sign.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::of(SigningKey::from_bytes(seed))
    }

    fn of(key: SigningKey) -> Self {
        let id = PublicKey::of(key.verifying_key()).id();
        Self { key, id }
    }

    /// Reads a PKCS#8 file in PEM, as [`Signer::write_new`] and `openssl genpkey -algorithm ed25519` write it.
    ///
    /// # Errors
    /// [`ErrorKind::Exposed`] where others than the owner may read it, [`ErrorKind::Io`], [`ErrorKind::Malformed`].
    /// None of them shows what stands in the file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::caused(ErrorKind::Io, format!("key file {}", path.display()), error);
        let file = File::open(path).map_err(failed)?;
        refuse_exposed(&file, path)?;
        let mut pem = Wiped(String::with_capacity(1024));
        file.take(MAX_FILE).read_to_string(&mut pem.0).map_err(failed)?;
        let key = SigningKey::from_pkcs8_pem(pem.0.trim()).map_err(|error| {
            Error::caused(ErrorKind::Malformed, format!("key file {}: no Ed25519 key in PEM", path.display()), error)
        })?;
        Ok(Self::of(key))
    }

    /// Writes the key to a file that must not exist yet, in PEM (PKCS#8), for the owner only (mode 0600), and syncs it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; a file that is there already is one. No part of a key stays where it could not be written.
    pub fn write_new(&self, path: &Path) -> Result<(), Error> {
        let failed = |error| Error::caused(ErrorKind::Io, format!("key file {}", path.display()), error);
        // Version 1, without the public key beside it: OpenSSL before 3.5 reads no other.
        let pair = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        let pem = pair.to_pkcs8_pem(LineEnding::LF);
        let pem = pem.map_err(|error| Error::caused(ErrorKind::Malformed, "secret key", error))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
            // Half a key is none, and would be in the way of the next attempt.
            let _ = std::fs::remove_file(path);
            failed(error)
        })
    }

    /// The name of the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// The half that everybody may know.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.key.verifying_key())
    }

    /// Signs bytes. One key and message give one signature (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        ed25519_dalek::Signer::sign(&self.key, message).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer {}", self.id)
    }
}

/// Text of a secret, overwritten when it goes.
struct Wiped(String);

impl Drop for Wiped {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

#[cfg(unix)]
fn refuse_exposed(file: &File, path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |error| Error::caused(ErrorKind::Io, format!("key file {}", path.display()), error);
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        let message =
            format!("key file {path}: others may use it (mode {mode:03o}); chmod 600 {path}, or make a new key");
        return Err(Error::new(ErrorKind::Exposed, message));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_: &File, _: &Path) -> Result<(), Error> {
    Ok(())
}
