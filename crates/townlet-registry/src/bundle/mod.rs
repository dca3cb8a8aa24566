//! Bundles: everything the log has about one thing, with what proves it, in one text.

mod make;
mod text;
mod verify;

use crate::checkpoint::SignedCheckpoint;
use crate::digest::Digest;
use crate::record::Record;

pub use verify::{Verified, Vouched};

/// What a log says about one thing, or all it says, with the proofs and a signed checkpoint: enough to check it on
/// another machine, with no network, by the key ring of whoever checks.
///
/// Of one thing it holds the entries about it, and what those name by digest as far as the registry has it: entries,
/// stored bytes, and what these name in turn.
///
/// Its text is made of lines, and every byte of it is accounted for: entries are hashed as they stand, everything else
/// has one form only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// `None` is the whole log.
    about: Option<Digest>,
    checkpoint: SignedCheckpoint,
    past: Vec<Past>,
    entries: Vec<Entry>,
    contents: Vec<(Digest, Vec<u8>)>,
}

/// That the log of the checkpoint begins with what it was at an earlier size.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Past {
    size: u64,
    root: Digest,
    proof: Vec<Digest>,
}

/// An entry, and that it is in the log. In a bundle of the whole log the proofs are empty: all entries are there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    index: u64,
    proof: Vec<Digest>,
    body: Vec<u8>,
}

/// Whether a record is about `digest`: one of its subjects, or itself.
fn is_about(record: &Record, digest: &Digest) -> bool {
    let subjects = record.envelope.head().map(|head| head.subjects).unwrap_or_default();
    record.digest == *digest || subjects.iter().any(|subject| subject.digest == *digest)
}
