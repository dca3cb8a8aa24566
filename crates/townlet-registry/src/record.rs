//! Entries of the log: an envelope, and when it came in.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::time::Time;

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place, from 0.
    pub index: u64,
    /// When it was taken in, by the clock of who took it in. Never earlier than the entry before.
    pub at: Time,
    /// The digest of the envelope: its name.
    pub digest: Digest,
    /// What was signed, and by whom.
    pub envelope: Envelope,
}

/// The bytes of an entry, which the tree is over: the canonical JSON of `at` and `envelope`.
pub(crate) fn entry(at: Time, envelope: &Envelope) -> Result<Vec<u8>, Error> {
    let at = at.to_string();
    Ok([OPEN, at.as_bytes(), MIDDLE, &envelope.to_vec()?, CLOSE].concat())
}

const OPEN: &[u8] = b"{\"at\":\"";
const MIDDLE: &[u8] = b"\",\"envelope\":";
const CLOSE: &[u8] = b"}";

impl Record {
    /// Reads the bytes of an entry. Errors name the place.
    pub(crate) fn from_entry(index: u64, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_body(index, bytes).map_err(|error| error.at(format!("entry {index}")))
    }

    /// The same, with errors that do not.
    pub(crate) fn from_body(index: u64, bytes: &[u8]) -> Result<Self, Error> {
        let form = || Error::malformed("an entry is `{\"at\":\"TIME\",\"envelope\":{…}}`, without white space");
        let inner = bytes.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)).ok_or_else(form)?;
        let quote = inner.iter().position(|byte| *byte == b'"').ok_or_else(form)?;
        let (time, rest) = inner.split_at(quote);
        let text = std::str::from_utf8(time).map_err(|_| form())?;
        let at: Time = text.parse()?;
        // A moment has other texts, too, and an entry has one.
        if at.to_string() != text {
            return Err(Error::malformed(format!("the time `{text}` would be written `{at}`")));
        }
        let envelope = rest.strip_prefix(MIDDLE).ok_or_else(form)?;
        Ok(Self { index, at, digest: Digest::of(envelope), envelope: Envelope::from_slice(envelope)? })
    }
}

/// Every SHA-256 digest that stands in a text, with or without the name of the function: runs of exactly 64 lowercase
/// hexadecimal digits.
pub(crate) fn named(text: &[u8]) -> BTreeSet<Digest> {
    let runs = text.split(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')).filter(|run| run.len() == 64);
    runs.filter_map(|run| Digest::from_hex(std::str::from_utf8(run).ok()?).ok()).collect()
}
