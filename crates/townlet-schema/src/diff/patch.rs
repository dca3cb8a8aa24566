//! Structural changes of a tree, and how they are applied.

use std::fmt;
use std::mem::size_of;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::heap::{HeapSize, heap_of};
use crate::json::MAX_LINE_BYTES;
use crate::{Json, Object};

/// What the copies of one patch may take, in bytes of heap: no more than the
/// tree of the longest line that is read. A few bytes may ask for a copy.
const MAX_COPIED: usize = 16 * MAX_LINE_BYTES;

/// What changed inside an object, member by member.
///
/// ```text
/// patch  = { key: change, … }          members that are not named stay as they are
/// change = null | true | 1.5 | "text"  the value is this scalar now
///        | [ value ]                   the value is this object or this array now
///        | []                          the member is gone
///        | patch                       the value is an object: change its members;
///                                      or an array: the keys are its indices, from "0"
///        | [ n, item, … ]              the value is an array: take n items off its front,
///                                      then append these
///        | [ null, at, n, item, … ]    the value is an array: put these in place of the
///                                      n items from index at on
/// item   = change                      against the item before it, in the array as it is
///                                      by then; {} repeats it
/// ```
///
/// Keys are never operators, so that every key can be a member. A scalar stands
/// for itself and containers stand in brackets, so that no value can be taken
/// for an operation. Everything else is an error, and so is a change to what is
/// not there.
///
/// ```
/// use townlet_schema::{Json, Object, Patch};
///
/// let object = |text: &str| Json::parse(text.as_bytes()).map(|json| json.as_object().cloned().unwrap_or_default());
/// let mut state: Object = object(r#"{"jobs":{"ann":{"wallet":1.0},"bob":{}},"history":[{"tick":1,"n":0},{"tick":2,"n":0}]}"#)?;
/// let patch = Patch::new(object(r#"{"jobs":{"ann":{"wallet":2.5},"bob":[]},"history":[1,{"tick":3}]}"#)?);
/// patch.apply(&mut state)?;
/// assert_eq!(Json::Object(state.clone()).to_string(), r#"{"history":[{"n":0,"tick":2},{"n":0,"tick":3}],"jobs":{"ann":{"wallet":2.5}}}"#);
///
/// let error = Patch::new(object(r#"{"jobs":{"cy":{"wallet":0}}}"#)?).apply(&mut state).unwrap_err();
/// assert_eq!(error.to_string(), "jobs.cy: there is nothing to change");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    changes: Object,
}

heap_of!(Patch { changes });

impl Patch {
    /// A patch as it stands on the wire. Whether it fits a state, [`Patch::apply`] says.
    pub fn new(changes: Object) -> Self {
        Self { changes }
    }

    /// As it stands on the wire.
    pub fn changes(&self) -> &Object {
        &self.changes
    }

    /// True where nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Brings `state` forward: all of it, or nothing.
    ///
    /// # Errors
    /// Names the member whose change does not fit the state or is none of the
    /// forms above; `state` is then as it was.
    pub fn apply(&self, state: &mut Object) -> Result<(), PatchError> {
        let touched = self.changes.keys().filter_map(|key| Some((key, state.get(key)?.clone())));
        let mut touched: Object = touched.collect();
        Applier { left: MAX_COPIED }.object(&self.changes, &mut touched)?;
        if self.changes.values().any(is_removal) {
            state.retain(|key, _| !self.changes.get(key).is_some_and(is_removal));
        }
        let mut added = Vec::new();
        for (key, value) in touched {
            match state.get_mut(&key) {
                Some(old) => *old = value,
                None => added.push((key, value)),
            }
        }
        add(state, added);
        Ok(())
    }
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.changes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(Self::new)
    }
}

/// A patch that does not fit the state, or is none.
///
/// It names the member, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PatchError {
    /// Steps to the member, innermost first.
    path: Vec<Step>,
    problem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl PatchError {
    #[cold]
    pub(super) fn new(problem: &'static str) -> Self {
        Self { path: Vec::new(), problem }
    }

    #[cold]
    pub(super) fn within_key(mut self, key: &str) -> Self {
        self.path.push(Step::Key(key.to_owned()));
        self
    }

    #[cold]
    fn within_item(mut self, index: usize) -> Self {
        self.path.push(Step::Index(index));
        self
    }

    /// The member at fault: `jobs.ann.wallet`, `conflict.queue_history[3]`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(self.problem) } else { write!(f, "{}: {}", self.path(), self.problem) }
    }
}

fn is_removal(change: &Json) -> bool {
    matches!(change, Json::Array(operation) if operation.is_empty())
}

/// Adds members that are not there yet, in one pass, however many they are.
fn add(object: &mut Object, added: Vec<(String, Json)>) {
    if !added.is_empty() {
        *object = std::mem::take(object).into_iter().chain(added).collect();
    }
}

struct Applier {
    /// What copies may still take, in bytes.
    left: usize,
}

impl Applier {
    fn object(&mut self, changes: &Object, target: &mut Object) -> Result<(), PatchError> {
        let (mut added, mut removes) = (Vec::new(), false);
        for (key, change) in changes.iter() {
            let result = match target.get_mut(key) {
                Some(_) if is_removal(change) => {
                    removes = true;
                    Ok(())
                }
                Some(value) => self.value(change, value),
                None => self.fresh(change).map(|value| added.push((key.to_owned(), value))),
            };
            result.map_err(|e| e.within_key(key))?;
        }
        if removes {
            target.retain(|key, _| !changes.get(key).is_some_and(is_removal));
        }
        add(target, added);
        Ok(())
    }

    fn value(&mut self, change: &Json, target: &mut Json) -> Result<(), PatchError> {
        match (change, target) {
            (Json::Object(changes), Json::Object(target)) => self.object(changes, target),
            (Json::Object(changes), Json::Array(target)) => self.indices(changes, target),
            (Json::Object(_), _) => Err(PatchError::new("members change, and here are none")),
            (Json::Array(operation), target) => self.operation(operation, target),
            (scalar, target) => {
                *target = scalar.clone();
                Ok(())
            }
        }
    }

    fn operation(&mut self, operation: &[Json], target: &mut Json) -> Result<(), PatchError> {
        match (operation, target) {
            ([], _) => Err(PatchError::new("only a member of an object can be removed")),
            ([whole @ (Json::Object(_) | Json::Array(_))], target) => {
                *target = whole.clone();
                Ok(())
            }
            ([Json::Number(_), ..], Json::Array(list)) => {
                let front = count(&operation[0], list.len())?;
                list.drain(..front);
                self.append(&operation[1..], list)
            }
            ([Json::Null, at, gone, items @ ..], Json::Array(list)) => {
                let at = count(at, list.len())?;
                let gone = count(gone, list.len() - at)?;
                let rest = list.split_off(at + gone);
                list.truncate(at);
                self.append(items, list)?;
                list.extend(rest);
                Ok(())
            }
            ([Json::Number(_), ..] | [Json::Null, _, _, ..], _) => {
                Err(PatchError::new("items change, and here is no array"))
            }
            _ => Err(PatchError::new("not an operation that is known")),
        }
    }

    fn append(&mut self, items: &[Json], list: &mut Vec<Json>) -> Result<(), PatchError> {
        for item in items {
            let next = self.item(item, list.last()).map_err(|e| e.within_item(list.len()))?;
            list.push(next);
        }
        Ok(())
    }

    /// An item, from the one before it.
    fn item(&mut self, change: &Json, before: Option<&Json>) -> Result<Json, PatchError> {
        match (self.fresh(change), before) {
            (Ok(item), _) => Ok(item),
            (Err(_), Some(before)) => {
                let cost = size_of::<Json>() + before.heap_size();
                self.left = self.left.checked_sub(cost).ok_or(PatchError::new("copies more than a line could say"))?;
                let mut item = before.clone();
                self.value(change, &mut item).map(|()| item)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// A value that needs no earlier one.
    fn fresh(&self, change: &Json) -> Result<Json, PatchError> {
        match change {
            Json::Object(_) => Err(PatchError::new("there is nothing to change")),
            Json::Array(operation) => match operation.as_slice() {
                [whole @ (Json::Object(_) | Json::Array(_))] => Ok(whole.clone()),
                [] => Err(PatchError::new("there is nothing to remove")),
                _ => Err(PatchError::new("there is nothing to change")),
            },
            scalar => Ok(scalar.clone()),
        }
    }

    fn indices(&mut self, changes: &Object, target: &mut [Json]) -> Result<(), PatchError> {
        for (key, change) in changes.iter() {
            let canonical = key == "0" || !key.starts_with(['0', '+']);
            let index = canonical.then(|| key.parse::<usize>().ok()).flatten();
            let item = index.and_then(|index| target.get_mut(index)).ok_or(PatchError::new("no index of this array"));
            item.and_then(|item| self.value(change, item)).map_err(|e| e.within_key(key))?;
        }
        Ok(())
    }
}

fn count(json: &Json, most: usize) -> Result<usize, PatchError> {
    let count = json.as_u64().and_then(|n| usize::try_from(n).ok());
    count.filter(|n| *n <= most).ok_or(PatchError::new("more items than the array has, or no count of items"))
}
