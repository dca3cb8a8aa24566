//! Changes of objects and scalars.

use townlet_schema::{Json, MAX_DEPTH, Object};

use crate::sections::{is_per_tick, write_key};

/// Writes changes to the end of a buffer. A change of what did not change
/// writes nothing.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Set where something lies too deep to be read again.
    too_deep: bool,
    /// Reused by the search for overlaps.
    pub(super) borders: Vec<usize>,
}

/// Level of the members of a patch: inside the line's object and the patch.
const MEMBERS: usize = 2;

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, too_deep: false, borders: Vec::new() }
    }

    /// The patch of a state: its per-tick sections are left out, but for one
    /// that is gone.
    pub(super) fn sections(&mut self, base: &Object, next: &Object) -> bool {
        self.patch(base, next, is_per_tick)
    }

    /// The patch of an object.
    pub(super) fn members(&mut self, base: &Object, next: &Object) -> bool {
        self.patch(base, next, |_| false)
    }

    fn patch(&mut self, base: &Object, next: &Object, skips: impl Fn(&str) -> bool + Copy) -> bool {
        if !self.object(base, next, MEMBERS, skips).changed() {
            self.text(b"{}");
        }
        !self.too_deep
    }

    /// A section beside the patch, whole.
    pub(super) fn section(&mut self, key: &str, value: &Json) -> bool {
        self.key(key);
        self.bounded(value, 1);
        !self.too_deep
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    pub(super) fn number(&mut self, number: usize) {
        Json::from(number as u64).write(self.out);
    }

    pub(super) fn at(&self) -> usize {
        self.out.len()
    }

    pub(super) fn back_to(&mut self, at: usize) {
        self.out.truncate(at);
    }

    /// Writes another text for the change that stands from `start` on, where one
    /// does, and keeps the shorter one: the first, where they are as long. A
    /// second one that nobody could read is none.
    pub(super) fn candidate(&mut self, start: usize, write: impl FnOnce(&mut Self)) {
        let (second, too_deep) = (self.at(), self.too_deep);
        write(self);
        let (old, new) = (second - start, self.at() - second);
        if second == start {
            return;
        }
        if new < old && self.too_deep == too_deep {
            self.out.copy_within(second.., start);
            self.out.truncate(start + new);
        } else {
            self.out.truncate(second);
            self.too_deep = too_deep;
        }
    }

    fn key(&mut self, key: &str) {
        write_key(key, self.out);
    }

    /// A value whose containers open at `level`.
    fn bounded(&mut self, value: &Json, level: usize) {
        if is_within(value, MAX_DEPTH.saturating_sub(level)) {
            value.write(self.out);
        } else {
            self.too_deep = true;
            self.text(b"null");
        }
    }

    /// The change to `value`, whatever was before.
    pub(super) fn whole(&mut self, value: &Json, level: usize) {
        if is_scalar(value) {
            value.write(self.out);
        } else {
            self.out.push(b'[');
            self.bounded(value, level + 1);
            self.out.push(b']');
        }
    }

    /// The whole, where it is shorter than the change that stands from `start` on.
    pub(super) fn or_whole(&mut self, start: usize, next: &Json, level: usize) {
        if self.at() == start || self.at() - start > 2 + at_least(next) {
            self.candidate(start, |writer| writer.whole(next, level));
        }
    }

    /// The change from `base` to `next`, inside `level` containers. False, with
    /// nothing written, where they are equal.
    pub(super) fn change(&mut self, base: &Json, next: &Json, level: usize) -> bool {
        match (base, next) {
            (Json::Object(base), Json::Object(new)) => {
                if level >= MAX_DEPTH {
                    self.too_deep = true;
                    return false;
                }
                let start = self.at();
                let members = self.object(base, new, level + 1, |_| false);
                // Else what stands in the patch stands in the whole as well, and more.
                if members.changed() && (members.removed > 0 || (members.same == 0 && members.nested > 0)) {
                    self.or_whole(start, next, level);
                }
                members.changed()
            }
            (Json::Array(base), Json::Array(new)) => {
                if level >= MAX_DEPTH {
                    self.too_deep = true;
                    return false;
                }
                self.list(base, next, new, level)
            }
            _ if base == next => false,
            _ => {
                self.whole(next, level);
                true
            }
        }
    }

    /// The patch of one object, whose members lie inside `level` containers.
    fn object(&mut self, base: &Object, next: &Object, level: usize, skips: impl Fn(&str) -> bool) -> Members {
        let mut members = Members::default();
        let (mut olds, mut news) = (base.iter().peekable(), next.iter().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            // Both are sorted, so that one walk meets every key once.
            let old = if order.is_le() { olds.next() } else { None };
            let new = if order.is_ge() { news.next() } else { None };
            match (old, new) {
                (Some((key, _)), None) => {
                    members.removed += 1;
                    self.member(key, &mut members.written);
                    self.text(b"[]");
                    self.too_deep |= level >= MAX_DEPTH;
                }
                (None, Some((key, value))) if !skips(key) => {
                    self.member(key, &mut members.written);
                    self.whole(value, level);
                    members.nested += usize::from(!is_scalar(value));
                }
                (Some((_, old)), Some((key, new))) if !skips(key) => {
                    if is_scalar(old) && old == new {
                        members.same += 1;
                        continue;
                    }
                    let (mark, before) = (self.at(), members.written);
                    self.member(key, &mut members.written);
                    if self.change(old, new, level) {
                        members.nested += usize::from(!is_scalar(new));
                    } else {
                        self.back_to(mark);
                        members.written = before;
                        members.same += 1;
                    }
                }
                _ => {}
            }
        }
        if members.changed() {
            self.out.push(b'}');
        }
        members
    }

    fn member(&mut self, key: &str, written: &mut usize) {
        self.out.push(if *written == 0 { b'{' } else { b',' });
        *written += 1;
        self.key(key);
    }
}

/// What happened to the members of an object.
#[derive(Default)]
struct Members {
    written: usize,
    removed: usize,
    same: usize,
    /// Containers among those written, which may have cost brackets.
    nested: usize,
}

impl Members {
    fn changed(&self) -> bool {
        self.written > 0
    }
}

pub(super) fn is_scalar(value: &Json) -> bool {
    !matches!(value, Json::Array(_) | Json::Object(_))
}

/// True where `value` has at most `levels` containers inside each other.
fn is_within(value: &Json, levels: usize) -> bool {
    match value {
        Json::Array(items) => levels > 0 && items.iter().all(|item| is_scalar(item) || is_within(item, levels - 1)),
        Json::Object(object) => {
            levels > 0 && object.values().all(|item| is_scalar(item) || is_within(item, levels - 1))
        }
        _ => true,
    }
}

/// Bytes that the text of `value` has at least, without formatting a number.
fn at_least(value: &Json) -> usize {
    match value {
        Json::Null => 4,
        Json::Bool(_) => 4,
        Json::Number(number) => {
            if number.is_integer() {
                1
            } else {
                3
            }
        }
        Json::String(text) => text.len() + 2,
        Json::Array(items) => 1 + items.len().max(1) + items.iter().map(at_least).sum::<usize>(),
        Json::Object(object) => {
            1 + object.len().max(1) + object.iter().map(|(key, item)| key.len() + 3 + at_least(item)).sum::<usize>()
        }
    }
}
