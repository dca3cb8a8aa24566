//! Redaction of a tree that another transform has built already.

use townlet_schema::{Json, Kind, Object};

use super::action::Action;
use super::matcher::{Matcher, States, Step};

/// Redacts `body` in place; true where something changed.
pub(super) fn redact(body: &mut Object, kind: Kind, matcher: &Matcher, action: &Action) -> Option<bool> {
    object(body, matcher, action, &|name| matcher.root_member(kind, name.as_bytes()))
}

fn object(object: &mut Object, matcher: &Matcher, action: &Action, step: &dyn Fn(&str) -> Step) -> Option<bool> {
    let mut changed = false;
    let mut removed = Vec::new();
    for (name, value) in object.iter_mut() {
        match step(name) {
            Step::Hit => {
                changed = true;
                match action.replacement_in_tree(value)? {
                    Some(replacement) => *value = replacement,
                    None => removed.push(name.to_owned()),
                }
            }
            Step::Inside(states) => changed |= inside(value, matcher, action, states)?,
        }
    }
    for name in removed {
        object.remove(&name);
    }
    Some(changed)
}

fn inside(value: &mut Json, matcher: &Matcher, action: &Action, states: States) -> Option<bool> {
    match value {
        _ if states.is_empty() => Some(false),
        Json::Object(members) => object(members, matcher, action, &|name| matcher.member(states, name.as_bytes())),
        Json::Array(elements) => match matcher.element(states) {
            Step::Hit => {
                let changed = !elements.is_empty();
                let mut kept = Vec::new();
                for element in elements.iter() {
                    kept.extend(action.replacement_in_tree(element)?);
                }
                *elements = kept;
                Some(changed)
            }
            Step::Inside(states) => {
                let mut changed = false;
                for element in elements {
                    changed |= inside(element, matcher, action, states)?;
                }
                Some(changed)
            }
        },
        _ => Some(false),
    }
}
