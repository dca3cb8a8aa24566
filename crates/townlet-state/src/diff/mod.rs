//! What leads from one state to the next, written straight as text.

mod list;
mod writer;

use townlet_schema::{Json, Object, Patch, StateDiff};

use self::writer::Writer;
use crate::planted;
use crate::sections::is_per_tick;

/// Appends the body of the diff line that leads from `base` to `next`: an
/// object with a [`Patch`] under `patch`, and beside it the per-tick sections
/// of `next`, whole, where they are not empty. Applying it ([`StateDiff`]) gives
/// `next` exactly.
///
/// Returns false, and leaves `out` as it was, where no reader could read that
/// body, because it would be nested deeper than
/// [`MAX_DEPTH`](townlet_schema::MAX_DEPTH). Then the state has to travel whole.
///
/// It costs about what writing the whole state costs, mostly less, and its only
/// allocations are those of `out` and one table where lists slid.
///
/// ```
/// use townlet_schema::{Json, Object, StateDiff};
/// use townlet_state::write_diff;
///
/// let object = |text: &str| Json::parse(text.as_bytes()).map(|json| json.as_object().cloned().unwrap_or_default());
/// let base: Object = object(r#"{"events":[],"jobs":{"ann":{"wallet":1.0},"bob":{"wallet":3.0}}}"#)?;
/// let next: Object = object(r#"{"events":[{"event":"chat"}],"jobs":{"ann":{"wallet":2.5},"bob":{"wallet":3.0}}}"#)?;
///
/// let mut body = Vec::new();
/// assert!(write_diff(&base, &next, &mut body));
/// assert_eq!(body, br#"{"patch":{"jobs":{"ann":{"wallet":2.5}}},"events":[{"event":"chat"}]}"#);
///
/// let mut state = base;
/// StateDiff::from_body(object(std::str::from_utf8(&body)?)?)?.apply(&mut state)?;
/// assert_eq!(state, next);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_diff(base: &Object, next: &Object, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut writer = Writer::new(out);
    writer.text(br#"{"patch":"#);
    let mut fits = writer.sections(base, next);
    for (section, value) in next.iter().filter(|(key, _)| is_per_tick(key)) {
        let is_empty = value.as_array().is_some_and(<[Json]>::is_empty);
        if !is_empty || !base.contains_key(section) && !planted::is("a section that is empty at first is left out") {
            writer.text(b",");
            fits &= writer.section(section, value);
        }
    }
    writer.text(b"}");
    if !fits {
        out.truncate(start);
    }
    fits
}

/// As [`write_diff`], as a value. None where that returns false.
pub fn diff(base: &Object, next: &Object) -> Option<StateDiff> {
    let mut body = Vec::new();
    if !write_diff(base, next, &mut body) {
        return None;
    }
    // The text is our own, and its depth was watched; only its length can be beyond what is read.
    let Ok(Json::Object(body)) = Json::parse(&body) else { return None };
    StateDiff::from_body(body).ok()
}

/// The [`Patch`] that leads from `base` to `next`, whatever their members are
/// called. None where it would be nested too deeply or be too long to be read.
pub fn patch(base: &Object, next: &Object) -> Option<Patch> {
    let mut text = Vec::new();
    if !Writer::new(&mut text).members(base, next) {
        return None;
    }
    match Json::parse(&text) {
        Ok(Json::Object(changes)) => Some(Patch::new(changes)),
        _ => None,
    }
}
