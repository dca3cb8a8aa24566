//! Two states as one, under back-pressure.

use std::collections::BTreeMap;

use townlet_schema::{Json, Object, Section, Snapshot};

use crate::sections::per_tick;

/// How many items of each per-tick section survive in a coalesced state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Items of one section, at most: the newest ones.
    pub items: usize,
}

impl Default for Limits {
    /// 4096 items of each section: some hundred ticks of a busy town.
    fn default() -> Self {
        Self { items: 4096 }
    }
}

/// Items of per-tick sections, by section. Sections without an item are absent.
pub type Items = BTreeMap<Section, u64>;

/// One state out of two that follow each other.
///
/// Sections that last are those of `newer`. Of the sections that say what
/// happened in a tick, the items of `older` come first; what is more than
/// `limits` allows is left out, the oldest items first, and counted in the
/// second value. Events of other streams are never coalesced: they are no
/// states.
///
/// ```
/// use townlet_schema::{Json, Object, Section};
/// use townlet_state::{Limits, coalesce};
///
/// let object = |text: &str| Json::parse(text.as_bytes()).map(|json| json.as_object().cloned().unwrap_or_default());
/// let older: Object = object(r#"{"events":[{"event":"a"},{"event":"b"}],"jobs":{"ann":1}}"#)?;
/// let newer: Object = object(r#"{"events":[{"event":"c"}],"jobs":{"ann":2}}"#)?;
/// let (merged, overflow) = coalesce(older, newer, Limits { items: 2 });
/// assert_eq!(Json::Object(merged).to_string(), r#"{"events":[{"event":"b"},{"event":"c"}],"jobs":{"ann":2}}"#);
/// assert_eq!(overflow.get(&Section::Events), Some(&1));
/// # Ok::<(), townlet_schema::ReadError>(())
/// ```
pub fn coalesce(older: Object, newer: Object, limits: Limits) -> (Object, Items) {
    let (mut merged, mut overflow) = (newer, Items::new());
    let happened = older.into_iter().filter_map(|(key, value)| per_tick(&key).map(|section| (section, key, value)));
    for (section, key, earlier) in happened {
        let Json::Array(mut items) = earlier else {
            // Not a list, so that nothing can follow it.
            let lost = u64::from(!earlier.is_null());
            count(&mut overflow, section, lost);
            continue;
        };
        match merged.get_mut(&key) {
            Some(Json::Array(later)) => {
                items.append(later);
                *later = items;
            }
            // Not a list either way: what happened before it cannot be kept.
            Some(other) if !other.is_null() => count(&mut overflow, section, items.len() as u64),
            _ if items.is_empty() => {}
            _ => drop(merged.insert(key, Json::Array(items))),
        }
    }
    for (key, value) in merged.iter_mut() {
        if let (Some(section), Some(items)) = (per_tick(key), value.as_array_mut()) {
            count(&mut overflow, section, keep_newest(items, limits));
        }
    }
    (merged, overflow)
}

/// As [`coalesce`], for states that have not been encoded yet.
pub fn coalesce_snapshots(older: Snapshot, newer: Snapshot, limits: Limits) -> (Snapshot, Items) {
    let (mut merged, mut overflow) = (newer, Items::new());
    macro_rules! join {
        ($($field:ident $section:ident),* $(,)?) => {
            $(
                let mut items = older.$field;
                items.append(&mut merged.$field);
                count(&mut overflow, Section::$section, keep_newest(&mut items, limits));
                merged.$field = items;
            )*
        };
    }
    join!(relationship_updates RelationshipUpdates, events Events, narrations Narrations, social_events SocialEvents);
    (merged, overflow)
}

/// What is lost beside the state itself where a state is dropped: the items of
/// its per-tick sections.
pub fn per_tick_items(sections: &Object) -> Items {
    let mut items = Items::new();
    for (key, value) in sections.iter() {
        if let Some(section) = per_tick(key) {
            let lost = value.as_array().map_or(usize::from(!value.is_null()), <[Json]>::len);
            count(&mut items, section, lost as u64);
        }
    }
    items
}

fn keep_newest<T>(items: &mut Vec<T>, limits: Limits) -> u64 {
    let over = items.len().saturating_sub(limits.items);
    items.drain(..over);
    over as u64
}

fn count(items: &mut Items, section: Section, more: u64) {
    if more > 0 {
        *items.entry(section).or_default() += more;
    }
}
