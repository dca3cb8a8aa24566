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

    /// The step into member `name` of the body itself. The fields of a diff lie in its `changes`, those of an
    /// event in its `payload`: paths begin anew there.
    pub(crate) fn root_member(&self, kind: Kind, name: &[u8]) -> Step {
        match self.step(self.start, Some(name)) {
            Step::Inside(states) if container(kind).is_some_and(|container| container.as_bytes() == name) => {
                Step::Inside(States(states.0 | self.start.0))
            }
            step => step,
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

/// The member of a body that holds the fields that rules speak of.
pub(crate) fn container(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Diff => Some("changes"),
        Kind::Event => Some("payload"),
        _ => None,
    }
}
