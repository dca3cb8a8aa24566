//! `redact_fields`: named fields never leave the process.

mod action;
mod bytes;
mod matcher;
mod path;
mod tree;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use townlet_schema::{ENVELOPE_KEYS, Kind};

use self::action::Action;
use self::bytes::Prefilter;
use self::matcher::Matcher;
use crate::dropped::Dropped;
use crate::record::Record;
use crate::transform::Transform;
use crate::validate::survives_removal_of;

pub use self::action::{HashKey, HashKeyError, MASK, Redaction};
pub use self::path::{FieldPath, FieldPathError};

/// Removes, masks or hashes fields, wherever a record keeps them.
///
/// A path is read from the top of the body; in a `diff` also from the top of its `changes`, in an `event` also from
/// the top of its `payload`. So `policy_identity` takes the section from a snapshot and the changed section from a
/// diff, and `policy_identity.policy_hash` takes the one field from both.
pub struct RedactFields {
    paths: Vec<FieldPath>,
    kinds: BTreeSet<Kind>,
    matcher: Matcher,
    action: Action,
    prefilter: Prefilter,
    /// Kinds whose shipped types still satisfy their bundled schema after this redaction.
    keeps_proof: BTreeSet<Kind>,
}

impl RedactFields {
    /// A redaction of `paths` in records of `kinds`. `None` where the paths have more than 128 levels together.
    pub fn new(paths: Vec<FieldPath>, kinds: impl IntoIterator<Item = Kind>, action: Redaction) -> Option<Self> {
        let kinds: BTreeSet<Kind> = kinds.into_iter().collect();
        let removes =
            |kind| paths.iter().all(|path| path.last_name().is_some_and(|name| survives_removal_of(kind, name)));
        let keeps_proof = match action {
            Redaction::Remove => kinds.iter().copied().filter(|kind| removes(*kind)).collect(),
            Redaction::Mask | Redaction::Hash { .. } => BTreeSet::new(),
        };
        Some(Self {
            matcher: Matcher::compile(&paths)?,
            prefilter: Prefilter::new(&paths),
            paths,
            kinds,
            action: Action(action),
            keeps_proof,
        })
    }

    /// The fields, as they were written.
    pub fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// True where `body`, the text of one JSON object, still holds a field that this redaction should have taken,
    /// or cannot be read. For assertions on what leaves by another way than the chain, such as outgoing diffs.
    pub fn finds(&self, kind: Kind, body: &[u8]) -> bool {
        self.kinds.contains(&kind)
            && self.prefilter.may_match(body)
            && bytes::finds(body, kind, &self.matcher, &self.action)
    }

    fn redact_tree(&self, record: &mut Record) -> Result<bool, Dropped> {
        let kind = record.kind();
        record.edit_tree(|body| {
            // A value whose depth is checked can always be encoded, which is all that hashing asks for.
            tree::redact(body, kind, &self.matcher, &self.action)
                .ok_or_else(|| Dropped::invalid("a value that redaction cannot encode"))
        })
    }

    fn redact_text(&self, record: &mut Record) -> Result<bool, Dropped> {
        let kind = record.kind();
        let text = record.body_bytes()?;
        if !self.prefilter.may_match(text) {
            return Ok(false);
        }
        match bytes::rewrite(text, kind, &self.matcher, &self.action) {
            Ok(None) => Ok(false),
            Ok(Some(text)) => {
                record.replace_text(text);
                Ok(true)
            }
            Err(bytes::Unreadable) => Err(Dropped::invalid("the body is not JSON that redaction can follow")),
        }
    }
}

/// The line without its envelope fields; `None` where it is not an object.
pub(crate) fn strip_envelope(line: &[u8]) -> Option<Vec<u8>> {
    static ENVELOPE: LazyLock<Option<Matcher>> = LazyLock::new(|| {
        let paths: Result<Vec<_>, _> = ENVELOPE_KEYS.iter().map(|key| FieldPath::parse(key)).collect();
        Matcher::compile(&paths.ok()?)
    });
    // A kind without a container: the fields of the line itself and no others.
    let stripped = bytes::rewrite(line, Kind::Run, ENVELOPE.as_ref()?, &Action(Redaction::Remove)).ok()?;
    Some(stripped.unwrap_or_else(|| line.to_vec()))
}

/// Shared, because assertions on what leaves by other ways need it too.
impl Transform for Arc<RedactFields> {
    fn id(&self) -> &str {
        "redact_fields"
    }

    fn concerns(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        let changed = if record.has_tree() { self.redact_tree(record)? } else { self.redact_text(record)? };
        if changed && !self.keeps_proof.contains(&record.kind()) {
            record.forget_proof();
        }
        Ok(())
    }
}
