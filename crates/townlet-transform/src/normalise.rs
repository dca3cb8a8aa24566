//! `snapshot_normalizer`: snapshots of one meaning have one form.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;
use townlet_schema::{Json, Kind, Number, Object, SchemaVersion, Snapshot};

use crate::dropped::Dropped;
use crate::record::Record;
use crate::stats::Counters;
use crate::transform::Transform;
use crate::visible::{may_need_it, visible};

/// Gives a snapshot its normal form. Doing it twice changes nothing more.
///
/// - Sections of the current schema that are absent get their typed default (an empty map, zero counters), counted in
///   [`ChainStats::filled_sections`](crate::ChainStats::filled_sections). Sections whose default is null stay absent,
///   and snapshots of older versions get none: they keep the sections of their version. Nothing is removed.
/// - Free-form maps are sorted by key.
/// - In strings and names, characters that act on terminals or reorder text become visible: C0 controls except tab
///   and newline, and DEL, become their control picture (ESC becomes `␛`); C1 controls, direction marks and overrides,
///   line and paragraph separators and U+FEFF become `<U+202E>` and the like. Where two names would become one, the
///   later gets `~2` and so on.
/// - `-0.0` becomes `0.0`.
///
/// A snapshot written from its type has all sections and sorted maps already: it is only searched for characters and
/// negative zeros, and no tree is built where there are none.
pub struct SnapshotNormalizer {
    counters: Arc<Counters>,
    zero: Finder<'static>,
}

impl SnapshotNormalizer {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, zero: Finder::new(b"-0") }
    }

    /// False only where the text has no negative zero.
    fn may_have_negative_zero(&self, text: &[u8]) -> bool {
        self.zero.find_iter(text).any(|at| {
            let number = text.get(at + 2..).unwrap_or_default();
            // `-0`, `-0.000`, `-0e9`: no other digit before the exponent.
            let end = number.iter().position(|byte| !matches!(byte, b'0' | b'.')).unwrap_or(number.len());
            !matches!(number.get(end), Some(b'1'..=b'9'))
        })
    }
}

/// The sections that a snapshot of the current version has, with what an empty town has in them.
static DEFAULTS: LazyLock<Vec<(String, Json)>> = LazyLock::new(|| {
    // The default snapshot holds no float that is not finite; an empty list would only fill nothing.
    match Json::from_serialize(&Snapshot::default()) {
        Ok(Json::Object(sections)) => sections.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Vec::new(),
    }
});

impl Transform for SnapshotNormalizer {
    fn id(&self) -> &str {
        "snapshot_normalizer"
    }

    fn concerns(&self, kind: Kind) -> bool {
        kind == Kind::Snapshot
    }

    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        let proven = record.is_proven();
        if proven && !record.has_tree() {
            let text = record.body_bytes()?;
            if !may_need_it(text) && !self.may_have_negative_zero(text) {
                return Ok(());
            }
        }
        let current = record.schema_version().major == SchemaVersion::CURRENT.major;
        let counters = &self.counters;
        let changed = record.edit_tree(|body| {
            let mut changed = object(body);
            if current && !proven {
                let before = body.len();
                for (section, default) in
                    DEFAULTS.iter().filter(|(section, _)| !body.contains_key(section)).collect::<Vec<_>>()
                {
                    body.insert(section.as_str(), default.clone());
                }
                let filled = body.len() - before;
                counters.filled(filled as u64);
                changed |= filled > 0;
            }
            // Text that did not come from a type may have its maps in any order; the tree sorts them.
            Ok(changed || !proven)
        })?;
        if changed {
            // A changed string may break a pattern, whatever the type says.
            record.forget_proof();
        }
        Ok(())
    }
}

/// True where something changed.
fn object(members: &mut Object) -> bool {
    let mut changed = false;
    for (_, member) in members.iter_mut() {
        changed |= value(member);
    }
    if members.keys().any(|name| matches!(visible(name), Cow::Owned(_))) {
        rename(members);
        changed = true;
    }
    changed
}

/// Names that were fine keep theirs; the others make room for them.
fn rename(members: &mut Object) {
    let (renamed, kept): (Vec<_>, Vec<_>) =
        std::mem::take(members).into_iter().partition(|(name, _)| matches!(visible(name), Cow::Owned(_)));
    *members = kept.into_iter().collect();
    for (name, member) in renamed {
        let shown = visible(&name).into_owned();
        let mut free = shown.clone();
        let mut n = 2_u64;
        while members.contains_key(&free) {
            free = format!("{shown}~{n}");
            n += 1;
        }
        members.insert(free, member);
    }
}

fn value(value: &mut Json) -> bool {
    match value {
        Json::Object(members) => object(members),
        Json::Array(elements) => elements.iter_mut().fold(false, |changed, element| self::value(element) | changed),
        Json::String(text) => match visible(text) {
            Cow::Owned(shown) => {
                *text = shown;
                true
            }
            Cow::Borrowed(_) => false,
        },
        Json::Number(number)
            if !number.is_integer() && number.as_f64() == 0.0 && number.as_f64().is_sign_negative() =>
        {
            // Zero is finite.
            Number::try_from(0.0).map(|zero| *number = zero).is_ok()
        }
        _ => false,
    }
}
