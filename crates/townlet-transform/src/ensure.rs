//! `ensure_fields`: a record without the fields that its readers need does not leave.

use std::collections::BTreeMap;

use townlet_schema::{ENVELOPE_KEYS, Json, Kind, Object};

use crate::dropped::{DropReason, Dropped};
use crate::record::Record;
use crate::text::{Cursor, key_name};
use crate::transform::Transform;

/// What diffs since schema 1.1 have in place of `changes`.
const PATCH: &str = "patch";

/// Envelope fields that every line has; the other two are there when the line needs them.
const ALWAYS: usize = 6;

/// Drops records that lack a field, as `missing_fields`.
///
/// A field is a member of the body, or of an object in it: `changes`, `employment.pending_count`. Null counts as
/// there. Fields of the envelope are always there. What changed stands under `changes` in diffs up to schema 1.0 and
/// under `patch` since: who asks a diff for the one is content with the other.
pub struct EnsureFields {
    by_kind: BTreeMap<Kind, Vec<Vec<String>>>,
    default: Vec<Vec<String>>,
}

impl EnsureFields {
    /// The fields for each kind, and for kinds that `by_kind` does not name. A kind with an empty list is not checked.
    pub fn new(by_kind: BTreeMap<Kind, Vec<String>>, default: Vec<String>) -> Self {
        let by_kind = by_kind.into_iter().map(|(kind, fields)| (kind, looked_for(fields))).collect();
        Self { by_kind, default: looked_for(default) }
    }

    fn fields(&self, kind: Kind) -> &[Vec<String>] {
        self.by_kind.get(&kind).unwrap_or(&self.default)
    }
}

fn looked_for(fields: Vec<String>) -> Vec<Vec<String>> {
    let always = &ENVELOPE_KEYS[..ALWAYS];
    let in_body = fields.into_iter().filter(|field| !always.contains(&field.as_str()));
    in_body.map(|field| field.split('.').map(str::to_owned).collect()).collect()
}

impl Transform for EnsureFields {
    fn id(&self) -> &str {
        "ensure_fields"
    }

    fn concerns(&self, kind: Kind) -> bool {
        !self.fields(kind).is_empty()
    }

    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        let fields = self.fields(record.kind());
        let mut missing = Vec::new();
        for path in fields {
            let changes = record.kind() == Kind::Diff && path.as_slice() == ["changes"];
            let found = has(record, path)? || changes && has(record, &[PATCH.to_owned()])?;
            if !found {
                missing.push(path.join("."));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Dropped::new(DropReason::MissingFields, format!("{} without {}", record.kind(), missing.join(", "))))
    }
}

fn has(record: &mut Record, path: &[String]) -> Result<bool, Dropped> {
    if record.has_tree() {
        return Ok(in_tree(record.tree()?, path));
    }
    in_text(record.body_bytes()?, path).ok_or_else(|| Dropped::invalid("the body is not JSON that can be followed"))
}

fn in_tree(object: &Object, path: &[String]) -> bool {
    match path {
        [] => true,
        [name] => object.contains_key(name),
        [name, rest @ ..] => object.get(name).and_then(Json::as_object).is_some_and(|inner| in_tree(inner, rest)),
    }
}

/// Whether the object that starts `text` has the field; `None` where it cannot be followed.
fn in_text(text: &[u8], path: &[String]) -> Option<bool> {
    let Some((name, rest)) = path.split_first() else { return Some(true) };
    let mut cursor = Cursor::new(text);
    if cursor.peek()? != b'{' {
        return Some(false);
    }
    cursor.expect(b'{')?;
    if cursor.peek()? == b'}' {
        return Some(false);
    }
    loop {
        let key = key_name(cursor.string()?)?;
        cursor.expect(b':')?;
        let value = cursor.skip()?;
        if *key == *name.as_bytes() {
            return in_text(value, rest);
        }
        if cursor.peek()? == b'}' {
            return Some(false);
        }
        cursor.expect(b',')?;
    }
}
