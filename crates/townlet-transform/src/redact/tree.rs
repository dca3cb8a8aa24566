//! Redaction of a tree that another transform has built already.

use townlet_schema::{Json, Kind, Object};

use super::action::Action;
use super::matcher::{Matcher, Mode, Opens, States, Step};

/// Redacts `body` in place; true where something changed.
pub(super) fn redact(body: &mut Object, kind: Kind, matcher: &Matcher, action: &Action) -> Option<bool> {
    object(body, matcher, action, Mode::Plain, &|name| matcher.root_member(kind, name.as_bytes()))
}

fn object(
    object: &mut Object,
    matcher: &Matcher,
    action: &Action,
    mode: Mode,
    step: &dyn Fn(&str) -> (Step, Mode),
) -> Option<bool> {
    let mut changed = false;
    let mut removed = Vec::new();
    for (name, value) in object.iter_mut() {
        match step(name) {
            // A member that is gone has nothing to take.
            (Step::Hit, _) if mode == Mode::Patch && value.as_array().is_some_and(<[Json]>::is_empty) => {}
            (Step::Hit, _) => {
                changed = true;
                match action.replacement_in_tree(value)? {
                    Some(replacement) => *value = replacement,
                    None => removed.push(name.to_owned()),
                }
            }
            (Step::Inside(states), inner) => changed |= inside(value, matcher, action, states, inner)?,
        }
    }
    for name in removed {
        object.remove(&name);
    }
    Some(changed)
}

fn inside(value: &mut Json, matcher: &Matcher, action: &Action, states: States, mode: Mode) -> Option<bool> {
    match value {
        _ if states.is_empty() => Some(false),
        Json::Object(members) => {
            object(members, matcher, action, mode, &|name| matcher.member_in(mode, states, name.as_bytes()))
        }
        Json::Array(elements) => {
            let opens = match elements.first() {
                Some(Json::Null) => Opens::by(b'n'),
                Some(Json::Number(_)) => Opens::by(b'0'),
                _ => Opens::Value,
            };
            let mut changed = false;
            let mut kept = Vec::with_capacity(elements.len());
            for (at, mut element) in std::mem::take(elements).into_iter().enumerate() {
                match matcher.element_in(mode, states, at, opens) {
                    (Step::Hit, _) => {
                        changed = true;
                        kept.extend(action.replacement_in_tree(&element)?);
                    }
                    (Step::Inside(states), inner) => {
                        changed |= inside(&mut element, matcher, action, states, inner)?;
                        kept.push(element);
                    }
                }
            }
            *elements = kept;
            Some(changed)
        }
        _ => Some(false),
    }
}
