//! Redaction of encoded text: only what changes is touched, and no tree is built.

use memchr::memmem::Finder;
use townlet_schema::Kind;

use super::action::Action;
use super::matcher::{Matcher, Mode, Opens, States, Step};
use super::path::{FieldPath, Segment};
use crate::limits::MAX_DEPTH;
use crate::text::{Cursor, key_name};

/// Proof, without reading structure, that no path can match.
pub(super) struct Prefilter {
    /// One quoted name per path. None: some path has no name to look for.
    names: Option<Vec<Finder<'static>>>,
    escape: Finder<'static>,
}

impl Prefilter {
    pub(super) fn new(paths: &[FieldPath]) -> Self {
        let mut names: Option<Vec<String>> = paths.iter().map(needle).collect();
        if let Some(names) = &mut names {
            names.sort_unstable();
            names.dedup();
        }
        let finder = |name: String| Finder::new(name.as_bytes()).into_owned();
        Self {
            names: names.map(|names| names.into_iter().map(finder).collect()),
            escape: Finder::new(b"\\u").into_owned(),
        }
    }

    /// False only where no path can match.
    pub(super) fn may_match(&self, text: &[u8]) -> bool {
        match &self.names {
            // A name made of ordinary characters can hide from the search only behind `\uXXXX`.
            Some(names) => names.iter().any(|name| name.find(text).is_some()) || self.escape.find(text).is_some(),
            None => true,
        }
    }
}

/// The last name of a path, quoted: text in which it does not occur holds no match. None for a name that JSON
/// may write in more than one way without `\u`.
fn needle(path: &FieldPath) -> Option<String> {
    let name = path.segments.iter().rev().find_map(|segment| match segment {
        Segment::Name(name) => Some(name),
        _ => None,
    })?;
    let plain = name.chars().all(|c| !matches!(c, '"' | '\\' | '/') && !c.is_control());
    plain.then(|| format!("\"{name}\""))
}

/// One change to the text.
struct Edit {
    start: usize,
    end: usize,
    insert: String,
}

/// The changed text, nothing where no path matches.
pub(super) fn rewrite(
    text: &[u8],
    kind: Kind,
    matcher: &Matcher,
    action: &Action,
) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut walk = Walk::new(text, kind, matcher, action);
    walk.object(None, 0, Mode::Plain).ok_or(Unreadable)?;
    if walk.edits.is_empty() {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for edit in &walk.edits {
        out.extend_from_slice(text.get(from..edit.start).ok_or(Unreadable)?);
        out.extend_from_slice(edit.insert.as_bytes());
        from = edit.end;
    }
    out.extend_from_slice(text.get(from..).ok_or(Unreadable)?);
    Ok(Some(out))
}

/// True where a path matches a value that the action has not replaced yet, or the text cannot be followed.
pub(super) fn finds(text: &[u8], kind: Kind, matcher: &Matcher, action: &Action) -> bool {
    let mut walk = Walk::new(text, kind, matcher, action);
    walk.object(None, 0, Mode::Plain).is_none() || walk.undone
}

/// Text that is not the JSON it was taken for.
#[derive(Debug)]
pub(super) struct Unreadable;

struct Walk<'a> {
    kind: Kind,
    matcher: &'a Matcher,
    action: &'a Action,
    cursor: Cursor<'a>,
    edits: Vec<Edit>,
    /// A match held something else than the action's own work.
    undone: bool,
}

impl<'a> Walk<'a> {
    fn new(text: &'a [u8], kind: Kind, matcher: &'a Matcher, action: &'a Action) -> Self {
        Self { kind, matcher, action, cursor: Cursor::new(text), edits: Vec::new(), undone: false }
    }

    /// An object; `None` as states means the body itself.
    fn object(&mut self, states: Option<States>, depth: usize, mode: Mode) -> Option<()> {
        self.cursor.expect(b'{')?;
        self.items(b'}', depth, mode, |walk| {
            let start = walk.cursor.at;
            let name = key_name(walk.cursor.string()?)?;
            walk.cursor.expect(b':')?;
            let step = match states {
                Some(states) => walk.matcher.member_in(mode, states, &name),
                None => walk.matcher.root_member(walk.kind, &name),
            };
            Some((start, step))
        })
    }

    fn array(&mut self, states: States, depth: usize, mode: Mode) -> Option<()> {
        self.cursor.expect(b'[')?;
        let opens = Opens::by(self.cursor.peek()?);
        let mut at = 0;
        self.items(b']', depth, Mode::Plain, |walk| {
            let step = walk.matcher.element_in(mode, states, at, opens);
            at += 1;
            Some((walk.cursor.at, step))
        })
    }

    /// The members or elements up to `close`. `head` reads what comes before a value; it gives where the item
    /// starts and what its value is.
    fn items(
        &mut self,
        close: u8,
        depth: usize,
        mode: Mode,
        mut head: impl FnMut(&mut Self) -> Option<(usize, (Step, Mode))>,
    ) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        if self.cursor.peek()? == close {
            return self.cursor.expect(close);
        }
        let mut kept = false;
        // The comma before the item, once something before it is kept.
        let mut comma = self.cursor.at;
        loop {
            self.cursor.peek()?;
            let (start, (step, inner)) = head(self)?;
            let mut removed = false;
            match step {
                Step::Hit => {
                    self.cursor.peek()?;
                    let value = self.cursor.at;
                    let json = self.cursor.skip()?;
                    // A member that is gone has nothing to take.
                    let opens = json.strip_prefix(b"[");
                    let is_gone = mode == Mode::Patch && opens.is_some_and(|rest| rest.trim_ascii() == b"]");
                    if !is_gone {
                        self.undone |= !self.action.is_done(json);
                        match self.action.replacement(json)? {
                            Some(insert) => self.edits.push(Edit { start: value, end: self.cursor.at, insert }),
                            None => removed = true,
                        }
                    }
                }
                Step::Inside(states) => self.value(states, depth + 1, inner)?,
            }
            let end = self.cursor.at;
            let more = match self.cursor.peek()? {
                b',' => true,
                byte if byte == close => false,
                _ => return None,
            };
            let next_comma = self.cursor.at;
            self.cursor.at += 1;
            if removed {
                let (start, end) = match (kept, more) {
                    (true, _) => (comma, end),
                    (false, true) => (start, self.cursor.at),
                    (false, false) => (start, end),
                };
                self.edits.push(Edit { start, end, insert: String::new() });
            }
            kept |= !removed;
            comma = next_comma;
            if !more {
                return Some(());
            }
        }
    }

    fn value(&mut self, states: States, depth: usize, mode: Mode) -> Option<()> {
        match self.cursor.peek()? {
            b'{' if !states.is_empty() => self.object(Some(states), depth, mode),
            b'[' if !states.is_empty() => self.array(states, depth, mode),
            _ => self.cursor.skip().map(drop),
        }
    }
}
