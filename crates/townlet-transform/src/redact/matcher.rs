//! Many paths at once, walked level by level.
//!
//! Each segment of each path is one state; a set of states is one `u128`. Each name leads from a set of states to
//! the next one, so a document is walked once however many paths there are, and subtrees without a state in them
//! are not looked at.

use townlet_schema::Kind;

use super::path::{FieldPath, Segment};

/// Places in the paths that the walk may be at. Empty: nothing below can match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct States(u128);

impl States {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What one step into a value says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The value is a match.
    Hit,
    /// The value may hold matches.
    Inside(States),
}

/// The paths of one redaction, at most 128 segments of them.
pub(crate) struct Matcher {
    /// The segments of all paths, one after another.
    segments: Vec<Segment>,
    /// The last segment of each path.
    last: u128,
    /// Every `**`.
    deep: u128,
    start: States,
}

impl Matcher {
    /// `None` where the paths have more than 128 segments together.
    pub(crate) fn compile(paths: &[FieldPath]) -> Option<Self> {
        let mut matcher = Self { segments: Vec::new(), last: 0, deep: 0, start: States(0) };
        let mut starts = 0;
        for path in paths {
            let at = matcher.segments.len();
            matcher.segments.extend_from_slice(&path.segments);
            if matcher.segments.len() > 128 {
                return None;
            }
            starts |= 1_u128 << at;
            matcher.last |= 1 << (matcher.segments.len() - 1);
        }
        for (at, segment) in matcher.segments.iter().enumerate() {
            matcher.deep |= u128::from(*segment == Segment::Deep) << at;
        }
        matcher.start = matcher.closed(starts);
        Some(matcher)
    }

    /// `**` may stand for no level at all: whoever is at it is also behind it.
    /// It is never last and never comes twice in a row, so one shift says it all.
    fn closed(&self, states: u128) -> States {
        States(states | (states & self.deep) << 1)
    }

    /// The step into member `name` of an object.
    pub(crate) fn member(&self, states: States, name: &[u8]) -> Step {
        self.step(states, Some(name))
    }

    /// The step into member `name` of the body itself. The fields of a diff lie in its `changes` or its `patch`, those
    /// of an event in its `payload`: paths begin anew there.
    pub(crate) fn root_member(&self, kind: Kind, name: &[u8]) -> (Step, Mode) {
        match (self.step(self.start, Some(name)), container(kind, name)) {
            (Step::Inside(states), Some(mode)) => (Step::Inside(States(states.0 | self.start.0)), mode),
            (step, _) => (step, Mode::Plain),
        }
    }

    /// The step into member `name` of an object of this mode.
    pub(crate) fn member_in(&self, mode: Mode, states: States, name: &[u8]) -> (Step, Mode) {
        let member = self.member(states, name);
        // The members of a patch may be the places of a list.
        let is_place = mode == Mode::Patch && name.iter().all(u8::is_ascii_digit);
        let step = match (member, is_place.then(|| self.element(states))) {
            (Step::Hit, _) | (_, Some(Step::Hit)) => Step::Hit,
            (Step::Inside(member), Some(Step::Inside(element))) => Step::Inside(States(member.0 | element.0)),
            (member, None) => member,
        };
        (step, mode)
    }

    /// The step into an element of a list of this mode, where `opens` is how the first element begins.
    pub(crate) fn element_in(&self, mode: Mode, states: States, at: usize, opens: Opens) -> (Step, Mode) {
        match (mode, opens) {
            (Mode::Plain, _) => (self.element(states), Mode::Plain),
            // The value itself, in brackets.
            (Mode::Patch, Opens::Value) => (Step::Inside(states), Mode::Plain),
            (Mode::Patch, Opens::Splice(numbers)) if at < numbers => (Step::Inside(States(0)), Mode::Plain),
            (Mode::Patch, Opens::Splice(_)) => (self.element(states), Mode::Patch),
        }
    }

    /// The step into an element of an array.
    pub(crate) fn element(&self, states: States) -> Step {
        self.step(states, None)
    }

    fn step(&self, states: States, name: Option<&[u8]>) -> Step {
        let mut next = 0;
        let mut left = states.0;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            let bit = 1_u128 << at;
            match &self.segments[at] {
                Segment::Name(wanted) if name != Some(wanted.as_bytes()) => {}
                Segment::Deep => next |= bit,
                _ if self.last & bit != 0 => return Step::Hit,
                _ => next |= bit << 1,
            }
        }
        Step::Inside(self.closed(next))
    }
}

/// How a value is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// As it stands.
    Plain,
    /// As a change of a value, by the grammar of [`Patch`](townlet_schema::Patch).
    Patch,
}

/// What a list in a patch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opens {
    /// `[value]`.
    Value,
    /// `[n, item, …]` or `[null, at, n, item, …]`: so many numbers in front.
    Splice(usize),
}

impl Opens {
    /// By the first byte of its first element.
    pub(crate) fn by(byte: u8) -> Self {
        match byte {
            b'n' => Self::Splice(3),
            b'-' | b'0'..=b'9' => Self::Splice(1),
            _ => Self::Value,
        }
    }
}

/// The member of a body that holds the fields that rules speak of, and how.
fn container(kind: Kind, name: &[u8]) -> Option<Mode> {
    match (kind, name) {
        (Kind::Diff, b"changes") | (Kind::Event, b"payload") => Some(Mode::Plain),
        (Kind::Diff, b"patch") => Some(Mode::Patch),
        _ => None,
    }
}
