//! What a redaction must take, by the definition of its paths: every place is visited, every path is asked.

use townlet_schema::{Json, Kind, Object};

/// One level of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Name(String),
    Any,
    Deep,
}

/// The paths of one redaction.
pub struct Paths {
    paths: Vec<Vec<Segment>>,
    container: Option<&'static str>,
}

/// For each path, which of its segments may come next; its length stands for a match.
type States = Vec<Vec<bool>>;

/// What happens to a value that a path names.
pub type Replace<'a> = &'a dyn Fn(&Json) -> Option<Json>;

impl Paths {
    /// Reads paths that [`FieldPath`](townlet_transform::FieldPath) has taken.
    pub fn new(paths: &[String], kind: Kind) -> Self {
        let container = match kind {
            Kind::Diff => Some("changes"),
            Kind::Event => Some("payload"),
            _ => None,
        };
        Self { paths: paths.iter().map(|path| segments(path)).collect(), container }
    }

    /// What is left of `body`; what `replace` gave nothing for is gone. The values taken are put into `taken`.
    pub fn redacted(&self, body: &Object, replace: Replace<'_>, taken: &mut Vec<Json>) -> Object {
        let start = self.start();
        let mut left = Object::new();
        for (name, value) in body.iter() {
            let mut states = self.after(&start, Some(name));
            if !self.is_hit(&states) && self.container == Some(name) {
                // Paths begin anew at the top of the container.
                let begun = states.iter_mut().zip(&start);
                begun.for_each(|(state, start)| state.iter_mut().zip(start).for_each(|(a, b)| *a |= b));
            }
            if let Some(value) = self.value(value, &states, replace, taken) {
                left.insert(name, value);
            }
        }
        left
    }

    fn value(&self, value: &Json, states: &States, replace: Replace<'_>, taken: &mut Vec<Json>) -> Option<Json> {
        if self.is_hit(states) {
            taken.push(value.clone());
            return replace(value);
        }
        Some(match value {
            Json::Object(members) => {
                let mut left = Object::new();
                for (name, value) in members.iter() {
                    if let Some(value) = self.value(value, &self.after(states, Some(name)), replace, taken) {
                        left.insert(name, value);
                    }
                }
                Json::Object(left)
            }
            Json::Array(elements) => {
                let states = self.after(states, None);
                Json::Array(elements.iter().filter_map(|e| self.value(e, &states, replace, taken)).collect())
            }
            scalar => scalar.clone(),
        })
    }

    fn start(&self) -> States {
        let first = |path: &Vec<Segment>| closed(path, (0..=path.len()).map(|at| at == 0).collect());
        self.paths.iter().map(first).collect()
    }

    /// One level down: into the member of that name, or into an element.
    fn after(&self, states: &States, name: Option<&str>) -> States {
        let step = |(path, state): (&Vec<Segment>, &Vec<bool>)| {
            let mut next = vec![false; path.len() + 1];
            for (at, segment) in path.iter().enumerate().filter(|(at, _)| state[*at]) {
                match segment {
                    Segment::Deep => next[at] = true,
                    Segment::Any => next[at + 1] = true,
                    Segment::Name(wanted) => next[at + 1] |= name == Some(wanted.as_str()),
                }
            }
            closed(path, next)
        };
        self.paths.iter().zip(states).map(step).collect()
    }

    fn is_hit(&self, states: &States) -> bool {
        states.iter().any(|state| state.last() == Some(&true))
    }
}

/// `**` may stand for no level.
fn closed(path: &[Segment], mut state: Vec<bool>) -> Vec<bool> {
    for (at, segment) in path.iter().enumerate() {
        if state[at] && *segment == Segment::Deep {
            state[at + 1] = true;
        }
    }
    state
}

/// Splits at the dots that no backslash precedes.
fn segments(path: &str) -> Vec<Segment> {
    let (mut segments, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for c in path.chars().chain(['.']) {
        if c == '.' && !escaped {
            segments.push(match part.as_str() {
                "*" => Segment::Any,
                "**" => Segment::Deep,
                _ => Segment::Name(unescaped(&part)),
            });
            part.clear();
        } else {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    segments
}

fn unescaped(part: &str) -> String {
    let mut name = String::new();
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        name.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    name
}
